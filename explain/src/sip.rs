//! What the catalogue reads of one SIP message.

use sip_core::{Limits, Message, Name, NameAddr};

/// A SIP message as the catalogue sees it. What cannot be parsed keeps its first line.
#[derive(Clone, Debug)]
pub struct Sip {
    /// Its method; of a response, that of the request.
    pub method: String,
    /// The number of its CSeq.
    pub cseq: u32,
    /// The status of a response; 0 of a request.
    pub status: u16,
    /// The reason phrase of a response.
    pub reason: String,
    /// The Request-URI; empty of a response.
    pub uri: String,
    /// The Call-ID.
    pub call_id: String,
    /// The URI of From.
    pub from: String,
    /// The URI of To.
    pub to: String,
    /// Whether To has a tag.
    pub has_to_tag: bool,
    /// The private identity of its credentials.
    pub impi: String,
    /// The texts of its Warnings, with the agent before each.
    pub warnings: Vec<String>,
    /// The message; `None` where it cannot be parsed.
    message: Option<Message>,
    first_line: String,
}

impl Sip {
    /// Reads a message.
    pub fn read(bytes: &[u8]) -> Sip {
        let line_end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        let first_line = text(&bytes[..line_end.min(LINE_MAX)]);
        let message = Message::parse(bytes.to_vec(), &Limits::default()).ok();
        let mut sip = Sip {
            method: String::new(),
            cseq: 0,
            status: 0,
            reason: String::new(),
            uri: String::new(),
            call_id: String::new(),
            from: String::new(),
            to: String::new(),
            has_to_tag: false,
            impi: String::new(),
            warnings: Vec::new(),
            message: None,
            first_line,
        };
        let Some(message) = message else { return sip };
        sip.status = message.status().map_or(0, |status| status.code());
        sip.reason = text(message.reason());
        sip.uri = if message.is_request() { text(message.uri()) } else { String::new() };
        sip.method = message.method().to_string();
        if let Ok(cseq) = message.cseq() {
            sip.cseq = cseq.number;
            sip.method = cseq.method.to_string();
        }
        sip.call_id = text(message.call_id());
        let uri = |address: Result<NameAddr<'_>, _>| address.map(|address| text(address.uri()));
        sip.from = uri(message.from()).unwrap_or_default();
        sip.to = uri(message.to()).unwrap_or_default();
        sip.has_to_tag = message.to().is_ok_and(|to| to.tag().is_some());
        sip.impi = credential(&message, b"username").unwrap_or_default();
        sip.warnings = message.all(Name::Warning).map(|(_, value)| text(value)).collect();
        sip.message = Some(message);
        sip
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        self.status == 0
    }

    /// Whether it is a final response.
    pub fn is_final(&self) -> bool {
        self.status >= 200
    }

    /// Whether it could be parsed.
    pub fn is_whole(&self) -> bool {
        self.message.is_some()
    }

    /// Whether it has a header.
    pub fn has(&self, name: Name) -> bool {
        self.message.as_ref().is_some_and(|message| message.has(name))
    }

    /// The first value of a header; empty where there is none.
    pub fn header(&self, name: Name) -> String {
        let message = self.message.as_ref();
        message.and_then(|message| message.first(name)).map(text).unwrap_or_default()
    }

    /// Every value of a header.
    pub fn header_all(&self, name: Name) -> Vec<String> {
        let message = self.message.as_ref();
        message.map(|message| message.all(name).map(|(_, value)| text(value)).collect()).unwrap_or_default()
    }

    /// The number of a header.
    pub fn number(&self, name: Name) -> Option<u32> {
        self.message.as_ref()?.number(name).ok()?
    }

    /// A parameter of the credentials in Authorization; `None` where there is none.
    pub fn credential(&self, name: &str) -> Option<String> {
        credential(self.message.as_ref()?, name.as_bytes())
    }

    /// Whether it is a REGISTER that answers a challenge with something.
    pub fn answers_challenge(&self) -> bool {
        self.credential("response").is_some_and(|response| !response.is_empty())
    }

    /// Whether it is a REGISTER that asks for another sequence number (RFC 3310 §3.4).
    pub fn asks_to_resynchronise(&self) -> bool {
        self.credential("auts").is_some_and(|auts| !auts.is_empty())
    }

    /// Whether its credentials name a challenge and answer it with nothing: the USIM took it for a forgery
    /// (TS 24.229 §5.1.1.5.3).
    pub fn disbelieves_challenge(&self) -> bool {
        let is_empty = |name| self.credential(name).is_none_or(|value| value.is_empty());
        let has_nonce = self.credential("nonce").is_some_and(|nonce| !nonce.is_empty());
        self.method == "REGISTER" && has_nonce && is_empty("response") && is_empty("auts")
    }

    /// Whether it ends a registration: every expiry in it is 0.
    pub fn is_deregistration(&self) -> bool {
        let contact = self.header(Name::Contact);
        let of_contact = contact.to_ascii_lowercase().contains(";expires=0");
        let has_own = contact.to_ascii_lowercase().contains(";expires=");
        self.method == "REGISTER" && (of_contact || (!has_own && self.number(Name::Expires) == Some(0)))
    }

    /// The URI of the first value of a header of name-addrs.
    pub fn address(&self, name: Name) -> Option<String> {
        let message = self.message.as_ref()?;
        message.name_addr(name).ok().map(|address| text(address.uri()))
    }

    /// Body.
    pub fn body(&self) -> &[u8] {
        self.message.as_ref().map_or(&[], |message| message.body())
    }

    /// What a small ladder says of it.
    pub fn summary(&self) -> String {
        match (self.is_request(), self.is_whole()) {
            (_, false) => format!("not readable: {}", self.first_line),
            (true, true) if self.asks_to_resynchronise() => format!("{} (auts)", self.method),
            (true, true) if self.disbelieves_challenge() => format!("{} (empty response)", self.method),
            (true, true) if self.method == "REGISTER" && self.answers_challenge() => {
                "REGISTER (answer)".to_owned()
            }
            (true, true) => self.method.clone(),
            (false, true) => {
                let warning = self.warnings.first().map(|warning| format!(" [{}]", warning_text(warning)));
                format!("{} {} ({}){}", self.status, self.reason, self.method, warning.unwrap_or_default())
            }
        }
    }
}

fn credential(message: &Message, name: &[u8]) -> Option<String> {
    message.credentials(Name::Authorization).find_map(|(_, credentials)| {
        let value = credentials.ok()?.param(name)?;
        Some(text(&value))
    })
}

/// The words of a Warning, without code, agent and quotes.
pub fn warning_text(warning: &str) -> &str {
    match warning.split_once('"') {
        Some((_, rest)) => rest.rsplit_once('"').map_or(rest, |(words, _)| words),
        None => warning,
    }
}

/// Bytes as text, cut where nobody reads on.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(VALUE_MAX)]).into_owned()
}

/// Octets of a value that are kept.
const VALUE_MAX: usize = 1024;
/// Octets of the first line of what cannot be parsed.
const LINE_MAX: usize = 120;
