//! What an S-CSCF leaves with the HSS of a registration, and what can be made of it again after its memory is lost
//! (TS 23.380 §4, TS 29.229 §6.3.46 to §6.3.52). Pure.
//!
//! Registration-Time-Out is one moment for all contacts of a private identity: that of the contact that lasts longest. How
//! much sooner another one ends, the `expires` of the Contact values says, which are all of one moment.

use super::binding::{Binding, Contact, Texts};
use super::expiry::Bounds;
use super::path::Path;
use super::register::{Outbound, PATH_OCTETS_MAX, read_contact};
use ambient::entropy::KeyedState;
use ambient::{Instant, Now, Wall};
use cscf::identity::Impi;
use diameter_client::cx::{RestorationInfo, ScscfRestorationInfo, SubscriptionInfo};
use sip_core::dialog::{Dialog, DialogParts};
use sip_core::{Name, NameAddr, Uri, grammar};
use smallvec::SmallVec;
use std::hash::BuildHasher;
use std::time::Duration;

/// What the HSS has been told of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of the texts of its contacts.
    texts: u64,
    /// When the last of them ends.
    until: Instant,
}

/// A subscription to a registration whose dialog is left with the HSS.
#[derive(Clone, Debug)]
pub struct Watched<'a> {
    /// Its dialog.
    pub dialog: &'a Dialog,
    /// Who has it.
    pub watcher: Watcher,
}

/// Who has a subscription, as far as the HSS keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watcher {
    /// The user, by a UE.
    User,
    /// A proxy of the Path.
    Proxy,
    /// Somebody whose subscription the HSS does not keep: an application server.
    Server,
}

/// A registration of one private identity, made of what the HSS has kept.
#[derive(Debug)]
pub struct Restored {
    /// Its contacts that have not run out.
    pub bindings: SmallVec<[Binding; 1]>,
    /// The subscriptions to it, as notifier.
    pub subscriptions: Vec<(Dialog, Watcher)>,
    /// When it was left; `None` where that cannot be known.
    pub written: Option<Wall>,
}

/// What is left with the HSS for a private identity; `None` when it has no contact.
pub fn of(
    impi: &Impi,
    bindings: &[Binding],
    watched: &[Watched<'_>],
    now: Now,
) -> Option<ScscfRestorationInfo> {
    // A contact for emergencies ends by its own time alone, and is nobody's to restore.
    let own = || bindings.iter().filter(|binding| binding.is_of(impi) && !binding.is_emergency);
    let last = own().map(|binding| binding.expires_at).max()?;
    let latest = now.wall + last.since(now.instant);
    Some(ScscfRestorationInfo {
        user_name: impi.as_str().to_owned(),
        registrations: own().map(|binding| one(binding, watched, now)).collect(),
        registration_time_out: u32::try_from((latest.as_millis().div_ceil(1000) + UNIX_EPOCH_S) & NTP_MASK)
            .ok(),
        scheme: None,
    })
}

fn one(binding: &Binding, watched: &[Watched<'_>], now: Now) -> RestorationInfo {
    let texts = binding.texts();
    let left_s = binding.expires_at.since(now.instant).as_micros().div_ceil(1_000_000);
    let of = |watcher: Watcher| {
        let found = watched.iter().filter(|watched| watched.watcher == watcher);
        found.map(|watched| watched.dialog).find(|dialog| is_at(watcher, dialog, binding)).map(subscription)
    };
    RestorationInfo {
        path: binding.path().collect::<Vec<_>>().join(&b", "[..]),
        contact: [b"<", texts.uri, b">", texts.params, format!(";expires={left_s}").as_bytes()].concat(),
        initial_cseq: Some(binding.cseq),
        call_id: Some(texts.call_id.to_vec()),
        subscription: of(Watcher::User),
        pcscf_subscription: of(Watcher::Proxy),
    }
}

/// Whether a subscription is the one of the UE of a contact, or of its P-CSCF.
pub fn is_at(watcher: Watcher, dialog: &Dialog, binding: &Binding) -> bool {
    let target = dialog.remote_target();
    match watcher {
        Watcher::User => super::same_host(binding.uri(), target),
        Watcher::Proxy => binding.path().any(|entry| {
            NameAddr::parse(Name::Path, entry).is_ok_and(|entry| {
                // A P-CSCF may have many bindings: it tells them apart by the user part, as its Contact does.
                super::same_host(entry.uri(), target)
                    && user(target).is_none_or(|own| user(entry.uri()).is_none_or(|other| own == other))
            })
        }),
        Watcher::Server => false,
    }
}

fn user(uri: &[u8]) -> Option<Vec<u8>> {
    Uri::parse(uri).ok()?.sip()?.user.map(<[u8]>::to_vec)
}

fn subscription(dialog: &Dialog) -> SubscriptionInfo {
    let parts = dialog.parts();
    SubscriptionInfo {
        call_id: parts.call_id.to_vec(),
        // As in its SUBSCRIBE: From is the subscriber.
        from: parts.remote.to_vec(),
        to: parts.local.to_vec(),
        record_route: parts.route_set.join(&b", "[..]),
        contact: [b"<", parts.remote_target, b">"].concat(),
    }
}

impl Told {
    /// What is told when this is told whole.
    pub fn of(bindings: &[Binding]) -> Option<Told> {
        let ordinary = || bindings.iter().filter(|binding| !binding.is_emergency);
        let until = ordinary().map(|binding| binding.expires_at).max()?;
        let hasher = KeyedState::from_key((0x746f_6c64_0000_0000, 0));
        let texts = ordinary().fold(0_u64, |all, binding| {
            let Texts { impi, uri, params, call_id, path, .. } = binding.texts();
            all.wrapping_add(hasher.hash_one((impi, uri, params, call_id, path)))
        });
        Some(Told { texts, until })
    }

    /// Whether it says enough of these contacts: the same, for nearly as long. What an eighth of their time is missing of
    /// is not worth a request.
    pub fn holds_for(self, bindings: &[Binding], now: Instant) -> bool {
        Told::of(bindings).is_none_or(|wanted| {
            self.texts == wanted.texts && wanted.until.since(self.until) <= wanted.until.since(now) / 8
        })
    }
}

/// Makes a registration of what the HSS has kept, at most `contacts_max` contacts of it; those whose time is not known last
/// for `lasts`.
pub fn restored(info: &ScscfRestorationInfo, contacts_max: usize, lasts: Duration, now: Now) -> Restored {
    let time_out = info.registration_time_out.map(|seconds| of_ntp(seconds, now.wall));
    let kept = info.registrations.iter().take(contacts_max);
    let contacts: Vec<(Contact, Path, &RestorationInfo)> = kept.filter_map(read).collect();
    let longest_s = contacts.iter().map(|(contact, ..)| contact.expires_s).max().unwrap_or(0);
    let written = time_out
        .map(|time_out| Wall::from_millis(time_out.as_millis().saturating_sub(u64::from(longest_s) * 1000)));
    let mut restored = Restored { bindings: SmallVec::new(), subscriptions: Vec::new(), written };
    for (contact, path, kept) in contacts {
        let left = match written {
            // Whoever wrote no `expires` says by the one moment alone when it ends.
            Some(_) if longest_s == 0 => time_out.map_or(lasts, |time_out| time_out.since(now.wall)),
            Some(written) => (written + Duration::from_secs(u64::from(contact.expires_s))).since(now.wall),
            None => lasts,
        };
        if left.is_zero() {
            continue;
        }
        let texts = Texts {
            impi: info.user_name.as_bytes(),
            uri: &contact.uri,
            params: &contact.params,
            instance: &contact.instance,
            call_id: kept.call_id.as_deref().unwrap_or_default(),
            path: path.packed(),
        };
        let cseq = kept.initial_cseq.unwrap_or(0);
        restored.bindings.push(Binding::new(texts, contact.q, contact.reg_id, cseq, now.instant + left));
        for (kept, watcher) in
            [(&kept.subscription, Watcher::User), (&kept.pcscf_subscription, Watcher::Proxy)]
        {
            let dialog = kept.as_ref().and_then(|kept| dialog(kept, now.wall));
            restored.subscriptions.extend(dialog.map(|dialog| (dialog, watcher)));
        }
    }
    restored
}

fn read(kept: &RestorationInfo) -> Option<(Contact, Path, &RestorationInfo)> {
    const ANY: Bounds = Bounds { min_s: 0, default_s: 0, max_s: u32::MAX };
    let contact = NameAddr::parse(Name::Contact, &kept.contact).ok()?;
    let contact = read_contact(&contact, None, ANY, Outbound::Used).ok()?;
    let mut path = Path::default();
    for entry in grammar::values(&kept.path) {
        NameAddr::parse(Name::Path, entry).ok()?;
        if !path.push(entry) || path.packed().len() > PATH_OCTETS_MAX {
            return None;
        }
    }
    Some((contact, path, kept))
}

fn dialog(kept: &SubscriptionInfo, wall: Wall) -> Option<Dialog> {
    let target = NameAddr::parse(Name::Contact, &kept.contact).ok()?;
    Dialog::of_parts(DialogParts {
        call_id: &kept.call_id,
        local: &kept.to,
        remote: &kept.from,
        // Nobody knows the number of the last NOTIFY.
        local_sequence: beyond(wall),
        remote_sequence: None,
        route_set: grammar::values(&kept.record_route).collect(),
        remote_target: target.uri(),
    })
    .ok()
}

/// A number that is above whatever was counted up to this moment by what began with one like it, or with zero, and counted
/// less than once a second: seconds since 1970. A CSeq has room for it until 2038, and for what follows it.
pub fn beyond(wall: Wall) -> u32 {
    u32::try_from(wall.as_millis() / 1000).unwrap_or(u32::MAX).min(0x7fff_0000)
}

/// Between 1900, where the Time of Diameter begins, and 1970.
const UNIX_EPOCH_S: u64 = 2_208_988_800;
/// Time has 32 bits, and begins anew in 2036.
const NTP_MASK: u64 = 0xffff_ffff;

/// The moment of a Time: of those that it may mean the one nearest to now.
fn of_ntp(seconds: u32, now: Wall) -> Wall {
    let now_s = now.as_millis() / 1000 + UNIX_EPOCH_S;
    let era = now_s & !NTP_MASK;
    let candidates = [era.checked_sub(NTP_MASK + 1), Some(era), Some(era + NTP_MASK + 1)];
    let nearest = candidates
        .into_iter()
        .flatten()
        .map(|era| era + u64::from(seconds))
        .min_by_key(|moment| moment.abs_diff(now_s))
        .unwrap_or(now_s);
    Wall::from_millis(nearest.saturating_sub(UNIX_EPOCH_S) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const NOW: Now =
        Now { instant: Instant::from_micros(5_000_000), wall: Wall::from_millis(1_700_000_000_000) };
    const LASTS: Duration = Duration::from_secs(3600);

    fn binding(impi: &str, uri: &str, seconds: u64) -> Binding {
        let mut path = Path::default();
        assert!(path.push(b"<sip:b@p2.far;lr>") && path.push(b"<sip:a@10.0.0.10:5060;lr;ob>"));
        let texts = Texts {
            impi: impi.as_bytes(),
            uri: uri.as_bytes(),
            params: b";q=0.7;+g.3gpp.smsip;reg-id=2;+sip.instance=\"<urn:uuid:1>\"",
            instance: b"<urn:uuid:1>",
            call_id: b"c1",
            path: path.packed(),
        };
        Binding::new(texts, 700, NonZeroU32::new(2), 7, NOW.instant + Duration::from_secs(seconds))
    }

    fn subscribed(call_id: &str, target: &str) -> Dialog {
        Dialog::of_parts(DialogParts {
            call_id: call_id.as_bytes(),
            local: b"<sip:alice@h>;tag=n",
            remote: b"<sip:alice@h>;tag=w",
            local_sequence: 3,
            remote_sequence: Some(9),
            route_set: vec![b"<sip:p;lr>", b"<sip:s;lr>"],
            remote_target: target.as_bytes(),
        })
        .expect("a dialog")
    }

    fn kept(seconds: &[u64]) -> (Vec<Binding>, ScscfRestorationInfo) {
        let bindings: Vec<Binding> =
            seconds.iter().map(|s| binding("a@h", &format!("sip:{s}@10.1.0.1"), *s)).collect();
        let info = of(&Impi::new("a@h"), &bindings, &[], NOW).expect("contacts");
        (bindings, info)
    }

    #[test]
    fn what_was_left_comes_back_as_it_was_each_contact_with_the_time_that_is_left() {
        let (mut bindings, info) = kept(&[600, 3600]);
        bindings.push(binding("b@h", "sip:other@10.1.0.2", 900));
        bindings.push(binding("a@h", "sip:600@10.1.0.1;sos", 7200));
        assert_eq!(
            of(&Impi::new("a@h"), &bindings, &[], NOW),
            Some(info.clone()),
            "its own, and none for emergencies"
        );
        assert_eq!(of(&Impi::new("a@h"), &bindings[3..], &[], NOW), None);
        assert_eq!(Told::of(&bindings[3..]), None);
        let restored = restored(&info, 10, LASTS, NOW);
        assert_eq!(restored.bindings[..], bindings[..2]);
        assert_eq!(restored.written, Some(NOW.wall));
        // Another process, 1000 s later.
        let later = Now { instant: Instant::START, wall: NOW.wall + Duration::from_secs(1000) };
        let restored = super::restored(&info, 10, LASTS, later);
        assert_eq!(restored.bindings.len(), 1, "one has run out");
        assert_eq!(restored.bindings[0].expires_at, Instant::START + Duration::from_secs(2600));
        assert_eq!(restored.written, Some(NOW.wall));
        assert_eq!(super::restored(&info, 1, LASTS, NOW).bindings.len(), 1, "the bound holds");
        assert_eq!(of(&Impi::new("c@h"), &bindings, &[], NOW), None);
    }

    #[test]
    fn the_dialogs_of_ue_and_pcscf_come_back_with_numbers_above_all_before() {
        let bindings = [binding("a@h", "sip:ue@10.1.0.1:5070", 600)];
        let (ue, pcscf, other) = (
            subscribed("u", "sip:ue@10.1.0.1:5070"),
            subscribed("p", "sip:a@10.0.0.10:5060"),
            subscribed("o", "sip:ue@10.9.9.9"),
        );
        let watched = [
            Watched { dialog: &other, watcher: Watcher::User },
            Watched { dialog: &ue, watcher: Watcher::User },
            Watched { dialog: &pcscf, watcher: Watcher::Proxy },
        ];
        let info = of(&Impi::new("a@h"), &bindings, &watched, NOW).expect("a contact");
        let kept = info.registrations[0].subscription.as_ref().expect("the UE's");
        assert_eq!(
            (&kept.from[..], &kept.to[..]),
            (&b"<sip:alice@h>;tag=w"[..], &b"<sip:alice@h>;tag=n"[..])
        );
        let restored = restored(&info, 10, LASTS, NOW);
        let [(first, Watcher::User), (second, Watcher::Proxy)] = &restored.subscriptions[..] else {
            panic!("{restored:?}")
        };
        assert_eq!((first.id(), second.id()), (ue.id(), pcscf.id()));
        assert_eq!(first.route_set().collect::<Vec<_>>(), ue.route_set().collect::<Vec<_>>());
        assert_eq!((first.remote_target(), first.local_sequence()), (ue.remote_target(), 1_700_000_000));
    }

    /// TS 29.229 §6.3.47: of another S-CSCF, without what is optional; and what is none.
    #[test]
    fn what_others_wrote_is_taken_as_far_as_it_can_be_read() {
        let contact = |contact: &str, path: &str| RestorationInfo {
            contact: contact.as_bytes().to_vec(),
            path: path.as_bytes().to_vec(),
            ..RestorationInfo::default()
        };
        let with = |registrations, registration_time_out| ScscfRestorationInfo {
            user_name: "a@h".to_owned(),
            registrations,
            registration_time_out,
            scheme: None,
        };
        let ntp = |after: u64| u32::try_from(NOW.wall.as_millis() / 1000 + UNIX_EPOCH_S + after).ok();
        for (registrations, time_out, expected) in [
            (vec![contact("<sip:ue@10.0.0.1>", "<sip:p;lr>")], None, Some(3600)),
            (vec![contact("sip:ue@10.0.0.1", "")], ntp(90), Some(90)),
            (vec![contact("<sip:ue@10.0.0.1>;expires=900", "<sip:p;lr>")], ntp(90), Some(90)),
            (vec![contact("<sip:ue@10.0.0.1>", "<sip:p;lr>")], ntp(0).map(|now| now - 10), None),
            (vec![contact("<sip:ue@10.0.0.1>", "<sip:p")], None, None),
            (vec![contact("tel:+491", "<sip:p;lr>")], None, None),
            (vec![contact("*", "")], None, None),
            (vec![contact(&format!("<sip:{}@h>", "x".repeat(3000)), "")], None, None),
            (vec![], None, None),
        ] {
            let restored = restored(&with(registrations.clone(), time_out), 10, LASTS, NOW);
            let left =
                restored.bindings.first().map(|binding| binding.expires_at.since(NOW.instant).as_secs());
            assert_eq!(left, expected, "{registrations:?}");
        }
    }

    #[test]
    fn a_moment_is_the_nearest_that_32_bits_may_mean() {
        let at = |seconds: u64| Wall::from_millis(seconds * 1000);
        // 2036-02-07 06:28:16: where the count begins anew.
        let turn = NTP_MASK + 1 - UNIX_EPOCH_S;
        assert_eq!(of_ntp(10, at(turn - 5)), at(turn + 10));
        assert_eq!(of_ntp(u32::MAX, at(turn + 5)), at(turn - 1));
        assert_eq!(of_ntp(0, at(turn + 5)), at(turn));
    }

    #[test]
    fn the_hss_is_told_again_when_contacts_change_or_last_much_longer() {
        let now = NOW.instant;
        let told = Told::of(&[binding("a@h", "sip:a", 800)]).expect("a contact");
        for (bindings, expected) in [
            (vec![binding("a@h", "sip:a", 800)], true),
            (vec![binding("a@h", "sip:a", 900)], true),
            (vec![binding("a@h", "sip:a", 1000)], false),
            (vec![binding("a@h", "sip:a", 60)], true),
            (vec![binding("a@h", "sip:b", 800)], false),
            (vec![binding("a@h", "sip:a", 800), binding("b@h", "sip:b", 800)], false),
            (vec![], true),
        ] {
            assert_eq!(told.holds_for(&bindings, now), expected, "{bindings:?}");
        }
    }
}
