//! A server on SQLite whose disk is full, and has room again later: it refuses writes with 503, says that it is not ready,
//! and works again by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::load::Place;
use crate::process::{ADMIN_KEY, Node, PATIENCE, PROGRAM, Variables, command, free_port, outside};
use crate::shell::left_out;

/// From when there is room until everything works.
const RECOVERY: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(50);

/// What keeps the database from growing.
enum Shortage {
    /// The file system is full: `SQLITE_FULL`.
    FullDisk { ballast: PathBuf },
    /// The process may not write beyond a size: `SQLITE_IOERR`.
    FileSizeLimit { pid: u32 },
}

impl Shortage {
    async fn begin(&self) {
        match self {
            Self::FullDisk { ballast } => {
                let mut left = vec![0_u8; 64 << 20];
                // It writes as much as there is room for, and then fails.
                while !left.is_empty() && fs::write(ballast, &left).is_err() {
                    let written = fs::metadata(ballast).map_or(0, |file| file.len());
                    left.truncate(usize::try_from(written).unwrap());
                }
            }
            Self::FileSizeLimit { pid } => limit_file_size(*pid, "4096:unlimited").await,
        }
    }

    async fn end(&self) {
        match self {
            Self::FullDisk { ballast } => fs::remove_file(ballast).unwrap(),
            Self::FileSizeLimit { pid } => limit_file_size(*pid, "unlimited:unlimited").await,
        }
    }
}

async fn limit_file_size(pid: u32, limit: &str) {
    let done =
        Command::new("prlimit").arg(format!("--pid={pid}")).arg(format!("--fsize={limit}")).status().await;
    assert!(done.unwrap().success());
}

/// Whether a file system of one's own can be mounted here.
async fn can_mount() -> bool {
    let mut mount = Command::new("unshare");
    mount.args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).stderr(Stdio::null());
    mount.status().await.is_ok_and(|status| status.success())
}

/// A running shop, with one user who has an order.
struct Shop {
    place: Place,
    token: String,
    user: i64,
    order: String,
}

impl Shop {
    async fn open(place: Place) -> Self {
        let url = format!("{}/v1/auth/wechat-login", place.url);
        let login = place.http.post(url).json(&json!({ "code": "sandbox-buyer" })).send().await.unwrap();
        let login: Value = login.json().await.unwrap();
        let token = login["token"].as_str().unwrap().to_owned();
        let user = login["user"]["id"].as_i64().unwrap();
        let recharge = place.http.post(format!("{}/v1/points/recharge", place.url)).bearer_auth(&token);
        let placed = recharge.json(&json!({ "amount": 50, "paymentMethod": "wechat" })).send().await.unwrap();
        let placed: Value = placed.json().await.unwrap();
        Self { place, token, user, order: placed["orderId"].as_str().unwrap().to_owned() }
    }

    /// A write: the status, and whether the answer says when to try again.
    async fn write(&self, number: usize) -> (u16, bool) {
        let url = format!("{}/v1/admin/users/{}", self.place.url, self.user);
        // Long enough to need a page of its own now and then.
        let name = json!({ "reason": "x".repeat(150), "nickName": format!("buyer {number}") });
        let answer =
            self.place.http.put(url).header("X-Admin-Key", ADMIN_KEY).json(&name).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key(RETRY_AFTER))
    }

    async fn read(&self, path: &str) -> (u16, Value) {
        let answer = self.place.http.get(format!("{}{path}", self.place.url)).bearer_auth(&self.token);
        let answer = answer.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn is_ready(&self) -> bool {
        self.read("/health/ready").await.0 == 200
    }

    async fn lives_through(&self, shortage: &Shortage) {
        assert_eq!(self.write(0).await, (200, false));
        assert!(self.is_ready().await);

        shortage.begin().await;
        let mut refused = 0;
        // What has been reserved already is still filled.
        for number in 1..3000 {
            match self.write(number).await {
                (200, _) => {}
                (503, true) => refused += 1,
                other => panic!("write {number} of a full disk is answered by {other:?}"),
            }
            if refused == 5 {
                break;
            }
        }
        assert_eq!(refused, 5, "the disk is not full");
        assert_eq!(self.read("/v1/users/me").await.0, 200, "reads go on");
        let begun = Instant::now();
        while self.is_ready().await {
            assert!(begun.elapsed() < RECOVERY, "it says that it is ready");
            sleep(EVERY).await;
        }
        let payer = self.place.sandbox.wechat.sandbox_openid("buyer");
        self.place.sandbox.wechat_pay.pay_as(&payer, &self.order).unwrap();

        shortage.end().await;
        let begun = Instant::now();
        loop {
            let (ready, (status, _)) = tokio::join!(self.is_ready(), self.write(9999));
            if ready && status == 200 {
                break;
            }
            assert!(begun.elapsed() < RECOVERY, "it does not recover: ready {ready}, write {status}");
            sleep(EVERY).await;
        }
        for number in 0..20 {
            assert_eq!(self.write(number).await, (200, false), "once it works, it works");
        }
        let begun = Instant::now();
        loop {
            let (status, order) = self.read(&format!("/v1/orders/{}", self.order)).await;
            if status == 200 && order["status"] == "PAID" {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "a paid order gave nothing: {status} {order}");
            sleep(EVERY).await;
        }
    }
}

/// Starts a server whose database is in this folder, by a shell that runs this first.
async fn server(folder: &Path, database: &Path, before: &str, launcher: &[&str]) -> (Node, Shop) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let place = Place::new(&url, outside(&url).await);
    let variables = Variables::production(&place.sandbox.credentials(), &url)
        .with("DATABASE_URL", format!("sqlite://{}/dream.db", database.display()))
        .with("PORT", port)
        .with("LOG_LEVEL", "info");
    let template = command(folder, &variables);
    let mut launched = Command::new(launcher[0]);
    launched
        .args(&launcher[1..])
        .args(["sh", "-c", &format!("{before} && exec \"$0\" serve"), PROGRAM])
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(template.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let node = Node::spawn(folder, port, launched).await;
    let shop = Shop::open(place).await;
    (node, shop)
}

#[tokio::test]
async fn a_full_disk_stops_writes_only_until_there_is_room() {
    if !can_mount().await {
        return left_out("no file system can be mounted here");
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size=6m tmpfs '{}'", disk.display());
    let (node, shop) = server(folder.path(), &disk, &mount, &["unshare", "-Urm"]).await;
    // The mount is seen by the server alone, and by whoever goes by its root.
    let ballast = PathBuf::from(format!("/proc/{}/root{}/ballast", node.pid(), disk.display()));
    shop.lives_through(&Shortage::FullDisk { ballast }).await;
    node.stop().await;
}

#[tokio::test]
async fn a_write_error_of_the_disk_stops_writes_only_as_long_as_it_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let (node, shop) = server(folder.path(), folder.path(), "trap '' XFSZ", &["env"]).await;
    shop.lives_through(&Shortage::FileSizeLimit { pid: node.pid() }).await;
    node.stop().await;
}
