//! Users, their points and their levels, by hand.

use std::process::Stdio;

use dream_core::kernel::PageRequest;
use dream_core::{AuditFilter, UserEdit};
use dream_testkit::backends::Backend;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::shell::{Shell, columns};

async fn world(backend: &Backend) -> (TestDream, Shell) {
    let world = TestDream::start(backend).await;
    let shell = Shell::beside(&world, backend, false);
    (world, shell)
}

/// Everything that a command about users could change.
async fn state(world: &TestDream) -> Vec<String> {
    let database = world.database();
    let mut all = Vec::new();
    for sql in [
        "SELECT 'user ' || CAST(id AS TEXT) || ' ' || coalesce(nick_name, '-') || ' ' || CAST(updated_at AS TEXT) \
         || ' ' || coalesce(openid, 'gone') FROM users ORDER BY id",
        "SELECT 'vip ' || CAST(user_id AS TEXT) || ' ' || level || ' ' || coalesce(CAST(expires_at AS TEXT), '-') \
         FROM memberships ORDER BY user_id",
        "SELECT 'span ' || CAST(id AS TEXT) || ' ' || level || ' ' || CAST(ends_at AS TEXT) FROM membership_spans ORDER BY id",
        "SELECT 'account ' || CAST(user_id AS TEXT) || ' ' || CAST(balance AS TEXT) FROM accounts ORDER BY user_id",
        "SELECT 'entry ' || CAST(id AS TEXT) || ' ' || CAST(amount AS TEXT) FROM ledger_entries ORDER BY id",
        "SELECT 'log ' || action || ' ' || actor FROM audit_log ORDER BY id",
        "SELECT 'task ' || kind || ' ' || subject FROM outbox ORDER BY id",
        "SELECT 'key ' || name || ' ' || coalesce(CAST(ends_at AS TEXT), '-') FROM admin_keys ORDER BY id",
    ] {
        all.extend(database.texts(sql).await);
    }
    all
}

fn id(user: &Actor) -> String {
    user.id().to_string()
}

on_every_backend!(users_are_listed_in_a_table_and_in_json, |backend| async move {
    let (world, shell) = world(&backend).await;
    for name in ["ann", "bea", "cat"] {
        world.user(name).await;
    }
    let bea = world.user("bea").await;
    let name = UserEdit { nick_name: Some("Béa 小".parse().unwrap()), ..UserEdit::default() };
    world.admin().await.update_user(bea.id(), &name, None).await.unwrap();

    let list = shell.run(&["user", "list", "--limit", "2"]).await;
    assert!(list.err.contains("there are more"), "{list:?}");
    let list = list.done();
    assert_eq!(columns(&list, "ID"), ["ID", "NAME", "LEVEL", "UNTIL", "POINTS", "CREATED", "OPENID"]);
    assert_eq!(list.lines().count(), 3, "{list}");
    let row = columns(&list, &id(&bea));
    assert_eq!((row[1].as_str(), row[2].as_str(), row[6].as_str()), ("Béa 小", "NORMAL", "o-bea"));

    let json = shell.json(&["user", "list", "--all"]).await;
    assert_eq!((json["users"].as_array().map(Vec::len), json["hasMore"].as_bool()), (Some(3), Some(false)));
    let found = shell.json(&["user", "list", "--search", "béA"]).await;
    assert_eq!(found["users"][0]["openid"], "o-bea");
    assert_eq!(shell.json(&["user", "list", "--level", "svip"]).await["users"], json!([]));
    let shown = shell.json(&["user", "show", &id(&bea)]).await;
    assert_eq!((shown["nickName"].as_str(), shown["pointsBalance"].as_i64()), (Some("Béa 小"), Some(0)));
    assert_eq!(columns(&shell.out(&["user", "show", &id(&bea)]).await, "name"), ["name", "Béa 小"]);
    world.finish().await;
});

on_every_backend!(a_dry_run_shows_what_would_come_of_it_and_changes_nothing, |backend| async move {
    let (world, shell) = world(&backend).await;
    let alice = world.alice().await;
    let user = id(&alice);
    let before = state(&world).await;
    let run = async |args: &[&str]| {
        let args: Vec<&str> = args.iter().copied().chain(["--dry-run"]).collect();
        let json = shell.json(&args).await;
        assert_eq!(json["dryRun"], true, "{args:?}");
        let said = shell.run(&args).await;
        assert!(said.err.contains("dry run"), "{said:?}");
        assert_eq!(state(&world).await, before, "{args:?}");
        json
    };
    let granted = run(&["points", "grant", &user, "50", "--reason", "a gift"]).await;
    assert_eq!(granted["pointsBalance"], 50);
    let raised = run(&["vip", "set", &user, "vip", "--days", "30"]).await;
    assert_eq!(raised["vipLevel"], "VIP");
    assert_eq!(run(&["vip", "cancel", &user]).await["vipLevel"], "NORMAL");
    let raised = run(&["user", "update", &user, "--points-delta", "30", "--reason", "a gift"]).await;
    assert_eq!(raised["pointsBalance"], 30);
    let edited = run(&["user", "update", &user, "--name", "Alice", "--points", "7"]).await;
    assert_eq!((edited["nickName"].as_str(), edited["pointsBalance"].as_i64()), (Some("Alice"), Some(7)));
    assert_eq!(run(&["user", "delete", &user]).await["deleted"], alice.id().get());
    let made = run(&["admin-key", "create", "night"]).await;
    assert!(made["key"].is_null(), "a key that does not exist is not shown");
    // What would be refused is refused in a dry run too.
    let short = ["user", "update", &user, "--points-delta", "-5", "--reason", "x", "--dry-run"];
    shell.run(&short).await.failed(4, "INVALID_STATE");
    let short = shell.run(&["points", "grant", &user, "-5", "--reason", "x", "--dry-run"]).await;
    short.failed(4, "INVALID_STATE");
    let nobody = shell.run(&["vip", "cancel", "999999", "--dry-run"]).await;
    nobody.failed(3, "USER_NOT_FOUND");
    world.finish().await;
});

on_every_backend!(vip_set_on_an_svip_shows_before_and_after_and_does_not_downgrade, |backend| async move {
    let (world, shell) = world(&backend).await;
    let alice = world.alice().await;
    let user = id(&alice);
    shell.out(&["vip", "set", &user, "SVIP", "--days", "30", "--yes"]).await;
    let before = state(&world).await;
    let json = shell.json(&["vip", "set", &user, "VIP", "--days", "7", "--dry-run"]).await;
    let levels = |spans: &serde_json::Value| -> Vec<String> {
        spans.as_array().unwrap().iter().map(|span| span["vipLevel"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((levels(&json["before"]), json["vipLevel"].as_str()), (vec!["SVIP".to_owned()], Some("SVIP")));
    assert_eq!(levels(&json["after"]), ["SVIP", "VIP"]);
    assert_eq!(json["after"][1]["startsAt"], json["before"][0]["endsAt"]);
    assert_eq!(state(&world).await, before);
    let shown = shell.out(&["vip", "set", &user, "VIP", "--days", "7", "--yes"]).await;
    assert_eq!(columns(&shown, "SPAN"), ["SPAN", "FROM", "UNTIL", "ORDER OR GRANT"]);
    assert_eq!(columns(&shown, "level"), ["level", "SVIP"]);
    assert!(shown.contains("before") && shown.contains("after"), "{shown}");
    let until = json["before"][0]["endsAt"].as_str().unwrap();
    let refused = shell.run(&["vip", "set", &user, "VIP", "--until", until, "--dry-run"]).await;
    refused.failed(4, "VIP_HIGHER_ACTIVE");
    world.finish().await;
});

on_every_backend!(what_is_changed_by_hand_is_logged_under_the_name_that_was_given, |backend| async move {
    let (world, shell) = world(&backend).await;
    let alice = world.alice().await;
    let user = id(&alice);
    let out =
        shell.out(&["points", "grant", &user, "50", "--reason", "a gift", "--yes", "--as", "ops-1"]).await;
    assert_eq!(columns(&out, "points"), ["points", "50"]);
    let edited = shell.json(&["user", "update", &user, "--points", "20", "--reason", "too many", "-y"]).await;
    assert_eq!((edited["pointsBalance"].as_i64(), edited["dryRun"].as_bool()), (Some(20), Some(false)));
    shell.run(&["user", "update", &user, "--points-delta", "5", "-y"]).await.failed(2, "--reason");
    let ledger = shell.run(&["points", "show", &user]).await;
    assert_eq!(columns(&ledger.out, "balance"), ["balance", "20"]);
    let rows: Vec<&str> =
        ledger.out.lines().filter(|line| line.contains("EARN") || line.contains("SPEND")).collect();
    assert!(rows.len() == 2 && rows[0].contains("-30") && rows[1].contains("+50"), "{ledger:?}");
    shell.out(&["vip", "set", &user, "SVIP", "--until", "2099-01-01T00:00:00Z", "-y"]).await;
    shell.out(&["user", "delete", &user, "-y"]).await;
    shell.run(&["user", "show", &user]).await.failed(3, "USER_NOT_FOUND");

    let admin = world.admin().await;
    let log = admin.audit_log(&AuditFilter::default(), &PageRequest::default()).await.unwrap().items;
    let told: Vec<_> = log.iter().rev().map(|entry| (entry.actor.as_str(), entry.action.as_str())).collect();
    let expected =
        [("ops-1", "points.adjust"), ("cli", "user.update"), ("cli", "vip.set"), ("cli", "user.delete")];
    assert_eq!(told, expected);
    let table = shell.run(&["audit-log", "--target", &format!("user:{user}"), "--action", "vip.set"]).await;
    assert_eq!(table.columns("AT"), ["AT", "ACTOR", "ACTION", "TARGET", "BEFORE", "AFTER", "REASON"]);
    assert_eq!(table.out.lines().count(), 2, "{table:?}");
    let json = shell.json(&["audit-log", "--actor", "ops-1"]).await;
    assert_eq!(json["entries"][0]["reason"], "a gift");
    world.finish().await;
});

on_every_backend!(nothing_is_changed_that_nobody_confirmed, |backend| async move {
    let (world, shell) = world(&backend).await;
    let alice = world.alice().await;
    let user = id(&alice);
    let before = state(&world).await;
    for args in [
        &["user", "delete", &user][..],
        &["user", "update", &user, "--name", "x"],
        &["points", "grant", &user, "5", "--reason", "x"],
        &["vip", "set", &user, "VIP", "--days", "1"],
        &["vip", "cancel", &user],
        &["admin-key", "create", "x"],
    ] {
        let ran = shell.run(args).await.failed(2, "nobody is there to confirm");
        assert!(ran.err.contains("--yes") && ran.err.contains("--dry-run"), "{ran:?}");
    }
    assert_eq!(state(&world).await, before);
    world.finish().await;
});

on_every_backend!(what_goes_wrong_has_an_exit_code_of_its_kind, |backend| async move {
    let (world, shell) = world(&backend).await;
    let alice = world.alice().await;
    let user = id(&alice);
    for (args, code, word) in [
        (&["user", "show", "999999"][..], 3, "USER_NOT_FOUND"),
        (&["user", "show", "0"], 2, "positive integer"),
        (&["user", "list", "--level", "gold"], 2, "NORMAL, VIP, SVIP"),
        (&["user", "list", "--limit", "0"], 2, "0"),
        (&["user", "update", &user], 2, "required"),
        (&["user", "update", &user, "--avatar", "https://evil.example/a.png", "-y"], 2, "avatarUrl"),
        (&["user", "update", &user, "--points=-1", "-y"], 2, "-1"),
        (&["points", "grant", &user, "0", "--reason", "x", "-y"], 2, "points"),
        (&["points", "grant", &user, "-1", "--reason", "x", "-y"], 4, "INVALID_STATE"),
        (&["vip", "set", &user, "VIP", "--days", "0", "-y"], 2, "days"),
        (&["vip", "set", &user, "VIP", "-y"], 2, "--days"),
        (&["points", "grant", &user, "5", "--reason", "x", "-y", "--as", "a b"], 2, "letters"),
        (&["order", "show", "VIP00000000000"], 3, "ORDER_NOT_FOUND"),
        (&["nonsense"], 2, "nonsense"),
    ] {
        shell.run(args).await.failed(code, word);
    }
    let told = shell.run(&["user", "show", "999999", "--json"]).await;
    let error: serde_json::Value = serde_json::from_str(&told.err).expect("JSON");
    assert_eq!((error["error"].as_str(), error["exit"].as_i64()), (Some("USER_NOT_FOUND"), Some(3)));
    assert!(error["hint"].is_string());
    world.finish().await;
});

#[tokio::test]
async fn a_database_that_is_not_there_is_neither_made_nor_reached() {
    let shell = Shell::with(&[]);
    let ran = shell.run(&["user", "list"]).await.failed(3, "DATABASE_NOT_FOUND");
    assert!(ran.err.contains("dream migrate"), "{ran:?}");
    assert!(!shell.path("dream-data").exists(), "a look makes nothing");
    let gone = Shell::with(&[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")]);
    gone.run(&["user", "list"]).await.failed(5, "UNAVAILABLE");
    let migrated = shell.json(&["migrate"]).await;
    assert_eq!(migrated["current"], true);
    assert_eq!(shell.json(&["user", "list"]).await["users"], json!([]));
}

/// Types an answer on a terminal, which `script` of util-linux plays.
async fn on_a_terminal(shell: &Shell, args: &str, answer: &str) -> (i32, String) {
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_dream"));
    let mut command = shell.around("script", &["-qec", &line, "/dev/null"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answer.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

on_every_backend!(who_is_asked_on_a_terminal_decides, |backend| async move {
    let (world, shell) = world(&backend).await;
    let alice = world.alice().await;
    let grant = format!("points grant {} 5 --reason gift", alice.id());
    let (code, said) = on_a_terminal(&shell, &grant, "n").await;
    assert_eq!((code, alice.points().await), (4, 0), "{said}");
    assert!(said.contains(&format!("Give user {} 5 points?", alice.id())), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    let (code, said) = on_a_terminal(&shell, &grant, "y").await;
    assert_eq!((code, alice.points().await), (0, 5), "{said}");
    world.finish().await;
});
