//! A plain UE: what TS 24.229 asks for and nothing else. No make; every other handset is told by its differences.

use super::MechanismParameter::{
    Encryption as Ealg, Integrity as Alg, Mode, Ports, Preference, Protocol, Spis,
};
use super::{ContactForm, ContactParameter, ContactTransport, ContactUser, Handset, Layout, MMTEL, Offers};
use crate::config::{Reliable, UeConfig};
use crate::response::{ALLOW, SUPPORTED};
use cscf::flow::Transport;
use ipsec::Algorithms;

/// A plain UE.
pub static PLAIN: Handset = Handset {
    name: "plain",
    user_agent: None,
    register_order: &[],
    order: &[],
    register_contact: ContactForm {
        user: ContactUser::Identity,
        transport: ContactTransport::Named,
        parameters: &[ContactParameter::Instance, MMTEL],
    },
    contact: ContactForm { user: ContactUser::Identity, transport: ContactTransport::Named, parameters: &[] },
    register_supported: "path, gruu",
    supported: SUPPORTED,
    allow: ALLOW,
    invite: &[],
    access: None,
    expires: UeConfig::EXPIRES,
    authorization: &[],
    names_algorithm: false,
    offers: Offers {
        pairs: &Algorithms::ALL,
        parameters: &[Preference, Alg, Protocol, Mode, Ealg, Spis, Ports],
        layout: Layout::Lines,
        server_ports: &[6300],
        client_ports: &[6301, 6302, 6303],
    },
    transport: Transport::Udp,
    reliable: Reliable::WhenRequired,
};
