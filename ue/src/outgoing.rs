//! Outgoing calls until their 2xx (RFC 3261 §13.2, RFC 3262 §4, TS 24.229 §5.1.3).

use crate::call::{Call, Stage};
use crate::command::{CallNumber, Ending, Notice};
use crate::config::Fault;
use crate::initial_request::Thread;
use crate::response::SDP;
use crate::session::{Session, Side};
use crate::session_timer::{self, Interval};
use crate::ue::{Ue, Waiting};
use cscf::node::ClientId;
use cscf::role::Outcome;
use cscf::{Incoming, Turn};
use sip_core::dialog::{Dialog, DialogId};
use sip_core::{Method, Name, RequestBuilder, Status};
use std::time::Duration;

/// How many phones of the called may ring at once; the early dialog of one more is not followed.
const EARLY_MAX: usize = 16;
/// How often an INVITE asks for a longer session after a 422.
const TOO_SMALL_MAX: u8 = 2;

/// An INVITE of ours without a 2xx.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) client: ClientId,
    pub(crate) early: Vec<Early>,
    pub(crate) is_cancelled: bool,
    is_ringing: bool,
    thread: Thread,
    to: String,
    offer: Vec<u8>,
    too_small: u8,
}

/// One phone of the called that has answered provisionally.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) dialog: Dialog,
    /// The RSeq of its last reliable response.
    reliable: Option<u32>,
}

impl Ue {
    /// Starts a call.
    pub(crate) fn call(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        to: &str,
        offer: Option<Vec<u8>>,
    ) -> Result<(), &'static str> {
        if self.is_leaving() {
            return Err("de-registers once its calls have ended");
        }
        if self.calls.len() >= self.config.policy.calls_max {
            return Err("too many calls");
        }
        let number = self.calls.next_number();
        let mut media = self.new_media(turn, number);
        let offer = offer.unwrap_or_else(|| media.offer());
        let mut thread = Thread::new(turn);
        let client =
            self.invite(turn, number, &mut thread, to, &offer, self.config.policy.session_expires)?;
        let calling = Calling {
            client,
            early: Vec::new(),
            is_cancelled: false,
            is_ringing: false,
            thread,
            to: to.to_owned(),
            offer,
            too_small: 0,
        };
        let stage = Stage::Calling(Box::new(calling));
        self.calls.insert(Call { number, media, remote_sdp: Vec::new(), stage });
        turn.notice(Notice::Calling { call: number });
        Ok(())
    }

    fn invite(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        call: CallNumber,
        thread: &mut Thread,
        to: &str,
        offer: &[u8],
        session_expires: Option<Duration>,
    ) -> Result<ClientId, &'static str> {
        let contact = self.contact(turn);
        let handset = self.config.handset;
        let mut invite = self
            .initial_request(thread, Method::Invite, to)?
            .header(Name::Contact, &contact)
            .header(Name::Supported, handset.supported)
            .header(Name::Allow, handset.allow)
            .header(Name::Accept, SDP);
        for (name, value) in handset.invite {
            invite = invite.header(*name, *value);
        }
        if let Some(expires) = session_expires {
            invite = invite.header(Name::SessionExpires, format_args!("{}", expires.as_secs()));
            if expires > session_timer::SHORTEST && Some(expires) != self.config.policy.session_expires {
                // RFC 4028 §7.4: what a 422 taught us binds the rest of the way too.
                invite = invite.header(Name::MinSe, format_args!("{}", expires.as_secs()));
            }
        }
        let waiting = Waiting::Invite { call, acks: Vec::new() };
        Ok(turn.originate(handset.finish(invite.body(SDP, offer)), self.target(), waiting))
    }

    /// What came of the INVITE of a call, which may be over for us by then.
    pub(crate) fn invite_outcome(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        call: CallNumber,
        acks: &mut Vec<(DialogId, Vec<u8>)>,
        outcome: Outcome<'_>,
    ) {
        let is_cancelled = self.calling(call).is_some_and(|calling| calling.is_cancelled);
        let ending = match outcome {
            Outcome::Response(response) => match response.message.status() {
                None => return,
                Some(status) if status.is_provisional() => {
                    return self.progressed(turn, call, response, status);
                }
                Some(status) if status.is_success() => return self.answered(turn, call, acks, response),
                Some(_) if is_cancelled => Ending::Local,
                Some(Status::SESSION_INTERVAL_TOO_SMALL) if self.ask_for_longer(turn, call, response) => {
                    return;
                }
                Some(status) => {
                    let reason = String::from_utf8_lossy(response.message.reason()).into_owned();
                    Ending::Refused { status, reason }
                }
            },
            Outcome::Timeout if is_cancelled => Ending::Local,
            Outcome::Timeout => Ending::NoAnswer,
            Outcome::Unreachable(why) => Ending::Unreachable(why),
        };
        if self.calling(call).is_some() {
            self.end_call(turn, call, ending);
        }
    }

    fn calling(&mut self, number: CallNumber) -> Option<&mut Calling> {
        match &mut self.calls.get(number)?.stage {
            Stage::Calling(calling) => Some(calling),
            Stage::Ringing(_) | Stage::Session(_) => None,
        }
    }

    /// A 101 to 199: perhaps a new early dialog, perhaps one to be acknowledged, perhaps with the answer.
    fn progressed(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        response: &Incoming,
        status: Status,
    ) {
        let (target, proof, handset) = (self.target(), self.proof(), self.config.handset);
        let message = &response.message;
        let Some(call) = self.calls.get(number) else { return };
        let Stage::Calling(calling) = &mut call.stage else { return };
        if let Ok(dialog) = Dialog::of_response(message) {
            let known = calling.early.iter().position(|early| early.dialog.id() == dialog.id());
            let at = match known {
                Some(at) => at,
                None if calling.early.len() < EARLY_MAX => {
                    calling.early.push(Early { dialog, reliable: None });
                    calling.early.len() - 1
                }
                None => return,
            };
            if !message.body().is_empty() {
                call.remote_sdp = message.body().to_vec();
            }
            let early = &mut calling.early[at];
            if let Some(prack) = early.prack(message) {
                turn.originate(handset.finish(proof.on(prack)), target, Waiting::Prack);
            }
        }
        if status == Status::RINGING && !calling.is_ringing {
            calling.is_ringing = true;
            turn.notice(Notice::Ringing { call: number });
        }
    }

    /// A 2xx. The first one makes the session; from another phone, or after a CANCEL, it is acknowledged and ended
    /// (RFC 3261 §13.2.2.4).
    fn answered(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        number: CallNumber,
        acks: &mut Vec<(DialogId, Vec<u8>)>,
        response: &Incoming,
    ) {
        let message = &response.message;
        let is_faulty = self.config.policy.fault == Some(Fault::NoAck);
        let target = self.target();
        let Some(id) = DialogId::of_response(message) else {
            return self.end_call(turn, number, Ending::Protocol("2xx without a tag"));
        };
        if let Some((_, ack)) = acks.iter().find(|(known, _)| *known == id) {
            if !is_faulty {
                turn.send_ack(ack.clone(), target);
            }
            return;
        }
        let early = self.calling(number).and_then(|calling| {
            let at = calling.early.iter().position(|early| *early.dialog.id() == id)?;
            Some(calling.early.remove(at).dialog)
        });
        let dialog = match early {
            Some(mut dialog) => {
                dialog.confirmed_by(message);
                Ok(dialog)
            }
            None => Dialog::of_response(message),
        };
        let (Ok(mut dialog), Ok(cseq)) = (dialog, message.cseq()) else {
            return self.end_call(turn, number, Ending::Protocol("2xx that makes no dialog"));
        };
        let (proof, handset) = (self.proof(), self.config.handset);
        let ack = handset.finish(proof.on(dialog.ack(cseq.number)));
        if !is_faulty {
            turn.send_ack(ack.clone(), target.clone());
        }
        if acks.len() < EARLY_MAX {
            acks.push((id, ack));
        }
        let is_wanted = self.calling(number).is_some_and(|calling| !calling.is_cancelled);
        if !is_wanted {
            self.say_farewell(turn, proof.on(dialog.request(Method::Bye)), target);
            if self.calling(number).is_some() {
                self.end_call(turn, number, Ending::Local);
            }
            return;
        }
        let Some(call) = self.calls.get(number) else { return };
        if !message.body().is_empty() {
            call.remote_sdp = message.body().to_vec();
        }
        let remote_sdp = call.remote_sdp.clone();
        call.stage = Stage::Session(Box::new(Session::answered(dialog, message)));
        self.start_session_timer(turn, number, Interval::of_response(message), Side::Uac);
        turn.notice(Notice::Established { call: number, remote_sdp });
    }

    /// RFC 4028 §7.3: the INVITE again with the Min-SE of the 422; false when that leads nowhere.
    fn ask_for_longer(&mut self, turn: &mut Turn<'_, Ue>, number: CallNumber, response: &Incoming) -> bool {
        let Some(least) = session_timer::seconds(&response.message, Name::MinSe) else { return false };
        let Some(calling) = self.calling(number) else { return false };
        if calling.too_small >= TOO_SMALL_MAX {
            return false;
        }
        calling.too_small += 1;
        calling.early.clear();
        let (mut thread, to, offer) = (calling.thread.clone(), calling.to.clone(), calling.offer.clone());
        let Ok(client) = self.invite(turn, number, &mut thread, &to, &offer, Some(least)) else {
            return false;
        };
        if let Some(calling) = self.calling(number) {
            calling.client = client;
            calling.thread = thread;
        }
        true
    }
}

impl Early {
    /// The PRACK of a reliable provisional response; `None` when it is not reliable, came before, or came too early
    /// (RFC 3262 §4).
    fn prack(&mut self, response: &sip_core::Message) -> Option<RequestBuilder> {
        if !response.has_option(Name::Require, b"100rel") {
            return None;
        }
        let number = response.number(Name::RSeq).ok()??;
        if self.reliable.is_some_and(|last| number != last.wrapping_add(1)) {
            return None;
        }
        self.reliable = Some(number);
        let invite = response.cseq().ok()?.number;
        let prack = self.dialog.request(Method::Prack);
        Some(prack.header(Name::RAck, format_args!("{number} {invite} INVITE")))
    }
}
