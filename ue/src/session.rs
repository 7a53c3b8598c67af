//! Calls after their 2xx: ACK, what the other end changes, session timer, BYE (RFC 3261 §14.2 and §15, RFC 4028).

use crate::call::{Call, Stage};
use crate::change::Change;
use crate::command::{CallNumber, Ending, Notice};
use crate::incoming::{answer_to, success_extra};
use crate::media::Direction;
use crate::page::require_known_extensions;
use crate::response::{ALLOW, Extra};
use crate::session_timer::{Interval, Refresher};
use crate::ue::{Timer, Ue};
use ambient::TimerId;
use cscf::input::Exit;
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

/// A call with a confirmed dialog.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) dialog: Dialog,
    /// Whether the first 2xx has been acknowledged.
    pub(crate) is_established: bool,
    /// The user hung up before the ACK came.
    pub(crate) is_ending: bool,
    /// Whether we made the first INVITE, and so the Call-ID.
    pub(crate) is_caller: bool,
    pub(crate) allows_update: bool,
    pub(crate) unacknowledged: Option<Unacknowledged>,
    /// Our own re-INVITE or UPDATE without a final response.
    pub(crate) change: Option<Change>,
    /// A change that met another and is tried again.
    pub(crate) again: Option<(TimerId, Change)>,
    pub(crate) direction: Direction,
    pub(crate) agreed: Option<Interval>,
    pub(crate) is_refresher: bool,
    pub(crate) timer: Option<TimerId>,
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
            Stage::Calling(calling) => {
                calling.early.iter_mut().find(|early| early.dialog.id() == id).map(|early| &mut early.dialog)
            }
            Stage::Ringing(ringing) => Some(&mut ringing.dialog),
            Stage::Session(session) => Some(&mut session.dialog),
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

    pub(crate) fn session(&mut self, number: CallNumber) -> Option<&mut Session> {
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
        let contact = self.contact(turn);
        let Some(call) = self.calls.get(number) else { return Ok(()) };
        let Call { media, stage, .. } = call;
        let Stage::Session(session) = stage else {
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

    pub(crate) fn session_expired(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber) {
        if self.session(number).is_some() {
            self.bye(turn, number, Ending::SessionExpired);
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
        let (target, proof) = (self.target(), self.proof());
        if let Some(session) = self.session(number) {
            let bye = proof.on(session.dialog.request(Method::Bye));
            self.say_farewell(turn, bye, target);
        }
        self.end_call(turn, number, ending);
    }
}
