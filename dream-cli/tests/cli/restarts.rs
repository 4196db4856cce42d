//! Restarts on one machine that nobody notices.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dream_testkit::wait::eventually;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::{Node, PATIENCE, PROGRAM, Variables, free_port, outside};

/// Clients that read without end, over connections that are kept where that is allowed.
struct Readers {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Readers {
    fn start(count: usize, url: &str) -> Self {
        let (stop, served, failed) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let tasks = (0..count)
            .map(|_| {
                let (stop, served, failed) = (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&failed));
                let url = format!("{url}/v1/vip/plans");
                // Each has connections of its own.
                let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let answer = client.get(&url).send().await;
                        match answer.map(|answer| answer.status().as_u16()) {
                            Ok(200) => served.fetch_add(1, Ordering::Relaxed),
                            _ => failed.fetch_add(1, Ordering::Relaxed),
                        };
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        Self { stop, served, failed, tasks }
    }

    async fn serve_more(&self, count: usize) {
        let enough = self.served.load(Ordering::Relaxed) + count;
        let met = eventually(PATIENCE, || {
            self.served.load(Ordering::Relaxed) >= enough || self.failed.load(Ordering::Relaxed) > 0
        });
        assert!(met.await, "nobody is served");
    }

    async fn failures(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.failed.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_relieve_each_other_on_one_port_lose_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let sandbox = outside("http://127.0.0.1:1").await;
    let variables = Variables::production(&sandbox.credentials(), "http://127.0.0.1:1")
        .with("REUSE_PORT", "true")
        .with("DRAIN_NOTICE", 1);
    let mut node = Node::start(folder.path(), port, &variables).await;
    let readers = Readers::start(8, &node.url());
    readers.serve_more(50).await;
    for _ in 0..2 {
        let next = Node::start(folder.path(), port, &variables).await;
        readers.serve_more(50).await;
        std::mem::replace(&mut node, next).stop().await;
        readers.serve_more(50).await;
    }
    assert_eq!(readers.failures().await, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hands_over_its_socket_and_is_told_how_far_we_are() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = outside("http://127.0.0.1:1").await;
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let variables = Variables::production(&sandbox.credentials(), "http://127.0.0.1:1")
        .with("PATH", "/usr/bin:/bin")
        .with("NOTIFY_SOCKET", folder.path().join("notify").display())
        // What it is told of another place does not count.
        .with("PORT", 1);
    // The shell puts the socket where the protocol wants it, as the manager does.
    let launch = || {
        let mut command = Command::new("sh");
        let script = format!("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec '{PROGRAM}' serve");
        command
            .args(["-c", &script])
            .current_dir(folder.path())
            .env_clear()
            .envs(variables.0.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
            .kill_on_drop(true);
        command
    };
    let node = Node::spawn(folder.path(), port, launch()).await;
    assert!(heard(&told).await.contains("READY=1"));
    let readers = Readers::start(4, &node.url());
    readers.serve_more(20).await;
    node.stop().await;
    assert!(heard(&told).await.contains("STOPPING=1"));
    let node = Node::spawn(folder.path(), port, launch()).await;
    readers.serve_more(20).await;
    assert_eq!(readers.failures().await, 0);
    node.stop().await;
}

async fn heard(told: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let length = timeout(PATIENCE, told.recv(&mut message)).await.unwrap().unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}
