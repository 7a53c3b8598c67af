//! Where a request of our user goes when no application server is left (TS 24.229 §5.4.3.2).
//!
//! Pure. Number translation beyond the operator's number policy (ENUM) and breakout to other networks by number (BGCF)
//! are not offered: a global number is looked for among the home network's users, and the I-CSCF says 404 to the rest.

use cscf::Reject;
use cscf::identity::{GlobalNumber, HomeNetwork, Number, NumberPolicy};
use sip_core::{Status, Uri};

/// The next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// An I-CSCF of the home network, which finds the S-CSCF of the called user; with another Request-URI if given.
    Home(Option<String>),
    /// Another network, by its name in the Request-URI.
    Foreign,
}

/// The next hop of a request to `uri`.
pub fn next_hop(uri: &Uri<'_>, home: &HomeNetwork, numbers: &NumberPolicy) -> Result<NextHop, Reject> {
    match (numbers.number(uri), uri) {
        (Number::Global(number), Uri::Tel(tel)) if is_plain(tel.number, &number) => Ok(NextHop::Home(None)),
        (Number::Global(number), Uri::Tel(_)) => Ok(NextHop::Home(Some(number.tel_uri()))),
        (Number::Global(number), Uri::Sip(sip)) if is_plain(sip.user.unwrap_or_default(), &number) => {
            Ok(NextHop::Home(None))
        }
        (Number::Global(number), _) => Ok(NextHop::Home(Some(number.sip_uri(home.domain())))),
        // A short code or a foreign context that no application server has taken.
        (Number::Local, _) => Err(Reject::new(Status::NOT_FOUND, "number not known here")),
        (Number::None, Uri::Sip(sip)) if is_home(sip.host.name(), home) => Ok(NextHop::Home(None)),
        (Number::None, Uri::Sip(_)) => Ok(NextHop::Foreign),
        (Number::None, Uri::Tel(_) | Uri::Urn(_) | Uri::Other { .. }) => {
            Err(Reject::new(Status::UNSUPPORTED_URI_SCHEME, "no service for this uri scheme"))
        }
    }
}

fn is_home(host: Option<&[u8]>, home: &HomeNetwork) -> bool {
    host.is_some_and(|host| home.is_domain(host))
}

/// Whether `written` is the number as it stands in canonical form, `+` and digits.
fn is_plain(written: &[u8], number: &GlobalNumber) -> bool {
    written.strip_prefix(b"+") == Some(number.digits().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    #[test]
    fn each_request_uri_has_its_next_hop() {
        let home = HomeNetwork::of(&Plmn::test());
        let domain = home.domain().to_owned();
        let numbers = NumberPolicy {
            country_code: Some("49".into()),
            national_prefix: "0".into(),
            international_prefix: "00".into(),
            home_domain: domain.clone(),
        };
        let at_home = |user: &str| format!("sip:{user}@{domain}");
        let changed = |uri: &str| Ok(NextHop::Home(Some(uri.to_owned())));
        let phone = format!("sip:+4930123@{domain};user=phone");
        let table = [
            (at_home("bob"), Ok(NextHop::Home(None))),
            ("sip:bob@elsewhere.example".into(), Ok(NextHop::Foreign)),
            ("sip:bob@192.0.2.1".into(), Ok(NextHop::Foreign)),
            ("tel:+4930123".into(), Ok(NextHop::Home(None))),
            ("tel:+49-30-123".into(), changed("tel:+4930123")),
            (format!("tel:030123;phone-context={domain}"), changed("tel:+4930123")),
            (format!("{};user=phone", at_home("030123")), changed(&phone)),
            (phone.clone(), Ok(NextHop::Home(None))),
            // A number without user=phone is a user name.
            (at_home("030123"), Ok(NextHop::Home(None))),
            ("tel:911;phone-context=other.example".into(), Err(Status::NOT_FOUND)),
            ("urn:service:sos".into(), Err(Status::UNSUPPORTED_URI_SCHEME)),
        ];
        for (uri, expected) in table {
            let found = next_hop(&Uri::parse(uri.as_bytes()).unwrap(), &home, &numbers);
            assert_eq!(found.map_err(|refusal| refusal.status), expected, "{uri}");
        }
    }
}
