//! STUN as the keep-alive of a UDP flow (RFC 5626 §4.4.2, §8; RFC 8489): a Binding request is answered with the address that
//! it came from. Pure.
//!
//! Nobody proves who he is here, so nothing is believed and nothing kept. A message of STUN begins with two zero bits, one of
//! SIP with a letter.

use std::net::{IpAddr, SocketAddr};

/// What a datagram that begins with two zero bits comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A Binding request, and its answer.
    Asked(Vec<u8>),
    /// A Binding indication: it has kept the way open by having come.
    Told,
    /// It is no such message, or a response, which nobody waits for.
    Noise,
}

/// Reads a datagram that came from `from`.
pub fn hear(datagram: &[u8], from: SocketAddr) -> Heard {
    let Some(request) = Request::read(datagram) else { return Heard::Noise };
    match request.kind {
        BINDING_REQUEST => Heard::Asked(request.answer(from)),
        BINDING_INDICATION => Heard::Told,
        _ => Heard::Noise,
    }
}

/// A message that is well formed.
struct Request<'a> {
    kind: u16,
    transaction: &'a [u8],
    has_fingerprint: bool,
    /// Types of attributes that may not be left unread, and are not known here: the first few.
    unknown: Vec<u16>,
}

impl<'a> Request<'a> {
    /// RFC 8489 §6.3: a message that is not whole, or whose fingerprint is not its own, is left alone.
    fn read(datagram: &'a [u8]) -> Option<Request<'a>> {
        let (header, mut rest) = datagram.split_first_chunk::<HEADER>()?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_stun =
            kind >> 14 == 0 && header[4..8] == MAGIC_COOKIE && length == rest.len() && length % 4 == 0;
        if !is_stun {
            return None;
        }
        let mut request =
            Request { kind, transaction: &datagram[8..HEADER], has_fingerprint: false, unknown: Vec::new() };
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let attribute = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = behind.get(..length)?;
            if attribute == FINGERPRINT {
                // RFC 8489 §14.7: it is the last one, over all before it.
                let signed = datagram.len() - rest.len();
                let is_last = behind.len() == length;
                if !is_last || value != fingerprint(datagram.get(..signed)?) {
                    return None;
                }
                request.has_fingerprint = true;
            } else if attribute < OPTIONAL
                && !KNOWN.contains(&attribute)
                && request.unknown.len() < UNKNOWN_MAX
            {
                request.unknown.push(attribute);
            }
            rest = behind.get(length.next_multiple_of(4)..)?;
        }
        rest.is_empty().then_some(request)
    }

    fn answer(&self, from: SocketAddr) -> Vec<u8> {
        let is_refused = !self.unknown.is_empty();
        let kind = if is_refused { BINDING_ERROR } else { BINDING_SUCCESS };
        let mut answer = Vec::with_capacity(ANSWER_USUAL);
        answer.extend_from_slice(&kind.to_be_bytes());
        answer.extend_from_slice(&[0, 0]);
        answer.extend_from_slice(&MAGIC_COOKIE);
        answer.extend_from_slice(self.transaction);
        if is_refused {
            // RFC 8489 §6.3.1: 420, with what was not understood.
            put(&mut answer, ERROR_CODE, &[0, 0, 4, 20]);
            let unknown: Vec<u8> = self.unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            put(&mut answer, UNKNOWN_ATTRIBUTES, &unknown);
        } else {
            self.put_address(from, &mut answer);
        }
        // The length of a message counts its fingerprint, which is made over it.
        set_length(&mut answer, if self.has_fingerprint { 8 } else { 0 });
        if self.has_fingerprint {
            let own = fingerprint(&answer);
            put(&mut answer, FINGERPRINT, &own);
        }
        answer
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2), which no NAT takes for an address of its own to rewrite.
    fn put_address(&self, from: SocketAddr, answer: &mut Vec<u8>) {
        // A socket for both families shows IPv4 as a part of IPv6.
        let ip = from.ip().to_canonical();
        let port = (from.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]])).to_be_bytes();
        let mask = MAGIC_COOKIE.iter().chain(self.transaction);
        let masked =
            |octets: &[u8]| octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect::<Vec<_>>();
        let (family, address) = match ip {
            IpAddr::V4(ip) => (1, masked(&ip.octets())),
            IpAddr::V6(ip) => (2, masked(&ip.octets())),
        };
        put(answer, XOR_MAPPED_ADDRESS, &[&[0, family][..], &port, &address].concat());
    }
}

fn put(answer: &mut Vec<u8>, attribute: u16, value: &[u8]) {
    answer.extend_from_slice(&attribute.to_be_bytes());
    // A value of ours has some tens of octets.
    answer.extend_from_slice(&(value.len() as u16).to_be_bytes());
    answer.extend_from_slice(value);
    answer.resize(answer.len().next_multiple_of(4), 0);
}

fn set_length(answer: &mut [u8], more: usize) {
    let length = (answer.len() + more).saturating_sub(HEADER) as u16;
    if let Some(field) = answer.get_mut(2..4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// RFC 8489 §14.7: the CRC-32 of all before it, by a mask that tells it from other protocols' sums.
fn fingerprint(before: &[u8]) -> [u8; 4] {
    let mut sum = u32::MAX;
    for octet in before {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            let is_odd = sum & 1 == 1;
            sum = sum >> 1 ^ if is_odd { 0xedb8_8320 } else { 0 };
        }
    }
    (!sum ^ 0x5354_554e).to_be_bytes()
}

/// Reads `data` as a datagram.
///
/// # Panics
///
/// When an answer is longer than what it may be, or not of its request.
pub fn fuzz_stun(data: &[u8]) {
    let from = SocketAddr::from(([192, 0, 2, 1], 40_000));
    let Heard::Asked(answer) = hear(data, from) else { return };
    assert!(answer.len() <= data.len() + GROWTH_MAX, "an answer is not much longer than its request");
    assert_eq!(answer[4..HEADER], data[4..HEADER], "an answer has the transaction of its request");
    assert!(Request::read(&answer).is_some(), "an answer is well formed");
    assert_eq!(hear(&answer, from), Heard::Noise, "an answer is never answered");
}

/// Octets of a header: type, length, cookie and transaction.
const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// Attributes from here on may be left unread.
const OPTIONAL: u16 = 0x8000;
/// Those below that are known: addresses, errors, and credentials, which this usage has no need of and does not look at.
const KNOWN: [u16; 11] =
    [0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x0014, 0x0015, 0x001c, 0x001d, 0x001e, 0x0020];
/// How many that are not known an answer lists.
const UNKNOWN_MAX: usize = 4;
/// Octets of an answer to IPv6 with a fingerprint.
const ANSWER_USUAL: usize = 52;
/// By how many octets an answer may be longer than its request.
const GROWTH_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these attributes behind its header.
    fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(b"abcdefghijkl");
        message.extend_from_slice(attributes);
        message
    }

    fn with_fingerprint(mut message: Vec<u8>) -> Vec<u8> {
        set_length(&mut message, 8);
        let own = fingerprint(&message);
        put(&mut message, FINGERPRINT, &own);
        message
    }

    fn asked(message: &[u8], from: &str) -> Vec<u8> {
        match hear(message, from.parse().unwrap()) {
            Heard::Asked(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// RFC 5769 §2.1, §2.2 and §2.3: the transaction, the addresses and the octets of the sample messages.
    #[test]
    fn the_address_of_a_sender_is_told_as_the_samples_of_rfc_5769_have_it() {
        let mut request = message(BINDING_REQUEST, &[]);
        request[8..]
            .copy_from_slice(&[0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
        let answer = asked(&request, "192.0.2.1:32853");
        assert_eq!(answer[..4], [0x01, 0x01, 0x00, 0x0c]);
        assert_eq!(answer[4..20], request[4..20]);
        assert_eq!(answer[20..], [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let answer = asked(&request, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
        assert_eq!(
            answer[20..],
            [
                0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1,
                0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9
            ]
        );
        assert_eq!(asked(&request, "[::ffff:192.0.2.1]:32853"), asked(&request, "192.0.2.1:32853"));
    }

    #[test]
    fn a_crc_is_the_one_that_everybody_has() {
        let sum = u32::from_be_bytes(fingerprint(b"123456789")) ^ 0x5354_554e;
        assert_eq!(sum, 0xcbf4_3926);
    }

    #[test]
    fn a_fingerprint_is_checked_and_answered_with_one() {
        let request = with_fingerprint(message(BINDING_REQUEST, b"\x80\x22\0\x03ims\0"));
        let answer = asked(&request, "192.0.2.1:5060");
        assert_eq!(answer.len(), HEADER + 12 + 8);
        assert_eq!(answer[2..4], [0, 20]);
        assert!(Request::read(&answer).is_some_and(|answer| answer.has_fingerprint));
        // Without its type it is another attribute, which may be left unread.
        let kind = request.len() - 8;
        for at in (0..request.len()).filter(|at| !(kind..kind + 2).contains(at)) {
            let mut changed = request.clone();
            changed[at] ^= 1;
            assert_eq!(hear(&changed, "192.0.2.1:5060".parse().unwrap()), Heard::Noise, "octet {at}");
        }
        let mut followed = [&request[..], b"\x80\x22\0\0"].concat();
        set_length(&mut followed, 0);
        assert_eq!(hear(&followed, "192.0.2.1:5060".parse().unwrap()), Heard::Noise);
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused_by_name() {
        // CHANGE-REQUEST of RFC 3489, and one that nobody has defined.
        let request = message(BINDING_REQUEST, b"\0\x03\0\x04\0\0\0\0\x7f\xff\0\0");
        let answer = asked(&request, "192.0.2.1:5060");
        assert_eq!(answer[..2], BINDING_ERROR.to_be_bytes());
        assert_eq!(answer[20..], *b"\0\x09\0\x04\0\0\x04\x14\0\x0a\0\x04\0\x03\x7f\xff");
        // Credentials are no matter here, and what is optional may be anything.
        let known = message(BINDING_REQUEST, b"\0\x06\0\x05alice\0\0\0\x90\x01\0\0");
        assert_eq!(asked(&known, "192.0.2.1:5060")[..2], BINDING_SUCCESS.to_be_bytes());
    }

    #[test]
    fn nothing_else_is_answered() {
        let from = "192.0.2.1:5060".parse().unwrap();
        assert_eq!(hear(&message(BINDING_INDICATION, &[]), from), Heard::Told);
        let mut old = message(BINDING_REQUEST, &[]);
        old[4] = 0;
        let whole = message(BINDING_REQUEST, b"\0\x06\0\x05alice\0\0\0");
        for noise in [
            message(BINDING_SUCCESS, &[]),
            message(BINDING_ERROR, &[]),
            message(0x0003, &[]),
            old,
            message(BINDING_REQUEST, b"\0\x06"),
            message(BINDING_REQUEST, b"\0\x06\xff\xff"),
            [message(BINDING_REQUEST, &[]), vec![0]].concat(),
        ] {
            assert_eq!(hear(&noise, from), Heard::Noise, "{noise:?}");
        }
        for length in 0..whole.len() {
            assert_eq!(hear(&whole[..length], from), Heard::Noise, "cut to {length}");
        }
    }
}
