//! The IMS client of MediaTek's modems.
//!
//! No public capture whose make is sure. Fact: it registers through IPsec (a Redmi Note, Open5GS, issue 509). The six pairs in
//! one field with MD5 first, without `prot` and `mod`, at neighbouring ports, and the order of the header fields are those of
//! a phone of unknown make in a public test script; that a MediaTek writes so is a guess.

use super::MechanismParameter::{Encryption as Ealg, Integrity as Alg, Ports, Spis};
use super::{
    ContactForm, ContactParameter, ContactTransport, ContactUser, Handset, Layout, MD5_3DES, MD5_AES,
    MD5_NULL, MMTEL, Offers, SHA1_3DES, SHA1_AES, SHA1_NULL, SMSIP,
};
use crate::config::{Reliable, UeConfig};
use cscf::flow::Transport;
use sip_core::Name;

const ORDER: &[Name] = &[
    Name::MaxForwards,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::Allow,
    Name::Authorization,
    Name::Accept,
    Name::Expires,
    Name::SessionExpires,
    Name::ProxyRequire,
    Name::Require,
    Name::Supported,
    Name::Route,
    Name::PPreferredIdentity,
    Name::PAccessNetworkInfo,
    Name::SecurityClient,
    Name::SecurityVerify,
    Name::ContentType,
    Name::ContentLength,
];

/// A phone with a MediaTek modem.
pub static MEDIATEK: Handset = Handset {
    name: "mediatek",
    user_agent: None,
    register_order: ORDER,
    order: ORDER,
    register_contact: ContactForm {
        user: ContactUser::Identity,
        transport: ContactTransport::Absent,
        parameters: &[
            SMSIP,
            MMTEL,
            ContactParameter::Text("audio"),
            ContactParameter::Text("video"),
            ContactParameter::Text("+g-3gpp-ps-data-off=\"inactive\""),
            ContactParameter::Instance,
        ],
    },
    contact: ContactForm {
        user: ContactUser::Identity,
        transport: ContactTransport::Absent,
        parameters: &[],
    },
    register_supported: "path, sec-agree",
    supported: "100rel, timer, sec-agree",
    allow: "INVITE, CANCEL, BYE, ACK, REFER, NOTIFY, MESSAGE, INFO, PRACK, UPDATE, OPTIONS",
    invite: &[(Name::PPreferredService, "urn:urn-7:3gpp-service.ims.icsi.mmtel")],
    access: Some("3GPP-NR-TDD;utran-cell-id-3gpp=0010100000100001"),
    expires: UeConfig::EXPIRES,
    authorization: &["username", "realm", "nonce", "uri", "response"],
    names_algorithm: false,
    offers: Offers {
        pairs: &[MD5_NULL, MD5_3DES, MD5_AES, SHA1_NULL, SHA1_3DES, SHA1_AES],
        parameters: &[Alg, Ealg, Spis, Ports],
        layout: Layout::List(","),
        server_ports: &[7024],
        client_ports: &[7023, 7025, 7026],
    },
    transport: Transport::Udp,
    reliable: Reliable::WhenRequired,
};
