//! Samsung's own IMS client.
//!
//! Facts of [`SAMSUNG`]: what an SM-T515 tablet with "Samsung IMS 6.0" sends in the captures of the Open5GS documentation
//! (`ipsec_reg`, `nonipsec_to_ipsec_call`). It registers over UDP from 5060, answers the challenge over TCP, because that
//! REGISTER is too long for UDP (RFC 3261 §18.1.1), and goes on over UDP. It names no cell before it is protected. Between
//! the two captures both its ports have moved by a hundred: that each registration from nothing does so is a guess, and so is
//! the order of fields that no request of the captures has. It answers `auth-int` where that is offered; this one does not.
//!
//! Facts of [`SAMSUNG_LIST`]: three pairs in one field, ports 8000 and 8001 (docker_open5gs, pull request 458). The rest is
//! as the tablet has it, by guess.

use super::MechanismParameter::{Encryption as Ealg, Integrity as Alg, Mode, Ports, Protocol, Spis};
use super::{
    ContactForm, ContactParameter, ContactTransport, ContactUser, Handset, Layout, MD5_3DES, MD5_AES,
    MD5_NULL, MMTEL, Offers, SMSIP,
};
use crate::config::Reliable;
use cscf::flow::Transport;
use sip_core::Name;
use std::time::Duration;

const ORDER: &[Name] = &[
    Name::MaxForwards,
    Name::Route,
    Name::ProxyRequire,
    Name::Require,
    Name::Contact,
    Name::To,
    Name::From,
    Name::CallId,
    Name::CSeq,
    Name::SessionExpires,
    Name::Expires,
    Name::Accept,
    Name::Allow,
    Name::ContentType,
    Name::Supported,
    Name::UserAgent,
    Name::Authorization,
    Name::SecurityClient,
    Name::SecurityVerify,
    Name::PPreferredIdentity,
    Name::PAccessNetworkInfo,
    Name::ContentLength,
];

/// A tablet with one pair of algorithms.
pub static SAMSUNG: Handset = Handset {
    name: "samsung",
    user_agent: Some("SM-T515-TB4 Samsung IMS 6.0"),
    register_order: ORDER,
    order: ORDER,
    register_contact: ContactForm {
        user: ContactUser::Absent,
        transport: ContactTransport::Absent,
        parameters: &[ContactParameter::Instance, ContactParameter::Text("q=1.0"), MMTEL, SMSIP],
    },
    contact: ContactForm {
        user: ContactUser::Identity,
        transport: ContactTransport::Absent,
        parameters: &[
            ContactParameter::Instance,
            MMTEL,
            ContactParameter::Text("+g.3gpp.mid-call"),
            ContactParameter::Text("+g.3gpp.srvcc-alerting"),
            ContactParameter::Text("+g.3gpp.ps2cs-srvcc-orig-pre-alerting"),
            SMSIP,
        ],
    },
    register_supported: "path, gruu, sec-agree",
    supported: "timer, 100rel, sec-agree",
    allow: "INVITE, ACK, OPTIONS, CANCEL, BYE, UPDATE, INFO, REFER, NOTIFY, MESSAGE, PRACK",
    invite: &[],
    access: Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001"),
    expires: Duration::from_secs(3600),
    authorization: &["username", "realm", "uri", "nonce", "response", "algorithm", "nc", "qop", "cnonce"],
    names_algorithm: true,
    offers: TABLET,
    transport: Transport::Udp,
    reliable: Reliable::WhenSupported,
};

/// A phone with three.
pub static SAMSUNG_LIST: Handset = Handset {
    name: "samsung-list",
    offers: Offers {
        pairs: &[MD5_3DES, MD5_AES, MD5_NULL],
        layout: Layout::List(", "),
        server_ports: &[8000],
        client_ports: &[8001, 8002, 8003],
        ..TABLET
    },
    ..SAMSUNG
};

const TABLET: Offers = Offers {
    pairs: &[MD5_NULL],
    parameters: &[Protocol, Mode, Spis, Ports, Alg, Ealg],
    layout: Layout::Lines,
    server_ports: &[6200, 6300],
    client_ports: &[6301, 6201, 6302],
};
