//! NOTIFY (RFC 6665 §4.2.2): what has changed is noted, told when it may be, and what its subscriber says ends the
//! subscription or lets it go on.

use super::subscription::{Ending, Subscription, SubscriptionId};
use super::{document, record};
use crate::registrar::binding::{Binding, Change};
use crate::registrar::gruu;
use crate::registrar::implicit_set::Identity;
use crate::registrar::registrations::{Registration, RegistrationId};
use crate::registrar::restoration_info::Watcher;
use crate::role::Scscf;
use crate::waiting::Waiting;
use ambient::Instant;
use cscf::charging::{self, Icid};
use cscf::query::Query;
use cscf::reginfo::{CONTENT_TYPE, PACKAGE};
use cscf::role::Outcome;
use cscf::{Target, Turn};
use sip_core::{Method, Name, NameAddr, RequestBuilder};

impl Scscf {
    /// Notes for each subscription that a contact of a registration has changed; [`Scscf::tell_subscribers`] tells it.
    pub(crate) fn note(&mut self, registration: RegistrationId, binding: &Binding, change: Change) {
        // TS 24.229 §5.4.2.1.2: of contacts for emergencies nobody is told.
        if self.subscriptions.is_empty() || binding.is_emergency {
            return;
        }
        self.each(registration, |subscription| subscription.due.changed(binding, change));
    }

    /// Notes what a REGISTER has changed, and what it has put another contact in the place of.
    pub(crate) fn note_all(
        &mut self,
        registration: RegistrationId,
        before: &[Binding],
        changes: &[(Binding, Change)],
    ) {
        if self.subscriptions.is_empty() {
            return;
        }
        for (binding, change) in changes {
            // RFC 5626 §6: a flow is refreshed with another contact (TS 24.229 §5.4.2.1.2 NOTE: that is another one).
            let moved = before.iter().find(|old| {
                *change == Change::Refreshed
                    && old.texts().impi == binding.texts().impi
                    && old.uri() != binding.uri()
                    && old.flow().is_some()
                    && old.flow() == binding.flow()
            });
            if let Some(old) = moved {
                self.note(registration, old, Change::Deactivated);
            }
            self.note(registration, binding, if moved.is_some() { Change::Registered } else { *change });
        }
        self.each(registration, |subscription| subscription.is_held = true);
    }

    /// Notes that the set of a registration has other identities than before.
    pub(crate) fn note_identities(&mut self, registration: RegistrationId, gone: &[Box<str>]) {
        self.each(registration, |subscription| subscription.due.identities_changed(gone.iter().cloned()));
    }

    fn each(&mut self, registration: RegistrationId, mut change: impl FnMut(&mut Subscription)) {
        for id in self.subscriptions.of(registration).collect::<Vec<_>>() {
            if let Some(subscription) = self.subscriptions.get_mut(id) {
                change(subscription);
            }
        }
    }

    /// The registration was taken out: what its subscribers are told next is the last that they hear.
    pub(crate) fn end_subscriptions(
        &mut self,
        now: Instant,
        id: RegistrationId,
        registration: &Registration,
    ) {
        for id in self.subscriptions.of(id).collect::<Vec<_>>() {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            let mut due = std::mem::take(&mut subscription.due);
            due.all();
            let version = subscription.next_version();
            let gruus = document::Gruus { space: self.gruu_space, temporary: &mut |_, _| None };
            let document = document::write(version, registration, &due, now, gruus);
            subscription.ending = Some(Ending::Gone(document));
        }
    }

    /// Forgets the subscriptions to a registration without a word: another S-CSCF has the user.
    pub(crate) fn forget_subscriptions(&mut self, turn: &mut Turn<'_, Scscf>, registration: RegistrationId) {
        for id in self.subscriptions.of(registration).collect::<Vec<_>>() {
            self.forget_subscription(turn, id);
        }
    }

    /// Tells the subscribers of a registration what was noted.
    pub(crate) fn tell_subscribers(&mut self, turn: &mut Turn<'_, Scscf>, registration: RegistrationId) {
        if self.subscriptions.is_empty() {
            return;
        }
        self.each(registration, |subscription| subscription.is_held = false);
        for id in self.subscriptions.of(registration).collect::<Vec<_>>() {
            self.notify(turn, id);
        }
    }

    /// The time of a subscription is over: its last NOTIFY (RFC 6665 §4.2.2).
    pub(crate) fn time_out(&mut self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        subscription.ending.get_or_insert(Ending::Timeout);
        subscription.due.all();
        self.notify(turn, id);
    }

    /// Sends what is due, unless a NOTIFY is out.
    pub(crate) fn notify(&mut self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId) {
        let now = turn.now();
        let subscription = self.subscriptions.get_mut(id);
        let Some(subscription) = subscription.filter(|subscription| {
            subscription.is_granted && !subscription.is_notifying && !subscription.is_held
        }) else {
            return;
        };
        let left_s = subscription.expires_at.since(now).as_micros().div_ceil(1_000_000);
        let active = || format!("active;expires={left_s}");
        let (state, ready) = match subscription.ending.take() {
            // RFC 6665 §4.1.3: there is nothing left to watch.
            Some(Ending::Gone(document)) => ("terminated;reason=noresource".to_owned(), Some(document)),
            Some(Ending::Timeout) => ("terminated;reason=timeout".to_owned(), None),
            None if subscription.due.is_empty() => return,
            None => (active(), None),
        };
        let is_last = state.starts_with("terminated");
        let body = match ready {
            Some(document) => document,
            None => {
                let Some(registration) = self.registrations.get(subscription.registration) else { return };
                let due = std::mem::take(&mut subscription.due);
                let version = subscription.next_version();
                let (mark, home, watcher) = (self.gruu_mark, registration.home, subscription.watcher);
                // RFC 5628: temporary ones hide who the user is, so nobody but the user is told them.
                let mut temporary = |identity: &Identity, binding: &Binding| match watcher {
                    Watcher::User => gruu::temporary(turn, mark, (identity, home), binding),
                    Watcher::Proxy | Watcher::Server => None,
                };
                let gruus = document::Gruus { space: self.gruu_space, temporary: &mut temporary };
                document::write(version, registration, &due, now, gruus)
            }
        };
        let icid = Icid::mint(turn.entropy());
        let request = subscription
            .dialog
            .request(Method::Notify)
            .header(Name::Contact, format_args!("<{}>", subscription.contact))
            .header(Name::Event, event(subscription.event_id.as_deref()).as_str())
            .header(Name::SubscriptionState, &state)
            .header(
                Name::PChargingVector,
                format_args!("{}", charging::written(icid.as_str(), &self.config.scscf.ioi)),
            )
            .body(CONTENT_TYPE, body.as_bytes());
        subscription.is_notifying = true;
        let target = first_hop(subscription.dialog.route_set().next(), subscription.dialog.remote_target());
        turn.count("notify", if is_last { "last" } else { "sent" });
        send(turn, request, target, id);
        if is_last {
            self.forget_subscription(turn, id);
        }
    }

    /// What the subscriber made of a NOTIFY.
    pub(crate) fn notified(&mut self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId, outcome: &Outcome<'_>) {
        let goes_on = match outcome {
            Outcome::Response(response) => match response.message.status() {
                Some(status) if status.is_provisional() => return,
                Some(status) if status.is_success() => true,
                // RFC 6665 §4.2.2: without Retry-After the subscription is over, and with it over when it says so.
                _ => response.message.first(Name::RetryAfter).is_some(),
            },
            Outcome::Timeout | Outcome::Unreachable(_) => false,
        };
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        subscription.is_notifying = false;
        if goes_on {
            return self.notify(turn, id);
        }
        turn.count("subscription", "given up by its subscriber");
        self.forget_subscription(turn, id);
    }

    pub(super) fn forget_subscription(&mut self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        if let Some(timer) = subscription.timer {
            turn.disarm(timer);
        }
        if subscription.is_stored {
            let records = vec![record::gone(id)];
            turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
        }
    }
}

fn send(turn: &mut Turn<'_, Scscf>, request: RequestBuilder, target: Vec<u8>, id: SubscriptionId) {
    turn.originate(request.build(), Target::Uri(target), Waiting::Notify(id));
}

fn event(id: Option<&[u8]>) -> String {
    match id {
        Some(id) => format!("{PACKAGE};id={}", String::from_utf8_lossy(id)),
        None => PACKAGE.to_owned(),
    }
}

fn first_hop(route: Option<&[u8]>, target: &[u8]) -> Vec<u8> {
    let route = route.and_then(|route| NameAddr::parse(Name::Route, route).ok());
    route.map_or(target, |route| route.uri()).to_vec()
}
