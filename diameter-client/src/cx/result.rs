//! The outcome of a command: a base Result-Code, or an Experimental-Result of a vendor (TS 29.229 §6.2).

use crate::dictionary::VENDOR_3GPP;
use std::fmt;

/// What an answer says about its request. The two number spaces overlap: base 2001 is SUCCESS, 3GPP's 2001 is
/// FIRST_REGISTRATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CxResult {
    /// A Result-Code of RFC 6733.
    Base(u32),
    /// An Experimental-Result; Result-Code is then absent (TS 29.229 §6.2).
    Experimental {
        /// Whose code it is; 10415 for all that Cx defines.
        vendor: u32,
        /// The Experimental-Result-Code.
        code: u32,
    },
}

const fn experimental(code: u32) -> CxResult {
    CxResult::Experimental { vendor: VENDOR_3GPP, code }
}

impl CxResult {
    /// DIAMETER_SUCCESS.
    pub const SUCCESS: CxResult = CxResult::Base(2001);
    /// DIAMETER_LIMITED_SUCCESS: in an RTA, some identities stay because they are registered for emergency.
    pub const LIMITED_SUCCESS: CxResult = CxResult::Base(2002);
    /// DIAMETER_COMMAND_UNSUPPORTED.
    pub const COMMAND_UNSUPPORTED: CxResult = CxResult::Base(3001);
    /// DIAMETER_UNABLE_TO_DELIVER.
    pub const UNABLE_TO_DELIVER: CxResult = CxResult::Base(3002);
    /// DIAMETER_REALM_NOT_SERVED.
    pub const REALM_NOT_SERVED: CxResult = CxResult::Base(3003);
    /// DIAMETER_TOO_BUSY.
    pub const TOO_BUSY: CxResult = CxResult::Base(3004);
    /// DIAMETER_LOOP_DETECTED.
    pub const LOOP_DETECTED: CxResult = CxResult::Base(3005);
    /// DIAMETER_REDIRECT_INDICATION.
    pub const REDIRECT_INDICATION: CxResult = CxResult::Base(3006);
    /// DIAMETER_APPLICATION_UNSUPPORTED.
    pub const APPLICATION_UNSUPPORTED: CxResult = CxResult::Base(3007);
    /// DIAMETER_INVALID_HDR_BITS.
    pub const INVALID_HDR_BITS: CxResult = CxResult::Base(3008);
    /// DIAMETER_UNKNOWN_PEER.
    pub const UNKNOWN_PEER: CxResult = CxResult::Base(3010);
    /// DIAMETER_AVP_UNSUPPORTED.
    pub const AVP_UNSUPPORTED: CxResult = CxResult::Base(5001);
    /// DIAMETER_UNKNOWN_SESSION_ID.
    pub const UNKNOWN_SESSION_ID: CxResult = CxResult::Base(5002);
    /// DIAMETER_AUTHORIZATION_REJECTED.
    pub const AUTHORIZATION_REJECTED: CxResult = CxResult::Base(5003);
    /// DIAMETER_INVALID_AVP_VALUE.
    pub const INVALID_AVP_VALUE: CxResult = CxResult::Base(5004);
    /// DIAMETER_MISSING_AVP.
    pub const MISSING_AVP: CxResult = CxResult::Base(5005);
    /// DIAMETER_AVP_NOT_ALLOWED.
    pub const AVP_NOT_ALLOWED: CxResult = CxResult::Base(5008);
    /// DIAMETER_AVP_OCCURS_TOO_MANY_TIMES.
    pub const AVP_OCCURS_TOO_MANY_TIMES: CxResult = CxResult::Base(5009);
    /// DIAMETER_NO_COMMON_APPLICATION.
    pub const NO_COMMON_APPLICATION: CxResult = CxResult::Base(5010);
    /// DIAMETER_UNSUPPORTED_VERSION.
    pub const UNSUPPORTED_VERSION: CxResult = CxResult::Base(5011);
    /// DIAMETER_UNABLE_TO_COMPLY.
    pub const UNABLE_TO_COMPLY: CxResult = CxResult::Base(5012);
    /// DIAMETER_INVALID_AVP_LENGTH.
    pub const INVALID_AVP_LENGTH: CxResult = CxResult::Base(5014);
    /// DIAMETER_INVALID_MESSAGE_LENGTH.
    pub const INVALID_MESSAGE_LENGTH: CxResult = CxResult::Base(5015);

    /// DIAMETER_FIRST_REGISTRATION: select an S-CSCF.
    pub const FIRST_REGISTRATION: CxResult = experimental(2001);
    /// DIAMETER_SUBSEQUENT_REGISTRATION: use the Server-Name.
    pub const SUBSEQUENT_REGISTRATION: CxResult = experimental(2002);
    /// DIAMETER_UNREGISTERED_SERVICE: select an S-CSCF for services of an unregistered user.
    pub const UNREGISTERED_SERVICE: CxResult = experimental(2003);
    /// DIAMETER_SUCCESS_SERVER_NAME_NOT_STORED: the S-CSCF drops the user data too.
    pub const SUCCESS_SERVER_NAME_NOT_STORED: CxResult = experimental(2004);
    /// DIAMETER_ERROR_USER_UNKNOWN.
    pub const USER_UNKNOWN: CxResult = experimental(5001);
    /// DIAMETER_ERROR_IDENTITIES_DONT_MATCH.
    pub const IDENTITIES_DONT_MATCH: CxResult = experimental(5002);
    /// DIAMETER_ERROR_IDENTITY_NOT_REGISTERED.
    pub const IDENTITY_NOT_REGISTERED: CxResult = experimental(5003);
    /// DIAMETER_ERROR_ROAMING_NOT_ALLOWED.
    pub const ROAMING_NOT_ALLOWED: CxResult = experimental(5004);
    /// DIAMETER_ERROR_IDENTITY_ALREADY_REGISTERED.
    pub const IDENTITY_ALREADY_REGISTERED: CxResult = experimental(5005);
    /// DIAMETER_ERROR_AUTH_SCHEME_NOT_SUPPORTED.
    pub const AUTH_SCHEME_NOT_SUPPORTED: CxResult = experimental(5006);
    /// DIAMETER_ERROR_IN_ASSIGNMENT_TYPE; an SAA may still carry restoration information.
    pub const IN_ASSIGNMENT_TYPE: CxResult = experimental(5007);
    /// DIAMETER_ERROR_TOO_MUCH_DATA.
    pub const TOO_MUCH_DATA: CxResult = experimental(5008);
    /// DIAMETER_ERROR_NOT_SUPPORTED_USER_DATA.
    pub const NOT_SUPPORTED_USER_DATA: CxResult = experimental(5009);
    /// DIAMETER_ERROR_FEATURE_UNSUPPORTED.
    pub const FEATURE_UNSUPPORTED: CxResult = experimental(5011);
    /// DIAMETER_ERROR_SERVING_NODE_FEATURE_UNSUPPORTED.
    pub const SERVING_NODE_FEATURE_UNSUPPORTED: CxResult = experimental(5012);

    /// The number, of either kind.
    pub fn code(self) -> u32 {
        match self {
            CxResult::Base(code) | CxResult::Experimental { code, .. } => code,
        }
    }

    /// Whether the request succeeded: 2xxx of either kind.
    pub fn is_success(self) -> bool {
        self.code() / 1000 == 2
    }

    /// Whether it is a protocol error, whose answer carries the E bit: base 3xxx (RFC 6733 §7.1.3).
    pub fn is_protocol_error(self) -> bool {
        matches!(self, CxResult::Base(3000..=3999))
    }

    /// Whether another peer may do better: the base codes 3002 and 3004 (RFC 6733 §7.1.3).
    pub fn is_retried_elsewhere(self) -> bool {
        self == CxResult::UNABLE_TO_DELIVER || self == CxResult::TOO_BUSY
    }

    /// The name of the specification without its `DIAMETER_` prefix; `None` for codes that none defines.
    pub fn name(self) -> Option<&'static str> {
        match self {
            CxResult::Base(code) => base_name(code),
            CxResult::Experimental { vendor: VENDOR_3GPP, code } => experimental_name(code),
            CxResult::Experimental { .. } => None,
        }
    }
}

impl Default for CxResult {
    /// SUCCESS, so that an answer is written as what differs from it.
    fn default() -> CxResult {
        CxResult::SUCCESS
    }
}

impl fmt::Display for CxResult {
    /// Writes `5001 ERROR_USER_UNKNOWN (3GPP)` or `2001 SUCCESS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.name().unwrap_or("unknown"))?;
        match self {
            CxResult::Base(_) => Ok(()),
            CxResult::Experimental { vendor: VENDOR_3GPP, .. } => write!(f, " (3GPP)"),
            CxResult::Experimental { vendor, .. } => write!(f, " (vendor {vendor})"),
        }
    }
}

fn base_name(code: u32) -> Option<&'static str> {
    Some(match code {
        1001 => "MULTI_ROUND_AUTH",
        2001 => "SUCCESS",
        2002 => "LIMITED_SUCCESS",
        3001 => "COMMAND_UNSUPPORTED",
        3002 => "UNABLE_TO_DELIVER",
        3003 => "REALM_NOT_SERVED",
        3004 => "TOO_BUSY",
        3005 => "LOOP_DETECTED",
        3006 => "REDIRECT_INDICATION",
        3007 => "APPLICATION_UNSUPPORTED",
        3008 => "INVALID_HDR_BITS",
        3009 => "INVALID_AVP_BITS",
        3010 => "UNKNOWN_PEER",
        4001 => "AUTHENTICATION_REJECTED",
        4002 => "OUT_OF_SPACE",
        4003 => "ELECTION_LOST",
        5001 => "AVP_UNSUPPORTED",
        5002 => "UNKNOWN_SESSION_ID",
        5003 => "AUTHORIZATION_REJECTED",
        5004 => "INVALID_AVP_VALUE",
        5005 => "MISSING_AVP",
        5006 => "RESOURCES_EXCEEDED",
        5007 => "CONTRADICTING_AVPS",
        5008 => "AVP_NOT_ALLOWED",
        5009 => "AVP_OCCURS_TOO_MANY_TIMES",
        5010 => "NO_COMMON_APPLICATION",
        5011 => "UNSUPPORTED_VERSION",
        5012 => "UNABLE_TO_COMPLY",
        5013 => "INVALID_BIT_IN_HEADER",
        5014 => "INVALID_AVP_LENGTH",
        5015 => "INVALID_MESSAGE_LENGTH",
        5016 => "INVALID_AVP_BIT_COMBO",
        5017 => "NO_COMMON_SECURITY",
        _ => return None,
    })
}

fn experimental_name(code: u32) -> Option<&'static str> {
    Some(match code {
        2001 => "FIRST_REGISTRATION",
        2002 => "SUBSEQUENT_REGISTRATION",
        2003 => "UNREGISTERED_SERVICE",
        2004 => "SUCCESS_SERVER_NAME_NOT_STORED",
        5001 => "ERROR_USER_UNKNOWN",
        5002 => "ERROR_IDENTITIES_DONT_MATCH",
        5003 => "ERROR_IDENTITY_NOT_REGISTERED",
        5004 => "ERROR_ROAMING_NOT_ALLOWED",
        5005 => "ERROR_IDENTITY_ALREADY_REGISTERED",
        5006 => "ERROR_AUTH_SCHEME_NOT_SUPPORTED",
        5007 => "ERROR_IN_ASSIGNMENT_TYPE",
        5008 => "ERROR_TOO_MUCH_DATA",
        5009 => "ERROR_NOT_SUPPORTED_USER_DATA",
        5011 => "ERROR_FEATURE_UNSUPPORTED",
        5012 => "ERROR_SERVING_NODE_FEATURE_UNSUPPORTED",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TS 29.229 §6.2: the two number spaces overlap and mean different things.
    #[test]
    fn the_same_number_of_both_kinds_is_two_results() {
        assert_ne!(CxResult::SUCCESS, CxResult::FIRST_REGISTRATION);
        assert!(CxResult::SUCCESS.is_success() && CxResult::FIRST_REGISTRATION.is_success());
        assert_eq!(CxResult::USER_UNKNOWN.to_string(), "5001 ERROR_USER_UNKNOWN (3GPP)");
        assert_eq!(CxResult::AVP_UNSUPPORTED.to_string(), "5001 AVP_UNSUPPORTED");
    }

    #[test]
    fn only_base_codes_are_protocol_errors() {
        assert!(CxResult::TOO_BUSY.is_protocol_error() && CxResult::TOO_BUSY.is_retried_elsewhere());
        assert!(!CxResult::Experimental { vendor: VENDOR_3GPP, code: 3004 }.is_protocol_error());
        assert!(!CxResult::USER_UNKNOWN.is_success());
    }
}
