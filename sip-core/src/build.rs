//! Messages from nothing: requests, and responses to a request (RFC 3261 §8.1.1, §8.2.6).

use crate::edit::{Value, blank_line_ends, retain_from};
use crate::grammar;
use crate::message::Message;
use crate::method::Method;
use crate::name::Name;
use crate::status::Status;
use std::io::Write;

/// Writes a request, header by header in the order of the calls.
#[derive(Clone, Debug)]
pub struct RequestBuilder {
    out: Vec<u8>,
    body: Option<(Vec<u8>, Vec<u8>)>,
}

impl RequestBuilder {
    /// A request line. White space and control bytes are left out of the URI.
    pub fn new(method: Method<'_>, uri: impl Value) -> RequestBuilder {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        let start = out.len();
        uri.write_to(&mut out);
        retain_from(&mut out, start, |byte| byte > b' ' && byte != 0x7f);
        out.extend_from_slice(b" SIP/2.0\r\n");
        RequestBuilder { out, body: None }
    }

    /// Adds a header line.
    pub fn header(mut self, name: Name, value: impl Value) -> RequestBuilder {
        write_header(name.as_str().as_bytes(), value, &mut self.out);
        self
    }

    /// Adds a header line without a [`Name`]; what is no token byte is left out of the name.
    pub fn other(mut self, name: &[u8], value: impl Value) -> RequestBuilder {
        write_header(name, value, &mut self.out);
        self
    }

    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: impl Value, bytes: &[u8]) -> RequestBuilder {
        let mut text = Vec::new();
        content_type.write_to(&mut text);
        self.body = Some((text, bytes.to_vec()));
        self
    }

    /// The request, with its Content-Length.
    pub fn build(mut self) -> Vec<u8> {
        let (content_type, body) = match &self.body {
            Some((content_type, body)) => (Some(&content_type[..]), &body[..]),
            None => (None, &b""[..]),
        };
        write_end(content_type, body, &mut self.out);
        self.out
    }
}

/// Writes a response to a request, with the fields that every response copies.
#[derive(Clone, Debug)]
pub struct ResponseBuilder<'a> {
    request: &'a Message,
    status: Status,
    reason: Vec<u8>,
    to_tag: Vec<u8>,
    copies_record_route: bool,
    headers: Vec<u8>,
    body: Option<(Vec<u8>, Vec<u8>)>,
}

impl<'a> ResponseBuilder<'a> {
    /// A response with the default reason phrase. `request` may also be what
    /// [`ParseError::into_request`](crate::parse::ParseError::into_request) gives.
    pub fn for_request(request: &'a Message, status: Status) -> ResponseBuilder<'a> {
        ResponseBuilder {
            request,
            status,
            reason: status.reason().as_bytes().to_vec(),
            to_tag: Vec::new(),
            copies_record_route: false,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Sets the reason phrase.
    pub fn reason(mut self, reason: impl Value) -> ResponseBuilder<'a> {
        self.reason.clear();
        reason.write_to(&mut self.reason);
        blank_line_ends(&mut self.reason);
        self
    }

    /// Gives the tag that is added to To when the request's has none (RFC 3261 §8.2.6.2). A 100 gets none.
    pub fn to_tag(mut self, tag: impl Value) -> ResponseBuilder<'a> {
        self.to_tag.clear();
        tag.write_to(&mut self.to_tag);
        retain_from(&mut self.to_tag, 0, grammar::is_token_byte);
        self
    }

    /// Copies Record-Route, as a response that makes a dialog does (RFC 3261 §12.1.1).
    pub fn record_route(mut self) -> ResponseBuilder<'a> {
        self.copies_record_route = true;
        self
    }

    /// Adds a header line.
    pub fn header(mut self, name: Name, value: impl Value) -> ResponseBuilder<'a> {
        write_header(name.as_str().as_bytes(), value, &mut self.headers);
        self
    }

    /// Adds a header line without a [`Name`]; what is no token byte is left out of the name.
    pub fn other(mut self, name: &[u8], value: impl Value) -> ResponseBuilder<'a> {
        write_header(name, value, &mut self.headers);
        self
    }

    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: impl Value, bytes: &[u8]) -> ResponseBuilder<'a> {
        let mut text = Vec::new();
        content_type.write_to(&mut text);
        self.body = Some((text, bytes.to_vec()));
        self
    }

    /// Appends the response, with its Content-Length, to `out`.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "SIP/2.0 {} ", self.status.code());
        out.extend_from_slice(&self.reason);
        out.extend_from_slice(b"\r\n");
        self.copy_all(Name::Via, out);
        self.copy_all(Name::From, out);
        if let Some(to) = self.request.first(Name::To) {
            out.extend_from_slice(b"To: ");
            out.extend_from_slice(to);
            let has_tag = self.request.to().is_ok_and(|to| to.tag().is_some());
            if !has_tag && !self.to_tag.is_empty() && self.status != Status::TRYING {
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(&self.to_tag);
            }
            out.extend_from_slice(b"\r\n");
        }
        self.copy_all(Name::CallId, out);
        self.copy_all(Name::CSeq, out);
        if self.copies_record_route {
            self.copy_all(Name::RecordRoute, out);
        }
        // RFC 3261 §8.2.6.1: a 100 repeats the Timestamp.
        if self.status == Status::TRYING {
            self.copy_all(Name::Timestamp, out);
        }
        out.extend_from_slice(&self.headers);
        let (content_type, body) = match &self.body {
            Some((content_type, body)) => (Some(&content_type[..]), &body[..]),
            None => (None, &b""[..]),
        };
        write_end(content_type, body, out);
    }

    /// The response as a buffer of its own.
    pub fn build(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write_into(&mut out);
        out
    }

    fn copy_all(&self, name: Name, out: &mut Vec<u8>) {
        for (_, value) in self.request.all(name) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn write_header(name: &[u8], value: impl Value, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name);
    retain_from(out, start, grammar::is_token_byte);
    if out.len() == start {
        return;
    }
    out.extend_from_slice(b": ");
    let start = out.len();
    value.write_to(out);
    blank_line_ends(&mut out[start..]);
    out.extend_from_slice(b"\r\n");
}

fn write_end(content_type: Option<&[u8]>, body: &[u8], out: &mut Vec<u8>) {
    if let Some(content_type) = content_type {
        write_header(Name::ContentType.as_str().as_bytes(), content_type, out);
    }
    let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    #[test]
    fn a_request_is_written_in_the_order_of_the_calls() {
        let built = RequestBuilder::new(Method::Message, "sip:b@h")
            .header(Name::Via, "SIP/2.0/UDP a;branch=z9hG4bK1")
            .header(Name::CSeq, format_args!("{} MESSAGE", 7))
            .other(b"X-Foo", "bar")
            .body("text/plain", b"hi")
            .build();
        let expected = "MESSAGE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCSeq: 7 MESSAGE\r\n\
            X-Foo: bar\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(String::from_utf8(built).unwrap(), expected);
    }

    #[test]
    fn a_response_copies_what_names_the_transaction() {
        let request = "INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b\r\n\
            Record-Route: <sip:p;lr>\r\nf: <sip:a@h>;tag=1\r\nt: <sip:b@h>\r\ni: c\r\nCSeq: 1 INVITE\r\n\
            Timestamp: 54\r\nSubject: x\r\n\r\n";
        let request = Message::parse(request.as_bytes().to_vec(), &Limits::default()).unwrap();
        let ok = ResponseBuilder::for_request(&request, Status::OK).to_tag("t2").record_route().build();
        let expected = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b\r\n\
            From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=t2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
            Record-Route: <sip:p;lr>\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8(ok).unwrap(), expected);

        let trying = ResponseBuilder::for_request(&request, Status::TRYING).to_tag("t2").build();
        let trying = String::from_utf8(trying).unwrap();
        assert!(trying.contains("To: <sip:b@h>\r\n") && trying.contains("Timestamp: 54\r\n"), "{trying}");
    }

    #[test]
    fn a_tag_that_is_there_is_not_given_again() {
        let request = "BYE sip:b@h SIP/2.0\r\nTo: <sip:b@h>;tag=9\r\n\r\n";
        let request = Message::parse(request.as_bytes().to_vec(), &Limits::default()).unwrap();
        let ok = ResponseBuilder::for_request(&request, Status::OK).to_tag("t2").build();
        assert!(String::from_utf8(ok).unwrap().contains("To: <sip:b@h>;tag=9\r\n"));
    }

    #[test]
    fn no_value_smuggles_a_header() {
        let built = RequestBuilder::new(Method::Options, "sip:b SIP/2.0\r\nEvil: 1")
            .header(Name::Subject, "x\r\nEvil: 2")
            .other(b"X\r\nEvil", "3")
            .body("text/plain\r\nEvil: 4", b"")
            .build();
        let message = Message::parse(built, &Limits::default()).unwrap();
        assert_eq!(message.other(b"Evil"), None);
        assert_eq!(message.uri(), b"sip:bSIP/2.0Evil:1");
    }
}
