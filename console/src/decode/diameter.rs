//! A Diameter message: its header, and each AVP by its name and type; those that carry keys are never shown.

use super::{hex, shown};
use crate::api::Field;
use diameter_client::cx::CxResult;
use diameter_client::dictionary::{DataType, VENDOR_3GPP, command_name, lookup};
use diameter_client::wire::{Avp, Avps, Message};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The parts of a Diameter message.
pub fn tree(bytes: &[u8]) -> Vec<Field> {
    let Ok(message) = Message::parse(bytes) else {
        return vec![Field::leaf("unreadable", hex(bytes))];
    };
    let header = message.header;
    let name = command_name(header.command, header.is_request()).unwrap_or("unknown");
    let flags: String = [(0x80, "R"), (0x40, "P"), (0x20, "E"), (0x10, "T")]
        .into_iter()
        .filter(|(bit, _)| header.flags & bit != 0)
        .map(|(_, name)| name)
        .collect();
    let mut parts = vec![
        Field::leaf("command", header.command.to_string()).with_note(name),
        Field::leaf("flags", flags),
        Field::leaf("application", header.application.to_string()),
        Field::leaf("hop-by-hop", format!("0x{:08x}", header.hop_by_hop)),
        Field::leaf("end-to-end", format!("0x{:08x}", header.end_to_end)),
    ];
    // The S-CSCF of an answer has the expected response in the same AVP in which a request has AUTS (TS 29.229 §6.3.11).
    avps(message.avps(), header.is_request(), &mut parts);
    parts
}

fn avps(level: Avps<'_>, is_request: bool, parts: &mut Vec<Field>) {
    for avp in level {
        match avp {
            Ok(avp) => parts.push(field(&avp, is_request)),
            Err(error) => parts.push(Field::leaf("unreadable", format!("{error:?}"))),
        }
    }
}

fn field(avp: &Avp<'_>, is_request: bool) -> Field {
    let known = lookup(avp.code, avp.vendor);
    let name = known.map_or_else(|| format!("AVP {}", avp.code), |def| def.name.to_owned());
    let is_secret = match avp.code {
        CONFIDENTIALITY_KEY | INTEGRITY_KEY | DIGEST_HA1 => true,
        SIP_AUTHORIZATION => !is_request,
        _ => false,
    };
    if is_secret {
        return Field::leaf(name, "hidden");
    }
    let head = |value: String| Field::leaf(name.clone(), value);
    match known.map(|def| def.data_type) {
        Some(DataType::Grouped) => {
            let mut parts = Vec::new();
            match avp.group() {
                Ok(group) => avps(group, is_request, &mut parts),
                Err(error) => parts.push(Field::leaf("unreadable", format!("{error:?}"))),
            }
            head(format!("{} parts", parts.len())).with_parts(parts)
        }
        Some(DataType::Unsigned32 | DataType::Enumerated | DataType::Time) => match avp.unsigned32() {
            Ok(number) => match meaning(avp.code, number) {
                Some(note) => head(number.to_string()).with_note(note),
                None => head(number.to_string()),
            },
            Err(_) => head(hex(avp.data)).with_note("not four octets"),
        },
        Some(DataType::Address) => head(address(avp.data)),
        Some(DataType::OctetString) if avp.code == USER_DATA => head(shown(avp.data)),
        Some(DataType::OctetString) => head(shown(avp.data)),
        Some(DataType::Utf8String | DataType::DiameterIdentity | DataType::DiameterUri) => {
            head(shown(avp.data))
        }
        None => head(hex(avp.data)).with_note(format!("vendor {}", avp.vendor)),
    }
}

/// The name of a number (RFC 6733 §7.1, TS 29.229 §6.2 and §6.3).
fn meaning(code: u32, number: u32) -> Option<String> {
    match code {
        RESULT_CODE => Some(CxResult::Base(number).to_string()),
        EXPERIMENTAL_RESULT_CODE => {
            Some(CxResult::Experimental { vendor: VENDOR_3GPP, code: number }.to_string())
        }
        SERVER_ASSIGNMENT_TYPE => ASSIGNMENTS.get(number as usize).map(|name| (*name).to_owned()),
        USER_AUTHORIZATION_TYPE => AUTHORIZATIONS.get(number as usize).map(|name| (*name).to_owned()),
        AUTH_APPLICATION | VENDOR_ID if number == 16_777_216 => Some("Cx".to_owned()),
        AUTH_APPLICATION | VENDOR_ID if number == VENDOR_3GPP => Some("3GPP".to_owned()),
        _ => None,
    }
}

fn address(data: &[u8]) -> String {
    match *data {
        [0, 1, a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
        [0, 2, ref rest @ ..] => match <[u8; 16]>::try_from(rest) {
            Ok(octets) => Ipv6Addr::from(octets).to_string(),
            Err(_) => hex(data),
        },
        _ => hex(data),
    }
}

const AUTH_APPLICATION: u32 = 258;
const VENDOR_ID: u32 = 266;
const RESULT_CODE: u32 = 268;
const EXPERIMENTAL_RESULT_CODE: u32 = 298;
const DIGEST_HA1: u32 = 121;
const USER_DATA: u32 = 606;
const SIP_AUTHORIZATION: u32 = 610;
const SERVER_ASSIGNMENT_TYPE: u32 = 614;
const USER_AUTHORIZATION_TYPE: u32 = 623;
const CONFIDENTIALITY_KEY: u32 = 625;
const INTEGRITY_KEY: u32 = 626;

const ASSIGNMENTS: [&str; 12] = [
    "NO_ASSIGNMENT",
    "REGISTRATION",
    "RE_REGISTRATION",
    "UNREGISTERED_USER",
    "TIMEOUT_DEREGISTRATION",
    "USER_DEREGISTRATION",
    "TIMEOUT_DEREGISTRATION_STORE_SERVER_NAME",
    "USER_DEREGISTRATION_STORE_SERVER_NAME",
    "ADMINISTRATIVE_DEREGISTRATION",
    "AUTHENTICATION_FAILURE",
    "AUTHENTICATION_TIMEOUT",
    "DEREGISTRATION_TOO_MUCH_DATA",
];
const AUTHORIZATIONS: [&str; 3] = ["REGISTRATION", "DE_REGISTRATION", "REGISTRATION_AND_CAPABILITIES"];

#[cfg(test)]
mod tests {
    use super::*;

    /// An AVP of 3GPP.
    fn avp(code: u32, vendor: u32, data: &[u8]) -> Vec<u8> {
        let head = if vendor == 0 { 8 } else { 12 };
        let length = (head + data.len()) as u32;
        let mut out = code.to_be_bytes().to_vec();
        out.push(if vendor == 0 { 0x40 } else { 0xc0 });
        out.extend(&length.to_be_bytes()[1..]);
        if vendor != 0 {
            out.extend(vendor.to_be_bytes());
        }
        out.extend(data);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn message(is_request: bool, avps: &[Vec<u8>]) -> Vec<u8> {
        let body = avps.concat();
        let mut out = vec![1];
        out.extend(&((20 + body.len()) as u32).to_be_bytes()[1..]);
        out.push(if is_request { 0xc0 } else { 0x40 });
        out.extend(&303_u32.to_be_bytes()[1..]);
        out.extend(16_777_216_u32.to_be_bytes());
        out.extend([0; 8]);
        out.extend(body);
        out
    }

    #[test]
    fn keys_and_the_expected_response_are_hidden_and_auts_is_not() {
        let secret = b"0123456789abcdef";
        let item = |code| {
            avp(
                612,
                VENDOR_3GPP,
                &[avp(609, VENDOR_3GPP, b"RANDAUTN"), avp(code, VENDOR_3GPP, secret)].concat(),
            )
        };
        for code in [CONFIDENTIALITY_KEY, INTEGRITY_KEY, SIP_AUTHORIZATION] {
            let tree = format!("{:?}", tree(&message(false, &[item(code)])));
            assert!(tree.contains("RANDAUTN") && tree.contains("hidden"), "{tree}");
            assert!(!tree.contains("0123456789"), "{tree}");
        }
        let asked = format!("{:?}", tree(&message(true, &[item(SIP_AUTHORIZATION)])));
        assert!(asked.contains("0123456789"), "{asked}");
    }

    #[test]
    fn numbers_have_their_names_and_an_unknown_avp_its_octets() {
        let result = avp(268, 0, &2001_u32.to_be_bytes());
        let tree = tree(&message(false, &[result, avp(9999, 0, b"\x01\x02")]));
        assert_eq!(tree[5].note.as_deref(), Some("2001 SUCCESS"), "{tree:?}");
        assert_eq!((tree[6].name.as_str(), tree[6].value.as_str()), ("AVP 9999", "0102"));
    }

    #[test]
    fn octets_that_are_cut_anywhere_are_told_and_never_fatal() {
        let whole = message(false, &[avp(263, 0, b"session"), avp(297, 0, &avp(298, 0, &[0, 0, 0, 1]))]);
        for end in 0..whole.len() {
            let mut cut = whole[..end].to_vec();
            if let Some(length) = cut.get_mut(1..4) {
                length.copy_from_slice(&(end as u32).to_be_bytes()[1..]);
            }
            assert!(!tree(&cut).is_empty());
        }
    }
}
