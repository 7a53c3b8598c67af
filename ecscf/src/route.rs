//! Our own entries in Route and Record-Route: in a dialog they carry a token, which nobody else can write.

use crate::Ecscf;
use cscf::bucket::{TokenKey, base32, unbase32};
use cscf::{Side, Target, Transport, Turn};
use sip_core::{Edits, Message, Name, SlotId, Uri};
use smallvec::SmallVec;
use std::net::SocketAddr;

/// The Routes of a request, this node's own split from what follows.
#[derive(Debug, Default)]
pub struct Routes {
    own: SmallVec<[SlotId; 2]>,
    /// What the token of the first own entry that has one says: the seal of its Call-ID.
    seal: Option<u64>,
    next: Option<SlotId>,
}

impl Routes {
    /// Reads the Routes of a request.
    pub fn of(ecscf: &Ecscf, turn: &Turn<'_, Ecscf>, message: &Message) -> Routes {
        let mut routes = Routes::default();
        for (slot, route) in message.routes() {
            match own(ecscf, turn, route.map(|route| route.uri()).unwrap_or_default()) {
                Some(seal) => {
                    routes.own.push(slot);
                    routes.seal = routes.seal.or(seal);
                }
                None => {
                    routes.next = Some(slot);
                    break;
                }
            }
        }
        routes
    }

    /// Whether they were recorded by us in a dialog with this Call-ID.
    pub fn is_of(&self, key: &TokenKey, call_id: &[u8]) -> bool {
        self.seal == Some(key.seal(call_id))
    }

    /// Removes our own entries (RFC 3261 §16.4).
    pub fn pop(&self, edits: &mut Edits) {
        self.own.iter().for_each(|slot| edits.remove_slot(*slot));
    }

    /// What the request goes to next (RFC 3261 §16.6 step 6 and 7).
    pub fn next(&self) -> Target {
        self.next.map_or(Target::RequestUri, Target::Route)
    }
}

/// Whether a URI is this node's.
pub fn is_own(ecscf: &Ecscf, turn: &Turn<'_, Ecscf>, uri: &[u8]) -> bool {
    own(ecscf, turn, uri).is_some()
}

/// As [`is_own`], with the seal of a token.
fn own(ecscf: &Ecscf, turn: &Turn<'_, Ecscf>, uri: &[u8]) -> Option<Option<u64>> {
    let Ok(Uri::Sip(sip)) = Uri::parse(uri) else { return None };
    if let Some(user) = sip.user {
        let (_, payload) = turn.token_key().open(user)?;
        return payload.as_bytes().strip_prefix(KIND).and_then(unbase32).map(Some);
    }
    let own_port = |address: &SocketAddr| sip.port.is_none_or(|port| port == address.port());
    let own_host = |address: &SocketAddr| match sip.host.name() {
        Some(name) => name.eq_ignore_ascii_case(ecscf.config.ecscf.host.as_bytes()),
        None => sip.host.ip() == Some(address.ip()),
    };
    let is_ours = turn.locals().iter().any(|local| own_host(&local.address) && own_port(&local.address));
    is_ours.then_some(None)
}

/// Records this node in the route set of a dialog (RFC 3261 §16.6 step 4).
pub fn record(turn: &Turn<'_, Ecscf>, message: &Message, edits: &mut Edits) {
    let key = turn.token_key();
    let token = key.mint_with(turn.bucket(message.call_id()), |text| {
        text.extend_from_slice(KIND);
        base32(key.seal(message.call_id()), SEAL_BITS, text);
    });
    let local = turn.local(Side::Core, None);
    let transport = match local.transport {
        // What a numeric host without the parameter means (RFC 3263 §4.1).
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
    };
    edits.push_top(
        Name::RecordRoute,
        format_args!("<sip:{}@{}{transport};lr>", token.as_str(), local.address),
    );
}

/// What our tokens begin with, apart from those of a P-CSCF.
const KIND: &[u8] = b"e";
const SEAL_BITS: u32 = 40;
