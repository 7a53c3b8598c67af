//! Calls after their 2xx: ACK, re-INVITE, UPDATE, session refresh, BYE (RFC 3261 §14 and §15, RFC 3311, RFC 4028).

use crate::call::Call;
use crate::command::{CallNumber, Ending, Notice};
use crate::incoming::{answer_to, success_extra};
use crate::media::Direction;
use crate::page::require_known_extensions;
use crate::response::{ALLOW, Extra, SDP, SUPPORTED};
use crate::session_timer::{Interval, Refresher};
use crate::ue::{Timer, Ue, Waiting};
use ambient::TimerId;
use cscf::input::Exit;
use cscf::role::Outcome;
use cscf::{Incoming, Reject, Turn};
use sip_core::dialog::{Dialog, DialogId};
use sip_core::transaction::Timing;
use sip_core::{Message, Method, Name, ResponseBuilder, Status};
use std::time::Duration;

/// Which end we were in the request that set the session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Uac,
    Uas,
}

/// What a change of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A re-INVITE with this direction; the one before it, for when it is refused.
    Direction(Direction, Direction),
    /// An UPDATE with an offer.
    Update,
    /// Keeps the session alive (RFC 4028 §7.4).
    Refresh,
}

/// A call with a confirmed dialog.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) dialog: Dialog,
    /// Whether the first 2xx has been acknowledged.
    pub(crate) is_established: bool,
    /// The user hung up before the ACK came.
    pub(crate) is_ending: bool,
    /// Whether we made the first INVITE, and so the Call-ID.
    is_caller: bool,
    allows_update: bool,
    unacknowledged: Option<Unacknowledged>,
    /// Our own re-INVITE or UPDATE without a final response.
    change: Option<Change>,
    /// A change that met another and is tried again.
    again: Option<(TimerId, Change)>,
    direction: Direction,
    agreed: Option<Interval>,
    is_refresher: bool,
    timer: Option<TimerId>,
}

/// A 2xx to INVITE that waits for its ACK.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    invite: u32,
    has_our_offer: bool,
    bytes: Vec<u8>,
    exit: Exit,
    timer: TimerId,
    interval: Duration,
    waited: Duration,
}

impl Unacknowledged {
    /// Arms the retransmission of the 2xx that was just sent to `invite`.
    pub(crate) fn new(
        turn: &mut Turn<'_, Ue>,
        call: CallNumber,
        invite: &Incoming,
        tag: &str,
        extra: &Extra,
        has_our_offer: bool,
    ) -> Unacknowledged {
        let interval = Timing::ACCESS.t1;
        let response = ResponseBuilder::for_request(&invite.message, Status::OK).to_tag(tag);
        Unacknowledged {
            invite: invite.message.cseq().map_or(0, |cseq| cseq.number),
            has_our_offer,
            bytes: extra.fill(response).build(),
            exit: Exit::Flow { flow: invite.source.flow, or: None },
            timer: turn.arm(interval, Timer::Unacknowledged(call), "ACK"),
            interval,
            waited: Duration::ZERO,
        }
    }
}

impl Session {
    /// The session that a 2xx to our INVITE makes.
    pub(crate) fn answered(dialog: Dialog, response: &Message) -> Session {
        Session::new(dialog, response, Side::Uac, None)
    }

    /// The session that our 2xx makes.
    pub(crate) fn answering(dialog: Dialog, invite: &Message, unacknowledged: Unacknowledged) -> Session {
        Session::new(dialog, invite, Side::Uas, Some(unacknowledged))
    }

    fn new(dialog: Dialog, theirs: &Message, side: Side, unacknowledged: Option<Unacknowledged>) -> Session {
        Session {
            dialog,
            is_established: side == Side::Uac,
            is_ending: false,
            is_caller: side == Side::Uac,
            allows_update: theirs.has_option(Name::Allow, b"UPDATE"),
            unacknowledged,
            change: None,
            again: None,
            direction: Direction::SendRecv,
            agreed: None,
            is_refresher: false,
            timer: None,
        }
    }

    pub(crate) fn timers(&self) -> Vec<TimerId> {
        let unacknowledged = self.unacknowledged.as_ref().map(|unacknowledged| unacknowledged.timer);
        [unacknowledged, self.again.map(|(timer, _)| timer), self.timer].into_iter().flatten().collect()
    }
}

impl Ue {
    /// A request that names a dialog of ours, or seems to.
    pub(crate) fn request_in_dialog(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        request: &Incoming,
        id: &DialogId,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let method = message.method();
        let Some(call) = self.calls.in_dialog(id) else {
            return Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "no such dialog"));
        };
        let number = call.number;
        let dialog = match &mut call.stage {
            crate::call::Stage::Calling(calling) => {
                calling.early.iter_mut().find(|early| early.dialog.id() == id).map(|early| &mut early.dialog)
            }
            crate::call::Stage::Ringing(ringing) => Some(&mut ringing.dialog),
            crate::call::Stage::Session(session) => Some(&mut session.dialog),
        };
        if dialog.is_some_and(|dialog| dialog.receive(message).is_err()) {
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "CSeq is out of order"));
        }
        match method {
            Method::Ack => {
                self.acknowledged(turn, number, message);
                Ok(())
            }
            Method::Bye => {
                turn.reply(request, Status::OK, |response| response);
                self.bye_while_ringing(turn, number);
                self.end_call(turn, number, Ending::Remote);
                Ok(())
            }
            Method::Prack => self.acknowledged_provisionally(turn, number, request),
            Method::Invite => self.changed(turn, number, request),
            Method::Update => self.changed(turn, number, request),
            Method::Message => self.paged(turn, request),
            Method::Options => {
                self.capabilities(turn, request);
                Ok(())
            }
            Method::Notify => Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "no such subscription")),
            _ => {
                Err(Reject::new(Status::METHOD_NOT_ALLOWED, "method is not supported")
                    .header(Name::Allow, ALLOW))
            }
        }
    }

    fn session(&mut self, number: CallNumber) -> Option<&mut Session> {
        self.calls.get(number).and_then(Call::session)
    }

    /// An ACK came: the 2xx that it names is not sent again.
    fn acknowledged(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber, ack: &Message) {
        let Some(call) = self.calls.get(number) else { return };
        let Some(session) = call.session() else { return };
        let invite = ack.cseq().map_or(0, |cseq| cseq.number);
        let Some(unacknowledged) = session.unacknowledged.take_if(|waiting| waiting.invite == invite) else {
            return;
        };
        turn.disarm(unacknowledged.timer);
        let is_new = !std::mem::replace(&mut session.is_established, true);
        let is_ending = session.is_ending;
        if unacknowledged.has_our_offer && !ack.body().is_empty() {
            call.remote_sdp = ack.body().to_vec();
        }
        if is_ending {
            return self.bye(turn, number, Ending::Local);
        }
        if is_new {
            let remote_sdp = call.remote_sdp.clone();
            turn.notice(Notice::Established { call: number, remote_sdp });
        }
    }

    /// No ACK yet: the 2xx again, up to 64*T1; then the call is over (RFC 3261 §13.3.1.4).
    pub(crate) fn success_again(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        let Some(session) = self.session(number) else { return };
        let Some(unacknowledged) = &mut session.unacknowledged else { return };
        unacknowledged.waited += unacknowledged.interval;
        if unacknowledged.waited >= Timing::ACCESS.t1 * 64 {
            return self.bye(turn, number, Ending::NoAck);
        }
        turn.send_raw(unacknowledged.exit, unacknowledged.bytes.clone());
        let left = Timing::ACCESS.t1 * 64 - unacknowledged.waited;
        unacknowledged.interval = (unacknowledged.interval * 2).min(Timing::ACCESS.t2).min(left);
        unacknowledged.timer = turn.arm(unacknowledged.interval, Timer::Unacknowledged(number), "ACK");
    }

    /// A re-INVITE or an UPDATE of the other end (RFC 3261 §14.2, RFC 3311 §5.2).
    fn changed(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        request: &Incoming,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let is_invite = message.method() == Method::Invite;
        let has_offer = !message.body().is_empty();
        require_known_extensions(message)?;
        let agreed = self.agree(message)?;
        let contact = format!("<{}>", self.contact_uri(turn));
        let Some(call) = self.calls.get(number) else { return Ok(()) };
        let Call { media, stage, .. } = call;
        let crate::call::Stage::Session(session) = stage else {
            if is_invite || has_offer {
                let reject =
                    Reject::new(Status::SERVER_INTERNAL_ERROR, "the first offer is not answered yet");
                return Err(reject.header(Name::RetryAfter, "5"));
            }
            let extra = success_extra(contact, None, message);
            turn.reply(request, Status::OK, |response| extra.fill(response));
            return Ok(());
        };
        if (session.change.is_some() || session.unacknowledged.is_some()) && (is_invite || has_offer) {
            return Err(Reject::new(Status::REQUEST_PENDING, "another change is under way"));
        }
        let answer = answer_to(message, media)?;
        let own_offer = (is_invite && !has_offer).then(|| media.offer());
        session.dialog.refresh_target(message);
        session.allows_update = message.has_option(Name::Allow, b"UPDATE") || session.allows_update;
        let extra = success_extra(contact, agreed.as_ref(), message).sdp(own_offer.clone().or(answer));
        turn.reply(request, Status::OK, |response| extra.fill(response));
        if is_invite {
            session.unacknowledged =
                // The INVITE has our tag already.
                Some(Unacknowledged::new(turn, number, request, "", &extra, own_offer.is_some()));
        }
        if has_offer {
            call.remote_sdp = message.body().to_vec();
            turn.notice(Notice::Changed { call: number, remote_sdp: message.body().to_vec() });
        }
        self.start_session_timer(turn, number, agreed, Side::Uas);
        Ok(())
    }

    /// The user puts a call on hold.
    pub(crate) fn hold(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
    ) -> Result<(), &'static str> {
        self.turn_to(turn, number, Direction::SendOnly)
    }

    /// The user takes a call off hold.
    pub(crate) fn resume(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
    ) -> Result<(), &'static str> {
        self.turn_to(turn, number, Direction::SendRecv)
    }

    fn turn_to(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
        direction: Direction,
    ) -> Result<(), &'static str> {
        let call = self.calls.meant(number, |call| call.session().is_some())?;
        let number = call.number;
        let before = call.session().map_or(direction, |session| session.direction);
        self.change(turn, number, Change::Direction(direction, before))
    }

    /// The user wants an UPDATE.
    pub(crate) fn update(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
    ) -> Result<(), &'static str> {
        let number = self.calls.meant(number, |call| call.session().is_some())?.number;
        self.change(turn, number, Change::Update)
    }

    pub(crate) fn refresh_session(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        if let Some(session) = self.session(number) {
            session.timer = None;
            // A change that is under way refreshes the session as well.
            let _ = self.change(turn, number, Change::Refresh);
        }
    }

    pub(crate) fn session_expired(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        if self.session(number).is_some() {
            self.bye(turn, number, Ending::SessionExpired);
        }
    }

    pub(crate) fn change_again(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        let again = self.session(number).and_then(|session| session.again.take());
        if let Some((_, change)) = again {
            let _ = self.change(turn, number, change);
        }
    }

    fn change(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        change: Change,
    ) -> Result<(), &'static str> {
        let contact = self.contact_uri(turn);
        let target = self.target();
        let call = self.calls.get(number).ok_or("no such call")?;
        let Call { media, stage, .. } = call;
        let crate::call::Stage::Session(session) = stage else { return Err("the call is not set up") };
        if session.change.is_some() || session.unacknowledged.is_some() {
            return Err("another change is under way");
        }
        let (method, has_offer) = match change {
            Change::Direction(direction, _) => {
                media.set_direction(direction);
                (Method::Invite, true)
            }
            Change::Update => (Method::Update, true),
            Change::Refresh if session.allows_update => (Method::Update, false),
            Change::Refresh => (Method::Invite, true),
        };
        let mut request = session
            .dialog
            .request(method)
            .header(Name::Contact, format_args!("<{contact}>"))
            .header(Name::Supported, SUPPORTED)
            .header(Name::Allow, ALLOW);
        if let Some(agreed) = session.agreed {
            let refresher = if session.is_refresher { Refresher::Uac } else { Refresher::Uas };
            request = request.header(Name::SessionExpires, &Interval { refresher, ..agreed }.field());
        }
        if has_offer {
            request = request.body(SDP, &media.offer());
        }
        session.change = Some(change);
        turn.originate(request.build(), target, Waiting::Change { call: number, ack: None });
        Ok(())
    }

    /// What came of a re-INVITE or UPDATE of ours.
    pub(crate) fn change_outcome(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        ack: &mut Option<Vec<u8>>,
        outcome: Outcome<'_>,
    ) {
        let target = self.target();
        let status = match outcome {
            Outcome::Response(response) => response.message.status(),
            Outcome::Timeout | Outcome::Unreachable(_) => None,
        };
        if status.is_some_and(|status| status.is_provisional()) {
            return;
        }
        if let (Outcome::Response(response), Some(true)) =
            (&outcome, status.map(|status| status.is_success()))
            && response.message.method() == Method::Invite
        {
            let is_again = ack.is_some();
            let sequence = response.message.cseq().map_or(0, |cseq| cseq.number);
            let made = match self.session(number) {
                Some(session) => Some(session.dialog.ack(sequence).build()),
                None => {
                    Dialog::of_response(&response.message).ok().map(|dialog| dialog.ack(sequence).build())
                }
            };
            if !is_again {
                *ack = made;
            }
            if let Some(ack) = ack.clone() {
                turn.send_ack(ack, target);
            }
            if is_again {
                return;
            }
        }
        let Some(session) = self.session(number) else { return };
        let Some(change) = session.change.take() else { return };
        match (status, outcome) {
            (Some(status), Outcome::Response(response)) if status.is_success() => {
                self.change_accepted(turn, number, change, &response.message);
            }
            (Some(Status::REQUEST_PENDING), _) => {
                // RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other end up to 2 s.
                let (least_ms, span) = if session.is_caller { (2100, 191) } else { (0, 201) };
                let pause = Duration::from_millis(least_ms + turn.entropy().below(span) * 10);
                session.again = Some((turn.arm(pause, Timer::ChangeAgain(number), "491"), change));
            }
            // RFC 3261 §12.2.1.2: the other end has no such dialog, or is gone.
            (Some(Status::CALL_DOES_NOT_EXIST), _) => {
                self.bye(turn, number, Ending::Protocol("the other end knows no such call"));
            }
            (Some(Status::REQUEST_TIMEOUT) | None, _) => self.bye(turn, number, Ending::SessionExpired),
            (Some(status), _) => {
                if let Change::Direction(_, before) = change
                    && let Some(call) = self.calls.get(number)
                {
                    call.media.set_direction(before);
                }
                turn.notice(Notice::ChangeRefused { call: number, status });
            }
        }
    }

    fn change_accepted(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        change: Change,
        response: &Message,
    ) {
        let Some(call) = self.calls.get(number) else { return };
        if !response.body().is_empty() {
            call.remote_sdp = response.body().to_vec();
        }
        let remote_sdp = call.remote_sdp.clone();
        if let Some(session) = call.session() {
            session.dialog.refresh_target(response);
            if let Change::Direction(direction, _) = change {
                session.direction = direction;
            }
        }
        self.start_session_timer(turn, number, Interval::of_response(response), Side::Uac);
        if change != Change::Refresh {
            turn.notice(Notice::Changed { call: number, remote_sdp });
        }
    }

    /// Arms what keeps the session, or gives it up.
    pub(crate) fn start_session_timer(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        agreed: Option<Interval>,
        side: Side,
    ) {
        let Some(session) = self.session(number) else { return };
        if let Some(timer) = session.timer.take() {
            turn.disarm(timer);
        }
        session.agreed = agreed;
        let Some(agreed) = agreed else { return };
        session.is_refresher = (agreed.refresher == Refresher::Uac) == (side == Side::Uac);
        session.timer = Some(if session.is_refresher {
            turn.arm(agreed.refresh_point(), Timer::SessionRefresh(number), "session refresh")
        } else {
            turn.arm(agreed.give_up_point(), Timer::SessionExpired(number), "session expiry")
        });
    }

    /// Sends a BYE; the call is over for us whatever comes of it (RFC 3261 §15.1.1).
    pub(crate) fn bye(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber, ending: Ending) {
        let target = self.target();
        if let Some(session) = self.session(number) {
            let bye = session.dialog.request(Method::Bye).build();
            turn.originate(bye, target, Waiting::Bye);
        }
        self.end_call(turn, number, ending);
    }
}
