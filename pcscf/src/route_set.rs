//! The route set that a UE may use in a dialog (TS 24.229 §5.2.6.3.5), as a seal that travels in our own Record-Route.
//!
//! What follows our entry in a later request of the UE must be what was recorded when the dialog began: else a UE could
//! walk around its S-CSCF. Two route sets are the same when every entry leads to the same place with the same
//! parameters; the order of parameters, the case of what has none, and the value of `lr` do not count.

use cscf::bucket::TokenKey;
use sip_core::uri::UriParams;
use sip_core::{Host, Uri};
use smallvec::SmallVec;

/// The seal over these entries, in the order in which the UE uses them: 40 bits that only this deployment can compute.
///
/// An entry is a URI; one that cannot be read counts as it stands.
pub fn seal<'u>(key: &TokenKey, entries: impl Iterator<Item = &'u [u8]>) -> u64 {
    let mut text = SmallVec::<[u8; 512]>::from_slice(b"route");
    for entry in entries {
        text.push(b'\n');
        write(entry, &mut text);
    }
    key.seal(&text)
}

fn write(entry: &[u8], text: &mut SmallVec<[u8; 512]>) {
    let Ok(Uri::Sip(uri)) = Uri::parse(entry) else { return text.extend_from_slice(entry) };
    text.extend_from_slice(if uri.secure { b"sips:" } else { b"sip:" });
    text.extend_from_slice(uri.user.unwrap_or_default());
    text.push(b':');
    text.extend_from_slice(uri.password.unwrap_or_default());
    text.push(b'@');
    match uri.host {
        Host::Name(name) => {
            text.extend(name.iter().map(u8::to_ascii_lowercase));
            text.push(b':');
        }
        Host::V4(ip) => {
            text.push(4);
            text.extend_from_slice(&ip.octets());
        }
        Host::V6(ip) => {
            text.push(6);
            text.extend_from_slice(&ip.octets());
        }
    }
    let [high, low] = uri.port.unwrap_or_default().to_be_bytes();
    text.extend_from_slice(&[u8::from(uri.port.is_some()), high, low]);
    write_params(uri.params, text);
    if let Some(headers) = uri.headers {
        text.push(b'?');
        text.extend_from_slice(headers);
    }
}

fn write_params(params: UriParams<'_>, text: &mut SmallVec<[u8; 512]>) {
    let mut sorted: SmallVec<[SmallVec<[u8; 32]>; 8]> = SmallVec::new();
    for (name, value) in params {
        let mut param: SmallVec<[u8; 32]> = name.iter().map(u8::to_ascii_lowercase).collect();
        // `lr`, `lr=on` and `lr=true` are all written for the same flag.
        if let Some(value) = value.filter(|_| param[..] != *b"lr") {
            param.push(b'=');
            param.extend(value.iter().map(u8::to_ascii_lowercase));
        }
        sorted.push(param);
    }
    sorted.sort_unstable();
    for param in &sorted {
        text.push(b';');
        text.extend_from_slice(param);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambient::Entropy;

    fn sealed(entries: &[&str]) -> u64 {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        seal(&key, entries.iter().map(|entry| entry.as_bytes()))
    }

    #[test]
    fn what_leads_to_the_same_place_has_the_same_seal() {
        let recorded = "sip:mo@scscf.home.net:6060;lr;ftag=a1;did=9.x2";
        for same in [
            "sip:mo@SCSCF.home.net:6060;lr;ftag=a1;did=9.x2",
            "SIP:mo@scscf.home.net:6060;did=9.X2;ftag=a1;LR",
            "sip:mo@scscf.home.net:6060;lr=on;ftag=a1;did=9.x2",
        ] {
            assert_eq!(sealed(&[same]), sealed(&[recorded]), "{same}");
        }
        let written = ["sip:[2001:db8::1];lr", "sip:[2001:DB8:0:0::1];lr"];
        assert_eq!(sealed(&written[..1]), sealed(&written[1..]));
    }

    #[test]
    fn what_leads_elsewhere_or_says_something_else_has_another_seal() {
        let set = ["sip:mo@s1:6060;lr;did=1", "sip:s2;lr"];
        let others: [&[&str]; 12] = [
            &[],
            &set[..1],
            &set[1..],
            &[set[1], set[0]],
            &[set[0], set[1], "sip:s3;lr"],
            &["sip:mt@s1:6060;lr;did=1", set[1]],
            &["sip:mo@s1:6061;lr;did=1", set[1]],
            &["sip:mo@s1:6060;lr;did=2", set[1]],
            &["sip:mo@s1:6060;lr;did=1;maddr=192.0.2.1", set[1]],
            &["sips:mo@s1:6060;lr;did=1", set[1]],
            &["sip:mo@s1;lr;did=1", set[1]],
            &["sip:mo@s1:6060;lr;did=1\nsip:s2;lr"],
        ];
        for other in others {
            assert_ne!(sealed(other), sealed(&set), "{other:?}");
        }
        assert_ne!(sealed(&["sip:97.98.99.100"]), sealed(&["sip:abcd"]));
        assert_ne!(sealed(&["sip:h:15224"]), sealed(&["sip:h;x"]));
        assert_ne!(sealed(&["no URI"]), sealed(&["another"]));
    }
}
