//! The shell: real packets for many probes at once.
//!
//! A round opens a socket for every probe, sends from all of them, and then waits for answers until none has come for
//! a while. What nobody answered is asked once more, with longer patience, so that a lost packet is not a denial.
//!
//! - TCP: the handshake completes with a listener at the destination.
//! - UDP: a datagram comes back.
//! - SCTP: an INIT is seen at the destination; nobody answers it.
//! - ICMP: an echo comes back.

mod packet;
mod socket;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chainmail_contract::{Family, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, connect, recv, recvfrom, send, sendto, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::layout::{NetnsName, Place};
use crate::netns::{NetnsError, within};
use crate::probe::{Observed, Service};
use socket::Receiver;

/// How long a round waits after the last answer. Namespaces answer within a millisecond; the rest is for a busy machine.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(600)];
/// How many probes a round sends, each with a socket of its own.
const ROUND: usize = 1000;

/// A probe with the places of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aim<'a> {
    pub(crate) service: Service,
    pub(crate) source: Place<'a>,
    pub(crate) destination: Place<'a>,
}

/// Probes that could not be made; not to be mistaken for denied ones.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// A namespace could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A socket could not be opened.
    #[error("cannot open a socket for {service} at {address} in {netns}: {source}")]
    Socket {
        /// For what.
        service: Service,
        /// At which address.
        address: IpAddr,
        /// Where.
        netns: NetnsName,
        /// Why.
        source: io::Error,
    },
    /// poll(2) failed.
    #[error("cannot wait for answers: {source}")]
    Poll {
        /// Why.
        source: io::Error,
    },
}

/// Sends all probes and says what became of each.
pub(crate) fn run(aims: &[Aim<'_>]) -> Result<Vec<Observed>, ProbeError> {
    raise_file_limit();
    let mut results = Vec::with_capacity(aims.len());
    for aims in aims.chunks(ROUND) {
        let mut observed = Round::open(aims)?.run(PATIENCE[0])?;
        let silent = |index: &usize| observed[*index] == Observed::Denied;
        let again: Vec<usize> = (0..aims.len()).filter(silent).collect();
        if !again.is_empty() {
            let second: Vec<Aim<'_>> = again.iter().map(|&index| aims[index].clone()).collect();
            for (index, result) in again.into_iter().zip(Round::open(&second)?.run(PATIENCE[1])?) {
                observed[index] = result;
            }
        }
        results.extend(observed);
    }
    Ok(results)
}

/// A number that no other probe of this process has, nor, but for chance, one of another process. Source ports and
/// ICMP identifiers are made of it, so that no probe is taken for an earlier one's flow, which conntrack remembers for
/// minutes and rules may let pass.
fn token() -> u32 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        let random = RandomState::new().build_hasher().finish();
        AtomicU32::new(u32::try_from(random >> 32).expect("32 bits are left"))
    });
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn source_port(token: u32) -> u16 {
    u16::try_from(10_000 + token % 50_000).expect("60,000 is within 16 bits")
}

/// Lets this process open as many files as it may: a round's sockets alone are more than the usual 1024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, opening the sockets says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

struct Round<'a> {
    aims: &'a [Aim<'a>],
    senders: Vec<OwnedFd>,
    tokens: Vec<u32>,
    receivers: Vec<(Family, Receiver)>,
    observed: Vec<Option<Observed>>,
}

/// What one namespace must hold.
#[derive(Default)]
struct Needs {
    receivers: BTreeSet<(Service, IpAddr)>,
    senders: Vec<usize>,
}

impl<'a> Round<'a> {
    fn open(aims: &'a [Aim<'a>]) -> Result<Self, ProbeError> {
        let mut needs: BTreeMap<&NetnsName, Needs> = BTreeMap::new();
        for (index, aim) in aims.iter().enumerate() {
            let Place { netns, address } = aim.destination;
            needs.entry(netns).or_default().receivers.insert((receiving(aim.service), address));
            needs.entry(aim.source.netns).or_default().senders.push(index);
        }
        let mut senders: BTreeMap<usize, OwnedFd> = BTreeMap::new();
        let mut receivers = Vec::new();
        for (netns, needs) in needs {
            within(netns, || open_all(aims, netns, &needs, &mut senders, &mut receivers))??;
        }
        Ok(Self {
            aims,
            senders: senders.into_values().collect(),
            tokens: aims.iter().map(|_| token()).collect(),
            receivers,
            observed: vec![None; aims.len()],
        })
    }

    fn run(mut self, patience: Duration) -> Result<Vec<Observed>, ProbeError> {
        for index in 0..self.aims.len() {
            if let Err(error) = self.launch(index) {
                self.observed[index] = Some(Observed::Broken(error.to_string()));
            }
        }
        let mut deadline = Instant::now() + patience;
        loop {
            let before = self.open_questions();
            let left = deadline.saturating_duration_since(Instant::now());
            if before == 0 || left.is_zero() {
                break;
            }
            self.wait(left)?;
            if self.open_questions() < before {
                deadline = Instant::now() + patience;
            }
        }
        Ok(self.observed.into_iter().map(|observed| observed.unwrap_or(Observed::Denied)).collect())
    }

    fn open_questions(&self) -> usize {
        self.observed.iter().filter(|observed| observed.is_none()).count()
    }

    fn launch(&mut self, index: usize) -> io::Result<()> {
        let Aim { service, destination, .. } = &self.aims[index];
        let (socket, token) = (&self.senders[index], self.tokens[index]);
        // A raw socket's port is its protocol's number, so none is given.
        let at = |port| SocketAddr::new(destination.address, port);
        let packet = match *service {
            Service::Port { transport: Transport::Tcp, number } => match connect(socket, &at(number)) {
                Ok(()) => {
                    self.observed[index] = Some(Observed::Allowed);
                    return Ok(());
                }
                Err(Errno::INPROGRESS) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
            Service::Port { transport: Transport::Udp, number } => {
                connect(socket, &at(number))?;
                token.to_be_bytes().to_vec()
            }
            Service::Port { transport: Transport::Sctp, number } => {
                connect(socket, &at(0))?;
                packet::sctp_init(token, source_port(token), number)
            }
            Service::Echo => {
                connect(socket, &at(0))?;
                packet::echo_request(Family::of(destination.address), token)
            }
        };
        send(socket, &packet, SendFlags::empty())?;
        Ok(())
    }

    /// Waits for something to happen, and takes in all that did.
    fn wait(&mut self, left: Duration) -> Result<(), ProbeError> {
        let waiting: Vec<usize> =
            (0..self.aims.len()).filter(|&index| self.observed[index].is_none()).collect();
        let ready = {
            let of_sender = |&index: &usize| {
                let is_tcp =
                    matches!(self.aims[index].service, Service::Port { transport: Transport::Tcp, .. });
                PollFd::new(&self.senders[index], if is_tcp { PollFlags::OUT } else { PollFlags::IN })
            };
            let mut fds: Vec<PollFd<'_>> = waiting.iter().map(of_sender).collect();
            let readable = self.receivers.iter().filter_map(|(_, receiver)| receiver.readable());
            fds.extend(readable.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            let timeout = Timespec::try_from(left).expect("patience is below a second");
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(ProbeError::Poll { source: error.into() }),
            }
            fds.iter().take(waiting.len()).map(|fd| !fd.revents().is_empty()).collect::<Vec<bool>>()
        };
        self.receive();
        for index in waiting.into_iter().zip(ready).filter_map(|(index, ready)| ready.then_some(index)) {
            if self.observed[index].is_none() {
                self.observed[index] = self.answer(index);
            }
        }
        Ok(())
    }

    /// What arrived at destinations: datagrams go back, INITs are what was waited for.
    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        let mut seen = BTreeSet::new();
        for (family, receiver) in &self.receivers {
            match receiver {
                Receiver::Mirror(socket) => {
                    while let Ok((_, length, Some(from))) =
                        recvfrom(socket, &mut buffer[..], RecvFlags::empty())
                    {
                        // When it cannot be sent back, its sender waits in vain, which is the result.
                        let _ = sendto(socket, &buffer[..length], SendFlags::empty(), &from);
                    }
                }
                Receiver::Sctp(socket) => {
                    while let Ok((_, length)) = recv(socket, &mut buffer[..], RecvFlags::empty()) {
                        seen.extend(packet::read_sctp_init(packet::payload(*family, &buffer[..length])));
                    }
                }
                Receiver::Listener(_) | Receiver::Other => {}
            }
        }
        for (index, aim) in self.aims.iter().enumerate() {
            if let Service::Port { transport: Transport::Sctp, number } = aim.service
                && self.observed[index].is_none()
                && seen.contains(&(self.tokens[index], number))
            {
                self.observed[index] = Some(Observed::Allowed);
            }
        }
    }

    /// What a sender's socket has to say, if that settles it.
    fn answer(&self, index: usize) -> Option<Observed> {
        let (socket, token) = (&self.senders[index], self.tokens[index]);
        let broken = |error: Errno| Some(Observed::Broken(io::Error::from(error).to_string()));
        let mut buffer = [0; 2048];
        let service = self.aims[index].service;
        if let Service::Port { transport: Transport::Tcp, .. } = service {
            return match sockopt::socket_error(socket) {
                Ok(Ok(())) => Some(Observed::Allowed),
                Ok(Err(error)) | Err(error) => broken(error),
            };
        }
        let family = Family::of(self.aims[index].source.address);
        loop {
            let packet = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, length)) => &buffer[..length],
                Err(Errno::AGAIN) => return None,
                Err(error) => return broken(error),
            };
            let is_answer = match service {
                Service::Echo => {
                    packet::read_echo_reply(family, packet::payload(family, packet)) == Some(token)
                }
                Service::Port { transport: Transport::Udp, .. } => packet == token.to_be_bytes(),
                // A raw sender also hears its peer's own INITs.
                Service::Port { .. } => false,
            };
            if is_answer {
                return Some(Observed::Allowed);
            }
        }
    }
}

/// One raw socket hears the SCTP packets of all ports.
fn receiving(service: Service) -> Service {
    match service {
        Service::Port { transport: Transport::Sctp, .. } => {
            Service::Port { transport: Transport::Sctp, number: 0 }
        }
        Service::Port { transport: Transport::Tcp | Transport::Udp, .. } | Service::Echo => service,
    }
}

fn open_all(
    aims: &[Aim<'_>],
    netns: &NetnsName,
    needs: &Needs,
    senders: &mut BTreeMap<usize, OwnedFd>,
    receivers: &mut Vec<(Family, Receiver)>,
) -> Result<(), ProbeError> {
    let fail = |service, address| {
        move |source| ProbeError::Socket { service, address, netns: netns.clone(), source }
    };
    for &(service, address) in &needs.receivers {
        let receiver = socket::receiver(service, address).map_err(fail(service, address))?;
        receivers.push((Family::of(address), receiver));
    }
    for &index in &needs.senders {
        let Aim { service, source, .. } = &aims[index];
        let socket = socket::sender(*service, source.address).map_err(fail(*service, source.address))?;
        senders.insert(index, socket);
    }
    Ok(())
}
