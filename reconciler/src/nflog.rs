//! The shell: denied packets as the kernel tells of them, by NFLOG.
//!
//! Binding a group needs `CAP_NET_ADMIN` in the user namespace that owns the network namespace, and a group has one
//! listener: linux/netfilter/nfnetlink_log.h.

use std::io;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

/// `NFNL_SUBSYS_ULOG << 8`, and below it the message.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = PACKET | 1;
/// `NLMSG_ERROR`, which is also how a request is acknowledged.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST: u16 = 1 | 4;
/// Of a header of netlink, and of that with one of nfnetlink behind it.
const HEADER: usize = 16;
const HEADERS: usize = HEADER + 4;
/// Attributes of a configuration: the command, with `NFULNL_CFG_CMD_BIND`, how much of a packet is wanted, and how long
/// packets may be held back.
const CFG_CMD: u16 = 1;
const CFG_MODE: u16 = 2;
const CFG_TIMEOUT: u16 = 4;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
/// Enough for the headers of any packet.
const COPIED: u32 = 256;
/// In hundredths of a second.
const HELD_BACK: u32 = 10;
/// Attributes of a packet.
const IN_DEVICE: u16 = 4;
const OUT_DEVICE: u16 = 5;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
/// The kernel sends a hundred packets at once.
const BUFFER: usize = 128 * 1024;

/// A packet that was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `--nflog-prefix`.
    pub prefix: String,
    /// The packet from its IP header on, or the beginning of it.
    pub bytes: Vec<u8>,
    /// Where it came in and is to leave.
    pub interfaces: [Option<String>; 2],
}

/// What the kernel had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// These.
    Packets(Vec<Told>),
    /// More than could be read.
    Lost,
    /// Nothing in the time given.
    Nothing,
}

/// A group that is listened to, until this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Listener {
    /// Listens to a group of this network namespace.
    ///
    /// # Errors
    /// Without the capability, and when another program listens.
    pub fn bind(group: u16) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        let mut listener = Self { socket, buffer: vec![0; BUFFER] };
        let mode = [&COPIED.to_be_bytes()[..], &[COPY_PACKET, 0]].concat();
        let timeout = HELD_BACK.to_be_bytes();
        for (kind, value) in [(CFG_CMD, &[BIND][..]), (CFG_MODE, &mode), (CFG_TIMEOUT, &timeout)] {
            listener.configure(group, kind, value)?;
        }
        Ok(listener)
    }

    fn configure(&mut self, group: u16, kind: u16, value: &[u8]) -> io::Result<()> {
        send(&self.socket, &request(group, kind, value), SendFlags::empty())?;
        // Packets may come before the answer.
        loop {
            let (read, _) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            for (kind, message) in messages(self.buffer.get(..read).unwrap_or_default()) {
                if kind == ERROR {
                    let code = message.get(HEADER..).and_then(|rest| rest.first_chunk()).copied();
                    return match i32::from_ne_bytes(code.unwrap_or_default()) {
                        0 => Ok(()),
                        code => Err(io::Error::from_raw_os_error(-code)),
                    };
                }
            }
        }
    }

    /// Waits for news, but not longer than this.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&mut self, longest: Duration) -> io::Result<News> {
        // No time at all would mean for ever.
        set_socket_timeout(&self.socket, Timeout::Recv, Some(longest.max(Duration::from_millis(1))))?;
        match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((read, _)) => {
                let messages = messages(self.buffer.get(..read).unwrap_or_default());
                let packets = messages.filter(|(kind, _)| *kind == PACKET);
                Ok(News::Packets(packets.map(|(_, message)| self.told(message)).collect()))
            }
            Err(Errno::NOBUFS) => Ok(News::Lost),
            Err(Errno::AGAIN | Errno::INTR) => Ok(News::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    fn told(&self, message: &[u8]) -> Told {
        let mut told = Told { prefix: String::new(), bytes: Vec::new(), interfaces: [None, None] };
        let name = |value: &[u8]| {
            let index = u32::from_be_bytes(*value.first_chunk()?);
            netlink_name(&self.socket, index)
        };
        for (kind, value) in attributes(message.get(HEADERS..).unwrap_or_default()) {
            match kind {
                PREFIX => told.prefix = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
                PAYLOAD => told.bytes = value.to_vec(),
                IN_DEVICE => told.interfaces[0] = name(value),
                OUT_DEVICE => told.interfaces[1] = name(value),
                _ => {}
            }
        }
        told
    }
}

/// An interface that is gone has no name any more.
fn netlink_name(socket: &OwnedFd, index: u32) -> Option<String> {
    rustix::net::netdevice::index_to_name(socket, index).ok()
}

/// A request about a group with one attribute, padded to four bytes: netlink(7).
fn request(group: u16, kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute = 4 + value.len();
    let length = HEADERS + attribute.next_multiple_of(4);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).expect("a few bytes").to_ne_bytes());
    bytes.extend(CONFIG.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Neither the sequence nor the sender is looked at.
    bytes.extend([0; 8]);
    // AF_UNSPEC and NFNETLINK_V0.
    bytes.extend([0; 2]);
    bytes.extend(group.to_be_bytes());
    bytes.extend(u16::try_from(attribute).expect("a few bytes").to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length, 0);
    bytes
}

/// The messages of a datagram, each with its kind and its headers.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    chunks(bytes, HEADER, |header| {
        let length = u32::from_ne_bytes(*header.first_chunk()?);
        Some((usize::try_from(length).ok()?, u16::from_ne_bytes(*header.get(4..)?.first_chunk()?)))
    })
}

/// The attributes of a message, each with its kind and its value.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let all = chunks(bytes, 4, |header| {
        let length = u16::from_ne_bytes(*header.first_chunk()?);
        Some((length.into(), u16::from_ne_bytes(*header.get(2..)?.first_chunk()?)))
    });
    all.filter_map(|(kind, chunk)| Some((kind, chunk.get(4..)?)))
}

/// Chunks that say their length and kind in a header, at multiples of four bytes. What does not add up ends them.
fn chunks(
    mut bytes: &[u8],
    header: usize,
    read: impl Fn(&[u8]) -> Option<(usize, u16)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = read(bytes)?;
        let chunk = bytes.get(..length).filter(|chunk| chunk.len() >= header)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, chunk))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_reads_back_and_what_is_cut_off_ends() {
        let bytes = request(67, CFG_MODE, &[0, 0, 1, 0, 2, 0]);
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0, CONFIG);
        let inside: Vec<_> = attributes(&all[0].1[HEADERS..]).collect();
        assert_eq!(inside, [(CFG_MODE, &[0, 0, 1, 0, 2, 0][..])]);
        for length in 0..bytes.len() {
            assert_eq!(messages(&bytes[..length]).count(), 0, "{length}");
        }
        let twice = [&bytes[..], &bytes[..]].concat();
        assert_eq!(messages(&twice).count(), 2);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
