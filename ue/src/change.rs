//! Changes of a session that this end makes: hold, UPDATE, session refresh (RFC 3261 §14.1, RFC 3311, RFC 4028 §7.4).

use crate::call::{Call, Stage};
use crate::command::{CallNumber, Ending, Notice};
use crate::media::Direction;
use crate::response::SDP;
use crate::session::Side;
use crate::session_timer::{Interval, Refresher};
use crate::ue::{Timer, Ue, Waiting};
use cscf::Turn;
use cscf::role::Outcome;
use sip_core::dialog::Dialog;
use sip_core::{Message, Method, Name, Status};
use std::time::Duration;

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

impl Ue {
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
        let contact = self.contact(turn);
        let handset = self.config.handset;
        let (target, proof) = (self.target(), self.proof());
        let call = self.calls.get(number).ok_or("no such call")?;
        let Call { media, stage, .. } = call;
        let Stage::Session(session) = stage else { return Err("the call is not set up") };
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
            .header(Name::Contact, &contact)
            .header(Name::Supported, handset.supported)
            .header(Name::Allow, handset.allow);
        if let Some(agreed) = session.agreed {
            let refresher = if session.is_refresher { Refresher::Uac } else { Refresher::Uas };
            request = request.header(Name::SessionExpires, &Interval { refresher, ..agreed }.field());
        }
        if has_offer {
            request = request.body(SDP, &media.offer());
        }
        session.change = Some(change);
        let request = handset.finish(proof.on(request));
        turn.originate(request, target, Waiting::Change { call: number, ack: None });
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
        let (target, proof, handset) = (self.target(), self.proof(), self.config.handset);
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
                Some(session) => Some(session.dialog.ack(sequence)),
                None => Dialog::of_response(&response.message).ok().map(|dialog| dialog.ack(sequence)),
            };
            let made = made.map(|ack| handset.finish(proof.on(ack)));
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
}
