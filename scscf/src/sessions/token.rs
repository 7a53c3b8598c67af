//! Our own URIs in Service-Route and Record-Route, and what they say when they come back (TS 24.229 §5.4.3.1).
//!
//! Their user part is a token: it marks the request as originating or terminating, and names the session that it
//! belongs to, so that no header of the peer has to be believed for either. Behind the Route of an application server it
//! is the original dialog identifier (TS 24.229 §5.4.3.4).

use cscf::bucket::{Bucket, TokenKey, base32, unbase32};
use cscf::flow::Local;
use sip_core::{Host, NameAddr, Uri};

use super::chain::ChainId;
use super::dialog::SessionId;
use std::fmt;

/// What a URI of ours was handed out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// In the Service-Route of a 200: what comes by it originates from our user.
    ServiceRoute,
    /// In the Record-Route of a request that our user sent.
    Originating,
    /// In the Record-Route of a request to our user.
    Terminating,
    /// Behind the Route of an application server that a request of our user visits.
    OriginatingChain,
    /// The same for a request to our user.
    TerminatingChain,
}

impl Case {
    const ALL: [Case; 5] = [
        Case::ServiceRoute,
        Case::Originating,
        Case::Terminating,
        Case::OriginatingChain,
        Case::TerminatingChain,
    ];

    const fn letter(self) -> char {
        match self {
            Case::ServiceRoute => 's',
            Case::Originating => 'o',
            Case::Terminating => 't',
            Case::OriginatingChain => 'a',
            Case::TerminatingChain => 'b',
        }
    }
}

/// The payload of a token.
pub fn payload(case: Case, session: Option<SessionId>) -> String {
    numbered(case, session.map(|SessionId(number)| number))
}

/// The payload of an original dialog identifier.
pub fn chain_payload(case: Case, ChainId(number): ChainId) -> String {
    numbered(case, Some(number))
}

fn numbered(case: Case, number: Option<u64>) -> String {
    let mut text = Vec::with_capacity(1 + SessionId::BITS.div_ceil(5) as usize);
    text.push(case.letter() as u8);
    if let Some(number) = number {
        base32(number, SessionId::BITS, &mut text);
    }
    // Letters and digits only: nothing is lost, and nothing copied.
    String::from_utf8(text).unwrap_or_default()
}

/// A Route value that names us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// What it was handed out for; `None` when it is our plain address.
    pub case: Option<Case>,
    /// The session that it names.
    pub session: Option<SessionId>,
    /// The visit to an application server that it comes back from.
    pub chain: Option<ChainId>,
    /// Where it was minted; `None` without a token.
    pub bucket: Option<Bucket>,
}

/// The host and port of our URI, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnName {
    host: Vec<u8>,
    port: Option<u16>,
}

impl OwnName {
    /// Those of a URI; of one that is no SIP URI nothing is ours.
    pub fn of(own_uri: &str) -> OwnName {
        let uri = Uri::parse(own_uri.as_bytes()).ok();
        let sip = uri.as_ref().and_then(Uri::sip);
        let host = sip.and_then(|sip| sip.host.name()).unwrap_or_default().to_vec();
        OwnName { host, port: sip.and_then(|sip| sip.port) }
    }
}

/// Reads a Route value; `None` when it names somebody else.
pub fn own(route: &NameAddr<'_>, name: &OwnName, locals: &[Local], key: &TokenKey) -> Option<Own> {
    let uri = route.parsed_uri().ok()?;
    let sip = uri.sip()?;
    if !names_us(&sip.host, sip.port, name, locals) {
        return None;
    }
    let plain = Own { case: None, session: None, chain: None, bucket: None };
    let Some(user) = sip.user else {
        // TS 24.229 §5.7.1: who acts for a user, an application server, marks the request by a parameter.
        let case = uri.param(b"orig").map(|_| Case::Originating);
        return Some(Own { case, ..plain });
    };
    let Some((bucket, payload)) = key.open(user) else {
        // Minted with a key that went with the store: the parameter says the same of a Service-Route.
        let case = uri.param(b"orig").map(|_| Case::ServiceRoute);
        return Some(Own { case, ..plain });
    };
    let (letter, number) = payload.split_at_checked(1)?;
    let case = Case::ALL.into_iter().find(|case| letter.starts_with(case.letter()));
    let number = Some(number).filter(|text| !text.is_empty()).and_then(|text| unbase32(text.as_bytes()));
    let bucket = Some(bucket);
    Some(match case {
        Some(Case::OriginatingChain | Case::TerminatingChain) => {
            Own { case, session: None, chain: number.map(ChainId), bucket }
        }
        _ => Own { case, session: number.map(SessionId), chain: None, bucket },
    })
}

/// Whether a host and port are ours: the name of our URI, or an address that we listen on.
pub fn names_us(host: &Host<'_>, port: Option<u16>, own: &OwnName, locals: &[Local]) -> bool {
    if let Some(ip) = host.ip() {
        let port = port.unwrap_or(5060);
        return locals.iter().any(|local| local.address.ip() == ip && local.address.port() == port);
    }
    // Without a port the name stands for what DNS says, which is us.
    host.name().is_some_and(|name| !own.host.is_empty() && name.eq_ignore_ascii_case(&own.host))
        && (port.is_none() || port == own.port)
}

/// Our URI with a token as its user part.
pub fn uri<'a>(own_uri: &'a str, token: &'a str) -> impl fmt::Display + 'a {
    let (scheme, rest) = own_uri.split_once(':').unwrap_or(("sip", own_uri));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let loose =
        if rest.split(';').skip(1).any(|param| param.eq_ignore_ascii_case("lr")) { "" } else { ";lr" };
    fmt::from_fn(move |f| write!(f, "{scheme}:{token}@{rest}{loose}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambient::Entropy;
    use cscf::bucket::Bucket;
    use cscf::flow::{Side, Transport};
    use sip_core::Name;

    const OWN: &str = "sip:scscf.home1.net:6060";

    fn locals() -> Vec<Local> {
        vec![Local {
            side: Side::Core,
            transport: Transport::Udp,
            address: "127.0.0.12:6060".parse().unwrap(),
        }]
    }

    fn read(route: &str, key: &TokenKey) -> Option<Own> {
        own(&NameAddr::parse(Name::Route, route.as_bytes()).unwrap(), &OwnName::of(OWN), &locals(), key)
    }

    #[test]
    fn a_token_comes_back_with_its_case_and_session() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        for (case, session) in [
            (Case::ServiceRoute, None),
            (Case::Originating, Some(SessionId(7))),
            (Case::Terminating, Some(SessionId((1 << 60) - 1))),
        ] {
            let token = key.mint(Bucket::new(3), &payload(case, session));
            let route = format!("<{}>", uri(OWN, &token));
            assert_eq!(
                read(&route, &key),
                Some(Own { case: Some(case), session, chain: None, bucket: Some(Bucket::new(3)) }),
                "{route}"
            );
        }
    }

    #[test]
    fn an_original_dialog_identifier_comes_back_as_a_chain_and_as_no_session() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        for case in [Case::OriginatingChain, Case::TerminatingChain] {
            let token = key.mint(Bucket::new(3), &chain_payload(case, ChainId(9)));
            let own = Own {
                case: Some(case),
                session: None,
                chain: Some(ChainId(9)),
                bucket: Some(Bucket::new(3)),
            };
            assert_eq!(read(&format!("<{};orig>", uri(OWN, &token)), &key), Some(own));
        }
    }

    #[test]
    fn a_forged_token_is_our_address_and_nothing_more() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        let forged = TokenKey::new(&mut Entropy::seeded(2)).mint(Bucket::new(3), "s");
        let plain = Some(Own { case: None, session: None, chain: None, bucket: None });
        assert_eq!(read(&format!("<{}>", uri(OWN, &forged)), &key), plain);
        assert_eq!(read("<sip:orig@scscf.home1.net:6060;lr>", &key), plain);
        assert_eq!(read("<sip:127.0.0.12:6060;lr>", &key), plain);
        assert_eq!(read("<sip:scscf.home1.net:6060;lr;orig>", &key).unwrap().case, Some(Case::Originating));
    }

    #[test]
    fn another_host_or_port_is_not_ours() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        for route in [
            "<sip:pcscf.home1.net;lr>",
            "<sip:scscf.home1.net:5060;lr>",
            "<sip:127.0.0.12;lr>",
            "<tel:+49301>",
        ] {
            assert_eq!(read(route, &key), None, "{route}");
        }
    }

    #[test]
    fn a_uri_of_ours_routes_loosely() {
        assert_eq!(uri("sip:scscf.home1.net:6060", "abc").to_string(), "sip:abc@scscf.home1.net:6060;lr");
        assert_eq!(
            uri("sip:old@scscf.home1.net;transport=tcp;lr", "abc").to_string(),
            "sip:abc@scscf.home1.net;transport=tcp;lr"
        );
    }
}
