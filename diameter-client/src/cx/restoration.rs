//! SCSCF-Restoration-Info: what an S-CSCF leaves with the HSS for the one that follows a crash (TS 29.229 §6.3.46-52).

use super::body::Body;
use super::{AuthScheme, Fault};
use crate::dictionary::avp;
use crate::wire::Writer;

/// The registrations of one private identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScscfRestorationInfo {
    /// User-Name: the private identity.
    pub user_name: String,
    /// Restoration-Info: one for each registered contact, at least one.
    pub registrations: Vec<RestorationInfo>,
    /// Registration-Time-Out, in seconds since 1900 as on the wire.
    pub registration_time_out: Option<u32>,
    /// SIP-Authentication-Scheme.
    pub scheme: Option<AuthScheme>,
}

/// What is needed to reach one contact again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorationInfo {
    /// Path header values, comma separated.
    pub path: Vec<u8>,
    /// The Contact header value.
    pub contact: Vec<u8>,
    /// Initial-CSeq-Sequence-Number of the REGISTER.
    pub initial_cseq: Option<u32>,
    /// Call-ID-SIP-Header of the REGISTER.
    pub call_id: Option<Vec<u8>>,
    /// The UE's subscription to its registration state.
    pub subscription: Option<SubscriptionInfo>,
    /// The P-CSCF's subscription to the UE's registration state.
    pub pcscf_subscription: Option<SubscriptionInfo>,
}

/// The dialog of a subscription, as header values (Subscription-Info, P-CSCF-Subscription-Info).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// Call-ID-SIP-Header.
    pub call_id: Vec<u8>,
    /// From-SIP-Header.
    pub from: Vec<u8>,
    /// To-SIP-Header.
    pub to: Vec<u8>,
    /// Record-Route.
    pub record_route: Vec<u8>,
    /// Contact.
    pub contact: Vec<u8>,
}

impl ScscfRestorationInfo {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.group(&avp::SCSCF_RESTORATION_INFO, |w| {
            w.text(&avp::USER_NAME, &self.user_name);
            for registration in &self.registrations {
                registration.write(w);
            }
            w.unsigned32_if(&avp::REGISTRATION_TIME_OUT, self.registration_time_out);
            w.text_if(&avp::SIP_AUTHENTICATION_SCHEME, self.scheme.as_ref().map(AuthScheme::as_str));
        });
    }

    pub(crate) fn read(inside: &mut Body<'_>) -> Result<ScscfRestorationInfo, Fault> {
        Ok(ScscfRestorationInfo {
            user_name: inside.text(&avp::USER_NAME)?,
            registrations: inside.groups(&avp::RESTORATION_INFO, RestorationInfo::read)?,
            registration_time_out: inside.unsigned32_if(&avp::REGISTRATION_TIME_OUT)?,
            scheme: inside.text_if(&avp::SIP_AUTHENTICATION_SCHEME)?.map(|text| AuthScheme::from_text(&text)),
        })
    }
}

impl RestorationInfo {
    fn write(&self, writer: &mut Writer) {
        writer.group(&avp::RESTORATION_INFO, |w| {
            w.octets(&avp::PATH, &self.path);
            w.octets(&avp::CONTACT, &self.contact);
            w.unsigned32_if(&avp::INITIAL_CSEQ_SEQUENCE_NUMBER, self.initial_cseq);
            w.octets_if(&avp::CALL_ID_SIP_HEADER, self.call_id.as_deref());
            if let Some(subscription) = &self.subscription {
                w.group(&avp::SUBSCRIPTION_INFO, |w| subscription.write(w));
            }
            if let Some(subscription) = &self.pcscf_subscription {
                w.group(&avp::P_CSCF_SUBSCRIPTION_INFO, |w| subscription.write(w));
            }
        });
    }

    fn read(inside: &mut Body<'_>) -> Result<RestorationInfo, Fault> {
        Ok(RestorationInfo {
            path: inside.octets(&avp::PATH)?,
            contact: inside.octets(&avp::CONTACT)?,
            initial_cseq: inside.unsigned32_if(&avp::INITIAL_CSEQ_SEQUENCE_NUMBER)?,
            call_id: inside.octets_if(&avp::CALL_ID_SIP_HEADER)?,
            subscription: inside.group_if(&avp::SUBSCRIPTION_INFO, SubscriptionInfo::read)?,
            pcscf_subscription: inside.group_if(&avp::P_CSCF_SUBSCRIPTION_INFO, SubscriptionInfo::read)?,
        })
    }
}

impl SubscriptionInfo {
    fn write(&self, w: &mut Writer) {
        w.octets(&avp::CALL_ID_SIP_HEADER, &self.call_id);
        w.octets(&avp::FROM_SIP_HEADER, &self.from);
        w.octets(&avp::TO_SIP_HEADER, &self.to);
        w.octets(&avp::RECORD_ROUTE, &self.record_route);
        w.octets(&avp::CONTACT, &self.contact);
    }

    fn read(inside: &mut Body<'_>) -> Result<SubscriptionInfo, Fault> {
        Ok(SubscriptionInfo {
            call_id: inside.octets(&avp::CALL_ID_SIP_HEADER)?,
            from: inside.octets(&avp::FROM_SIP_HEADER)?,
            to: inside.octets(&avp::TO_SIP_HEADER)?,
            record_route: inside.octets(&avp::RECORD_ROUTE)?,
            contact: inside.octets(&avp::CONTACT)?,
        })
    }
}
