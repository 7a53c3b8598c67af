//! What a registration grants: identities, the way to the home network, and for how long (TS 24.229 §5.1.1.2.1).

use ambient::TimerId;
use sip_core::{Message, Uri};
use std::time::Duration;

/// What the network granted.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// P-Associated-URI, the default identity first; never empty.
    pub(crate) identities: Vec<String>,
    /// Service-Route values, top first.
    pub(crate) service_route: Vec<String>,
    /// Path values, as the 200 tells them.
    pub(crate) path: Vec<String>,
    /// The public GRUU of our contact (RFC 5627 §4.2).
    pub(crate) gruu: Option<String>,
    pub(crate) refresh: TimerId,
    pub(crate) expiry: TimerId,
}

impl Binding {
    /// The URIs of Path and Service-Route: the elements of the network that this registration is by.
    pub(crate) fn hops(&self) -> impl Iterator<Item = &[u8]> {
        let uri = |value: &'_ String| -> Option<std::ops::Range<usize>> {
            let start = value.find('<')? + 1;
            Some(start..start + value[start..].find('>')?)
        };
        self.path.iter().chain(&self.service_route).filter_map(move |value| {
            let range = uri(value)?;
            Some(&value.as_bytes()[range])
        })
    }
}

/// The public GRUU that a 200 has for our contact.
pub(crate) fn public_gruu(response: &Message, contact: &str) -> Option<String> {
    let ours = Uri::parse(contact.as_bytes()).ok()?;
    let mut contacts = response.contacts().filter_map(|(_, found)| found.ok());
    let own = contacts.find(|found| found.parsed_uri().is_ok_and(|uri| uri.uri_eq(&ours)))?;
    String::from_utf8(own.unquoted_param(b"pub-gruu")?.into_owned()).ok()
}

/// The expiry that a 200 grants to our contact: its own parameter, else Expires, else what we asked for
/// (RFC 3261 §10.2.4).
pub(crate) fn granted(response: &Message, contact: &str, asked_s: u32) -> u32 {
    let ours = Uri::parse(contact.as_bytes()).ok();
    let own = response.contacts().find_map(|(_, found)| {
        let found = found.ok()?;
        let is_ours = match (&ours, found.parsed_uri()) {
            (Some(ours), Ok(uri)) => ours.uri_eq(&uri),
            _ => false,
        };
        if is_ours { found.expires() } else { None }
    });
    own.or_else(|| response.expires().ok().flatten()).unwrap_or(asked_s)
}

/// When a registration is refreshed (TS 24.229 §5.1.1.4.1): 600 s before its end, at half time when it is short.
pub(crate) fn refresh_point(lifetime: Duration) -> Duration {
    const SHORT: Duration = Duration::from_secs(1200);
    if lifetime > SHORT { lifetime - SHORT / 2 } else { lifetime / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    #[test]
    fn a_long_registration_is_refreshed_ten_minutes_early_and_a_short_one_at_half_time() {
        let s = Duration::from_secs;
        for (lifetime, refreshed) in [(600_000, 599_400), (1201, 601), (1200, 600), (60, 30)] {
            assert_eq!(refresh_point(s(lifetime)), s(refreshed), "{lifetime}");
        }
    }

    #[test]
    fn the_expiry_is_that_of_our_own_contact() {
        let response = |contact: &str| {
            let text = format!("SIP/2.0 200 OK\r\n{contact}Expires: 30\r\nCSeq: 1 REGISTER\r\n\r\n");
            Message::parse(text.into_bytes(), &Limits::default()).unwrap()
        };
        let ours = "sip:alice@10.0.0.1:5060";
        let two = "Contact: <sip:alice@10.0.0.9>;expires=7, <sip:alice@10.0.0.1:5060>;expires=90\r\n";
        assert_eq!(granted(&response(two), ours, 600), 90);
        assert_eq!(granted(&response("Contact: <sip:alice@10.0.0.1:5060>\r\n"), ours, 600), 30);
        assert_eq!(granted(&response(""), ours, 600), 30);
    }
}
