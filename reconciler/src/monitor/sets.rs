//! The shell: our sets as the kernel dumps them over netlink. The bytes are equal as long as nobody changes a set, and
//! no tool has to be started for them. See linux/netfilter/ipset/ip_set.h and nfnetlink.h.

use std::os::fd::OwnedFd;
use std::time::Duration;

use chainmail_contract::{SetName, is_cut_set};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// NFNL_SUBSYS_IPSET.
const SUBSYSTEM: u16 = 6;
/// IPSET_CMD_LIST.
const LIST: u16 = 7;
/// NLM_F_REQUEST and NLM_F_DUMP.
const DUMP: u16 = 0x1 | 0x300;
/// NLMSG_ERROR.
const ERROR: u16 = 2;
/// NLMSG_DONE.
const DONE: u16 = 3;
/// IPSET_ATTR_PROTOCOL, and the oldest protocol, which every kernel speaks.
const PROTOCOL: (u16, [u8; 1]) = (1, [6]);
/// IPSET_ATTR_SETNAME.
const NAME: u16 = 2;
/// IPSET_ATTR_FLAGS, with NLA_F_NET_BYTEORDER.
const FLAGS: u16 = 6 | 0x4000;
/// 1 << IPSET_FLAG_BIT_LIST_SETNAME: names alone.
const NAMES_ALONE: u32 = 1 << 1;
/// The lengths of nlmsghdr and of nfgenmsg.
const HEADERS: (usize, usize) = (16, 4);
/// What the kernel sends at once is at most half of this.
const BUFFER: usize = 64 * 1024;
/// The kernel answers at once; one that does not is no reason to hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket over which sets are dumped.
#[derive(Debug)]
pub struct Sets {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// Tells the answer to one question from what is left of the one before.
    sequence: u32,
}

impl Sets {
    /// Opens the socket. Asking takes CAP_NET_ADMIN.
    ///
    /// # Errors
    /// When the kernel has no such sockets.
    pub fn open() -> std::io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Adds to `all` what the kernel says of each of our sets: type, options and members. Of the sets of cut flows only
    /// that they are there: their members come and go by themselves.
    ///
    /// # Errors
    /// When the kernel refuses, for instance since a set is gone by the time that it is asked for.
    pub fn dump(&mut self, all: &mut Vec<u8>) -> std::io::Result<()> {
        let mut names = Vec::new();
        self.ask(&[(FLAGS, &NAMES_ALONE.to_be_bytes())], |payload| names.extend(name(payload)))?;
        for name in names {
            all.extend(name.as_str().as_bytes());
            all.push(0);
            if !is_cut_set(&name) {
                let asked = [name.as_str().as_bytes(), &[0]].concat();
                self.ask(&[(NAME, &asked)], |payload| all.extend(payload))?;
            }
        }
        Ok(())
    }

    /// Asks for a dump, and hands over each message without its headers.
    fn ask(&mut self, attributes: &[(u16, &[u8])], mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        send(&self.socket, &question(self.sequence, attributes), SendFlags::empty())?;
        loop {
            let (length, _) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                match message {
                    Message { sequence, .. } if sequence != self.sequence => {}
                    Message { kind: DONE, .. } => return Ok(()),
                    Message { kind: ERROR, payload, .. } => {
                        let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                        return Err(std::io::Error::from_raw_os_error(-code));
                    }
                    Message { payload, .. } => each(payload.get(HEADERS.1..).unwrap_or_default()),
                }
            }
        }
    }
}

fn question(sequence: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; HEADERS.1];
    for (kind, value) in [(PROTOCOL.0, PROTOCOL.1.as_slice())].into_iter().chain(attributes.iter().copied()) {
        let length = u16::try_from(value.len() + 4).expect("names are short");
        body.extend(length.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = u32::try_from(HEADERS.0 + body.len()).expect("names are short");
    let mut question = Vec::with_capacity(HEADERS.0 + body.len());
    question.extend(length.to_ne_bytes());
    question.extend((SUBSYSTEM << 8 | LIST).to_ne_bytes());
    question.extend(DUMP.to_ne_bytes());
    question.extend(sequence.to_ne_bytes());
    // The kernel knows the socket.
    question.extend(0_u32.to_ne_bytes());
    question.extend(body);
    question
}

/// A netlink message.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// The messages of one read. What is cut short ends them.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let payload = bytes.get(HEADERS.0..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, sequence, payload })
    })
}

/// The name in a message about a set, where it is one of ours.
fn name(mut attributes: &[u8]) -> Option<SetName> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        if kind == NAME {
            let text = attributes.get(4..length)?.split(|byte| *byte == 0).next()?;
            return std::str::from_utf8(text).ok()?.parse().ok();
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_the_layout_of_netlink() {
        let name = [b"cm4-a".as_slice(), &[0]].concat();
        let question = question(7, &[(NAME, &name)]);
        let [message] = messages(&question).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((message.kind, message.sequence), (0x0607, 7));
        assert_eq!(question.len() % 4, 0);
        assert_eq!(super::name(&message.payload[HEADERS.1..]), "cm4-a".parse().ok());
    }

    #[test]
    fn what_is_cut_short_or_not_ours_is_passed_over() {
        let whole = question(1, &[(NAME, b"KUBE-X\0")]);
        assert_eq!(name(&whole[HEADERS.0 + HEADERS.1..]), None);
        for end in 0..whole.len() {
            assert_eq!(messages(&whole[..end]).count(), 0, "{end}");
        }
        // A length of nothing must not be read for ever.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(name(&[0; 64]), None);
    }
}
