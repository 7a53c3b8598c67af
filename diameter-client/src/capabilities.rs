//! Capabilities exchange: what two peers tell each other first, and what they have in common (RFC 6733 §5.3).

use crate::cx::CxResult;
use crate::dictionary::{
    APPLICATION_BASE, APPLICATION_CX, APPLICATION_RELAY, CAPABILITIES_EXCHANGE, VENDOR_3GPP,
    VENDOR_CABLELABS, VENDOR_ETSI, avp,
};
use crate::wire::{FLAG_REQUEST, Header, Message, WireError, Writer};
use std::net::IpAddr;

/// Vendors under which peers are known to announce Cx; our answer repeats those that the peer named.
const CX_VENDORS: [u32; 4] = [VENDOR_3GPP, VENDOR_ETSI, VENDOR_CABLELABS, 0];

/// NO_INBAND_SECURITY.
const NO_INBAND_SECURITY: u32 = 0;

/// What a CER or CEA says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Origin-Host.
    pub origin_host: String,
    /// Origin-Realm.
    pub origin_realm: String,
    /// Host-IP-Address.
    pub host_ips: Vec<IpAddr>,
    /// Product-Name.
    pub product_name: String,
    /// Origin-State-Id.
    pub origin_state_id: Option<u32>,
    /// Applications announced on their own: Auth-Application-Id and Acct-Application-Id.
    pub applications: Vec<u32>,
    /// Applications announced under a vendor: Vendor-Specific-Application-Id.
    pub vendor_applications: Vec<(u32, u32)>,
    /// Inband-Security-Id.
    pub inband_security: Vec<u32>,
    /// The result; SUCCESS in a CER, which has none.
    pub result: CxResult,
    /// Error-Message of a CEA.
    pub error_message: Option<String>,
}

impl Capabilities {
    /// What this node announces: Cx under 3GPP's Vendor-Id (TS 29.229 §5.6).
    pub fn own(
        origin_host: &str,
        origin_realm: &str,
        product_name: &str,
        host_ips: &[IpAddr],
    ) -> Capabilities {
        Capabilities {
            origin_host: origin_host.to_owned(),
            origin_realm: origin_realm.to_owned(),
            host_ips: host_ips.to_vec(),
            product_name: product_name.to_owned(),
            vendor_applications: vec![(VENDOR_3GPP, APPLICATION_CX)],
            ..Capabilities::default()
        }
    }

    /// Whether the peer relays for every application.
    pub fn is_relay(&self) -> bool {
        self.all_applications().any(|application| application == APPLICATION_RELAY)
    }

    /// The refusal that this CER or CEA of a peer deserves, if any.
    ///
    /// The vendor under which Cx is announced is not looked at: deployed peers use several.
    pub fn refusal(&self) -> Option<CxResult> {
        if !self.inband_security.is_empty() && !self.inband_security.contains(&NO_INBAND_SECURITY) {
            return Some(CxResult::Base(5017));
        }
        let has_cx = |application| application == APPLICATION_CX || application == APPLICATION_RELAY;
        if self.all_applications().any(has_cx) { None } else { Some(CxResult::NO_COMMON_APPLICATION) }
    }

    /// The CEA of `own` to this CER: the applications in common, as the peer announced them.
    pub fn in_common(&self, own: &Capabilities) -> Capabilities {
        let mut vendor_applications = own.vendor_applications.clone();
        for pair in &self.vendor_applications {
            let (vendor, application) = *pair;
            if application == APPLICATION_CX
                && CX_VENDORS.contains(&vendor)
                && !vendor_applications.contains(pair)
            {
                vendor_applications.push(*pair);
            }
        }
        let applications =
            if self.applications.contains(&APPLICATION_CX) { vec![APPLICATION_CX] } else { Vec::new() };
        Capabilities { vendor_applications, applications, ..own.clone() }
    }

    fn all_applications(&self) -> impl Iterator<Item = u32> {
        self.applications.iter().copied().chain(self.vendor_applications.iter().map(|&(_, id)| id))
    }

    /// Writes a CER.
    pub fn encode_request(&self, hop_by_hop: u32, end_to_end: u32) -> Vec<u8> {
        let mut writer = Writer::new(Header {
            flags: FLAG_REQUEST,
            command: CAPABILITIES_EXCHANGE,
            application: APPLICATION_BASE,
            hop_by_hop,
            end_to_end,
        });
        self.write(&mut writer);
        writer.finish()
    }

    /// Writes a CEA to the CER with `header`.
    pub fn encode_answer(&self, header: &Header) -> Vec<u8> {
        let mut writer = Writer::new(header.answer());
        writer.unsigned32(&avp::RESULT_CODE, self.result.code());
        self.write(&mut writer);
        writer.text_if(&avp::ERROR_MESSAGE, self.error_message.as_deref());
        writer.finish()
    }

    fn write(&self, writer: &mut Writer) {
        writer.text(&avp::ORIGIN_HOST, &self.origin_host);
        writer.text(&avp::ORIGIN_REALM, &self.origin_realm);
        for ip in &self.host_ips {
            writer.octets(&avp::HOST_IP_ADDRESS, &address(*ip));
        }
        // Of the product's vendor; 0 is nobody's.
        writer.unsigned32(&avp::VENDOR_ID, 0);
        writer.text(&avp::PRODUCT_NAME, &self.product_name);
        writer.unsigned32_if(&avp::ORIGIN_STATE_ID, self.origin_state_id);
        writer.unsigned32(&avp::SUPPORTED_VENDOR_ID, VENDOR_3GPP);
        writer.unsigned32(&avp::SUPPORTED_VENDOR_ID, VENDOR_ETSI);
        for &application in &self.applications {
            writer.unsigned32(&avp::AUTH_APPLICATION_ID, application);
        }
        for &(vendor, application) in &self.vendor_applications {
            writer.group(&avp::VENDOR_SPECIFIC_APPLICATION_ID, |w| {
                w.unsigned32(&avp::VENDOR_ID, vendor);
                w.unsigned32(&avp::AUTH_APPLICATION_ID, application);
            });
        }
    }

    /// Reads a CER or CEA. What is not needed to talk may be absent or odd.
    pub fn decode(message: &Message<'_>) -> Result<Capabilities, CapabilitiesError> {
        let mut read = Capabilities::default();
        let mut result = None;
        for each in message.avps() {
            let each = each?;
            if each.is(&avp::ORIGIN_HOST) {
                read.origin_host = each.text()?.to_owned();
            } else if each.is(&avp::ORIGIN_REALM) {
                read.origin_realm = each.text()?.to_owned();
            } else if each.is(&avp::HOST_IP_ADDRESS) {
                read.host_ips.extend(ip_of(each.data));
            } else if each.is(&avp::PRODUCT_NAME) {
                read.product_name = String::from_utf8_lossy(each.data).into_owned();
            } else if each.is(&avp::ORIGIN_STATE_ID) {
                read.origin_state_id = Some(each.unsigned32()?);
            } else if each.is(&avp::AUTH_APPLICATION_ID) || each.is(&avp::ACCT_APPLICATION_ID) {
                read.applications.push(each.unsigned32()?);
            } else if each.is(&avp::INBAND_SECURITY_ID) {
                read.inband_security.push(each.unsigned32()?);
            } else if each.is(&avp::VENDOR_SPECIFIC_APPLICATION_ID) {
                let mut vendor = 0;
                let mut application = None;
                for inside in each.group()? {
                    let inside = inside?;
                    if inside.is(&avp::VENDOR_ID) {
                        vendor = inside.unsigned32()?;
                    } else if inside.is(&avp::AUTH_APPLICATION_ID) || inside.is(&avp::ACCT_APPLICATION_ID) {
                        application = Some(inside.unsigned32()?);
                    }
                }
                read.vendor_applications.extend(application.map(|id| (vendor, id)));
            } else if each.is(&avp::RESULT_CODE) {
                result = Some(CxResult::Base(each.unsigned32()?));
            } else if each.is(&avp::ERROR_MESSAGE) {
                read.error_message = Some(String::from_utf8_lossy(each.data).into_owned());
            }
        }
        if read.origin_host.is_empty() {
            return Err(CapabilitiesError::Missing(&avp::ORIGIN_HOST));
        }
        if read.origin_realm.is_empty() {
            return Err(CapabilitiesError::Missing(&avp::ORIGIN_REALM));
        }
        if !message.header.is_request() {
            read.result = result.ok_or(CapabilitiesError::Missing(&avp::RESULT_CODE))?;
        }
        Ok(read)
    }
}

/// Why a CER or CEA cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilitiesError {
    /// Its octets are wrong.
    Wire(WireError),
    /// What it cannot do without is absent.
    Missing(&'static crate::dictionary::AvpDef),
}

impl From<WireError> for CapabilitiesError {
    fn from(error: WireError) -> CapabilitiesError {
        CapabilitiesError::Wire(error)
    }
}

impl From<CapabilitiesError> for crate::cx::Fault {
    fn from(error: CapabilitiesError) -> crate::cx::Fault {
        match error {
            CapabilitiesError::Wire(error) => error.into(),
            CapabilitiesError::Missing(def) => crate::cx::Fault::missing(def),
        }
    }
}

/// The Address format: family 1 and four octets, or family 2 and sixteen (RFC 6733 §4.3.1).
fn address(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => [&[0, 1], &v4.octets()[..]].concat(),
        IpAddr::V6(v6) => [&[0, 2], &v6.octets()[..]].concat(),
    }
}

fn ip_of(data: &[u8]) -> Option<IpAddr> {
    match data.split_first_chunk()? {
        ([0, 1], rest) => Some(<[u8; 4]>::try_from(rest).ok()?.into()),
        ([0, 2], rest) => Some(<[u8; 16]>::try_from(rest).ok()?.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Capabilities {
        let ips = ["127.0.0.13".parse().unwrap(), "::1".parse().unwrap()];
        Capabilities::own("hss.ims.example", "ims.example", "Carillon", &ips)
    }

    #[test]
    fn what_is_announced_is_read() {
        let bytes = own().encode_request(1, 2);
        assert_eq!(Capabilities::decode(&Message::parse(&bytes).unwrap()).unwrap(), own());
    }

    /// Deployed peers announce Cx under the Vendor-Ids 10415, 13019, 4491 and 0.
    #[test]
    fn cx_under_any_vendor_is_taken_and_repeated() {
        for vendor in [VENDOR_3GPP, VENDOR_ETSI, VENDOR_CABLELABS, 0] {
            let peer =
                Capabilities { vendor_applications: vec![(vendor, APPLICATION_CX), (vendor, 999)], ..own() };
            assert_eq!(peer.refusal(), None);
            let answer = peer.in_common(&own());
            assert!(answer.vendor_applications.contains(&(vendor, APPLICATION_CX)), "{vendor}");
            assert!(!answer.vendor_applications.contains(&(vendor, 999)));
        }
        let bare = Capabilities { applications: vec![APPLICATION_CX], vendor_applications: vec![], ..own() };
        assert_eq!(bare.refusal(), None);
        assert_eq!(bare.in_common(&own()).applications, [APPLICATION_CX]);
    }

    #[test]
    fn a_relay_has_every_application_in_common_and_a_stranger_none() {
        let relay =
            Capabilities { applications: vec![APPLICATION_RELAY], vendor_applications: vec![], ..own() };
        assert!(relay.refusal().is_none() && relay.is_relay());
        let stranger = Capabilities { vendor_applications: vec![(VENDOR_3GPP, 16_777_238)], ..own() };
        assert_eq!(stranger.refusal(), Some(CxResult::NO_COMMON_APPLICATION));
    }

    #[test]
    fn a_peer_that_insists_on_inband_tls_is_refused() {
        let insists = Capabilities { inband_security: vec![1], ..own() };
        assert_eq!(insists.refusal(), Some(CxResult::Base(5017)));
        let offers = Capabilities { inband_security: vec![1, 0], ..own() };
        assert_eq!(offers.refusal(), None);
    }
}
