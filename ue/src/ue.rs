//! The UE as a role: what is dispatched where.

use crate::authentication::Authenticator;
use crate::call::Calls;
use crate::command::{CallNumber, Command, Notice};
use crate::config::{Policy, RegistersFor, UeConfig};
use crate::handset::{ContactForm, ContactTransport, ContactUser};
use crate::registration::Registration;
use crate::security::Security;
use crate::watch::Watch;
use cscf::flow::{Hop, Side, Transport};
use cscf::node::ClientId;
use cscf::role::Outcome;
use cscf::{Answer, Event, Incoming, Reject, Role, Target, Turn};
use sip_core::dialog::DialogId;
use sip_core::{Method, Name, Status, Uri};
use std::net::SocketAddr;

/// A UE: one user, one registration, some calls.
#[derive(Debug)]
pub struct Ue {
    pub(crate) config: UeConfig,
    pub(crate) authenticator: Authenticator,
    pub(crate) registration: Registration,
    pub(crate) security: Security,
    pub(crate) calls: Calls,
    pub(crate) watch: Option<Watch>,
}

/// What waits for the outcome of a request of ours.
#[derive(Debug)]
pub enum Waiting {
    /// A REGISTER.
    Register,
    /// That the security associations of a challenge stand.
    Secured,
    /// That those which are not needed any more are gone; nobody depends on it.
    Forgotten,
    /// The INVITE of a new call. Each 2xx to it is kept with its ACK, for the 2xx may come again, and from several phones.
    Invite {
        /// The call.
        call: CallNumber,
        /// The ACKs sent.
        acks: Vec<(DialogId, Vec<u8>)>,
    },
    /// A re-INVITE, or an UPDATE with an offer or to refresh the session.
    Change {
        /// The call.
        call: CallNumber,
        /// The ACK to the 2xx of a re-INVITE, once sent.
        ack: Option<Vec<u8>>,
    },
    /// A PRACK.
    Prack,
    /// A BYE of a call that is over for us.
    Bye,
    /// A SUBSCRIBE to our registration.
    Subscribe,
    /// A MESSAGE.
    Message {
        /// The receiver.
        to: String,
    },
    /// An OPTIONS.
    Options {
        /// Whom we asked.
        to: String,
    },
}

/// The timers of a UE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The registration is to be refreshed.
    Refresh,
    /// The registration has expired.
    Expired,
    /// A failed registration is tried again.
    Retry,
    /// The subscription to our registration is to be refreshed.
    RefreshWatch,
    /// The USIM is done with the challenge.
    AnswerChallenge,
    /// The phone has rung long enough to be answered.
    RingEnds(CallNumber),
    /// A reliable 18x has not been acknowledged yet.
    Reliable(CallNumber),
    /// A 2xx has not been acknowledged yet.
    Unacknowledged(CallNumber),
    /// The session is to be refreshed.
    SessionRefresh(CallNumber),
    /// The session was not refreshed by the other end.
    SessionExpired(CallNumber),
    /// A session change that met another is tried again.
    ChangeAgain(CallNumber),
}

impl Ue {
    /// A UE that waits for its user's first command.
    pub fn new(config: UeConfig) -> Ue {
        Ue {
            authenticator: Authenticator::new(&config),
            registration: Registration::default(),
            security: Security::default(),
            calls: Calls::default(),
            watch: None,
            config,
        }
    }

    /// How the UE is configured; the policy as last set.
    pub fn config(&self) -> &UeConfig {
        &self.config
    }

    /// Whether the UE holds a registration that has not expired.
    pub fn is_registered(&self) -> bool {
        self.registration.binding().is_some()
    }

    /// The identities of the registration, the default one first; empty when not registered.
    pub fn identities(&self) -> &[String] {
        self.registration.binding().map_or(&[], |binding| &binding.identities)
    }

    /// How many calls there are, set up or not.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Behaves differently from here on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.config.policy = policy;
    }

    /// Where every request goes (TS 24.229 §5.1.2A.1): the P-CSCF.
    pub(crate) fn target(&self) -> Target {
        self.request_target()
    }

    /// Our listening point towards the P-CSCF, and the P-CSCF's: protected ones where there are associations.
    pub(crate) fn ends(&self, turn: &Turn<'_, Ue>) -> (SocketAddr, Hop) {
        self.protected_ends().unwrap_or_else(|| {
            let hop = self.config.pcscf;
            (turn.local(Side::Access, Some(hop)).address, hop)
        })
    }

    /// Our Contact, but for that of a REGISTER.
    pub(crate) fn contact(&self, turn: &Turn<'_, Ue>) -> String {
        let gruu = self.registration.binding().and_then(|binding| binding.gruu.as_ref());
        if let Some(gruu) = gruu.filter(|_| self.config.uses_gruu) {
            return format!("<{gruu}>");
        }
        let form = &self.config.handset.contact;
        form.value(&self.contact_uri(turn, form), self.config.instance_id.as_deref())
    }

    /// Our Contact URI, in one of the forms of the handset.
    pub(crate) fn contact_uri(&self, turn: &Turn<'_, Ue>, form: &ContactForm) -> String {
        let (own, hop) = self.ends(turn);
        let address = self.protected_contact().or(self.config.contact).unwrap_or(own);
        let user = match (form.user, Uri::parse(self.config.impu.as_bytes())) {
            (ContactUser::Identity, Ok(uri)) => {
                uri.user().map(|user| String::from_utf8_lossy(user).into_owned())
            }
            _ => None,
        };
        let user = user.map_or_else(String::new, |user| format!("{user}@"));
        match (hop.transport, form.transport) {
            (Transport::Tcp, ContactTransport::Named) | (Transport::Tls, _) => {
                format!("sip:{user}{address};transport={}", hop.transport)
            }
            _ => format!("sip:{user}{address}"),
        }
    }

    /// The Contact URI of a REGISTER.
    pub(crate) fn registered_contact_uri(&self, turn: &Turn<'_, Ue>) -> String {
        let uri = self.contact_uri(turn, &self.config.handset.register_contact);
        match self.config.registers_for {
            RegistersFor::Everything => uri,
            RegistersFor::Emergencies => format!("{uri};sos"),
        }
    }

    /// A token that nobody can guess, for tags and Call-IDs.
    pub(crate) fn token(turn: &mut Turn<'_, Ue>) -> String {
        format!("{:016x}", turn.entropy().next_u64())
    }

    fn command(&mut self, turn: &mut Turn<'_, Ue>, command: Command) {
        let refused = match command {
            Command::Register => return self.register(turn),
            Command::Deregister => return self.deregister(turn, false),
            Command::DeregisterAll => return self.deregister(turn, true),
            Command::SetPolicy(policy) => return self.set_policy(policy),
            Command::Call { to, offer } => self.call(turn, &to, offer).map_err(|why| ("call", why)),
            Command::Answer { call } => self.answer_call(turn, call).map_err(|why| ("answer", why)),
            Command::Reject { call, status } => {
                self.reject_call(turn, call, status).map_err(|why| ("reject", why))
            }
            Command::Hangup { call } => self.hang_up(turn, call).map_err(|why| ("hangup", why)),
            Command::Hold { call } => self.hold(turn, call).map_err(|why| ("hold", why)),
            Command::Resume { call } => self.resume(turn, call).map_err(|why| ("resume", why)),
            Command::Update { call } => self.update(turn, call).map_err(|why| ("update", why)),
            Command::Message { to, text } => self.message(turn, &to, &text).map_err(|why| ("message", why)),
            Command::Options { to } => self.options(turn, &to).map_err(|why| ("options", why)),
        };
        if let Err((command, why)) = refused {
            turn.notice(Notice::Refused { command, why });
        }
    }
}

impl Role for Ue {
    type Waiting = Waiting;
    type Timer = Timer;
    /// The call that an incoming INVITE made.
    type Data = Option<CallNumber>;
    type Command = Command;
    type Notice = Notice;

    const NAME: &'static str = "ue";
    const ASKS_RPORT: bool = true;

    fn request(&mut self, turn: &mut Turn<'_, Ue>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if let Some(set) = request.source.secured {
            self.security_used(turn, set);
        }
        if self.is_watch(message) {
            return self.watch_told(turn, request);
        }
        if let Some(id) = DialogId::of_request(message) {
            return self.request_in_dialog(turn, request, &id);
        }
        if message.to().is_ok_and(|to| to.tag().is_some()) {
            return Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "no such dialog"));
        }
        match message.method() {
            Method::Invite => self.invited(turn, request),
            Method::Message => self.paged(turn, request),
            Method::Options => {
                self.capabilities(turn, request);
                Ok(())
            }
            Method::Ack => Ok(()),
            Method::Bye | Method::Prack | Method::Update | Method::Notify => {
                Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "no such dialog"))
            }
            _ => Err(Reject::new(Status::METHOD_NOT_ALLOWED, "method is not supported")
                .header(Name::Allow, crate::response::ALLOW)),
        }
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        _: Option<&Incoming>,
        waiting: Waiting,
        answer: Answer,
    ) -> Result<(), Reject> {
        if let Waiting::Secured = waiting {
            self.associations_answered(turn, &answer);
        }
        Ok(())
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Ue>, _: &Incoming) {
        if let Some(call) = *turn.data() {
            self.caller_gave_up(turn, call);
        }
    }

    fn originated(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        _: ClientId,
        waiting: &mut Waiting,
        outcome: Outcome<'_>,
    ) {
        let begins =
            matches!(waiting, Waiting::Invite { .. } | Waiting::Message { .. } | Waiting::Options { .. });
        let response = match &outcome {
            Outcome::Response(response) if begins => Some(*response),
            _ => None,
        };
        match waiting {
            Waiting::Register => self.registered(turn, outcome),
            Waiting::Subscribe => self.watch_outcome(turn, &outcome),
            Waiting::Invite { call, acks } => self.invite_outcome(turn, *call, acks, outcome),
            Waiting::Change { call, ack } => self.change_outcome(turn, *call, ack, outcome),
            Waiting::Message { to } => self.message_outcome(turn, to, outcome),
            Waiting::Options { to } => self.options_outcome(turn, to, outcome),
            // The session does not depend on them: a call that is over stays over, a lost PRACK ends the INVITE.
            Waiting::Bye => self.farewell_ended(turn, &outcome),
            Waiting::Prack | Waiting::Secured | Waiting::Forgotten => {}
        }
        if let Some(set) = response.and_then(|response| response.source.secured) {
            self.security_used(turn, set);
        }
        if let Some(response) = response {
            self.restore(turn, &response.message);
        }
    }

    fn event(&mut self, turn: &mut Turn<'_, Ue>, event: Event<Ue>) {
        match event {
            Event::Command(command) => self.command(turn, command),
            Event::FlowLost(_) => self.flow_lost(turn),
            Event::Restored(_) | Event::Draining => {}
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_, Ue>, timer: Timer) {
        match timer {
            Timer::Refresh => self.refresh_point_came(turn),
            Timer::Expired => self.expired(turn),
            Timer::Retry => self.retry(turn),
            Timer::RefreshWatch => self.refresh_watch(turn),
            Timer::AnswerChallenge => self.send_register(turn),
            Timer::RingEnds(call) => {
                // A call that was answered or refused in the meantime rings no more.
                let _ = self.answer_call(turn, Some(call));
            }
            Timer::Reliable(call) => self.provisional_again(turn, call),
            Timer::Unacknowledged(call) => self.success_again(turn, call),
            Timer::SessionRefresh(call) => self.refresh_session(turn, call),
            Timer::SessionExpired(call) => self.session_expired(turn, call),
            Timer::ChangeAgain(call) => self.change_again(turn, call),
        }
    }
}
