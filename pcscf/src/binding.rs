//! Bindings: which registered UE stands behind which flow (TS 24.229 §5.2.2.1).
//!
//! A binding ties what a UE registered (one public identity, its contacts, the set registered with it) to the address
//! that it registered from. Requests from a UE are matched by that address, requests to it by the id in our Path.

use ambient::{Instant, TimerId, Wall};
use cscf::identity::Impu;
use cscf::{Flow, Hop, Source, Target};
use sip_core::Uri;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Names one binding for as long as it lasts; stands in Path and Record-Route tokens. 60 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u64);

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
    /// Where the REGISTER came from.
    pub hop: Hop,
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
    /// Every identity that this binding registered: the one of the To, and the set.
    pub fn impus(&self) -> impl Iterator<Item = Impu> {
        let set = self.identities.iter().filter_map(|uri| Impu::parse(uri.as_bytes()));
        let mut known = vec![self.aor.clone()];
        known.extend(set);
        known.sort();
        known.dedup();
        known.into_iter()
    }

    /// Where requests to the UE go.
    pub fn target(&self) -> Target {
        match self.flow {
            Some(flow) => Target::Flow(flow, self.hop),
            None => Target::Hop(self.hop),
        }
    }

    /// The moment at which the first contact ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.contacts.iter().map(|contact| contact.ends).min()
    }

    /// Whether a message came from this UE: from the registered address or, over another connection, from the same host
    /// with the Via of a registered contact. `sent_by` is the numeric sent-by of the top Via.
    pub fn is_sender(&self, source: &Source, sent_by: Option<SocketAddr>) -> bool {
        let registered = self.hop.remote == source.remote && self.hop.transport == source.transport;
        registered
            || self.hop.remote.ip() == source.remote.ip()
                && sent_by.is_some_and(|sent_by| {
                    self.contacts.iter().any(|c| contact_address(&c.uri) == Some(sent_by))
                })
    }
}

/// The numeric address of a contact.
fn contact_address(uri: &str) -> Option<SocketAddr> {
    let Ok(Uri::Sip(sip)) = Uri::parse(uri.as_bytes()) else { return None };
    Some(SocketAddr::new(sip.host.ip()?, sip.port.unwrap_or(cscf::resolve::DEFAULT_PORT)))
}

/// Whether both are the same contact (RFC 3261 §19.1.4).
pub fn is_same_contact(one: &[u8], other: &[u8]) -> bool {
    match (Uri::parse(one), Uri::parse(other)) {
        (Ok(one), Ok(other)) => one.uri_eq(&other),
        _ => false,
    }
}

/// The bindings of one P-CSCF.
#[derive(Debug, Default)]
pub struct Bindings {
    by_id: BTreeMap<BindingId, Binding>,
    /// In the order of registration.
    by_remote: BTreeMap<SocketAddr, Vec<BindingId>>,
    by_impu: BTreeMap<Impu, Vec<BindingId>>,
    by_flow: BTreeMap<Flow, Vec<BindingId>>,
}

impl Bindings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.by_id.values()
    }

    /// The binding of this id.
    pub fn get(&self, id: BindingId) -> Option<&Binding> {
        self.by_id.get(&id)
    }

    /// Those that the sender of a message registered, in the order of registration.
    pub fn of_sender(&self, source: &Source, sent_by: Option<SocketAddr>) -> Vec<&Binding> {
        let at = |remote: SocketAddr, port: u16| SocketAddr::new(remote.ip(), port);
        let own_host = self.by_remote.range(at(source.remote, 0)..=at(source.remote, u16::MAX));
        let mut found: Vec<&Binding> = own_host
            .flat_map(|(_, ids)| ids)
            .filter_map(|id| self.by_id.get(id))
            .filter(|binding| binding.is_sender(source, sent_by))
            .collect();
        // The registered address itself says more than a Via.
        if found.iter().any(|binding| binding.hop.remote == source.remote) {
            found.retain(|binding| binding.hop.remote == source.remote);
        }
        found
    }

    /// The binding that this address made for `aor`, which a further REGISTER refreshes.
    pub fn refreshed_by(&self, source: &Source, aor: &Impu) -> Option<&Binding> {
        let ids = self.by_remote.get(&source.remote)?;
        ids.iter()
            .filter_map(|id| self.by_id.get(id))
            .find(|binding| binding.aor == *aor && binding.hop.transport == source.transport)
    }

    /// Those that registered `impu`, by its own REGISTER or in a set.
    pub fn of_impu<'b>(&'b self, impu: &Impu) -> impl Iterator<Item = &'b Binding> + use<'b> {
        self.by_impu.get(impu).into_iter().flatten().filter_map(|id| self.by_id.get(id))
    }

    /// Adds a binding or replaces the one of the same id; the one it replaced comes back.
    pub fn insert(&mut self, binding: Binding) -> Option<Binding> {
        let before = self.remove(binding.id);
        self.by_remote.entry(binding.hop.remote).or_default().push(binding.id);
        for impu in binding.impus() {
            self.by_impu.entry(impu).or_default().push(binding.id);
        }
        if let Some(flow) = binding.flow {
            self.by_flow.entry(flow).or_default().push(binding.id);
        }
        self.by_id.insert(binding.id, binding);
        before
    }

    /// Takes a binding out.
    pub fn remove(&mut self, id: BindingId) -> Option<Binding> {
        let binding = self.by_id.remove(&id)?;
        forget(&mut self.by_remote, &binding.hop.remote, id);
        for impu in binding.impus() {
            forget(&mut self.by_impu, &impu, id);
        }
        if let Some(flow) = binding.flow {
            forget(&mut self.by_flow, &flow, id);
        }
        Some(binding)
    }

    /// Sets the timer of a binding.
    pub fn set_timer(&mut self, id: BindingId, timer: TimerId) {
        if let Some(binding) = self.by_id.get_mut(&id) {
            binding.timer = Some(timer);
        }
    }

    /// A connection is gone: what was registered over it is reached by a new one, if at all.
    pub fn flow_lost(&mut self, flow: Flow) {
        for id in self.by_flow.remove(&flow).unwrap_or_default() {
            if let Some(binding) = self.by_id.get_mut(&id) {
                binding.flow = None;
            }
        }
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, Vec<BindingId>>, key: &K, id: BindingId) {
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cscf::{ShardId, Transport, Trust};

    pub(crate) fn binding(id: u64, remote: &str, aor: &str) -> Binding {
        Binding {
            id: BindingId(id),
            aor: Impu::parse(aor.as_bytes()).expect("a URI"),
            hop: Hop { transport: Transport::Udp, remote: remote.parse().expect("an address") },
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
        }
    }

    #[test]
    fn a_sender_is_known_by_its_address_or_by_the_via_of_its_contact() {
        let mut bindings = Bindings::default();
        bindings.insert(binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        bindings.insert(binding(2, "10.0.0.1:5070", "sip:bob@home.net"));
        let found = |transport, remote: &str, sent_by: Option<&str>| -> Vec<u64> {
            let sent_by = sent_by.map(|sent_by| sent_by.parse().expect("an address"));
            bindings
                .of_sender(&source(transport, remote), sent_by)
                .iter()
                .map(|binding| binding.id.0)
                .collect()
        };
        assert_eq!(found(Transport::Udp, "10.0.0.1:5060", None), [1]);
        assert_eq!(
            found(Transport::Udp, "10.0.0.1:5070", Some("10.0.0.1:5060")),
            [2],
            "the address says more"
        );
        assert_eq!(found(Transport::Tcp, "10.0.0.1:40001", Some("10.0.0.1:5070")), [2]);
        assert_eq!(found(Transport::Tcp, "10.0.0.1:40001", Some("10.0.0.1:5080")), [0u64; 0]);
        assert_eq!(found(Transport::Tcp, "10.0.0.2:40001", Some("10.0.0.1:5070")), [0u64; 0]);
        assert_eq!(found(Transport::Udp, "10.0.0.1:5080", None), [0u64; 0]);
    }

    #[test]
    fn a_lost_flow_leaves_the_address() {
        let mut bindings = Bindings::default();
        let flow = Flow { shard: ShardId(0), slot: 3, generation: 1 };
        let hop = bindings
            .insert(Binding { flow: Some(flow), ..binding(1, "10.0.0.1:5060", "sip:alice@home.net") });
        assert_eq!(hop, None);
        let target = |bindings: &Bindings| bindings.get(BindingId(1)).map(Binding::target);
        assert!(matches!(target(&bindings), Some(Target::Flow(found, _)) if found == flow));
        bindings.flow_lost(flow);
        assert!(matches!(target(&bindings), Some(Target::Hop(_))));
    }

    #[test]
    fn a_removed_binding_leaves_no_trace() {
        let mut bindings = Bindings::default();
        bindings.insert(binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        let flow = Some(Flow { shard: ShardId(0), slot: 3, generation: 1 });
        bindings.insert(Binding { flow, ..binding(1, "10.0.0.1:5062", "sip:alice@home.net") });
        let tel = Impu::parse(b"tel:+491").expect("a URI");
        assert_eq!(bindings.of_impu(&tel).count(), 1, "replaced, not doubled");
        assert!(bindings.remove(BindingId(1)).is_some());
        assert!(bindings.is_empty() && bindings.by_remote.is_empty());
        assert!(bindings.by_impu.is_empty() && bindings.by_flow.is_empty());
        assert_eq!(bindings.remove(BindingId(1)), None);
    }
}
