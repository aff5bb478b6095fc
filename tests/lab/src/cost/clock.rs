//! The shell: times packets.
//!
//! One thread, held to one CPU, has sockets in the namespaces of both ends. Where a packet leaves by send(2), the kernel
//! carries it over the node to the other socket before that call returns, so that the whole delay of the forwarded
//! packet is measured and no scheduler is in it. A packet that is not there at once is left out and counted.

#![expect(clippy::disallowed_methods, reason = "this module is the one that enters the measured namespaces")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use chainmail_contract::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, connect, listen, recv,
    send, socket_with, sockopt,
};
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity};

use super::figure::Motion;
use super::pick::Pair;
use super::wiring::Wiring;
use crate::layout::NetnsName;

/// One pair in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Job<'a> {
    pub(crate) motion: Motion,
    pub(crate) pair: &'a Pair,
}

/// What a pair's packets took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(crate) delays: Vec<Duration>,
    /// Packets that were not there at once.
    pub(crate) late: usize,
}

/// Packets that are sent before those that count.
const WARM_UP: usize = 20;
/// How long a late packet is waited for.
const LATE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const PAYLOAD: [u8; 64] = [0; 64];

fn counted(motion: Motion) -> usize {
    match motion {
        Motion::Connection => 60,
        Motion::Datagram | Motion::RoundTrip => 150,
    }
}

/// Times all jobs, one after the other, on a thread of its own.
pub(crate) fn time(cpu: usize, wiring: &Wiring, jobs: &[Job<'_>]) -> io::Result<Vec<Taken>> {
    let body = || -> io::Result<Vec<Taken>> {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set)?;
        let mut clock = Clock { wiring, open: BTreeMap::new(), ports: Ports(FIRST_PORT) };
        jobs.iter().map(|job| clock.job(job)).collect()
    };
    match thread::scope(|scope| scope.spawn(body).join()) {
        Ok(taken) => taken,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

const FIRST_PORT: u16 = 10_000;
const LAST_PORT: u16 = 60_000;

/// Source ports, none of which comes again soon: a flow that conntrack knows is not a new one.
struct Ports(u16);

impl Ports {
    fn next(&mut self) -> u16 {
        self.0 = if self.0 == LAST_PORT { FIRST_PORT } else { self.0 + 1 };
        self.0
    }
}

struct Clock<'a> {
    wiring: &'a Wiring,
    open: BTreeMap<&'a NetnsName, File>,
    ports: Ports,
}

impl Clock<'_> {
    fn enter(&mut self, address: IpAddr) -> io::Result<()> {
        let netns = self.wiring.place(address).netns;
        if !self.open.contains_key(netns) {
            let path: PathBuf = ["/run/netns", netns.as_str()].iter().collect();
            self.open.insert(netns, File::open(path)?);
        }
        Ok(move_into_link_name_space(self.open[netns].as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    fn job(&mut self, job: &Job<'_>) -> io::Result<Taken> {
        let pair = job.pair;
        self.enter(pair.destination)?;
        let to = SocketAddr::new(pair.destination, pair.port);
        let receiver = socket(pair.transport)?;
        sockopt::set_socket_reuseaddr(&receiver, true)?;
        bind(&receiver, &to)?;
        if pair.transport == Transport::Tcp {
            listen(&receiver, 16)?;
        }
        self.enter(pair.source)?;
        let mut taken = Taken::default();
        let count = counted(job.motion);
        match job.motion {
            Motion::Connection => {
                for round in 0..WARM_UP + count {
                    let delay = self.connection(pair.source, &to, &receiver)?;
                    taken.note(round, delay);
                }
            }
            Motion::Datagram => {
                // Opened before, so that a datagram's delay has no socket's in it.
                let senders = (0..WARM_UP + count).map(|_| self.sender(pair, &to));
                let senders: Vec<OwnedFd> = senders.collect::<io::Result<_>>()?;
                for (round, sender) in senders.iter().enumerate() {
                    let begin = Instant::now();
                    let there = pass(sender, &receiver)?;
                    taken.note(round, there.then(|| begin.elapsed()));
                }
            }
            Motion::RoundTrip => {
                let near = self.sender(pair, &to)?;
                let far = match pair.transport {
                    Transport::Udp | Transport::Sctp => {
                        pass(&near, &receiver)?;
                        let back = rustix::net::getsockname(&near)?;
                        connect(&receiver, &back)?;
                        receiver
                    }
                    Transport::Tcp => {
                        wait(&receiver)?;
                        let far = accept_with(&receiver, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
                        sockopt::set_tcp_nodelay(&near, true)?;
                        sockopt::set_tcp_nodelay(&far, true)?;
                        // No TIME_WAIT is left at either end.
                        sockopt::set_socket_linger(&near, Some(Duration::ZERO))?;
                        far
                    }
                };
                for round in 0..WARM_UP + count {
                    let begin = Instant::now();
                    let there = pass(&near, &far)?;
                    let back = pass(&far, &near)?;
                    taken.note(round, (there && back).then(|| begin.elapsed()));
                }
            }
        }
        Ok(taken)
    }

    fn connection(
        &mut self,
        from: IpAddr,
        to: &SocketAddr,
        listener: &OwnedFd,
    ) -> io::Result<Option<Duration>> {
        let from = SocketAddr::new(from, self.ports.next());
        let begin = Instant::now();
        let near = socket(Transport::Tcp)?;
        bind(&near, &from)?;
        begin_connect(&near, to)?;
        let (far, late) = match accept_with(listener, SocketFlags::CLOEXEC) {
            Err(Errno::AGAIN) => {
                wait(listener)?;
                (accept_with(listener, SocketFlags::CLOEXEC)?, true)
            }
            far => (far?, false),
        };
        sockopt::set_socket_linger(&near, Some(Duration::ZERO))?;
        drop(near);
        drop(far);
        Ok((!late).then(|| begin.elapsed()))
    }

    /// A socket of the source that is joined to the destination's.
    fn sender(&mut self, pair: &Pair, to: &SocketAddr) -> io::Result<OwnedFd> {
        let near = socket(pair.transport)?;
        bind(&near, &SocketAddr::new(pair.source, self.ports.next()))?;
        begin_connect(&near, to)?;
        Ok(near)
    }
}

impl Taken {
    fn note(&mut self, round: usize, delay: Option<Duration>) {
        match delay {
            _ if round < WARM_UP => {}
            Some(delay) => self.delays.push(delay),
            None => self.late += 1,
        }
    }
}

fn socket(transport: Transport) -> io::Result<OwnedFd> {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp | Transport::Sctp => SocketType::DGRAM,
    };
    Ok(socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

fn begin_connect(socket: &OwnedFd, to: &SocketAddr) -> io::Result<()> {
    match connect(socket, to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends a payload from one socket to another, and says whether it was there at once.
fn pass(from: &OwnedFd, to: &OwnedFd) -> io::Result<bool> {
    send(from, &PAYLOAD, SendFlags::empty())?;
    let mut buffer = PAYLOAD;
    match recv(to, &mut buffer[..], RecvFlags::empty()) {
        Err(Errno::AGAIN) => {
            wait(to)?;
            recv(to, &mut buffer[..], RecvFlags::empty())?;
            Ok(false)
        }
        received => Ok(received.map(|_| true)?),
    }
}

/// Waits until a socket can be read.
fn wait(socket: &OwnedFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&LATE))? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, "a packet of an allowed flow was lost")),
        _ => Ok(()),
    }
}
