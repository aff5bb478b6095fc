//! The shell: answers `GET /metrics` and `GET /healthz` on an address of this host alone.
//!
//! A question is one line, an answer a few kilobytes, and who asks is on this host; so a listener of the standard library
//! does, and no crate of a server is linked to the one process that speaks to the network.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::status::Status;

use super::Facts;
use crate::paths::Paths;
use crate::state::read_json;
use crate::status::State;

/// How long one who asks may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is read of a question.
const QUESTION: usize = 8192;
/// The wait before an address is tried again that another program has.
const RETRY: Duration = Duration::from_secs(30);

/// How often a look came to each state.
#[derive(Debug, Clone, Default)]
pub struct Looks(Arc<Mutex<BTreeMap<State, u64>>>);

impl Looks {
    /// Counts one.
    pub fn count(&self, state: State) {
        if let Ok(mut looks) = self.0.lock() {
            *looks.entry(state).or_default() += 1;
        }
    }

    fn all(&self) -> BTreeMap<State, u64> {
        self.0.lock().map(|looks| looks.clone()).unwrap_or_default()
    }
}

/// Answers in a thread of its own until the process ends. That this fails does not keep policies from being pulled.
pub fn start(address: SocketAddr, paths: &Paths, looks: &Looks) {
    let (paths, looks) = (paths.clone(), looks.clone());
    std::thread::spawn(move || {
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => tracing::error!(%address, %error, "metrics cannot be served"),
            }
            std::thread::sleep(RETRY);
        };
        let mut applied = Applied::default();
        for stream in listener.incoming() {
            let answered = stream.and_then(|stream| answer(stream, &paths, &looks, &mut applied));
            if let Err(error) = answered {
                tracing::debug!(%error, "a question about metrics was not answered");
            }
        }
    });
}

/// What the applying half said last, and when that was first seen: this process may see neither its lock nor the clock by
/// which it says when it wrote.
#[derive(Default)]
struct Applied(Option<(Status, Instant)>);

impl Applied {
    fn read(&mut self, paths: &Paths) -> Option<(Status, Duration)> {
        let status = read_json::<Status>(&paths.node.status()).ok().flatten()?;
        let seen =
            self.0.take().filter(|(before, _)| *before == status).map_or_else(Instant::now, |(_, seen)| seen);
        self.0 = Some((status.clone(), seen));
        Some((status, seen.elapsed()))
    }
}

/// What is known now.
fn facts(paths: &Paths, looks: &Looks, applied: &mut Applied) -> Facts {
    Facts {
        fetch: crate::status::Status::read(paths).ok().flatten(),
        apply: applied.read(paths),
        looks: looks.all(),
        now: Moment::now(),
    }
}

fn answer(mut stream: TcpStream, paths: &Paths, looks: &Looks, applied: &mut Applied) -> std::io::Result<()> {
    let question = question(&mut stream)?;
    let text = "text/plain; charset=utf-8";
    let (status, kind, body) = match question.split(' ').collect::<Vec<_>>().as_slice() {
        ["GET" | "HEAD", "/metrics", ..] => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", facts(paths, looks, applied).text())
        }
        ["GET" | "HEAD", "/healthz", ..] => match facts(paths, looks, applied).sickness() {
            None => ("200 OK", text, "ok\n".to_owned()),
            Some(why) => ("503 Service Unavailable", text, why + "\n"),
        },
        ["GET" | "HEAD", ..] => ("404 Not Found", text, "there are /metrics and /healthz\n".to_owned()),
        _ => ("405 Method Not Allowed", text, "only GET is answered\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let body = if question.starts_with("HEAD ") { "" } else { &body };
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// The first line of a question, once all of its head was read.
fn question(stream: &mut TcpStream) -> std::io::Result<String> {
    let until = Instant::now() + PATIENCE;
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    while head.len() < QUESTION && !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let left = until.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let length = stream.read(&mut chunk)?;
        if length == 0 || left.is_zero() {
            break;
        }
        head.extend(chunk.iter().take(length));
    }
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}
