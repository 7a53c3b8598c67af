//! What arrives and is not as it should be: answered, counted, survived.

use super::*;
use crate::dictionary::APPLICATION_CX;
use crate::wire::{FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, Header, Writer};

fn raw_request(command: u32, application: u32, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let flags = FLAG_REQUEST | FLAG_PROXIABLE;
    let mut writer = Writer::new(Header { flags, command, application, hop_by_hop: 1, end_to_end: 2 });
    write(&mut writer);
    writer.finish()
}

fn result_of(message: &Message<'_>) -> (u32, bool) {
    let code = message.find(&avp::RESULT_CODE).expect("a Result-Code").unsigned32().expect("of four octets");
    (code, message.header.flags & FLAG_ERROR != 0)
}

#[test]
fn requests_that_are_not_for_us_get_the_answer_of_the_rfc() {
    let (mut lab, icscf, hss) = pair(17);
    let session = |w: &mut Writer| w.text(&avp::SESSION_ID, "s;1;2");
    lab.inject(icscf, &raw_request(306, APPLICATION_CX, session));
    assert_eq!(result_of(&lab.last_sent(hss)), (3001, true));
    assert_eq!(lab.last_sent(hss).find(&avp::SESSION_ID).unwrap().text(), Ok("s;1;2"));
    lab.inject(icscf, &raw_request(300, 16_777_217, session));
    assert_eq!(result_of(&lab.last_sent(hss)), (3007, true));
    lab.inject(icscf, &raw_request(300, APPLICATION_CX, session));
    assert_eq!(result_of(&lab.last_sent(hss)), (5005, false));
    for (host, realm, expected) in [
        (Some("other.ims.example"), REALM, Some((3002, true))),
        (None, "other.example", Some((3003, true))),
        (Some("HSS.ims.example"), REALM, None),
    ] {
        let envelope = Envelope {
            session_id: "s;1;2".into(),
            origin_host: "icscf.ims.example".into(),
            origin_realm: REALM.into(),
            destination_host: host.map(str::to_owned),
            destination_realm: Some(realm.into()),
            ..Envelope::default()
        };
        lab.heard(hss);
        lab.inject(icscf, &CxRequest::Uar(uar()).encode(&envelope, 5, 6));
        match expected {
            Some(refusal) => assert_eq!(result_of(&lab.last_sent(hss)), refusal),
            None => assert_eq!(lab.asked(hss).len(), 1),
        }
    }
    assert_eq!(lab.open_peers(hss).len(), 1, "a bad request costs no connection");
}

#[test]
fn an_unreadable_stream_closes_the_connection_and_the_peer_comes_back() {
    let (mut lab, icscf, hss) = pair(18);
    lab.heard(icscf);
    let mut bytes = raw_request(300, APPLICATION_CX, |_| {});
    bytes[1..4].copy_from_slice(&[0, 0, 19]);
    lab.inject(icscf, &bytes);
    assert_eq!(result_of(&lab.last_sent(hss)), (5015, false));
    assert_eq!(lab.open_peers(icscf), []);
    assert_eq!(lab.nodes[hss].endpoint.counters().malformed, 1);
    lab.advance(Duration::from_secs(2));
    assert_eq!(lab.open_peers(icscf).len(), 1);
}

/// PyHSS answers an SAR for an unknown user in the application of Sh: the Hop-by-Hop id says what it belongs to.
#[test]
fn an_answer_in_the_application_of_sh_is_taken() {
    let (mut lab, icscf, hss) = pair(19);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    let header = Header { application: 16_777_217, ..lab.last_sent(icscf).header };
    let answer = CxAnswer::Uaa(Uaa { result: CxResult::IDENTITY_ALREADY_REGISTERED, ..Uaa::default() });
    lab.inject(hss, &answer.encode(&header, &Envelope::default()));
    assert_eq!(lab.answers(icscf), [(1, Ok(CxResult::IDENTITY_ALREADY_REGISTERED))]);
}

#[test]
fn an_answer_that_cannot_be_read_fails_its_request_and_no_other() {
    let (mut lab, icscf, hss) = pair(20);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    lab.ask(icscf, 2, None);
    let header = lab.last_sent(icscf).header;
    lab.inject(hss, &Writer::new(header.answer()).finish());
    let reason = "Result-Code is missing".to_owned();
    assert_eq!(lab.answers(icscf), [(2, Err(CxFailure::Undecodable { reason }))]);
    assert_eq!(lab.nodes[icscf].endpoint.pending_count(), 1);
    assert_eq!(lab.open_peers(icscf).len(), 1);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let mut lab = Lab::new(21);
    let hss = lab.node(13, "hss", vec![]);
    let conn = ConnId::accepted(1);
    lab.input(hss, EndpointInput::Accepted { conn, remote: addr(99) });
    lab.pipes.push([(hss, conn), (hss, ConnId(77))]);
    lab.advance(Duration::from_secs(6));
    assert!(lab.pipes.is_empty());
    assert_eq!(lab.nodes[hss].endpoint.next_timeout(), None);
}
