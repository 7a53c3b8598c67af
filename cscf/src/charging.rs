//! P-Charging-Vector and the ids in it (TS 24.229 §4.5, RFC 7315 §4.6).
//!
//! The first IMS element of a request mints the icid; it stays the same for the whole dialog and is never shown to a UE.
//! Each sender puts its own network into orig-ioi; the one that answers puts the caller's back and adds its own as
//! term-ioi. Visited and home network do so (type 1), two home networks (type 2), CSCF and application server (type 3).

use ambient::Entropy;
use sip_core::fields::charging as field;
use sip_core::{Message, Name};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// The IMS Charging Identity of one dialog or standalone transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Icid(SmallVec<[u8; 32]>);

impl Icid {
    /// The one that another element has minted.
    fn received(text: &str) -> Icid {
        Icid(SmallVec::from_slice(text.as_bytes()))
    }

    /// A new one: 125 random bits, so that no counter has to survive a restart, and nothing of the user.
    pub fn mint(entropy: &mut Entropy) -> Icid {
        let mut text = SmallVec::new();
        for bits in [60, 60, 5] {
            crate::bucket::base32(entropy.next_u64(), bits, &mut text);
        }
        Icid(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// What ties a Diameter session to this dialog: the optional part of its Session-Id (RFC 6733 §8.8), short and free
    /// of the semicolon that would end it. An icid of another network's may hold any character.
    pub fn trace(&self) -> String {
        trace_of(&self.0)
    }
}

/// The longest that is told of an icid in a Session-Id.
const TRACE_MAX: usize = 32;

fn trace_of(icid: &[u8]) -> String {
    let told = icid.iter().filter(|byte| byte.is_ascii_alphanumeric() || b"-._@".contains(byte));
    let mut trace = String::with_capacity(TRACE_MAX);
    trace.extend(told.take(TRACE_MAX).map(|byte| char::from(*byte)));
    trace
}

/// [`Icid::trace`] of the request that asks, without a copy of its vector; `None` when it has none with an icid.
pub fn trace(message: &Message) -> Option<String> {
    let field = field::ChargingVector::parse(message.first(Name::PChargingVector)?).ok()?;
    Some(trace_of(&field.icid_value())).filter(|trace| !trace.is_empty())
}

impl fmt::Display for Icid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A P-Charging-Vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargingVector {
    /// icid-value.
    pub icid: Icid,
    /// orig-ioi: the network that sent the request.
    pub orig_ioi: Option<String>,
    /// term-ioi: the network that answered it.
    pub term_ioi: Option<String>,
    /// Every other parameter as it stands (icid-generated-at, transit-ioi, access information).
    pub others: Vec<String>,
}

impl ChargingVector {
    /// The one that the first element of the network `ioi` writes into a request.
    pub fn new(icid: Icid, ioi: &str) -> ChargingVector {
        ChargingVector { icid, orig_ioi: Some(ioi.to_owned()), term_ioi: None, others: Vec::new() }
    }

    /// The one in `message`; `None` when there is none with an icid.
    pub fn of(message: &Message) -> Option<ChargingVector> {
        ChargingVector::parse(message.first(Name::PChargingVector)?)
    }

    /// Reads a header value; of two parameters with one name, the first one counts.
    pub fn parse(value: &[u8]) -> Option<ChargingVector> {
        let field = field::ChargingVector::parse(value).ok()?;
        let text = |value: Cow<'_, [u8]>| String::from_utf8(value.into_owned()).ok();
        let icid = text(field.icid_value()).filter(|icid| !icid.is_empty())?;
        let others = field.params().filter(|(name, _)| !is_own(name)).map(|(name, value)| {
            let name = String::from_utf8_lossy(name);
            match value {
                Some(value) => format!("{name}={}", String::from_utf8_lossy(value)),
                None => name.into_owned(),
            }
        });
        Some(ChargingVector {
            icid: Icid::received(&icid),
            orig_ioi: field.orig_ioi().and_then(text),
            term_ioi: field.term_ioi().and_then(text),
            others: others.collect(),
        })
    }

    /// As the network `ioi` sends it on in a request: its own orig-ioi, no term-ioi.
    pub fn sent_by(self, ioi: &str) -> ChargingVector {
        ChargingVector { orig_ioi: Some(ioi.to_owned()), term_ioi: None, ..self }
    }

    /// As the network `ioi` answers the request that came with it: orig-ioi as received, its own term-ioi.
    pub fn answered_by(self, ioi: &str) -> ChargingVector {
        ChargingVector { term_ioi: Some(ioi.to_owned()), ..self }
    }

    /// A response's vector on its way back past a sender that had replaced the orig-ioi of the request.
    pub fn restored(self, request: &ChargingVector) -> ChargingVector {
        ChargingVector { icid: request.icid.clone(), orig_ioi: request.orig_ioi.clone(), ..self }
    }

    /// Without transit-ioi, which ends at the terminating S-CSCF.
    pub fn without_transit(mut self) -> ChargingVector {
        self.others.retain(|param| {
            !param.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("transit-ioi"))
        });
        self
    }
}

impl fmt::Display for ChargingVector {
    /// The header value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "icid-value={}", Quoted(self.icid.as_str()))?;
        for (name, ioi) in [("orig-ioi", &self.orig_ioi), ("term-ioi", &self.term_ioi)] {
            if let Some(ioi) = ioi {
                write!(f, ";{name}={}", Quoted(ioi))?;
            }
        }
        self.others.iter().try_for_each(|param| write!(f, ";{param}"))
    }
}

/// The icid of `message`, without a copy of its vector; `None` when it has none.
pub fn icid(message: &Message) -> Option<Cow<'_, str>> {
    let field = field::ChargingVector::parse(message.first(Name::PChargingVector)?).ok()?;
    let icid = match field.icid_value() {
        Cow::Borrowed(icid) => Cow::Borrowed(std::str::from_utf8(icid).ok()?),
        Cow::Owned(icid) => Cow::Owned(String::from_utf8(icid).ok()?),
    };
    Some(icid).filter(|icid| !icid.is_empty())
}

/// The vector that the network `ioi` writes into a request of a dialog whose icid is known, without a copy of either.
pub fn written<'a>(icid: &'a str, ioi: &'a str) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| write!(f, "icid-value={};orig-ioi={}", Quoted(icid), Quoted(ioi)))
}

/// The vector of `request` as the network `ioi` answers it: [`ChargingVector::answered_by`] without a copy.
pub fn answer<'a>(request: &'a Message, ioi: &'a str) -> Option<impl fmt::Display + 'a> {
    let field = field::ChargingVector::parse(request.first(Name::PChargingVector)?).ok()?;
    let (icid, orig_ioi) = (field.icid_value(), field.orig_ioi());
    std::str::from_utf8(&icid).ok().filter(|icid| !icid.is_empty())?;
    Some(fmt::from_fn(move |f| {
        write!(f, "icid-value={}", Quoted(std::str::from_utf8(&icid).unwrap_or_default()))?;
        if let Some(orig_ioi) = orig_ioi.as_ref().and_then(|ioi| std::str::from_utf8(ioi).ok()) {
            write!(f, ";orig-ioi={}", Quoted(orig_ioi))?;
        }
        write!(f, ";term-ioi={}", Quoted(ioi))?;
        for (name, value) in field.params().filter(|(name, _)| !is_own(name)) {
            write!(f, ";{}", String::from_utf8_lossy(name))?;
            if let Some(value) = value {
                write!(f, "={}", String::from_utf8_lossy(value))?;
            }
        }
        Ok(())
    }))
}

/// Whether this is one of the parameters that [`ChargingVector`] has a field for.
fn is_own(name: &[u8]) -> bool {
    [&b"icid-value"[..], b"orig-ioi", b"term-ioi"].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// A parameter value: bare when it is a token (RFC 3261 §25.1), else in quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(is_token) {
            return f.write_str(self.0);
        }
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{escaped}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> ChargingVector {
        ChargingVector::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"))
    }

    #[test]
    fn two_icids_differ_and_fit_into_a_session_id() {
        let mut entropy = Entropy::seeded(1);
        let (one, two) = (Icid::mint(&mut entropy), Icid::mint(&mut entropy));
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 25);
        assert_eq!(one.trace(), one.as_str());
        assert_eq!(Icid::received("a;b\"c@d.e").trace(), "abc@d.e");
    }

    #[test]
    fn a_vector_comes_back_as_it_was_read() {
        for value in [
            "icid-value=abc;orig-ioi=visited.net",
            "icid-value=\"a;b c\";orig-ioi=v.net;term-ioi=h.net;icid-generated-at=192.0.2.1",
            "icid-value=\"q\\\"uote\";transit-ioi=\"t.1\"",
        ] {
            assert_eq!(parse(value).to_string(), value);
        }
        assert_eq!(
            parse(" ICID-Value = \"abc\" ; Orig-IOI = v.net").to_string(),
            "icid-value=abc;orig-ioi=v.net"
        );
    }

    #[test]
    fn a_vector_without_an_icid_is_none() {
        for value in ["", "orig-ioi=v.net", "icid-value=", "icid-value=\"\"", ";;"] {
            assert_eq!(ChargingVector::parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(ChargingVector::parse(b"icid-value=\xff"), None);
    }

    #[test]
    fn what_is_written_without_a_copy_is_the_same() {
        for value in [
            "icid-value=abc;orig-ioi=visited.net",
            "icid-value=\"a;b c\";orig-ioi=\"v net\";term-ioi=h.net;icid-generated-at=192.0.2.1;x",
            "icid-value=abc",
        ] {
            let text = format!("INFO sip:a SIP/2.0\r\nP-Charging-Vector: {value}\r\n\r\n");
            let request = Message::parse(text.into_bytes(), &sip_core::Limits::default()).unwrap();
            let copied = ChargingVector::of(&request).unwrap().answered_by("home.net");
            assert_eq!(answer(&request, "home.net").unwrap().to_string(), copied.to_string());
            assert_eq!(icid(&request).unwrap(), copied.icid.as_str());
        }
        let nothing = Message::parse(
            b"INFO sip:a SIP/2.0\r\nP-Charging-Vector: x\r\n\r\n".to_vec(),
            &sip_core::Limits::default(),
        );
        let nothing = nothing.unwrap();
        assert!(answer(&nothing, "home.net").is_none() && icid(&nothing).is_none());
        let abc = Icid::received("abc");
        assert_eq!(written("abc", "a net").to_string(), ChargingVector::new(abc, "a net").to_string());
    }

    #[test]
    fn each_network_names_itself_on_the_way_and_the_answer_names_both_ends() {
        let from_visited = parse("icid-value=abc;orig-ioi=visited.net;transit-ioi=t.1");
        let to_other_home = from_visited.clone().sent_by("home1.net");
        assert_eq!(to_other_home.to_string(), "icid-value=abc;orig-ioi=home1.net;transit-ioi=t.1");
        let answer = to_other_home.clone().without_transit().answered_by("home2.net");
        assert_eq!(answer.to_string(), "icid-value=abc;orig-ioi=home1.net;term-ioi=home2.net");
        let at_visited = answer.answered_by("home1.net").restored(&from_visited);
        assert_eq!(at_visited.to_string(), "icid-value=abc;orig-ioi=visited.net;term-ioi=home1.net");
    }
}
