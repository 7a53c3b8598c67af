//! What every Cx message carries around its own AVPs (TS 29.229 §6.1): session, origin, destination, proxies.

use super::Fault;
use super::body::Body;
use crate::dictionary::{APPLICATION_CX, VENDOR_3GPP, avp};
use crate::wire::{RawAvp, Writer};

/// Session, origin and destination of one message, and what proxies left in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Session-Id; `HOST;HIGH;LOW[;OPTIONAL]` (RFC 6733 §8.8). Empty only in an answer whose sender left it out.
    pub session_id: String,
    /// Origin-Host.
    pub origin_host: String,
    /// Origin-Realm.
    pub origin_realm: String,
    /// Destination-Host; absent in answers, and in requests when the host is not known (TS 29.229 §5.5).
    pub destination_host: Option<String>,
    /// Destination-Realm; absent in answers.
    pub destination_realm: Option<String>,
    /// Route-Record of the relays that a request went through.
    pub route_records: Vec<String>,
    /// Proxy-Info as received; an answer echoes it in the same order (RFC 6733 §6.2).
    pub proxy_infos: Vec<RawAvp>,
}

/// Auth-Session-State NO_STATE_MAINTAINED, always in Cx (TS 29.229 §5.3).
const NO_STATE_MAINTAINED: u32 = 1;

impl Envelope {
    /// The envelope of the answer that `origin_host` in `origin_realm` gives to the request in this envelope.
    pub fn answer(&self, origin_host: &str, origin_realm: &str) -> Envelope {
        Envelope {
            session_id: self.session_id.clone(),
            origin_host: origin_host.to_owned(),
            origin_realm: origin_realm.to_owned(),
            proxy_infos: self.proxy_infos.clone(),
            ..Envelope::default()
        }
    }

    pub(crate) fn write_session(&self, writer: &mut Writer) {
        // RFC 6733 §8.8: Session-Id is the first AVP.
        writer.text(&avp::SESSION_ID, &self.session_id);
        writer.group(&avp::VENDOR_SPECIFIC_APPLICATION_ID, |w| {
            w.unsigned32(&avp::VENDOR_ID, VENDOR_3GPP);
            w.unsigned32(&avp::AUTH_APPLICATION_ID, APPLICATION_CX);
        });
    }

    pub(crate) fn write_route(&self, writer: &mut Writer) {
        writer.unsigned32(&avp::AUTH_SESSION_STATE, NO_STATE_MAINTAINED);
        writer.text(&avp::ORIGIN_HOST, &self.origin_host);
        writer.text(&avp::ORIGIN_REALM, &self.origin_realm);
        writer.text_if(&avp::DESTINATION_REALM, self.destination_realm.as_deref());
        writer.text_if(&avp::DESTINATION_HOST, self.destination_host.as_deref());
    }

    pub(crate) fn write_proxies(&self, writer: &mut Writer) {
        writer.raws(&self.proxy_infos);
        writer.texts(&avp::ROUTE_RECORD, &self.route_records);
    }

    /// Takes the envelope of a request.
    ///
    /// Stops short of TS 29.229 §6.1: a request without Vendor-Specific-Application-Id or Auth-Session-State is taken,
    /// as the header names the application and Cx has one session state.
    pub(crate) fn of_request(body: &mut Body<'_>) -> Result<Envelope, Fault> {
        let envelope = Envelope {
            session_id: body.text(&avp::SESSION_ID)?,
            origin_host: body.text(&avp::ORIGIN_HOST)?,
            origin_realm: body.text(&avp::ORIGIN_REALM)?,
            destination_host: body.text_if(&avp::DESTINATION_HOST)?,
            destination_realm: Some(body.text(&avp::DESTINATION_REALM)?),
            route_records: body.texts(&avp::ROUTE_RECORD)?,
            proxy_infos: body.take_all(&avp::PROXY_INFO).iter().map(RawAvp::from).collect(),
        };
        Envelope::pass_over(body);
        Ok(envelope)
    }

    /// Takes the envelope of an answer, as much of it as is there.
    pub(crate) fn of_answer(body: &mut Body<'_>) -> Result<Envelope, Fault> {
        let envelope = Envelope {
            session_id: body.text_if(&avp::SESSION_ID)?.unwrap_or_default(),
            origin_host: body.text_if(&avp::ORIGIN_HOST)?.unwrap_or_default(),
            origin_realm: body.text_if(&avp::ORIGIN_REALM)?.unwrap_or_default(),
            proxy_infos: body.take_all(&avp::PROXY_INFO).iter().map(RawAvp::from).collect(),
            route_records: body.texts(&avp::ROUTE_RECORD)?,
            ..Envelope::default()
        };
        Envelope::pass_over(body);
        Ok(envelope)
    }

    /// What carries nothing that Cx has use for, though it may have the M bit.
    fn pass_over(body: &mut Body<'_>) {
        for def in [
            &avp::VENDOR_SPECIFIC_APPLICATION_ID,
            &avp::AUTH_APPLICATION_ID,
            &avp::AUTH_SESSION_STATE,
            &avp::ORIGIN_STATE_ID,
        ] {
            body.take_all(def);
        }
    }
}
