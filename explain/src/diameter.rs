//! What the catalogue reads of one Diameter message.

use diameter_client::cx::CxResult;
use diameter_client::dictionary::{VENDOR_3GPP, command_name};
use diameter_client::wire::{Avp, Message};

/// A Diameter message as the catalogue sees it.
#[derive(Clone, Debug, Default)]
pub struct Diameter {
    /// The command code.
    pub command: u32,
    /// Whether it is a request.
    pub is_request: bool,
    /// Matches an answer to its request on one connection.
    pub hop_by_hop: u32,
    /// The session.
    pub session: String,
    /// The private identity.
    pub user_name: String,
    /// The public identity.
    pub public_identity: String,
    /// Who sent it, and its realm.
    pub origin_host: String,
    /// The realm of the sender.
    pub origin_realm: String,
    /// The realm that it is for.
    pub destination_realm: String,
    /// The S-CSCF that it names.
    pub server_name: String,
    /// What an answer came to.
    pub result: Option<CxResult>,
    /// Server-Assignment-Type, where it has one.
    pub assignment: Option<u32>,
    /// The scheme of the vectors asked for or given.
    pub scheme: String,
    /// Reason-Code of an RTR, and its words.
    pub reason: Option<(u32, String)>,
    /// Error-Message.
    pub error: String,
}

impl Diameter {
    /// Reads a message; what is behind the first AVP that cannot be read is left out.
    pub fn read(bytes: &[u8]) -> Option<Diameter> {
        let message = Message::parse(bytes).ok()?;
        let mut read = Diameter {
            command: message.header.command,
            is_request: message.header.is_request(),
            hop_by_hop: message.header.hop_by_hop,
            ..Diameter::default()
        };
        message.avps().take(AVPS_MAX).map_while(Result::ok).for_each(|avp| read.take(&avp));
        Some(read)
    }

    fn take(&mut self, avp: &Avp<'_>) {
        let number = || avp.unsigned32().unwrap_or_default();
        let inner = |code| {
            let group = avp.group().ok()?;
            group.take(AVPS_MAX).map_while(Result::ok).find(|avp| avp.code == code)
        };
        match (avp.vendor, avp.code) {
            (0, 1) => self.user_name = text(avp),
            (0, 263) => self.session = text(avp),
            (0, 264) => self.origin_host = text(avp),
            (0, 296) => self.origin_realm = text(avp),
            (0, 283) => self.destination_realm = text(avp),
            (0, 268) => self.result = Some(CxResult::Base(number())),
            (0, 281) => self.error = text(avp),
            (0, 297) => {
                let number = |code| inner(code).and_then(|avp| avp.unsigned32().ok());
                let vendor = number(266).unwrap_or(VENDOR_3GPP);
                self.result = number(298).map(|code| CxResult::Experimental { vendor, code });
            }
            (VENDOR_3GPP, 601) if self.public_identity.is_empty() => self.public_identity = text(avp),
            (VENDOR_3GPP, 602) => self.server_name = text(avp),
            // Server-Capabilities may name one, too (TS 29.229 §6.3.4).
            (VENDOR_3GPP, 603) => {
                if let Some(name) = inner(602).filter(|_| self.server_name.is_empty()) {
                    self.server_name = text(&name);
                }
            }
            (VENDOR_3GPP, 614) => self.assignment = Some(number()),
            (VENDOR_3GPP, 612) => {
                if let Some(scheme) = inner(608) {
                    self.scheme = text(&scheme);
                }
            }
            (VENDOR_3GPP, 615) => {
                let code = inner(616).and_then(|code| code.unsigned32().ok()).unwrap_or_default();
                self.reason = Some((code, inner(617).map(|words| text(&words)).unwrap_or_default()));
            }
            _ => {}
        }
    }

    /// The name of the command: `UAR`, `UAA`.
    pub fn name(&self) -> String {
        match command_name(self.command, self.is_request) {
            Some(name) => name.to_owned(),
            None => format!("{} {}", if self.is_request { "request" } else { "answer" }, self.command),
        }
    }

    /// Whether it is of the application between a CSCF and an HSS.
    pub fn is_cx(&self) -> bool {
        (300..=305).contains(&self.command)
    }

    /// Whether it is an answer that says no.
    pub fn is_refusal(&self) -> bool {
        !self.is_request && self.result.is_some_and(|result| !result.is_success())
    }

    /// What a small ladder says of it.
    pub fn summary(&self) -> String {
        match self.result.filter(|_| !self.is_request) {
            None => self.name(),
            Some(result) => match result.name() {
                Some(name) => format!("{} {} {name}", self.name(), result.code()),
                None => format!("{} {}", self.name(), result.code()),
            },
        }
    }
}

fn text(avp: &Avp<'_>) -> String {
    String::from_utf8_lossy(&avp.data[..avp.data.len().min(VALUE_MAX)]).into_owned()
}

/// AVPs that are looked at on one level.
const AVPS_MAX: usize = 128;
/// Octets of a value that are kept.
const VALUE_MAX: usize = 512;
