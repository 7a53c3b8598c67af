//! Header field names (RFC 3261 §7.3, and the registry of the extensions that an IMS meets).
//!
//! A name is looked up once, at parse time, by a hash of its length and three of its letters; afterwards it is one byte.

/// How many values a header field may carry, and whether the parser gives each its own slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// At most one per message (RFC 3261 §7.3.1: a repetition is an error).
    Single,
    /// A comma-separated list; every value is a slot of its own.
    List,
    /// May be repeated, but its lines are kept whole: commas separate parameters, or nobody edits single values.
    Lines,
}

macro_rules! names {
    ($($variant:ident $canonical:literal $compact:literal $cardinality:ident,)*) => {
        /// A header field name that this stack knows, or [`Name::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $canonical, "`")] $variant,)*
            /// A name outside this list; its bytes are in the message.
            Other,
        }

        const KNOWN: &[Known] = &[
            $(Known {
                name: Name::$variant,
                canonical: $canonical,
                compact: $compact,
                cardinality: Cardinality::$cardinality,
            },)*
        ];
    };
}

struct Known {
    name: Name,
    canonical: &'static str,
    /// The compact form, or a space.
    compact: char,
    cardinality: Cardinality,
}

names! {
    Via "Via" 'v' List,
    From "From" 'f' Single,
    To "To" 't' Single,
    CallId "Call-ID" 'i' Single,
    CSeq "CSeq" ' ' Single,
    MaxForwards "Max-Forwards" ' ' Single,
    Contact "Contact" 'm' List,
    Route "Route" ' ' List,
    RecordRoute "Record-Route" ' ' List,
    ContentLength "Content-Length" 'l' Single,
    ContentType "Content-Type" 'c' Single,
    Expires "Expires" ' ' Single,
    Require "Require" ' ' List,
    ProxyRequire "Proxy-Require" ' ' List,
    Supported "Supported" 'k' List,
    Unsupported "Unsupported" ' ' List,
    Allow "Allow" ' ' Lines,
    Authorization "Authorization" ' ' Lines,
    ProxyAuthorization "Proxy-Authorization" ' ' Lines,
    WwwAuthenticate "WWW-Authenticate" ' ' Lines,
    ProxyAuthenticate "Proxy-Authenticate" ' ' Lines,
    AuthenticationInfo "Authentication-Info" ' ' Lines,
    ProxyAuthenticationInfo "Proxy-Authentication-Info" ' ' Lines,
    Accept "Accept" ' ' Lines,
    AcceptEncoding "Accept-Encoding" ' ' Lines,
    AcceptLanguage "Accept-Language" ' ' Lines,
    AlertInfo "Alert-Info" ' ' Lines,
    CallInfo "Call-Info" ' ' Lines,
    ContentDisposition "Content-Disposition" ' ' Single,
    ContentEncoding "Content-Encoding" 'e' Lines,
    ContentLanguage "Content-Language" ' ' Lines,
    ContentId "Content-ID" ' ' Single,
    Date "Date" ' ' Single,
    ErrorInfo "Error-Info" ' ' Lines,
    InReplyTo "In-Reply-To" ' ' Lines,
    MimeVersion "MIME-Version" ' ' Single,
    MinExpires "Min-Expires" ' ' Single,
    Organization "Organization" ' ' Single,
    Priority "Priority" ' ' Single,
    ReplyTo "Reply-To" ' ' Single,
    RetryAfter "Retry-After" ' ' Single,
    Server "Server" ' ' Single,
    Subject "Subject" 's' Single,
    Timestamp "Timestamp" ' ' Single,
    UserAgent "User-Agent" ' ' Single,
    Warning "Warning" ' ' Lines,
    Path "Path" ' ' List,
    ServiceRoute "Service-Route" ' ' List,
    SecurityClient "Security-Client" ' ' List,
    SecurityServer "Security-Server" ' ' List,
    SecurityVerify "Security-Verify" ' ' List,
    Privacy "Privacy" ' ' Lines,
    PAssertedIdentity "P-Asserted-Identity" ' ' List,
    PPreferredIdentity "P-Preferred-Identity" ' ' List,
    PAssertedService "P-Asserted-Service" ' ' List,
    PPreferredService "P-Preferred-Service" ' ' List,
    PAssociatedUri "P-Associated-URI" ' ' List,
    PCalledPartyId "P-Called-Party-ID" ' ' Single,
    PVisitedNetworkId "P-Visited-Network-ID" ' ' List,
    PAccessNetworkInfo "P-Access-Network-Info" ' ' List,
    PChargingVector "P-Charging-Vector" ' ' Single,
    PChargingFunctionAddresses "P-Charging-Function-Addresses" ' ' Single,
    PServedUser "P-Served-User" ' ' Single,
    PEarlyMedia "P-Early-Media" ' ' Lines,
    PProfileKey "P-Profile-Key" ' ' Single,
    PUserDatabase "P-User-Database" ' ' Single,
    PAnswerState "P-Answer-State" ' ' Single,
    PMediaAuthorization "P-Media-Authorization" ' ' Lines,
    PPrivateNetworkIndication "P-Private-Network-Indication" ' ' Lines,
    PRefusedUriList "P-Refused-URI-List" ' ' Lines,
    SessionExpires "Session-Expires" 'x' Single,
    MinSe "Min-SE" ' ' Single,
    RAck "RAck" ' ' Single,
    RSeq "RSeq" ' ' Single,
    Event "Event" 'o' Single,
    AllowEvents "Allow-Events" 'u' Lines,
    SubscriptionState "Subscription-State" ' ' Single,
    ReferTo "Refer-To" 'r' Single,
    ReferredBy "Referred-By" 'b' Single,
    ReferSub "Refer-Sub" ' ' Single,
    Replaces "Replaces" ' ' Single,
    Join "Join" ' ' Single,
    TargetDialog "Target-Dialog" ' ' Single,
    SipEtag "SIP-ETag" ' ' Single,
    SipIfMatch "SIP-If-Match" ' ' Single,
    SuppressIfMatch "Suppress-If-Match" ' ' Single,
    AcceptContact "Accept-Contact" 'a' List,
    RejectContact "Reject-Contact" 'j' List,
    RequestDisposition "Request-Disposition" 'd' Lines,
    ResourcePriority "Resource-Priority" ' ' Lines,
    AcceptResourcePriority "Accept-Resource-Priority" ' ' Lines,
    HistoryInfo "History-Info" ' ' List,
    Diversion "Diversion" ' ' List,
    Reason "Reason" ' ' List,
    FeatureCaps "Feature-Caps" ' ' List,
    Geolocation "Geolocation" ' ' List,
    GeolocationRouting "Geolocation-Routing" ' ' Single,
    GeolocationError "Geolocation-Error" ' ' Lines,
    Identity "Identity" 'y' Lines,
    IdentityInfo "Identity-Info" 'n' Lines,
    FlowTimer "Flow-Timer" ' ' Single,
    MaxBreadth "Max-Breadth" ' ' Single,
    InfoPackage "Info-Package" ' ' Single,
    RecvInfo "Recv-Info" ' ' Lines,
    SessionId "Session-ID" ' ' Single,
    UserToUser "User-to-User" ' ' Lines,
    AnswerMode "Answer-Mode" ' ' Single,
    PrivAnswerMode "Priv-Answer-Mode" ' ' Single,
    TriggerConsent "Trigger-Consent" ' ' Lines,
    PermissionMissing "Permission-Missing" ' ' Lines,
    ResponseSource "Response-Source" ' ' Lines,
    RestorationInfo "Restoration-Info" ' ' Lines,
    RelayedCharge "Relayed-Charge" ' ' Lines,
    CellularNetworkInfo "Cellular-Network-Info" ' ' Lines,
    ServiceInteractInfo "Service-Interact-Info" ' ' Lines,
    AttestationInfo "Attestation-Info" ' ' Lines,
    OriginationId "Origination-Id" ' ' Lines,
    AdditionalIdentity "Additional-Identity" ' ' List,
    PriorityShare "Priority-Share" ' ' Lines,
    PriorityVerstat "Priority-Verstat" ' ' Lines,
}

impl Name {
    /// The name that `bytes` spells, in any case or in compact form; [`Name::Other`] when it is not known.
    pub fn from_bytes(bytes: &[u8]) -> Name {
        let Some(mut at) = hash(bytes) else { return Name::Other };
        loop {
            match TABLE[at] {
                EMPTY => return Name::Other,
                entry => {
                    let known = &KNOWN[entry as usize];
                    // Nearly every sender spells a name as its RFC does, and comparing without case costs more.
                    if known.canonical.as_bytes() == bytes
                        || known.canonical.as_bytes().eq_ignore_ascii_case(bytes)
                        || (bytes.len() == 1 && bytes[0].to_ascii_lowercase() == known.compact as u8)
                    {
                        return known.name;
                    }
                }
            }
            at = (at + 1) % TABLE_SIZE;
        }
    }

    /// The canonical spelling; `"Other"` for [`Name::Other`], whose spelling is in the message.
    pub fn as_str(self) -> &'static str {
        KNOWN.get(self as usize).map_or("Other", |known| known.canonical)
    }

    /// The compact form (RFC 3261 §7.3.3), where one is registered.
    pub fn compact(self) -> Option<char> {
        KNOWN.get(self as usize).map(|known| known.compact).filter(|compact| *compact != ' ')
    }

    /// Whether the field may repeat, and whether its values are slots.
    pub fn cardinality(self) -> Cardinality {
        KNOWN.get(self as usize).map_or(Cardinality::Lines, |known| known.cardinality)
    }

    /// Every known name, in the order of declaration.
    pub fn known() -> impl Iterator<Item = Name> {
        KNOWN.iter().map(|known| known.name)
    }
}

const TABLE_SIZE: usize = 1024;
const EMPTY: u8 = u8::MAX;
const TABLE: [u8; TABLE_SIZE] = fill_table();

/// Where the search for a name starts; `None` when no known name is that short or that long.
const fn hash(name: &[u8]) -> Option<usize> {
    let len = name.len();
    if len == 0 || len > 32 {
        return None;
    }
    let first = (name[0] | 0x20) as usize;
    let middle = (name[len / 2] | 0x20) as usize;
    let last = (name[len - 1] | 0x20) as usize;
    Some((len * 37 + first * 101 + middle * 11 + last * 5) % TABLE_SIZE)
}

const fn fill_table() -> [u8; TABLE_SIZE] {
    assert!(KNOWN.len() < EMPTY as usize, "an entry is one byte");
    let mut table = [EMPTY; TABLE_SIZE];
    let mut entry = 0;
    while entry < KNOWN.len() {
        table = insert(table, KNOWN[entry].canonical.as_bytes(), entry as u8);
        if KNOWN[entry].compact != ' ' {
            table = insert(table, &[KNOWN[entry].compact as u8], entry as u8);
        }
        entry += 1;
    }
    table
}

const fn insert(mut table: [u8; TABLE_SIZE], name: &[u8], entry: u8) -> [u8; TABLE_SIZE] {
    let Some(mut at) = hash(name) else { panic!("a known name has 1 to 32 letters") };
    while table[at] != EMPTY {
        at = (at + 1) % TABLE_SIZE;
    }
    table[at] = entry;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_by_each_of_its_spellings() {
        for name in Name::known() {
            let canonical = name.as_str();
            assert_eq!(Name::from_bytes(canonical.as_bytes()), name);
            assert_eq!(Name::from_bytes(canonical.to_uppercase().as_bytes()), name);
            assert_eq!(Name::from_bytes(canonical.to_lowercase().as_bytes()), name);
            if let Some(compact) = name.compact() {
                assert_eq!(Name::from_bytes(&[compact as u8]), name);
                assert_eq!(Name::from_bytes(&[compact.to_ascii_uppercase() as u8]), name);
            }
        }
    }

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, known) in KNOWN.iter().enumerate() {
            assert_eq!(known.name as usize, at);
        }
    }

    #[test]
    fn a_name_nobody_registered_is_other() {
        for unknown in ["", " ", "X-Foo", "Vi", "Viaa", "z", "P-Asserted-Identitz", "{om"] {
            assert_eq!(Name::from_bytes(unknown.as_bytes()), Name::Other, "{unknown}");
        }
    }
}
