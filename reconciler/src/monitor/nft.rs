//! The shell: the kernel's own news of changed nft tables, so that what others do is seen at once.

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// The bit of the group NFNLGRP_NFTABLES, which is 7: linux/netfilter/nfnetlink.h.
const NFTABLES_GROUP: u32 = 1 << (7 - 1);
/// More than a page, as netlink(7) advises; what is cut off is not needed.
const BUFFER: usize = 32 * 1024;
/// Every message about a table, chain or rule carries the table's name, NUL-terminated.
const TABLE: &[u8] = b"filter\0";

/// Calls `changed` whenever table `filter` changed, by whoever, until it returns `false`.
///
/// # Errors
/// When the kernel does not give such news.
pub fn watch(mut changed: impl FnMut() -> bool) -> std::io::Result<()> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, NFTABLES_GROUP))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let news = match recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((read, _)) => {
                buffer.get(..read).unwrap_or_default().windows(TABLE.len()).any(|bytes| bytes == TABLE)
            }
            Err(Errno::INTR) => false,
            // More happened than the kernel could tell: recv(2) of netlink(7).
            Err(Errno::NOBUFS) => true,
            Err(error) => return Err(error.into()),
        };
        if news && !changed() {
            return Ok(());
        }
    }
}
