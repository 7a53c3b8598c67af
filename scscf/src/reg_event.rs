//! The notifier of the reg event package (RFC 3680, RFC 6665, TS 24.229 §5.4.2.1): whoever may, hears what becomes of a
//! user's registration.
//!
//! A subscription lives where its registration does, in the shard of the identity by which the user registered; our
//! Contact in its dialog is a token of that bucket. What a registrar changes is noted for each subscription and told when
//! it is durable. One NOTIFY of a subscription is out at a time: what happens meanwhile goes into the next. The answer to a
//! SUBSCRIBE waits for the store; after a crash each subscriber is told how the registration stands.

mod authorization;
mod document;
mod due;
mod notification;
pub(crate) mod record;
mod resumption;
mod subscribe;
mod subscription;
mod subscriptions;

pub use subscribe::EXPIRES_DEFAULT_S;
pub use subscription::SubscriptionId;
pub use subscriptions::Subscriptions;

use crate::registrar::binding::Binding;
use crate::registrar::registrations::State;
use crate::registrar::restoration_info;
use crate::role::Scscf;
use crate::sessions::token;
use crate::waiting::{Timer, Waiting};
use ambient::{Instant, Now};
use cscf::bucket::{base32, unbase32};
use cscf::charging;
use cscf::identity::Impu;
use cscf::query::{Query, Record, StoreFailure};
use cscf::{Incoming, Reject, Turn};
use sip_core::dialog::{Dialog, DialogId};
use sip_core::{Message, Method, Name, Status};
use std::time::Duration;
use subscribe::Subscribe;
use subscription::Subscription;

/// How many may watch one registration at once: the UEs of a family, their P-CSCFs, and some application servers.
const PER_REGISTRATION_MAX: usize = 32;
/// The first letter of the payload of our tokens in a Contact; none of those in a Route.
const LETTER: u8 = b'e';

/// Whether a request is about the reg event package.
pub(crate) fn is_about(message: &Message) -> bool {
    message.event().is_ok_and(|event| event.package.eq_ignore_ascii_case(cscf::reginfo::PACKAGE.as_bytes()))
}

impl Scscf {
    /// Whether an initial SUBSCRIBE is for the registration of a user who is here.
    pub(crate) fn is_watched_here(&self, message: &Message) -> Option<Impu> {
        if message.method() != Method::Subscribe || !is_about(message) {
            return None;
        }
        let impu = Impu::from_uri(&message.request_uri().ok()?)?;
        self.registrations.find(&impu).map(|_| impu)
    }

    /// The subscription that the Request-URI of a request names: our Contact in its dialog.
    pub(crate) fn subscription_of(
        &self,
        turn: &Turn<'_, Scscf>,
        message: &Message,
    ) -> Option<SubscriptionId> {
        let uri = message.request_uri().ok()?;
        let sip = uri.sip()?;
        if !token::names_us(&sip.host, sip.port, &self.own_name, turn.locals()) {
            return None;
        }
        let Some((_, payload)) = turn.token_key().open(sip.user?) else {
            // Minted with a key that went with the store, or at the S-CSCF whose place we have taken.
            let id = SubscriptionId::of(&DialogId::of_request(message)?);
            return self.subscriptions.get(id).map(|_| id);
        };
        unbase32(payload.as_bytes().strip_prefix(&[LETTER])?).map(SubscriptionId)
    }

    /// A SUBSCRIBE outside of any dialog, to the registration of `impu`.
    pub(crate) fn subscribe(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        impu: &Impu,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let asked = Subscribe::read(message, self.subscription_bounds)?;
        let found = self.registrations.find(impu);
        // TS 24.229 §5.4.2.1.1: nobody is registered, so that there is nothing to tell.
        let (registration, found) = found
            .filter(|(_, found)| found.state == State::Registered && !found.bindings.is_empty())
            .ok_or_else(|| Reject::new(Status::TEMPORARILY_UNAVAILABLE, "not registered"))?;
        if found.is_barred(impu) {
            return Err(Reject::new(Status::NOT_FOUND, "identity barred"));
        }
        let watcher = authorization::check(message, found, impu)?;
        let has_room = self.subscriptions.len() < self.config.scscf.subscriptions_max
            && self.subscriptions.of(registration).count() < PER_REGISTRATION_MAX;
        if !has_room {
            return Err(Reject::new(Status::SERVICE_UNAVAILABLE, "too many subscriptions")
                .header(Name::RetryAfter, "60"));
        }
        let tag = turn.tag();
        let mut dialog = Dialog::of_request(message, tag.as_bytes()).map_err(|error| {
            Reject::new(Status::BAD_REQUEST, "subscribe makes no dialog").detail(error.to_string())
        })?;
        dialog.confirm();
        let id = SubscriptionId::of(dialog.id());
        let contact = self.contact_of_subscription(turn, id, impu);
        let watched = (registration, impu.clone());
        let mut subscription = Subscription::new(dialog, contact, watched, watcher, asked.event_id);
        subscription.due.all();
        self.subscriptions.insert(id, subscription);
        match asked.expires_s {
            // RFC 6665 §4.4.3: nothing is promised beyond one NOTIFY.
            0 => self.grant(turn, request, id, 0),
            expires_s => self.store_subscription(turn, id, expires_s),
        }
        Ok(())
    }

    /// A request whose Request-URI is our Contact in the dialog of a subscription.
    pub(crate) fn within_subscription(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        id: SubscriptionId,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let gone = || Reject::new(Status::CALL_DOES_NOT_EXIST, "no such subscription");
        if message.method() == Method::Ack {
            return Ok(());
        }
        let bounds = self.subscription_bounds;
        let subscription = self.subscriptions.get_mut(id).ok_or_else(gone)?;
        if DialogId::of_request(message).is_none_or(|named| named != *subscription.dialog.id()) {
            return Err(gone());
        }
        if message.method() != Method::Subscribe {
            return Err(Reject::new(Status::METHOD_NOT_ALLOWED, "not a method of a subscription")
                .header(Name::Allow, "SUBSCRIBE"));
        }
        let asked = Subscribe::read(message, bounds)?;
        if asked.event_id != subscription.event_id {
            return Err(gone());
        }
        if subscription.dialog.receive(message).is_err() {
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "cseq is out of order"));
        }
        subscription.dialog.refresh_target(message);
        // RFC 6665 §4.2.1.3: a refresh is answered with the whole state.
        subscription.due.all();
        self.store_subscription(turn, id, asked.expires_s);
        Ok(())
    }

    /// Makes a subscription durable as it is to be from here on, or its end; the answer waits for that.
    fn store_subscription(&self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId, expires_s: u32) {
        let ends = turn.now() + Duration::from_secs(u64::from(expires_s));
        let record = match expires_s {
            0 => Some(record::gone(id)),
            _ => self.subscription_record(turn, id, ends),
        };
        let records = record.into_iter().collect();
        turn.query(Query::Store(records), Waiting::Subscribed { id, expires_s });
    }

    /// The durable form of a subscription that lasts until `ends`.
    fn subscription_record(
        &self,
        turn: &Turn<'_, Scscf>,
        id: SubscriptionId,
        ends: Instant,
    ) -> Option<Record> {
        let subscription = self.subscriptions.get(id)?;
        let now = Now { instant: turn.now(), wall: turn.wall() };
        Some(record::of(id, subscription, ends, self.home_of(turn, &subscription.impu), now))
    }

    /// What the store is to have of a subscription whose record could not be written.
    pub(crate) fn subscription_record_anew(&self, turn: &Turn<'_, Scscf>, id: SubscriptionId) -> Record {
        let standing = self.subscriptions.get(id).filter(|subscription| subscription.is_granted);
        let record = standing.and_then(|standing| self.subscription_record(turn, id, standing.expires_at));
        record.unwrap_or_else(|| record::gone(id))
    }

    /// The store answered: the 200 to a SUBSCRIBE leaves, or what it asked for is not promised.
    pub(crate) fn subscription_stored(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: Option<&Incoming>,
        (id, expires_s): (SubscriptionId, u32),
        stored: Result<(), StoreFailure>,
    ) -> Result<(), Reject> {
        let gone = || Reject::new(Status::CALL_DOES_NOT_EXIST, "subscription ended meanwhile");
        let subscription = self.subscriptions.get_mut(id).ok_or_else(gone)?;
        let (is_new, is_ok) = (!subscription.is_granted, stored.is_ok());
        subscription.is_stored |= is_ok && expires_s > 0;
        let Some(request) = request.filter(|_| is_ok) else {
            if is_new {
                self.forget_subscription(turn, id);
            }
            turn.count("subscription", "not stored");
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "subscription could not be stored")
                .header(Name::RetryAfter, "10"));
        };
        subscription.is_stored = expires_s > 0;
        self.grant(turn, request, id, expires_s);
        if is_new {
            self.leave_subscription_with_hss(turn, id);
        }
        Ok(())
    }

    /// The HSS keeps the dialogs of a UE and of its P-CSCF (TS 29.229 §6.3.49).
    fn leave_subscription_with_hss(&mut self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let watched = subscription.registration;
        let Some(registration) = self.registrations.get(watched) else { return };
        let is_at =
            |binding: &&Binding| restoration_info::is_at(subscription.watcher, &subscription.dialog, binding);
        if let Some(impi) = registration.bindings.iter().find(is_at).map(Binding::impi) {
            self.leave_with_hss(turn, watched, &impi);
        }
    }

    /// Says that a subscription stands for so long, and tells how the registration does.
    fn grant(&mut self, turn: &mut Turn<'_, Scscf>, request: &Incoming, id: SubscriptionId, expires_s: u32) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        subscription.is_granted = true;
        let contact = subscription.contact.to_string();
        turn.count("subscription", if expires_s == 0 { "ended or fetched" } else { "accepted" });
        self.accept_subscribe(turn, request, &contact, expires_s);
        self.prolong(turn, id, expires_s);
    }

    /// The 200 to a SUBSCRIBE.
    fn accept_subscribe(
        &self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        contact: &str,
        expires_s: u32,
    ) {
        let ioi = &self.config.scscf.ioi;
        turn.reply(request, Status::OK, |response| {
            let response = response
                .record_route()
                .header(Name::Contact, format_args!("<{contact}>"))
                .header(Name::Expires, format_args!("{expires_s}"));
            match charging::answer(&request.message, ioi) {
                Some(vector) => response.header(Name::PChargingVector, format_args!("{vector}")),
                None => response,
            }
        });
    }

    /// Lets a subscription last for so long from here on, and tells the state; zero ends it (RFC 6665 §4.2.1.4).
    fn prolong(&mut self, turn: &mut Turn<'_, Scscf>, id: SubscriptionId, expires_s: u32) {
        let after = Duration::from_secs(u64::from(expires_s));
        if expires_s == 0 {
            return self.time_out(turn, id);
        }
        let timer = turn.arm(after, Timer::Subscription(id), "subscription expiry");
        let Some(subscription) = self.subscriptions.get_mut(id) else { return turn.disarm(timer) };
        subscription.expires_at = turn.now() + after;
        if let Some(before) = subscription.timer.replace(timer) {
            turn.disarm(before);
        }
        self.notify(turn, id);
    }

    /// Our Contact in the dialog of a subscription: it comes back to the shard of the registration.
    fn contact_of_subscription(&self, turn: &Turn<'_, Scscf>, id: SubscriptionId, impu: &Impu) -> String {
        let mut payload = vec![LETTER];
        base32(id.0, SubscriptionId::BITS, &mut payload);
        // Letters and digits only.
        let payload = String::from_utf8(payload).unwrap_or_default();
        let token = turn.token_key().mint(self.home_of(turn, impu), &payload);
        let (scheme, rest) = self.config.scscf.uri.split_once(':').unwrap_or(("sip", ""));
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let rest = rest.strip_suffix(";lr").unwrap_or(rest);
        format!("{scheme}:{token}@{rest}")
    }
}
