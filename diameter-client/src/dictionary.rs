//! Codes, types and flags of the AVPs in use (RFC 6733 §4.5, TS 29.229 §6.3), and the names of commands.

use crate::wire::AVP_MANDATORY;

/// Vendor-ID of 3GPP.
pub const VENDOR_3GPP: u32 = 10_415;
/// Vendor-ID of ETSI, which Cx inherits a few AVPs from.
pub const VENDOR_ETSI: u32 = 13_019;
/// Vendor-ID of CableLabs, which some peers announce for Cx.
pub const VENDOR_CABLELABS: u32 = 4_491;

/// Application-Id of the base protocol: CER, DWR, DPR.
pub const APPLICATION_BASE: u32 = 0;
/// Application-Id of Cx and Dx (TS 29.229 §6).
pub const APPLICATION_CX: u32 = 16_777_216;
/// Application-Id that a relay announces: every application (RFC 6733 §2.4).
pub const APPLICATION_RELAY: u32 = 0xffff_ffff;

/// Capabilities-Exchange.
pub const CAPABILITIES_EXCHANGE: u32 = 257;
/// Device-Watchdog.
pub const DEVICE_WATCHDOG: u32 = 280;
/// Disconnect-Peer.
pub const DISCONNECT_PEER: u32 = 282;
/// User-Authorization of Cx.
pub const USER_AUTHORIZATION: u32 = 300;
/// Server-Assignment of Cx.
pub const SERVER_ASSIGNMENT: u32 = 301;
/// Location-Info of Cx.
pub const LOCATION_INFO: u32 = 302;
/// Multimedia-Auth of Cx.
pub const MULTIMEDIA_AUTH: u32 = 303;
/// Registration-Termination of Cx.
pub const REGISTRATION_TERMINATION: u32 = 304;
/// Push-Profile of Cx.
pub const PUSH_PROFILE: u32 = 305;

/// Of the base protocol (RFC 6733 §3.1), and seen beside those that are spoken here.
const RE_AUTH: u32 = 258;
const AA: u32 = 265;
const ABORT_SESSION: u32 = 274;
const SESSION_TERMINATION: u32 = 275;

/// The short name of a message, such as `UAR`; `None` for a command that is neither ours nor of the base protocol, nor AA
/// (RFC 7155 §3.1).
pub fn command_name(command: u32, is_request: bool) -> Option<&'static str> {
    let (request, answer) = match command {
        CAPABILITIES_EXCHANGE => ("CER", "CEA"),
        RE_AUTH => ("RAR", "RAA"),
        AA => ("AAR", "AAA"),
        ABORT_SESSION => ("ASR", "ASA"),
        SESSION_TERMINATION => ("STR", "STA"),
        DEVICE_WATCHDOG => ("DWR", "DWA"),
        DISCONNECT_PEER => ("DPR", "DPA"),
        USER_AUTHORIZATION => ("UAR", "UAA"),
        SERVER_ASSIGNMENT => ("SAR", "SAA"),
        LOCATION_INFO => ("LIR", "LIA"),
        MULTIMEDIA_AUTH => ("MAR", "MAA"),
        REGISTRATION_TERMINATION => ("RTR", "RTA"),
        PUSH_PROFILE => ("PPR", "PPA"),
        _ => return None,
    };
    Some(if is_request { request } else { answer })
}

/// The data format of an AVP (RFC 6733 §4.2, §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// Arbitrary octets.
    OctetString,
    /// UTF-8 text.
    Utf8String,
    /// A fully qualified domain name.
    DiameterIdentity,
    /// An `aaa:` or `aaas:` URI.
    DiameterUri,
    /// Four octets, big endian.
    Unsigned32,
    /// Four octets, big endian, from a fixed list.
    Enumerated,
    /// Address family and address.
    Address,
    /// Seconds since 1900.
    Time,
    /// AVPs.
    Grouped,
}

impl DataType {
    /// The fewest octets that data of this type has.
    pub fn len_min(self) -> usize {
        match self {
            DataType::Unsigned32 | DataType::Enumerated | DataType::Time => 4,
            DataType::Address => 6,
            _ => 0,
        }
    }
}

/// The M bit as the AVP's definition has it; the V bit follows from the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MandatoryBit {
    /// We set it.
    Must,
    /// We leave it clear: forbidden, or free and better left out.
    Clear,
}

/// The definition of one AVP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvpDef {
    /// The name of the specification.
    pub name: &'static str,
    /// AVP code.
    pub code: u32,
    /// Vendor-ID; 0 for the IETF's codes.
    pub vendor: u32,
    /// Data format.
    pub data_type: DataType,
    /// The M bit that we write.
    pub mandatory: MandatoryBit,
}

impl AvpDef {
    /// The flags that we write, without the V bit, which the writer adds from the vendor.
    pub fn flags(&self) -> u8 {
        match self.mandatory {
            MandatoryBit::Must => AVP_MANDATORY,
            MandatoryBit::Clear => 0,
        }
    }
}

/// The definition with this code and vendor.
pub fn lookup(code: u32, vendor: u32) -> Option<&'static AvpDef> {
    avp::ALL.iter().copied().find(|def| def.code == code && def.vendor == vendor)
}

/// Every AVP that we know, as a constant.
pub mod avp {
    use super::DataType::*;
    use super::MandatoryBit::*;
    use super::{AvpDef, VENDOR_3GPP, VENDOR_ETSI};

    /// One line a definition: a function could give the constants or the list of them, not both from one line.
    macro_rules! dictionary {
        ($($constant:ident $name:literal $code:literal $vendor:expr, $data_type:ident $mandatory:ident;)*) => {
            $(
                #[doc = $name]
                pub const $constant: AvpDef = AvpDef {
                    name: $name, code: $code, vendor: $vendor, data_type: $data_type, mandatory: $mandatory,
                };
            )*
            /// All of them, by vendor and code.
            pub const ALL: &[&AvpDef] = &[$(&$constant),*];
        };
    }

    dictionary! {
        USER_NAME "User-Name" 1 0, Utf8String Must;
        FRAMED_IP_ADDRESS "Framed-IP-Address" 8 0, OctetString Must;
        PROXY_STATE "Proxy-State" 33 0, OctetString Must;
        FRAMED_INTERFACE_ID "Framed-Interface-Id" 96 0, OctetString Must;
        FRAMED_IPV6_PREFIX "Framed-IPv6-Prefix" 97 0, OctetString Must;
        DIGEST_REALM "Digest-Realm" 104 0, Utf8String Must;
        DIGEST_QOP "Digest-QoP" 110 0, Utf8String Must;
        DIGEST_ALGORITHM "Digest-Algorithm" 111 0, Utf8String Must;
        DIGEST_HA1 "Digest-HA1" 121 0, Utf8String Must;
        HOST_IP_ADDRESS "Host-IP-Address" 257 0, Address Must;
        AUTH_APPLICATION_ID "Auth-Application-Id" 258 0, Unsigned32 Must;
        ACCT_APPLICATION_ID "Acct-Application-Id" 259 0, Unsigned32 Must;
        VENDOR_SPECIFIC_APPLICATION_ID "Vendor-Specific-Application-Id" 260 0, Grouped Must;
        REDIRECT_HOST_USAGE "Redirect-Host-Usage" 261 0, Enumerated Must;
        REDIRECT_MAX_CACHE_TIME "Redirect-Max-Cache-Time" 262 0, Unsigned32 Must;
        SESSION_ID "Session-Id" 263 0, Utf8String Must;
        ORIGIN_HOST "Origin-Host" 264 0, DiameterIdentity Must;
        SUPPORTED_VENDOR_ID "Supported-Vendor-Id" 265 0, Unsigned32 Must;
        VENDOR_ID "Vendor-Id" 266 0, Unsigned32 Must;
        FIRMWARE_REVISION "Firmware-Revision" 267 0, Unsigned32 Clear;
        RESULT_CODE "Result-Code" 268 0, Unsigned32 Must;
        PRODUCT_NAME "Product-Name" 269 0, Utf8String Clear;
        DISCONNECT_CAUSE "Disconnect-Cause" 273 0, Enumerated Must;
        AUTH_SESSION_STATE "Auth-Session-State" 277 0, Enumerated Must;
        ORIGIN_STATE_ID "Origin-State-Id" 278 0, Unsigned32 Must;
        FAILED_AVP "Failed-AVP" 279 0, Grouped Must;
        PROXY_HOST "Proxy-Host" 280 0, DiameterIdentity Must;
        ERROR_MESSAGE "Error-Message" 281 0, Utf8String Clear;
        ROUTE_RECORD "Route-Record" 282 0, DiameterIdentity Must;
        DESTINATION_REALM "Destination-Realm" 283 0, DiameterIdentity Must;
        PROXY_INFO "Proxy-Info" 284 0, Grouped Must;
        REDIRECT_HOST "Redirect-Host" 292 0, DiameterUri Must;
        DESTINATION_HOST "Destination-Host" 293 0, DiameterIdentity Must;
        ERROR_REPORTING_HOST "Error-Reporting-Host" 294 0, DiameterIdentity Clear;
        ORIGIN_REALM "Origin-Realm" 296 0, DiameterIdentity Must;
        EXPERIMENTAL_RESULT "Experimental-Result" 297 0, Grouped Must;
        EXPERIMENTAL_RESULT_CODE "Experimental-Result-Code" 298 0, Unsigned32 Must;
        INBAND_SECURITY_ID "Inband-Security-Id" 299 0, Unsigned32 Must;

        VISITED_NETWORK_IDENTIFIER "Visited-Network-Identifier" 600 VENDOR_3GPP, OctetString Must;
        PUBLIC_IDENTITY "Public-Identity" 601 VENDOR_3GPP, Utf8String Must;
        SERVER_NAME "Server-Name" 602 VENDOR_3GPP, Utf8String Must;
        SERVER_CAPABILITIES "Server-Capabilities" 603 VENDOR_3GPP, Grouped Must;
        MANDATORY_CAPABILITY "Mandatory-Capability" 604 VENDOR_3GPP, Unsigned32 Must;
        OPTIONAL_CAPABILITY "Optional-Capability" 605 VENDOR_3GPP, Unsigned32 Must;
        USER_DATA "User-Data" 606 VENDOR_3GPP, OctetString Must;
        SIP_NUMBER_AUTH_ITEMS "SIP-Number-Auth-Items" 607 VENDOR_3GPP, Unsigned32 Must;
        SIP_AUTHENTICATION_SCHEME "SIP-Authentication-Scheme" 608 VENDOR_3GPP, Utf8String Must;
        SIP_AUTHENTICATE "SIP-Authenticate" 609 VENDOR_3GPP, OctetString Must;
        SIP_AUTHORIZATION "SIP-Authorization" 610 VENDOR_3GPP, OctetString Must;
        SIP_AUTHENTICATION_CONTEXT "SIP-Authentication-Context" 611 VENDOR_3GPP, OctetString Must;
        SIP_AUTH_DATA_ITEM "SIP-Auth-Data-Item" 612 VENDOR_3GPP, Grouped Must;
        SIP_ITEM_NUMBER "SIP-Item-Number" 613 VENDOR_3GPP, Unsigned32 Must;
        SERVER_ASSIGNMENT_TYPE "Server-Assignment-Type" 614 VENDOR_3GPP, Enumerated Must;
        DEREGISTRATION_REASON "Deregistration-Reason" 615 VENDOR_3GPP, Grouped Must;
        REASON_CODE "Reason-Code" 616 VENDOR_3GPP, Enumerated Must;
        REASON_INFO "Reason-Info" 617 VENDOR_3GPP, Utf8String Must;
        CHARGING_INFORMATION "Charging-Information" 618 VENDOR_3GPP, Grouped Must;
        PRIMARY_ECF "Primary-Event-Charging-Function-Name" 619 VENDOR_3GPP, DiameterUri Must;
        SECONDARY_ECF "Secondary-Event-Charging-Function-Name" 620 VENDOR_3GPP, DiameterUri Must;
        PRIMARY_CCF "Primary-Charging-Collection-Function-Name" 621 VENDOR_3GPP, DiameterUri Must;
        SECONDARY_CCF "Secondary-Charging-Collection-Function-Name" 622 VENDOR_3GPP, DiameterUri Must;
        USER_AUTHORIZATION_TYPE "User-Authorization-Type" 623 VENDOR_3GPP, Enumerated Must;
        USER_DATA_ALREADY_AVAILABLE "User-Data-Already-Available" 624 VENDOR_3GPP, Enumerated Must;
        CONFIDENTIALITY_KEY "Confidentiality-Key" 625 VENDOR_3GPP, OctetString Must;
        INTEGRITY_KEY "Integrity-Key" 626 VENDOR_3GPP, OctetString Must;
        SUPPORTED_FEATURES "Supported-Features" 628 VENDOR_3GPP, Grouped Clear;
        FEATURE_LIST_ID "Feature-List-ID" 629 VENDOR_3GPP, Unsigned32 Clear;
        FEATURE_LIST "Feature-List" 630 VENDOR_3GPP, Unsigned32 Clear;
        SUPPORTED_APPLICATIONS "Supported-Applications" 631 VENDOR_3GPP, Grouped Clear;
        ASSOCIATED_IDENTITIES "Associated-Identities" 632 VENDOR_3GPP, Grouped Clear;
        ORIGINATING_REQUEST "Originating-Request" 633 VENDOR_3GPP, Enumerated Must;
        WILDCARDED_PUBLIC_IDENTITY "Wildcarded-Public-Identity" 634 VENDOR_3GPP, Utf8String Clear;
        SIP_DIGEST_AUTHENTICATE "SIP-Digest-Authenticate" 635 VENDOR_3GPP, Grouped Clear;
        UAR_FLAGS "UAR-Flags" 637 VENDOR_3GPP, Unsigned32 Clear;
        LOOSE_ROUTE_INDICATION "Loose-Route-Indication" 638 VENDOR_3GPP, Enumerated Clear;
        SCSCF_RESTORATION_INFO "SCSCF-Restoration-Info" 639 VENDOR_3GPP, Grouped Clear;
        PATH "Path" 640 VENDOR_3GPP, OctetString Clear;
        CONTACT "Contact" 641 VENDOR_3GPP, OctetString Clear;
        SUBSCRIPTION_INFO "Subscription-Info" 642 VENDOR_3GPP, Grouped Clear;
        CALL_ID_SIP_HEADER "Call-ID-SIP-Header" 643 VENDOR_3GPP, OctetString Clear;
        FROM_SIP_HEADER "From-SIP-Header" 644 VENDOR_3GPP, OctetString Clear;
        TO_SIP_HEADER "To-SIP-Header" 645 VENDOR_3GPP, OctetString Clear;
        RECORD_ROUTE "Record-Route" 646 VENDOR_3GPP, OctetString Clear;
        ASSOCIATED_REGISTERED_IDENTITIES "Associated-Registered-Identities" 647 VENDOR_3GPP, Grouped Clear;
        MULTIPLE_REGISTRATION_INDICATION "Multiple-Registration-Indication" 648 VENDOR_3GPP, Enumerated Clear;
        RESTORATION_INFO "Restoration-Info" 649 VENDOR_3GPP, Grouped Clear;
        SESSION_PRIORITY "Session-Priority" 650 VENDOR_3GPP, Enumerated Clear;
        IDENTITY_WITH_EMERGENCY_REGISTRATION "Identity-with-Emergency-Registration" 651 VENDOR_3GPP, Grouped Clear;
        PRIVILEDGED_SENDER_INDICATION "Priviledged-Sender-Indication" 652 VENDOR_3GPP, Enumerated Clear;
        LIA_FLAGS "LIA-Flags" 653 VENDOR_3GPP, Unsigned32 Clear;
        INITIAL_CSEQ_SEQUENCE_NUMBER "Initial-CSeq-Sequence-Number" 654 VENDOR_3GPP, Unsigned32 Clear;
        SAR_FLAGS "SAR-Flags" 655 VENDOR_3GPP, Unsigned32 Clear;
        ALLOWED_WAF_WWSF_IDENTITIES "Allowed-WAF-WWSF-Identities" 656 VENDOR_3GPP, Grouped Clear;
        RTR_FLAGS "RTR-Flags" 659 VENDOR_3GPP, Unsigned32 Clear;
        P_CSCF_SUBSCRIPTION_INFO "P-CSCF-Subscription-Info" 660 VENDOR_3GPP, Grouped Clear;
        REGISTRATION_TIME_OUT "Registration-Time-Out" 661 VENDOR_3GPP, Time Clear;

        LINE_IDENTIFIER "Line-Identifier" 500 VENDOR_ETSI, OctetString Clear;
    }
}

#[cfg(test)]
mod tests;
