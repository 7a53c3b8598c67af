//! The P-CSCF watches the registrations that go through it (TS 24.229 §5.2.3), so that it hears when the network ends one: its
//! binding and its security associations go then, and not with their expiry.
//!
//! One subscription a binding, made with its first 2xx. A P-CSCF that restarts has forgotten them, says 481 to what comes by
//! them, and subscribes anew with the next REGISTER.

use crate::binding::{Binding, BindingId};
use crate::grant::Change;
use crate::kept::Kept;
use crate::path::Token;
use crate::{Pcscf, Timer, Waiting, gm, registration, securing};
use ambient::{Now, TimerId};
use cscf::charging::{self, Icid};
use cscf::identity::Impu;
use cscf::reginfo::{self, ContactEvent, Over, Reginfo, State, Watcher, refresh_point};
use cscf::role::Outcome;
use cscf::{Incoming, Query, Reject, Target, Trust, Turn};
use sip_core::{Method, Name, RequestBuilder, Status, Uri};
use std::collections::BTreeMap;
use std::time::Duration;

/// The subscriptions of one P-CSCF: at most one for each binding, and as many as there may be bindings.
#[derive(Debug, Default)]
pub struct Watches(BTreeMap<BindingId, Box<Watch>>);

/// One subscription.
#[derive(Debug)]
struct Watch {
    watcher: Watcher,
    /// Refreshes it; of one whose binding has ended, ends it.
    timer: Option<TimerId>,
}

/// What it asks for: longer than a UE may register for, so that a subscription outlives the registration (TS 24.229 §5.2.3).
const EXPIRES: Duration = Duration::from_secs(601_200);
/// How long after the end of a binding its last NOTIFY is waited for: 64 T1.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(32);
/// After so long it tries again where nobody has answered.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(300);

impl Watches {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A binding stands: it is watched from here on, unless it is already.
pub fn begin(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    if !pcscf.config.pcscf.reg_event || pcscf.watches.0.contains_key(&id) {
        return;
    }
    // Of a registration for emergencies nobody is told anything (TS 24.229 §5.4.2.1.2).
    let Some(binding) = pcscf.bindings.get(id).filter(|binding| !binding.is_emergency()) else { return };
    let Some(watched) = watched(binding) else { return };
    let call_id = format!("{:016x}{:016x}", turn.entropy().next_u64(), turn.entropy().next_u64());
    let watcher = Watcher::new(call_id, turn.tag());
    let own = own_uri(pcscf, turn, binding);
    let (call_id, tag) = watcher.begin();
    let request = RequestBuilder::new(Method::Subscribe, watched.as_str())
        .header(Name::MaxForwards, "70")
        .header(Name::From, format_args!("<{own}>;tag={tag}"))
        .header(Name::To, format_args!("<{watched}>"))
        .header(Name::CallId, call_id)
        .header(Name::CSeq, "1 SUBSCRIBE")
        .header(Name::Event, reginfo::PACKAGE)
        .header(Name::Accept, reginfo::CONTENT_TYPE);
    let target = match &pcscf.config.pcscf.icscf {
        Some(icscf) => icscf.clone().into_bytes(),
        None => watched.clone().into_bytes(),
    };
    pcscf.watches.0.insert(id, Box::new(Watch { watcher, timer: None }));
    turn.count("subscription", "begun");
    send(pcscf, turn, id, request, &own, target);
}

/// A binding has ended: the last NOTIFY may come yet.
pub fn ended(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    if pcscf.watches.0.contains_key(&id) {
        arm(pcscf, turn, id, LAST_WORD_WITHIN);
    }
}

/// The timer of a subscription: it is refreshed, or over with its binding.
pub fn timed(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    let Some(watch) = pcscf.watches.0.get_mut(&id) else { return };
    watch.timer = None;
    let Some(binding) = pcscf.bindings.get(id) else {
        pcscf.watches.0.remove(&id);
        return;
    };
    let own = own_uri(pcscf, turn, binding);
    match pcscf.watches.0.get_mut(&id).and_then(|watch| watch.watcher.refresh()) {
        Some((request, first_hop)) => send(pcscf, turn, id, request, &own, first_hop),
        None => anew(pcscf, turn, id),
    }
}

/// What came of a SUBSCRIBE.
pub fn answered(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId, outcome: &Outcome<'_>) {
    let response = match outcome {
        Outcome::Response(response) => &response.message,
        Outcome::Timeout | Outcome::Unreachable(_) => return try_again(pcscf, turn, id),
    };
    match response.status() {
        Some(status) if status.is_provisional() => {}
        Some(status) if status.is_success() => {
            let Some(watch) = pcscf.watches.0.get_mut(&id) else { return };
            let lasts = watch.watcher.granted(response, EXPIRES);
            // The end of a binding has armed it for the last word.
            if pcscf.bindings.get(id).is_some() {
                arm(pcscf, turn, id, refresh_point(lasts));
            }
        }
        // RFC 6665 §4.1.2.2: the notifier has lost it.
        Some(Status::CALL_DOES_NOT_EXIST) => anew(pcscf, turn, id),
        Some(status) if status.code() >= 500 => try_again(pcscf, turn, id),
        status => {
            tracing::info!(?status, "a registration is not watched: its S-CSCF will not tell");
            turn.count("subscription", "refused");
            forget(pcscf, turn, id);
        }
    }
}

/// The binding whose subscription a NOTIFY is in, by our Contact in its Request-URI.
pub fn named(pcscf: &Pcscf, turn: &Turn<'_, Pcscf>, request: &Incoming) -> Option<BindingId> {
    let message = &request.message;
    if message.method() != Method::Notify || request.source.trust != Trust::Domain {
        return None;
    }
    let Ok(Uri::Sip(sip)) = Uri::parse(message.uri()) else { return None };
    match Token::open(turn.token_key(), sip.user?)? {
        Token::Path(id) if message.routes().next().is_none() && gm::is_own(pcscf, turn, message.uri()) => {
            Some(id)
        }
        Token::Path(_) | Token::Dialog(_) => None,
    }
}

/// A NOTIFY: what it says takes effect.
pub fn notified(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    id: BindingId,
) -> Result<(), Reject> {
    let watch = pcscf.watches.0.get_mut(&id);
    let watch = watch.ok_or_else(|| Reject::new(Status::CALL_DOES_NOT_EXIST, "no such subscription"))?;
    let told = watch.watcher.notified(&request.message)?;
    turn.reply(request, Status::OK, |response| response);
    if let Some(reginfo) = &told.reginfo {
        apply(pcscf, turn, id, reginfo);
    }
    let stands = pcscf.bindings.get(id).is_some();
    match told.over {
        Some(Over::Again) if stands => anew(pcscf, turn, id),
        Some(_) => forget(pcscf, turn, id),
        None if told.is_missing && stands => timed(pcscf, turn, id),
        None => {}
    }
    Ok(())
}

fn apply(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId, reginfo: &Reginfo) {
    let now = Now { instant: turn.now(), wall: turn.wall() };
    let Some(after) = pcscf.bindings.get(id).and_then(|binding| after(binding, reginfo, now)) else { return };
    let change = match after.contacts.is_empty() {
        true => Change { stand: Vec::new(), end: vec![id] },
        false => Change { stand: vec![after], end: Vec::new() },
    };
    // The network has decided it: a store that fails changes nothing of that, and what it still holds ends by its expiry.
    turn.query(Query::Store(change.records()), Waiting::Forgotten);
    let left = registration::apply(pcscf, turn, change, "by the network");
    left.into_iter().for_each(|ue| securing::registration_ended(pcscf, turn, ue));
}

/// The binding as a document leaves it; `None` where it says nothing of it. Without a contact it has ended. Pure.
fn after(binding: &Kept, reginfo: &Reginfo, now: Now) -> Option<Binding> {
    let is = |uri: &str, other: &str| crate::binding::is_same_contact(uri.as_bytes(), other.as_bytes());
    let of = |uri: &str| {
        let all = reginfo.registrations.iter().flat_map(|registration| &registration.contacts);
        all.filter(|contact| is(&contact.uri, uri)).collect::<Vec<_>>()
    };
    let mut after = binding.unpacked()?;
    let before = after.clone();
    // An identity that was taken away ends with its contacts, and these stand under the others.
    after.contacts.retain(|contact| {
        let told = of(&contact.uri);
        told.is_empty() || told.iter().any(|told| !told.event.is_end())
    });
    for contact in &mut after.contacts {
        let shortened = of(&contact.uri).into_iter().find(|told| told.event == ContactEvent::Shortened);
        if let Some(expires_s) = shortened.and_then(|told| told.expires_s) {
            let left = Duration::from_secs(u64::from(expires_s));
            contact.ends = contact.ends.min(now.instant + left);
            contact.ends_wall = contact.ends_wall.min(now.wall + left);
        }
    }
    let is_over = |identity: &str| {
        let registration = reginfo.registrations.iter().find(|registration| {
            Impu::parse(registration.aor.as_bytes())
                .is_some_and(|aor| Impu::parse(identity.as_bytes()).is_some_and(|identity| identity == aor))
        });
        registration.is_some_and(|registration| registration.state == State::Terminated)
    };
    if !before.identities.is_empty() && before.identities.iter().all(|identity| is_over(identity)) {
        // Whoever tells it may not know the contacts any more: all of them are over.
        after.contacts.clear();
    }
    after.identities.retain(|identity| !is_over(identity));
    if after.identities.is_empty() {
        // Nothing would be left to assert; whether the registration is over, the contacts say.
        after.identities.clone_from(&before.identities);
    }
    (after != before).then_some(after)
}

/// The identity to watch: the default one, where it is a SIP URI.
fn watched(binding: &Kept) -> Option<String> {
    let is_sip =
        |identity: &String| identity.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"));
    let mut all = binding.identities().map(|identity| identity.to_string());
    all.find(is_sip).or_else(|| Some(binding.aor().to_string()).filter(is_sip))
}

/// The URI by which we subscribe: that of our Path entry, which the S-CSCF knows us by.
fn own_uri(pcscf: &Pcscf, turn: &Turn<'_, Pcscf>, binding: &Kept) -> String {
    let token = gm::path_token(turn, binding.id(), binding.hop().remote.ip());
    let uri = gm::path_uri(pcscf, turn, &token).to_string();
    uri.strip_suffix(";lr").unwrap_or(&uri).to_owned()
}

fn send(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    id: BindingId,
    request: RequestBuilder,
    own: &str,
    target: Vec<u8>,
) {
    let icid = Icid::mint(turn.entropy());
    let request = request
        .header(Name::Contact, format_args!("<{own}>"))
        .header(Name::Expires, format_args!("{}", EXPIRES.as_secs()))
        .header(Name::PAssertedIdentity, format_args!("<{own}>"))
        .header(
            Name::PChargingVector,
            format_args!("{}", charging::written(icid.as_str(), &pcscf.config.pcscf.ioi)),
        );
    turn.originate(request.build(), Target::Uri(target), Waiting::Subscribed(id));
}

fn anew(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    forget(pcscf, turn, id);
    begin(pcscf, turn, id);
}

fn try_again(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    turn.count("subscription", "not answered");
    arm(pcscf, turn, id, TRY_AGAIN_AFTER);
}

fn arm(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId, after: Duration) {
    let Some(watch) = pcscf.watches.0.get_mut(&id) else { return };
    let timer = turn.arm(after, Timer::Watch(id), "subscription refresh");
    if let Some(before) = watch.timer.replace(timer) {
        turn.disarm(before);
    }
}

fn forget(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    if let Some(timer) = pcscf.watches.0.remove(&id).and_then(|watch| watch.timer) {
        turn.disarm(timer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::tests::binding;
    use crate::bindings::Bindings;

    /// What is left of a binding to sip:ue@10.0.0.1:5060: contacts and identities.
    fn left(registrations: &str) -> Option<(usize, Vec<String>)> {
        let mut bindings = Bindings::default();
        bindings.insert(&binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        let text = format!("<reginfo version=\"1\" state=\"partial\">{registrations}</reginfo>");
        let reginfo = reginfo::read(text.as_bytes()).expect("reginfo");
        let after = after(bindings.get(BindingId(1)).expect("bound"), &reginfo, Now::default())?;
        Some((after.contacts.len(), after.identities))
    }

    fn told(aor: &str, state: &str, contact: &str, event: &str) -> String {
        format!(
            "<registration aor=\"{aor}\" id=\"1\" state=\"{state}\"><contact id=\"2\" state=\"x\" event=\"{event}\" \
             expires=\"0\"><uri>{contact}</uri></contact></registration>"
        )
    }

    #[test]
    fn a_contact_that_the_network_ends_goes_and_one_that_stands_elsewhere_does_not() {
        let (alice, tel) = ("sip:alice@home.net", "tel:+491");
        let (own, other) = ("sip:ue@10.0.0.1:5060", "sip:ue@10.0.0.2:5060");
        for event in ["rejected", "deactivated", "probation", "expired", "unregistered"] {
            let all = [told(alice, "terminated", own, event), told(tel, "terminated", own, event)].concat();
            assert_eq!(left(&all).map(|(contacts, _)| contacts), Some(0), "{event}");
            assert_eq!(left(&told(alice, "active", other, event)), None, "another's: {event}");
        }
        for event in ["registered", "created", "refreshed"] {
            assert_eq!(left(&told(alice, "active", own, event)), None, "{event}");
        }
        let over = |aor: &str| format!("<registration aor=\"{aor}\" id=\"1\" state=\"terminated\"/>");
        assert_eq!(
            left(&[over(alice), over(tel)].concat()).map(|(contacts, _)| contacts),
            Some(0),
            "all is over"
        );
        let shortened = left(&told(alice, "active", own, "shortened"));
        assert_eq!(shortened.map(|(contacts, _)| contacts), Some(1), "it stands, for a shorter time");
        let taken =
            [told(alice, "active", own, "refreshed"), told(tel, "terminated", own, "rejected")].concat();
        assert_eq!(left(&taken), Some((1, vec![alice.to_owned()])), "an identity was taken away");
    }
}
