//! What the P-CSCF changes in every message at its edge towards UEs (Gm), whatever the request is.

use crate::Pcscf;
use crate::binding::BindingId;
use crate::path::{DialogToken, Token};
use cscf::bucket::Minted;
use cscf::charging::{self, Icid};
use cscf::trust::{self, Outsider};
use cscf::{Local, Side, Target, Transport, Turn};
use sip_core::{Edits, Message, Name, NameAddr, SlotId, Uri};
use smallvec::SmallVec;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Removes what a message from a UE may not say (TS 24.229 §4.4), and what ends at the first hop: the preferred
/// identity, and the security agreement of RFC 3329.
pub fn from_ue(message: &Message, edits: &mut Edits) {
    trust::entering(message, Outsider::Ue, edits);
    for name in [Name::PPreferredIdentity, Name::SecurityClient, Name::SecurityVerify, Name::SecurityServer] {
        edits.remove(message, name);
    }
    for name in [Name::Require, Name::ProxyRequire] {
        for (slot, tag) in message.all(name) {
            if tag.eq_ignore_ascii_case(SEC_AGREE.as_bytes()) {
                edits.remove_slot(slot);
            }
        }
    }
}

/// Counts a UE that asserts an identity itself, which only its P-CSCF may (RFC 3325 §8): what it says goes no further.
pub fn count_forged(turn: &mut Turn<'_, Pcscf>, message: &Message) {
    if message.all(Name::PAssertedIdentity).next().is_some() {
        turn.count("removed", "P-Asserted-Identity of a UE");
    }
}

/// Removes what a UE may not see.
pub fn to_ue(message: &Message, edits: &mut Edits) {
    trust::leaving(message, Outsider::Ue, edits);
}

/// The end of a Path entry that stands for a flow (RFC 5626 §5.1).
pub const FLOW_MARK: &[u8] = b";ob";

/// The option tag of RFC 3329, which ends at the P-CSCF.
pub const SEC_AGREE: &str = "sec-agree";

/// The Routes of a request, this node's own split from what follows.
#[derive(Debug, Default)]
pub struct Routes {
    /// Our own entries at the top.
    own: SmallVec<[SlotId; 2]>,
    /// What the first of them that has a token says.
    pub token: Option<Token>,
    /// Whether the first of them is that of a flow (RFC 5626 §5.3): the UE is reached by it, and in no other way.
    pub is_flow: bool,
    /// What follows.
    pub rest: SmallVec<[SlotId; 4]>,
}

impl Routes {
    /// Reads the Routes of a request.
    pub fn of(pcscf: &Pcscf, turn: &Turn<'_, Pcscf>, message: &Message) -> Routes {
        let mut routes = Routes::default();
        for (slot, route) in message.routes() {
            let uri = route.map(|route| route.uri()).unwrap_or_default();
            match own(pcscf, turn, uri) {
                Some(token) if routes.rest.is_empty() && routes.goes_with(token.as_ref()) => {
                    if routes.own.is_empty() && matches!(token, Some(Token::Path(_))) {
                        routes.is_flow = uri.ends_with(FLOW_MARK);
                    }
                    routes.own.push(slot);
                    routes.token = routes.token.take().or(token);
                }
                _ => routes.rest.push(slot),
            }
        }
        routes
    }

    /// Whether an entry of ours belongs to the one above it: our other entry of the same dialog (RFC 5658 §5), or our
    /// bare address. The token of another UE's dialog is a hop of its own.
    fn goes_with(&self, token: Option<&Token>) -> bool {
        match (&self.token, token) {
            (Some(Token::Dialog(dialog)), Some(Token::Dialog(twin))) => dialog.is_twin(twin),
            (Some(_), Some(_)) => false,
            (None, _) | (_, None) => true,
        }
    }

    /// Removes our own entries (RFC 3261 §16.4).
    pub fn pop(&self, edits: &mut Edits) {
        self.own.iter().for_each(|slot| edits.remove_slot(*slot));
    }

    /// What the request goes to next (RFC 3261 §16.6 step 6 and 7).
    pub fn next(&self) -> Target {
        self.rest.first().map_or(Target::RequestUri, |slot| Target::Route(*slot))
    }

    /// The URIs of what follows; one that cannot be read is given as it stands.
    pub fn rest_uris<'m>(&self, message: &'m Message) -> impl Iterator<Item = &'m [u8]> + use<'_, 'm> {
        self.rest.iter().map(|slot| entry_uri(message, *slot))
    }
}

/// The URI of a Route or Record-Route entry; one that cannot be read is given as it stands.
pub fn entry_uri(message: &Message, slot: SlotId) -> &[u8] {
    let value = message.slot(slot);
    NameAddr::parse(Name::Route, value).map_or(value, |route| route.uri())
}

/// Whether a URI is this node's: a token of its own in the user part, or its host without a user.
pub fn is_own(pcscf: &Pcscf, turn: &Turn<'_, Pcscf>, uri: &[u8]) -> bool {
    own(pcscf, turn, uri).is_some()
}

/// The token of a dialog in an entry of ours.
pub fn dialog_token(turn: &Turn<'_, Pcscf>, uri: &[u8]) -> Option<DialogToken> {
    let Ok(Uri::Sip(sip)) = Uri::parse(uri) else { return None };
    match Token::open(turn.token_key(), sip.user?) {
        Some(Token::Dialog(dialog)) => Some(dialog),
        Some(Token::Path(_)) | None => None,
    }
}

/// As [`is_own`], with the token.
fn own(pcscf: &Pcscf, turn: &Turn<'_, Pcscf>, uri: &[u8]) -> Option<Option<Token>> {
    let Ok(Uri::Sip(sip)) = Uri::parse(uri) else { return None };
    if let Some(user) = sip.user {
        return Token::open(turn.token_key(), user).map(Some);
    }
    let own_port = |address: &SocketAddr| sip.port.is_none_or(|port| port == address.port());
    let own_host = |address: &SocketAddr| match sip.host.name() {
        Some(name) => name.eq_ignore_ascii_case(pcscf.config.pcscf.host.as_bytes()),
        None => sip.host.ip() == Some(address.ip()),
    };
    let is_ours = turn.locals().iter().any(|local| own_host(&local.address) && own_port(&local.address));
    is_ours.then_some(None)
}

/// A loose-routing URI of this node at one of its listening points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnUri<'a> {
    token: &'a str,
    host: OwnHost<'a>,
    transport: Transport,
}

/// How this node is called in its URIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnHost<'a> {
    /// By its name and the port, where it listens at every address.
    Named(&'a str, u16),
    /// By the address that it listens at.
    At(SocketAddr),
}

impl<'a> OwnUri<'a> {
    fn new(pcscf: &'a Pcscf, token: &'a Minted, address: SocketAddr, transport: Transport) -> OwnUri<'a> {
        let host = match address.ip().is_unspecified() {
            true => OwnHost::Named(&pcscf.config.pcscf.host, address.port()),
            false => OwnHost::At(address),
        };
        OwnUri { token: token.as_str(), host, transport }
    }
}

impl fmt::Display for OwnUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{}@", self.token)?;
        match self.host {
            OwnHost::Named(name, port) => write!(f, "{name}:{port}")?,
            OwnHost::At(address) => write!(f, "{address}")?,
        }
        f.write_str(match self.transport {
            // What a numeric host without the parameter means (RFC 3263 §4.1).
            Transport::Udp => ";lr",
            Transport::Tcp => ";transport=tcp;lr",
            Transport::Tls => ";transport=tls;lr",
        })
    }
}

/// The listening point that the core reaches: by UDP where there is one.
pub fn core_local<'t>(turn: &'t Turn<'_, Pcscf>) -> &'t Local {
    let is_core = |local: &&Local| local.side == Side::Core;
    let is_udp = |local: &&Local| local.transport == Transport::Udp;
    let locals = turn.locals();
    locals.iter().filter(is_core).find(is_udp).unwrap_or_else(|| turn.local(Side::Core, None))
}

/// Which way a request that begins a dialog goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a UE into the core.
    Originating,
    /// From the core to a UE.
    Terminating,
}

/// Records this node in the route set of a dialog (RFC 3261 §16.6 step 4).
///
/// Twice when UE and core reach it differently, each side with its own (RFC 5658 §5); `local` is our end towards the UE.
pub fn record_route(
    pcscf: &Pcscf,
    turn: &Turn<'_, Pcscf>,
    edits: &mut Edits,
    direction: Direction,
    dialog: DialogToken,
    local: SocketAddr,
) {
    let transport = dialog.hop.transport;
    let token = mint(turn, dialog);
    let (below, top) = recorded(pcscf, turn, direction, &token, (local, transport));
    if below != top {
        edits.push_top(Name::RecordRoute, format_args!("<{below}>"));
    }
    edits.push_top(Name::RecordRoute, format_args!("<{top}>"));
}

/// What [`record_route`] writes: the lower entry and the one on top, which are equal when one is enough.
/// The last argument is our end towards the UE, and the transport there.
pub fn recorded<'a>(
    pcscf: &'a Pcscf,
    turn: &Turn<'_, Pcscf>,
    direction: Direction,
    token: &'a Minted,
    (local, transport): (SocketAddr, Transport),
) -> (OwnUri<'a>, OwnUri<'a>) {
    let core = core_local(turn);
    let core_uri = OwnUri::new(pcscf, token, core.address, core.transport);
    let access_uri = OwnUri::new(pcscf, token, local, transport);
    // The entry on top is the one that the next hop sees first.
    match direction {
        Direction::Originating => (access_uri, core_uri),
        Direction::Terminating => (core_uri, access_uri),
    }
}

/// What the reason of a 504 says, at the UE and in the counters.
pub const SILENT_CORE: &str = "core network does not answer";

/// The token of our Path entry for a binding, whose UE is at this address.
pub fn path_token(turn: &Turn<'_, Pcscf>, id: BindingId, ip: IpAddr) -> Minted {
    let key = turn.token_key();
    Token::Path(id).mint(key, key.bucket_of_address(ip))
}

/// Our Path entry for a binding (TS 24.229 §5.2.2.1).
pub fn path_uri<'a>(pcscf: &'a Pcscf, turn: &Turn<'_, Pcscf>, token: &'a Minted) -> OwnUri<'a> {
    let core = core_local(turn);
    OwnUri::new(pcscf, token, core.address, core.transport)
}

/// The user part of an entry of ours: in the bucket of the UE's address.
pub fn mint(turn: &Turn<'_, Pcscf>, dialog: DialogToken) -> Minted {
    let key = turn.token_key();
    let bucket = key.bucket_of_address(dialog.hop.remote.ip());
    Token::Dialog(dialog).mint(key, bucket)
}

/// Writes the charging vector of a request of a UE outside a dialog (TS 24.229 §4.5); gives the icid that it mints.
pub fn charge(pcscf: &Pcscf, turn: &mut Turn<'_, Pcscf>, message: &Message, edits: &mut Edits) -> Icid {
    let icid = Icid::mint(turn.entropy());
    let ioi = &pcscf.config.pcscf.ioi;
    edits.set(message, Name::PChargingVector, format_args!("{}", charging::written(icid.as_str(), ioi)));
    icid
}
