//! What the service answers on loopback.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::net::Running;
use support::{Node, World};

/// A service that answers on an address of loopback. It ends with this value.
struct Served {
    _service: Running,
    world: World,
    node: Node,
    address: SocketAddr,
}

fn served() -> Served {
    let world = World::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let off = format!("metrics = \"{address}\"\ninterval = 3600\n[trust]\nmode = \"off\"\n");
    let node = world.node("n1", &world.remote(), &off);
    let service = Running::start(&mut node.command(&["run"]));
    wait_for(|| TcpStream::connect(address).is_ok());
    Served { _service: service, world, node, address }
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends bytes, and answers all that comes back.
fn ask(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // Who is cut off for asking too much may find its own bytes unread.
    stream.read_to_end(&mut answer).ok();
    String::from_utf8(answer).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

#[test]
fn metrics_and_health_are_answered_whoever_asks_whatever() {
    let Served { world, node, address, _service } = served();
    wait_for(|| !node.desired().is_empty());
    let health = get(address, "/healthz");
    assert!(health.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{health}");
    assert!(health.ends_with("\r\n\r\nchainmaild has not said how things stand\n"), "{health}");
    let rows = [
        (&b"GET /other HTTP/1.1\r\n\r\n"[..], "HTTP/1.1 404 "),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
        (b"\xff\x00\r\n\r\n", "HTTP/1.1 405 "),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 "),
    ];
    for (bytes, expected) in rows {
        let answer = ask(address, bytes);
        assert!(answer.starts_with(expected), "{bytes:?}: {answer}");
    }
    // Neither who never ends its question nor who says nothing keeps others out for long.
    let long = ask(address, &[b'x'; 100_000]);
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 405 "), "{long}");
    let silent = TcpStream::connect(address).unwrap();
    let metrics = get(address, "/metrics");
    drop(silent);
    let (head, body) = metrics.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let begin = Instant::now();
    let handed = format!(
        "chainmail_handed_info{{commit=\"{}\",digest=\"{}\",signer=\"\"}} 1\n",
        world.head(),
        node.desired()
    );
    while !get(address, "/metrics").contains(&handed) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{handed}{}", get(address, "/metrics"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let metrics = get(address, "/metrics");
    assert!(metrics.contains("chainmail_fetch_state{state=\"synced\"}"), "{metrics}");
}

/// Half a question on each of many connections. One at a time was answered once, each for 2 s: that is 400 s of silence.
#[test]
fn connections_on_which_half_a_question_is_asked_keep_nobody_out() {
    let served = served();
    let address = served.address;
    let mut half_open = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
        half_open.push(stream);
    }
    for _ in 0..20 {
        let begin = Instant::now();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 503 "));
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        half_open.push(TcpStream::connect(address).unwrap());
    }
    // Each is closed in time, whatever is sent on it.
    for mut stream in half_open {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let end = stream.read(&mut [0]);
        assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
}
