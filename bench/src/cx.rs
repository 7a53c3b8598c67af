//! The Cx codec alone: the commands of a registration.

use crate::cases::Round;
use crate::rig::HOME;
use crate::scscf::profile;
use diameter_client::cx::{
    AuthDataItem, CxAnswer, CxRequest, CxResult, Envelope, Maa, Mar, Saa, decode_answer, decode_request,
};
use diameter_client::wire::Message;

fn envelope() -> Envelope {
    Envelope {
        session_id: format!("scscf.{HOME};1700000000;42;abcdefghijklmnopqrstuvwxy"),
        origin_host: format!("scscf.{HOME}"),
        origin_realm: HOME.into(),
        destination_host: Some(format!("hss.{HOME}")),
        destination_realm: Some(HOME.into()),
        ..Envelope::default()
    }
}

fn mar() -> CxRequest {
    CxRequest::Mar(Mar {
        user_name: format!("001010000000001@{HOME}"),
        public_identity: format!("sip:alice@{HOME}"),
        server_name: format!("sip:scscf.{HOME}:6060"),
        ..Mar::default()
    })
}

fn saa() -> CxAnswer {
    CxAnswer::Saa(Saa { result: CxResult::SUCCESS, user_data: Some(profile()), ..Saa::default() })
}

/// The octets of an answer to a MAR or SAR.
fn octets(answer: &CxAnswer) -> Vec<u8> {
    let request = mar().encode(&envelope(), 1, 2);
    let request = Message::parse(&request).expect("what was written");
    answer.encode(&request.header, &envelope())
}

/// Encodes a MAR.
pub fn encode_mar() -> Round {
    let (request, envelope) = (mar(), envelope());
    Box::new(move || {
        std::hint::black_box(request.encode(&envelope, 1, 2));
    })
}

/// Parses and decodes a MAA.
pub fn decode_maa() -> Round {
    let item = AuthDataItem {
        authenticate: Some([[1; 16], [2; 16]].concat()),
        authorization: Some(vec![3; 8]),
        ck: Some(vec![4; 16]),
        ik: Some(vec![5; 16]),
        ..AuthDataItem::default()
    };
    let maa = Maa { result: CxResult::SUCCESS, auth_data_items: vec![item], ..Maa::default() };
    decode(octets(&CxAnswer::Maa(maa)))
}

/// Encodes a SAA.
pub fn encode_saa() -> Round {
    let (answer, envelope) = (saa(), envelope());
    let request = mar().encode(&envelope, 1, 2);
    let header = Message::parse(&request).expect("what was written").header;
    Box::new(move || {
        std::hint::black_box(answer.encode(&header, &envelope));
    })
}

/// Parses and decodes a SAA.
pub fn decode_saa() -> Round {
    decode(octets(&saa()))
}

fn decode(octets: Vec<u8>) -> Round {
    Box::new(move || {
        let message = Message::parse(&octets).expect("what was written");
        std::hint::black_box(decode_answer(&message).expect("what was written"));
    })
}

/// That a MAR reads back; a codec that only writes fast is no codec.
pub fn round_trips() -> bool {
    let bytes = mar().encode(&envelope(), 1, 2);
    let message = Message::parse(&bytes).expect("what was written");
    decode_request(&message).is_ok_and(|(read, request)| read == envelope() && request == mar())
}
