//! The bindings of one P-CSCF: found by name, by address, by public identity and by flow.
//!
//! An index holds a few bytes of what it is searched by and the place of a binding; what it finds is compared with the
//! binding itself. Keys that are equal by chance cost a comparison, and to make many of them takes as many registrations.

use crate::binding::{Binding, BindingId};
use crate::kept::{Alike, Kept};
use crate::slots::Slots;
use crate::written::Written;
use ambient::TimerId;
use ambient::entropy::KeyedState;
use cscf::identity::Impu;
use cscf::{Flow, Source, Transport};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The bindings of one P-CSCF.
#[derive(Debug, Default)]
pub struct Bindings {
    kept: Slots<Kept>,
    by_id: BTreeSet<(u32, Slot)>,
    by_remote: BTreeSet<(u32, u16, Slot)>,
    by_impu: BTreeSet<(u32, Slot)>,
    /// Of connections: a socket for datagrams is not lost.
    by_flow: BTreeSet<(u32, Slot)>,
    alike: BTreeSet<Arc<Alike>>,
    /// How many registrations there have been.
    count: u32,
}

/// Where a binding is kept.
type Slot = u32;

/// What the index of names is searched by: they are random, so that a part is as good as the whole.
fn id_key(id: BindingId) -> u32 {
    id.0 as u32
}

/// What the index of public identities is searched by: of the canonical form.
fn impu_key(canonical: &str) -> u32 {
    KeyedState::from_key((0x696d_7075, 0)).hash_one(canonical) as u32
}

/// What the index of addresses is searched by, beside the port.
fn ip_key(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => KeyedState::from_key((0x6970_7636, 0)).hash_one(ip.to_bits()) as u32,
    }
}

impl Bindings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    /// The binding of this id.
    pub fn get(&self, id: BindingId) -> Option<&Kept> {
        self.kept.get(self.slot_of(id)?)
    }

    fn slot_of(&self, id: BindingId) -> Option<Slot> {
        let mut slots = slots_under(&self.by_id, id_key(id));
        slots.find(|slot| self.kept.get(*slot).is_some_and(|kept| kept.id() == id))
    }

    /// Those that the sender of a message registered, in the order of registration.
    pub fn of_sender(&self, source: &Source, sent_by: Option<SocketAddr>) -> SmallVec<[&Kept; 4]> {
        let port = source.remote.port();
        let mut found: SmallVec<[&Kept; 4]> =
            self.at(source.remote.ip(), port, port).filter(|kept| kept.is_at(source)).collect();
        // The registered address itself says more than a Via; and a datagram is believed by its address only.
        if found.is_empty() && source.transport == Transport::Tcp {
            let own_host = self.at(source.remote.ip(), 0, u16::MAX);
            found.extend(own_host.filter(|kept| kept.is_sender(source, sent_by)));
        }
        found.sort_by_key(|kept| kept.since);
        found
    }

    /// Whether anything is registered through security associations from this protected server port.
    pub fn is_at(&self, ue: SocketAddr) -> bool {
        let mut found = self.at(ue.ip(), ue.port(), ue.port());
        found.any(|kept| kept.is_protected() && kept.hop().remote == ue)
    }

    /// The binding that this address made for `aor`, which a further REGISTER refreshes; one for emergencies is refreshed
    /// by another of its kind.
    pub fn refreshed_by(&self, source: &Source, aor: &Impu, is_emergency: bool) -> Option<&Kept> {
        let port = source.remote.port();
        self.at(source.remote.ip(), port, port).find(|kept| {
            kept.is_at(source)
                && kept.aor().is(aor.as_str().as_bytes())
                && kept.is_emergency() == is_emergency
        })
    }

    /// The binding of a UE that registered `aor` by TLS with one of these contacts, lost its connection, and comes back
    /// from the same host.
    pub fn returned<'b>(
        &'b self,
        source: &Source,
        aor: &'b Impu,
        mut has_contact: impl FnMut(&str) -> bool,
    ) -> Option<&'b Kept> {
        let is_back = source.transport == Transport::Tls && source.secured.is_none();
        let lost = |kept: &&Kept| {
            let hop = kept.hop();
            kept.flow().is_none()
                && hop.transport == Transport::Tls
                && hop.remote.ip() == source.remote.ip()
                && kept.aor().is(aor.as_str().as_bytes())
        };
        let mut found = self.of_impu(aor).filter(|_| is_back).filter(lost);
        found.find(|kept| kept.contacts().any(|contact| has_contact(contact.uri)))
    }

    /// Those that registered `impu`, by its own REGISTER or in a set.
    pub fn of_impu<'b>(&'b self, impu: &'b Impu) -> impl Iterator<Item = &'b Kept> {
        let slots = slots_under(&self.by_impu, impu_key(impu.as_str()));
        slots.filter_map(|slot| self.kept.get(slot)).filter(|kept| kept.has_impu(impu))
    }

    /// What may have registered from these ports of a host; from another host, too, by chance.
    fn at(&self, ip: IpAddr, first: u16, last: u16) -> impl Iterator<Item = &Kept> {
        let key = ip_key(ip);
        let range = self.by_remote.range((key, first, Slot::MIN)..=(key, last, Slot::MAX));
        range.filter_map(|(_, _, slot)| self.kept.get(*slot))
    }

    /// Adds a binding or replaces the one of the same id; the timer of the one that it replaced comes back.
    pub fn insert(&mut self, binding: &Binding) -> Option<TimerId> {
        let before = self.slot_of(binding.id);
        let known = before.and_then(|slot| self.kept.get(slot));
        let since = known.map_or(self.count, |known| known.since);
        let alike = known.map(Kept::alike).filter(|alike| alike.is_of(binding)).cloned();
        let alike = alike.unwrap_or_else(|| self.alike_of(binding));
        let kept = Kept::new(binding, alike, since);
        self.count = self.count.max(since.saturating_add(1));
        if let Some(known) = before.and_then(|slot| self.kept.get_mut(slot))
            && known.is_found_like(&kept)
        {
            return std::mem::replace(known, kept).timer;
        }
        let before = before.and_then(|slot| self.take(slot));
        let (remote, keys, flow) = (binding.hop.remote, kept.impu_keys(), kept.connection());
        let slot = self.kept.insert(kept);
        self.by_id.insert((id_key(binding.id), slot));
        self.by_remote.insert((ip_key(remote.ip()), remote.port(), slot));
        self.by_impu.extend(keys.map(|key| (key, slot)));
        if let Some(flow) = flow {
            self.by_flow.insert((flow.slot, slot));
        }
        before.and_then(|before| before.timer)
    }

    /// Takes a binding out.
    pub fn remove(&mut self, id: BindingId) -> Option<Binding> {
        self.take(self.slot_of(id)?)?.unpacked()
    }

    fn take(&mut self, slot: Slot) -> Option<Kept> {
        let kept = self.kept.remove(slot)?;
        let remote = kept.hop().remote;
        self.by_id.remove(&(id_key(kept.id()), slot));
        self.by_remote.remove(&(ip_key(remote.ip()), remote.port(), slot));
        for key in kept.impu_keys() {
            self.by_impu.remove(&(key, slot));
        }
        if let Some(flow) = kept.connection() {
            self.by_flow.remove(&(flow.slot, slot));
        }
        // The set here, and this binding.
        if Arc::strong_count(kept.alike()) == 2 {
            self.alike.remove(kept.alike());
        }
        Some(kept)
    }

    /// What a binding has alike with others, which share it.
    fn alike_of(&mut self, binding: &Binding) -> Arc<Alike> {
        let alike = Alike::new(binding);
        if let Some(known) = self.alike.get(&alike) {
            return known.clone();
        }
        let alike = Arc::new(alike);
        self.alike.insert(alike.clone());
        alike
    }

    /// Sets the timer of a binding.
    pub fn set_timer(&mut self, id: BindingId, timer: TimerId) {
        if let Some(kept) = self.slot_of(id).and_then(|slot| self.kept.get_mut(slot)) {
            kept.timer = Some(timer);
        }
    }

    /// A connection is gone: what was registered over it is reached by a new one, if at all.
    pub fn flow_lost(&mut self, flow: Flow) {
        let found: Vec<Slot> = slots_under(&self.by_flow, flow.slot).collect();
        for slot in found {
            if let Some(kept) = self.kept.get_mut(slot)
                && kept.connection() == Some(flow)
            {
                kept.flow = None;
                self.by_flow.remove(&(flow.slot, slot));
            }
        }
    }
}

/// The slots that an index has under a key.
fn slots_under(index: &BTreeSet<(u32, Slot)>, key: u32) -> impl Iterator<Item = Slot> + use<'_> {
    index.range((key, Slot::MIN)..=(key, Slot::MAX)).map(|(_, slot)| *slot)
}

impl Kept {
    /// The connection that it came by.
    fn connection(&self) -> Option<Flow> {
        self.flow().filter(|_| self.hop().transport != Transport::Udp)
    }

    /// What this binding is found by in the index of public identities, each once.
    fn impu_keys(&self) -> impl Iterator<Item = u32> + use<> {
        let all = self.identities().chain([self.aor()]).filter_map(Written::impu);
        let mut keys: SmallVec<[u32; 8]> = all.map(|impu| impu_key(impu.as_str())).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
    }

    /// Whether all that this binding is found by, and what it has alike with others, is the same in `other`.
    fn is_found_like(&self, other: &Kept) -> bool {
        Arc::ptr_eq(self.alike(), other.alike())
            && self.hop() == other.hop()
            && self.flow() == other.flow()
            && self.identities().eq(other.identities())
            && self.aor() == other.aor()
    }

    /// Whether it registered `impu`, by its own REGISTER or in the set.
    fn has_impu(&self, impu: &Impu) -> bool {
        let is_same =
            |uri: Written<'_>| uri.is(impu.as_str().as_bytes()) || uri.impu().as_ref() == Some(impu);
        self.aor().is(impu.as_str().as_bytes()) || self.identities().any(is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::BoundContact;
    use crate::binding::tests::{binding, source};
    use ambient::{Instant, Wall};
    use cscf::{Hop, ShardId, Target};

    #[test]
    fn a_sender_is_known_by_its_address_or_by_the_via_of_its_contact() {
        let mut bindings = Bindings::default();
        bindings.insert(&binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        bindings.insert(&binding(2, "10.0.0.1:5070", "sip:bob@home.net"));
        let found = |transport, remote: &str, sent_by: Option<&str>| -> Vec<u64> {
            let sent_by = sent_by.map(|sent_by| sent_by.parse().expect("an address"));
            bindings.of_sender(&source(transport, remote), sent_by).iter().map(|kept| kept.id().0).collect()
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
    fn a_refresh_is_found_as_before_and_by_whatever_it_has_changed() {
        let mut bindings = Bindings::default();
        let mut alice = binding(1, "10.0.0.1:5060", "sip:alice@home.net");
        bindings.insert(&alice);
        let of = |bindings: &Bindings, impu: &str| {
            let impu = Impu::parse(impu.as_bytes()).expect("a URI");
            bindings.of_impu(&impu).map(|kept| kept.contacts().count()).collect::<Vec<_>>()
        };
        let second = BoundContact { uri: "sip:ue@10.0.0.9".to_owned(), ..alice.contacts[0].clone() };
        alice.contacts.push(second);
        bindings.insert(&alice);
        assert_eq!(of(&bindings, "sip:alice@home.net"), [2], "the same, with one contact more");
        assert_eq!((bindings.by_remote.len(), bindings.by_impu.len(), bindings.alike.len()), (1, 2, 1));
        alice.identities = vec!["sip:alice@home.net".to_owned(), "tel:+4977".to_owned()];
        alice.service_route = vec!["sip:orig@other:6060;lr".to_owned()];
        bindings.insert(&alice);
        assert_eq!(of(&bindings, "tel:+4977"), [2], "another set");
        assert_eq!(of(&bindings, "tel:+491"), [0; 0], "which has lost a number");
        assert_eq!((bindings.by_remote.len(), bindings.by_impu.len(), bindings.alike.len()), (1, 2, 1));
        alice.hop.remote = "10.0.0.2:5060".parse().expect("an address");
        bindings.insert(&alice);
        let at = |remote| bindings.of_sender(&source(Transport::Udp, remote), None).len();
        assert_eq!((at("10.0.0.1:5060"), at("10.0.0.2:5060")), (0, 1), "another address");
        bindings.remove(BindingId(1));
        assert!(bindings.by_remote.is_empty() && bindings.by_impu.is_empty() && bindings.alike.is_empty());
    }

    /// Behind a NAT, phones differ by the port alone: one that names the contact of another is not taken for it.
    #[test]
    fn a_phone_behind_the_same_address_cannot_pose_as_its_neighbour() {
        let mut bindings = Bindings::default();
        let contact = |uri: &str| BoundContact {
            uri: uri.to_owned(),
            ends: Instant::from_micros(1),
            ends_wall: Wall::from_millis(1),
        };
        let behind_nat = vec![contact("sip:alice@192.168.0.2:5060")];
        let alice = binding(1, "203.0.113.1:40001", "sip:alice@home.net");
        bindings.insert(&Binding { contacts: behind_nat, ..alice });
        let own_host = binding(2, "203.0.113.2:5060", "sip:bob@home.net");
        bindings.insert(&own_host);
        let found = |transport, remote: &str, sent_by: &str| {
            let sent_by = Some(sent_by.parse().expect("an address"));
            bindings.of_sender(&source(transport, remote), sent_by).iter().map(|kept| kept.id().0).next()
        };
        assert_eq!(found(Transport::Udp, "203.0.113.1:40001", "192.168.0.2:5060"), Some(1));
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_eq!(found(transport, "203.0.113.1:40002", "192.168.0.2:5060"), None, "{transport}");
            assert_eq!(found(transport, "203.0.113.1:40002", "203.0.113.1:40001"), None, "{transport}");
        }
        assert_eq!(found(Transport::Udp, "203.0.113.2:5061", "203.0.113.2:5060"), None, "a datagram");
        assert_eq!(found(Transport::Tcp, "203.0.113.2:5061", "203.0.113.2:5060"), Some(2));
    }

    #[test]
    fn the_bindings_of_an_address_are_in_the_order_of_registration() {
        let mut bindings = Bindings::default();
        for id in [9, 4, 7] {
            bindings.insert(&binding(id, "10.0.0.1:5060", &format!("sip:u{id}@home.net")));
        }
        bindings.insert(&binding(9, "10.0.0.1:5060", "sip:u9@home.net"));
        let found = bindings.of_sender(&source(Transport::Udp, "10.0.0.1:5060"), None);
        assert_eq!(found.iter().map(|kept| kept.id().0).collect::<Vec<_>>(), [9, 4, 7]);
    }

    #[test]
    fn what_many_have_alike_is_kept_once() {
        let mut bindings = Bindings::default();
        for id in 1..=20 {
            bindings.insert(&binding(id, &format!("10.0.0.{id}:5060"), "sip:alice@home.net"));
        }
        assert_eq!(bindings.alike.len(), 1);
        let other = vec!["sip:orig@other;lr".to_owned()];
        let moved = binding(1, "10.0.0.1:5060", "sip:alice@home.net");
        bindings.insert(&Binding { service_route: other, ..moved });
        assert_eq!(bindings.alike.len(), 2);
        (2..=20).for_each(|id| drop(bindings.remove(BindingId(id))));
        assert_eq!(bindings.alike.len(), 1);
    }

    #[test]
    fn a_lost_flow_leaves_the_address() {
        let mut bindings = Bindings::default();
        let flow = Flow { shard: ShardId(0), slot: 3, generation: 1 };
        let alice = binding(1, "10.0.0.1:5060", "sip:alice@home.net");
        let hop = Hop { transport: Transport::Tcp, ..alice.hop };
        bindings.insert(&Binding { flow: Some(flow), hop, ..alice });
        let target = |bindings: &Bindings| bindings.get(BindingId(1)).and_then(Kept::target);
        assert!(matches!(target(&bindings), Some(Target::Flow(found, _)) if found == flow));
        bindings.flow_lost(Flow { generation: 2, ..flow });
        assert!(matches!(target(&bindings), Some(Target::Flow(..))), "another one in its place");
        bindings.flow_lost(flow);
        assert!(matches!(target(&bindings), Some(Target::Hop(_))));
    }

    #[test]
    fn a_removed_binding_leaves_no_trace() {
        let mut bindings = Bindings::default();
        bindings.insert(&binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        let flow = Some(Flow { shard: ShardId(0), slot: 3, generation: 1 });
        let moved = binding(1, "10.0.0.1:5062", "sip:alice@home.net");
        let hop = Hop { transport: Transport::Tcp, ..moved.hop };
        bindings.insert(&Binding { flow, hop, ..moved });
        assert_eq!(bindings.by_flow.len(), 1);
        let tel = Impu::parse(b"tel:+491").expect("a URI");
        assert_eq!(bindings.of_impu(&tel).count(), 1, "replaced, not doubled");
        assert!(bindings.remove(BindingId(1)).is_some());
        assert!(bindings.is_empty() && bindings.by_remote.is_empty());
        assert!(bindings.by_impu.is_empty() && bindings.by_flow.is_empty() && bindings.alike.is_empty());
        assert_eq!(bindings.remove(BindingId(1)), None);
    }
}
