//! The bindings of an implicit registration set: which contacts reach it, by which path, until when.
//!
//! The rules are RFC 3261 §10.3 and, for contacts with a `reg-id`, RFC 5626 §6. Contacts of one private identity never
//! touch those of another.

use ambient::Instant;
use cscf::Reject;
use cscf::identity::Impi;
use sip_core::Status;

/// One contact of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The URI as the UE wrote it.
    pub uri: Vec<u8>,
    /// The header parameters but `expires`, each with its leading semicolon, as the UE wrote them.
    pub params: Vec<u8>,
    /// The preference in thousandths; 1000 when the UE gave none.
    pub q: u16,
    /// The value of `+sip.instance`.
    pub instance: Option<Vec<u8>>,
    /// The value of `reg-id`; counts only with an instance (RFC 5626 §4.2).
    pub reg_id: Option<u32>,
    /// Seconds granted; zero removes.
    pub expires_s: u32,
}

/// What a REGISTER asks of the bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No Contact: tell what there is.
    Fetch,
    /// `Contact: *` with a zero expiry: remove all of this private identity's contacts.
    RemoveAll,
    /// Add, refresh or remove these.
    Update(Vec<Contact>),
}

/// One binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The private identity that registered it.
    pub impi: Impi,
    /// The contact; its `expires_s` is what was granted last.
    pub contact: Contact,
    /// The Path of its REGISTER in order, the entry nearest to us first (RFC 3327 §5.3).
    pub path: Vec<Vec<u8>>,
    /// Of the REGISTER that updated it last.
    pub call_id: Vec<u8>,
    /// Of the REGISTER that updated it last.
    pub cseq: u32,
    /// When it ends.
    pub expires_at: Instant,
}

/// The REGISTER that changes bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The private identity.
    pub impi: Impi,
    /// Call-ID.
    pub call_id: Vec<u8>,
    /// CSeq number.
    pub cseq: u32,
    /// Path in order.
    pub path: Vec<Vec<u8>>,
}

/// What happened to one contact; the words of RFC 3680.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Registered,
    /// It lives longer.
    Refreshed,
    /// The same UE registered another contact in its place.
    Deactivated,
    /// The UE removed it.
    Unregistered,
}

/// The contacts after a REGISTER, and what became of each that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// All bindings of the set, oldest first.
    pub bindings: Vec<Binding>,
    /// URI and change, in the order of the changes.
    pub changes: Vec<(Vec<u8>, Change)>,
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
    let mut updated = Updated { bindings: bindings.to_vec(), changes: Vec::new() };
    match wish {
        Wish::Fetch => {}
        Wish::RemoveAll => {
            let own = |binding: &Binding| binding.impi == origin.impi;
            if updated.bindings.iter().any(|binding| own(binding) && is_late(binding, origin)) {
                return Err(late());
            }
            updated.bindings.retain(|binding| {
                if own(binding) {
                    updated.changes.push((binding.contact.uri.clone(), Change::Unregistered));
                }
                !own(binding)
            });
        }
        Wish::Update(contacts) => {
            for contact in contacts {
                bind(&mut updated, origin, contact, now, &same_uri)?;
            }
            displace(&mut updated, origin, contacts, &same_uri);
        }
    }
    if updated.bindings.len() > bindings_max && updated.bindings.len() > bindings.len() {
        // TS 24.229 §5.4.1.2.2: more registration flows than this user may have.
        return Err(Reject::new(Status::FORBIDDEN, "too many contacts"));
    }
    Ok(updated)
}

/// Whether the set has a binding of `impi` to this contact.
pub fn is_known(
    bindings: &[Binding],
    impi: &Impi,
    contact: &Contact,
    same_uri: impl Fn(&[u8], &[u8]) -> bool,
) -> bool {
    bindings.iter().any(|binding| binding.impi == *impi && is_same(&binding.contact, contact, &same_uri))
}

/// Groups of bindings to try in turn, the most wanted first; within a group all at once (RFC 3261 §16.6).
pub fn by_preference(bindings: &[Binding]) -> Vec<Vec<&Binding>> {
    let mut sorted: Vec<&Binding> = bindings.iter().collect();
    // Stable: among equals the oldest stays first.
    sorted.sort_by_key(|binding| std::cmp::Reverse(binding.contact.q));
    let mut groups: Vec<Vec<&Binding>> = Vec::new();
    for binding in sorted {
        match groups.last_mut() {
            Some(group) if group[0].contact.q == binding.contact.q => {
                // Flows of one UE are alternatives, not branches (RFC 5626 §5.3); the latest is the likeliest.
                match group.iter_mut().find(|other| is_same_ue(other, binding)) {
                    Some(other) if other.expires_at < binding.expires_at => *other = binding,
                    Some(_) => {}
                    None => group.push(binding),
                }
            }
            _ => groups.push(vec![binding]),
        }
    }
    groups
}

fn is_same_ue(a: &Binding, b: &Binding) -> bool {
    a.contact.reg_id.is_some() && b.contact.reg_id.is_some() && a.contact.instance == b.contact.instance
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
        .position(|binding| binding.impi == origin.impi && is_same(&binding.contact, contact, same_uri));
    if at.is_some_and(|at| is_late(&updated.bindings[at], origin)) {
        return Err(late());
    }
    match (at, contact.expires_s) {
        (None, 0) => {}
        (Some(at), 0) => {
            let gone = updated.bindings.remove(at);
            updated.changes.push((gone.contact.uri, Change::Unregistered));
        }
        (at, expires_s) => {
            let binding = Binding {
                impi: origin.impi.clone(),
                contact: contact.clone(),
                path: origin.path.clone(),
                call_id: origin.call_id.clone(),
                cseq: origin.cseq,
                expires_at: now + std::time::Duration::from_secs(u64::from(expires_s)),
            };
            let change = match at {
                Some(at) => {
                    updated.bindings[at] = binding;
                    Change::Refreshed
                }
                None => {
                    updated.bindings.push(binding);
                    Change::Registered
                }
            };
            updated.changes.push((contact.uri.clone(), change));
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
    bindings.retain(|binding| {
        let old = &binding.contact;
        let stays = binding.impi != origin.impi
            || old.reg_id.is_some()
            || contacts.iter().any(|contact| is_same(old, contact, same_uri))
            || !contacts.iter().any(|contact| {
                contact.expires_s > 0 && contact.reg_id.is_none() && is_one_device(old, contact)
            });
        if !stays {
            changes.push((old.uri.clone(), Change::Deactivated));
        }
        stays
    });
}

fn is_one_device(a: &Contact, b: &Contact) -> bool {
    match (&a.instance, &b.instance) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// RFC 5626 §6: instance and reg-id name a binding where both are given; else the URI does.
fn is_same(a: &Contact, b: &Contact, same_uri: &impl Fn(&[u8], &[u8]) -> bool) -> bool {
    match (a.flow(), b.flow()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => same_uri(&a.uri, &b.uri),
        _ => false,
    }
}

impl Contact {
    /// Instance and reg-id, where both are given.
    pub fn flow(&self) -> Option<(&[u8], u32)> {
        Some((self.instance.as_deref()?, self.reg_id?))
    }
}

fn is_late(binding: &Binding, origin: &Origin) -> bool {
    binding.call_id == origin.call_id && origin.cseq <= binding.cseq
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
        Contact { uri: uri.into(), params: Vec::new(), q: 1000, instance: None, reg_id: None, expires_s: 600 }
    }

    fn device(uri: &str, instance: &str, reg_id: Option<u32>) -> Contact {
        Contact { instance: Some(instance.into()), reg_id, ..contact(uri) }
    }

    fn origin(impi: &str, call_id: &str, cseq: u32) -> Origin {
        Origin {
            impi: Impi::new(impi),
            call_id: call_id.into(),
            cseq,
            path: vec![b"<sip:p1;lr>".to_vec(), b"<sip:p2;lr>".to_vec()],
        }
    }

    fn apply(bindings: &[Binding], origin: &Origin, wish: Wish) -> Result<Updated, Reject> {
        update(bindings, origin, &wish, Instant::START, 4, |a, b| a == b)
    }

    fn uris(updated: &Updated) -> Vec<&str> {
        updated.bindings.iter().map(|binding| std::str::from_utf8(&binding.contact.uri).unwrap()).collect()
    }

    fn one(uri: &str) -> Vec<Binding> {
        apply(&[], &origin(IMPI, "c1", 1), Wish::Update(vec![contact(uri)])).unwrap().bindings
    }

    #[test]
    fn a_new_contact_is_bound_with_its_path_in_order() {
        let bound = one("sip:a@1");
        assert_eq!(bound[0].path, [b"<sip:p1;lr>".to_vec(), b"<sip:p2;lr>".to_vec()]);
        assert_eq!(bound[0].expires_at, Instant::START + Duration::from_secs(600));
    }

    #[test]
    fn a_known_contact_is_refreshed_and_a_zero_removes_it() {
        let bound = one("sip:a@1");
        let refreshed =
            apply(&bound, &origin(IMPI, "c1", 2), Wish::Update(vec![contact("sip:a@1")])).unwrap();
        assert_eq!(refreshed.changes, [(b"sip:a@1".to_vec(), Change::Refreshed)]);
        let zero = Contact { expires_s: 0, ..contact("sip:a@1") };
        let removed = apply(&refreshed.bindings, &origin(IMPI, "c1", 3), Wish::Update(vec![zero])).unwrap();
        assert!(removed.bindings.is_empty());
        assert_eq!(removed.changes, [(b"sip:a@1".to_vec(), Change::Unregistered)]);
    }

    #[test]
    fn an_older_register_of_the_same_call_changes_nothing() {
        let bound = one("sip:a@1");
        let zero = Contact { expires_s: 0, ..contact("sip:a@1") };
        let refusal = apply(&bound, &origin(IMPI, "c1", 1), Wish::Update(vec![zero.clone()])).unwrap_err();
        assert_eq!(refusal.status, Status::SERVER_INTERNAL_ERROR);
        assert!(apply(&bound, &origin(IMPI, "c1", 1), Wish::RemoveAll).is_err());
        assert!(apply(&bound, &origin(IMPI, "other", 1), Wish::Update(vec![zero])).is_ok());
    }

    #[test]
    fn another_address_of_the_same_ue_takes_the_place_of_the_first() {
        let moved =
            apply(&one("sip:a@1"), &origin(IMPI, "c2", 1), Wish::Update(vec![contact("sip:a@2")])).unwrap();
        assert_eq!(uris(&moved), ["sip:a@2"]);
        assert_eq!(
            moved.changes,
            [(b"sip:a@2".to_vec(), Change::Registered), (b"sip:a@1".to_vec(), Change::Deactivated)]
        );
    }

    #[test]
    fn contacts_of_one_request_of_two_devices_and_of_two_private_identities_stay_together() {
        let two = Wish::Update(vec![contact("sip:a@1"), contact("sip:a@2")]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), two).unwrap();
        assert_eq!(uris(&bound), ["sip:a@1", "sip:a@2"]);

        let phone = Wish::Update(vec![device("sip:a@1", "<urn:uuid:1>", None)]);
        let tablet = Wish::Update(vec![device("sip:a@2", "<urn:uuid:2>", None)]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), phone).unwrap();
        let bound = apply(&bound.bindings, &origin(IMPI, "c2", 1), tablet).unwrap();
        assert_eq!(uris(&bound), ["sip:a@1", "sip:a@2"]);

        let shared =
            apply(&one("sip:a@1"), &origin("bob@home1.net", "c2", 1), Wish::Update(vec![contact("sip:b@2")]));
        assert_eq!(uris(&shared.unwrap()), ["sip:a@1", "sip:b@2"]);
    }

    #[test]
    fn a_star_removes_the_contacts_of_its_own_private_identity_only() {
        let bound = one("sip:a@1");
        let both =
            apply(&bound, &origin("bob@home1.net", "c2", 1), Wish::Update(vec![contact("sip:b@2")])).unwrap();
        let left = apply(&both.bindings, &origin(IMPI, "c3", 1), Wish::RemoveAll).unwrap();
        assert_eq!(uris(&left), ["sip:b@2"]);
    }

    #[test]
    fn a_flow_is_named_by_instance_and_reg_id_whatever_its_address() {
        let flow = |uri, reg_id| Wish::Update(vec![device(uri, "<urn:uuid:1>", Some(reg_id))]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), flow("sip:a@1", 1)).unwrap();
        let bound = apply(&bound.bindings, &origin(IMPI, "c2", 1), flow("sip:a@2", 2)).unwrap();
        assert_eq!(uris(&bound), ["sip:a@1", "sip:a@2"]);
        let moved = apply(&bound.bindings, &origin(IMPI, "c3", 1), flow("sip:a@9", 1)).unwrap();
        assert_eq!(uris(&moved), ["sip:a@9", "sip:a@2"]);
    }

    #[test]
    fn more_contacts_than_allowed_are_refused_and_the_old_ones_stay() {
        let many = (0..5).map(|n| device(&format!("sip:a@{n}"), &format!("<urn:uuid:{n}>"), None)).collect();
        assert_eq!(
            apply(&[], &origin(IMPI, "c1", 1), Wish::Update(many)).unwrap_err().status,
            Status::FORBIDDEN
        );
    }

    #[test]
    fn the_most_wanted_group_comes_first_and_flows_of_one_ue_are_one_target() {
        let with_q = |uri: &str, q| Contact { q, ..contact(uri) };
        let wish = Wish::Update(vec![with_q("sip:a@1", 500), with_q("sip:a@2", 900), with_q("sip:a@3", 900)]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), wish).unwrap().bindings;
        let groups: Vec<Vec<&[u8]>> = by_preference(&bound)
            .into_iter()
            .map(|group| group.into_iter().map(|binding| &binding.contact.uri[..]).collect())
            .collect();
        assert_eq!(groups, [vec![&b"sip:a@2"[..], b"sip:a@3"], vec![b"sip:a@1"]]);

        let flows = Wish::Update(vec![
            device("sip:a@1", "<urn:uuid:1>", Some(1)),
            device("sip:a@2", "<urn:uuid:1>", Some(2)),
        ]);
        let bound = apply(&[], &origin(IMPI, "c1", 1), flows).unwrap().bindings;
        assert_eq!(by_preference(&bound).iter().map(Vec::len).collect::<Vec<_>>(), [1]);
    }
}
