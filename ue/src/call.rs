//! The calls of a UE, and how far each has come.

use crate::command::{CallNumber, Ending, Notice};
use crate::incoming::Ringing;
use crate::media::Media;
use crate::outgoing::Calling;
use crate::session::Session;
use crate::ue::{Ue, Waiting};
use ambient::TimerId;
use cscf::role::Outcome;
use cscf::{Target, Turn};
use sip_core::dialog::DialogId;
use sip_core::{RequestBuilder, Status};
use std::net::SocketAddr;

/// The first RTP port; every call takes the next even one.
const RTP_PORT_FIRST: u16 = 49_152;

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) number: CallNumber,
    pub(crate) media: Media,
    /// The other end's session description as last received.
    pub(crate) remote_sdp: Vec<u8>,
    pub(crate) stage: Stage,
}

/// How far a call has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// We sent the INVITE, no 2xx has come.
    Calling(Box<Calling>),
    /// We got the INVITE and have not answered.
    Ringing(Box<Ringing>),
    /// A 2xx was sent or received.
    Session(Box<Session>),
}

impl Call {
    fn is_in(&self, id: &DialogId) -> bool {
        match &self.stage {
            Stage::Calling(calling) => calling.early.iter().any(|early| early.dialog.id() == id),
            Stage::Ringing(ringing) => ringing.dialog.id() == id,
            Stage::Session(session) => session.dialog.id() == id,
        }
    }

    /// Whether the INVITE of this call has this Call-ID and From tag.
    fn was_invited_by(&self, call_id: &[u8], from_tag: &[u8]) -> bool {
        let id = match &self.stage {
            Stage::Calling(_) => return false,
            Stage::Ringing(ringing) => ringing.dialog.id(),
            Stage::Session(session) => session.dialog.id(),
        };
        id.call_id == call_id && id.remote_tag == from_tag
    }

    pub(crate) fn ringing(&mut self) -> Option<&mut Ringing> {
        match &mut self.stage {
            Stage::Ringing(ringing) => Some(ringing),
            Stage::Calling(_) | Stage::Session(_) => None,
        }
    }

    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.stage {
            Stage::Session(session) => Some(session),
            Stage::Calling(_) | Stage::Ringing(_) => None,
        }
    }

    fn timers(&self) -> Vec<TimerId> {
        match &self.stage {
            Stage::Calling(_) => Vec::new(),
            Stage::Ringing(ringing) => ringing.timers(),
            Stage::Session(session) => session.timers(),
        }
    }
}

/// The calls of a UE, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    last: u32,
    calls: Vec<Call>,
    /// BYEs without a final response.
    farewells: usize,
}

impl Calls {
    /// Whether the last call has ended, at the other end too.
    pub(crate) fn are_over(&self) -> bool {
        self.calls.is_empty() && self.farewells == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn get(&mut self, number: CallNumber) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.number == number)
    }

    pub(crate) fn in_dialog(&mut self, id: &DialogId) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.is_in(id))
    }

    /// Whether an INVITE with this Call-ID and From tag is known already (RFC 3261 §8.2.2.2).
    pub(crate) fn knows_invite(&self, call_id: &[u8], from_tag: &[u8]) -> bool {
        self.calls.iter().any(|call| call.was_invited_by(call_id, from_tag))
    }

    /// The call that a command means: the given one, else the newest that `fits`.
    pub(crate) fn meant(
        &mut self,
        number: Option<CallNumber>,
        fits: impl Fn(&mut Call) -> bool,
    ) -> Result<&mut Call, &'static str> {
        self.calls
            .iter_mut()
            .rev()
            .filter(|call| number.is_none_or(|number| call.number == number))
            .find_map(|call| if fits(call) { Some(call) } else { None })
            .ok_or("no such call")
    }

    pub(crate) fn next_number(&mut self) -> CallNumber {
        self.last += 1;
        CallNumber(self.last)
    }

    pub(crate) fn insert(&mut self, call: Call) {
        self.calls.push(call);
    }

    fn remove(&mut self, number: CallNumber) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.number == number)?;
        Some(self.calls.remove(at))
    }
}

impl Ue {
    /// Media for a new call.
    pub(crate) fn new_media(&self, turn: &mut Turn<'_, Ue>, number: CallNumber) -> Media {
        let (own, _) = self.ends(turn);
        let ip = self.config.contact.unwrap_or(own).ip();
        let port = RTP_PORT_FIRST + (number.0 % 4096) as u16 * 2;
        Media::new(SocketAddr::new(ip, port), turn.entropy().next_u64())
    }

    /// Forgets a call and tells the user why.
    pub(crate) fn end_call(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber, ending: Ending) {
        let Some(call) = self.calls.remove(number) else { return };
        for timer in call.timers() {
            turn.disarm(timer);
        }
        turn.notice(Notice::Ended { call: number, ending });
        self.leave(turn);
    }

    /// Sends a BYE.
    pub(crate) fn say_farewell(&mut self, turn: &mut Turn<'_, Ue>, bye: RequestBuilder, target: Target) {
        self.calls.farewells += 1;
        turn.originate(self.config.handset.finish(bye), target, Waiting::Bye);
    }

    /// A BYE has its answer, or will have none.
    pub(crate) fn farewell_ended(&mut self, turn: &mut Turn<'_, Ue>, outcome: &Outcome<'_>) {
        if matches!(outcome, Outcome::Response(response) if response.message.status().is_some_and(Status::is_provisional))
        {
            return;
        }
        self.calls.farewells = self.calls.farewells.saturating_sub(1);
        self.leave(turn);
    }

    /// The user hangs up.
    pub(crate) fn hang_up(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: Option<CallNumber>,
    ) -> Result<(), &'static str> {
        let call = self.calls.meant(number, |_| true)?;
        let number = call.number;
        match &mut call.stage {
            Stage::Calling(calling) => {
                calling.is_cancelled = true;
                turn.cancel(calling.client);
                Ok(())
            }
            Stage::Ringing(_) => self.reject_call(turn, Some(number), Status::DECLINE),
            // RFC 3261 §15: the called waits for the ACK before its BYE.
            Stage::Session(session) if !session.is_established => {
                session.is_ending = true;
                Ok(())
            }
            Stage::Session(_) => {
                self.bye(turn, number, Ending::Local);
                Ok(())
            }
        }
    }

    /// Ends every call.
    pub(crate) fn end_all_calls(&mut self, turn: &mut Turn<'_, Ue>) {
        let numbers: Vec<_> = self.calls.calls.iter().map(|call| call.number).collect();
        for number in numbers {
            // Each of them is there: the list was just made.
            let _ = self.hang_up(turn, Some(number));
        }
    }
}
