//! P-Access-Network-Info: what the user's access is, as the UE or the network says (RFC 7315 §4.4).

use super::FieldError;
use crate::grammar::{self, Params};
use crate::message::{Message, SlotId};
use crate::name::Name;

/// One value of P-Access-Network-Info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessNetwork<'a> {
    /// The access type or class, such as `3GPP-E-UTRAN-FDD`.
    pub access: &'a [u8],
    params: Params<'a>,
}

impl<'a> AccessNetwork<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Result<AccessNetwork<'a>, FieldError> {
        let error = FieldError::syntax(Name::PAccessNetworkInfo);
        let (access, rest) = grammar::take_token(grammar::trim(value));
        if access.is_empty() {
            return Err(error);
        }
        Ok(AccessNetwork { access, params: Params::parse(rest).ok_or(error)? })
    }

    /// Whether the network vouches for the value; a UE must not say so.
    pub fn is_network_provided(&self) -> bool {
        self.params.has(b"network-provided")
    }

    /// A parameter (name in any case), without its quotes, such as `utran-cell-id-3gpp`.
    pub fn param(&self, name: &[u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
        self.params.get(name).map(grammar::unquote)
    }
}

impl Message {
    /// Every value of P-Access-Network-Info.
    pub fn access_networks(&self) -> impl Iterator<Item = (SlotId, Result<AccessNetwork<'_>, FieldError>)> {
        self.all(Name::PAccessNetworkInfo).map(|(id, value)| (id, AccessNetwork::parse(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    #[test]
    fn the_values_of_ue_and_network_are_told_apart() {
        let text = b"OPTIONS sip:b SIP/2.0\r\nP-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=\"00101,1\", \
            3GPP-E-UTRAN-FDD;network-provided;utran-cell-id-3gpp=001012\r\n\r\n";
        let message = Message::parse(text.to_vec(), &Limits::default()).unwrap();
        let networks: Vec<_> = message.access_networks().map(|(_, network)| network.unwrap()).collect();
        assert_eq!(networks.len(), 2);
        assert!(!networks[0].is_network_provided() && networks[1].is_network_provided());
        assert_eq!(networks[0].access, b"3GPP-E-UTRAN-FDD");
        assert_eq!(networks[0].param(b"utran-cell-id-3gpp").unwrap().as_ref(), b"00101,1");
    }

    #[test]
    fn broken_values_are_refused() {
        for broken in ["", ";network-provided", "IEEE-802.11;;", "IEEE 802.11"] {
            assert!(AccessNetwork::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
