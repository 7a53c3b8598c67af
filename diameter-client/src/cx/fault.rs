//! What is wrong with a received message, in the words of the answer that says so (RFC 6733 §7).

use super::CxResult;
use crate::dictionary::{self, AvpDef, avp};
use crate::wire::{Avp, AvpHead, Avps, FLAG_ERROR, Header, RawAvp, WireError, Writer};
use std::fmt;

/// A fault of a message: the result, the Failed-AVP and a sentence for people.
///
/// Of a request it becomes the answer; of an answer it becomes [`CxFailure::Undecodable`].
///
/// [`CxFailure::Undecodable`]: crate::endpoint::CxFailure::Undecodable
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The result that the answer to the faulty request carries.
    pub result: CxResult,
    /// What goes into Failed-AVP.
    pub failed_avp: Option<RawAvp>,
    /// What goes into Error-Message and the log; holds no value of an AVP.
    pub reason: String,
}

impl Fault {
    /// The answer to the request with `header` and `avps`, of whatever command and application (RFC 6733 §6.2, §7.2).
    ///
    /// Session-Id and Proxy-Info are echoed as far as they can be read.
    pub fn answer(&self, header: &Header, avps: Avps<'_>, origin_host: &str, origin_realm: &str) -> Vec<u8> {
        let mut header = header.answer();
        if self.result.is_protocol_error() {
            header.flags |= FLAG_ERROR;
        }
        let mut writer = Writer::new(header);
        let readable = || avps.map_while(Result::ok);
        if let Some(session) = readable().find(|each| each.is(&avp::SESSION_ID)) {
            writer.octets(&avp::SESSION_ID, session.data);
        }
        super::write_result(&mut writer, self.result);
        writer.text(&avp::ORIGIN_HOST, origin_host);
        writer.text(&avp::ORIGIN_REALM, origin_realm);
        if let Some(failed) = &self.failed_avp {
            writer.group(&avp::FAILED_AVP, |w| w.raw(failed));
        }
        writer.text(&avp::ERROR_MESSAGE, &self.reason);
        for proxy in readable().filter(|each| each.is(&avp::PROXY_INFO)) {
            writer.octets(&avp::PROXY_INFO, proxy.data);
        }
        writer.finish()
    }

    /// An AVP that the command needs is not there: an example of it, zero-filled, is the Failed-AVP (RFC 6733 §7.5).
    pub(crate) fn missing(def: &AvpDef) -> Fault {
        let data = vec![0; def.data_type.len_min()];
        Fault {
            result: CxResult::MISSING_AVP,
            failed_avp: Some(RawAvp { code: def.code, vendor: def.vendor, flags: def.flags(), data }),
            reason: format!("{} is missing", def.name),
        }
    }

    /// An AVP with the M bit that we do not know (RFC 6733 §4.1).
    pub(crate) fn unsupported(avp: &Avp<'_>) -> Fault {
        let head = AvpHead { code: avp.code, vendor: avp.vendor, flags: avp.flags };
        Fault {
            result: CxResult::AVP_UNSUPPORTED,
            failed_avp: Some(RawAvp::from(avp)),
            reason: format!("AVP {head} is mandatory and not understood"),
        }
    }

    /// A command that the application does not have.
    pub(crate) fn command_unsupported(command: u32) -> Fault {
        let reason = format!("command {command} is not one of Cx");
        Fault { result: CxResult::COMMAND_UNSUPPORTED, failed_avp: None, reason }
    }

    /// One AVP more than the command allows: the first that is too many is the Failed-AVP (RFC 6733 §7.1.5).
    pub(crate) fn too_many(avp: &Avp<'_>, def: &AvpDef) -> Fault {
        Fault {
            result: CxResult::AVP_OCCURS_TOO_MANY_TIMES,
            failed_avp: Some(RawAvp::from(avp)),
            reason: format!("{} occurs more than once", def.name),
        }
    }

    /// An error found while reading `avp`, with its data in the Failed-AVP where the length allows that.
    pub(crate) fn in_avp(error: WireError, avp: &Avp<'_>) -> Fault {
        let mut fault = Fault::from(error);
        if let WireError::AvpValue(head) | WireError::Depth(head) = error
            && (head.code, head.vendor) == (avp.code, avp.vendor)
        {
            fault.failed_avp = Some(RawAvp::from(avp));
        }
        fault
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Fault {
        let (result, failed_avp) = match error {
            WireError::Version(_) => (CxResult::UNSUPPORTED_VERSION, None),
            WireError::MessageLength(_) => (CxResult::INVALID_MESSAGE_LENGTH, None),
            WireError::AvpLength(head) => (CxResult::INVALID_AVP_LENGTH, Some(head)),
            WireError::AvpValue(head) | WireError::Depth(head) => (CxResult::INVALID_AVP_VALUE, Some(head)),
        };
        // RFC 6733 §7.1.5: for a wrong length the header is enough, padded to the least payload of the type.
        let failed_avp = failed_avp.map(|AvpHead { code, vendor, flags }| {
            let len = dictionary::lookup(code, vendor).map_or(0, |def| def.data_type.len_min());
            RawAvp { code, vendor, flags, data: vec![0; len] }
        });
        Fault { result, failed_avp, reason: error.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.result)
    }
}

impl std::error::Error for Fault {}
