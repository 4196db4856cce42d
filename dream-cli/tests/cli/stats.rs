//! Figures on the command line.

use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, draft};
use serde_json::json;

use crate::shell::{Shell, columns};

on_every_backend!(figures_are_shown_as_tables_and_in_json, |backend| async move {
    let world = TestDream::on(&backend).system_clock().pace(1000.0).start().await;
    let shell = Shell::beside(&world, &backend, false);
    let alice = world.alice().await;
    alice.generate(&draft("a cat", 2)).await.unwrap();
    world.settle().await;
    let today = shell.json(&["stats", "today"]).await;
    assert_eq!(
        (&today["totalUsers"], &today["todayNewUsers"], &today["runningJobs"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(columns(&shell.out(&["stats", "today"]).await, "paid today"), ["paid today", "0.00"]);
    let global = shell.json(&["stats", "global"]).await;
    assert_eq!((&global["totalUsers"], &global["totalImages"]), (&json!(1), &json!(2)));
    assert_eq!(columns(&shell.out(&["stats", "global"]).await, "pictures"), ["pictures", "2"]);
    let id = alice.id().to_string();
    let user = shell.json(&["stats", "user", &id]).await;
    assert_eq!((&user["totalImagesGenerated"], &user["successRate"]), (&json!(2), &json!(100.0)));
    assert_eq!(columns(&shell.out(&["stats", "user", &id]).await, "success"), ["success", "100.0 %"]);
    let usage = shell.json(&["stats", "usage"]).await;
    let buckets = usage["buckets"].as_array().unwrap();
    assert_eq!((buckets.len(), &buckets[29]["generations"]), (30, &json!(1)));
    assert!(buckets[29]["day"].is_string() && buckets[29]["hour"].is_null());
    let table = shell.out(&["stats", "usage", "--bucket", "hour"]).await;
    assert_eq!(table.lines().count(), 25, "{table}");
    assert_eq!(
        columns(&table, "FROM"),
        ["FROM", "NEW", "ACTIVE", "GENERATIONS", "SUCCEEDED", "FAILED", "PAID", "REVENUE"]
    );
    let days = shell.out(&["stats", "usage", "--from", "2026-01-01", "--to", "2026-01-31"]).await;
    assert_eq!(days.lines().count(), 32, "{days}");
    // Days of the business's zone, and not the instants at which they begin in UTC.
    assert!(days.lines().nth(1).is_some_and(|line| line.starts_with("2026-01-01 ")), "{days}");
    assert!(
        table
            .lines()
            .nth(1)
            .is_some_and(|line| line.split_whitespace().nth(1).is_some_and(|hour| hour.ends_with(":00"))),
        "{table}"
    );
    world.finish().await;
});

on_every_backend!(figures_that_make_no_sense_are_refused, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    for (args, code, word) in [
        (&["stats", "user", "99"][..], 3, "USER_NOT_FOUND"),
        (&["stats", "usage", "--from", "yesterday"], 2, "a day or a time"),
        (&["stats", "usage", "--bucket", "week"], 2, "day, hour"),
        (&["stats", "usage", "--from", "2026-01-02", "--to", "2026-01-01"], 2, "from"),
        (&["stats", "usage", "--from", "2020-01-01"], 2, "366"),
    ] {
        shell.run(args).await.failed(code, word);
    }
    world.finish().await;
});
