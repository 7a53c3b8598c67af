//! GPRS-IMS-bundled authentication (TS 33.203 Annex T): the UE has the address that the packet core gave to its bearer, as
//! the HSS knows it. Nothing is challenged.

use super::register::Register;
use super::vectors::refusal;
use crate::role::Scscf;
use crate::waiting::Waiting;
use cscf::query::Query;
use cscf::{Incoming, Reject, Turn};
use diameter_client::cx::{AuthDataItem, AuthScheme, CxRequest, Maa, Mar};
use sip_core::{Message, Name, Status, Via};
use std::net::{IpAddr, Ipv4Addr};

/// Whether a REGISTER is to be authenticated by the bearer (TS 33.203 §P.4): it has no credentials, and the network does
/// not say that its access is none of 3GPP.
pub fn applies(message: &Message) -> bool {
    let mut said = message.access_networks().filter_map(|(_, access)| access.ok());
    let is_other = said.any(|access| {
        let is_3gpp = access.access.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"3GPP"));
        access.is_network_provided() && !is_3gpp
    });
    message.all(Name::Authorization).next().is_none() && !is_other
}

/// The address of the UE: of the Via that it wrote itself, as the P-CSCF has corrected it (TS 33.203 §T.4).
pub fn address(message: &Message) -> Option<IpAddr> {
    let (_, value) = message.all(Name::Via).last()?;
    let via = Via::parse(value).ok()?;
    via.received_ip().or_else(|| via.sent_by().ip())
}

/// Whether the bearer that the HSS tells of has this address; an IPv6 address counts by its prefix.
pub fn is_of_bearer(item: &AuthDataItem, address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let known = item.framed_ip_address.as_deref().and_then(|octets| <[u8; 4]>::try_from(octets).ok());
            known.map(Ipv4Addr::from) == Some(address)
        }
        IpAddr::V6(address) => {
            // RFC 3162 §2.3: a reserved octet, the length in bits, the octets of the prefix.
            let Some([_, bits, prefix @ ..]) = item.framed_ipv6_prefix.as_deref() else { return false };
            let has_room = (1..=128).contains(bits) && prefix.len() >= usize::from(bits.div_ceil(8));
            let mut octets = [0; 16];
            octets.iter_mut().zip(prefix).for_each(|(octet, given)| *octet = *given);
            let differing = u128::from_be_bytes(octets) ^ address.to_bits();
            has_room && prefix.len() <= 16 && differing.leading_zeros() >= u32::from(*bits)
        }
    }
}

impl Scscf {
    /// Asks the HSS for the address of the bearer.
    pub(crate) fn ask_for_bearer(&mut self, turn: &mut Turn<'_, Scscf>, register: Box<Register>) {
        let scheme = AuthScheme::EarlyIms;
        let mar = Mar {
            user_name: register.impi().as_str().to_owned(),
            public_identity: register.impu.as_str().to_owned(),
            auth_data_item: AuthDataItem { scheme: Some(scheme.clone()), ..AuthDataItem::default() },
            number_auth_items: 1,
            server_name: self.config.scscf.uri.clone(),
            ..Mar::default()
        };
        let trace = register.trace.clone();
        let query = Query::Cx { request: Box::new(CxRequest::Mar(mar)), destination: self.hss(), trace };
        turn.query(query, Waiting::Maa { register, scheme });
    }

    /// The HSS answered.
    pub(crate) fn bearer_came(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        maa: &Maa,
    ) -> Result<(), Reject> {
        if !maa.result.is_success() {
            return Err(refusal(maa.result));
        }
        let Some(address) = address(&request.message) else {
            return Err(Reject::new(Status::FORBIDDEN, "the ue has no address in its via"));
        };
        if !maa.auth_data_items.iter().any(|item| is_of_bearer(item, address)) {
            turn.count("registration", "another address than the bearer's");
            return Err(Reject::new(Status::FORBIDDEN, "address is not the one of the bearer"));
        }
        turn.count("registration", "authenticated by the bearer");
        self.assign(turn, request, register, Some(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    fn register(headers: &str) -> Message {
        let text = format!("REGISTER sip:home1.net SIP/2.0\r\n{headers}CSeq: 1 REGISTER\r\n\r\n");
        Message::parse(text.into_bytes(), &Limits::default()).unwrap()
    }

    /// TS 33.203 §P.4.
    #[test]
    fn a_register_without_credentials_is_for_giba_unless_the_network_says_that_the_access_is_another() {
        for (headers, expected) in [
            ("", true),
            ("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;network-provided\r\n", true),
            ("P-Access-Network-Info: IEEE-802.11;network-provided\r\n", false),
            // A UE that says so chooses nothing.
            ("P-Access-Network-Info: IEEE-802.11\r\n", true),
            ("Authorization: Digest username=\"a\"\r\n", false),
        ] {
            assert_eq!(applies(&register(headers)), expected, "{headers}");
        }
    }

    #[test]
    fn the_address_is_the_one_that_the_pcscf_saw() {
        let top = "Via: SIP/2.0/UDP 10.0.0.9:4060;branch=z9hG4bK2\r\n";
        for (via, expected) in [
            ("10.45.0.2;branch=z9hG4bK1", Some("10.45.0.2")),
            ("10.45.0.2;branch=z9hG4bK1;received=10.45.0.3", Some("10.45.0.3")),
            ("[2001:db8::2]:5060;branch=z9hG4bK1", Some("2001:db8::2")),
            ("phone.example;branch=z9hG4bK1", None),
        ] {
            let found = address(&register(&format!("{top}Via: SIP/2.0/UDP {via}\r\n")));
            assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{via}");
        }
    }

    #[test]
    fn an_address_is_compared_whole_and_of_ipv6_its_prefix() {
        let v4 = AuthDataItem { framed_ip_address: Some(vec![10, 45, 0, 2]), ..AuthDataItem::default() };
        let v6 = |prefix: &[u8]| AuthDataItem {
            framed_ipv6_prefix: Some(prefix.to_vec()),
            ..AuthDataItem::default()
        };
        let prefix = [0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 7];
        for (item, address, expected) in [
            (&v4, "10.45.0.2", true),
            (&v4, "10.45.0.3", false),
            (&v4, "2001:db8:0:7::1", false),
            (&v6(&prefix), "2001:db8:0:7::1", true),
            (&v6(&prefix), "2001:db8:0:8::1", false),
            (&v6(&prefix), "10.45.0.2", false),
            // What is no prefix lets nobody in.
            (&v6(&[0, 0]), "2001:db8:0:7::1", false),
            (&v6(&[0, 64, 0x20]), "2001:db8:0:7::1", false),
            (&v6(&[0]), "2001:db8:0:7::1", false),
            (&AuthDataItem::default(), "10.45.0.2", false),
        ] {
            assert_eq!(is_of_bearer(item, address.parse().unwrap()), expected, "{address}");
        }
    }
}
