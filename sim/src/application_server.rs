//! An application server that behaves as a story wants (TS 24.229 §5.7): what stands at the other end of ISC.

use cscf::context::ContextId;
use cscf::node::ClientId;
use cscf::role::Outcome;
use cscf::{Answer, Event, Incoming, Reject, Role, Target, Turn};
use sip_core::dialog::Dialog;
use sip_core::{Message, Method, Name, NameAddr, RequestBuilder, Status};
use std::collections::BTreeMap;

/// What it does with a request that it is visited by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It sends it back as it is, and stays in the dialog (TS 24.229 §5.7.4).
    Proxy,
    /// The same, with another Request-URI: it diverts.
    Divert(String),
    /// It is a back-to-back user agent (TS 24.229 §5.7.5): another dialog, with the same parties.
    BackToBack,
    /// It redirects to this URI (TS 24.229 §5.7.2).
    Redirect(String),
    /// It answers (TS 24.229 §5.7.2): a voice mail.
    Answer,
    /// It says nothing.
    Silent,
    /// It refuses.
    Refuse(Status),
}

/// What it is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// Behave otherwise from here on.
    Behave(Behaviour),
    /// Call somebody for a user (TS 24.229 §5.7.3).
    CallFor {
        /// The identity of the user.
        user: String,
        /// Whom.
        to: String,
        /// The S-CSCF, as a URI.
        by: String,
    },
}

/// The final status of a call for a user; 0 when none came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcame(pub u16);

/// What it waits for.
#[derive(Debug)]
pub enum Awaited {
    /// The answer to the other half of a request; `near` is the dialog of the first half, where one may come of it.
    Half {
        /// The first half.
        context: ContextId,
        /// Its dialog.
        near: Option<Box<Dialog>>,
    },
    /// The answer to a call for a user.
    Call,
    /// The answer to a BYE.
    Bye,
}

/// The server.
#[derive(Debug)]
pub struct ApplicationServer {
    uri: String,
    behaviour: Behaviour,
    /// By Call-ID, the other half of each dialog.
    halves: BTreeMap<Vec<u8>, Dialog>,
    /// The requests that have no answer yet, and their other halves.
    open: Vec<(ContextId, ClientId)>,
    calls: u32,
}

impl ApplicationServer {
    /// One at this URI.
    pub fn new(uri: &str, behaviour: Behaviour) -> ApplicationServer {
        ApplicationServer {
            uri: uri.to_owned(),
            behaviour,
            halves: BTreeMap::new(),
            open: Vec::new(),
            calls: 0,
        }
    }

    fn proxy(&self, turn: &mut Turn<'_, Self>, request: &Incoming, uri: Option<&str>) {
        let message = &request.message;
        let mut edits = turn.edits();
        let mut routes = message.all(Name::Route).map(|(slot, _)| slot);
        if let Some(own) = routes.next() {
            edits.remove_slot(own);
        }
        if message.to().is_ok_and(|to| to.tag().is_none()) && message.method() == Method::Invite {
            edits.push_top(Name::RecordRoute, format_args!("<{};lr>", self.uri));
        }
        if let Some(uri) = uri {
            edits.set_uri(uri);
        }
        turn.forward(request, edits, routes.next().map_or(Target::RequestUri, Target::Route));
    }

    /// The other half of a request: the same parties and body, and the way back to the S-CSCF.
    fn second_half(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) {
        let message = &request.message;
        let Some(context) = turn.context() else { return };
        let near = Dialog::of_request(message, turn.tag().as_bytes()).ok().map(Box::new);
        let from = message.from().map(|from| from.uri().to_vec()).unwrap_or_default();
        let mut half = self.new_request(message.method(), message.uri(), &from);
        for (_, route) in message.all(Name::Route).skip(1) {
            half = half.header(Name::Route, route);
        }
        for name in [Name::PAssertedIdentity, Name::PServedUser, Name::PChargingVector] {
            for (_, value) in message.all(name) {
                half = half.header(name, value);
            }
        }
        let target =
            message.all(Name::Route).nth(1).map_or(message.uri().to_vec(), |(_, route)| uri_of(route));
        let bytes =
            half.body(message.first(Name::ContentType).unwrap_or(b"text/plain"), message.body()).build();
        let client = turn.originate(bytes, Target::Uri(target), Awaited::Half { context, near });
        self.open.push((context, client));
    }

    fn new_request(&mut self, method: Method<'_>, uri: &[u8], from: &[u8]) -> RequestBuilder {
        self.calls += 1;
        let (number, from) = (self.calls, String::from_utf8_lossy(from).into_owned());
        RequestBuilder::new(method, uri)
            .header(Name::MaxForwards, "60")
            .header(Name::From, format_args!("<{from}>;tag=as{number}"))
            .header(Name::To, format_args!("<{}>", String::from_utf8_lossy(uri)))
            .header(Name::CallId, format_args!("as-{number}-{}", self.uri))
            .header(Name::CSeq, format_args!("1 {method}"))
            .header(Name::Contact, format_args!("<{}>", self.uri))
    }

    /// A request in a dialog of ours goes on in the other half of it.
    fn within_halves(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) {
        let message = &request.message;
        let ok = |turn: &mut Turn<'_, Self>| turn.reply(request, Status::OK, |response| response);
        let is_ack = message.method() == Method::Ack;
        let Some(other) = self.halves.get_mut(message.call_id()) else {
            if !is_ack {
                ok(turn);
            }
            return;
        };
        let target = other.route_set().next().map_or(other.remote_target().to_vec(), uri_of);
        if is_ack {
            return turn.send_ack(other.ack(1).build(), Target::Uri(target));
        }
        let half = other.request(message.method()).build();
        if message.method() == Method::Bye {
            let far = other.id().call_id.clone();
            self.halves.remove(&far);
            self.halves.remove(message.call_id());
            turn.originate(half, Target::Uri(target), Awaited::Bye);
            ok(turn);
        } else if let Some(context) = turn.context() {
            turn.originate(half, Target::Uri(target), Awaited::Half { context, near: None });
        }
    }

    /// A response to the second half is the response to the first.
    fn half_answered(
        &mut self,
        turn: &mut Turn<'_, Self>,
        context: ContextId,
        near: &mut Option<Box<Dialog>>,
        response: &Message,
    ) {
        let Some(status) = response.status().filter(|status| *status != Status::TRYING) else { return };
        let contact = format!("<{}>", self.uri);
        turn.reply_to(context, status, |answer| {
            let answer = answer.record_route().header(Name::Contact, contact.as_str());
            match response.first(Name::ContentType) {
                Some(kind) if !response.body().is_empty() => answer.body(kind, response.body()),
                _ => answer,
            }
        });
        if status.is_final() {
            self.open.retain(|(open, _)| *open != context);
        }
        if status.is_success()
            && response.method() == Method::Invite
            && let (Some(near), Ok(far)) = (near.take(), Dialog::of_response(response))
        {
            let (near_id, far_id) = (near.id().call_id.clone(), far.id().call_id.clone());
            self.halves.insert(near_id, far);
            self.halves.insert(far_id, *near);
        }
    }
}

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.60\r\ns=-\r\nc=IN IP4 127.0.0.60\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 0\r\n";

impl Role for ApplicationServer {
    type Waiting = Awaited;
    type Timer = ();
    type Data = ();
    type Command = Order;
    type Notice = Outcame;

    const NAME: &'static str = "as";

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        let is_within_dialog = message.to().is_ok_and(|to| to.tag().is_some());
        let is_ours = message.all(Name::Route).count() < 2;
        if is_within_dialog || message.method() == Method::Ack {
            match is_ours
                && (self.halves.contains_key(message.call_id()) || self.behaviour == Behaviour::Answer)
            {
                true => self.within_halves(turn, request),
                false => self.proxy(turn, request, None),
            }
            return Ok(());
        }
        match self.behaviour.clone() {
            Behaviour::Proxy => self.proxy(turn, request, None),
            Behaviour::Divert(uri) => self.proxy(turn, request, Some(&uri)),
            Behaviour::BackToBack => self.second_half(turn, request),
            Behaviour::Redirect(uri) => {
                let status = Status::new(302).unwrap_or(Status::OK);
                turn.reply(request, status, |response| {
                    response.header(Name::Contact, format_args!("<{uri}>"))
                });
            }
            Behaviour::Answer => {
                let contact = format!("<{}>", self.uri);
                turn.reply(request, Status::OK, |response| {
                    let response = response.record_route().header(Name::Contact, contact.as_str());
                    response.body("application/sdp", ANSWER.as_bytes())
                });
            }
            Behaviour::Silent => {}
            Behaviour::Refuse(status) => return Err(Reject::new(status, "as it was told")),
        }
        Ok(())
    }

    fn answer(
        &mut self,
        _: &mut Turn<'_, Self>,
        _: Option<&Incoming>,
        _: Awaited,
        _: Answer,
    ) -> Result<(), Reject> {
        Ok(())
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, _: &Incoming) {
        let cancelled = turn.context();
        for (_, client) in self.open.iter().filter(|(context, _)| Some(*context) == cancelled) {
            turn.cancel(*client);
        }
    }

    fn originated(
        &mut self,
        turn: &mut Turn<'_, Self>,
        _: ClientId,
        waiting: &mut Awaited,
        outcome: Outcome<'_>,
    ) {
        match (waiting, outcome) {
            (Awaited::Half { context, near }, Outcome::Response(response)) => {
                self.half_answered(turn, *context, near, &response.message);
            }
            (Awaited::Half { context, .. }, Outcome::Timeout | Outcome::Unreachable(_)) => {
                turn.reply_to(*context, Status::REQUEST_TIMEOUT, |response| response);
            }
            (Awaited::Call, Outcome::Response(response)) => {
                let Some(status) = response.message.status().filter(|status| status.is_final()) else {
                    return;
                };
                turn.notice(Outcame(status.code()));
                if status.is_success()
                    && let Ok(mut dialog) = Dialog::of_response(&response.message)
                {
                    let first = dialog.route_set().next().map_or(dialog.remote_target().to_vec(), uri_of);
                    turn.send_ack(dialog.ack(1).build(), Target::Uri(first.clone()));
                    turn.originate(dialog.request(Method::Bye).build(), Target::Uri(first), Awaited::Bye);
                }
            }
            (Awaited::Call, Outcome::Timeout | Outcome::Unreachable(_)) => turn.notice(Outcame(0)),
            (Awaited::Bye, _) => {}
        }
    }

    fn event(&mut self, turn: &mut Turn<'_, Self>, event: Event<Self>) {
        match event {
            Event::Command(Order::Behave(behaviour)) => self.behaviour = behaviour,
            Event::Command(Order::CallFor { user, to, by }) => {
                let request = self
                    .new_request(Method::Invite, to.as_bytes(), user.as_bytes())
                    .header(Name::Route, format_args!("<{by};lr;orig>"))
                    .header(Name::PServedUser, format_args!("<{user}>"))
                    .header(Name::PAssertedIdentity, format_args!("<{user}>"))
                    .body("application/sdp", ANSWER.as_bytes())
                    .build();
                turn.originate(request, Target::Uri(by.into_bytes()), Awaited::Call);
            }
            Event::FlowLost(_) | Event::Restored(_) | Event::Draining => {}
        }
    }
}

fn uri_of(route: &[u8]) -> Vec<u8> {
    NameAddr::parse(Name::Route, route).map(|route| route.uri().to_vec()).unwrap_or_default()
}
