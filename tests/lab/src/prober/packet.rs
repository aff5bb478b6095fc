//! Packets that no ordinary socket sends: an SCTP INIT (this works where the kernel has no SCTP), an ICMP echo. Each
//! carries a token that tells probes apart.

use chainmail_contract::Family;

/// RFC 9260 3.3.2: the parts of an INIT chunk after the common header.
const INIT_CHUNK: usize = 20;
/// Source port, destination port, verification tag, checksum.
const COMMON_HEADER: usize = 12;

/// An SCTP packet with one INIT chunk whose initiate tag is the token.
pub(super) fn sctp_init(token: u32, source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut packet = Vec::with_capacity(COMMON_HEADER + INIT_CHUNK);
    packet.extend(source_port.to_be_bytes());
    packet.extend(destination_port.to_be_bytes());
    // Verification tag (0 in a packet with INIT) and checksum.
    packet.extend([0; 8]);
    // Type INIT, no flags, length.
    packet.extend([1, 0, 0, 20]);
    packet.extend(token.to_be_bytes());
    // Receiver window, outbound and inbound streams, initial TSN.
    packet.extend(65_536u32.to_be_bytes());
    packet.extend([0, 1, 0, 1]);
    packet.extend(token.to_be_bytes());
    let checksum = crc32c(&packet);
    // RFC 9260 appendix A: the CRC is sent with its low byte first.
    packet[8..12].copy_from_slice(&checksum.to_le_bytes());
    packet
}

/// Token and destination port of an INIT.
pub(super) fn read_sctp_init(payload: &[u8]) -> Option<(u32, u16)> {
    let port = payload.get(2..4)?.try_into().ok()?;
    let tag = payload.get(16..20)?.try_into().ok()?;
    (payload.get(12) == Some(&1)).then_some((u32::from_be_bytes(tag), u16::from_be_bytes(port)))
}

/// An echo request. The kernel fills in ICMPv6's checksum, which covers addresses.
pub(super) fn echo_request(family: Family, token: u32) -> Vec<u8> {
    let [a, b, c, d] = token.to_be_bytes();
    let kind = match family {
        Family::V4 => 8,
        Family::V6 => 128,
    };
    // Type, code, checksum, identifier, sequence number, payload. The identifier is to conntrack what ports are.
    let mut packet = vec![kind, 0, 0, 0, c, d, 0, 1, a, b, c, d];
    if family == Family::V4 {
        let checksum = internet_checksum(&packet);
        packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

/// The token of an echo reply.
pub(super) fn read_echo_reply(family: Family, payload: &[u8]) -> Option<u32> {
    let kind = match family {
        Family::V4 => 0,
        Family::V6 => 129,
    };
    let token = payload.get(8..12)?.try_into().ok()?;
    (payload.first() == Some(&kind)).then(|| u32::from_be_bytes(token))
}

/// What a raw socket's packet carries: raw(7) hands IPv4's header over too, and IPv6's not.
pub(super) fn payload(family: Family, packet: &[u8]) -> &[u8] {
    let header = match family {
        Family::V4 => packet.first().map_or(0, |first| usize::from(first & 0xf) * 4),
        Family::V6 => 0,
    };
    packet.get(header..).unwrap_or_default()
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("the carries were folded in")
}

/// CRC-32C (Castagnoli), bits reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        // The check value that RFC 3720 B.4 and every catalogue of CRCs give.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        // RFC 1071 section 3.
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn tokens_come_back() {
        assert_eq!(read_sctp_init(&sctp_init(7, 4_000, 3_868)), Some((7, 3_868)));
        assert_eq!(read_sctp_init(&[0; 11]), None);
        for family in Family::ALL {
            let mut packet = echo_request(family, 0x0102_0304);
            assert_eq!(read_echo_reply(family, &packet), None, "a request is no reply");
            packet[0] = if family == Family::V4 { 0 } else { 129 };
            assert_eq!(read_echo_reply(family, &packet), Some(0x0102_0304));
        }
        assert_eq!(payload(Family::V4, &[0x45; 22]).len(), 2);
        assert_eq!(payload(Family::V4, &[0x4f, 0]), &[] as &[u8]);
    }
}
