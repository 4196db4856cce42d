//! Debian's nginx in front of the nodes, as a process of the test's own.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::process::{PATIENCE, free_port};

pub(crate) struct Nginx {
    _child: Child,
}

fn program() -> PathBuf {
    let usual = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from);
    usual.into_iter().find(|path| path.is_file()).expect("nginx is not installed (Debian: nginx-light)")
}

/// The settings that `deploy/nginx.conf` has, for nodes that are known by address.
fn settings(folder: &Path, port: u16, nodes: &[SocketAddr]) -> String {
    let mut servers = String::new();
    for node in nodes {
        let _ = writeln!(servers, "server {node} max_fails=0;");
    }
    let folder = folder.display();
    format!(
        "
        daemon off;
        user root;
        worker_processes 1;
        pid {folder}/nginx.pid;
        error_log {folder}/nginx-error.log info;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            upstream dream {{
                zone dream 64k;
                {servers}
                keepalive 32;
                keepalive_timeout 1s;
            }}
            server {{
                listen 127.0.0.1:{port};
                client_max_body_size 16m;
                location / {{
                    proxy_pass http://dream;
                    proxy_http_version 1.1;
                    proxy_set_header Connection \"\";
                    proxy_set_header Host $host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                    proxy_connect_timeout 3s;
                    proxy_read_timeout 60s;
                    proxy_next_upstream error timeout http_503;
                    proxy_next_upstream_tries 3;
                }}
            }}
        }}
        "
    )
}

impl Nginx {
    pub(crate) fn url_for(port: u16) -> String {
        format!("http://127.0.0.1:{port}")
    }

    pub(crate) fn port() -> u16 {
        free_port()
    }

    pub(crate) async fn start(folder: &Path, port: u16, nodes: &[SocketAddr]) -> Self {
        let file = folder.join("nginx.conf");
        tokio::fs::write(&file, settings(folder, port, nodes)).await.unwrap();
        let log = std::fs::File::create(folder.join("nginx.log")).unwrap();
        let child = Command::new(program())
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listens).await.unwrap_or_else(|_| {
            panic!("nginx: {}", std::fs::read_to_string(folder.join("nginx.log")).unwrap())
        });
        Self { _child: child }
    }
}
