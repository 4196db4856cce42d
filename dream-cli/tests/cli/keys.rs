//! Admin keys by hand.

use std::time::Duration;

use dream_core::{AdminKey, Code};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;

use crate::shell::Shell;

async fn opens(world: &TestDream, key: &str) -> Result<String, Code> {
    let admin = world.dream().admin(&AdminKey::new(key), None).await;
    admin.map(|admin| admin.key_name().to_string()).map_err(|error| error.code())
}

on_every_backend!(a_key_is_shown_once_and_ends_when_it_is_revoked, |backend| async move {
    let world = TestDream::on(&backend).system_clock().start().await;
    let shell = Shell::beside(&world, &backend, false);
    let made = shell.run(&["admin-key", "create", "night", "-y"]).await;
    assert!(made.err.contains("shown this once"), "{made:?}");
    let key = made.done().trim().to_owned();
    assert!(key.len() > 40 && !key.contains(char::is_whitespace), "the key alone is the output: {key:?}");
    assert_eq!(opens(&world, &key).await.as_deref(), Ok("night"));
    shell.run(&["admin-key", "create", "night", "-y"]).await.failed(4, "rotate");

    let rotated = shell.json(&["admin-key", "rotate", "night", "--grace", "3600", "-y"]).await;
    let second = rotated["key"].as_str().unwrap();
    assert_eq!(opens(&world, &key).await.as_deref(), Ok("night"));
    assert_eq!(opens(&world, second).await.as_deref(), Ok("night"));
    let list = shell.run(&["admin-key", "list"]).await;
    assert_eq!(list.columns("NAME"), ["NAME", "OPEN", "CREATED", "ENDS", "SHA-256"]);
    assert_eq!(list.out.lines().count(), 3, "{list:?}");
    shell.out(&["admin-key", "revoke", "night", "--reason", "lost", "-y"]).await;
    for dead in [key.as_str(), second] {
        assert_eq!(opens(&world, dead).await, Err(Code::AdminKeyInvalid));
    }
    shell.run(&["admin-key", "revoke", "night", "-y"]).await.failed(4, "admin-key list");
    shell.run(&["admin-key", "rotate", "nobody", "-y"]).await.failed(4, "admin-key list");
    let month = Duration::from_hours(24 * 31).as_secs().to_string();
    let long = shell.run(&["admin-key", "rotate", "night", "--grace", &month, "-y"]).await;
    long.failed(2, "grace");

    // Nothing that is kept or told later leads back to a key.
    let log = shell.out(&["audit-log", "--json"]).await;
    let list = shell.out(&["admin-key", "list", "--json"]).await;
    for text in [&log, &list] {
        assert!(!text.contains(&key) && !text.contains(second), "{text}");
    }
    assert_eq!(log.matches("\"admin_key:night\"").count(), 3, "{log}");
    world.check_books().await;
});
