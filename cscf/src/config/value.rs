//! The kinds of values a configuration has, each read from TOML with its own remedy and shown as TOML again.

use super::address::{DiameterPeer, DiameterPoint, Points, StoreUrl, TrustedNet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;

/// What is wrong with one value.
#[derive(Debug)]
pub struct Fault {
    pub message: String,
    pub remedy: String,
    /// Where inside of the value, when that is known better.
    pub at: Option<Range<usize>>,
}

impl Fault {
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { message: message.into(), remedy: remedy.into(), at: None }
    }
}

/// A kind of value.
pub trait Value: Sized {
    /// Reads it from TOML.
    fn read(value: &DeValue<'_>) -> Result<Self, Fault>;
    /// Writes it as TOML.
    fn show(&self) -> String;
}

/// The text of a value; `example` is what should stand there.
fn text<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Fault> {
    match value {
        DeValue::String(text) => Ok(text.as_ref()),
        DeValue::Integer(number) => Err(Fault::new(
            "is a number where text is wanted",
            format!("write it in quotes: \"{}\"", number.as_str()),
        )),
        other => Err(Fault::new(
            format!("is a {} where text is wanted", other.type_str()),
            format!("write something like \"{example}\""),
        )),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Value for String {
    fn read(value: &DeValue<'_>) -> Result<String, Fault> {
        let text = text(value, "text")?;
        if text.chars().any(char::is_control) {
            return Err(Fault::new("has a control character in it", "keep it on one line"));
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for bool {
    fn read(value: &DeValue<'_>) -> Result<bool, Fault> {
        value
            .as_bool()
            .ok_or_else(|| Fault::new("is neither true nor false", "write true or false, without quotes"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    fn read(value: &DeValue<'_>) -> Result<u32, Fault> {
        let DeValue::Integer(number) = value else {
            return Err(Fault::new("is not a number", "write digits without quotes"));
        };
        u32::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| Fault::new("is no whole number of this size", "use a number from 0 to 4294967295"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Units of a duration, longest first so that a value is shown in the greatest one that is exact.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a duration written as a number and its unit (ms, s, min, h, d); the error says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits_end].parse::<u64>(), text[digits_end..].trim());
    let millis = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis);
    match (number, millis) {
        (Ok(number), Some(millis)) => number
            .checked_mul(millis)
            .map(Duration::from_millis)
            .ok_or_else(|| format!("{} is longer than time itself", quoted(text))),
        _ => Err(format!("{} is not a duration with its unit", quoted(text))),
    }
}

impl Value for Duration {
    fn read(value: &DeValue<'_>) -> Result<Duration, Fault> {
        let remedy = "write a number with its unit, as in \"500ms\", \"30s\", \"4min\", \"1h\" or \"7d\"";
        let text = match value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) => {
                let number = number.as_str();
                return Err(Fault::new("has no unit", format!("write \"{number}s\" if seconds are meant")));
            }
            _ => return Err(Fault::new("is not a duration", remedy)),
        };
        duration(text).map_err(|message| Fault::new(message, remedy))
    }

    fn show(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (name, unit) = UNITS
            .iter()
            .find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit))
            .unwrap_or(&("ms", 1));
        format!("\"{}{name}\"", millis / unit)
    }
}

impl Value for PathBuf {
    fn read(value: &DeValue<'_>) -> Result<PathBuf, Fault> {
        match text(value, "path/to/file")? {
            "" => Err(Fault::new("is empty", "name a path, relative to this file or absolute")),
            path => Ok(PathBuf::from(path)),
        }
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for SocketAddr {
    fn read(value: &DeValue<'_>) -> Result<SocketAddr, Fault> {
        let text = text(value, "127.0.0.13:3868")?;
        text.parse().map_err(|_| {
            Fault::new(
                format!("{} is not an address with a port", quoted(text)),
                "write \"192.0.2.1:3868\" or \"[2001:db8::1]:3868\"",
            )
        })
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

/// A kind that is written as text.
macro_rules! from_text {
    ($($kind:ty, $example:literal;)*) => {
        $(impl Value for $kind {
            fn read(value: &DeValue<'_>) -> Result<$kind, Fault> {
                <$kind>::from_text(text(value, $example)?)
            }

            fn show(&self) -> String {
                quoted(&self.to_string())
            }
        })*
    };
}

from_text! {
    TrustedNet, "10.0.0.0/8";
    DiameterPoint, "127.0.0.13:3868";
    StoreUrl, "sqlite:hss.db";
}

impl Value for Points {
    fn read(value: &DeValue<'_>) -> Result<Points, Fault> {
        // One point may stand alone, without the brackets of a list.
        let texts = match value {
            DeValue::Array(_) => Vec::<String>::read(value)?,
            single => vec![text(single, "127.0.0.10:5060")?.to_owned()],
        };
        if texts.is_empty() {
            return Err(Fault::new(
                "is an empty list",
                "name at least one address, as in [\"127.0.0.10:5060\"]",
            ));
        }
        let mut points = Points::default();
        for text in &texts {
            points.add(text)?;
        }
        Ok(points)
    }

    fn show(&self) -> String {
        format!("[{}]", self.texts().iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    }
}

impl Value for DiameterPeer {
    fn read(value: &DeValue<'_>) -> Result<DiameterPeer, Fault> {
        let remedy = "write { host = \"hss.example\", realm = \"example\", address = \"192.0.2.1:3868\" }";
        let DeValue::Table(table) = value else {
            return Err(Fault::new("is not a peer", remedy));
        };
        if let Some(key) =
            table.keys().find(|key| !["host", "realm", "address"].contains(&key.get_ref().as_ref()))
        {
            let fault = Fault::new(format!("a peer has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let field = |name: &str| {
            table.get(name).ok_or_else(|| Fault::new(format!("a peer needs its {name}"), remedy))
        };
        let within =
            |name: &str, fault: Fault| Fault { at: table.get(name).map(toml::Spanned::span), ..fault };
        let point = DiameterPoint::read(field("address")?.get_ref());
        let DiameterPoint { transport, address } = point.map_err(|fault| within("address", fault))?;
        Ok(DiameterPeer {
            host: String::read(field("host")?.get_ref()).map_err(|fault| within("host", fault))?,
            realm: String::read(field("realm")?.get_ref()).map_err(|fault| within("realm", fault))?,
            address,
            transport,
        })
    }

    fn show(&self) -> String {
        format!(
            "{{ host = {}, realm = {}, address = {} }}",
            self.host.show(),
            self.realm.show(),
            self.point().show()
        )
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(value: &DeValue<'_>) -> Result<Vec<T>, Fault> {
        let DeValue::Array(values) = value else {
            return Err(Fault::new(
                format!("is a {}, not a list", value.type_str()),
                "put it in brackets: [ ... ]",
            ));
        };
        values
            .iter()
            .map(|value| {
                T::read(value.get_ref()).map_err(|fault| {
                    let at = fault.at.clone().or(Some(value.span()));
                    Fault { at, ..fault }
                })
            })
            .collect()
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Value::show).collect::<Vec<_>>().join(", "))
    }
}

/// A choice among words.
macro_rules! words {
    ($($(#[$doc:meta])* $kind:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $kind {
                $($(#[$variant_doc])* $variant,)*
            }

            impl Value for $kind {
                fn read(value: &DeValue<'_>) -> Result<$kind, Fault> {
                    const WORDS: &[&str] = &[$($word),*];
                    match text(value, WORDS[0])? {
                        $($word => Ok($kind::$variant),)*
                        other => Err(Fault::new(
                            format!("{} is not one of the choices", quoted(other)),
                            format!("write one of {}", WORDS.join(", ")),
                        )),
                    }
                }

                fn show(&self) -> String {
                    match self {
                        $($kind::$variant => quoted($word),)*
                    }
                }
            }
        )*
    };
}

words! {
    /// What the P-CSCF does with a Route that differs from the Service-Route (TS 24.229 §5.2.6.3.3).
    RouteEnforcement {
        /// Answers 400.
        Reject "reject",
        /// Replaces the Route by the Service-Route.
        Overwrite "overwrite",
    }
    /// Whether UEs use security associations (TS 33.203 §7).
    SecurityPolicy {
        /// Nobody does: a UE that offers them is served without.
        Off "off",
        /// Who offers them does.
        Optional "optional",
        /// Everybody does: who does not offer them is refused.
        Required "required",
    }
    /// What a UE authenticates by (TS 33.203 §P.1).
    Scheme {
        /// IMS-AKA.
        Aka "aka",
        /// SIP digest without TLS.
        Digest "digest",
        /// SIP digest over TLS.
        DigestTls "digest-tls",
        /// GPRS-IMS-bundled authentication: the address of the bearer.
        Giba "giba",
    }
    /// Who does ESP.
    SecurityBackEnd {
        /// The kernel; takes CAP_NET_ADMIN.
        Xfrm "xfrm",
        /// The P-CSCF itself; takes CAP_NET_RAW.
        Userspace "userspace",
    }
    /// Which algorithms of ESP are allowed.
    SecurityProfile {
        /// Those that phones in the field have.
        Permissive "permissive",
        /// Those of TS 33.203 Annex H.
        Strict "strict",
    }
    /// What Security-Server lists.
    ListedMechanisms {
        /// All that the profile allows (TS 33.203 §7.2).
        All "all",
        /// The chosen one alone: a shorter message, in which nobody sees that an offer was altered on the way.
        Chosen "chosen",
    }
    /// What becomes of requests of other networks that no border has looked at.
    ForeignRequests {
        /// 403.
        Refuse "refuse",
        /// They are taken, and what only a trusted element may say is removed.
        Accept "accept",
    }
    /// Whose emergency requests the P-CSCF sends to the E-CSCF (TS 24.229 §5.2.10).
    EmergencyCallers {
        /// Those of UEs that are registered.
        Registered "registered",
        /// Those of every UE, whoever it is.
        Anyone "anyone",
        /// Nobody's.
        Off "off",
    }
    /// Which emergency requests the P-CSCF lets go on (TS 33.203 §7.1, TS 24.229 §5.2.10).
    EmergencyPolicy {
        /// All: those outside of security associations as well.
        Any "any",
        /// Those through security associations, where UEs use them.
        Protected "protected",
    }
    /// When the S-CSCF challenges a UE that is registered already (TS 24.229 §5.4.1.2.2).
    Reauthenticate {
        /// Each REGISTER.
        Always "always",
        /// Each REGISTER that did not come integrity protected.
        Unprotected "unprotected",
        /// Only the first one.
        Never "never",
    }
    /// How the mock HSS shapes its answers: as the specification has it, or as a well-known HSS does.
    Personality {
        /// TS 29.228 and TS 29.229.
        ThreeGpp "3gpp",
        /// PyHSS.
        PyHss "pyhss",
        /// Open5GS.
        Open5gs "open5gs",
        /// FHoSS.
        Fhoss "fhoss",
    }
    /// Where a CSCF keeps what must survive it.
    StoreKind {
        /// Nowhere: it is gone with the process.
        Memory "memory",
        /// An append-only journal in a directory.
        File "file",
    }
    /// How a line of the log is written.
    LogFormat {
        /// For people.
        Text "text",
        /// An object a line, for programs.
        Json "json",
    }
    /// How much is logged.
    LogLevel {
        /// Broken things.
        Error "error",
        /// And what somebody should look at.
        Warn "warn",
        /// And what a subscriber would notice.
        Info "info",
        /// And decisions.
        Debug "debug",
        /// And every packet.
        Trace "trace",
    }
}
