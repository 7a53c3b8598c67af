//! The torture test messages of RFC 4475 and RFC 5118, byte for byte, and what each is to this stack.

use sip_core::fields::Fault;
use sip_core::{CheckError, Edits, Limits, Message, Name, ParseReason, ResponseBuilder, Status};
use std::path::PathBuf;

/// What becomes of a message before a transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Goes on, and comes back byte for byte when nothing is edited.
    Valid,
    /// As `Valid`, but the bytes behind Content-Length are cut off.
    ValidCut,
    /// Has no frame.
    Unparsable(ParseReason),
    /// Has a frame, and a fault in what routing depends on.
    Refused(Name, Fault),
    /// CSeq and request line disagree.
    CseqMethod,
    /// The Request-URI has headers.
    UriHeaders,
}

use Verdict::*;

/// In the order of the RFCs' sections.
const TABLE: &[(&str, &str, Verdict)] = &[
    ("4475 3.1.1.1", "wsinv", Valid),
    ("4475 3.1.1.2", "intmeth", Valid),
    ("4475 3.1.1.3", "esc01", Valid),
    ("4475 3.1.1.4", "escnull", Valid),
    ("4475 3.1.1.5", "esc02", Valid),
    ("4475 3.1.1.6", "lwsdisp", Valid),
    ("4475 3.1.1.7", "longreq", Valid),
    ("4475 3.1.1.8", "dblreq", ValidCut),
    ("4475 3.1.1.9", "semiuri", Valid),
    ("4475 3.1.1.10", "transports", Valid),
    ("4475 3.1.1.11", "mpart01", Valid),
    ("4475 3.1.1.12", "unreason", Valid),
    ("4475 3.1.1.13", "noreason", Valid),
    ("4475 3.1.2.1", "badinv01", Refused(Name::Via, Fault::Syntax)),
    ("4475 3.1.2.2", "clerr", Unparsable(ParseReason::BodyTruncated)),
    ("4475 3.1.2.3", "ncl", Unparsable(ParseReason::ContentLength)),
    ("4475 3.1.2.4", "scalar02", Refused(Name::CSeq, Fault::OutOfRange)),
    ("4475 3.1.2.5", "scalarlg", Refused(Name::CSeq, Fault::OutOfRange)),
    ("4475 3.1.2.6", "quotbal", Refused(Name::To, Fault::Syntax)),
    ("4475 3.1.2.7", "ltgtruri", Unparsable(ParseReason::RequestUri)),
    ("4475 3.1.2.8", "lwsruri", Unparsable(ParseReason::RequestUri)),
    ("4475 3.1.2.9", "lwsstart", Unparsable(ParseReason::RequestUri)),
    ("4475 3.1.2.10", "trws", Unparsable(ParseReason::StartLine)),
    ("4475 3.1.2.11", "escruri", UriHeaders),
    ("4475 3.1.2.12", "baddate", Refused(Name::Date, Fault::Syntax)),
    ("4475 3.1.2.13", "regbadct", Refused(Name::Contact, Fault::Syntax)),
    ("4475 3.1.2.14", "badaspec", Refused(Name::To, Fault::Syntax)),
    // The RFC's archive forgot the empty line; with it, the display name is refused (see below).
    ("4475 3.1.2.15", "baddn", Unparsable(ParseReason::Unterminated)),
    ("4475 3.1.2.16", "badvers", Unparsable(ParseReason::Version)),
    ("4475 3.1.2.17", "mismatch01", CseqMethod),
    ("4475 3.1.2.18", "mismatch02", CseqMethod),
    ("4475 3.1.2.19", "bigcode", Unparsable(ParseReason::StatusCode)),
    // A branch of the cookie alone is left to transaction matching: `Via::is_rfc3261_branch` says no.
    ("4475 3.2.1", "badbranch", Valid),
    ("4475 3.3.1", "insuf", Refused(Name::CallId, Fault::Missing)),
    ("4475 3.3.2", "unkscm", Valid),
    ("4475 3.3.3", "novelsc", Valid),
    ("4475 3.3.4", "unksm2", Valid),
    ("4475 3.3.5", "bext01", Valid),
    ("4475 3.3.6", "invut", Valid),
    ("4475 3.3.7", "regaut01", Valid),
    ("4475 3.3.8", "multi01", Refused(Name::CSeq, Fault::Repeated)),
    ("4475 3.3.9", "mcl01", Unparsable(ParseReason::ContentLength)),
    ("4475 3.3.10", "bcast", Valid),
    ("4475 3.3.11", "zeromf", Valid),
    ("4475 3.3.12", "cparam01", Valid),
    ("4475 3.3.13", "cparam02", Valid),
    ("4475 3.3.14", "regescrt", Valid),
    ("4475 3.3.15", "sdp01", Valid),
    ("4475 3.4.1", "inv2543", Valid),
    ("5118 4.1", "ipv6-good", Valid),
    ("5118 4.2", "ipv6-bad", Refused(Name::Other, Fault::Syntax)),
    ("5118 4.3", "port-ambiguous", Valid),
    ("5118 4.4", "port-unambiguous", Valid),
    ("5118 4.5", "via-received-param-with-delim", Valid),
    ("5118 4.5", "via-received-param-no-delim", Valid),
    ("5118 4.6", "ipv6-in-sdp", Valid),
    ("5118 4.7", "mult-ip-in-header", Valid),
    ("5118 4.8", "mult-ip-in-sdp", Valid),
    ("5118 4.9", "ipv4-mapped-ipv6", Valid),
    ("5118 4.10", "ipv6-bug-abnf-3-colons", Valid),
    ("5118 4.10", "ipv6-correct-abnf-2-colons", Valid),
];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "torture"].iter().collect()
}

fn read(name: &str) -> Vec<u8> {
    let path = folder().join(name).with_extension("dat");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn judge(bytes: &[u8]) -> Verdict {
    let message = match Message::parse(bytes.to_vec(), &Limits::default()) {
        Ok(message) => message,
        Err(error) => return Unparsable(error.reason),
    };
    match message.check() {
        Ok(()) if message.bytes().len() < bytes.len() => ValidCut,
        Ok(()) => Valid,
        Err(CheckError::Field(error)) => Refused(error.field, error.fault),
        Err(CheckError::CseqMethod) => CseqMethod,
        Err(CheckError::UriHeaders) => UriHeaders,
    }
}

#[test]
fn every_message_is_classified_as_the_rfcs_ask() {
    let wrong: Vec<_> = TABLE
        .iter()
        .map(|(section, name, expected)| (section, name, *expected, judge(&read(name))))
        .filter(|(_, _, expected, found)| expected != found)
        .collect();
    assert!(wrong.is_empty(), "(section, message, expected, found): {wrong:#?}");
}

#[test]
fn the_table_and_the_folder_name_the_same_messages() {
    let mut listed: Vec<_> = TABLE.iter().map(|(_, name, _)| (*name).to_owned()).collect();
    let mut there: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

#[test]
fn a_valid_message_comes_back_byte_for_byte() {
    for (_, name, _) in TABLE.iter().filter(|(_, _, verdict)| matches!(verdict, Valid | ValidCut)) {
        let bytes = read(name);
        let message = Message::parse(bytes.clone(), &Limits::default()).unwrap();
        let mut rendered = Vec::new();
        Edits::new().render(&message, &mut rendered);
        assert!(bytes.starts_with(&rendered), "{name}");
        assert!(*name == "dblreq" || rendered.len() == bytes.len(), "{name}");
    }
}

/// RFC 4475 §3.1.2: a request that is refused still gets a response, where it says enough of itself.
#[test]
fn a_refused_request_is_answered_where_it_can_be() {
    let unanswerable = ["bigcode"];
    for (_, name, verdict) in TABLE {
        let Unparsable(reason) = verdict else { continue };
        let error = Message::parse(read(name), &Limits::default()).unwrap_err();
        let request = error.into_request();
        assert_eq!(request.is_none(), unanswerable.contains(name), "{name}");
        let Some(request) = request else { continue };
        let response = ResponseBuilder::for_request(&request, reason.status()).to_tag("t").build();
        let response = Message::parse(response, &Limits::default()).unwrap();
        // What the request said comes back as it said it, good or not.
        for field in [Name::Via, Name::From, Name::CallId, Name::CSeq] {
            assert_eq!(response.first(field), request.first(field), "{name}: {}", field.as_str());
        }
        let expected = if *name == "badvers" { Status::VERSION_NOT_SUPPORTED } else { Status::BAD_REQUEST };
        assert_eq!(response.status(), Some(expected), "{name}");
    }
}

/// RFC 4475 §3.1.1.1: the values behind all that white space.
#[test]
fn the_short_tortuous_invite_says_what_it_says() {
    let message = Message::parse(read("wsinv"), &Limits::default()).unwrap();
    assert_eq!(message.max_forwards(), Ok(Some(68)));
    assert_eq!(message.cseq().unwrap().number, 9);
    assert_eq!(message.from().unwrap().display().as_ref(), b"J Rosenberg \\\"");
    assert_eq!(message.from().unwrap().tag(), Some(&b"98asjd8"[..]));
    assert_eq!(message.to().unwrap().tag(), Some(&b"1918181833n"[..]));
    let branches: Vec<_> = message.vias().map(|(_, via)| via.unwrap().branch().unwrap().to_vec()).collect();
    assert_eq!(branches, [&b"390skdjuw"[..], b"z9hG4bK9ikj8", b"z9hG4bK30239"]);
    let (_, contact) = message.contacts().next().unwrap();
    let contact = contact.unwrap();
    assert_eq!(contact.param(b"newparam"), Some(&b"newvalue"[..]));
    assert_eq!(contact.param(b"q"), Some(&b"0.33"[..]));
    assert_eq!(message.first(Name::Subject), Some(&b""[..]));
    assert_eq!(message.other(b"unknownheaderwithunusualvalue"), Some(&b";;,,;;,;"[..]));
}

/// RFC 5118 §4.5: `received` is read with and without brackets.
#[test]
fn received_is_read_with_and_without_brackets() {
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let message = Message::parse(read(name), &Limits::default()).unwrap();
        let via = message.top_via().unwrap();
        assert_eq!(via.received_ip(), Some("2001:db8::9:255".parse().unwrap()), "{name}");
    }
}

/// RFC 4475 §3.1.2.15, with the empty line that the RFC's text has and its archive has not.
#[test]
fn a_display_name_of_no_tokens_is_refused() {
    let bytes = [&read("baddn")[..], b"\r\n"].concat();
    assert_eq!(judge(&bytes), Refused(Name::From, Fault::Syntax));
}

/// RFC 4475 §3.2.1: the magic cookie with nothing behind it names no transaction.
#[test]
fn a_branch_of_the_cookie_alone_is_no_transaction_id() {
    let message = Message::parse(read("badbranch"), &Limits::default()).unwrap();
    assert!(!message.top_via().unwrap().is_rfc3261_branch());
}
