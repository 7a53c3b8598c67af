//! The IMS client of Qualcomm's modems, which many makes have, Google's Pixels up to the fifth among them.
//!
//! Facts: the order of an INVITE, its Contact, its lists and its spelling without blanks are those of the phone without IPsec
//! in the capture `nonipsec_to_ipsec_call` of the Open5GS documentation, whose session descriptions say "QC VOIP"; it sends
//! INVITE over TCP and puts the Via behind the Call-ID, where this one leaves it first. REGISTER over TCP, its order, expiry,
//! Supported, Authorization and the one mechanism without `prot` and `mod` at high ports are those of a ZTE A2022P in a
//! public test client. That both are the same client is a guess, by their Call-IDs and tags; so is the ring of ports.
//! Some makes put a User-Agent with their model into REGISTER.

use super::MechanismParameter::{Encryption as Ealg, Integrity as Alg, Ports, Spis};
use super::{
    ContactForm, ContactParameter, ContactTransport, ContactUser, Handset, Layout, MD5_AES, MMTEL, Offers,
    SMSIP,
};
use crate::config::{Reliable, UeConfig};
use cscf::flow::Transport;
use sip_core::Name;

/// A phone with a Qualcomm modem.
pub static QUALCOMM: Handset = Handset {
    name: "qualcomm",
    user_agent: None,
    register_order: &[
        Name::From,
        Name::To,
        Name::CallId,
        Name::CSeq,
        Name::MaxForwards,
        Name::Contact,
        Name::Expires,
        Name::Require,
        Name::ProxyRequire,
        Name::Supported,
        Name::Allow,
        Name::Authorization,
        Name::UserAgent,
        Name::SecurityClient,
        Name::SecurityVerify,
        Name::PAccessNetworkInfo,
        Name::ContentLength,
    ],
    order: &[
        Name::From,
        Name::To,
        Name::CSeq,
        Name::CallId,
        Name::MaxForwards,
        Name::Contact,
        Name::Route,
        Name::PAccessNetworkInfo,
        Name::PPreferredIdentity,
        Name::Allow,
        Name::ContentType,
        Name::Accept,
        Name::PPreferredService,
        Name::AcceptContact,
        Name::Supported,
        Name::PEarlyMedia,
        Name::Require,
        Name::ProxyRequire,
        Name::SecurityVerify,
        Name::UserAgent,
        Name::ContentLength,
        Name::SessionExpires,
    ],
    register_contact: ContactForm {
        user: ContactUser::Absent,
        transport: ContactTransport::Absent,
        parameters: &[
            ContactParameter::Text("+g.3gpp.accesstype=\"cellular2\""),
            ContactParameter::Text("audio"),
            SMSIP,
            ContactParameter::Text("video"),
            MMTEL,
            ContactParameter::Instance,
        ],
    },
    contact: ContactForm {
        user: ContactUser::Absent,
        transport: ContactTransport::Absent,
        parameters: &[
            MMTEL,
            ContactParameter::Text("video"),
            ContactParameter::Text("+g.3gpp.mid-call"),
            ContactParameter::Text("+g.3gpp.srvcc-alerting"),
            ContactParameter::Text("+g.3gpp.ps2cs-srvcc-orig-pre-alerting"),
        ],
    },
    register_supported: "path,sec-agree",
    supported: "timer,100rel,replaces,histinfo,tdialog",
    allow: "INVITE,ACK,CANCEL,BYE,UPDATE,PRACK,MESSAGE,REFER,NOTIFY,INFO,OPTIONS",
    invite: &[
        (Name::PPreferredService, "urn:urn-7:3gpp-service.ims.icsi.mmtel"),
        (Name::AcceptContact, "*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\""),
        (Name::PEarlyMedia, "supported"),
    ],
    access: Some("3GPP-E-UTRAN-FDD; utran-cell-id-3gpp=0010100010000001"),
    expires: UeConfig::EXPIRES,
    authorization: &["uri", "username", "response", "realm", "nonce", "algorithm", "qop", "nc", "cnonce"],
    names_algorithm: false,
    offers: Offers {
        pairs: &[MD5_AES],
        parameters: &[Alg, Ealg, Spis, Ports],
        layout: Layout::Lines,
        server_ports: &[43_002],
        client_ports: &[42_184, 42_185, 42_186],
    },
    transport: Transport::Tcp,
    reliable: Reliable::WhenRequired,
};
