//! The Cx application: six commands, typed in both directions (TS 29.228, TS 29.229).
//!
//! A request or an answer is an owned struct with plain fields. [`decode_request`] and [`decode_answer`] read one out of
//! a [`Message`]; [`CxRequest::encode`] and [`CxAnswer::encode`] write one. What a request lacks or has too much of is a
//! [`Fault`], which names the result and the Failed-AVP that RFC 6733 §7 asks for. Answers are read leniently: what
//! other HSSs leave out or double is not worth losing a registration for.

mod answer_details;
mod auth_data_item;
mod body;
mod charging;
mod envelope;
mod fault;
mod features;
mod location_info;
mod multimedia_auth;
mod push_profile;
mod registration_termination;
mod restoration;
mod result;
mod server_assignment;
mod server_capabilities;
mod user_authorization;

pub use answer_details::AnswerDetails;
pub use auth_data_item::{AuthDataItem, AuthScheme, DigestAuthenticate};
pub use charging::ChargingInformation;
pub use envelope::Envelope;
pub use fault::Fault;
pub use features::{ALIAS_IND, IMS_RESTORATION_IND, P_CSCF_RESTORATION, SIFC, SupportedFeatures};
pub use location_info::{Lia, Lir};
pub use multimedia_auth::{Maa, Mar};
pub use push_profile::{Ppa, Ppr};
pub use registration_termination::{DeregistrationReason, EmergencyIdentity, ReasonCode, Rta, Rtr};
pub use restoration::{RestorationInfo, ScscfRestorationInfo, SubscriptionInfo};
pub use result::CxResult;
pub use server_assignment::{
    P_CSCF_RESTORATION_INDICATION, Saa, Sar, ServerAssignmentType, UserDataAlreadyAvailable,
};
pub use server_capabilities::ServerCapabilities;
pub use user_authorization::{UAR_EMERGENCY, Uaa, Uar, UserAuthorizationType};

use crate::dictionary::{
    APPLICATION_CX, LOCATION_INFO, MULTIMEDIA_AUTH, PUSH_PROFILE, REGISTRATION_TERMINATION,
    SERVER_ASSIGNMENT, USER_AUTHORIZATION, avp,
};
use crate::wire::{FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, Header, Message, Writer};
use body::{Body, Reading};

/// A request of Cx, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CxRequest {
    /// User-Authorization, from an I-CSCF.
    Uar(Uar),
    /// Server-Assignment, from an S-CSCF.
    Sar(Sar),
    /// Location-Info, from an I-CSCF.
    Lir(Lir),
    /// Multimedia-Auth, from an S-CSCF.
    Mar(Mar),
    /// Registration-Termination, from the HSS.
    Rtr(Rtr),
    /// Push-Profile, from the HSS.
    Ppr(Ppr),
}

/// An answer of Cx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CxAnswer {
    /// To a UAR.
    Uaa(Uaa),
    /// To an SAR.
    Saa(Saa),
    /// To an LIR.
    Lia(Lia),
    /// To an MAR.
    Maa(Maa),
    /// To an RTR.
    Rta(Rta),
    /// To a PPR.
    Ppa(Ppa),
}

impl CxRequest {
    /// The command code.
    pub fn command(&self) -> u32 {
        match self {
            CxRequest::Uar(_) => USER_AUTHORIZATION,
            CxRequest::Sar(_) => SERVER_ASSIGNMENT,
            CxRequest::Lir(_) => LOCATION_INFO,
            CxRequest::Mar(_) => MULTIMEDIA_AUTH,
            CxRequest::Rtr(_) => REGISTRATION_TERMINATION,
            CxRequest::Ppr(_) => PUSH_PROFILE,
        }
    }

    /// `UAR`, `SAR` and so on.
    pub fn name(&self) -> &'static str {
        match self {
            CxRequest::Uar(_) => "UAR",
            CxRequest::Sar(_) => "SAR",
            CxRequest::Lir(_) => "LIR",
            CxRequest::Mar(_) => "MAR",
            CxRequest::Rtr(_) => "RTR",
            CxRequest::Ppr(_) => "PPR",
        }
    }

    /// The private identity that the request names, if any.
    pub fn user_name(&self) -> Option<&str> {
        match self {
            CxRequest::Uar(uar) => Some(&uar.user_name),
            CxRequest::Sar(sar) => sar.user_name.as_deref(),
            CxRequest::Lir(_) => None,
            CxRequest::Mar(mar) => Some(&mar.user_name),
            CxRequest::Rtr(rtr) => Some(&rtr.user_name),
            CxRequest::Ppr(ppr) => Some(&ppr.user_name),
        }
    }

    /// The answer to this request that says only `result`.
    pub fn refuse(&self, result: CxResult) -> CxAnswer {
        match self {
            CxRequest::Uar(_) => CxAnswer::Uaa(Uaa { result, ..Uaa::default() }),
            CxRequest::Sar(_) => CxAnswer::Saa(Saa { result, ..Saa::default() }),
            CxRequest::Lir(_) => CxAnswer::Lia(Lia { result, ..Lia::default() }),
            CxRequest::Mar(_) => CxAnswer::Maa(Maa { result, ..Maa::default() }),
            CxRequest::Rtr(_) => CxAnswer::Rta(Rta { result, ..Rta::default() }),
            CxRequest::Ppr(_) => CxAnswer::Ppa(Ppa { result, ..Ppa::default() }),
        }
    }

    /// Writes the whole message; R and P bits set, T clear.
    pub fn encode(&self, envelope: &Envelope, hop_by_hop: u32, end_to_end: u32) -> Vec<u8> {
        let flags = FLAG_REQUEST | FLAG_PROXIABLE;
        let command = self.command();
        let mut writer =
            Writer::new(Header { flags, command, application: APPLICATION_CX, hop_by_hop, end_to_end });
        envelope.write_session(&mut writer);
        envelope.write_route(&mut writer);
        match self {
            CxRequest::Uar(uar) => uar.write(&mut writer),
            CxRequest::Sar(sar) => sar.write(&mut writer),
            CxRequest::Lir(lir) => lir.write(&mut writer),
            CxRequest::Mar(mar) => mar.write(&mut writer),
            CxRequest::Rtr(rtr) => rtr.write(&mut writer),
            CxRequest::Ppr(ppr) => ppr.write(&mut writer),
        }
        envelope.write_proxies(&mut writer);
        writer.finish()
    }
}

impl CxAnswer {
    /// The command code.
    pub fn command(&self) -> u32 {
        match self {
            CxAnswer::Uaa(_) => USER_AUTHORIZATION,
            CxAnswer::Saa(_) => SERVER_ASSIGNMENT,
            CxAnswer::Lia(_) => LOCATION_INFO,
            CxAnswer::Maa(_) => MULTIMEDIA_AUTH,
            CxAnswer::Rta(_) => REGISTRATION_TERMINATION,
            CxAnswer::Ppa(_) => PUSH_PROFILE,
        }
    }

    /// `UAA`, `SAA` and so on.
    pub fn name(&self) -> &'static str {
        match self {
            CxAnswer::Uaa(_) => "UAA",
            CxAnswer::Saa(_) => "SAA",
            CxAnswer::Lia(_) => "LIA",
            CxAnswer::Maa(_) => "MAA",
            CxAnswer::Rta(_) => "RTA",
            CxAnswer::Ppa(_) => "PPA",
        }
    }

    /// What the answer says.
    pub fn result(&self) -> CxResult {
        match self {
            CxAnswer::Uaa(uaa) => uaa.result,
            CxAnswer::Saa(saa) => saa.result,
            CxAnswer::Lia(lia) => lia.result,
            CxAnswer::Maa(maa) => maa.result,
            CxAnswer::Rta(rta) => rta.result,
            CxAnswer::Ppa(ppa) => ppa.result,
        }
    }

    /// Features, diagnosis and unknown AVPs.
    pub fn details(&self) -> &AnswerDetails {
        match self {
            CxAnswer::Uaa(uaa) => &uaa.details,
            CxAnswer::Saa(saa) => &saa.details,
            CxAnswer::Lia(lia) => &lia.details,
            CxAnswer::Maa(maa) => &maa.details,
            CxAnswer::Rta(rta) => &rta.details,
            CxAnswer::Ppa(ppa) => &ppa.details,
        }
    }

    /// Writes the whole message as the answer to the request with `header`; the E bit goes with a protocol error.
    pub fn encode(&self, header: &Header, envelope: &Envelope) -> Vec<u8> {
        let mut header = header.answer();
        if self.result().is_protocol_error() {
            header.flags |= FLAG_ERROR;
        }
        let mut writer = Writer::new(header);
        envelope.write_session(&mut writer);
        write_result(&mut writer, self.result());
        envelope.write_route(&mut writer);
        match self {
            CxAnswer::Uaa(uaa) => uaa.write(&mut writer),
            CxAnswer::Saa(saa) => saa.write(&mut writer),
            CxAnswer::Lia(lia) => lia.write(&mut writer),
            CxAnswer::Maa(maa) => maa.write(&mut writer),
            CxAnswer::Rta(rta) => rta.write(&mut writer),
            CxAnswer::Ppa(_) => {}
        }
        self.details().write(&mut writer);
        envelope.write_proxies(&mut writer);
        writer.finish()
    }
}

/// Reads a Cx request.
pub fn decode_request(message: &Message<'_>) -> Result<(Envelope, CxRequest), Fault> {
    let command = message.header.command;
    if !(USER_AUTHORIZATION..=PUSH_PROFILE).contains(&command) {
        return Err(Fault::command_unsupported(command));
    }
    let mut body = Body::read(message.avps(), Reading::Request)?;
    let envelope = Envelope::of_request(&mut body)?;
    let request = match command {
        USER_AUTHORIZATION => CxRequest::Uar(Uar::read(&mut body)?),
        SERVER_ASSIGNMENT => CxRequest::Sar(Sar::read(&mut body)?),
        LOCATION_INFO => CxRequest::Lir(Lir::read(&mut body)?),
        MULTIMEDIA_AUTH => CxRequest::Mar(Mar::read(&mut body)?),
        REGISTRATION_TERMINATION => CxRequest::Rtr(Rtr::read(&mut body)?),
        _ => CxRequest::Ppr(Ppr::read(&mut body)?),
    };
    Ok((envelope, request))
}

/// Reads a Cx answer. The application of the header is not looked at: an HSS is known that answers an SAR for an unknown
/// user in the application of Sh, and the Hop-by-Hop id says what the answer belongs to.
pub fn decode_answer(message: &Message<'_>) -> Result<(Envelope, CxAnswer), Fault> {
    let command = message.header.command;
    if !(USER_AUTHORIZATION..=PUSH_PROFILE).contains(&command) {
        return Err(Fault::command_unsupported(command));
    }
    let mut body = Body::read(message.avps(), Reading::Answer)?;
    let envelope = Envelope::of_answer(&mut body)?;
    let result = take_result(&mut body)?;
    let mut details = AnswerDetails::take(&mut body)?;
    let mut answer = match command {
        USER_AUTHORIZATION => CxAnswer::Uaa(Uaa::read(&mut body, result)?),
        SERVER_ASSIGNMENT => CxAnswer::Saa(Saa::read(&mut body, result)?),
        LOCATION_INFO => CxAnswer::Lia(Lia::read(&mut body, result)?),
        MULTIMEDIA_AUTH => CxAnswer::Maa(Maa::read(&mut body, result)?),
        REGISTRATION_TERMINATION => CxAnswer::Rta(Rta::read(&mut body, result)?),
        _ => CxAnswer::Ppa(Ppa { result, ..Ppa::default() }),
    };
    details.unknown = body.rest()?;
    *answer.details_mut() = details;
    Ok((envelope, answer))
}

impl CxAnswer {
    fn details_mut(&mut self) -> &mut AnswerDetails {
        match self {
            CxAnswer::Uaa(uaa) => &mut uaa.details,
            CxAnswer::Saa(saa) => &mut saa.details,
            CxAnswer::Lia(lia) => &mut lia.details,
            CxAnswer::Maa(maa) => &mut maa.details,
            CxAnswer::Rta(rta) => &mut rta.details,
            CxAnswer::Ppa(ppa) => &mut ppa.details,
        }
    }
}

/// TS 29.229 §6.2: a base code in Result-Code, a vendor's in Experimental-Result, never both.
fn write_result(writer: &mut Writer, result: CxResult) {
    match result {
        CxResult::Base(code) => writer.unsigned32(&avp::RESULT_CODE, code),
        CxResult::Experimental { vendor, code } => writer.group(&avp::EXPERIMENTAL_RESULT, |w| {
            w.unsigned32(&avp::VENDOR_ID, vendor);
            w.unsigned32(&avp::EXPERIMENTAL_RESULT_CODE, code);
        }),
    }
}

/// Of an answer that wrongly carries both kinds, the Experimental-Result says more.
fn take_result(body: &mut Body<'_>) -> Result<CxResult, Fault> {
    let base = body.unsigned32_if(&avp::RESULT_CODE)?;
    let experimental = body.group_if(&avp::EXPERIMENTAL_RESULT, |inside| {
        Ok(CxResult::Experimental {
            vendor: inside.unsigned32_if(&avp::VENDOR_ID)?.unwrap_or(crate::dictionary::VENDOR_3GPP),
            code: inside.unsigned32(&avp::EXPERIMENTAL_RESULT_CODE)?,
        })
    })?;
    experimental.or(base.map(CxResult::Base)).ok_or_else(|| Fault::missing(&avp::RESULT_CODE))
}

#[cfg(test)]
pub(crate) mod tests;
