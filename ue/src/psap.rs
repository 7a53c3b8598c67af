//! A stand-in for a PSAP: answers every call for help, and tells who called, from where, and for what.
//!
//! For labs and tests: nobody is helped. It keeps a call until its BYE, and hangs up when it is told to.

use crate::media::Media;
use crate::response::{Extra, SDP};
use ambient::TimerId;
use cscf::context::ContextId;
use cscf::input::Exit;
use cscf::node::ClientId;
use cscf::{Answer, Event, Incoming, Reject, Role, Side, Target, Turn};
use sip_core::dialog::{Dialog, DialogId};
use sip_core::transaction::Timing;
use sip_core::{Message, Method, Name, NameAddr, ResponseBuilder, Status};
use std::net::SocketAddr;
use std::time::Duration;

/// The PSAP.
#[derive(Debug, Default)]
pub struct Psap {
    calls: Vec<Call>,
    last: u32,
}

/// One call.
#[derive(Debug)]
struct Call {
    number: u32,
    dialog: Dialog,
    tag: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// 180 was sent.
    Ringing { context: ContextId, invite: Box<Incoming>, extra: Extra },
    /// 200 was sent, again and again until its ACK (RFC 3261 §13.3.1.4).
    Answered { bytes: Vec<u8>, exit: Exit, timer: TimerId, interval: Duration, waited: Duration },
    /// The call stands.
    Established,
}

/// What a PSAP got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emergency {
    /// The Request-URI: the service.
    pub service: String,
    /// The asserted identities; empty for a caller that nobody knows.
    pub callers: Vec<String>,
    /// From, which anybody may have written.
    pub from: String,
    /// What the access network says: P-Access-Network-Info.
    pub access: Vec<String>,
    /// Where the location is: Geolocation (RFC 6442).
    pub geolocation: Vec<String>,
    /// The location itself: the PIDF-LO of the body, as it came.
    pub pidf: Option<String>,
}

/// What happens at a PSAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A call for help rings.
    Call(Box<Emergency>),
    /// A text for help came.
    Text(Box<Emergency>),
    /// The call stands: the caller has acknowledged the answer.
    Established,
    /// A call has ended.
    Ended,
}

/// What a PSAP can be told.
#[derive(Clone, Debug)]
pub enum Command {
    /// End every call.
    HangUp,
}

/// The timers of a PSAP, each for a call.
#[derive(Clone, Debug)]
pub enum Timer {
    /// It has rung long enough.
    Answer(u32),
    /// The answer is not acknowledged yet.
    Again(u32),
}

impl Psap {
    fn invited(&mut self, turn: &mut Turn<'_, Psap>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if self.calls.len() >= CALLS_MAX {
            return Err(Reject::new(Status::BUSY_HERE, "all lines are taken"));
        }
        let tag = turn.tag();
        let dialog = Dialog::of_request(message, tag.as_bytes()).map_err(|error| {
            Reject::new(Status::BAD_REQUEST, "INVITE makes no dialog").detail(error.to_string())
        })?;
        let Some(context) = turn.context() else { return Ok(()) };
        self.last = self.last.wrapping_add(1);
        let number = self.last;
        let own = request.source.local;
        let media = SocketAddr::new(own.ip(), RTP_PORT);
        let mut media = Media::new(media, turn.entropy().next_u64());
        let answer = match part(message.body(), b"v=0") {
            Some(offer) => media.answer(offer),
            None => Some(media.offer()),
        };
        let answer = answer.ok_or_else(|| Reject::new(Status::NOT_ACCEPTABLE_HERE, "no common codec"))?;
        let extra = Extra::for_dialog(contact(own)).header(Name::Accept, SDP);
        turn.reply(request, Status::RINGING, |response| extra.fill(response));
        turn.arm(RINGS, Timer::Answer(number), "ringing");
        turn.notice(Notice::Call(Box::new(Emergency::of(message))));
        let invite = Box::new(Incoming { message: message.clone(), source: request.source });
        let stage = Stage::Ringing { context, invite, extra: extra.sdp(Some(answer)) };
        self.calls.push(Call { number, dialog, tag, stage });
        Ok(())
    }

    fn answer_call(&mut self, turn: &mut Turn<'_, Psap>, number: u32) {
        let Some(call) = self.calls.iter_mut().find(|call| call.number == number) else { return };
        let Stage::Ringing { context, invite, extra } = &call.stage else { return };
        if !turn.reply_to(*context, Status::OK, |response| extra.fill(response)) {
            // The caller has given up.
            return self.end(turn, number);
        }
        let response = ResponseBuilder::for_request(&invite.message, Status::OK).to_tag(call.tag.as_str());
        let interval = Timing::CORE.t1;
        call.dialog.confirm();
        call.stage = Stage::Answered {
            bytes: extra.fill(response).build(),
            exit: Exit::Flow { flow: invite.source.flow, or: None },
            timer: turn.arm(interval, Timer::Again(number), "ACK"),
            interval,
            waited: Duration::ZERO,
        };
    }

    fn answer_again(&mut self, turn: &mut Turn<'_, Psap>, number: u32) {
        let Some(call) = self.calls.iter_mut().find(|call| call.number == number) else { return };
        let Stage::Answered { bytes, exit, timer, interval, waited } = &mut call.stage else { return };
        *waited += *interval;
        if *waited >= Timing::CORE.t1 * 64 {
            return self.end(turn, number);
        }
        turn.send_raw(*exit, bytes.clone());
        *interval = (*interval * 2).min(Timing::CORE.t2);
        *timer = turn.arm(*interval, Timer::Again(number), "ACK");
    }

    fn in_dialog(
        &mut self,
        turn: &mut Turn<'_, Psap>,
        request: &Incoming,
        id: &DialogId,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let Some(call) = self.calls.iter_mut().find(|call| call.dialog.id() == id) else {
            return Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "no such dialog"));
        };
        match message.method() {
            Method::Ack => {
                if let Stage::Answered { timer, .. } = call.stage {
                    turn.disarm(timer);
                    call.stage = Stage::Established;
                    turn.notice(Notice::Established);
                }
                Ok(())
            }
            Method::Bye => {
                let number = call.number;
                turn.reply(request, Status::OK, |response| response);
                self.end(turn, number);
                Ok(())
            }
            Method::Options => {
                turn.reply(request, Status::OK, |response| response);
                Ok(())
            }
            _ => {
                Err(Reject::new(Status::METHOD_NOT_ALLOWED, "method is not supported")
                    .header(Name::Allow, ALLOW))
            }
        }
    }

    fn end(&mut self, turn: &mut Turn<'_, Psap>, number: u32) {
        let Some(at) = self.calls.iter().position(|call| call.number == number) else { return };
        if let Stage::Answered { timer, .. } = self.calls.remove(at).stage {
            turn.disarm(timer);
        }
        turn.notice(Notice::Ended);
    }

    fn hang_up(&mut self, turn: &mut Turn<'_, Psap>) {
        for mut call in std::mem::take(&mut self.calls) {
            match call.stage {
                Stage::Ringing { context, .. } => {
                    turn.reply_to(context, Status::BUSY_HERE, |response| response);
                }
                Stage::Answered { timer, .. } => turn.disarm(timer),
                Stage::Established => {}
            }
            if !matches!(call.stage, Stage::Ringing { .. }) {
                let first = call.dialog.route_set().next();
                let next = match first.map(|route| NameAddr::parse(Name::Route, route)) {
                    Some(Ok(route)) => route.uri().to_vec(),
                    _ => call.dialog.remote_target().to_vec(),
                };
                let bye = call.dialog.request(Method::Bye).build();
                turn.originate(bye, Target::Uri(next), Bye);
            }
            turn.notice(Notice::Ended);
        }
    }
}

/// A PSAP waits for the answer to a BYE, and does nothing with it.
#[derive(Debug)]
pub struct Bye;

impl Role for Psap {
    type Waiting = Bye;
    type Timer = Timer;
    type Data = ();
    type Command = Command;
    type Notice = Notice;

    const NAME: &'static str = "psap";

    fn request(&mut self, turn: &mut Turn<'_, Psap>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if let Some(id) = DialogId::of_request(message) {
            return self.in_dialog(turn, request, &id);
        }
        match message.method() {
            Method::Invite => self.invited(turn, request),
            Method::Message => {
                turn.reply(request, Status::OK, |response| response);
                turn.notice(Notice::Text(Box::new(Emergency::of(message))));
                Ok(())
            }
            Method::Options => {
                turn.reply(request, Status::OK, |response| response);
                Ok(())
            }
            Method::Ack => Ok(()),
            _ => {
                Err(Reject::new(Status::METHOD_NOT_ALLOWED, "method is not supported")
                    .header(Name::Allow, ALLOW))
            }
        }
    }

    fn answer(
        &mut self,
        _: &mut Turn<'_, Psap>,
        _: Option<&Incoming>,
        _: Bye,
        _: Answer,
    ) -> Result<(), Reject> {
        Ok(())
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Psap>, request: &Incoming) {
        let call_id = request.message.call_id();
        let ringing = self.calls.iter().find(|call| match &call.stage {
            Stage::Ringing { invite, .. } => invite.message.call_id() == call_id,
            Stage::Answered { .. } | Stage::Established => false,
        });
        if let Some(number) = ringing.map(|call| call.number) {
            self.end(turn, number);
        }
    }

    fn event(&mut self, turn: &mut Turn<'_, Psap>, event: Event<Psap>) {
        if let Event::Command(Command::HangUp) = event {
            self.hang_up(turn);
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_, Psap>, timer: Timer) {
        match timer {
            Timer::Answer(number) => self.answer_call(turn, number),
            Timer::Again(number) => self.answer_again(turn, number),
        }
    }

    fn originated(&mut self, _: &mut Turn<'_, Psap>, _: ClientId, _: &mut Bye, _: cscf::role::Outcome<'_>) {}
}

impl Emergency {
    /// What a request says.
    pub fn of(message: &Message) -> Emergency {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = |name| message.all(name).map(|(_, value)| text(value)).collect();
        Emergency {
            service: text(message.uri()),
            callers: all(Name::PAssertedIdentity),
            from: message.first(Name::From).map(text).unwrap_or_default(),
            access: all(Name::PAccessNetworkInfo),
            geolocation: all(Name::Geolocation),
            pidf: part(message.body(), b"<?xml").map(text),
        }
    }
}

fn contact(own: SocketAddr) -> String {
    format!("<sip:psap@{own}>")
}

/// The part of a body that begins with this, up to the next boundary of a multipart.
fn part<'b>(body: &'b [u8], start: &[u8]) -> Option<&'b [u8]> {
    let at = body.windows(start.len()).position(|window| window == start)?;
    let rest = &body[at..];
    let boundary = rest.windows(4).position(|window| window == b"\r\n--");
    // The line end before a boundary is the boundary's.
    Some(&rest[..boundary.unwrap_or(rest.len())])
}

/// How long it rings.
const RINGS: Duration = Duration::from_secs(1);
/// Calls at a time.
const CALLS_MAX: usize = 100;
/// Nobody listens there.
const RTP_PORT: u16 = 49_170;
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE";

/// The side that a PSAP listens at.
pub const SIDE: Side = Side::Core;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_multipart_ends_at_its_boundary() {
        let body = b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio\r\n--b\r\n\r\n<?xml ?><a/>\r\n--b--\r\n";
        assert_eq!(part(body, b"v=0"), Some(&b"v=0\r\nm=audio"[..]));
        assert_eq!(part(body, b"<?xml"), Some(&b"<?xml ?><a/>"[..]));
        assert_eq!(part(b"v=0\r\n", b"v=0"), Some(&b"v=0\r\n"[..]));
        assert_eq!(part(b"hello", b"v=0"), None);
    }
}
