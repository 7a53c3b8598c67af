//! The bindings of an implicit registration set: which contacts reach it, by which path, until when.
//!
//! The rules are RFC 3261 §10.3 and, for contacts with a `reg-id`, RFC 5626 §6. Contacts of one private identity never
//! touch those of another.

use super::path::{self, Path};
use ambient::Instant;
use cscf::identity::Impi;
use cscf::{Reject, emergency};
use sip_core::Status;
use smallvec::SmallVec;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// One contact of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The URI as the UE wrote it.
    pub uri: SmallVec<[u8; 64]>,
    /// The header parameters but `expires`, each with its leading semicolon, as the UE wrote them.
    pub params: SmallVec<[u8; 128]>,
    /// The preference in thousandths; 1000 when the UE gave none.
    pub q: u16,
    /// The value of `+sip.instance`; empty when there is none.
    pub instance: SmallVec<[u8; 64]>,
    /// The value of `reg-id`; counts only with an instance (RFC 5626 §4.2).
    pub reg_id: Option<NonZeroU32>,
    /// Whether it is for emergencies.
    pub is_emergency: bool,
    /// Seconds granted; zero removes.
    pub expires_s: u32,
}

/// What a REGISTER asks of the bindings.
#[expect(
    clippy::large_enum_variant,
    reason = "it lies in a boxed Register, and most are updates: boxing would cost an allocation per REGISTER"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No Contact: tell what there is.
    Fetch,
    /// `Contact: *` with a zero expiry: remove all of this private identity's contacts.
    RemoveAll,
    /// Add, refresh or remove these.
    Update(SmallVec<[Contact; 1]>),
}

/// One binding. Its texts lie in one piece of memory, which copies of it share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Private identity, URI, parameters, instance, Call-ID and Path, one behind the other.
    text: Arc<[u8]>,
    /// Where each but the last ends.
    ends: [u32; 5],
    /// The preference in thousandths.
    pub q: u16,
    /// Whether the UE may be helped by it and nothing else: its URI has `sos` (TS 24.229 §5.4.8.2).
    pub is_emergency: bool,
    /// CSeq of the first REGISTER by this Call-ID that was given a temporary GRUU: none, where its UE has asked for no GRUUs.
    pub gruus_since: Option<u32>,
    /// The value of `reg-id`.
    pub reg_id: Option<NonZeroU32>,
    /// Of the REGISTER that updated it last.
    pub cseq: u32,
    /// When it ends.
    pub expires_at: Instant,
}

/// The texts of a binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Texts<'a> {
    /// The private identity that registered it.
    pub impi: &'a [u8],
    /// The contact.
    pub uri: &'a [u8],
    /// Its header parameters.
    pub params: &'a [u8],
    /// The value of `+sip.instance`; empty when there is none.
    pub instance: &'a [u8],
    /// Of the REGISTER that updated it last.
    pub call_id: &'a [u8],
    /// The Path of its REGISTER, packed.
    pub path: &'a [u8],
}

impl Binding {
    /// A binding of these texts.
    pub fn new(
        texts: Texts<'_>,
        q: u16,
        reg_id: Option<NonZeroU32>,
        cseq: u32,
        expires_at: Instant,
    ) -> Binding {
        let Texts { impi, uri, params, instance, call_id, path } = texts;
        let (mut text, mut ends) = (SmallVec::<[u8; 512]>::new(), [0; 5]);
        for (part, end) in [impi, uri, params, instance, call_id].into_iter().zip(&mut ends) {
            text.extend_from_slice(part);
            *end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        }
        text.extend_from_slice(path);
        let is_emergency = emergency::is_contact(uri);
        Binding {
            text: Arc::from(&text[..]),
            ends,
            q,
            is_emergency,
            gruus_since: None,
            reg_id,
            cseq,
            expires_at,
        }
    }

    fn part(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.ends.get(number).map_or(self.text.len(), |end| *end as usize);
        let start = number.checked_sub(1).map_or(0, end);
        self.text.get(start..end(number)).unwrap_or_default()
    }

    /// Its texts.
    pub fn texts(&self) -> Texts<'_> {
        Texts {
            impi: self.part(0),
            uri: self.part(1),
            params: self.part(2),
            instance: self.part(3),
            call_id: self.part(4),
            path: self.part(5),
        }
    }

    /// The private identity that registered it.
    pub fn impi(&self) -> Impi {
        Impi::new(String::from_utf8_lossy(self.part(0)))
    }

    /// Whether this private identity registered it.
    pub fn is_of(&self, impi: &Impi) -> bool {
        self.part(0) == impi.as_str().as_bytes()
    }

    /// The contact.
    pub fn uri(&self) -> &[u8] {
        self.part(1)
    }

    /// The header parameters of the contact but `expires`, each with its leading semicolon, as the UE wrote them.
    pub fn params(&self) -> &[u8] {
        self.part(2)
    }

    /// The Path of its REGISTER in order, the entry nearest to us first.
    pub fn path(&self) -> impl Iterator<Item = &[u8]> {
        path::entries(self.part(5))
    }

    /// Whether both are the same contact of the same private identity, whenever each was updated.
    pub fn is_same(&self, other: &Binding, same_uri: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        self.part(0) == other.part(0) && is_same(self.key(), other.key(), &same_uri)
    }

    /// Instance and reg-id, where both are given.
    pub fn flow(&self) -> Option<(&[u8], u32)> {
        self.key().flow()
    }

    /// Whether its UE has asked for GRUUs.
    pub fn has_gruu(&self) -> bool {
        self.gruus_since.is_some()
    }

    fn key(&self) -> Key<'_> {
        let (uri, instance) = (self.part(1), self.part(3));
        Key { uri, instance, reg_id: self.reg_id, is_emergency: self.is_emergency }
    }
}

/// What tells one contact from another.
#[derive(Clone, Copy)]
struct Key<'a> {
    uri: &'a [u8],
    instance: &'a [u8],
    reg_id: Option<NonZeroU32>,
    is_emergency: bool,
}

impl<'a> Key<'a> {
    fn flow(self) -> Option<(&'a [u8], u32)> {
        let reg_id = self.reg_id.filter(|_| !self.instance.is_empty())?;
        Some((self.instance, reg_id.get()))
    }
}

/// The REGISTER that changes bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The private identity.
    pub impi: Impi,
    /// Call-ID.
    pub call_id: SmallVec<[u8; 64]>,
    /// CSeq number.
    pub cseq: u32,
    /// Whether its UE asks for GRUUs.
    pub wants_gruu: bool,
    /// Path in order.
    pub path: Path,
}

/// What happened to one contact; the words of RFC 3680.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Registered,
    /// It lives longer.
    Refreshed,
    /// It lives shorter: the network wants the UE to register again in time.
    Shortened,
    /// Nobody refreshed it.
    Expired,
    /// The network removed it and the UE may register again, or the same UE registered another contact in its place.
    Deactivated,
    /// The UE removed it.
    Unregistered,
    /// The network removed it, and the UE is not to register again.
    Rejected,
}

impl Change {
    /// Whether the contact is gone after it.
    pub fn is_end(self) -> bool {
        match self {
            Change::Registered | Change::Refreshed | Change::Shortened => false,
            Change::Expired | Change::Deactivated | Change::Unregistered | Change::Rejected => true,
        }
    }
}

/// The contacts after a REGISTER, and what became of each that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// All bindings of the set, oldest first.
    pub bindings: SmallVec<[Binding; 1]>,
    /// Binding and change, in the order of the changes.
    pub changes: SmallVec<[(Binding, Change); 2]>,
}

/// The bindings after `wish`; nothing changes when any part of it is refused (RFC 3261 §10.3 step 7).
///
/// `same_uri` is the comparison of RFC 3261 §19.1.4.
pub fn update(
    bindings: &[Binding],
    origin: &Origin,
    wish: &Wish,
    now: Instant,
    bindings_max: usize,
    same_uri: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<Updated, Reject> {
    // TS 24.229 §5.4.1.2.2: more registration flows than this user may have.
    let too_many = || Reject::new(Status::FORBIDDEN, "too many contacts");
    let mut updated = Updated { bindings: bindings.iter().cloned().collect(), changes: SmallVec::new() };
    match wish {
        Wish::Fetch => {}
        Wish::RemoveAll => {
            // TS 24.229 §5.4.8: an emergency registration ends by its time alone.
            let own = |binding: &Binding| binding.is_of(&origin.impi) && !binding.is_emergency;
            if updated.bindings.iter().any(|binding| own(binding) && is_late(binding, origin)) {
                return Err(late());
            }
            updated.bindings.retain(|binding| {
                if own(binding) {
                    updated.changes.push((binding.clone(), Change::Unregistered));
                }
                !own(binding)
            });
        }
        // Before each is compared with each.
        Wish::Update(contacts) if contacts.len() > bindings_max => return Err(too_many()),
        Wish::Update(contacts) => {
            for contact in contacts {
                bind(&mut updated, origin, contact, now, &same_uri)?;
            }
            displace(&mut updated, origin, contacts, &same_uri);
        }
    }
    // Help is not refused for the number of phones.
    let count = |bindings: &[Binding]| bindings.iter().filter(|binding| !binding.is_emergency).count();
    if count(&updated.bindings) > bindings_max && count(&updated.bindings) > count(bindings) {
        return Err(too_many());
    }
    if octets(&updated.bindings) > OCTETS_MAX && octets(&updated.bindings) > octets(bindings) {
        return Err(Reject::new(Status::MESSAGE_TOO_LARGE, "contacts too large together"));
    }
    Ok(updated)
}

/// What the contacts of one set may take up together: the 200 lists them all, and is one message.
const OCTETS_MAX: usize = 32 * 1024;

fn octets(bindings: &[Binding]) -> usize {
    bindings.iter().map(|binding| binding.text.len()).sum()
}

/// Whether the set has a binding of `impi` to this contact.
pub fn is_known(
    bindings: &[Binding],
    impi: &Impi,
    contact: &Contact,
    same_uri: impl Fn(&[u8], &[u8]) -> bool,
) -> bool {
    bindings.iter().any(|binding| binding.is_of(impi) && is_same(binding.key(), contact.key(), &same_uri))
}

/// How contacts are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The most wanted first, those of equal preference at once (RFC 3261 §16.6).
    ByPreference,
    /// One after the other (RFC 3841 §9.1).
    Sequential,
    /// All at once (RFC 3841 §9.1).
    Parallel,
}

/// Contacts, each with how well it fits what the caller prefers, in the order in which to try them: by what the user
/// prefers, then by what the caller does (RFC 3841 §7.2.4). Those of one `q` here are tried at once.
pub fn in_order<'b>(
    contacts: impl Iterator<Item = (&'b Binding, u16)>,
    order: Order,
) -> SmallVec<[Binding; 1]> {
    let mut sorted: SmallVec<[(&Binding, u16); 4]> = contacts.collect();
    // Stable: among equals the oldest stays first.
    sorted.sort_by_key(|(binding, score)| std::cmp::Reverse((binding.q, *score)));
    let mut wanted: SmallVec<[Binding; 1]> = SmallVec::new();
    let (mut rank, mut before) = (u16::MAX, None);
    for (binding, score) in sorted {
        let preference = (binding.q, score);
        if order != Order::Parallel && before.is_some_and(|before| before != preference) {
            rank = rank.saturating_sub(1);
        }
        before = Some(preference);
        let ranked = || Binding { q: rank, ..binding.clone() };
        // Flows of one UE are alternatives, not branches (RFC 5626 §5.3); the latest is the likeliest.
        match wanted.iter_mut().find(|other| other.q == rank && is_same_ue(other, binding)) {
            Some(other) if other.expires_at < binding.expires_at => *other = ranked(),
            Some(_) => {}
            None => {
                wanted.push(ranked());
                if order == Order::Sequential {
                    before = Some((u16::MAX, u16::MAX));
                }
            }
        }
    }
    wanted
}

/// Takes the bindings that are tried next off the front of what [`in_order`] gave.
pub fn next_group(wanted: &mut SmallVec<[Binding; 1]>) -> SmallVec<[Binding; 1]> {
    let Some(q) = wanted.first().map(|binding| binding.q) else { return SmallVec::new() };
    let end = wanted.iter().position(|binding| binding.q != q).unwrap_or(wanted.len());
    wanted.drain(..end).collect()
}

/// Whether both are flows of one UE.
pub fn is_same_ue(a: &Binding, b: &Binding) -> bool {
    a.part(0) == b.part(0) && a.reg_id.is_some() && b.reg_id.is_some() && a.part(3) == b.part(3)
}

fn bind(
    updated: &mut Updated,
    origin: &Origin,
    contact: &Contact,
    now: Instant,
    same_uri: &impl Fn(&[u8], &[u8]) -> bool,
) -> Result<(), Reject> {
    let at = updated
        .bindings
        .iter()
        .position(|binding| binding.is_of(&origin.impi) && is_same(binding.key(), contact.key(), same_uri));
    if at.is_some_and(|at| is_late(&updated.bindings[at], origin)) {
        return Err(late());
    }
    match (at, contact.expires_s) {
        (None, 0) => {}
        (Some(at), 0) => {
            let gone = updated.bindings.remove(at);
            updated.changes.push((gone, Change::Unregistered));
        }
        (at, expires_s) => {
            let texts = Texts {
                impi: origin.impi.as_str().as_bytes(),
                uri: &contact.uri,
                params: &contact.params,
                instance: &contact.instance,
                call_id: &origin.call_id,
                path: origin.path.packed(),
            };
            let expires_at = now + Duration::from_secs(u64::from(expires_s));
            let mut binding = Binding::new(texts, contact.q, contact.reg_id, origin.cseq, expires_at);
            if origin.wants_gruu && !contact.instance.is_empty() && !contact.is_emergency {
                // RFC 5627 §3.2: those of another Call-ID hold no longer.
                let before = at.map(|at| &updated.bindings[at]);
                let before = before.filter(|before| before.texts().call_id == &origin.call_id[..]);
                let since = before.and_then(|before| before.gruus_since);
                binding.gruus_since = Some(since.unwrap_or(origin.cseq));
            }
            let change = match at {
                Some(at) => {
                    updated.bindings[at] = binding.clone();
                    Change::Refreshed
                }
                None => {
                    updated.bindings.push(binding.clone());
                    Change::Registered
                }
            };
            updated.changes.push((binding, change));
        }
    }
    Ok(())
}

/// Removes the contacts that a UE without RFC 5626 left behind: a new address takes the place of its old one
/// (TS 24.229 §5.4.1.2.2). Two instance ids are two devices, and both stay.
fn displace(
    updated: &mut Updated,
    origin: &Origin,
    contacts: &[Contact],
    same_uri: &impl Fn(&[u8], &[u8]) -> bool,
) {
    let Updated { bindings, changes } = updated;
    let is_emergency = contacts.iter().any(|contact| contact.is_emergency);
    bindings.retain(|binding| {
        let old = binding.key();
        let stays = !binding.is_of(&origin.impi)
            || binding.is_emergency != is_emergency
            || old.reg_id.is_some()
            || contacts.iter().any(|contact| is_same(old, contact.key(), same_uri))
            || !contacts.iter().any(|contact| {
                contact.expires_s > 0 && contact.reg_id.is_none() && is_one_device(old, contact.key())
            });
        if !stays {
            changes.push((binding.clone(), Change::Deactivated));
        }
        stays
    });
}

fn is_one_device(a: Key<'_>, b: Key<'_>) -> bool {
    a.instance.is_empty() || b.instance.is_empty() || a.instance == b.instance
}

/// RFC 5626 §6: instance and reg-id name a binding where both are given; else the URI does.
///
/// A contact for emergencies is another than the same one without `sos`, which RFC 3261 §19.1.4 holds for equal
/// (TS 24.229 §7.2A.13).
fn is_same(a: Key<'_>, b: Key<'_>, same_uri: &impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let is_one_contact = match (a.flow(), b.flow()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => same_uri(a.uri, b.uri),
        _ => false,
    };
    a.is_emergency == b.is_emergency && is_one_contact
}

impl Contact {
    /// Instance and reg-id, where both are given.
    pub fn flow(&self) -> Option<(&[u8], u32)> {
        self.key().flow()
    }

    fn key(&self) -> Key<'_> {
        let is_emergency = self.is_emergency;
        Key { uri: &self.uri, instance: &self.instance, reg_id: self.reg_id, is_emergency }
    }
}

fn is_late(binding: &Binding, origin: &Origin) -> bool {
    binding.part(4) == &origin.call_id[..] && origin.cseq <= binding.cseq
}

/// RFC 3261 §10.3 step 7: a REGISTER that was overtaken by a later one of its Call-ID.
fn late() -> Reject {
    Reject::new(Status::SERVER_INTERNAL_ERROR, "overtaken by a later register")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const IMPI: &str = "alice@home1.net";

    fn contact(uri: &str) -> Contact {
        Contact {
            uri: uri.as_bytes().into(),
            params: SmallVec::new(),
            q: 1000,
            instance: SmallVec::new(),
            reg_id: None,
            is_emergency: emergency::is_contact(uri.as_bytes()),
            expires_s: 600,
        }
    }

    fn device(uri: &str, instance: &str, reg_id: Option<u32>) -> Contact {
        let reg_id = reg_id.and_then(NonZeroU32::new);
        Contact { instance: instance.as_bytes().into(), reg_id, ..contact(uri) }
    }

    fn origin(impi: &str, call_id: &str, cseq: u32) -> Origin {
        let mut path = Path::default();
        assert!(path.push(b"<sip:p1;lr>") && path.push(b"<sip:p2;lr>"));
        Origin { impi: Impi::new(impi), call_id: call_id.as_bytes().into(), cseq, wants_gruu: false, path }
    }

    fn apply(bindings: &[Binding], origin: &Origin, wish: Wish) -> Result<Updated, Reject> {
        update(bindings, origin, &wish, Instant::START, 4, |a, b| a == b)
    }

    fn uris(updated: &Updated) -> Vec<&str> {
        updated.bindings.iter().map(|binding| std::str::from_utf8(binding.uri()).unwrap()).collect()
    }

    fn changes(updated: &Updated) -> Vec<(&str, Change)> {
        let text = |binding| std::str::from_utf8(Binding::uri(binding)).unwrap();
        updated.changes.iter().map(|(binding, change)| (text(binding), *change)).collect()
    }

    fn wish(contacts: Vec<Contact>) -> Wish {
        Wish::Update(contacts.into())
    }

    fn one(uri: &str) -> SmallVec<[Binding; 1]> {
        apply(&[], &origin(IMPI, "c1", 1), wish(vec![contact(uri)])).unwrap().bindings
    }

    #[test]
    fn a_new_contact_is_bound_with_its_path_in_order() {
        let bound = one("sip:a@1");
        assert_eq!(bound[0].path().collect::<Vec<_>>(), [b"<sip:p1;lr>", b"<sip:p2;lr>"]);
        assert_eq!((bound[0].impi(), bound[0].params()), (Impi::new(IMPI), &b""[..]));
        assert_eq!(bound[0].expires_at, Instant::START + Duration::from_secs(600));
    }

    #[test]
    fn a_known_contact_is_refreshed_and_a_zero_removes_it() {
        let bound = one("sip:a@1");
        let refreshed = apply(&bound, &origin(IMPI, "c1", 2), wish(vec![contact("sip:a@1")])).unwrap();
        assert_eq!(changes(&refreshed), [("sip:a@1", Change::Refreshed)]);
        let zero = Contact { expires_s: 0, ..contact("sip:a@1") };
        let removed = apply(&refreshed.bindings, &origin(IMPI, "c1", 3), wish(vec![zero])).unwrap();
        assert!(removed.bindings.is_empty());
        assert_eq!(changes(&removed), [("sip:a@1", Change::Unregistered)]);
    }

    #[test]
    fn an_older_register_of_the_same_call_changes_nothing() {
        let bound = one("sip:a@1");
        let zero = Contact { expires_s: 0, ..contact("sip:a@1") };
        let refusal = apply(&bound, &origin(IMPI, "c1", 1), wish(vec![zero.clone()])).unwrap_err();
        assert_eq!(refusal.status, Status::SERVER_INTERNAL_ERROR);
        assert!(apply(&bound, &origin(IMPI, "c1", 1), Wish::RemoveAll).is_err());
        assert!(apply(&bound, &origin(IMPI, "other", 1), wish(vec![zero])).is_ok());
    }

    #[test]
    fn another_address_of_the_same_ue_takes_the_place_of_the_first() {
        let moved = apply(&one("sip:a@1"), &origin(IMPI, "c2", 1), wish(vec![contact("sip:a@2")])).unwrap();
        assert_eq!(uris(&moved), ["sip:a@2"]);
        assert_eq!(changes(&moved), [("sip:a@2", Change::Registered), ("sip:a@1", Change::Deactivated)]);
    }

    #[test]
    fn contacts_of_one_request_of_two_devices_and_of_two_private_identities_stay_together() {
        let two = wish(vec![contact("sip:a@1"), contact("sip:a@2")]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), two).unwrap();
        assert_eq!(uris(&bound), ["sip:a@1", "sip:a@2"]);

        let phone = wish(vec![device("sip:a@1", "<urn:uuid:1>", None)]);
        let tablet = wish(vec![device("sip:a@2", "<urn:uuid:2>", None)]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), phone).unwrap();
        let bound = apply(&bound.bindings, &origin(IMPI, "c2", 1), tablet).unwrap();
        assert_eq!(uris(&bound), ["sip:a@1", "sip:a@2"]);

        let shared =
            apply(&one("sip:a@1"), &origin("bob@home1.net", "c2", 1), wish(vec![contact("sip:b@2")]));
        assert_eq!(uris(&shared.unwrap()), ["sip:a@1", "sip:b@2"]);
    }

    #[test]
    fn a_star_removes_the_contacts_of_its_own_private_identity_only() {
        let bound = one("sip:a@1");
        let both = apply(&bound, &origin("bob@home1.net", "c2", 1), wish(vec![contact("sip:b@2")])).unwrap();
        let left = apply(&both.bindings, &origin(IMPI, "c3", 1), Wish::RemoveAll).unwrap();
        assert_eq!(uris(&left), ["sip:b@2"]);
    }

    #[test]
    fn a_flow_is_named_by_instance_and_reg_id_whatever_its_address() {
        let flow = |uri, reg_id| wish(vec![device(uri, "<urn:uuid:1>", Some(reg_id))]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), flow("sip:a@1", 1)).unwrap();
        let bound = apply(&bound.bindings, &origin(IMPI, "c2", 1), flow("sip:a@2", 2)).unwrap();
        assert_eq!(uris(&bound), ["sip:a@1", "sip:a@2"]);
        let moved = apply(&bound.bindings, &origin(IMPI, "c3", 1), flow("sip:a@9", 1)).unwrap();
        assert_eq!(uris(&moved), ["sip:a@9", "sip:a@2"]);
    }

    #[test]
    fn more_contacts_than_allowed_are_refused_and_the_old_ones_stay() {
        let many = (0..5).map(|n| device(&format!("sip:a@{n}"), &format!("<urn:uuid:{n}>"), None)).collect();
        assert_eq!(apply(&[], &origin(IMPI, "c1", 1), wish(many)).unwrap_err().status, Status::FORBIDDEN);
    }

    /// The 200 lists every contact of the set, so that they must fit into one message together.
    #[test]
    fn contacts_that_are_too_large_together_are_refused_and_the_old_ones_stay() {
        let long = |n: usize| Contact {
            params: vec![b'x'; 15_000].into(),
            ..device(&format!("sip:a@{n}"), &format!("<{n}>"), None)
        };
        let bound = apply(&[], &origin(IMPI, "c1", 1), wish(vec![long(1), long(2)])).unwrap().bindings;
        let refusal = apply(&bound, &origin(IMPI, "c2", 1), wish(vec![long(3)])).unwrap_err();
        assert_eq!(refusal.status, Status::MESSAGE_TOO_LARGE);
        assert!(apply(&bound, &origin(IMPI, "c1", 2), wish(vec![long(1)])).is_ok(), "a refresh");
    }

    #[test]
    fn the_most_wanted_group_comes_first_and_flows_of_one_ue_are_one_target() {
        let with_q = |uri: &str, q| Contact { q, ..contact(uri) };
        let wished = wish(vec![with_q("sip:a@1", 500), with_q("sip:a@2", 900), with_q("sip:a@3", 900)]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), wished).unwrap().bindings;
        let mut wanted = in_order(bound.iter().map(|binding| (binding, 1000)), Order::ByPreference);
        for expected in [&["sip:a@2", "sip:a@3"][..], &["sip:a@1"], &[]] {
            let group = next_group(&mut wanted);
            assert!(
                group.iter().map(Binding::uri).eq(expected.iter().map(|uri| uri.as_bytes())),
                "{group:?}"
            );
        }

        let flows = wish(vec![
            device("sip:a@1", "<urn:uuid:1>", Some(1)),
            device("sip:a@2", "<urn:uuid:1>", Some(2)),
        ]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), flows).unwrap().bindings;
        assert_eq!(in_order(bound.iter().map(|binding| (binding, 1000)), Order::ByPreference).len(), 1);
    }
}
