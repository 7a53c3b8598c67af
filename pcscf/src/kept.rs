//! A binding as the table keeps it: what differs from UE to UE in one block, what many have alike shared.
//!
//! There are many of them, and each is read far more often than it is written: a block costs one allocation, and no
//! text in it has slack.

use crate::binding::{Binding, BindingId, BoundContact, contact_address};
use crate::written::Written;
use ambient::{Instant, TimerId, Wall};
use cscf::{Flow, Hop, Source, Target, Transport, emergency};
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// What the bindings of many UEs have alike.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alike {
    /// How the UEs registered.
    pub transport: Transport,
    /// Whether they are reached through security associations.
    pub is_protected: bool,
    /// Our end.
    pub local: SocketAddr,
    /// Service-Route: where requests of the UEs go, in order.
    pub service_route: Vec<String>,
    /// The domain of their identities; empty where these name none.
    pub domain: String,
}

/// A binding in the table.
#[derive(Debug)]
pub struct Kept {
    id: BindingId,
    /// Counts the registrations, so that the bindings of one address have an order.
    pub(crate) since: u32,
    pub(crate) flow: Option<Flow>,
    pub(crate) timer: Option<TimerId>,
    alike: Arc<Alike>,
    /// The remote address, the identities, the public identity of the To, the contacts; see [`Kept::new`].
    block: Box<[u8]>,
}

/// A contact where it is read: in the table, or in a registrar's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptContact<'b> {
    /// The Contact URI as the UE wrote it.
    pub uri: &'b str,
    /// When it ends, on the clock that timers run on.
    pub ends: Instant,
    /// When it ends, for the store.
    pub ends_wall: Wall,
}

impl From<KeptContact<'_>> for BoundContact {
    fn from(contact: KeptContact<'_>) -> BoundContact {
        BoundContact { uri: contact.uri.to_owned(), ends: contact.ends, ends_wall: contact.ends_wall }
    }
}

impl Alike {
    /// What a binding has alike with others.
    pub fn new(binding: &Binding) -> Alike {
        Alike {
            transport: binding.hop.transport,
            is_protected: binding.is_protected,
            local: binding.local,
            service_route: binding.service_route.clone(),
            domain: binding.aor.host().unwrap_or_default().to_owned(),
        }
    }

    /// Whether a binding has this alike with others.
    pub fn is_of(&self, binding: &Binding) -> bool {
        self.domain == binding.aor.host().unwrap_or_default()
            && self.transport == binding.hop.transport
            && self.is_protected == binding.is_protected
            && self.local == binding.local
            && self.service_route == binding.service_route
    }
}

/// A block in the making.
type Slack = SmallVec<[u8; 512]>;

impl Kept {
    /// Packs a binding; `alike` is what it has alike with others.
    pub fn new(binding: &Binding, alike: Arc<Alike>, since: u32) -> Kept {
        let mut block = Slack::new();
        match binding.hop.remote.ip() {
            IpAddr::V4(ip) => {
                block.push(4);
                block.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                block.push(6);
                block.extend_from_slice(&ip.octets());
            }
        }
        block.extend_from_slice(&binding.hop.remote.port().to_be_bytes());
        put_number(binding.identities.len() as u64, &mut block);
        for identity in &binding.identities {
            put_identity(Written::cut(identity, &alike.domain), &mut block);
        }
        // The public identity of the To is nearly always one of the set, letter by letter: then it is empty here.
        let is_listed = binding.identities.first().is_some_and(|first| first == binding.aor.as_str());
        let aor = if is_listed { "" } else { binding.aor.as_str() };
        put_identity(Written::cut(aor, &alike.domain), &mut block);
        put_number(binding.contacts.len() as u64, &mut block);
        for contact in &binding.contacts {
            put_text(&contact.uri, &mut block);
            put_number(contact.ends.as_micros(), &mut block);
            put_number(contact.ends_wall.as_millis(), &mut block);
        }
        let block = Box::from(block.as_slice());
        Kept { id: binding.id, since, flow: binding.flow, timer: binding.timer, alike, block }
    }

    /// The binding by itself.
    pub fn unpacked(&self) -> Option<Binding> {
        Some(Binding {
            id: self.id,
            aor: self.aor().impu()?,
            hop: self.hop(),
            is_protected: self.is_protected(),
            local: self.alike.local,
            flow: self.flow,
            identities: self.identities().map(|identity| identity.to_string()).collect(),
            service_route: self.alike.service_route.clone(),
            contacts: self.contacts().map(BoundContact::from).collect(),
            timer: self.timer,
        })
    }

    /// Its name.
    pub fn id(&self) -> BindingId {
        self.id
    }

    /// Where the REGISTER came from.
    pub fn hop(&self) -> Hop {
        Hop {
            transport: self.alike.transport,
            remote: Reader(&self.block).address().unwrap_or(self.alike.local),
        }
    }

    /// Whether the UE is reached through security associations, and in no other way.
    pub fn is_protected(&self) -> bool {
        self.alike.is_protected
    }

    /// Whether it is for emergencies alone (TS 24.229 §5.2.10).
    pub fn is_emergency(&self) -> bool {
        self.contacts().any(|contact| emergency::is_contact(contact.uri.as_bytes()))
    }

    /// The domain of its identities; empty where these name none.
    pub fn domain(&self) -> &str {
        &self.alike.domain
    }

    /// Our end of it.
    pub fn local(&self) -> SocketAddr {
        self.alike.local
    }

    /// The flow that it came by; `None` after a restart or a lost connection.
    pub fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// Where requests of the UE go, in order.
    pub fn service_route(&self) -> &[String] {
        &self.alike.service_route
    }

    /// What it has alike with others.
    pub(crate) fn alike(&self) -> &Arc<Alike> {
        &self.alike
    }

    /// P-Associated-URI: what the UE may assert, the default first.
    pub fn identities(&self) -> impl Iterator<Item = Written<'_>> {
        let mut reader = self.reader_of_identities();
        let count = reader.number().unwrap_or(0);
        (0..count).map_while(move |_| reader.identity(&self.alike.domain))
    }

    /// The public identity of the To that registered, in canonical form.
    pub fn aor(&self) -> Written<'_> {
        let nobody = Written::new("", "");
        match self.reader_of_aor().identity(&self.alike.domain) {
            Some(aor) if aor != nobody => aor,
            _ => self.identities().next().unwrap_or(nobody),
        }
    }

    /// The contacts; never empty while the binding is in the table.
    pub fn contacts(&self) -> impl Iterator<Item = KeptContact<'_>> {
        let mut reader = self.reader_of_aor();
        reader.identity("");
        let count = reader.number().unwrap_or(0);
        (0..count).map_while(move |_| {
            Some(KeptContact {
                uri: reader.text()?,
                ends: Instant::from_micros(reader.number()?),
                ends_wall: Wall::from_millis(reader.number()?),
            })
        })
    }

    /// Where requests to the UE go, that is not reached through associations; `None` when its TLS connection is gone,
    /// which the UE alone can open.
    pub fn target(&self) -> Option<Target> {
        match self.flow {
            Some(flow) => Some(Target::Flow(flow, self.hop())),
            None if self.alike.transport == Transport::Tls => None,
            None => Some(Target::Hop(self.hop())),
        }
    }

    /// Whether a message came from the registered address: through an association where that is protected, by either
    /// transport then; of a UE that registered by TLS, over that very connection (TS 33.203 Annex O).
    pub fn is_at(&self, source: &Source) -> bool {
        let is_same_way = match self.is_protected() {
            true => source.secured.is_some(),
            false => source.secured.is_none() && self.alike.transport == source.transport,
        };
        let is_same_session = self.alike.transport != Transport::Tls || self.flow == Some(source.flow);
        is_same_way && is_same_session && self.hop().remote == source.remote
    }

    /// Whether a message came from this UE: from the registered address or, by another connection, from the same host
    /// with the Via of a registered contact (RFC 3261 §18.1.1). `sent_by` is the numeric sent-by of the top Via.
    ///
    /// The second is believed of a host that has its address for itself, and by a connection, whose address cannot be
    /// forged: behind a NAT one phone could name the contact of another.
    pub fn is_sender(&self, source: &Source, sent_by: Option<SocketAddr>) -> bool {
        let is_own_host = |sent_by: &SocketAddr| {
            source.transport == Transport::Tcp
                && source.secured.is_none()
                && !self.is_protected()
                && self.alike.transport != Transport::Tls
                && sent_by.ip() == source.remote.ip()
                && self.hop().remote.ip() == source.remote.ip()
        };
        self.is_at(source)
            || sent_by.filter(is_own_host).is_some_and(|sent_by| {
                self.contacts().any(|contact| contact_address(contact.uri) == Some(sent_by))
            })
    }

    fn reader_of_identities(&self) -> Reader<'_> {
        let mut reader = Reader(&self.block);
        reader.address();
        reader
    }

    fn reader_of_aor(&self) -> Reader<'_> {
        let mut reader = self.reader_of_identities();
        for _ in 0..reader.number().unwrap_or(0) {
            reader.identity("");
        }
        reader
    }
}

/// Reads a block from its start.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let ip = match self.take(1)? {
            [4] => IpAddr::V4(Ipv4Addr::from_octets(self.take(4)?.try_into().ok()?)),
            _ => IpAddr::V6(Ipv6Addr::from_octets(self.take(16)?.try_into().ok()?)),
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(self.take(2)?.try_into().ok()?)))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        loop {
            let byte = *self.take(1)?.first()?;
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    }

    fn text(&mut self) -> Option<&'b str> {
        let len = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    /// An identity of those that may be at `domain`.
    fn identity(&mut self, domain: &'b str) -> Option<Written<'b>> {
        let number = self.number()?;
        let own = std::str::from_utf8(self.take(usize::try_from(number >> 1).ok()?)?).ok()?;
        Some(Written::new(own, if number & 1 == 1 { domain } else { "" }))
    }
}

/// A number in as few bytes as it needs, seven bits in each, the highest first.
fn put_number(number: u64, block: &mut Slack) {
    let groups = (64 - number.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let more = if group == 0 { 0 } else { 0x80 };
        block.push(more | (number >> (7 * group)) as u8 & 0x7f);
    }
}

fn put_text(text: &str, block: &mut Slack) {
    put_number(text.len() as u64, block);
    block.extend_from_slice(text.as_bytes());
}

/// Its own text, and in the lowest bit of its length whether the domain comes behind it.
fn put_identity(identity: Written<'_>, block: &mut Slack) {
    let (own, is_at_domain) = identity.parts();
    put_number((own.len() as u64) << 1 | u64::from(is_at_domain), block);
    block.extend_from_slice(own.as_bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::binding::tests::binding;

    pub(crate) fn kept(binding: &Binding) -> Kept {
        Kept::new(binding, Arc::new(Alike::new(binding)), 0)
    }

    #[test]
    fn a_binding_comes_back_as_it_was_kept() {
        let flow = Some(Flow { shard: cscf::ShardId(3), slot: 70_000, generation: 9 });
        let plain = binding(7, "[2001:db8::1]:5060", "sip:alice@home.net");
        let elsewhere = Binding { flow, ..binding(8, "10.0.0.1:65535", "sip:work@home.net") };
        let mut unlisted = elsewhere.clone();
        unlisted.identities = vec!["tel:+491".to_owned()];
        let mut alone = elsewhere.clone();
        alone.identities.clear();
        let mut busy = plain.clone();
        for at in 0..200_u64 {
            let ends = Instant::from_micros(u64::MAX >> (at % 64));
            let uri = format!("sip:{}@10.0.0.1", "x".repeat(at as usize));
            busy.contacts.push(BoundContact { uri, ends, ends_wall: Wall::from_millis(1 << (at % 64)) });
        }
        for binding in [plain, elsewhere, unlisted, alone, busy] {
            assert_eq!(kept(&binding).unpacked(), Some(binding));
        }
    }

    #[test]
    fn an_identity_is_not_kept_twice_and_its_domain_with_the_others() {
        let listed = binding(1, "10.0.0.1:5060", "sip:alice@home.net");
        let text = String::from_utf8_lossy(&kept(&listed).block).into_owned();
        assert_eq!((text.matches("sip:alice").count(), text.matches("home.net").count()), (1, 0));
        assert!(kept(&listed).aor().is(b"sip:alice@home.net"));
    }
}
