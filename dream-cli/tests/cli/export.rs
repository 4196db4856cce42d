//! Whole tables as CSV and as JSON lines.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use dream_core::UserEdit;
use dream_core::kernel::Points;
use dream_core::orders::{RechargePoints, WECHAT};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use crate::shell::Shell;

/// The rows of a CSV by the names of its columns.
fn rows(text: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

on_every_backend!(users_are_exported_whole_and_no_name_becomes_a_formula, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    let admin = world.admin().await;
    let mut ids = Vec::new();
    for number in 0..230 {
        ids.push(world.user(&format!("u{number}")).await.id());
    }
    for (id, name) in ids.iter().zip(["=HYPERLINK(\"x\")", "+1", "@cmd", "-2", "a, \"b\"", "小明"]) {
        let edit = UserEdit { nick_name: Some(name.parse().unwrap()), ..UserEdit::default() };
        admin.update_user(*id, &edit, None).await.unwrap();
    }
    let users = rows(&shell.out(&["export", "users"]).await);
    assert_eq!(users.len(), 230);
    let names: Vec<&str> = users.iter().rev().take(6).map(|row| row["nickName"].as_str()).collect();
    assert_eq!(names, ["'=HYPERLINK(\"x\")", "'+1", "'@cmd", "'-2", "a, \"b\"", "小明"]);
    assert_eq!(users[0]["id"], ids[229].to_string());
    assert!(users[0]["createdAt"].ends_with('Z') && users[0]["phone"].is_empty());

    let lines = shell.out(&["export", "users", "--json"]).await;
    let first: Value = serde_json::from_str(lines.lines().next_back().unwrap()).unwrap();
    assert_eq!((lines.lines().count(), first["nickName"].as_str()), (230, Some("=HYPERLINK(\"x\")")));
    world.finish().await;
});

on_every_backend!(orders_and_the_ledger_are_exported_into_a_file_of_ones_own, |backend| async move {
    let world = TestDream::on(&backend).system_clock().taking_payments().start().await;
    let shell = Shell::beside(&world, &backend, false);
    let alice = world.alice().await;
    let placed =
        alice.session().await.recharge(RechargePoints::new(50).unwrap(), WECHAT, None).await.unwrap();
    world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    world.wechat_pay().deliver_due().await;
    world.admin().await.grant_points(alice.id(), Points::new(5), "=1+1").await.unwrap();

    let said = shell.run(&["export", "orders", "-o", "orders.csv"]).await;
    assert!(said.err.contains("1 orders are in orders.csv"), "{said:?}");
    assert_eq!(said.done(), "");
    let file = shell.path("orders.csv");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Excel reads it as UTF-8, and keeps every digit of what it would take for a number.
    let text = fs::read_to_string(&file).unwrap();
    let orders = rows(text.strip_prefix('\u{feff}').expect("a byte order mark"));
    let transaction = &orders[0]["transactionId"];
    assert!(transaction.starts_with('\t') && transaction.trim().len() == 28, "{transaction:?}");
    let exact = rows(&shell.out(&["export", "orders"]).await);
    assert_eq!(exact[0]["transactionId"], transaction.trim(), "programs read it as it is");
    assert_eq!(
        (orders[0]["orderId"].as_str(), orders[0]["amountFen"].as_str()),
        (placed.order.order_id.as_str(), "500")
    );
    assert_eq!((orders[0]["status"].as_str(), orders[0]["points"].as_str()), ("PAID", "50"));
    let ledger = rows(&shell.out(&["export", "ledger"]).await);
    let told: Vec<_> =
        ledger.iter().map(|row| (row["amount"].as_str(), row["balanceAfter"].as_str())).collect();
    assert_eq!(told, [("5", "55"), ("50", "50")]);
    assert_eq!(ledger[0]["description"], "'=1+1");
    assert_eq!(ledger[1]["orderId"], placed.order.order_id.as_str());

    // A file that cannot be made is told, and nothing is left of it.
    let nowhere = shell.run(&["export", "users", "-o", "no/such/folder.csv"]).await;
    nowhere.failed(1, "no/such/folder.csv");
    let left: Vec<_> =
        fs::read_dir(shell.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["orders.csv"]);
    world.check_books().await;
});

on_every_backend!(all_about_one_user_is_one_document_and_of_nobody_else, |backend| async move {
    let world = TestDream::on(&backend).system_clock().start().await;
    let shell = Shell::beside(&world, &backend, false);
    let (alice, bob) = (world.alice().await, world.user("bob").await);
    for user in [&alice, &bob] {
        user.generates(&format!("a cat of {}", user.openid())).await;
    }
    world.admin().await.grant_points(alice.id(), Points::new(5), "a gift").await.unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let upload = alice.session().await.upload_picture(png.into_inner().into(), "me.png").await.unwrap();
    let id = alice.id().to_string();

    let told: Value = serde_json::from_str(&shell.out(&["export", "user", &id]).await).unwrap();
    assert_eq!(told["user"]["openid"], alice.openid());
    assert_eq!(
        (told["transactions"][0]["amount"].as_i64(), told["orders"].as_array().map(Vec::len)),
        (Some(5), Some(0))
    );
    assert_eq!(told["jobs"][0]["prompt"], format!("a cat of {}", alice.openid()));
    assert_eq!(
        (told["jobs"].as_array().map(Vec::len), told["logins"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    assert!(told["uploads"][0]["url"].as_str().unwrap().ends_with(&upload.key.to_string()), "{told}");
    assert!(!told.to_string().contains(bob.openid()));

    let said = shell.run(&["export", "user", &id, "-o", "alice.json"]).await;
    assert!(said.err.contains(&format!("all about user {id} is in alice.json")), "{said:?}");
    assert_eq!(said.done(), "");
    let file = shell.path("alice.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let mut for_programs = shell.json(&["export", "user", &id]).await;
    for document in [&mut kept, &mut for_programs] {
        document["exportedAt"] = told["exportedAt"].clone();
    }
    assert_eq!((&kept, &for_programs), (&told, &told), "it says the same in every way");

    shell.run(&["export", "user", "999999", "-o", "nobody.json"]).await.failed(3, "USER_NOT_FOUND");
    shell.run(&["export", "user", &id, "-o", "no/such/folder.json"]).await.failed(1, "no/such/folder.json");
    let left: Vec<_> =
        fs::read_dir(shell.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["alice.json"]);
    // Its jobs are not waited for: on the system's clock each takes a minute and a half.
    world.check_books().await;
});

on_every_backend!(a_reader_who_has_had_enough_is_no_trouble, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    for number in 0..300 {
        world.user(&format!("a-user-with-a-long-name-{number}")).await;
    }
    for args in [
        &["export", "users"][..],
        &["export", "users", "--json"],
        &["user", "list", "--all"],
        &["user", "list", "--all", "--json"],
        &["man", "--markdown"],
        &["openapi"],
        &["completions", "bash"],
    ] {
        let mut command = shell.prepare(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut some = [0; 16];
        out.read_exact(&mut some).await.unwrap();
        drop(out);
        let ended = child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{args:?}: {:?} {said}", ended.status);
        assert!(!said.contains("panicked") && !said.contains("roken pipe"), "{args:?}: {said}");
    }
    world.finish().await;
});

/// The memory of a process that no file stands behind, in kB.
fn memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Exports the users; how many there were, the most memory that the first quarter of `expected` took, and the most
/// that all of them took.
async fn exported(shell: &Shell, expected: usize) -> (usize, u64, u64) {
    let mut child = shell.prepare(&["export", "users"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut lines, mut early, mut most, mut bytes) = (0, 0, 0, vec![0; 1 << 16]);
    loop {
        let read = out.read(&mut bytes).await.unwrap();
        most = most.max(memory(pid).unwrap_or(0));
        if lines < expected / 4 {
            early = most;
        }
        if read == 0 {
            break;
        }
        lines += String::from_utf8_lossy(&bytes[..read]).matches('\n').count();
    }
    assert!(child.wait().await.unwrap().success());
    (lines - 1, early, most)
}

on_every_backend!(an_export_takes_no_more_memory_however_long_it_is, |backend| async move {
    const MANY: usize = 40_000;
    const MORE_AT_MOST_KB: u64 = 8_000;
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    world.user("first").await;
    let database = world.database();
    let users = format!(
        "INSERT INTO users (openid, nick_name, name_key, avatar_url, created_at, updated_at) \
         SELECT 'o-' || n, 'A name of some length ' || n, 'x', 'https://wx.qlogo.cn/mmopen/' || n || '/132', 1, 1 \
         FROM (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY}) \
         SELECT CAST(n AS TEXT) AS n FROM numbers) numbered"
    );
    database.execute(&users).await;
    let rest = "FROM users WHERE id NOT IN (SELECT user_id FROM accounts)";
    let memberships = "INSERT INTO memberships (user_id, level, updated_at) SELECT id, 'NORMAL', 1";
    database.execute(&format!("{memberships} {rest}")).await;
    let accounts = "INSERT INTO accounts (user_id, balance, earned, spent, returned, earn_count, spend_count, \
         refund_count) SELECT id, 0, 0, 0, 0, 0, 0, 0";
    database.execute(&format!("{accounts} {rest}")).await;
    // Nobody logged in, so somebody has to count them.
    let counted = format!(
        "UPDATE usage_hours SET new_users = new_users + {MANY} WHERE (at, shard) IN \
         (SELECT at, shard FROM usage_hours ORDER BY at, shard LIMIT 1)"
    );
    assert_eq!(database.execute(&counted).await, 1);
    let (rows, early, most) = exported(&shell, MANY).await;
    assert_eq!(rows, MANY + 1);
    assert!(early > 0, "it was looked at while it wrote");
    assert!(most < early + MORE_AT_MOST_KB, "{early} kB for a quarter, {most} kB for {rows}");
    world.check_books().await;
});
