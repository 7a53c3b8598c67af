//! How Cx messages read and write: what goes out comes back, what is wrong is named, what others send is taken.

pub(crate) mod samples;
mod tshark;

use super::*;
use crate::dictionary::{AvpDef, VENDOR_3GPP};
use crate::wire::RawAvp;
use samples::*;

fn read_request(bytes: &[u8]) -> Result<(Envelope, CxRequest), Fault> {
    decode_request(&Message::parse(bytes).unwrap())
}

fn read_answer(bytes: &[u8]) -> Result<CxAnswer, Fault> {
    decode_answer(&Message::parse(bytes).unwrap()).map(|(_, answer)| answer)
}

/// A request of `command` whose AVPs are what `write` writes after a good envelope.
fn request_of(command: u32, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new(Header { command, ..HEADER });
    envelope().write_session(&mut writer);
    envelope().write_route(&mut writer);
    write(&mut writer);
    writer.finish()
}

/// An answer of `command` with nothing but what `write` writes.
fn answer_of(command: u32, write: impl FnOnce(&mut Writer)) -> CxAnswer {
    let mut writer = Writer::new(Header { command, ..HEADER }.answer());
    write(&mut writer);
    read_answer(&writer.finish()).unwrap()
}

fn experimental(writer: &mut Writer, code: u32) {
    write_result(writer, CxResult::Experimental { vendor: VENDOR_3GPP, code });
}

fn uar(writer: &mut Writer) {
    writer.text(&avp::USER_NAME, "alice@ims.example");
    writer.text(&avp::PUBLIC_IDENTITY, "sip:alice@ims.example");
    writer.text(&avp::VISITED_NETWORK_IDENTIFIER, "ims.example");
}

#[test]
fn every_request_reads_back_with_every_avp() {
    for request in requests() {
        let bytes = request.encode(&envelope(), 1, 2);
        assert_eq!(read_request(&bytes), Ok((envelope(), request)));
    }
}

#[test]
fn every_answer_reads_back_with_every_avp() {
    for answer in answers() {
        let header = Header { command: answer.command(), ..HEADER };
        let back = envelope().answer("hss.ims.example", "ims.example");
        let bytes = answer.encode(&header, &back);
        let read = decode_answer(&Message::parse(&bytes).unwrap());
        assert_eq!(read, Ok((back, answer)));
    }
}

/// RFC 6733 §6.2: an answer echoes session, identifiers and Proxy-Info, and names no destination.
#[test]
fn an_answer_belongs_to_its_request() {
    let request = Header { command: USER_AUTHORIZATION, ..HEADER };
    let back = envelope().answer("hss.ims.example", "ims.example");
    let bytes = CxAnswer::Uaa(Uaa::default()).encode(&request, &back);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.header, Header { flags: FLAG_PROXIABLE, ..request });
    assert_eq!(message.find(&avp::SESSION_ID).unwrap().text(), Ok(envelope().session_id.as_str()));
    assert_eq!(
        message.find(&avp::PROXY_INFO).map(|a| RawAvp::from(&a)),
        Some(envelope().proxy_infos[0].clone())
    );
    assert_eq!(message.find(&avp::DESTINATION_REALM), None);
    assert_eq!(message.find(&avp::ROUTE_RECORD), None);
}

/// TS 29.229 §6.2: Result-Code is absent when there is an Experimental-Result.
#[test]
fn a_result_is_of_one_kind() {
    let written = |result| {
        let header = Header { command: USER_AUTHORIZATION, ..HEADER };
        let bytes = CxAnswer::Uaa(Uaa { result, ..Uaa::default() }).encode(&header, &envelope());
        let message = Message::parse(&bytes).unwrap();
        let has = |def: &AvpDef| message.find(def).is_some();
        (has(&avp::RESULT_CODE), has(&avp::EXPERIMENTAL_RESULT), message.header.is_error())
    };
    assert_eq!(written(CxResult::SUCCESS), (true, false, false));
    assert_eq!(written(CxResult::FIRST_REGISTRATION), (false, true, false));
    assert_eq!(written(CxResult::USER_UNKNOWN), (false, true, false));
    assert_eq!(written(CxResult::TOO_BUSY), (true, false, true));
}

#[test]
fn what_is_wrong_with_a_request_is_named() {
    type Change = fn(&mut Writer);
    let cases: [(&str, Change, CxResult, &AvpDef); 6] = [
        (
            "no User-Name",
            |w| w.text(&avp::PUBLIC_IDENTITY, "sip:alice@ims.example"),
            CxResult::MISSING_AVP,
            &avp::USER_NAME,
        ),
        (
            "two Public-Identity",
            |w| {
                uar(w);
                w.text(&avp::PUBLIC_IDENTITY, "sip:bob@ims.example");
            },
            CxResult::AVP_OCCURS_TOO_MANY_TIMES,
            &avp::PUBLIC_IDENTITY,
        ),
        (
            "an Enumerated of two octets",
            |w| {
                uar(w);
                w.octets(&avp::USER_AUTHORIZATION_TYPE, &[0, 1]);
            },
            CxResult::INVALID_AVP_LENGTH,
            &avp::USER_AUTHORIZATION_TYPE,
        ),
        (
            "an Enumerated that is not defined",
            |w| {
                uar(w);
                w.unsigned32(&avp::USER_AUTHORIZATION_TYPE, 9);
            },
            CxResult::INVALID_AVP_VALUE,
            &avp::USER_AUTHORIZATION_TYPE,
        ),
        (
            "text that is not UTF-8",
            |w| w.octets(&avp::USER_NAME, &[0xff, 0xfe]),
            CxResult::INVALID_AVP_VALUE,
            &avp::USER_NAME,
        ),
        (
            "a mandatory AVP that the command does not have",
            |w| {
                uar(w);
                w.text(&avp::SERVER_NAME, "sip:scscf.ims.example");
            },
            CxResult::AVP_UNSUPPORTED,
            &avp::SERVER_NAME,
        ),
    ];
    for (case, write, result, failed) in cases {
        let bytes = request_of(USER_AUTHORIZATION, write);
        let fault = read_request(&bytes).unwrap_err();
        assert_eq!(fault.result, result, "{case}");
        let failed_avp = fault.failed_avp.as_ref().unwrap();
        assert_eq!((failed_avp.code, failed_avp.vendor), (failed.code, failed.vendor), "{case}");
        // And the answer that says so can be read by the peer.
        let message = Message::parse(&bytes).unwrap();
        let refusal = fault.answer(&message.header, message.avps(), "hss.ims.example", "ims.example");
        let answer = read_answer(&refusal).unwrap();
        assert_eq!(answer.result(), result, "{case}");
        assert_eq!(answer.details().failed_avps, std::slice::from_ref(failed_avp), "{case}");
    }
}

/// RFC 6733 §4.1: the M bit of an AVP that nobody knows decides.
#[test]
fn an_unknown_avp_is_kept_without_the_m_bit_and_refused_with_it() {
    let stranger = |flags| RawAvp { code: 4999, vendor: 99_999, flags, data: vec![7; 5] };
    let bytes = |flags| {
        request_of(USER_AUTHORIZATION, |w| {
            uar(w);
            w.raw(&stranger(flags));
        })
    };
    let Ok((_, CxRequest::Uar(read))) = read_request(&bytes(0)) else { panic!("it is read") };
    assert_eq!(read.unknown, [stranger(0x80)]);
    let fault = read_request(&bytes(0x40)).unwrap_err();
    assert_eq!((fault.result, fault.failed_avp), (CxResult::AVP_UNSUPPORTED, Some(stranger(0xc0))));
}

/// TS 29.229 §6.3: an M bit that differs from the table is no reason to refuse.
#[test]
fn the_m_bit_of_a_known_avp_does_not_matter() {
    let bytes = request_of(USER_AUTHORIZATION, |w| {
        uar(w);
        w.raw(&RawAvp { code: 637, vendor: VENDOR_3GPP, flags: 0x40, data: vec![0, 0, 0, 1] });
    });
    let Ok((_, CxRequest::Uar(read))) = read_request(&bytes) else { panic!("it is read") };
    assert!(read.is_emergency());
}

/// RFC 7683 uses the codes 621 and 623 without a vendor.
#[test]
fn a_code_without_vendor_is_another_avp() {
    let bytes = request_of(USER_AUTHORIZATION, |w| {
        uar(w);
        w.raw(&RawAvp { code: 623, vendor: 0, flags: 0, data: vec![0, 0, 0, 9] });
    });
    let Ok((_, CxRequest::Uar(read))) = read_request(&bytes) else { panic!("it is read") };
    assert_eq!(read.authorization_type, UserAuthorizationType::Registration);
    assert_eq!(read.unknown.len(), 1);
}

#[test]
fn a_required_feature_is_seen_as_required() {
    let required = SupportedFeatures { is_required: true, ..SupportedFeatures::cx(P_CSCF_RESTORATION) };
    let lir = Lir { supported_features: vec![required], ..Lir::default() };
    let bytes = CxRequest::Lir(lir).encode(&envelope(), 1, 2);
    let Ok((_, CxRequest::Lir(read))) = read_request(&bytes) else { panic!("it is read") };
    let own = [SupportedFeatures::cx(SIFC | ALIAS_IND)];
    assert_eq!(SupportedFeatures::check(&read.supported_features, &own), Err(CxResult::FEATURE_UNSUPPORTED));
}

#[test]
fn a_command_that_cx_does_not_have_is_unsupported() {
    let fault = read_request(&request_of(306, uar)).unwrap_err();
    assert_eq!(fault.result, CxResult::COMMAND_UNSUPPORTED);
}

/// PyHSS: a Server-Name with FIRST_REGISTRATION, never capabilities; one vector, item number 0, `Digest-MD5` at times.
#[test]
fn answers_of_pyhss_are_taken() {
    let uaa = answer_of(USER_AUTHORIZATION, |w| {
        experimental(w, 2001);
        w.text(&avp::SERVER_NAME, "sip:scscf.ims.example:6060");
    });
    let CxAnswer::Uaa(uaa) = uaa else { panic!() };
    assert_eq!(uaa.result, CxResult::FIRST_REGISTRATION);
    assert!(uaa.server_name.is_some() && uaa.server_capabilities.is_none());
    let maa = answer_of(MULTIMEDIA_AUTH, |w| {
        write_result(w, CxResult::SUCCESS);
        let scheme = Some(AuthScheme::Other("Digest-MD5".into()));
        AuthDataItem { item_number: Some(0), scheme, ..vector() }.write(w);
    });
    let CxAnswer::Maa(maa) = maa else { panic!() };
    assert_eq!(maa.auth_data_items[0].scheme, Some(AuthScheme::Other("Digest-MD5".into())));
    assert_eq!(maa.auth_data_items[0].item_number, Some(0));
}

/// Open5GS: FIRST_REGISTRATION with neither name nor capabilities; 3GPP's 2004 in an LIA for an unregistered user.
#[test]
fn answers_of_open5gs_are_taken() {
    let CxAnswer::Uaa(uaa) = answer_of(USER_AUTHORIZATION, |w| experimental(w, 2001)) else { panic!() };
    assert_eq!((uaa.server_name, uaa.server_capabilities), (None, None));
    let CxAnswer::Lia(lia) = answer_of(LOCATION_INFO, |w| experimental(w, 2004)) else { panic!() };
    assert!(lia.is_unregistered_service());
    let CxAnswer::Lia(lia) = answer_of(LOCATION_INFO, |w| write_result(w, CxResult::SUCCESS)) else {
        panic!()
    };
    assert!(!lia.is_unregistered_service());
}

/// An HSS that sends both kinds means the Experimental-Result; one that leaves the vendor out means 3GPP.
#[test]
fn odd_results_are_understood() {
    let both = answer_of(USER_AUTHORIZATION, |w| {
        w.unsigned32(&avp::RESULT_CODE, 2001);
        experimental(w, 5001);
    });
    assert_eq!(both.result(), CxResult::USER_UNKNOWN);
    let bare = answer_of(USER_AUTHORIZATION, |w| {
        w.group(&avp::EXPERIMENTAL_RESULT, |w| w.unsigned32(&avp::EXPERIMENTAL_RESULT_CODE, 5001));
    });
    assert_eq!(bare.result(), CxResult::USER_UNKNOWN);
}

#[test]
fn an_answer_with_doubled_and_mandatory_unknown_avps_is_taken() {
    let saa = answer_of(SERVER_ASSIGNMENT, |w| {
        write_result(w, CxResult::SUCCESS);
        w.text(&avp::USER_NAME, "alice@ims.example");
        w.text(&avp::USER_NAME, "again@ims.example");
        w.raw(&RawAvp { code: 4999, vendor: 0, flags: 0x40, data: vec![] });
    });
    let CxAnswer::Saa(saa) = saa else { panic!() };
    assert_eq!(saa.user_name.as_deref(), Some("alice@ims.example"));
    assert_eq!(saa.details.unknown.len(), 2);
}

#[test]
fn vectors_are_used_in_the_order_of_their_numbers() {
    let item = |n| AuthDataItem { item_number: Some(n), ..vector() };
    let maa = Maa { auth_data_items: vec![item(3), item(1), item(2)], ..Maa::default() };
    let order: Vec<_> = maa.in_order().iter().map(|item| item.item_number).collect();
    assert_eq!(order, [Some(1), Some(2), Some(3)]);
}

#[test]
fn no_message_prints_its_keys() {
    let printed = format!("{:?}", answers());
    // CK, IK and XRES of the samples, in decimal and hexadecimal, and HA1.
    for secret in ["51, 51", "68, 68", "34, 34", "939e7578"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}
