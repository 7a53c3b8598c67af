//! What a REGISTER authenticates by, and whether its access network may (TS 33.203 Annex P). Pure.

use crate::tls_session::TlsSession;
use cscf::Reject;
use cscf::config::{AccessNetwork, Config, Scheme};
use sip_core::{Message, Name, Status};
use std::net::SocketAddr;

/// What a REGISTER says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether it came through security associations.
    pub is_protected: bool,
    /// How far its TLS connection is bound; `None` without TLS.
    pub tls: Option<TlsSession>,
    /// The best of what its Security-Client offers that this P-CSCF has.
    pub offer: Offer,
    /// What its Authorization is for.
    pub credentials: Credentials,
}

/// What a Security-Client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing that we have.
    None,
    /// Security associations.
    Ipsec,
    /// TLS.
    Tls,
}

/// What an Authorization is for, by its algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing follows from them: access networks are not told apart, and no TLS is spoken of.
    Unread,
    /// There is none.
    None,
    /// It names no algorithm, as before a challenge.
    Unnamed,
    /// AKA.
    Aka,
    /// SIP digest.
    Digest {
        /// Whether it has a response.
        is_answer: bool,
    },
}

/// What the registrar will authenticate by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// IMS-AKA.
    Aka,
    /// AKA or SIP digest: the registrar finds out which.
    AkaOrDigest,
    /// SIP digest.
    Digest,
    /// SIP digest over the TLS connection that the REGISTER came by.
    DigestTls,
    /// SIP digest over a TLS connection that the UE is to open once it is challenged.
    DigestTlsAhead,
    /// The address of the bearer.
    Giba,
}

impl Credentials {
    fn of(message: &Message) -> Credentials {
        let Some((_, Ok(given))) = message.credentials(Name::Authorization).next() else {
            return Credentials::None;
        };
        let algorithm = given.param(b"algorithm").unwrap_or_default();
        let is_aka = algorithm.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"AKAv"));
        match (algorithm.is_empty(), is_aka) {
            (true, _) => Credentials::Unnamed,
            (false, true) => Credentials::Aka,
            (false, false) => {
                let is_answer = given.param(b"response").is_some_and(|response| !response.is_empty());
                Credentials::Digest { is_answer }
            }
        }
    }
}

impl Facts {
    /// Reads them. `has_tls`: whether this P-CSCF listens for TLS.
    pub fn of(
        config: &Config,
        message: &Message,
        is_protected: bool,
        tls: Option<TlsSession>,
        has_tls: bool,
    ) -> Facts {
        let offers = |wanted: &[u8]| {
            let mut offered = message.mechanisms(Name::SecurityClient);
            offered.any(|(_, mechanism)| mechanism.is_ok_and(|known| known.name.eq_ignore_ascii_case(wanted)))
        };
        let offer = match () {
            () if config.ipsec.is_on() && offers(b"ipsec-3gpp") => Offer::Ipsec,
            () if has_tls && offers(b"tls") => Offer::Tls,
            () => Offer::None,
        };
        let credentials = match tls.is_none() && offer != Offer::Tls && config.access.networks.is_empty() {
            true => Credentials::Unread,
            false => Credentials::of(message),
        };
        Facts { is_protected, tls, offer, credentials }
    }

    /// TS 33.203 §P.3: what a REGISTER selects on a network; without one, as if everything but GIBA was allowed.
    pub fn way(&self, network: Option<&AccessNetwork>) -> Way {
        let allows = |scheme| network.is_some_and(|network| network.allows(scheme));
        match self {
            Facts { is_protected: true, .. } | Facts { offer: Offer::Ipsec, tls: None, .. } => Way::Aka,
            Facts { tls: Some(_), credentials: Credentials::Aka, .. } => Way::Aka,
            Facts { tls: Some(_), .. } => Way::DigestTls,
            Facts { offer: Offer::Tls, .. } => Way::DigestTlsAhead,
            Facts { credentials: Credentials::None, .. } if allows(Scheme::Giba) => Way::Giba,
            Facts { credentials: Credentials::Unread, .. } => Way::AkaOrDigest,
            Facts { credentials: Credentials::Aka, .. } => Way::Aka,
            Facts { credentials: Credentials::Digest { .. }, .. } => Way::Digest,
            Facts { credentials: Credentials::None | Credentials::Unnamed, .. } => {
                match (network, allows(Scheme::Aka), allows(Scheme::Digest)) {
                    (None, ..) | (_, true, true) => Way::AkaOrDigest,
                    (Some(_), false, true) => Way::Digest,
                    (Some(_), _, false) => Way::Aka,
                }
            }
        }
    }
}

/// The way of a REGISTER from `remote`, if it may take it; and the access type to write for the registrar.
pub fn admit<'c>(
    config: &'c Config,
    facts: &Facts,
    message: &Message,
    remote: SocketAddr,
) -> Result<(Way, Option<&'c str>), Reject> {
    let network = match config.access.networks.is_empty() {
        // Most P-CSCFs do not tell networks apart: nothing is read then.
        true => None,
        false => {
            let mut claims = message.access_networks().filter_map(|(_, claimed)| claimed.ok());
            let network = config.access.network(remote, claims.next().map(|claimed| claimed.access));
            Some(network.ok_or_else(|| Reject::new(Status::FORBIDDEN, "access network is not served"))?)
        }
    };
    let way = facts.way(network);
    if let Some(network) = network {
        let refusal = match way {
            Way::Aka if !network.allows(Scheme::Aka) => Some("IMS-AKA is not allowed on this access"),
            Way::Digest if !network.allows(Scheme::Digest) => {
                Some("SIP digest is not allowed on this access")
            }
            Way::DigestTls | Way::DigestTlsAhead if !network.allows(Scheme::DigestTls) => {
                Some("SIP digest over TLS is not allowed on this access")
            }
            // §P.4: the registrar would take it for GIBA.
            Way::Aka | Way::AkaOrDigest | Way::Digest
                if facts.credentials == Credentials::None
                    && network.is_3gpp()
                    && config.access.has_giba() =>
            {
                Some("REGISTER without credentials, and GIBA is not allowed on this access")
            }
            _ => None,
        };
        if let Some(cause) = refusal {
            return Err(Reject::new(Status::FORBIDDEN, cause));
        }
    }
    match way {
        // TS 33.203 §T.5: the registrar reads the address of the UE in its Via, the last one.
        Way::Giba if message.all(Name::Via).count() > 1 => {
            return Err(Reject::new(Status::FORBIDDEN, "REGISTER without credentials has more than one Via"));
        }
        // RFC 3329 §2.3.1: what was offered and challenged is to be used.
        Way::DigestTlsAhead if matches!(facts.credentials, Credentials::Digest { is_answer: true }) => {
            return Err(agreement("answer to a challenge came without the TLS that was agreed on"));
        }
        Way::DigestTls => verify(message)?,
        _ => {}
    }
    // §P.3: without credentials, an access that is none of 3GPP is told to the registrar.
    let told = network.filter(|network| {
        facts.credentials == Credentials::None && config.access.has_giba() && !network.is_3gpp()
    });
    Ok((way, told.map(|network| network.access_type.as_str())))
}

/// A Security-Verify over TLS returns our list (RFC 3329 §2.3.1); whoever opened TLS by itself has none.
fn verify(message: &Message) -> Result<(), Reject> {
    let mut returned = message.mechanisms(Name::SecurityVerify).peekable();
    if returned.peek().is_none() {
        return Ok(());
    }
    let is_ours = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(SECURITY_SERVER.as_bytes());
    let mut values = message.all(Name::SecurityVerify).map(|(_, value)| value);
    match values.next().is_some_and(is_ours) && values.next().is_none() {
        true => Ok(()),
        false => Err(agreement("Security-Verify differs from our Security-Server")),
    }
}

fn agreement(cause: &'static str) -> Reject {
    Reject::new(Status::SECURITY_AGREEMENT_REQUIRED, cause).header(Name::SecurityServer, SECURITY_SERVER)
}

/// What a UE that offers TLS is answered with its challenge: of the parameters only the preference counts (TS 33.203
/// Annex H).
pub const SECURITY_SERVER: &str = "tls;q=0.1";

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::config::TrustedNet;

    fn network(schemes: &[Scheme]) -> AccessNetwork {
        AccessNetwork {
            from: Vec::<TrustedNet>::new(),
            claims: Vec::new(),
            access_type: "IEEE-802.11".to_owned(),
            schemes: schemes.to_vec(),
        }
    }

    /// TS 33.203 §P.3, in its order.
    #[test]
    fn what_a_register_says_selects_its_way() {
        use Credentials::{Aka, None as Nobody, Unnamed};
        let digest = Credentials::Digest { is_answer: true };
        let all = network(&[Scheme::Aka, Scheme::Digest, Scheme::DigestTls, Scheme::Giba]);
        let (aka, password) = (network(&[Scheme::Aka]), network(&[Scheme::Digest]));
        let pending = Some(TlsSession::Pending);
        for (is_protected, tls, offer, credentials, network, expected) in [
            (true, None, Offer::None, digest, None, Way::Aka),
            (false, None, Offer::Ipsec, Unnamed, Some(&all), Way::Aka),
            (false, pending, Offer::Ipsec, Unnamed, Some(&all), Way::DigestTls),
            (false, pending, Offer::None, Aka, None, Way::Aka),
            (false, pending, Offer::None, Nobody, Some(&all), Way::DigestTls),
            (false, None, Offer::Tls, Unnamed, None, Way::DigestTlsAhead),
            (false, None, Offer::None, Nobody, Some(&all), Way::Giba),
            (false, None, Offer::None, Nobody, None, Way::AkaOrDigest),
            (false, None, Offer::None, Unnamed, Some(&all), Way::AkaOrDigest),
            (false, None, Offer::None, Unnamed, Some(&aka), Way::Aka),
            (false, None, Offer::None, Unnamed, Some(&password), Way::Digest),
            (false, None, Offer::None, Aka, Some(&password), Way::Aka),
            (false, None, Offer::None, digest, Some(&aka), Way::Digest),
        ] {
            let facts = Facts { is_protected, tls, offer, credentials };
            assert_eq!(facts.way(network), expected, "{facts:?} {network:?}");
        }
    }
}
