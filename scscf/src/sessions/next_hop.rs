//! Where a request of our user goes when no application server is left (TS 24.229 §5.4.3.2).
//!
//! Pure. A global number is looked for among the home network's users; the I-CSCF knows that it has none, and breaks out
//! by the rules of [`cscf::breakout`], or says 404. A short code that no application server has taken, and another domain,
//! break out from here.

use cscf::config::BreakoutRule;
use cscf::identity::{GlobalNumber, HomeNetwork, Number, NumberPolicy};
use cscf::{Reject, breakout};
use sip_core::{Status, Uri};

/// The next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop<'r> {
    /// An I-CSCF of the home network, which finds the S-CSCF of the called user; with another Request-URI if given.
    Home(Option<String>),
    /// Another network, by its name in the Request-URI.
    Foreign,
    /// Another network, by the next hop of a rule.
    Breakout(&'r BreakoutRule),
}

/// The next hop of a request to `uri`.
pub fn next_hop<'r>(
    uri: &Uri<'_>,
    home: &HomeNetwork,
    numbers: &NumberPolicy,
    rules: &'r [BreakoutRule],
) -> Result<NextHop<'r>, Reject> {
    // A GRUU is a name, whatever else it looks like (TS 24.229 §5.3.2.1).
    let number = if uri.params().has(b"gr") { Number::None } else { numbers.number(uri) };
    match (number, uri) {
        (Number::Global(number), Uri::Tel(tel)) if is_plain(tel.number, &number) => Ok(NextHop::Home(None)),
        (Number::Global(number), Uri::Tel(_)) => Ok(NextHop::Home(Some(number.tel_uri()))),
        (Number::Global(number), Uri::Sip(sip)) if is_plain(sip.user.unwrap_or_default(), &number) => {
            Ok(NextHop::Home(None))
        }
        (Number::Global(number), _) => Ok(NextHop::Home(Some(number.sip_uri(home.domain())))),
        // A short code or a foreign context that no application server has taken.
        (Number::Local, _) => breakout::of_number(rules, uri)
            .map(NextHop::Breakout)
            .ok_or_else(|| Reject::new(Status::NOT_FOUND, "number not known here, and no rule for it")),
        (Number::None, Uri::Sip(sip)) if is_home(sip.host.name(), home) => Ok(NextHop::Home(None)),
        (Number::None, Uri::Sip(sip)) => {
            let rule = sip.host.name().and_then(|name| breakout::of_domain(rules, name));
            Ok(rule.map_or(NextHop::Foreign, NextHop::Breakout))
        }
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
        let rules = [
            BreakoutRule { prefix: Some("11".into()), next_hops: vec!["sip:a".into()], ..Default::default() },
            BreakoutRule {
                domain: Some("pbx.example".into()),
                next_hops: vec!["sip:b".into()],
                ..Default::default()
            },
        ];
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
            // It leads to one device, whatever its user part looks like.
            (format!("sip:+4930123@{domain};user=phone;gr=urn:uuid:1"), Ok(NextHop::Home(None))),
            ("tel:115;phone-context=other.example".into(), Ok(NextHop::Breakout(&rules[0]))),
            ("sip:bob@pbx.example".into(), Ok(NextHop::Breakout(&rules[1]))),
        ];
        for (uri, expected) in table {
            let found = next_hop(&Uri::parse(uri.as_bytes()).unwrap(), &home, &numbers, &rules);
            assert_eq!(found.map_err(|refusal| refusal.status), expected, "{uri}");
        }
    }
}
