//! Keys in messages: nobody who reads a trace may read what they protect (TS 33.203 §6.1.1).
//!
//! CK and IK travel between the HSS, the S-CSCF and the P-CSCF, in Cx and in the challenge (TS 29.229 §6.3, TS 24.229
//! §7.2A); the HSS also tells the S-CSCF the expected RES, or for a password the hash that is as good as it. Their octets are
//! overwritten in place, so that lengths and framing stay.

use crate::entry::Protocol;

/// Overwrites the keys in a message.
pub(super) fn hide(protocol: Protocol, message: &mut [u8]) {
    match protocol {
        Protocol::Sip if message.starts_with(b"SIP/2.0 40") => hide_parameters(message),
        Protocol::Sip => {}
        Protocol::Diameter => {
            // In a request the AVP that else has RES has RAND and AUTS (TS 29.228 §6.3.1), which tell nothing.
            let is_answer = message.get(4).is_some_and(|flags| flags & 0x80 == 0);
            if let Some(avps) = message.get_mut(DIAMETER_HEADER..) {
                hide_avps(avps, is_answer, GROUPS_MAX);
            }
        }
    }
}

/// Overwrites what a user writes to another: the body of a MESSAGE, a text or a short message (RFC 3428, TS 24.341).
pub(super) fn hide_text(protocol: Protocol, message: &mut [u8]) {
    if protocol == Protocol::Sip
        && message.starts_with(b"MESSAGE ")
        && let Some(end) = memchr::memmem::find(message, b"\r\n\r\n")
    {
        message[end + 4..].fill(b'*');
    }
}

/// The values of `ck` and `ik`, in quotes or not.
fn hide_parameters(message: &mut [u8]) {
    let mut at = 0;
    while let Some(rest) = message.get_mut(at..).filter(|rest| rest.len() > 4) {
        let begins = matches!(rest[0], b' ' | b',' | b';' | b'\t');
        let is_key = rest[1..3].eq_ignore_ascii_case(b"ck") || rest[1..3].eq_ignore_ascii_case(b"ik");
        let value = &mut rest[3..];
        at += 1;
        let is_sign = |octet: &u8| matches!(octet, b' ' | b'=' | b'"');
        let start = value.iter().position(|octet| !is_sign(octet)).unwrap_or(value.len());
        if begins && is_key && value[..start].contains(&b'=') {
            let digits = value[start..].iter().position(|octet| !octet.is_ascii_hexdigit());
            let end = digits.map_or(value.len(), |digits| start + digits);
            value[start..end].fill(b'*');
        }
    }
}

/// The AVPs Confidentiality-Key and Integrity-Key, in answers those that prove a user, and all of them in groups.
fn hide_avps(mut avps: &mut [u8], is_answer: bool, depth: usize) {
    loop {
        let Some(header) = avps.first_chunk::<8>().copied() else { return };
        let code = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let length = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
        let data_at = if header[4] & 0x80 != 0 { 12 } else { 8 };
        let Some(data) = avps.get_mut(data_at..length) else { return };
        match code {
            CONFIDENTIALITY_KEY | INTEGRITY_KEY => data.fill(b'*'),
            SIP_AUTHORIZATION | DIGEST_HA1 if is_answer => data.fill(b'*'),
            SIP_AUTH_DATA_ITEM | SIP_DIGEST_AUTHENTICATE if depth > 0 => {
                hide_avps(data, is_answer, depth - 1)
            }
            _ => {}
        }
        let Some(rest) = avps.get_mut(length.next_multiple_of(4)..) else { return };
        avps = rest;
    }
}

const DIAMETER_HEADER: usize = 20;
const GROUPS_MAX: usize = 2;
const DIGEST_HA1: u32 = 121;
const SIP_AUTHORIZATION: u32 = 610;
const SIP_AUTH_DATA_ITEM: u32 = 612;
const CONFIDENTIALITY_KEY: u32 = 625;
const INTEGRITY_KEY: u32 = 626;
const SIP_DIGEST_AUTHENTICATE: u32 = 635;

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        hide(Protocol::Sip, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_keys_of_a_challenge_are_hidden_and_nothing_else() {
        for (challenge, expected) in [
            ("Digest realm=\"h\",ck=\"00ff\",ik=\"ff00\"", "Digest realm=\"h\",ck=\"****\",ik=\"****\""),
            ("Digest realm=\"h\", CK = 00ff, IK=\"ff00", "Digest realm=\"h\", CK = ****, IK=\"****"),
            ("Digest tick=\"1\",nick=2,nonce=\"ck\"", "Digest tick=\"1\",nick=2,nonce=\"ck\""),
            ("Digest ck=", "Digest ck="),
            ("Digest ck", "Digest ck"),
        ] {
            let message =
                |challenge: &str| format!("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: {challenge}");
            assert_eq!(hidden(&message(challenge)), message(expected));
        }
        assert_eq!(hidden("INVITE sip:a SIP/2.0\r\nX: a, ck=00"), "INVITE sip:a SIP/2.0\r\nX: a, ck=00");
    }

    #[test]
    fn the_keys_of_cx_are_hidden_in_their_group() {
        let avp = |code: u32, data: &[u8]| {
            let length = 12 + data.len() as u32;
            let mut avp =
                [code.to_be_bytes(), (0xc000_0000 | length).to_be_bytes(), 10415_u32.to_be_bytes()].concat();
            avp.extend_from_slice(data);
            avp.resize(avp.len().next_multiple_of(4), 0);
            avp
        };
        let digest = avp(635, &avp(121, b"ha1"));
        let item =
            [avp(609, b"rand"), avp(610, b"xres"), digest, avp(625, &[7; 16]), avp(626, &[8; 16])].concat();
        let mut message = [vec![1; 20], avp(1, b"alice"), avp(612, &item), avp(626, b"odd")].concat();
        let before = message.clone();
        hide(Protocol::Diameter, &mut message);
        assert_eq!(message.len(), before.len());
        for key in [&[7; 16][..], &[8; 16], b"odd", b"xres", b"ha1"] {
            assert!(!message.windows(key.len()).any(|part| part == key), "{key:?}");
        }
        assert_eq!(message.iter().filter(|octet| **octet == b'*').count(), 42);
        assert!(message.windows(4).any(|part| part == b"rand"));
        let mut request = before.clone();
        request[4] = 0x80;
        hide(Protocol::Diameter, &mut request);
        assert!(request.windows(4).any(|part| part == b"xres"), "in a request it is RAND and AUTS");
        for length in 0..before.len() {
            hide(Protocol::Diameter, &mut before[..length].to_vec());
        }
    }
}
