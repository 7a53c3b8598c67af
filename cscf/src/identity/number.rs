//! What a dialled number means (TS 24.229 §5.4.3.2, RFC 3966): local policy, as a pure function.

use sip_core::uri::{TelUri, Uri};

/// How the network reads numbers that are dialled without a country code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPolicy {
    /// The country code that a national number gets, digits only; without it national numbers are not translated.
    pub country_code: Option<String>,
    /// What stands before a national number. Empty: nothing does, and seven digits or more are a national number.
    pub national_prefix: String,
    /// What stands before an international number.
    pub international_prefix: String,
    /// The home domain: a phone-context at or below it, and a SIP URI in it, are read by this policy.
    pub home_domain: String,
}

/// A global number: at most 15 digits (E.164), without the `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalNumber(String);

impl GlobalNumber {
    fn new(digits: String) -> Option<GlobalNumber> {
        let is_number = (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(GlobalNumber(digits))
    }

    /// The digits, country code first.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The number as a tel URI, which is the form that Cx knows (TS 29.229 §6.3.2).
    pub fn tel_uri(&self) -> String {
        format!("tel:+{}", self.0)
    }

    /// The number as a SIP URI in `domain`.
    pub fn sip_uri(&self, domain: &str) -> String {
        format!("sip:+{}@{domain};user=phone", self.0)
    }
}

/// What a Request-URI says as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Number {
    /// It is, or means, this global number.
    Global(GlobalNumber),
    /// It is a number that only an application server of its context may know: a short code, a foreign context.
    Local,
    /// It is no number: a user name, another scheme, or a number in another network's domain.
    None,
}

impl NumberPolicy {
    /// What `uri` says as a number.
    ///
    /// In a SIP URI only `user=phone` makes the user part a number (RFC 3261 §19.1.1), and only in the home domain:
    /// a number elsewhere is that network's to read.
    pub fn number(&self, uri: &Uri<'_>) -> Number {
        match uri {
            Uri::Tel(tel) => self.translate(tel),
            Uri::Sip(sip) => {
                let is_phone =
                    sip.params.get(b"user").is_some_and(|user| user.eq_ignore_ascii_case(b"phone"));
                let is_home = sip
                    .host
                    .name()
                    .is_some_and(|name| name.eq_ignore_ascii_case(self.home_domain.as_bytes()));
                let Some(user) = sip.user.filter(|_| is_phone && is_home) else {
                    return Number::None;
                };
                // RFC 3261 §19.1.6: the user part is what stands behind `tel:`, parameters included.
                let tel = [b"tel:", &*sip_core::uri::unescape(user)].concat();
                match Uri::parse(&tel) {
                    Ok(Uri::Tel(tel)) => self.translate(&tel),
                    _ => Number::None,
                }
            }
            Uri::Urn(_) | Uri::Other { .. } => Number::None,
        }
    }

    fn translate(&self, tel: &TelUri<'_>) -> Number {
        let digits: String = tel.digits().map(char::from).collect();
        if let Some(global) = digits.strip_prefix('+') {
            return GlobalNumber::new(global.to_owned()).map_or(Number::Local, Number::Global);
        }
        let context = tel.params.get(b"phone-context");
        if let Some(prefix) = context.and_then(|context| context.strip_prefix(b"+")) {
            // RFC 3966 §5.1.5: the context is the leading part of a global number.
            let prefix = prefix.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte));
            return GlobalNumber::new(prefix.chain(digits.chars()).collect())
                .map_or(Number::Local, Number::Global);
        }
        if !context.is_none_or(|context| self.is_home_context(context)) {
            return Number::Local;
        }
        self.dialled(&digits).and_then(GlobalNumber::new).map_or(Number::Local, Number::Global)
    }

    /// Home-local numbers carry the home domain, geo-local ones a name below it (TS 24.229 §7.2A.10).
    fn is_home_context(&self, context: &[u8]) -> bool {
        let home = self.home_domain.as_bytes();
        let Some(split) = context.len().checked_sub(home.len()) else { return false };
        let (below, domain) = context.split_at(split);
        domain.eq_ignore_ascii_case(home) && (below.is_empty() || below.ends_with(b"."))
    }

    /// The digits behind the country code's `+` for a number as dialled.
    fn dialled(&self, digits: &str) -> Option<String> {
        let international = Some(self.international_prefix.as_str()).filter(|prefix| !prefix.is_empty());
        if let Some(global) = international.and_then(|prefix| digits.strip_prefix(prefix)) {
            return Some(global.to_owned());
        }
        let national = digits.strip_prefix(self.national_prefix.as_str())?;
        let is_national = !self.national_prefix.is_empty() || national.len() >= NATIONAL_DIGITS_MIN;
        let country_code = self.country_code.as_deref()?;
        is_national.then(|| format!("{country_code}{national}"))
    }
}

/// Where no prefix marks a national number, fewer digits are a short code.
const NATIONAL_DIGITS_MIN: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> NumberPolicy {
        NumberPolicy {
            country_code: Some("49".to_owned()),
            national_prefix: "0".to_owned(),
            international_prefix: "00".to_owned(),
            home_domain: "home1.net".to_owned(),
        }
    }

    fn read(policy: &NumberPolicy, uri: &str) -> String {
        match policy.number(&Uri::parse(uri.as_bytes()).unwrap_or_else(|_| panic!("{uri} is a URI"))) {
            Number::Global(number) => number.tel_uri(),
            Number::Local => "local".to_owned(),
            Number::None => "none".to_owned(),
        }
    }

    #[test]
    fn a_number_is_read_as_the_network_reads_it() {
        for (uri, expected) in [
            ("tel:+49-30-1000001", "tel:+49301000001"),
            ("tel:+1234567890123456", "local"),
            ("tel:0301000001", "tel:+49301000001"),
            ("tel:0049301000001;phone-context=home1.net", "tel:+49301000001"),
            ("tel:030(100)0001;phone-context=Home1.NET", "tel:+49301000001"),
            ("tel:0301000001;phone-context=262.01.eps.home1.net", "tel:+49301000001"),
            ("tel:0301000001;phone-context=geo-local.home1.net", "tel:+49301000001"),
            ("tel:0301000001;phone-context=otherhome1.net", "local"),
            ("tel:1000001;phone-context=+4930", "tel:+49301000001"),
            ("tel:110;phone-context=home1.net", "local"),
            ("tel:*100#;phone-context=home1.net", "local"),
            ("sip:+49301000001@home1.net;user=phone", "tel:+49301000001"),
            ("sip:0301000001;phone-context=home1.net@home1.net;user=phone", "tel:+49301000001"),
            ("sip:0301000001@home1.net;user=phone", "tel:+49301000001"),
            ("sip:+49301000001@home1.net", "none"),
            ("sip:+49301000001@elsewhere.net;user=phone", "none"),
            ("sip:alice@home1.net;user=phone", "none"),
            ("urn:service:sos", "none"),
        ] {
            assert_eq!(read(&german(), uri), expected, "{uri}");
        }
    }

    #[test]
    fn without_a_country_code_only_international_numbers_are_translated() {
        let policy = NumberPolicy { country_code: None, ..german() };
        assert_eq!(read(&policy, "tel:0301000001"), "local");
        assert_eq!(read(&policy, "tel:0049301000001"), "tel:+49301000001");
    }

    #[test]
    fn without_a_national_prefix_the_length_tells_a_number_from_a_short_code() {
        let policy = NumberPolicy {
            country_code: Some("1".to_owned()),
            national_prefix: String::new(),
            international_prefix: "011".to_owned(),
            ..german()
        };
        assert_eq!(read(&policy, "tel:2125551234"), "tel:+12125551234");
        assert_eq!(read(&policy, "tel:01149301000001"), "tel:+49301000001");
        assert_eq!(read(&policy, "tel:911"), "local");
    }
}
