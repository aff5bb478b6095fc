//! The sockets of probes. They are opened on a thread inside their namespace; what happens later happens there too,
//! from whichever thread.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use chainmail_contract::{Family, Transport};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, bind, ipproto, listen, socket_with};

use super::{source_port, token};
use crate::probe::Service;

/// Room for the packets of a whole round, most of which arrive before any is read.
const BUFFER: usize = 8 << 20;
/// As many connections as a round may open; nobody accepts them.
const BACKLOG: i32 = 4096;

fn domain(address: IpAddr) -> AddressFamily {
    match Family::of(address) {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    }
}

fn open(address: IpAddr, kind: SocketType, protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(domain(address), kind, flags, protocol)?)
}

/// A socket from which one probe is sent.
pub(super) fn sender(service: Service, source: IpAddr) -> io::Result<OwnedFd> {
    let socket = match service {
        Service::Port { transport: Transport::Tcp, .. } => open(source, SocketType::STREAM, None)?,
        Service::Port { transport: Transport::Udp, .. } => open(source, SocketType::DGRAM, None)?,
        Service::Port { transport: Transport::Sctp, .. } => {
            open(source, SocketType::RAW, Some(ipproto::SCTP))?
        }
        Service::Echo => {
            let protocol = if source.is_ipv4() { ipproto::ICMP } else { ipproto::ICMPV6 };
            open(source, SocketType::RAW, Some(protocol))?
        }
    };
    match service {
        Service::Port { transport: Transport::Tcp | Transport::Udp, .. } => {
            bind_to_new_port(&socket, source)?;
        }
        Service::Port { transport: Transport::Sctp, .. } | Service::Echo => {
            bind(&socket, &SocketAddr::new(source, 0))?;
        }
    }
    Ok(socket)
}

/// Takes a port that no earlier probe was sent from, passing by those that others have.
fn bind_to_new_port(socket: &OwnedFd, source: IpAddr) -> rustix::io::Result<()> {
    for _ in 0..1000 {
        match bind(socket, &SocketAddr::new(source, source_port(token()))) {
            Err(Errno::ADDRINUSE) => {}
            result => return result,
        }
    }
    Err(Errno::ADDRINUSE)
}

/// What stands at a destination while probes arrive.
#[derive(Debug)]
pub(super) enum Receiver {
    /// A TCP listener: the kernel completes the handshakes.
    Listener(#[expect(dead_code, reason = "it listens as long as it is held")] OwnedFd),
    /// A UDP socket, which sends back what it gets.
    Mirror(OwnedFd),
    /// A raw socket that sees every SCTP packet.
    Sctp(OwnedFd),
    /// The kernel itself, or a program of the lab's user that has the TCP port already.
    Other,
}

impl Receiver {
    /// The socket that must be read, if there is one.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Receiver::Mirror(socket) | Receiver::Sctp(socket) => Some(socket.as_fd()),
            Receiver::Listener(_) | Receiver::Other => None,
        }
    }
}

/// Opens what `service` needs at an address.
pub(super) fn receiver(service: Service, address: IpAddr) -> io::Result<Receiver> {
    match service {
        Service::Port { transport: Transport::Tcp, number } => {
            let socket = open(address, SocketType::STREAM, None)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            let at = SocketAddr::new(address, number);
            match patiently(|| bind(&socket, &at).and_then(|()| listen(&socket, BACKLOG))) {
                Err(Errno::ADDRINUSE) => Ok(Receiver::Other),
                result => Ok(result.map(|()| Receiver::Listener(socket))?),
            }
        }
        Service::Port { transport: Transport::Udp, number } => {
            let socket = open(address, SocketType::DGRAM, None)?;
            patiently(|| bind(&socket, &SocketAddr::new(address, number)))?;
            sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
            Ok(Receiver::Mirror(socket))
        }
        Service::Port { transport: Transport::Sctp, .. } => {
            let socket = open(address, SocketType::RAW, Some(ipproto::SCTP))?;
            bind(&socket, &SocketAddr::new(address, 0))?;
            sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
            Ok(Receiver::Sctp(socket))
        }
        Service::Echo => Ok(Receiver::Other),
    }
}

/// Tries again while the address is in use: a program that another thread is starting holds copies of the last round's
/// sockets from its fork(2) to its execve(2).
fn patiently(take: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    for _ in 0..20 {
        match take() {
            Err(Errno::ADDRINUSE) => thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
    take()
}
