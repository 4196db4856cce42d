//! The database of the original service, in order and in disrepair, taken over into both databases.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use dream_testkit::backends::{Backend, BackendKind, TestPostgres};
use dream_testkit::on_every_backend;
use dream_testkit::world::{Database, TestDream};
use serde_json::Value;
use tokio::process::Child;

use crate::shell::Shell;

/// The tables as the original made them.
const SCHEMA: &str = "
    CREATE TYPE users_vip_level_enum AS ENUM ('NORMAL', 'VIP', 'SVIP');
    CREATE TYPE orders_status_enum AS ENUM ('PENDING', 'PAID', 'CANCELLED', 'REFUNDED');
    CREATE TYPE point_transactions_type_enum AS ENUM ('EARN', 'SPEND', 'REFUND');
    CREATE TYPE favorites_type_enum AS ENUM ('image', 'prompt');
    CREATE TYPE generations_status_enum AS ENUM ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED');
    CREATE TABLE users (
        id SERIAL PRIMARY KEY, openid VARCHAR(100) UNIQUE, unionid VARCHAR(100), phone VARCHAR(20),
        nick_name VARCHAR(100), avatar_url TEXT, vip_level users_vip_level_enum NOT NULL DEFAULT 'NORMAL',
        vip_expire_at TIMESTAMP, points_balance INT NOT NULL DEFAULT 0,
        created_at TIMESTAMP NOT NULL DEFAULT now(), updated_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE vip_plans (
        id SERIAL PRIMARY KEY, plan_id VARCHAR(50) UNIQUE NOT NULL, name VARCHAR(100) NOT NULL, duration INT NOT NULL,
        original_price INT NOT NULL, current_price INT NOT NULL, benefits JSONB, popular BOOLEAN NOT NULL DEFAULT false);
    CREATE TABLE orders (
        id SERIAL PRIMARY KEY, order_id VARCHAR(100) UNIQUE NOT NULL, user_id INT NOT NULL REFERENCES users (id),
        plan_id VARCHAR(50), status orders_status_enum NOT NULL DEFAULT 'PENDING', amount INT NOT NULL,
        paid_at TIMESTAMP, vip_expire_at TIMESTAMP, created_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE point_transactions (
        id SERIAL PRIMARY KEY, user_id INT NOT NULL REFERENCES users (id), type point_transactions_type_enum NOT NULL,
        amount INT NOT NULL, description VARCHAR(200), balance_after INT NOT NULL,
        created_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE favorites (
        id SERIAL PRIMARY KEY, user_id INT NOT NULL REFERENCES users (id), type favorites_type_enum NOT NULL,
        resource_id VARCHAR(100) NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE gallery_images (
        id SERIAL PRIMARY KEY, image_url TEXT NOT NULL, thumbnail_url TEXT, prompt TEXT NOT NULL,
        category_id VARCHAR(50), author_id INT REFERENCES users (id), likes INT NOT NULL DEFAULT 0,
        created_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE prompt_templates (
        id SERIAL PRIMARY KEY, template_id VARCHAR(50) UNIQUE NOT NULL, title VARCHAR(100) NOT NULL, description TEXT,
        prompt TEXT NOT NULL, category VARCHAR(50), thumbnail_url TEXT, preview_images JSONB,
        usage_count INT NOT NULL DEFAULT 0, is_hot BOOLEAN NOT NULL DEFAULT false);
    CREATE TABLE param_templates (
        id SERIAL PRIMARY KEY, template_id VARCHAR(50) UNIQUE NOT NULL, title VARCHAR(100) NOT NULL, description TEXT,
        thumbnail_url TEXT, preview_images JSONB, mode VARCHAR(20), resolution VARCHAR(20), aspect_ratio VARCHAR(20),
        sample_count INT);
    CREATE TABLE characters (
        id SERIAL PRIMARY KEY, uuid VARCHAR(36) UNIQUE NOT NULL, user_id INT NOT NULL REFERENCES users (id),
        name VARCHAR(100) NOT NULL, description TEXT, created_at TIMESTAMP NOT NULL DEFAULT now(),
        updated_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE character_photos (
        id SERIAL PRIMARY KEY, uuid VARCHAR(36) UNIQUE NOT NULL, character_id INT NOT NULL REFERENCES characters (id),
        thumbnail_url TEXT NOT NULL, original_url TEXT NOT NULL, mime_type VARCHAR(50) NOT NULL DEFAULT 'image/jpeg',
        thumbnail_size INT NOT NULL DEFAULT 0, original_size INT NOT NULL DEFAULT 0,
        created_at TIMESTAMP NOT NULL DEFAULT now());
    CREATE TABLE generations (
        id SERIAL PRIMARY KEY, user_id INT NOT NULL REFERENCES users (id), job_id VARCHAR(100), prompt TEXT NOT NULL,
        image_url TEXT, thumbnail_url TEXT, status generations_status_enum NOT NULL DEFAULT 'PENDING', params JSONB,
        error_message TEXT, created_at TIMESTAMP NOT NULL DEFAULT now(), completed_at TIMESTAMP);
";

/// An installation on which nothing has gone wrong.
const IN_ORDER: &str = "
    INSERT INTO users (id, openid, unionid, phone, nick_name, avatar_url, vip_level, vip_expire_at, points_balance,
        created_at) VALUES
        (7, 'o-alice', 'u-alice', '13800000000', '小明', 'https://wx.qlogo.cn/mmopen/1/132', 'SVIP',
         '2126-01-01 00:00:00', 12, '2025-11-03 08:00:00.25'),
        (9, 'o-bob', NULL, NULL, NULL, NULL, 'NORMAL', NULL, 0, '2025-12-01 00:00:00');
    INSERT INTO vip_plans (plan_id, name, duration, original_price, current_price, benefits, popular) VALUES
        ('vip_month', '月卡', 30, 3900, 2900, '[\"多\", \"快\"]', true),
        ('svip_lifetime', '终身', 36500, 299900, 99900, NULL, false);
    INSERT INTO orders (order_id, user_id, plan_id, status, amount, paid_at, vip_expire_at, created_at) VALUES
        ('ORDER_1764000000000', 7, 'svip_lifetime', 'PAID', 99900, '2025-12-02 10:00:00', '2126-01-01 00:00:00',
         '2025-12-02 09:59:00'),
        ('ORDER_1764000000001', 9, 'vip_month', 'CANCELLED', 2900, NULL, NULL, '2025-12-03 00:00:00'),
        ('ORDER_1764000000002', 9, 'vip_month', 'REFUNDED', 2900, '2025-12-04 00:00:00', NULL, '2025-12-04 00:00:00');
    INSERT INTO point_transactions (user_id, type, amount, description, balance_after, created_at) VALUES
        (7, 'EARN', 10, '充值', 10, '2025-12-05 00:00:00'), (7, 'SPEND', 3, NULL, 7, '2025-12-06 00:00:00'),
        (7, 'REFUND', 5, '退回', 12, '2025-12-07 00:00:00');
    INSERT INTO gallery_images (id, image_url, prompt, category_id, author_id, created_at) VALUES
        (4, 'https://old.example/a.png', 'a cat', 'portrait', 7, '2025-12-08 00:00:00');
    INSERT INTO prompt_templates (id, template_id, title, prompt, category, preview_images, usage_count, is_hot) VALUES
        (3, 'prompt_001', '猫', 'a cat, {x}', 'portrait', '[\"https://old.example/p.png\"]', 41, true);
    INSERT INTO param_templates (template_id, title, mode, resolution, aspect_ratio, sample_count) VALUES
        ('param_001', '大图', 'final', '4K', '16:9', 2);
    INSERT INTO favorites (user_id, type, resource_id) VALUES (7, 'image', '4'), (7, 'prompt', 'prompt_001'),
        (9, 'prompt', '3');
    INSERT INTO characters (id, uuid, user_id, name, description) VALUES
        (5, '6f9619ff-8b86-d011-b42d-00c04fc964ff', 7, '小红', 'a face');
    INSERT INTO character_photos (uuid, character_id, thumbnail_url, original_url, mime_type, original_size) VALUES
        ('7f9619ff-8b86-d011-b42d-00c04fc964ff', 5, 'https://old.example/t.png', 'https://old.example/o.png',
         'image/png', 1234);
    INSERT INTO generations (user_id, job_id, prompt, image_url, status, params, created_at, completed_at) VALUES
        (7, 'cm4abcdefghijklmnopqrstuv', 'a dog', 'https://assets.example/1.png', 'COMPLETED',
         '{\"mode\": \"draft\", \"aspectRatio\": \"16:9\", \"seed\": 5}', '2025-12-09 00:00:00', '2025-12-09 00:01:00'),
        (7, NULL, 'a bird', NULL, 'FAILED', NULL, '2025-12-09 00:00:00', NULL);
";

/// What the orders of a large installation were for.
const IN_ORDER_PLANS: &str = "
    INSERT INTO vip_plans (plan_id, name, duration, original_price, current_price) VALUES
        ('vip_month', '月卡', 30, 3900, 2900);
";

struct Original {
    postgres: TestPostgres,
    url: String,
    database: Database,
}

impl Original {
    /// A database of the original service, unless PostgreSQL is left out.
    async fn with(statements: &[&str]) -> Option<Self> {
        if !BackendKind::Postgres.available().unwrap() {
            return None;
        }
        let postgres = TestPostgres::start().await.unwrap();
        let url = postgres.empty_database().await.unwrap();
        let database = Database::connect(&url).await;
        for statement in statements {
            database.execute(statement).await;
        }
        Some(Self { postgres, url, database })
    }

    async fn gone(self) {
        drop(self.database);
        self.postgres.drop_database(&self.url).await.unwrap();
    }
}

/// What came of an import: its exit code, and what it says to programs.
async fn import(shell: &Shell, original: &Original, more: &[&str]) -> (i32, Value) {
    let args: Vec<&str> =
        ["import", "--from", &original.url, "--json"].into_iter().chain(more.iter().copied()).collect();
    let ran = shell.run(&args).await;
    assert!(ran.code == 0 || ran.code == 6, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    for table in told["tables"].as_array().unwrap() {
        let count = |name: &str| table[name].as_u64().unwrap();
        let sum = count("new") + count("hereBefore") + count("joined") + count("leftOut");
        assert_eq!(count("found"), sum, "no row is lost without a word: {table}");
    }
    (ran.code, told)
}

fn count(told: &Value, table: &str, name: &str) -> u64 {
    let tables = told["tables"].as_array().unwrap();
    let found = tables.iter().find(|found| found["table"] == table);
    found.unwrap_or_else(|| panic!("no {table} in {told}"))[name].as_u64().unwrap()
}

fn sum(told: &Value, name: &str) -> u64 {
    told["tables"].as_array().unwrap().iter().map(|table| table[name].as_u64().unwrap()).sum()
}

/// What is said of the rows: kind, table and row.
fn said(told: &Value) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let shown = told["shown"].as_array().unwrap();
    shown.iter().map(|said| (text(&said["kind"]), text(&said["table"]), text(&said["row"]))).collect()
}

/// Every remark of a row, in one text.
fn about(told: &Value, table: &str, row: &str) -> String {
    let shown = told["shown"].as_array().unwrap();
    let of_row = shown.iter().filter(|said| said["table"] == table && said["row"] == row);
    let lines: Vec<String> = of_row
        .map(|said| format!("{}: {}", said["kind"].as_str().unwrap(), said["what"].as_str().unwrap()))
        .collect();
    lines.join("\n")
}

/// Everything that an import could change, table by table.
async fn state(world: &TestDream) -> BTreeMap<&'static str, Vec<String>> {
    let database = world.database();
    let mut all = BTreeMap::new();
    for (table, row) in [
        (
            "users",
            "CAST(id AS TEXT) || coalesce(openid, '-') || coalesce(nick_name, '-') || CAST(updated_at AS TEXT)",
        ),
        ("memberships", "CAST(user_id AS TEXT) || level || coalesce(CAST(expires_at AS TEXT), '-')"),
        (
            "membership_spans",
            "CAST(user_id AS TEXT) || level || coalesce(granted_by, '-') || CAST(ends_at AS TEXT)",
        ),
        ("accounts", "CAST(user_id AS TEXT) || ' ' || CAST(balance AS TEXT) || ' ' || CAST(earned AS TEXT)"),
        ("ledger_entries", "CAST(id AS TEXT) || cause || cause_id || ' ' || CAST(balance_after AS TEXT)"),
        ("plans", "CAST(id AS TEXT) || plan_id || CAST(current_price AS TEXT) || CAST(updated_at AS TEXT)"),
        ("orders", "CAST(id AS TEXT) || order_id || status || channel"),
        ("payments", "transaction_id"),
        ("refunds", "refund_id"),
        ("gallery_images", "CAST(id AS TEXT) || image_url || status || CAST(likes AS TEXT)"),
        ("gallery_counts", "category || '/' || tag || CAST(images AS TEXT)"),
        ("prompt_templates", "template_id || CAST(usage_count AS TEXT)"),
        ("param_templates", "template_id"),
        ("favorites", "CAST(id AS TEXT) || ' ' || CAST(user_id AS TEXT) || type || resource_id"),
        ("characters", "CAST(id AS TEXT) || uuid || CAST(photo_count AS TEXT)"),
        ("character_photos", "CAST(id AS TEXT) || uuid"),
        ("generations", "CAST(id AS TEXT) || job_id || status"),
        ("user_counters", "CAST(user_id AS TEXT) || ' ' || CAST(orders + favorites + generations AS TEXT)"),
        ("taken_over", "origin || original_id || ' ' || CAST(here AS TEXT)"),
        ("audit_log", "action || actor"),
        ("outbox", "kind || subject"),
    ] {
        all.insert(
            table,
            database.texts(&format!("SELECT {row} AS shown FROM {table} ORDER BY shown")).await,
        );
    }
    for table in ["usage_hours", "usage_history"] {
        let sql = format!(
            "SELECT coalesce(sum(new_users + orders + favorites + earned + spent + images), 0) FROM {table}"
        );
        all.insert(table, vec![database.number(&sql).await.to_string()]);
    }
    all
}

async fn audit_is_clean(shell: &Shell) {
    let audit = shell.run(&["audit", "--json"]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
}

async fn world(backend: &Backend) -> (TestDream, Shell) {
    let world = TestDream::on(backend).system_clock().start().await;
    let shell = Shell::beside(&world, backend, false);
    (world, shell)
}

on_every_backend!(a_database_in_order_is_taken_over_whole_and_once, |backend| async move {
    let Some(original) = Original::with(&[SCHEMA, IN_ORDER]).await else { return };
    let (world, shell) = world(&backend).await;
    let nothing = state(&world).await;

    let (code, rehearsed) = import(&shell, &original, &["--dry-run"]).await;
    assert_eq!((code, rehearsed["dryRun"].as_bool()), (0, Some(true)), "{rehearsed:#}");
    assert_eq!(state(&world).await, nothing, "a dry run writes nothing");

    let unasked = shell.run(&["import", "--from", &original.url]).await;
    unasked.failed(2, "NOT_CONFIRMED");

    let (code, told) = import(&shell, &original, &["--yes"]).await;
    assert_eq!(code, 0, "{told:#}");
    for part in ["tables", "points", "remarks"] {
        assert_eq!(told[part], rehearsed[part], "a dry run says what comes of it");
    }
    assert_eq!((sum(&told, "found"), sum(&told, "new")), (20, 20), "{told:#}");
    audit_is_clean(&shell).await;

    // Who signs in again is who it was, with what it had.
    let alice = world.user("alice").await;
    let user = shell.json(&["user", "show", "7"]).await;
    assert_eq!(alice.id().get(), 7);
    assert_eq!((user["nickName"].as_str(), user["phone"].as_str()), (Some("小明"), Some("13800000000")));
    assert_eq!((user["vipLevel"].as_str(), user["pointsBalance"].as_i64()), (Some("SVIP"), Some(12)));
    assert_eq!(user["createdAt"], "2025-11-03T08:00:00.250Z");
    let me = alice.session().await;
    let first = dream_core::kernel::PageRequest::default();
    let ledger = me.transactions(None, &first).await.unwrap().items;
    let entries: Vec<_> =
        ledger.iter().map(|entry| (entry.amount.get(), entry.balance_after.get())).collect();
    assert_eq!(entries, [(5, 12), (3, 7), (10, 10)]);
    let order = me.order(&"ORDER_1764000000000".parse().unwrap()).await.unwrap();
    assert_eq!((order.amount.get(), order.channel.as_str()), (99_900, "original"));
    let refused = world.admin().await.refund_order(&order.order_id, None, "changed mind").await;
    assert_eq!(refused.unwrap_err().code(), dream_core::Code::InvalidState, "nobody here can give it back");
    let order_told = about(&told, "orders", "1");
    assert!(order_told.contains("never verified with WeChat"), "{told:#}");
    let kept = me.favorites(None, &first).await.unwrap().items;
    assert_eq!(kept.len(), 2);
    let jobs = me.jobs(None, &first).await.unwrap().items;
    let dog = jobs.iter().find(|job| job.prompt == "a dog").unwrap();
    assert_eq!(dog.job_id.as_str(), "cm4abcdefghijklmnopqrstuv");
    assert_eq!(dog.result_urls, ["https://assets.example/1.png"]);
    let faces = me.characters().await.unwrap();
    assert_eq!((faces[0].id.get(), faces[0].photos.len()), (5, 1));
    let templates = world.database().texts("SELECT CAST(usage_count AS TEXT) FROM prompt_templates").await;
    assert_eq!(templates, ["41"]);
    drop(me);

    let before = state(&world).await;
    let (code, again) = import(&shell, &original, &["--yes"]).await;
    assert_eq!((code, sum(&again, "new"), sum(&again, "hereBefore")), (0, 0, 20), "{again:#}");
    assert_eq!(state(&world).await, before, "the second time changes nothing");

    // What came to the original since is taken over as well, and nothing else.
    let since = "INSERT INTO users (id, openid, points_balance) VALUES (11, 'o-carol', 3);
        INSERT INTO point_transactions (user_id, type, amount, balance_after) VALUES (7, 'EARN', 4, 16),
        (11, 'EARN', 3, 3); UPDATE users SET points_balance = 16 WHERE id = 7";
    original.database.execute(since).await;
    let (code, more) = import(&shell, &original, &["--yes"]).await;
    assert_eq!((code, sum(&more, "new"), sum(&more, "hereBefore")), (0, 3, 20), "{more:#}");
    for (user, points) in [("7", 16), ("11", 3)] {
        assert_eq!(shell.json(&["user", "show", user]).await["pointsBalance"], points);
    }
    audit_is_clean(&shell).await;
    world.check_books().await;
    original.gone().await;
});

/// The same tables after a bad restore: no types, no keys, other spellings, and whatever can be in them.
const IN_DISREPAIR: &str = "
    CREATE TABLE users (id TEXT, openid TEXT, \"nickName\" TEXT, \"avatarUrl\" TEXT, \"vipLevel\" TEXT,
        \"vipExpireAt\" TEXT, \"pointsBalance\" TEXT, \"createdAt\" TEXT, \"updatedAt\" TEXT, password TEXT);
    INSERT INTO users VALUES
        ('1', 'o-one', repeat('名', 50), 'not a url', 'VIP', NULL, '100', '2025-12-01 00:00:00', NULL, NULL),
        ('2', 'o-one', NULL, NULL, 'SVIP', '2199-01-01 00:00:00', '30', 'infinity', '2025-12-02 00:00:00', NULL),
        ('3', NULL, 'nobody', NULL, 'GOLD', NULL, '-5', '2025-12-01 00:00:00', NULL, 'secret'),
        ('4', 'o-four', E'a\\tb', NULL, 'NORMAL', NULL, '20', 'yesterday', NULL, NULL),
        ('4', 'o-another', NULL, NULL, NULL, NULL, '9', NULL, NULL, NULL),
        (NULL, 'o-none', NULL, NULL, NULL, NULL, '9', NULL, NULL, NULL),
        ('five', 'o-five', NULL, NULL, NULL, NULL, '0', '2025-12-01 00:00:00', NULL, NULL);
    CREATE TABLE vip_plans (id TEXT, \"planId\" TEXT, name TEXT, duration TEXT, \"originalPrice\" TEXT,
        \"currentPrice\" TEXT, benefits TEXT, popular TEXT);
    INSERT INTO vip_plans VALUES
        ('1', 'svip year!', 'x', '365', NULL, '100', '{broken', 'maybe'), ('2', 'vip_month', NULL, '0', '1', '1', '', ''),
        ('3', 'vip_free', 'x', '30', '1', '0', NULL, NULL), ('4', NULL, 'x', '30', '1', '1', NULL, NULL);
    CREATE TABLE orders (id TEXT, \"orderId\" TEXT, \"userId\" TEXT, \"planId\" TEXT, status TEXT, amount TEXT,
        \"paidAt\" TEXT, \"vipExpireAt\" TEXT, \"createdAt\" TEXT);
    INSERT INTO orders VALUES
        ('1', 'x', '1', 'svip year!', 'PAID', '100', NULL, NULL, '2025-12-03 00:00:00'),
        ('2', 'ORDER_2', '1', 'svip year!', 'PENDING', '100', NULL, NULL, '2025-12-03 00:00:00'),
        ('3', 'ORDER_2', '2', 'svip year!', 'REFUNDED', '100', '2025-12-03 00:00:00', NULL, NULL),
        ('4', 'ORDER_4', '1', 'gone', 'PAID', '100', '2025-12-01 00:00:00', '2025-12-31 00:00:00', NULL),
        ('5', 'ORDER_5', '1', 'gone', 'PAID', '100', '2025-12-01 00:00:00', NULL, NULL),
        ('6', 'ORDER_6', '99', 'svip year!', 'PAID', '100', NULL, NULL, NULL),
        ('7', 'ORDER_7', '1', NULL, 'PAID', '100', NULL, NULL, NULL),
        ('8', 'ORDER_8', '1', 'svip year!', 'PAID', '-1', NULL, NULL, NULL),
        ('9', 'ORDER_9', '1', 'svip year!', 'LOST', '1', NULL, NULL, NULL);
    CREATE TABLE point_transactions (id TEXT, \"userId\" TEXT, type TEXT, amount TEXT, description TEXT,
        \"balanceAfter\" TEXT, \"createdAt\" TEXT);
    INSERT INTO point_transactions VALUES
        ('1', '1', 'SPEND', '40', NULL, '10', '2025-12-01 00:00:00'), ('2', '1', 'EARN', '60', NULL, '10', NULL),
        ('3', '1', 'EARN', '-5', 'a negative recharge', '10', NULL), ('4', '1', 'GIFT', '5', NULL, NULL, NULL),
        ('5', '1', 'EARN', '0', NULL, NULL, NULL), ('6', '1', 'EARN', 'many', NULL, NULL, NULL),
        ('7', '99', 'EARN', '5', NULL, NULL, NULL), ('8', NULL, 'EARN', '5', NULL, NULL, NULL),
        ('9', '2', 'REFUND', '30', NULL, NULL, NULL), ('10', '3', 'SPEND', '5', NULL, NULL, NULL),
        ('1', '4', 'EARN', '20', NULL, NULL, NULL), ('1', '4', 'EARN', '20', NULL, NULL, NULL);
    CREATE TABLE gallery_images (id TEXT, \"imageUrl\" TEXT, prompt TEXT, \"categoryId\" TEXT, \"authorId\" TEXT,
        tags TEXT, likes TEXT, \"createdAt\" TEXT);
    INSERT INTO gallery_images VALUES
        ('1', '/uploads/a.png', 'x', 'portrait', NULL, NULL, '0', NULL),
        ('2', 'https://old.example/b.png', repeat('x', 5000), 'food', '99', '[\"#cat\", \"cat\", 5]', '57', NULL),
        ('3', 'https://old.example/c.png', NULL, 'cartoon', '1', '{\"no\": \"list\"}', '-3', '2025-12-01 00:00:00');
    CREATE TABLE favorites (id TEXT, \"userId\" TEXT, type TEXT, \"resourceId\" TEXT, \"createdAt\" TEXT);
    INSERT INTO favorites VALUES
        ('1', '1', 'image', '3', NULL), ('2', '2', 'image', '3', NULL), ('3', '1', 'image', '1', NULL),
        ('4', '1', 'prompt', 'none', NULL), ('5', '1', 'song', '3', NULL), ('6', '99', 'image', '3', NULL);
    CREATE TABLE characters (id TEXT, uuid TEXT, \"userId\" TEXT, name TEXT, description TEXT, \"createdAt\" TEXT,
        \"updatedAt\" TEXT);
    INSERT INTO characters VALUES ('1', 'no uuid', '1', NULL, repeat('d', 700), NULL, NULL),
        ('2', '6f9619ff-8b86-d011-b42d-00c04fc964ff', '99', 'x', NULL, NULL, NULL);
    CREATE TABLE character_photos (id TEXT, uuid TEXT, \"characterId\" TEXT, \"thumbnailUrl\" TEXT,
        \"originalUrl\" TEXT, \"mimeType\" TEXT, \"thumbnailSize\" TEXT, \"originalSize\" TEXT, \"createdAt\" TEXT);
    INSERT INTO character_photos SELECT CAST(n AS TEXT), NULL, '1', 'https://old.example/t.png', NULL, 'text/html',
        '-1', 'big', NULL FROM generate_series(1, 12) AS n;
    INSERT INTO character_photos VALUES ('90', NULL, '2', 'https://old.example/t.png', NULL, NULL, NULL, NULL, NULL),
        ('91', NULL, '1', NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE generations (id TEXT, \"userId\" TEXT, \"jobId\" TEXT, prompt TEXT, \"imageUrl\" TEXT, status TEXT,
        params TEXT, \"errorMessage\" TEXT, \"createdAt\" TEXT, \"completedAt\" TEXT);
    INSERT INTO generations VALUES
        ('1', '1', 'job', 'x', 'data:image/png;base64,' || repeat('A', 100000), 'COMPLETED', '[]', NULL, NULL, NULL),
        ('2', '1', 'job', 'x', NULL, 'PROCESSING', '{\"mode\": 5, \"sample_count\": 99}', NULL, NULL, NULL),
        ('3', '1', NULL, '', NULL, 'FAILED', NULL, NULL, NULL, NULL),
        ('4', '99', NULL, 'x', NULL, 'FAILED', NULL, NULL, NULL, NULL),
        ('5', '1', NULL, 'x', NULL, 'DREAMING', NULL, NULL, NULL, NULL);
    CREATE TABLE sms_codes (phone TEXT);
    INSERT INTO sms_codes VALUES ('13800000000');
";

on_every_backend!(whatever_is_wrong_is_said_row_by_row_and_the_books_are_right, |backend| async move {
    let Some(original) = Original::with(&[IN_DISREPAIR]).await else { return };
    let (world, shell) = world(&backend).await;
    let (code, told) = import(&shell, &original, &["--yes"]).await;
    assert_eq!((code, told["notShown"].as_u64()), (6, Some(0)));
    audit_is_clean(&shell).await;
    world.check_books().await;

    let said = said(&told);
    let left_out = |table: &str| -> Vec<&str> {
        let of_table = said.iter().filter(|(kind, t, _)| kind == "LEFT_OUT" && t == table);
        of_table.map(|(_, _, row)| row.as_str()).collect()
    };
    assert_eq!(left_out("users"), ["-", "4"]);
    assert_eq!(left_out("vip_plans"), ["2", "3", "4"]);
    assert_eq!(left_out("orders"), ["5", "6", "7", "8", "9"]);
    assert_eq!(left_out("point_transactions"), ["1", "4", "5", "6", "7", "8"]);
    assert_eq!(left_out("gallery_images"), ["1"]);
    assert_eq!(left_out("favorites"), ["3", "4", "5", "6"]);
    assert_eq!(left_out("characters"), ["2"]);
    assert_eq!(left_out("character_photos"), ["8", "9", "90", "91"]);
    assert_eq!(left_out("generations"), ["3", "4", "5"]);
    assert_eq!((count(&told, "users", "joined"), count(&told, "favorites", "joined")), (1, 1));
    for (table, row, word) in [
        ("users", "1", "cut to 32"),
        ("users", "1", "avatar_url is not allowed here"),
        ("users", "1", "VIP has no end"),
        ("users", "2", "created_at is no time: infinity"),
        ("users", "2", "both are one now"),
        ("users", "3", "nobody can sign in"),
        ("users", "3", "vip_level is unknown"),
        ("users", "five", "its id was taken"),
        ("vip_plans", "1", "benefits is no list"),
        ("orders", "1", "its order_id may not be one here"),
        ("orders", "2", "becomes CANCELLED"),
        ("orders", "3", "its order_id is taken"),
        ("orders", "4", "it was for 30 days"),
        ("point_transactions", "1", "40 points more than there were"),
        ("point_transactions", "3", "EARN of -5 is booked as SPEND"),
        ("gallery_images", "2", "57 likes"),
        ("gallery_images", "2", "its author 99 is not here"),
        ("gallery_images", "2", "cut to 4000"),
        ("favorites", "3", "there is no image 1"),
        ("generations", "1", "its picture is not known"),
        ("generations", "2", "becomes FAILED"),
        ("generations", "2", "its job_id is another's"),
    ] {
        let all = about(&told, table, row);
        assert!(all.contains(word), "{table} {row} should say {word:?}:\n{all}");
    }
    // Both figures of everybody who has two.
    assert!(about(&told, "users", "1").contains("its row shows 100, its entries add up to 15; kept: 100"));
    assert!(about(&told, "users", "3").contains("its row shows -5, its entries add up to -5; kept: 0"));
    let schema: Vec<&str> = told["shown"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|said| said["kind"] == "SCHEMA")
        .filter_map(|said| said["what"].as_str())
        .collect();
    assert!(schema.contains(&"1 rows have a value in password, which nobody here knows"), "{schema:?}");
    assert!(schema.contains(&"nobody here knows this table; it has 1 rows"), "{schema:?}");
    assert!(schema.contains(&"there is no such table"), "{schema:?}");

    // Two rows of one openid are one user, with the points of both and the better level.
    let balances = world
        .database()
        .pairs("SELECT coalesce(u.openid, '-'), CAST(a.balance AS TEXT) FROM users u JOIN accounts a ON a.user_id = u.id")
        .await;
    let balances: BTreeMap<_, _> = balances.iter().map(|(openid, b)| (openid.as_str(), b.as_str())).collect();
    assert_eq!((balances["o-one"], balances["o-four"], balances["original:3"]), ("130", "20", "0"));
    let one = world.user("one").await;
    assert_eq!(shell.json(&["user", "show", &one.id().to_string()]).await["vipLevel"], "SVIP");

    let before = state(&world).await;
    let (_, again) = import(&shell, &original, &["--yes"]).await;
    assert_eq!((sum(&again, "new"), sum(&again, "joined")), (0, 0));
    assert_eq!(sum(&again, "leftOut"), sum(&told, "leftOut"), "what is left out is said each time");
    assert_eq!(state(&world).await, before);
    original.gone().await;
});

on_every_backend!(what_was_here_before_the_import_stays_and_is_joined, |backend| async move {
    let Some(original) = Original::with(&[SCHEMA, IN_ORDER]).await else { return };
    let (world, shell) = world(&backend).await;
    shell.out(&["seed"]).await;
    let alice = world.user("alice").await;
    let others: Vec<_> = [world.user("x").await.id(), world.user("y").await.id()].into();
    shell.out(&["points", "grant", &alice.id().to_string(), "5", "--reason", "x", "--yes"]).await;
    let (code, told) = import(&shell, &original, &["--yes"]).await;
    assert_eq!(code, 0, "{told:#}");
    let (joined, plans) = (count(&told, "users", "joined"), count(&told, "vip_plans", "joined"));
    assert_eq!((joined, plans), (1, 2));
    let user = shell.json(&["user", "show", &alice.id().to_string()]).await;
    assert_eq!((user["pointsBalance"].as_i64(), user["vipLevel"].as_str()), (Some(17), Some("SVIP")));
    let price = world.database().number("SELECT current_price FROM plans WHERE plan_id = 'vip_month'").await;
    assert_eq!(price, 2900, "what was sold there is sold here");
    // Nobody took the place of who was here, and new users get numbers of their own.
    let next = world.user("z").await.id();
    assert!(!others.contains(&next) && next != alice.id());
    audit_is_clean(&shell).await;
    // A user who went since does not come back.
    shell.out(&["user", "delete", &alice.id().to_string(), "--yes"]).await;
    let (_, again) = import(&shell, &original, &["--yes"]).await;
    assert_eq!(sum(&again, "new"), 0, "{again:#}");
    assert_eq!(world.database().number("SELECT count(*) FROM users WHERE openid = 'o-alice'").await, 0);
    audit_is_clean(&shell).await;
    world.check_books().await;
    original.gone().await;
});

on_every_backend!(
    entries_count_where_they_are_trusted_and_the_report_goes_into_a_file,
    |backend| async move {
        let Some(original) = Original::with(&[SCHEMA, IN_ORDER]).await else { return };
        original.database.execute("UPDATE users SET points_balance = 500 WHERE id = 7").await;
        let (world, shell) = world(&backend).await;
        let args = ["--yes", "--balance", "entries", "--report", "report.jsonl", "--zone", "Asia/Shanghai"];
        let (code, told) = import(&shell, &original, &args).await;
        assert_eq!(
            (code, told["points"]["rows"].as_i64(), told["points"]["entries"].as_i64()),
            (6, Some(500), Some(12))
        );
        let user = shell.json(&["user", "show", "7"]).await;
        assert_eq!(
            (user["pointsBalance"].as_i64(), user["createdAt"].as_str()),
            (Some(12), Some("2025-11-03T00:00:00.250Z"))
        );
        let lines = std::fs::read_to_string(shell.path("report.jsonl")).unwrap();
        let all: u64 =
            told["remarks"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(lines.lines().count() as u64, all);
        assert!(lines.contains("its row shows 500, its entries add up to 12; kept: 12"), "{lines}");
        audit_is_clean(&shell).await;
        world.check_books().await;
        original.gone().await;
    }
);

/// An installation that is large enough to be broken off in the middle: so many users, each with two entries, an order,
/// and a generation.
fn large(users: usize) -> [String; 4] {
    [
        format!(
            "INSERT INTO users (id, openid, points_balance) SELECT i, 'o-' || i, 7 FROM generate_series(1, {users}) i"
        ),
        format!(
            "INSERT INTO point_transactions (user_id, type, amount, balance_after) \
             SELECT i, CAST(t.type AS point_transactions_type_enum), t.amount, t.after FROM generate_series(1, {users}) i, \
             (VALUES ('EARN', 10, 10), ('SPEND', 3, 7)) AS t (type, amount, after) ORDER BY i, t.type"
        ),
        format!(
            "INSERT INTO orders (order_id, user_id, plan_id, status, amount, paid_at) \
             SELECT 'ORDER_' || i, i, 'vip_month', CAST('PAID' AS orders_status_enum), 2900, now() FROM generate_series(1, {users}) i"
        ),
        format!(
            "INSERT INTO generations (user_id, prompt, image_url, status, completed_at) \
             SELECT i, 'a cat', 'https://assets.example/' || i, CAST('COMPLETED' AS generations_status_enum), now() \
             FROM generate_series(1, {users}) i"
        ),
    ]
}

on_every_backend!(an_import_that_is_killed_goes_on_where_it_was, |backend| async move {
    let rows = large(500);
    let all: Vec<&str> =
        [SCHEMA, IN_ORDER_PLANS].into_iter().chain(rows.iter().map(String::as_str)).collect();
    let Some(original) = Original::with(&all).await else { return };
    let (world, shell) = world(&backend).await;
    let taken = || async { world.database().number("SELECT count(*) FROM taken_over").await };
    for enough in [100, 800, 1_500] {
        let mut running = unheard(&shell, &["import", "--from", &original.url, "--json", "--yes"]);
        while taken().await < enough {
            assert_eq!(running.try_wait().unwrap(), None, "it ended before it could be killed");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        running.kill().await.unwrap();
    }
    let before = taken().await;
    assert!((1_500..2_501).contains(&before), "{before}");
    let (code, told) = import(&shell, &original, &["--yes"]).await;
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(
        (sum(&told, "new") + sum(&told, "hereBefore"), sum(&told, "leftOut")),
        (sum(&told, "found"), 0)
    );
    assert!(sum(&told, "new") > 0 && sum(&told, "hereBefore") > 0, "{told:#}");
    let points = "SELECT count(*) FROM accounts WHERE balance = 7 AND earned = 10 AND spent = 3";
    assert_eq!(world.database().number(points).await, 500);
    audit_is_clean(&shell).await;
    let whole = state(&world).await;
    let (_, again) = import(&shell, &original, &["--yes"]).await;
    assert_eq!(sum(&again, "new"), 0, "{again:#}");
    let mut after = state(&world).await;
    // That somebody did it is written down each time.
    after.insert("audit_log", whole["audit_log"].clone());
    assert_eq!(after, whole);
    world.finish().await;
    original.gone().await;
});

/// A command that runs, whatever it says.
fn unheard(shell: &Shell, args: &[&str]) -> Child {
    shell.prepare(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
}

/// The most memory that an import of this database takes, in MiB.
async fn memory_of_import(shell: &Shell, original: &Original) -> u64 {
    let mut running = unheard(shell, &["import", "--from", &original.url, "--json", "--dry-run"]);
    let status = format!("/proc/{}/status", running.id().expect("it runs"));
    let mut most = 0;
    while running.try_wait().unwrap().is_none() {
        // The kernel keeps the peak; nothing can be read of a process that has just ended.
        if let Ok(text) = std::fs::read_to_string(&status)
            && let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))
        {
            most = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(running.wait().await.unwrap().success());
    most
}

on_every_backend!(an_import_takes_no_more_memory_for_more_rows, |backend| async move {
    // 36 MB of prompts, all of one user.
    let prompts = "INSERT INTO users (id, openid) VALUES (1, 'o-1'); \
                   INSERT INTO generations (user_id, prompt, status) \
                   SELECT 1, repeat('a cat ', 2000), 'FAILED' FROM generate_series(1, 3000) i";
    let (Some(small), Some(large)) = (
        Original::with(&[SCHEMA, IN_ORDER_PLANS]).await,
        Original::with(&[SCHEMA, IN_ORDER_PLANS, prompts]).await,
    ) else {
        return;
    };
    let (world, shell) = world(&backend).await;
    let (little, much) = (memory_of_import(&shell, &small).await, memory_of_import(&shell, &large).await);
    assert!(much < little + 20, "{little} MiB for nothing, {much} MiB for 36 MB of rows");
    world.finish().await;
    small.gone().await;
    large.gone().await;
});

on_every_backend!(what_is_no_database_of_the_original_is_refused, |backend| async move {
    let Some(original) = Original::with(&["CREATE TABLE something (id INT)"]).await else { return };
    let (world, shell) = world(&backend).await;
    let from = async |url: &str| shell.run(&["import", "--from", url, "--yes"]).await;
    from(&original.url).await.failed(2, "no table users");
    from("mysql://localhost/dream").await.failed(2, "postgres:// URL");
    from("postgres://nobody@127.0.0.1:1/dream").await.failed(5, "--from");
    if backend.kind() == BackendKind::Postgres {
        from(backend.database_url()).await.failed(2, "this one is Dream's");
    }
    world.check_books().await;
    original.gone().await;
});

/// Numbers that look random and are the same each time (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    /// A value for a column: likely ones, and ones that nobody expects.
    fn value(&mut self, likely: &[&str]) -> String {
        const UNLIKELY: [&str; 9] = [
            "",
            "0",
            "-7",
            "9223372036854775807",
            "x",
            "{\"a\": [",
            "infinity",
            "12.5",
            "2025-13-45 99:00:00",
        ];
        match self.roll(8) {
            0 => "NULL".to_owned(),
            1 => format!("'{}'", UNLIKELY[self.roll(UNLIKELY.len())]),
            _ => format!("'{}'", likely[self.roll(likely.len())]),
        }
    }
}

/// Columns, and what is likely in each.
type Columns = &'static [(&'static str, &'static [&'static str])];

const IDS: &[&str] = &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
const TIMES: &[&str] = &["2025-12-01 00:00:00", "2025-12-02 10:00:00.5", "2026-01-01 00:00:00+00"];
const URLS: &[&str] = &["https://old.example/a.png", "https://old.example/b.png", "/c.png"];
const AMOUNTS: &[&str] = &["1", "5", "20", "100", "-3"];
const TABLES: &[(&str, Columns)] = &[
    (
        "users",
        &[
            ("id", IDS),
            ("openid", &["o-a", "o-b", "o-c", "o-d", "o-e"]),
            ("nick_name", &["n", "m"]),
            ("vip_level", &["NORMAL", "VIP", "SVIP"]),
            ("vip_expire_at", TIMES),
            ("points_balance", AMOUNTS),
            ("created_at", TIMES),
        ],
    ),
    (
        "vip_plans",
        &[
            ("id", IDS),
            ("plan_id", &["vip_month", "svip_x"]),
            ("name", &["x"]),
            ("duration", &["30", "365"]),
            ("original_price", AMOUNTS),
            ("current_price", AMOUNTS),
            ("benefits", &["[\"a\"]", "[]"]),
        ],
    ),
    (
        "orders",
        &[
            ("id", IDS),
            ("order_id", &["ORDER_1", "ORDER_2", "ORDER_3"]),
            ("user_id", IDS),
            ("plan_id", &["vip_month", "svip_x", "gone"]),
            ("status", &["PENDING", "PAID", "CANCELLED", "REFUNDED"]),
            ("amount", AMOUNTS),
            ("paid_at", TIMES),
            ("vip_expire_at", TIMES),
            ("created_at", TIMES),
        ],
    ),
    (
        "point_transactions",
        &[
            ("id", IDS),
            ("user_id", IDS),
            ("type", &["EARN", "SPEND", "REFUND"]),
            ("amount", AMOUNTS),
            ("description", &["d"]),
            ("created_at", TIMES),
        ],
    ),
    (
        "gallery_images",
        &[
            ("id", IDS),
            ("image_url", URLS),
            ("thumbnail_url", URLS),
            ("prompt", &["p"]),
            ("category_id", &["portrait", "cartoon"]),
            ("author_id", IDS),
            ("tags", &["[\"t\", \"u\"]", "t,u"]),
            ("likes", AMOUNTS),
            ("created_at", TIMES),
        ],
    ),
    (
        "prompt_templates",
        &[
            ("id", IDS),
            ("template_id", &["t1", "t2"]),
            ("title", &["t"]),
            ("prompt", &["p"]),
            ("category", &["portrait"]),
            ("preview_images", &["[\"https://old.example/a.png\"]"]),
            ("usage_count", AMOUNTS),
        ],
    ),
    (
        "param_templates",
        &[
            ("id", IDS),
            ("template_id", &["q1", "q2"]),
            ("title", &["t"]),
            ("mode", &["draft", "final"]),
            ("resolution", &["1K", "4K"]),
            ("sample_count", AMOUNTS),
        ],
    ),
    (
        "favorites",
        &[
            ("id", IDS),
            ("user_id", IDS),
            ("type", &["image", "prompt"]),
            ("resource_id", IDS),
            ("created_at", TIMES),
        ],
    ),
    (
        "characters",
        &[
            ("id", IDS),
            ("uuid", &["6f9619ff-8b86-d011-b42d-00c04fc964ff"]),
            ("user_id", IDS),
            ("name", &["c"]),
            ("created_at", TIMES),
        ],
    ),
    (
        "character_photos",
        &[
            ("id", IDS),
            ("uuid", &["7f9619ff-8b86-d011-b42d-00c04fc964ff"]),
            ("character_id", IDS),
            ("thumbnail_url", URLS),
            ("original_url", URLS),
            ("mime_type", &["image/png"]),
            ("original_size", AMOUNTS),
        ],
    ),
    (
        "generations",
        &[
            ("id", IDS),
            ("user_id", IDS),
            ("job_id", &["j1", "j2"]),
            ("prompt", &["p"]),
            ("image_url", URLS),
            ("status", &["PENDING", "PROCESSING", "COMPLETED", "FAILED"]),
            ("params", &["{\"mode\": \"draft\"}"]),
            ("created_at", TIMES),
            ("completed_at", TIMES),
        ],
    ),
];

/// Tables without any constraint, filled by the dice.
fn anything(seed: u64) -> Vec<String> {
    let mut dice = Dice(seed);
    let mut statements = Vec::new();
    for (table, columns) in TABLES {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        statements.push(format!("CREATE TABLE {table} ({} TEXT)", names.join(" TEXT, ")));
        for _ in 0..dice.roll(40) {
            let values: Vec<String> = columns.iter().map(|(_, likely)| dice.value(likely)).collect();
            statements.push(format!("INSERT INTO {table} VALUES ({})", values.join(", ")));
        }
    }
    statements
}

on_every_backend!(nothing_that_can_be_in_the_tables_breaks_the_books, |backend| async move {
    for seed in 0..3 {
        let statements = anything(seed);
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let Some(original) = Original::with(&statements).await else { return };
        let target = Backend::start(backend.kind(), dream_testkit::backends::migrate).await.unwrap();
        let (world, shell) = world(&target).await;
        let (_, rehearsed) = import(&shell, &original, &["--dry-run"]).await;
        let (_, told) = import(&shell, &original, &["--yes"]).await;
        assert_eq!(rehearsed["tables"], told["tables"], "seed {seed}");
        audit_is_clean(&shell).await;
        let before = state(&world).await;
        let (_, again) = import(&shell, &original, &["--yes"]).await;
        assert_eq!((sum(&again, "new"), sum(&again, "joined")), (0, 0), "seed {seed}");
        assert_eq!(state(&world).await, before, "seed {seed}");
        world.check_books().await;
        original.gone().await;
    }
});
