//! A REGISTER as the registrar understands it (RFC 3261 §10.3 steps 2 to 6, TS 24.229 §5.4.1.2).

use super::authorization::Authorization;
use super::binding::{Contact, Origin, Wish};
use super::expiry::Bounds;
use super::path::Path;
use cscf::charging;
use cscf::identity::{Impi, Impu};
use cscf::{Reject, emergency};
use sip_core::{Message, Name, NameAddr, Status, Uri};
use smallvec::SmallVec;
use std::num::NonZeroU32;

/// What a REGISTER says.
#[derive(Clone, Debug)]
pub struct Register {
    /// The public identity, from To.
    pub impu: Impu,
    /// Its credentials; the private identity is in there, or is derived from the public one.
    pub authorization: Authorization,
    /// What it asks of the bindings.
    pub wish: Wish,
    /// Whence it asks.
    pub origin: Origin,
    /// What ties the Diameter sessions of this REGISTER to it in a trace: taken from the icid.
    pub trace: Option<String>,
}

/// Option tags that a REGISTER may require of this registrar. A P-CSCF without IPsec may leave `sec-agree` in.
const SUPPORTED: [&[u8]; 3] = [b"path", b"outbound", b"sec-agree"];

impl Register {
    /// Reads it, within the operator's bounds on expiry.
    pub fn read(message: &Message, bounds: Bounds) -> Result<Register, Reject> {
        let malformed = |cause| Reject::new(Status::BAD_REQUEST, cause);
        refuse_unsupported(message)?;
        let to = message.to().map_err(|_| malformed("malformed to"))?;
        let impu = Impu::parse(to.uri()).ok_or_else(|| malformed("no public identity in to"))?;
        let (impi, authorization) = match Authorization::read(message)? {
            Some(read) => read,
            // TS 24.229 §5.3.1.2: without credentials the private identity is the public one without its scheme.
            None => (impu.derived_impi(), Authorization::default()),
        };
        let (mut path, mut edge) = (Path::default(), None);
        for (_, entry) in message.paths() {
            let entry = entry.map_err(|_| malformed("malformed path"))?;
            if !path.push(entry.raw()) || path.packed().len() > PATH_OCTETS_MAX {
                return Err(Reject::new(Status::MESSAGE_TOO_LARGE, "path too long"));
            }
            edge = Some(entry);
        }
        let origin = Origin {
            impi,
            call_id: message.call_id().into(),
            cseq: message.cseq().map_err(|_| malformed("malformed cseq"))?.number,
            wants_gruu: message.has_option(Name::Supported, b"gruu"),
            path,
        };
        let edge_is_outbound =
            edge.is_some_and(|edge| edge.parsed_uri().is_ok_and(|uri| uri.param(b"ob").is_some()));
        let outbound = match (message.has_option(Name::Supported, b"outbound"), edge_is_outbound) {
            (false, _) => Outbound::NotAsked,
            (true, false) => Outbound::EdgeLacks,
            (true, true) => Outbound::Used,
        };
        let wish = read_wish(message, bounds, outbound)?;
        Ok(Register { impu, authorization, wish, origin, trace: charging::trace(message) })
    }

    /// The private identity.
    pub fn impi(&self) -> &Impi {
        &self.origin.impi
    }

    /// The contacts that it names.
    pub fn contacts(&self) -> &[Contact] {
        match &self.wish {
            Wish::Update(contacts) => contacts,
            Wish::Fetch | Wish::RemoveAll => &[],
        }
    }

    /// Whether it asks for an emergency registration (TS 24.229 §5.1.6.2).
    pub fn is_emergency(&self) -> bool {
        self.contacts().iter().any(|contact| contact.is_emergency)
    }

    /// Whether it only removes.
    pub fn removes_only(&self) -> bool {
        match &self.wish {
            Wish::Fetch => false,
            Wish::RemoveAll => true,
            Wish::Update(contacts) => contacts.iter().all(|contact| contact.expires_s == 0),
        }
    }
}

/// How far RFC 5626 applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outbound {
    /// The UE does not offer it: a reg-id means nothing.
    NotAsked,
    /// The first edge proxy does not know the flow.
    EdgeLacks,
    /// All along the path.
    Used,
}

fn refuse_unsupported(message: &Message) -> Result<(), Reject> {
    let unsupported: Vec<String> = message
        .option_tags(Name::Require)
        .filter(|tag| !SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(tag)))
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(Reject::new(Status::BAD_EXTENSION, "extension not supported")
        .header(Name::Unsupported, unsupported.join(", ")))
}

fn read_wish(message: &Message, bounds: Bounds, outbound: Outbound) -> Result<Wish, Reject> {
    let malformed = |cause| Reject::new(Status::BAD_REQUEST, cause);
    let expires = message.expires().map_err(|_| malformed("malformed expires"))?;
    let (mut contacts, mut wildcards) = (SmallVec::new(), 0);
    for (_, contact) in message.contacts() {
        let contact = contact.map_err(|_| malformed("malformed contact"))?;
        if contact.is_wildcard() {
            wildcards += 1;
            continue;
        }
        contacts.push(read_contact(&contact, expires, bounds, outbound)?);
    }
    if contacts.iter().any(|contact: &Contact| contact.is_emergency) {
        if !contacts.iter().all(|contact| contact.is_emergency) {
            return Err(malformed("contacts for emergencies and others"));
        }
        if contacts.iter().any(|contact| contact.expires_s == 0) {
            // TS 24.229 §5.1.6.5: its UE does not ask for it, and nobody else may.
            return Err(Reject::new(Status::FORBIDDEN, "emergency registration ends by its time alone"));
        }
    }
    match (wildcards, contacts.is_empty()) {
        (0, true) => Ok(Wish::Fetch),
        (0, false) => Ok(Wish::Update(contacts)),
        // RFC 3261 §10.3 step 6.
        (1, true) if expires == Some(0) => Ok(Wish::RemoveAll),
        _ => Err(malformed("a wildcard contact stands alone and expires at once")),
    }
}

pub(super) fn read_contact(
    contact: &NameAddr<'_>,
    expires: Option<u32>,
    bounds: Bounds,
    outbound: Outbound,
) -> Result<Contact, Reject> {
    if !matches!(contact.parsed_uri(), Ok(Uri::Sip(_))) {
        return Err(Reject::new(Status::BAD_REQUEST, "contact is no sip uri"));
    }
    let instance = contact.unquoted_param(b"+sip.instance").unwrap_or_default();
    let reg_id = contact
        .param(b"reg-id")
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<NonZeroU32>().ok())
        .filter(|_| !instance.is_empty() && outbound != Outbound::NotAsked);
    if reg_id.is_some() && outbound == Outbound::EdgeLacks {
        // RFC 5626 §6.
        return Err(Reject::new(Status::FIRST_HOP_LACKS_OUTBOUND, "first hop lacks outbound"));
    }
    let mut params = SmallVec::new();
    for (name, value) in contact.params() {
        // RFC 5627 §5.1: GRUUs are the registrar's to assign, whatever a UE repeats.
        let ours = [&b"expires"[..], b"pub-gruu", b"temp-gruu"];
        if ours.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            continue;
        }
        params.push(b';');
        params.extend_from_slice(name);
        if let Some(value) = value {
            params.push(b'=');
            params.extend_from_slice(value);
        }
    }
    if contact.uri().len() + params.len() > CONTACT_OCTETS_MAX {
        return Err(Reject::new(Status::MESSAGE_TOO_LARGE, "contact too long"));
    }
    Ok(Contact {
        uri: contact.uri().into(),
        params,
        q: contact.param(b"q").map_or(1000, thousandths),
        instance: SmallVec::from_slice(&instance),
        reg_id,
        is_emergency: emergency::is_contact(contact.uri()),
        expires_s: bounds.grant(contact.expires().or(expires))?,
    })
}

/// A contact is kept, and told in each 200 of its set. Feature tags of a phone take some 500 octets.
const CONTACT_OCTETS_MAX: usize = 2048;
/// The Path is kept with each contact, and goes into each request to it.
pub(super) const PATH_OCTETS_MAX: usize = 4096;

/// A qvalue in thousandths (RFC 3261 §25.1); what is none counts as the least.
fn thousandths(q: &[u8]) -> u16 {
    let (whole, fraction) = match q.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&q[..dot], &q[dot + 1..]),
        None => (q, &b""[..]),
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    match whole {
        b"1" => 1000,
        b"0" | b"" => {
            let mut value = 0;
            for place in 0..3 {
                value = value * 10 + fraction.get(place).map_or(0, |digit| u16::from(digit - b'0'));
            }
            value
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    const BOUNDS: Bounds = Bounds { min_s: 60, default_s: 3600, max_s: 600_000 };

    fn read(headers: &str) -> Result<Register, Reject> {
        let text = format!(
            "REGISTER sip:home1.net SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n\
             From: <sip:alice@home1.net>;tag=1\r\nTo: <sip:alice@home1.net>\r\nCall-ID: c1\r\nCSeq: 1 REGISTER\r\n\
             {headers}Content-Length: 0\r\n\r\n"
        );
        Register::read(&Message::parse(text.into_bytes(), &Limits::default()).unwrap(), BOUNDS)
    }

    #[test]
    fn a_contact_is_read_with_its_own_expiry_preference_and_parameters() {
        let register = read(
            "Contact: <sip:alice@10.0.0.1:5060;transport=udp>;expires=120;q=0.75;+g.3gpp.smsip\r\nExpires: 900\r\n\
             Path: <sip:b@p2;lr>, <sip:a@p1;lr>\r\n",
        )
        .unwrap();
        let contact = &register.contacts()[0];
        assert_eq!(&contact.uri[..], b"sip:alice@10.0.0.1:5060;transport=udp");
        assert_eq!((contact.expires_s, contact.q), (120, 750));
        assert_eq!(&contact.params[..], b";q=0.75;+g.3gpp.smsip");
        assert_eq!(register.origin.path.entries().collect::<Vec<_>>(), [b"<sip:b@p2;lr>", b"<sip:a@p1;lr>"]);
    }

    #[test]
    fn a_wildcard_stands_alone_and_with_a_zero_expiry() {
        assert_eq!(read("Contact: *\r\nExpires: 0\r\n").unwrap().wish, Wish::RemoveAll);
        for wrong in
            ["Contact: *\r\n", "Contact: *\r\nExpires: 60\r\n", "Contact: *, <sip:a@h>\r\nExpires: 0\r\n"]
        {
            assert_eq!(read(wrong).unwrap_err().status, Status::BAD_REQUEST, "{wrong}");
        }
    }

    #[test]
    fn an_extension_that_is_required_and_unknown_is_named_in_the_refusal() {
        assert!(read("Require: path\r\n").is_ok());
        let refusal = read("Require: path, gruu\r\n").unwrap_err();
        assert_eq!(refusal.status, Status::BAD_EXTENSION);
        assert_eq!(refusal.headers, [(Name::Unsupported, "gruu".to_owned())]);
    }

    /// RFC 5626 §6: a flow needs an edge proxy that keeps it.
    #[test]
    fn a_flow_is_registered_only_through_an_edge_that_knows_outbound() {
        let contact = "Contact: <sip:a@10.0.0.1>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"\r\nSupported: path, outbound\r\n";
        let through = |path| read(&format!("{contact}Path: {path}\r\n"));
        assert_eq!(
            through("<sip:far;lr>, <sip:edge;lr;ob>").unwrap().contacts()[0].reg_id,
            NonZeroU32::new(1)
        );
        assert_eq!(
            through("<sip:far;lr;ob>, <sip:edge;lr>").unwrap_err().status,
            Status::FIRST_HOP_LACKS_OUTBOUND
        );
        let without = contact.replace(", outbound", "");
        assert_eq!(read(&without).unwrap().contacts()[0].reg_id, None);
    }

    #[test]
    fn without_credentials_the_private_identity_is_the_public_one() {
        assert_eq!(read("").unwrap().impi(), &Impi::new("alice@home1.net"));
        let named =
            read("Authorization: Digest username=\"001010000000001@home1.net\",integrity-protected=no\r\n");
        assert_eq!(named.unwrap().impi(), &Impi::new("001010000000001@home1.net"));
    }

    #[test]
    fn a_contact_or_a_path_that_is_too_long_to_keep_is_refused() {
        let contact = |octets| format!("Contact: <sip:alice@10.0.0.1>;+x=\"{}\"\r\n", "x".repeat(octets));
        assert!(read(&contact(1900)).is_ok());
        assert_eq!(read(&contact(2048)).unwrap_err().status, Status::MESSAGE_TOO_LARGE);
        let path = |octets| format!("Path: <sip:{}@p1;lr>\r\n", "x".repeat(octets));
        assert!(read(&path(4000)).is_ok());
        assert_eq!(read(&path(4096)).unwrap_err().status, Status::MESSAGE_TOO_LARGE);
    }

    #[test]
    fn a_qvalue_is_read_in_thousandths_and_nonsense_is_least() {
        for (q, expected) in
            [("1", 1000), ("1.000", 1000), ("0.5", 500), ("0.001", 1), ("0", 0), ("7", 0), ("x", 0)]
        {
            assert_eq!(thousandths(q.as_bytes()), expected, "{q}");
        }
    }
}
