//! Bindings: which registered UE stands behind which flow (TS 24.229 §5.2.2.1).
//!
//! A binding ties what a UE registered (one public identity, its contacts, the set registered with it) to the address
//! that it registered from. Requests from a UE are matched by that address, requests to it by the id in our Path.

use ambient::{Instant, TimerId, Wall};
use cscf::identity::Impu;
use cscf::{Flow, Hop, Transport, emergency};
use sip_core::Uri;
use std::net::SocketAddr;

/// Names one binding for as long as it lasts; stands in Path and Record-Route tokens. 60 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u64);

impl BindingId {
    /// Of a UE that is not registered: the largest id, which none is given.
    pub const UNKNOWN: BindingId = BindingId((1 << crate::path::ID_BITS) - 1);
}

/// A contact that the registrar accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundContact {
    /// The Contact URI as the UE wrote it.
    pub uri: String,
    /// When it ends, on the clock that timers run on.
    pub ends: Instant,
    /// When it ends, for the store.
    pub ends_wall: Wall,
}

/// What one UE registered from one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub id: BindingId,
    /// The public identity of the To that registered.
    pub aor: Impu,
    /// Where the REGISTER came from; of a protected one, the protected server port of the UE.
    pub hop: Hop,
    /// Whether the UE is reached through security associations, and in no other way.
    pub is_protected: bool,
    /// Our end of it.
    pub local: SocketAddr,
    /// The flow that it came by; `None` after a restart or a lost connection.
    pub flow: Option<Flow>,
    /// P-Associated-URI: what the UE may assert, the default first.
    pub identities: Vec<String>,
    /// Service-Route: where requests of the UE go, in order.
    pub service_route: Vec<String>,
    /// The contacts; never empty while the binding is in the table.
    pub contacts: Vec<BoundContact>,
    /// Ends the first contact that ends.
    pub timer: Option<TimerId>,
}

impl Binding {
    /// The moment at which the first contact ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.contacts.iter().map(|contact| contact.ends).min()
    }
}

/// The numeric address of a contact that is not one of TLS.
pub fn contact_address(uri: &str) -> Option<SocketAddr> {
    let Ok(Uri::Sip(sip)) = Uri::parse(uri.as_bytes()) else { return None };
    Some(SocketAddr::new(sip.host.ip()?, sip.port.unwrap_or(Transport::Tcp.default_port())))
}

/// Whether both are the same contact (RFC 3261 §19.1.4); one for emergencies is another than the same without `sos`.
pub fn is_same_contact(one: &[u8], other: &[u8]) -> bool {
    match (Uri::parse(one), Uri::parse(other)) {
        (Ok(first), Ok(second)) => {
            first.uri_eq(&second) && emergency::is_contact(one) == emergency::is_contact(other)
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cscf::{ShardId, Source, Transport, Trust};

    pub(crate) fn binding(id: u64, remote: &str, aor: &str) -> Binding {
        Binding {
            id: BindingId(id),
            aor: Impu::parse(aor.as_bytes()).expect("a URI"),
            hop: Hop { transport: Transport::Udp, remote: remote.parse().expect("an address") },
            is_protected: false,
            local: "127.0.0.10:5060".parse().expect("an address"),
            flow: None,
            identities: vec![aor.to_owned(), format!("tel:+49{id}")],
            service_route: vec!["sip:orig@scscf:6060;lr".to_owned()],
            contacts: vec![BoundContact {
                uri: format!("sip:ue@{remote}"),
                ends: Instant::from_micros(1_000_000),
                ends_wall: Wall::from_millis(1000),
            }],
            timer: None,
        }
    }

    pub(crate) fn source(transport: Transport, remote: &str) -> Source {
        Source {
            flow: Flow { shard: ShardId(0), slot: 0, generation: 0 },
            transport,
            local: "127.0.0.10:5060".parse().expect("an address"),
            remote: remote.parse().expect("an address"),
            trust: Trust::Outside,
            secured: None,
        }
    }
}
