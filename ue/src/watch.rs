//! The UE watches its own registration (TS 24.229 §5.1.1.3), and does what the network asks of it: it registers again, sooner
//! than it would have, or not at all (§5.1.1.5.2, §5.1.1.7).

use crate::command::{Deregistration, Notice};
use crate::initial_request::Thread;
use crate::ue::{Timer, Ue, Waiting};
use ambient::TimerId;
use cscf::reginfo::{self, ContactEvent, Over, Reginfo, Registration, State, Watcher, refresh_point};
use cscf::role::Outcome;
use cscf::{Incoming, Reject, Turn};
use sip_core::{Message, Method, Name, Status, Uri};
use std::time::Duration;

/// Whether a UE watches its registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watching {
    /// It learns of an end when its next request is refused.
    #[default]
    Nothing,
    /// It subscribes to the reg event package after each registration.
    OwnRegistration,
}

/// The subscription of a UE to its registration.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: Watcher,
    refresh: Option<TimerId>,
}

/// What a UE asks for (TS 24.229 §5.1.1.3).
const EXPIRES: Duration = Duration::from_secs(600_000);

impl Ue {
    /// The registration stands: it is watched from here on.
    pub(crate) fn watch(&mut self, turn: &mut Turn<'_, Ue>) {
        if self.config.watching == Watching::Nothing || self.watch.is_some() {
            return;
        }
        let Some(identity) =
            self.registration.binding().and_then(|binding| binding.identities.first()).cloned()
        else {
            return;
        };
        let mut thread = Thread::new(turn);
        let contact = self.contact(turn);
        // The identity is a registered one, and a URI.
        let Ok(request) = self.initial_request(&mut thread, Method::Subscribe, &identity) else { return };
        let (call_id, tag) = thread.names();
        self.watch = Some(Watch { watcher: Watcher::new(call_id, tag), refresh: None });
        let request = request
            .header(Name::Contact, &contact)
            .header(Name::Event, reginfo::PACKAGE)
            .header(Name::Accept, reginfo::CONTENT_TYPE)
            .header(Name::Expires, format_args!("{}", EXPIRES.as_secs()));
        turn.originate(self.config.handset.finish(request), self.target(), Waiting::Subscribe);
    }

    /// The registration is about to begin anew: what was watched is over.
    pub(crate) fn watch_ended(&mut self, turn: &mut Turn<'_, Ue>) {
        if let Some(refresh) = self.watch.take().and_then(|watch| watch.refresh) {
            turn.disarm(refresh);
        }
    }

    /// The subscription is to be refreshed.
    pub(crate) fn refresh_watch(&mut self, turn: &mut Turn<'_, Ue>) {
        if !self.is_registered() {
            return self.watch_ended(turn);
        }
        let Some((request, _)) = self.watch.as_mut().and_then(|watch| watch.watcher.refresh()) else {
            return self.watch_ended(turn);
        };
        let contact = self.contact(turn);
        let request = request
            .header(Name::Contact, &contact)
            .header(Name::Expires, format_args!("{}", EXPIRES.as_secs()));
        let request = self.proof().on(request);
        turn.originate(self.config.handset.finish(request), self.target(), Waiting::Subscribe);
    }

    /// What came of a SUBSCRIBE.
    pub(crate) fn watch_outcome(&mut self, turn: &mut Turn<'_, Ue>, outcome: &Outcome<'_>) {
        let status = match outcome {
            Outcome::Response(response) => response.message.status(),
            Outcome::Timeout | Outcome::Unreachable(_) => None,
        };
        match (status, outcome) {
            (Some(status), _) if status.is_provisional() => {}
            (Some(status), Outcome::Response(response)) if status.is_success() => {
                let Some(watch) = &mut self.watch else { return };
                let lasts = watch.watcher.granted(&response.message, EXPIRES);
                let refresh = turn.arm(refresh_point(lasts), Timer::RefreshWatch, "subscription refresh");
                if let Some(before) = watch.refresh.replace(refresh) {
                    turn.disarm(before);
                }
            }
            // RFC 6665 §4.1.2.2: the notifier has lost it.
            (Some(Status::CALL_DOES_NOT_EXIST), _) => {
                self.watch_ended(turn);
                self.watch(turn);
            }
            // It is tried again after the next REGISTER.
            _ => {
                turn.notice(Notice::NotWatched(status));
                self.watch_ended(turn);
            }
        }
    }

    /// Whether a request is in the dialog of the subscription.
    pub(crate) fn is_watch(&self, message: &Message) -> bool {
        message.method() == Method::Notify
            && self.watch.as_ref().is_some_and(|watch| watch.watcher.is_named_by(message))
    }

    /// A NOTIFY came.
    pub(crate) fn watch_told(&mut self, turn: &mut Turn<'_, Ue>, request: &Incoming) -> Result<(), Reject> {
        let gone = || Reject::new(Status::CALL_DOES_NOT_EXIST, "no such subscription");
        let told = self.watch.as_mut().ok_or_else(gone)?.watcher.notified(&request.message)?;
        turn.reply(request, Status::OK, |response| response);
        if told.over.is_some() {
            self.watch_ended(turn);
        } else if told.is_missing {
            self.refresh_watch(turn);
        }
        let heard = told.reginfo.as_ref().and_then(|reginfo| self.of_ours(turn, reginfo));
        if let Some(reginfo) = told.reginfo {
            turn.notice(Notice::RegistrationTold(reginfo));
        }
        if let Some((event, expires_s, retry_after_s)) = heard {
            self.registration_changed(turn, event, expires_s, retry_after_s);
        }
        if told.over == Some(Over::Again) && self.is_registered() {
            self.watch(turn);
        }
        Ok(())
    }

    /// What a document says of our contact: its event, and the times that go with it.
    fn of_ours(
        &self,
        turn: &Turn<'_, Ue>,
        reginfo: &Reginfo,
    ) -> Option<(ContactEvent, Option<u32>, Option<u32>)> {
        let own = self.contact_uri(turn, &self.config.handset.register_contact);
        let own = Uri::parse(own.as_bytes()).ok()?;
        let contacts = reginfo.registrations.iter().flat_map(|registration| &registration.contacts);
        let is_ours = |uri: &str| Uri::parse(uri.as_bytes()).is_ok_and(|uri| uri.uri_eq(&own));
        let ours: Vec<_> = contacts.filter(|contact| is_ours(&contact.uri)).collect();
        let is_over = |registration: &Registration| registration.state == State::Terminated;
        if ours.is_empty() && !reginfo.registrations.is_empty() && reginfo.registrations.iter().all(is_over) {
            // Whoever tells it does not know why any more.
            return Some((ContactEvent::Deactivated, None, None));
        }
        // An identity that was taken away ends with its contacts, and these stand under the others.
        let standing = ours.iter().find(|contact| !contact.event.is_end());
        let found = standing.or(ours.first())?;
        Some((found.event, found.expires_s, found.retry_after_s))
    }

    fn registration_changed(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        event: ContactEvent,
        expires_s: Option<u32>,
        retry_after_s: Option<u32>,
    ) {
        if !self.is_registered() {
            return;
        }
        match event {
            ContactEvent::Registered | ContactEvent::Created | ContactEvent::Refreshed => {}
            // The network wants us to prove again who we are, in time.
            ContactEvent::Shortened => {
                let left = Duration::from_secs(u64::from(expires_s.unwrap_or(0)));
                self.shorten_registration(turn, left);
            }
            ContactEvent::Deactivated => {
                turn.notice(Notice::Deregistered(Deregistration::ByNetwork));
                self.watch_ended(turn);
                self.register_anew(turn);
            }
            ContactEvent::Probation => {
                self.lose_registration(turn);
                self.retry_after(turn, Duration::from_secs(u64::from(retry_after_s.unwrap_or(0))));
            }
            ContactEvent::Expired | ContactEvent::Unregistered | ContactEvent::Rejected => {
                self.lose_registration(turn);
            }
        }
    }
}
