//! Where the caller is, by what the request says: its cell, and a civic address (RFC 4119, RFC 5139).
//!
//! A geodetic position is carried to the PSAP and not looked at: to find who serves a point takes a map.

use sip_core::{Message, Name};

/// Where the caller is, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location<'m> {
    /// The cell identity of P-Access-Network-Info: MCC, MNC, area code and cell in one row of digits (RFC 7315 §5.4).
    pub cell: Option<&'m [u8]>,
    /// The country of the civic address.
    pub country: Option<&'m [u8]>,
    /// The state or province of the civic address.
    pub area: Option<&'m [u8]>,
}

impl<'m> Location<'m> {
    /// Reads what a request says.
    pub fn of(message: &'m Message) -> Location<'m> {
        let kind = message.first(Name::ContentType).unwrap_or_default().to_ascii_lowercase();
        let may_hold = kind.starts_with(b"multipart/") || kind.starts_with(b"application/pidf+xml");
        let civic = if may_hold { civic(message.body()) } else { &[] };
        Location {
            cell: cell(message.all(Name::PAccessNetworkInfo).map(|(_, value)| value)),
            country: element(civic, b"country"),
            area: element(civic, b"A1"),
        }
    }
}

/// The cell that the network provided, else the one that the UE names.
fn cell<'v>(fields: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    let mut named = None;
    for field in fields {
        let mut parts = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_provided = parts.clone().any(|part| part.eq_ignore_ascii_case(b"network-provided"));
        let cell = parts.find_map(|part| {
            let (name, value) = part.split_at_checked(part.iter().position(|byte| *byte == b'=')?)?;
            let is_cell = [&b"utran-cell-id-3gpp"[..], b"cgi-3gpp"]
                .iter()
                .any(|known| name.trim_ascii().eq_ignore_ascii_case(known));
            let value = value[1..].trim_ascii();
            let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            is_cell.then_some(bare.unwrap_or(value))
        });
        match cell {
            Some(cell) if is_provided => return Some(cell),
            cell => named = named.or(cell),
        }
    }
    named
}

/// What lies within the first civic address of a body.
fn civic(body: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"civicAddress";
    let Some(start) = find(body, NAME) else { return &[] };
    let inside = &body[start + NAME.len()..];
    &inside[..find(inside, NAME).unwrap_or(inside.len())]
}

/// The text of the first element with this local name.
fn element<'b>(xml: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let mut rest = xml;
    loop {
        let start = rest.iter().position(|byte| *byte == b'<')?;
        rest = &rest[start + 1..];
        let end = rest.iter().position(|byte| *byte == b'>')?;
        let tag = rest[..end].split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let local = tag.iter().position(|byte| *byte == b':').map_or(tag, |colon| &tag[colon + 1..]);
        rest = &rest[end + 1..];
        if local == name {
            let text = &rest[..rest.iter().position(|byte| *byte == b'<')?];
            return Some(text.trim_ascii()).filter(|text| !text.is_empty());
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    fn message(headers: &str, body: &str) -> Message {
        let text = format!(
            "INVITE urn:service:sos SIP/2.0\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(text.into_bytes(), &Limits::default()).expect("a message")
    }

    #[test]
    fn the_cell_is_what_the_network_says_and_else_what_the_ue_says() {
        let pani = "P-Access-Network-Info: ";
        for (fields, expected) in [
            ("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620100010000001", Some("2620100010000001")),
            ("3GPP-GERAN;cgi-3gpp=\"26201\"", Some("26201")),
            ("3GPP-NR;utran-cell-id-3gpp=1, 3GPP-NR;utran-cell-id-3gpp=2;network-provided", Some("2")),
            ("IEEE-802.11;i-wlan-node-id=ffff", None),
            ("3GPP-NR;utran-cell-id-3gpp", None),
            ("", None),
        ] {
            let field = format!("{pani}{fields}\r\n");
            let message = message(if fields.is_empty() { "" } else { &field }, "");
            assert_eq!(Location::of(&message).cell, expected.map(str::as_bytes), "{fields}");
        }
    }

    #[test]
    fn a_civic_address_is_read_in_any_prefix_and_only_where_one_may_be() {
        const PIDF: &str = "Content-Type: application/pidf+xml\r\n";
        let civic = "<a:civicAddress xmlns:a=\"x\"><a:country lang='en'> DE </a:country><a:A1>Berlin</a:A1></a:civicAddress>";
        for (headers, body, country, area) in [
            (PIDF, civic, Some("DE"), Some("Berlin")),
            ("Content-Type: multipart/mixed;boundary=b\r\n", civic, Some("DE"), Some("Berlin")),
            ("Content-Type: text/plain\r\n", civic, None, None),
            (PIDF, "<country>DE</country>", None, None),
            (PIDF, "<civicAddress><country></country></civicAddress>", None, None),
            (PIDF, "<civicAddress><country>DE", None, None),
            (PIDF, "<civicAddress", None, None),
        ] {
            let message = message(headers, body);
            let found = Location::of(&message);
            let text = |text: Option<&'static str>| text.map(str::as_bytes);
            assert_eq!((found.country, found.area), (text(country), text(area)), "{body}");
        }
    }
}
