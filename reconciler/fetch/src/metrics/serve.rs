//! The shell: answers `GET /metrics` and `GET /healthz` on an address of this host alone.
//!
//! A question is one line, an answer a few kilobytes, and who asks is on this host; so a listener of the standard library
//! does, and no crate of a server is linked to the one process that speaks to the network. Connections are bounded in
//! number, time and memory, and none waits for another.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::status::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Facts;
use crate::paths::Paths;
use crate::state::read_json;

/// How long one who asks may take, with reading the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is read of a question, in bytes.
const QUESTION: usize = 8192;
/// How many may ask at once. The one that has asked longest makes room for another, so that connections on which nothing
/// is asked keep nobody out.
const ASKERS: usize = 64;
/// The wait before an address is tried again that another program has.
const RETRY: Duration = Duration::from_secs(30);

/// Answers in a thread of its own until the process ends. That this fails does not keep policies from being pulled.
pub fn start(address: SocketAddr, paths: &Paths) {
    let paths = paths.clone();
    std::thread::spawn(move || {
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => tracing::error!(%address, %error, "metrics cannot be served"),
            }
            std::thread::sleep(RETRY);
        };
        let mut server = Server { askers: VecDeque::new(), paths, applied: Applied::default() };
        loop {
            let Err(error) = server.serve(&listener);
            tracing::error!(%address, %error, "questions about metrics are not answered for now");
            std::thread::sleep(RETRY);
        }
    });
}

/// All who ask, in the order in which they came. One thread answers them, as each becomes ready.
struct Server {
    askers: VecDeque<Asker>,
    paths: Paths,
    applied: Applied,
}

/// One connection.
struct Asker {
    stream: TcpStream,
    /// When it is closed, however far it is.
    until: Instant,
    /// What was read of the question.
    question: Vec<u8>,
    /// What is still to be written, once the question is read.
    answer: Option<Vec<u8>>,
}

impl Server {
    /// Answers until the listener fails, which it does not by itself.
    fn serve(&mut self, listener: &TcpListener) -> std::io::Result<std::convert::Infallible> {
        listener.set_nonblocking(true)?;
        loop {
            let mut wanted = vec![PollFd::new(listener, PollFlags::IN)];
            wanted.extend(self.askers.iter().map(Asker::waits_for));
            let next = self.askers.iter().map(|asker| asker.until).min();
            let left = next.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.map(Timespec::try_from).transpose().map_err(std::io::Error::other)?;
            match poll(&mut wanted, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<bool> = wanted.iter().map(|fd| !fd.revents().is_empty()).collect();
            let (listens, ready) = ready.split_first().unwrap_or((&false, &[]));
            let now = Instant::now();
            let mut ready = ready.iter();
            let mut askers = std::mem::take(&mut self.askers);
            askers.retain_mut(|asker| {
                let goes_on = !ready.next().is_some_and(|ready| *ready) || self.goes_on(asker);
                goes_on && asker.until > now
            });
            self.askers = askers;
            if *listens {
                self.accept(listener)?;
            }
        }
    }

    /// Takes one more connection. The next round takes the next one, so that those who are ready come between.
    fn accept(&mut self, listener: &TcpListener) -> std::io::Result<()> {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // It was closed again before it was taken: accept(2).
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {
                return Ok(());
            }
            // This process may have too many files open: whoever has asked longest gives one back.
            Err(error) => return self.askers.pop_front().map(drop).ok_or(error),
        };
        stream.set_nonblocking(true)?;
        if self.askers.len() >= ASKERS {
            self.askers.pop_front();
        }
        let until = Instant::now() + PATIENCE;
        self.askers.push_back(Asker { stream, until, question: Vec::new(), answer: None });
        Ok(())
    }

    /// Reads or writes as much as is possible now; returns whether the connection stays.
    fn goes_on(&mut self, asker: &mut Asker) -> bool {
        let done = asker.read().and_then(|()| {
            if asker.answer.is_none() {
                asker.answer = Some(self.answer(&asker.line()));
            }
            asker.write()
        });
        match done {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(error) => {
                tracing::debug!(%error, "a question about metrics was not answered");
                false
            }
        }
    }
}

impl Asker {
    fn waits_for(&self) -> PollFd<'_> {
        let flags = if self.answer.is_some() { PollFlags::OUT } else { PollFlags::IN };
        PollFd::new(&self.stream, flags)
    }

    /// Reads the question's head. One that is not there yet is an error of kind `WouldBlock`.
    fn read(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; 1024];
        while self.answer.is_none() {
            let is_whole = self.question.windows(4).any(|bytes| bytes == b"\r\n\r\n");
            if is_whole || self.question.len() >= QUESTION {
                break;
            }
            match self.stream.read(&mut chunk)? {
                0 => break,
                length => self.question.extend(chunk.iter().take(length)),
            }
        }
        Ok(())
    }

    /// Writes the answer. One for which there is no room yet is an error of kind `WouldBlock`.
    fn write(&mut self) -> std::io::Result<()> {
        let answer = self.answer.get_or_insert_default();
        while !answer.is_empty() {
            let length = self.stream.write(answer)?;
            answer.drain(..length);
        }
        Ok(())
    }

    /// The first line of the question.
    fn line(&self) -> String {
        let line = self.question.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }
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
fn facts(paths: &Paths, applied: &mut Applied) -> Facts {
    Facts {
        fetch: crate::status::Status::read(paths).ok().flatten(),
        apply: applied.read(paths),
        looks: read_json(&paths.looks()).ok().flatten().unwrap_or_default(),
        now: Moment::now(),
    }
}

impl Server {
    /// The whole answer to the first line of a question.
    fn answer(&mut self, question: &str) -> Vec<u8> {
        let text = "text/plain; charset=utf-8";
        let mut facts = || facts(&self.paths, &mut self.applied);
        let (status, kind, body) = match question.split(' ').collect::<Vec<_>>().as_slice() {
            ["GET" | "HEAD", "/metrics", ..] => {
                ("200 OK", "text/plain; version=0.0.4; charset=utf-8", facts().text())
            }
            ["GET" | "HEAD", "/healthz", ..] => match facts().sickness() {
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
        [head.as_bytes(), body.as_bytes()].concat()
    }
}
