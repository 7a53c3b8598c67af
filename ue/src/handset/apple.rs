//! Apple's iPhone.
//!
//! No public capture. Facts: it registers through IPsec and takes new ports each time, so that a P-CSCF with a pool of ports
//! runs out of them (Open5GS, issue 408), and it does so over IPv6 where it can (Kamailio_IMS_Config, issue 22). All else is a
//! guess: the six pairs that the field has, SHA-1 before MD5, in one field; the order of RFC 3261's examples; User-Agent in
//! the form of Apple's other clients.

use super::MechanismParameter::{Encryption as Ealg, Integrity as Alg, Mode, Ports, Protocol, Spis};
use super::{
    ContactForm, ContactParameter, ContactTransport, ContactUser, Handset, Layout, MD5_3DES, MD5_AES,
    MD5_NULL, MMTEL, Offers, SHA1_3DES, SHA1_AES, SHA1_NULL, SMSIP,
};
use crate::config::{Reliable, UeConfig};
use cscf::flow::Transport;
use sip_core::Name;

const ORDER: &[Name] = &[
    Name::MaxForwards,
    Name::Route,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::Expires,
    Name::SessionExpires,
    Name::Supported,
    Name::Require,
    Name::ProxyRequire,
    Name::Allow,
    Name::Accept,
    Name::PPreferredIdentity,
    Name::PAccessNetworkInfo,
    Name::SecurityClient,
    Name::SecurityVerify,
    Name::Authorization,
    Name::UserAgent,
    Name::ContentType,
    Name::ContentLength,
];

/// An iPhone.
pub static APPLE: Handset = Handset {
    name: "apple",
    user_agent: Some("iOS/15.3.1 iPhone"),
    register_order: ORDER,
    order: ORDER,
    register_contact: ContactForm {
        user: ContactUser::Identity,
        transport: ContactTransport::Absent,
        parameters: &[
            MMTEL,
            SMSIP,
            ContactParameter::Text("audio"),
            ContactParameter::Text("video"),
            ContactParameter::Instance,
        ],
    },
    contact: ContactForm {
        user: ContactUser::Identity,
        transport: ContactTransport::Absent,
        parameters: &[MMTEL, ContactParameter::Text("audio"), ContactParameter::Instance],
    },
    register_supported: "path,sec-agree,gruu",
    supported: "100rel,timer,sec-agree",
    allow: "INVITE,ACK,CANCEL,BYE,UPDATE,PRACK,MESSAGE,NOTIFY,OPTIONS",
    invite: &[
        (Name::PPreferredService, "urn:urn-7:3gpp-service.ims.icsi.mmtel"),
        (Name::AcceptContact, "*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\""),
        (Name::PEarlyMedia, "supported"),
    ],
    access: Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001"),
    expires: UeConfig::EXPIRES,
    authorization: &[],
    names_algorithm: true,
    offers: Offers {
        pairs: &[SHA1_AES, SHA1_3DES, SHA1_NULL, MD5_AES, MD5_3DES, MD5_NULL],
        parameters: &[Alg, Ealg, Protocol, Mode, Spis, Ports],
        layout: Layout::List(","),
        server_ports: &[61_662, 62_130, 60_484],
        client_ports: &[61_676, 62_144, 60_498],
    },
    transport: Transport::Udp,
    reliable: Reliable::WhenSupported,
};
