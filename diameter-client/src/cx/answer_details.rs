//! What any answer may carry beside its result: features, diagnosis, redirection, unknown AVPs.

use super::body::Body;
use super::{Fault, SupportedFeatures};
use crate::dictionary::avp;
use crate::wire::{Avp, RawAvp, Writer};

/// The part of an answer that is the same for every command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerDetails {
    /// Supported-Features: all that the sender has (TS 29.229 §7.2.1).
    pub supported_features: Vec<SupportedFeatures>,
    /// What stood in Failed-AVP.
    pub failed_avps: Vec<RawAvp>,
    /// Error-Message, for people.
    pub error_message: Option<String>,
    /// Redirect-Host, in the order to try them (TS 29.229 §5.5, from an SLF).
    pub redirect_hosts: Vec<String>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

impl AnswerDetails {
    pub(crate) fn write(&self, writer: &mut Writer) {
        SupportedFeatures::write_all(&self.supported_features, writer);
        if !self.failed_avps.is_empty() {
            writer.group(&avp::FAILED_AVP, |w| w.raws(&self.failed_avps));
        }
        writer.text_if(&avp::ERROR_MESSAGE, self.error_message.as_deref());
        writer.texts(&avp::REDIRECT_HOST, &self.redirect_hosts);
        writer.raws(&self.unknown);
    }

    pub(crate) fn take(body: &mut Body<'_>) -> Result<AnswerDetails, Fault> {
        let mut failed_avps = Vec::new();
        for group in body.take_all(&avp::FAILED_AVP) {
            // A Failed-AVP may hold an AVP with the very length that was wrong: what cannot be read is left out.
            let inside = group.group()?.map_while(Result::ok);
            failed_avps.extend(inside.map(|avp: Avp<'_>| RawAvp::from(&avp)));
        }
        Ok(AnswerDetails {
            supported_features: SupportedFeatures::take_all(body)?,
            failed_avps,
            error_message: body.text_if(&avp::ERROR_MESSAGE)?,
            redirect_hosts: body.texts(&avp::REDIRECT_HOST)?,
            unknown: Vec::new(),
        })
    }
}
