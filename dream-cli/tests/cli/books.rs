//! The audit of the books.

use dream_core::AuditRule;
use dream_testkit::on_every_backend;
use dream_testkit::world::{TestDream, polished};

use crate::shell::Shell;

on_every_backend!(books_that_are_wrong_are_named_row_by_row_and_end_in_six, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    let alice = world.alice().await;
    alice.generate(&polished("a cat", 1)).await.unwrap();
    world.settle().await;
    let clean = shell.json(&["audit"]).await;
    assert_eq!((clean["clean"].as_bool(), clean["findings"].as_array().map(Vec::len)), (Some(true), Some(0)));
    assert_eq!(clean["rules"], AuditRule::ALL.len());
    assert!(shell.out(&["audit"]).await.contains("The books are right"));

    let damage = "UPDATE accounts SET balance = balance + 1, earned = earned + 1";
    world.database().execute(damage).await;
    let ran = shell.run(&["audit"]).await;
    assert_eq!(ran.code, 6, "{ran:?}");
    let row = ran.columns(&format!("user:{}", alice.id()));
    assert_eq!(
        row,
        [
            format!("user:{}", alice.id()),
            "account_equals_ledger".to_owned(),
            "balance 1, entries 0".to_owned()
        ]
    );
    let json = shell.run(&["audit", "--json"]).await;
    assert_eq!(json.code, 6);
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (report["clean"].as_bool(), report["findings"][0]["rule"].as_str()),
        (Some(false), Some("account_equals_ledger"))
    );
    world.database().execute("UPDATE accounts SET balance = balance - 1, earned = earned - 1").await;
    world.finish().await;
});
