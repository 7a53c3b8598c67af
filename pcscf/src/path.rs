//! The tokens in this P-CSCF's own Path and Record-Route entries.
//!
//! A Path token names a binding (TS 24.229 §5.2.2.1). A dialog token carries what a later request of the dialog needs:
//! the binding, the UE's address, a seal over the Call-ID and the icid; the one that the UE is given also has a seal over
//! the route set that it may use. So no table of dialogs is kept, and a dialog outlives a restart.

use crate::binding::BindingId;
use crate::route_set;
use cscf::bucket::{Bucket, Minted, TokenKey, TokenText, base32, unbase32};
use cscf::{Hop, Transport};
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What an own Route entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// From our Path: a request to the UE of this binding.
    Path(BindingId),
    /// From our Record-Route: a request within a dialog.
    Dialog(DialogToken),
}

/// What a later request of a dialog needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogToken {
    /// The binding of the UE when the dialog began.
    pub binding: BindingId,
    /// The UE's address then; of a protected one, its protected server port.
    pub hop: Hop,
    /// Whether the UE is reached through security associations, and in no other way.
    pub is_protected: bool,
    /// Whether the dialog is an emergency call.
    pub is_emergency: bool,
    /// Empty when it does not fit into a token.
    icid: SmallVec<[u8; ICID_MAX]>,
    /// Over the Call-ID: 40 bits that only this deployment can compute.
    seal: u64,
    /// Over the rest of the route set; only in the token that the UE is given.
    route: Option<u64>,
}

impl DialogToken {
    /// The token of a dialog with this Call-ID.
    pub fn new(key: &TokenKey, binding: BindingId, hop: Hop, call_id: &[u8], icid: &str) -> DialogToken {
        let fits = icid.len() <= ICID_MAX
            && icid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let icid = SmallVec::from_slice(if fits { icid.as_bytes() } else { b"" });
        DialogToken {
            binding,
            hop,
            is_protected: false,
            is_emergency: false,
            icid,
            seal: key.seal(call_id),
            route: None,
        }
    }

    /// The token of a dialog with a UE that is reached through security associations, or is not.
    pub fn protected(self, is_protected: bool) -> DialogToken {
        DialogToken { is_protected, ..self }
    }

    /// The token of an emergency call.
    pub fn of_emergency(self) -> DialogToken {
        DialogToken { is_emergency: true, ..self }
    }

    /// The icid of the dialog; empty when it does not fit into a token.
    pub fn icid(&self) -> &str {
        std::str::from_utf8(&self.icid).unwrap_or_default()
    }

    /// The token as the UE is given it: whose requests then follow these entries behind our own, and no others.
    pub fn held_to<'u>(self, key: &TokenKey, entries: impl Iterator<Item = &'u [u8]>) -> DialogToken {
        DialogToken { route: Some(route_set::seal(key, entries)), ..self }
    }

    /// Whether the UE may use these entries behind our own. The token that the core was given lets a UE use none.
    pub fn allows<'u>(&self, key: &TokenKey, entries: impl Iterator<Item = &'u [u8]>) -> bool {
        self.route.is_some_and(|route| route == route_set::seal(key, entries))
    }

    /// Whether both stand for the same UE in the same dialog, each for one side of it (RFC 5658 §5).
    pub fn is_twin(&self, other: &DialogToken) -> bool {
        *self == DialogToken { route: self.route, ..other.clone() }
    }

    /// Whether the token was made for a dialog with this Call-ID.
    pub fn is_of(&self, key: &TokenKey, call_id: &[u8]) -> bool {
        self.seal == key.seal(call_id)
    }
}

impl Token {
    /// The user part of the URI.
    pub fn mint(&self, key: &TokenKey, bucket: Bucket) -> Minted {
        key.mint_with(bucket, |token| self.write(token))
    }

    fn write(&self, payload: &mut TokenText) {
        match self {
            Token::Path(binding) => {
                payload.push(b'p');
                base32(binding.0, ID_BITS, payload);
            }
            Token::Dialog(dialog) => {
                payload.push(match (dialog.route.is_some(), dialog.is_emergency) {
                    (false, false) => b'd',
                    (true, false) => b'u',
                    (false, true) => b'x',
                    (true, true) => b'y',
                });
                base32(dialog.binding.0, ID_BITS, payload);
                base32(dialog.seal, SEAL_BITS, payload);
                if let Some(route) = dialog.route {
                    base32(route, SEAL_BITS, payload);
                }
                write_hop(dialog.hop, dialog.is_protected, payload);
                payload.extend_from_slice(&dialog.icid);
            }
        }
    }

    /// Reads the user part of a URI; `None` unless this deployment minted it.
    pub fn open(key: &TokenKey, user: &[u8]) -> Option<Token> {
        let (_, payload) = key.open(user)?;
        let (kind, rest) = payload.as_bytes().split_first()?;
        let (id, rest) = rest.split_at_checked(ID_CHARS)?;
        let id = BindingId(unbase32(id)?);
        match kind {
            b'p' if rest.is_empty() => Some(Token::Path(id)),
            b'd' | b'u' | b'x' | b'y' => {
                let (seal, rest) = rest.split_at_checked(SEAL_CHARS)?;
                let (route, rest) = match kind {
                    b'u' | b'y' => {
                        let (route, rest) = rest.split_at_checked(SEAL_CHARS)?;
                        (Some(unbase32(route)?), rest)
                    }
                    _ => (None, rest),
                };
                let (hop, is_protected, icid) = read_hop(rest)?;
                let icid = SmallVec::from_slice(icid);
                Some(Token::Dialog(DialogToken {
                    binding: id,
                    hop,
                    is_protected,
                    is_emergency: matches!(kind, b'x' | b'y'),
                    icid,
                    seal: unbase32(seal)?,
                    route,
                }))
            }
            _ => None,
        }
    }
}

/// Transport and family as a letter, four letters on for a protected UE (which TLS never is), then the address and the port in base32.
fn write_hop(hop: Hop, is_protected: bool, out: &mut TokenText) {
    let kind = match (hop.transport, hop.remote.ip()) {
        (Transport::Udp, IpAddr::V4(_)) => b'u',
        (Transport::Udp, IpAddr::V6(_)) => b'v',
        (Transport::Tcp, IpAddr::V4(_)) => b't',
        (Transport::Tcp, IpAddr::V6(_)) => b's',
        (Transport::Tls, IpAddr::V4(_)) => b'r',
        (Transport::Tls, IpAddr::V6(_)) => b'q',
    };
    out.push(if is_protected { kind + PROTECTED } else { kind });
    match hop.remote.ip() {
        IpAddr::V4(ip) => base32(u64::from(ip.to_bits()), 35, out),
        IpAddr::V6(ip) => {
            for word in ip.octets().chunks_exact(4) {
                base32(word.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), 35, out);
            }
        }
    }
    base32(u64::from(hop.remote.port()), 20, out);
}

/// What [`write_hop`] wrote, and what follows it.
fn read_hop(bytes: &[u8]) -> Option<(Hop, bool, &[u8])> {
    let (kind, mut rest) = bytes.split_first()?;
    let is_protected = *kind >= b's' + PROTECTED;
    let (transport, words) = match if is_protected { *kind - PROTECTED } else { *kind } {
        b'u' => (Transport::Udp, 1),
        b'v' => (Transport::Udp, 4),
        b't' => (Transport::Tcp, 1),
        b's' => (Transport::Tcp, 4),
        b'r' => (Transport::Tls, 1),
        b'q' => (Transport::Tls, 4),
        _ => return None,
    };
    let mut bits = 0_u128;
    for _ in 0..words {
        let (word, tail) = rest.split_at_checked(7)?;
        bits = bits << 32 | u128::from(u32::try_from(unbase32(word)?).ok()?);
        rest = tail;
    }
    let ip = match words {
        1 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    };
    let (port, rest) = rest.split_at_checked(4)?;
    let port = u16::try_from(unbase32(port)?).ok()?;
    Some((Hop { transport, remote: SocketAddr::new(ip, port) }, is_protected, rest))
}

/// From `s`..`v` to `w`..`z`.
const PROTECTED: u8 = 4;

/// Bits of a binding's id.
pub const ID_BITS: u32 = 60;
const ID_CHARS: usize = 12;
const SEAL_BITS: u32 = 40;
const SEAL_CHARS: usize = 8;
/// Longer icids would make the Record-Route too long for a datagram.
const ICID_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use ambient::Entropy;

    fn key(seed: u64) -> TokenKey {
        TokenKey::new(&mut Entropy::seeded(seed))
    }

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        let key = key(1);
        let hops = ["10.0.0.1:5060", "255.255.255.255:65535", "[2001:db8::ff]:1"];
        for (transport, remote) in
            [Transport::Udp, Transport::Tcp].into_iter().zip(hops).chain([(Transport::Tcp, hops[2])])
        {
            let hop = Hop { transport, remote: remote.parse().expect("an address") };
            let core = DialogToken::new(&key, BindingId((1 << 60) - 1), hop, b"a@b", "icid-1");
            let ue = core.clone().held_to(&key, [&b"sip:s1;lr"[..]].into_iter());
            let protected = ue.clone().protected(true);
            let emergency = [core.clone().of_emergency(), ue.clone().of_emergency()].map(Token::Dialog);
            for token in [Token::Dialog(core), Token::Dialog(ue), Token::Dialog(protected)]
                .into_iter()
                .chain(emergency)
            {
                assert_eq!(
                    Token::open(&key, token.mint(&key, Bucket::new(9)).as_str().as_bytes()),
                    Some(token)
                );
            }
        }
        for remote in hops {
            let hop = Hop { transport: Transport::Tls, remote: remote.parse().expect("an address") };
            let token = Token::Dialog(DialogToken::new(&key, BindingId(1), hop, b"a@b", "icid-1"));
            assert_eq!(Token::open(&key, token.mint(&key, Bucket::new(9)).as_str().as_bytes()), Some(token));
        }
        let path = Token::Path(BindingId(77));
        assert_eq!(Token::open(&key, path.mint(&key, Bucket::new(9)).as_str().as_bytes()), Some(path));
    }

    #[test]
    fn a_token_of_another_dialog_or_another_deployment_does_not_fit() {
        let key_1 = key(1);
        let hop = Hop { transport: Transport::Udp, remote: "10.0.0.1:5060".parse().expect("an address") };
        let token = DialogToken::new(&key_1, BindingId(1), hop, b"a@b", "");
        assert!(token.is_of(&key_1, b"a@b"));
        assert!(!token.is_of(&key_1, b"a@c"));
        let minted = Token::Dialog(token).mint(&key_1, Bucket::new(0));
        assert_eq!(Token::open(&key(2), minted.as_str().as_bytes()), None);
        let other = key_1.mint(Bucket::new(0), "x");
        assert_eq!(Token::open(&key_1, other.as_bytes()), None, "ours, but no token of a P-CSCF");
    }

    #[test]
    fn the_token_of_a_ue_allows_one_route_set_and_that_of_the_core_none() {
        let key = key(1);
        let hop = Hop { transport: Transport::Udp, remote: "10.0.0.1:5060".parse().expect("an address") };
        let core = DialogToken::new(&key, BindingId(1), hop, b"a@b", "");
        let ue = core.clone().held_to(&key, [&b"sip:s1;lr"[..]].into_iter());
        let allows = |token: &DialogToken, entries: &[&[u8]]| token.allows(&key, entries.iter().copied());
        assert!(allows(&ue, &[b"sip:s1;lr"]));
        assert!(!allows(&ue, &[b"sip:s2;lr"]) && !allows(&ue, &[]));
        assert!(!allows(&core, &[b"sip:s1;lr"]) && !allows(&core, &[]));
        let other = DialogToken::new(&key, BindingId(2), hop, b"a@b", "");
        assert!(ue.is_twin(&core) && core.is_twin(&ue) && !ue.is_twin(&other));
    }

    #[test]
    fn an_icid_that_no_user_part_can_hold_is_left_out() {
        let hop = Hop { transport: Transport::Udp, remote: "10.0.0.1:5060".parse().expect("an address") };
        let icid = |icid: &str| DialogToken::new(&key(1), BindingId(1), hop, b"a@b", icid).icid().to_owned();
        assert_eq!(icid("abc-1.2"), "abc-1.2");
        assert_eq!(icid("a;b"), "");
        assert_eq!(icid(&"a".repeat(49)), "");
    }
}
