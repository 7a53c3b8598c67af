//! Incoming calls until their 2xx (RFC 3261 §13.3, RFC 3262 §3, TS 24.229 §5.1.4).

use crate::call::{Call, Stage};
use crate::command::{CallNumber, Ending, Notice};
use crate::config::{Answering, Reliable};
use crate::page::{require_known_extensions, sender};
use crate::response::{ALLOW, Extra, SDP, SUPPORTED};
use crate::session::{Session, Side};
use crate::session_timer::{Interval, Refresher};
use crate::ue::{Timer, Ue};
use ambient::TimerId;
use cscf::context::ContextId;
use cscf::{Incoming, Reject, Turn};
use sip_core::dialog::Dialog;
use sip_core::transaction::Timing;
use sip_core::{Message, Name, Status};
use std::time::Duration;

/// An INVITE that we have not answered.
#[derive(Debug)]
pub(crate) struct Ringing {
    pub(crate) dialog: Dialog,
    context: ContextId,
    /// The INVITE, for its 2xx is built again for each retransmission.
    invite: Incoming,
    tag: String,
    /// The answer to its offer; `None`: it had none, and the 2xx carries ours.
    answer: Option<Vec<u8>>,
    agreed: Option<Interval>,
    rings: Option<TimerId>,
    provisional: Option<Provisional>,
}

impl Ringing {
    pub(crate) fn timers(&self) -> Vec<TimerId> {
        self.rings.into_iter().chain(self.provisional.as_ref().map(|provisional| provisional.timer)).collect()
    }
}

/// A reliable 180 that waits for its PRACK.
#[derive(Debug)]
struct Provisional {
    number: u32,
    timer: TimerId,
    interval: Duration,
    waited: Duration,
}

impl Provisional {
    /// What makes a 180 reliable.
    fn extra(&self, contact: String) -> Extra {
        Extra::for_dialog(contact)
            .header(Name::Allow, ALLOW)
            .header(Name::Require, "100rel")
            .header(Name::RSeq, self.number.to_string())
    }
}

impl Ue {
    /// An INVITE outside of any dialog.
    pub(crate) fn invited(&mut self, turn: &mut Turn<'_, Ue>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        require_known_extensions(message)?;
        let from_tag = message.from().ok().and_then(|from| from.tag()).unwrap_or_default();
        if self.calls.knows_invite(message.call_id(), from_tag) {
            return Err(Reject::new(Status::LOOP_DETECTED, "the same INVITE came by another way"));
        }
        if let Answering::Refuse(status) = self.config.policy.answering {
            return Err(Reject::new(status, "the user takes no calls"));
        }
        if self.is_leaving() {
            return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "the user is about to leave"));
        }
        if self.calls.len() >= self.config.policy.calls_max {
            return Err(Reject::new(Status::BUSY_HERE, "the user is busy"));
        }
        let agreed = self.agree(message)?;
        let number = self.calls.next_number();
        let mut media = self.new_media(turn, number);
        let answer = answer_to(message, &mut media)?;
        let tag = turn.tag();
        let dialog = Dialog::of_request(message, tag.as_bytes()).map_err(|error| {
            Reject::new(Status::BAD_REQUEST, "INVITE makes no dialog").detail(error.to_string())
        })?;
        // A server transaction is open while its hook runs.
        let Some(context) = turn.context() else { return Ok(()) };
        *turn.data() = Some(number);
        let wants_reliable = message.has_option(Name::Require, b"100rel")
            || self.config.policy.reliable == Reliable::WhenSupported
                && message.has_option(Name::Supported, b"100rel");
        let provisional = wants_reliable.then(|| Provisional {
            // RFC 3262 §3: 1 to 2^31 - 1, by chance.
            number: 1 + turn.entropy().below(0x3fff_ffff) as u32,
            timer: turn.arm(Timing::ACCESS.t1, Timer::Reliable(number), "PRACK"),
            interval: Timing::ACCESS.t1,
            waited: Duration::ZERO,
        });
        let rings = match self.config.policy.answering {
            Answering::After(time) => Some(turn.arm(time, Timer::RingEnds(number), "ringing")),
            Answering::Manual | Answering::Refuse(_) => None,
        };
        let contact = self.contact(turn);
        let extra = match &provisional {
            Some(provisional) => provisional.extra(contact),
            None => Extra::for_dialog(contact).header(Name::Allow, ALLOW),
        };
        turn.reply(request, Status::RINGING, |response| extra.fill(response));
        let called = message.name_addr(Name::PCalledPartyId).or_else(|_| message.to());
        turn.notice(Notice::IncomingCall {
            call: number,
            from: sender(message),
            called: called
                .map_or_else(|_| String::new(), |to| String::from_utf8_lossy(to.uri()).into_owned()),
        });
        let remote_sdp = message.body().to_vec();
        let invite = Incoming { message: message.clone(), source: request.source };
        let ringing = Ringing { dialog, context, invite, tag, answer, agreed, rings, provisional };
        let stage = Stage::Ringing(Box::new(ringing));
        self.calls.insert(Call { number, media, remote_sdp, stage });
        Ok(())
    }

    /// The session interval for a request of the other end, or the 422 (RFC 4028 §9).
    pub(crate) fn agree(&self, request: &Message) -> Result<Option<Interval>, Reject> {
        let policy = &self.config.policy;
        Interval::of_request(request, policy.min_se, policy.session_expires).map_err(|least| {
            Reject::new(Status::SESSION_INTERVAL_TOO_SMALL, "session interval is too small")
                .header(Name::MinSe, least.as_secs().to_string())
        })
    }

    /// The user, or the policy, answers: the 2xx, again and again until its ACK (RFC 3261 §13.3.1.4).
    pub(crate) fn answer_call(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
    ) -> Result<(), &'static str> {
        let contact = self.contact(turn);
        let call = self.calls.meant(number, |call| call.ringing().is_some())?;
        let number = call.number;
        let has_offer = call.ringing().is_some_and(|ringing| ringing.answer.is_some());
        let own_offer = if has_offer { None } else { Some(call.media.offer()) };
        let Some(ringing) = call.ringing() else { return Err("no such call") };
        let extra = success_extra(contact, ringing.agreed.as_ref(), &ringing.invite.message)
            .sdp(own_offer.clone().or_else(|| ringing.answer.clone()));
        if !turn.reply_to(ringing.context, Status::OK, |response| extra.fill(response)) {
            return Err("the caller has given up");
        }
        for timer in ringing.timers() {
            turn.disarm(timer);
        }
        let again = crate::session::Unacknowledged::new(
            turn,
            number,
            &ringing.invite,
            &ringing.tag,
            &extra,
            own_offer.is_some(),
        );
        ringing.dialog.confirm();
        let agreed = ringing.agreed;
        let session = Session::answering(ringing.dialog.clone(), &ringing.invite.message, again);
        call.stage = Stage::Session(Box::new(session));
        self.start_session_timer(turn, number, agreed, Side::Uas);
        Ok(())
    }

    /// The user refuses.
    pub(crate) fn reject_call(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
        status: Status,
    ) -> Result<(), &'static str> {
        let call = self.calls.meant(number, |call| call.ringing().is_some())?;
        let number = call.number;
        let Some(ringing) = call.ringing() else { return Err("no such call") };
        if status.code() < 300 {
            return Err("not a refusal");
        }
        turn.reply_to(ringing.context, status, |response| response);
        self.end_call(turn, number, Ending::Local);
        Ok(())
    }

    /// A CANCEL came; the node answers the INVITE with 487.
    pub(crate) fn caller_gave_up(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        if self.calls.get(number).is_some_and(|call| call.ringing().is_some()) {
            self.end_call(turn, number, Ending::Cancelled);
        }
    }

    /// The other end ended the early dialog by BYE: its INVITE is answered with 487 (RFC 3261 §15.1.2).
    pub(crate) fn bye_while_ringing(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        if let Some(ringing) = self.calls.get(number).and_then(Call::ringing) {
            turn.reply_to(ringing.context, Status::REQUEST_TERMINATED, |response| response);
            self.end_call(turn, number, Ending::Cancelled);
        }
    }

    /// No PRACK yet: the 180 again, with a doubled interval; after 64*T1 the call is refused (RFC 3262 §3).
    pub(crate) fn provisional_again(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        let contact = self.contact(turn);
        let Some(ringing) = self.calls.get(number).and_then(Call::ringing) else { return };
        let Some(provisional) = &mut ringing.provisional else { return };
        provisional.waited += provisional.interval;
        if provisional.waited >= Timing::ACCESS.t1 * 64 {
            turn.reply_to(ringing.context, Status::SERVER_TIMEOUT, |response| response);
            return self.end_call(turn, number, Ending::Protocol("the caller sent no PRACK"));
        }
        provisional.interval = (provisional.interval * 2).min(Timing::ACCESS.t1 * 64 - provisional.waited);
        provisional.timer = turn.arm(provisional.interval, Timer::Reliable(number), "PRACK");
        let extra = provisional.extra(contact);
        turn.reply_to(ringing.context, Status::RINGING, |response| extra.fill(response));
    }

    /// A PRACK came: its RAck names our 180, or nothing that we know (RFC 3262 §3).
    pub(crate) fn acknowledged_provisionally(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        request: &Incoming,
    ) -> Result<(), Reject> {
        let unknown = || Reject::new(Status::CALL_DOES_NOT_EXIST, "PRACK for no provisional response");
        let ringing = self.calls.get(number).and_then(Call::ringing).ok_or_else(unknown)?;
        let invite = ringing.invite.message.cseq().map_err(|_| unknown())?.number;
        let provisional = ringing.provisional.as_ref().ok_or_else(unknown)?;
        let rack = request.message.first(Name::RAck).unwrap_or_default();
        let words: Vec<_> =
            rack.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
        let expected = [provisional.number.to_string(), invite.to_string(), "INVITE".to_owned()];
        if words.len() != 3
            || !words.iter().zip(&expected).all(|(word, expected)| *word == expected.as_bytes())
        {
            return Err(unknown());
        }
        turn.disarm(provisional.timer);
        ringing.provisional = None;
        turn.reply(request, Status::OK, |response| response);
        Ok(())
    }
}

/// The session description that answers a request's offer; `Ok(None)` when it has no body.
pub(crate) fn answer_to(
    request: &Message,
    media: &mut crate::media::Media,
) -> Result<Option<Vec<u8>>, Reject> {
    if request.body().is_empty() {
        return Ok(None);
    }
    let kind = request.first(Name::ContentType).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(SDP.as_bytes()) {
        return Err(
            Reject::new(Status::UNSUPPORTED_MEDIA_TYPE, "only SDP is understood").header(Name::Accept, SDP)
        );
    }
    match media.answer(request.body()) {
        Some(answer) => Ok(Some(answer)),
        None => Err(Reject::new(Status::NOT_ACCEPTABLE_HERE, "no common codec")),
    }
}

/// What a 2xx to INVITE or UPDATE carries.
pub(crate) fn success_extra(contact: String, agreed: Option<&Interval>, request: &Message) -> Extra {
    let extra = Extra::for_dialog(contact).header(Name::Allow, ALLOW).header(Name::Supported, SUPPORTED);
    match agreed {
        Some(agreed) => {
            let extra = extra.header(Name::SessionExpires, agreed.field());
            let knows_timers = request.has_option(Name::Supported, b"timer");
            // RFC 4028 §9: the refresher must understand what it is told.
            if agreed.refresher == Refresher::Uac && knows_timers {
                extra.header(Name::Require, "timer")
            } else {
                extra
            }
        }
        None => extra,
    }
}
