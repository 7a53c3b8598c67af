//! The body of a third-party REGISTER: service information, the UE's REGISTER and its 200, as far as the profile asks for each
//! (TS 24.229 §5.4.1.7, TS 29.228 §B.2.2). Pure.

use cscf::user_data::ApplicationServer;

/// What it may be made of.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Who says what is wanted.
    pub server: &'a ApplicationServer,
    /// The UE's REGISTER as it came here; `None` where the network ended the registration.
    pub request: Option<&'a [u8]>,
    /// The 200 to it as it left.
    pub response: Option<&'a [u8]>,
}

impl Body<'_> {
    /// Its type and content: one part stands alone, several are multipart/mixed. `None`: nothing is wanted.
    pub fn write(&self, boundary: &str) -> Option<(String, Vec<u8>)> {
        let mut parts: Vec<(&str, Vec<u8>)> = Vec::new();
        if let Some(info) = &self.server.service_info {
            parts.push(("application/3gpp-ims+xml", service_info(info).into_bytes()));
        }
        if let Some(request) = self.request.filter(|_| self.server.includes_register_request) {
            parts.push(("message/sip", request.to_vec()));
        }
        if let Some(response) = self.response.filter(|_| self.server.includes_register_response) {
            parts.push(("message/sip", response.to_vec()));
        }
        if parts.len() < 2 {
            return parts.pop().map(|(kind, part)| (kind.to_owned(), part));
        }
        let mut whole = Vec::new();
        for (kind, part) in parts {
            whole.extend_from_slice(format!("--{boundary}\r\nContent-Type: {kind}\r\n\r\n").as_bytes());
            whole.extend_from_slice(&part);
            whole.extend_from_slice(b"\r\n");
        }
        whole.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Some((format!("multipart/mixed;boundary=\"{boundary}\""), whole))
    }
}

/// The element of TS 24.229 §7.6 that carries it.
fn service_info(info: &str) -> String {
    let mut escaped = String::with_capacity(info.len());
    for character in info.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            plain => escaped.push(plain),
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ims-3gpp version=\"1\"><service-info>{escaped}</service-info></ims-3gpp>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type, and how many parts.
    fn written(info: Option<&str>, request: bool, response: bool) -> Option<(String, usize)> {
        let server = ApplicationServer {
            service_info: info.map(str::to_owned),
            includes_register_request: request,
            includes_register_response: response,
            ..ApplicationServer::default()
        };
        let body = Body { server: &server, request: Some(b"REGISTER x"), response: Some(b"SIP/2.0 200 OK") };
        let (kind, text) = body.write("xyz")?;
        let text = String::from_utf8(text).expect("text");
        Some((kind, text.matches("--xyz\r\n").count()))
    }

    #[test]
    fn none_one_and_all_of_the_parts_have_their_type() {
        let mixed = "multipart/mixed;boundary=\"xyz\"".to_owned();
        for (info, request, response, expected) in [
            (None, false, false, None),
            (Some("a"), false, false, Some(("application/3gpp-ims+xml".to_owned(), 0))),
            (None, true, false, Some(("message/sip".to_owned(), 0))),
            (None, false, true, Some(("message/sip".to_owned(), 0))),
            (None, true, true, Some((mixed.clone(), 2))),
            (Some("a"), true, true, Some((mixed, 3))),
        ] {
            assert_eq!(written(info, request, response), expected, "{info:?} {request} {response}");
        }
    }

    #[test]
    fn what_an_operator_wrote_as_service_information_stays_text() {
        assert!(service_info("<a>&").contains("<service-info>&lt;a&gt;&amp;</service-info>"));
        let server = ApplicationServer { includes_register_request: true, ..ApplicationServer::default() };
        let ended = Body { server: &server, request: None, response: None };
        assert_eq!(ended.write("xyz"), None, "nobody sent a REGISTER");
    }
}
