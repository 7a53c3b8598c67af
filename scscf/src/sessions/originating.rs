//! Requests of a served user (TS 24.229 §5.4.3.2).

use super::chain::Progress;
use super::next_hop::{NextHop, next_hop};
use super::{OwnRoutes, Served, ServedCase, e164, service};
use crate::registrar::registrations::State;
use crate::role::Scscf;
use crate::sessions::token::Case;
use crate::waiting::Waiting;
use cscf::breakout::Departure;
use cscf::identity::{GlobalNumber, Impu, Number};
use cscf::query::{Query, Unresolved};
use cscf::resolve::Naptr;
use cscf::trust::{self, Outsider};
use cscf::user_data::CoreNetworkServices;
use cscf::{Failure, Incoming, LifeSign, Next, Reject, Target, Turn};
use diameter_client::cx::{CxRequest, ServerAssignmentType};
use sip_core::{Edits, Message, Name, NameAddr, Status, Uri};

impl Scscf {
    /// An initial request that a user of ours sent, or somebody on the user's behalf.
    pub(super) fn originating(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
    ) -> Result<(), Reject> {
        let impu = served_user(&request.message)?;
        let served = Served::of(ServedCase::Originating, impu, &request.message);
        let is_known = self.registrations.find(served.key()).is_some();
        match (is_known, is_service_route(&own)) {
            (true, _) => self.originate_or_ask(turn, request, served, own),
            // TS 23.380 §4.4: the HSS may have kept what is lost here; nothing of its state is to change.
            (false, true) if self.config.scscf.restoration => {
                self.fetch_profile_as(turn, served, ServerAssignmentType::NoAssignment);
                Ok(())
            }
            (false, true) => self.originate_or_ask(turn, request, served, own),
            (false, false) => {
                self.fetch_profile(turn, served);
                Ok(())
            }
        }
    }

    /// Goes on with a request, or asks its UE to register where it came by our Service-Route and nobody is registered.
    pub(super) fn originate_or_ask(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
        own: OwnRoutes,
    ) -> Result<(), Reject> {
        let state = self.registrations.find(served.key()).map(|(_, registration)| registration.state);
        if state != Some(State::Registered) && is_service_route(&own) {
            self.ask_to_register(turn, request, &own);
            return Ok(());
        }
        self.originate_for(turn, request, served, Some(own))
    }

    /// Whether a request came by the Service-Route of a registration.
    pub(super) fn is_by_service_route(&self, turn: &Turn<'_, Scscf>, request: &Incoming) -> bool {
        is_service_route(&self.own_routes(turn, &request.message))
    }

    /// Asks the HSS for the profile of a user who is not registered (TS 29.228 §6.1.2).
    pub(super) fn fetch_profile(&mut self, turn: &mut Turn<'_, Scscf>, served: Served) {
        self.fetch_profile_as(turn, served, ServerAssignmentType::UnregisteredUser);
    }

    pub(crate) fn fetch_profile_as(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        served: Served,
        asked: ServerAssignmentType,
    ) {
        let mut assignment = self.assignment(asked, None, &served.impu);
        assignment.wildcarded_public_identity =
            served.wildcard.as_ref().map(|wildcard| wildcard.as_str().to_owned());
        let request = CxRequest::Sar(assignment);
        let query = Query::Cx { request: Box::new(request), destination: self.hss(), trace: None };
        turn.query(query, Waiting::Profile { served, asked });
    }

    /// The profile is here: the request goes on. `own` are our routes in it, where they were read before.
    pub(crate) fn originate_for(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
        own: Option<OwnRoutes>,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let own = own.unwrap_or_else(|| self.own_routes(turn, message));
        let registration = self.registrations.find(served.key()).map(|(_, registration)| registration);
        if registration.is_none_or(|registration| registration.is_barred(served.key())) {
            return Err(Reject::new(Status::FORBIDDEN, "identity barred"));
        }
        self.check_media(served.key(), message)?;
        match registration.and_then(|registration| Progress::of(registration, &served)) {
            Some(progress) => self.advance(turn, request, own, progress),
            None => self.leave(turn, request, served, own),
        }
    }

    /// No application server is left: the request goes to whom it is for, once it is known who that is.
    pub(super) fn leave(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
        own: OwnRoutes,
    ) -> Result<(), Reject> {
        let suffix =
            self.config.scscf.enum_domain.as_deref().filter(|_| own.next.is_none() && own.slots.len() <= 1);
        let number = suffix.and_then(|suffix| Some((self.number(&request.message)?, suffix)));
        match number {
            Some((number, suffix)) => {
                turn.query(Query::Naptr(e164::name(&number, suffix)), Waiting::Number { served });
                Ok(())
            }
            None => self.leave_for(turn, request, served, own, Goal::Written),
        }
    }

    /// The number that a request is for, where nobody has looked it up yet.
    fn number(&self, message: &Message) -> Option<GlobalNumber> {
        let uri = message.request_uri().ok().filter(|uri| !uri.params().has(b"gr"))?;
        match self.config.scscf.numbers.number(&uri) {
            Number::Global(number) if !e164::is_looked_up(&uri) => Some(number),
            Number::Global(_) | Number::Local | Number::None => None,
        }
    }

    /// The DNS has answered: where it knows no SIP URI of the number, the number itself goes on (TS 24.229 §5.4.3.2).
    pub(crate) fn number_came(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
        records: Result<Vec<Naptr>, Unresolved>,
    ) -> Result<(), Reject> {
        if turn.data().is_cancelled {
            return Ok(());
        }
        let number = self.number(&request.message);
        let found = match (&records, number) {
            (Ok(records), Some(number)) => e164::uri(records, &number),
            (Ok(_) | Err(_), _) => None,
        };
        turn.count(
            "enum",
            match (&records, &found) {
                (Ok(_), Some(_)) => "found",
                (Ok(_), None) => "no uri",
                (Err(unresolved), _) => unresolved.name(),
            },
        );
        let own = self.own_routes(turn, &request.message);
        self.leave_for(turn, request, served, own, found.map_or(Goal::Written, Goal::Found))
    }

    /// A request has failed that left by a rule: another next hop of it is tried.
    pub(crate) fn depart_again(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        failure: &Failure<'_>,
    ) -> Result<Next, Reject> {
        let departure = turn.data().departure.take().and_then(|departure| departure.after(failure));
        let Some(further) = departure.filter(|_| !turn.data().is_cancelled) else { return Ok(Next::Collect) };
        let Some(served) = turn.data().served.take() else { return Ok(Next::Collect) };
        turn.count("breakout", "next hop silent");
        let own = self.own_routes(turn, &request.message);
        self.leave_for(turn, request, served, own, Goal::Departure(further))?;
        Ok(Next::Handled)
    }

    /// Sends a request to whom it is for.
    fn leave_for(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
        own: OwnRoutes,
        goal: Goal,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let mut edits = turn.edits();
        own.slots.iter().take(1).for_each(|slot| edits.remove_slot(*slot));
        edits.remove(message, Name::PServedUser);
        if served.case == ServedCase::Originating {
            service::assert_preferred(self.subscribed(served.key()), message, &mut edits);
        } else {
            edits.remove(message, Name::PPreferredService);
        }
        // Who asserts an identity when a call is diverted is the caller's network.
        if served.case == ServedCase::Originating {
            let asserted = Some(&served.impu).filter(|_| message.first(Name::PServedUser).is_none());
            self.complete_identity(message, asserted, &mut edits);
        }
        // The route that stands behind ours was chosen by who knows more: an application server, a border.
        let further_own = own.slots.len() > 1;
        let (target, departure) = match (&own.next, further_own) {
            (_, true) => (Target::Route(own.slots[0]), None),
            (Some(next), false) => (Target::Route(*next), None),
            (None, false) => self.towards(message, goal, &mut edits)?,
        };
        self.charge(turn, message, &mut edits);
        self.record(turn, request, &served, &mut edits)?;
        let data = turn.data();
        data.served = Some(served);
        data.open = 1;
        let branch = turn.forward(request, edits, target);
        let silence = departure.as_ref().and_then(|departure| departure.silence_max(message.method()));
        if let Some(after) = silence {
            turn.limit_silence(branch, after, LifeSign::Trying);
        }
        turn.data().departure = departure.map(Box::new);
        Ok(())
    }

    /// The services of a user, where the profile lists them.
    pub(super) fn subscribed(&self, impu: &Impu) -> Option<&CoreNetworkServices> {
        let (_, registration) = self.registrations.find(impu)?;
        registration.set.shared_services_of(impu)?.core_network_services.as_ref()
    }

    fn towards(
        &self,
        message: &Message,
        goal: Goal,
        edits: &mut Edits,
    ) -> Result<(Target, Option<Departure>), Reject> {
        let changed = match goal {
            Goal::Written => None,
            Goal::Found(uri) => Some(uri),
            Goal::Departure(departure) => return Ok((departure.leave(message, edits), Some(departure))),
        };
        if let Some(changed) = &changed {
            edits.set_uri(changed);
        }
        let uri = Uri::parse(changed.as_ref().map_or(message.uri(), |changed| changed.as_bytes()))
            .map_err(|_| Reject::new(Status::BAD_REQUEST, "malformed request-uri"))?;
        match next_hop(&uri, &self.config.home, &self.config.scscf.numbers, &self.config.bgcf.rules)? {
            NextHop::Home(canonical) => {
                if let Some(canonical) = canonical {
                    edits.set_uri(&canonical);
                }
                Ok((Target::Uri(self.config.icscf.uri.clone().into_bytes()), None))
            }
            NextHop::Foreign => {
                trust::leaving(message, Outsider::Network, edits);
                Ok((changed.map_or(Target::RequestUri, |changed| Target::Uri(changed.into_bytes())), None))
            }
            NextHop::Breakout(rule) => {
                let departure = Departure::by(rule, changed);
                Ok((departure.leave(message, edits), Some(departure)))
            }
        }
    }

    /// Names the user by both SIP and tel URI where only one is there and the profile has the other as an alias.
    /// `known` is the one that is there, where it was read before.
    pub(super) fn complete_identity(&self, message: &Message, known: Option<&Impu>, edits: &mut Edits) {
        let mut asserted = message.all(Name::PAssertedIdentity);
        let (Some((_, value)), None) = (asserted.next(), asserted.next()) else { return };
        let read = match known {
            Some(_) => None,
            None => identity(Name::PAssertedIdentity, value),
        };
        let Some(impu) = known.or(read.as_ref()) else { return };
        let companion =
            self.registrations.find(impu).and_then(|(_, registration)| registration.set.companion(impu));
        if let Some(companion) = companion {
            edits.append(Name::PAssertedIdentity, format_args!("<{companion}>"));
        }
    }
}

/// Whom a request is for, and what is known of the way.
enum Goal {
    /// As its Request-URI says.
    Written,
    /// A URI that was found for its number.
    Found(String),
    /// Another network, by the next hop of a rule.
    Departure(Departure),
}

fn is_service_route(own: &OwnRoutes) -> bool {
    own.top.and_then(|top| top.case) == Some(Case::ServiceRoute)
}

/// Who is served: P-Served-User, else the first asserted identity.
fn served_user(message: &Message) -> Result<Impu, Reject> {
    [Name::PServedUser, Name::PAssertedIdentity]
        .into_iter()
        .find_map(|name| identity(name, message.first(name)?))
        .ok_or_else(|| Reject::new(Status::FORBIDDEN, "no asserted identity"))
}

fn identity(name: Name, value: &[u8]) -> Option<Impu> {
    Impu::parse(NameAddr::parse(name, value).ok()?.uri())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    #[test]
    fn the_served_user_is_named_by_p_served_user_then_by_the_first_asserted_identity() {
        let served = |headers: &str| {
            let text = format!("INVITE sip:b@h SIP/2.0\r\nFrom: <sip:mallory@h>;tag=1\r\n{headers}\r\n");
            served_user(&Message::parse(text.into_bytes(), &Limits::default()).unwrap())
                .map(|impu| impu.as_str().to_owned())
                .map_err(|refusal| refusal.status)
        };
        let asserted = "P-Asserted-Identity: \"A\" <sip:alice@home1.net>, <tel:+4930>\r\n";
        assert_eq!(served(asserted).as_deref(), Ok("sip:alice@home1.net"));
        let both = format!("{asserted}P-Served-User: <sip:carol@home1.net>;sescase=orig\r\n");
        assert_eq!(served(&both).as_deref(), Ok("sip:carol@home1.net"));
        assert_eq!(served(""), Err(Status::FORBIDDEN));
    }
}
