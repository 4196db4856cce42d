//! One server stops while another takes over, on the same port, with clients that do not stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dream_http::{Door, Limits, Phase, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::house::{House, PATIENCE, post_head, settings, until};

const ORDER: &str = r#"{"count":1}"#;

/// Settings of a server that shares its port.
fn sharing(port: u16) -> Settings {
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let limits = Limits { drain_notice: Duration::from_millis(100), ..settings().limits };
    Settings { listen, reuse_port: true, limits, ..settings() }
}

/// Clients that write without end, each as soon as its last answer is there.
struct Crowd {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Result<(), String>>>,
}

impl Crowd {
    /// So many that keep their connections as long as they may, and so many that make a new one each time.
    fn of(keeping: usize, leaving: usize, address: SocketAddr) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..keeping + leaving)
            .map(|index| {
                let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
                tokio::spawn(async move {
                    let mut kept = None;
                    while !stop.load(Ordering::Relaxed) {
                        kept = write_once(kept, address, index < keeping).await?;
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        Self { stop, served, clients }
    }

    /// Waits for so many answers more.
    async fn serve_more(&self, count: usize) {
        let enough = self.served.load(Ordering::Relaxed) + count;
        until(|| {
            self.served.load(Ordering::Relaxed) >= enough
                || self.clients.iter().any(tokio::task::JoinHandle::is_finished)
        })
        .await;
    }

    async fn go_home(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap().unwrap();
        }
        self.served.load(Ordering::Relaxed)
    }
}

/// One write. It is sent once: whatever goes wrong is the server's fault.
async fn write_once(
    kept: Option<TcpStream>,
    address: SocketAddr,
    keep: bool,
) -> Result<Option<TcpStream>, String> {
    let again = kept.is_some();
    let failed = |what: &str, error: std::io::Error| format!("{what} (connection kept: {again}): {error}");
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(address).await.map_err(|error| failed("connecting", error))?,
    };
    let request = post_head("/v1/test/orders", ORDER.len()) + ORDER;
    stream.write_all(request.as_bytes()).await.map_err(|error| failed("sending", error))?;
    let mut answer = Vec::new();
    let whole = async {
        while !is_whole(&answer) {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    };
    match timeout(PATIENCE, whole).await {
        Ok(read) => read.map_err(|error| failed("reading", error))?,
        Err(_) => return Err("no answer in time".to_owned()),
    }
    let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    if !text.starts_with("http/1.1 201") {
        return Err(text);
    }
    let closes = text.contains("\r\nconnection: close\r\n");
    Ok((keep && !closes).then_some(stream))
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.trim().parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_relieve_each_other_on_one_port_lose_no_request() {
    let mut house = House::with(sharing(0)).await;
    let address = house.address;
    let crowd = Crowd::of(4, 4, address);
    crowd.serve_more(50).await;
    for _ in 0..3 {
        let next = House::with(sharing(address.port())).await;
        let mut last = std::mem::replace(&mut house, next);
        crowd.serve_more(50).await;
        last.stop();
        last.stopped().await;
        crowd.serve_more(50).await;
    }
    assert!(crowd.go_home().await > 350);
}

#[tokio::test]
async fn a_port_is_shared_only_where_that_was_said() {
    let house = House::open().await;
    let taken = Settings { listen: house.address, ..settings() };
    assert_eq!(Door::open(&taken).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn connections_to_a_socket_of_somebody_elses_wait_for_the_next_server() {
    // As systemd does it: the socket is there before, between and after the servers.
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let given = || Door::take_over(&settings(), socket.try_clone().unwrap(), None).unwrap();
    let mut first = House::behind(given()).await;
    assert_eq!(first.get("/health").await.status, 200);
    first.stop();
    let address = first.address;
    first.stopped().await;

    let mut early = TcpStream::connect(address).await.unwrap();
    early.write_all(b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await.unwrap();
    let _second = House::behind(given()).await;
    let mut answer = String::new();
    timeout(PATIENCE, early.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_request_that_is_on_its_way_when_accepting_ends_is_answered() {
    let limits = Limits { last_call: Duration::from_secs(2), ..settings().limits };
    let limits = Limits { header_time: Duration::from_secs(5), ..limits };
    let mut house = House::with(Settings { limits, ..settings() }).await;
    let (mut fresh, mut kept) = (house.connect().await, house.connect().await);
    let ask = "GET /v1/test/list HTTP/1.1\r\nHost: t\r\n\r\n";
    kept.send(ask, b"").await;
    assert_eq!(kept.answer(false).await.status, 200);
    house.stop();
    until(|| house.app.phase() == Phase::Draining).await;
    for wire in [&mut fresh, &mut kept] {
        wire.send(ask, b"").await;
        let answer = wire.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
        assert!(wire.is_closed().await);
    }
    house.stopped().await;
}
