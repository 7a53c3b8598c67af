//! What a view wants to know of a Diameter message (RFC 6733 §3, §4), read without trust in it.

use diameter_client::dictionary::command_name;

/// The AVPs of a message or of a group: code, data.
pub fn avps(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (header, _) = bytes.split_first_chunk::<8>()?;
        let code = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let length = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
        let data_at = if header[4] & 0x80 != 0 { 12 } else { 8 };
        let data = bytes.get(data_at..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, data))
    })
}

/// The AVPs of a message.
pub fn avps_of(message: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    avps(message.get(HEADER_BYTES..).unwrap_or_default())
}

/// The text of the first AVP of this code.
pub fn text(message: &[u8], code: u32) -> Option<&str> {
    let (_, data) = avps_of(message).find(|(found, _)| *found == code)?;
    std::str::from_utf8(data).ok()
}

/// Session-Id.
pub fn session_id(message: &[u8]) -> Option<&[u8]> {
    avps_of(message).find(|(code, _)| *code == SESSION_ID).map(|(_, data)| data)
}

/// Whether it is a request.
pub fn is_request(message: &[u8]) -> bool {
    message.get(4).is_some_and(|flags| flags & 0x80 != 0)
}

/// The command code.
pub fn command(message: &[u8]) -> Option<u32> {
    let [a, b, c] = *message.get(5..)?.first_chunk::<3>()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// Hop-by-Hop and End-to-End Identifier, which the answer repeats.
pub fn identifiers(message: &[u8]) -> Option<[u8; 8]> {
    message.get(12..)?.first_chunk::<8>().copied()
}

/// Result-Code, or Experimental-Result-Code in its group.
pub fn result_code(message: &[u8]) -> Option<u32> {
    let number = |data: &[u8]| data.first_chunk().copied().map(u32::from_be_bytes);
    avps_of(message).find_map(|(code, data)| match code {
        RESULT_CODE => number(data),
        EXPERIMENTAL_RESULT => {
            let mut inner = avps(data);
            inner.find(|(code, _)| *code == EXPERIMENTAL_RESULT_CODE).and_then(|(_, data)| number(data))
        }
        _ => None,
    })
}

/// Whether it is of the connection itself: CER, DWR, DPR and their answers.
pub fn is_upkeep(message: &[u8]) -> bool {
    matches!(command(message), Some(257 | 280 | 282))
}

/// What a ladder writes on the arrow: `UAR`, `UAA 2001`.
pub fn summary(message: &[u8]) -> String {
    let Some(code) = command(message).filter(|_| message.len() >= HEADER_BYTES) else {
        return "Diameter".to_owned();
    };
    let is_request = is_request(message);
    let Some(name) = command_name(code, is_request) else {
        return format!("{} {code}", if is_request { "request" } else { "answer" });
    };
    match result_code(message).filter(|_| !is_request) {
        Some(code) => format!("{name} {code}"),
        None => name.to_owned(),
    }
}

/// The Diameter message at the start of `bytes`; `None` when it is unfinished or none.
pub fn first_message(bytes: &[u8]) -> Option<&[u8]> {
    let [version, a, b, c] = *bytes.first_chunk::<4>()?;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if version != 1 || length < HEADER_BYTES {
        return None;
    }
    bytes.get(..length)
}

/// The bytes before the AVPs.
pub const HEADER_BYTES: usize = 20;
/// User-Name.
pub const USER_NAME: u32 = 1;
/// Public-Identity (TS 29.229 §6.3.2).
pub const PUBLIC_IDENTITY: u32 = 601;
const SESSION_ID: u32 = 263;
const RESULT_CODE: u32 = 268;
const EXPERIMENTAL_RESULT: u32 = 297;
const EXPERIMENTAL_RESULT_CODE: u32 = 298;

#[cfg(test)]
mod tests {
    use super::*;

    fn uaa() -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 32, 0x40, 0, 1, 44, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        bytes.extend_from_slice(&[0, 0, 1, 12, 0x40, 0, 0, 12]);
        bytes.extend_from_slice(&2001_u32.to_be_bytes());
        bytes
    }

    #[test]
    fn a_message_is_summed_up_by_command_and_result() {
        assert_eq!(summary(&uaa()), "UAA 2001");
        let mut request = uaa();
        request[4] = 0xc0;
        assert_eq!(summary(&request), "UAR");
        let mut experimental = uaa()[..20].to_vec();
        experimental.extend_from_slice(&[0, 0, 1, 41, 0x40, 0, 0, 20, 0, 0, 1, 42, 0x40, 0, 0, 12]);
        experimental.extend_from_slice(&5001_u32.to_be_bytes());
        assert_eq!(summary(&experimental), "UAA 5001");
        for cut in 0..experimental.len() {
            let _ = (summary(&experimental[..cut]), session_id(&experimental[..cut]));
        }
    }

    #[test]
    fn a_length_of_nothing_ends_the_avps() {
        let mut bytes = uaa();
        bytes[25..28].fill(0);
        assert_eq!(avps_of(&bytes).count(), 0);
    }
}
