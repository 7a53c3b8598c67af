//! Requests to a served user (TS 24.229 §5.4.3.3).

use super::caller_preferences;
use super::chain::Progress;
use super::device::Device;
use super::dialog::Ringing;
use super::{OwnRoutes, Served, ServedCase, service};
use crate::reg_event;
use crate::registrar::assignment::{self, Profile, Refused};
use crate::registrar::binding::{self, Binding, Order};
use crate::registrar::{saa, same_uri};
use crate::role::Scscf;
use cscf::gruu;
use cscf::identity::{Impu, Number};
use cscf::{Incoming, Reject, Target, Turn};
use diameter_client::cx::{CxAnswer, ServerAssignmentType, UserDataAlreadyAvailable};
use diameter_client::endpoint::CxFailure;
use sip_core::{Message, Method, Name, NameAddr, Status, Uri, Value};
use smallvec::SmallVec;

/// Where a request to a contact goes: along its Path, else to the contact itself.
fn target(binding: &Binding) -> Target {
    let first = binding.path().next().and_then(|path| NameAddr::parse(Name::Path, path).ok());
    Target::Uri(first.map_or(binding.uri(), |first| first.uri()).to_vec())
}

impl Scscf {
    /// An initial request to a user of ours.
    pub(super) fn terminating(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
    ) -> Result<(), Reject> {
        let impu = self.called_user(turn, &request.message)?;
        let served = Served::of(ServedCase::Terminating, impu, &request.message);
        match self.registrations.find(served.key()) {
            Some(_) => self.terminate_for(turn, request, served, Some(own)),
            None => {
                self.fetch_profile(turn, served);
                Ok(())
            }
        }
    }

    /// The identity in the Request-URI; a SIP URI that is a number is also looked for as a tel URI.
    pub(super) fn called_user(&self, turn: &Turn<'_, Scscf>, message: &Message) -> Result<Impu, Reject> {
        let uri =
            message.request_uri().map_err(|_| Reject::new(Status::BAD_REQUEST, "malformed request-uri"))?;
        let device = device_of(turn, message, &uri);
        if device.is_temporary() {
            // RFC 5627 §5.4: one that is not good any more is not found.
            let nobody = || Reject::new(Status::NOT_FOUND, "temporary gruu names nobody");
            return device.user(&self.registrations).ok_or_else(nobody);
        }
        let impu = Impu::from_uri(&uri)
            .ok_or_else(|| Reject::new(Status::NOT_FOUND, "no identity in request-uri"))?;
        if self.registrations.find(&impu).is_some() {
            return Ok(impu);
        }
        match self.config.scscf.numbers.number(&uri) {
            Number::Global(number) => Ok(Impu::parse(number.tel_uri().as_bytes()).unwrap_or(impu)),
            Number::Local | Number::None => Ok(impu),
        }
    }

    /// The HSS answered with the profile of a user who is not registered, or did not.
    pub(crate) fn profile_came(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        mut served: Served,
        asked: ServerAssignmentType,
        answer: Result<CxAnswer, CxFailure>,
    ) -> Result<(), Reject> {
        if turn.data().is_cancelled {
            return Ok(());
        }
        // Where no I-CSCF has asked before, the HSS tells it here (TS 29.228 §6.1.2.1).
        if let Ok(CxAnswer::Saa(saa)) = &answer
            && let Some(expression) = &saa.wildcarded_public_identity
        {
            served.wildcard = Impu::of_wildcard(expression);
        }
        let is_asking =
            asked == ServerAssignmentType::NoAssignment && self.is_by_service_route(turn, request);
        // Registered in the meantime: that profile is the better one.
        if self.registrations.find(served.key()).is_none() {
            match assignment::outcome(
                asked,
                served.key(),
                saa(&answer),
                UserDataAlreadyAvailable::NotAvailable,
                |xml| self.registrations.read(xml),
            ) {
                Ok(profile) => match saa(&answer).ok().filter(|saa| !saa.restoration_infos.is_empty()) {
                    // As below: it is registered at another shard.
                    Some(saa) if self.is_of_another_shard(turn, saa) => {
                        return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, ANOTHER_SHARD));
                    }
                    Some(saa) => {
                        let restored = self.restore(turn, served.key(), profile, saa)?;
                        if let Err(profile) = restored
                            && !is_asking
                        {
                            self.serve_unregistered(turn, served.key(), profile)?;
                        }
                    }
                    None if is_asking => {}
                    None => self.serve_unregistered(turn, served.key(), profile)?,
                },
                // Whatever the reason: the UE is to register anew.
                Err(_) if is_asking => {}
                Err(Refused::Again(_)) if turn.has_neighbours() => {
                    // The HSS holds this S-CSCF for the user's: another shard has the registration, and this request has
                    // overtaken the word of it. A second copy here would be given back to the HSS when it lapses.
                    return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, ANOTHER_SHARD));
                }
                Err(Refused::Again(asked)) => {
                    self.fetch_profile_as(turn, served, asked);
                    return Ok(());
                }
                Err(Refused::Undo(reject, undo)) => {
                    self.tell(turn, undo, None, served.key());
                    return Err(reject);
                }
                Err(Refused::Final(reject)) => return Err(reject),
            }
        }
        match served.case {
            ServedCase::Originating | ServedCase::Diverting => {
                let own = self.own_routes(turn, &request.message);
                self.originate_or_ask(turn, request, served, own)
            }
            ServedCase::Terminating => self.terminate_for(turn, request, served, None),
        }
    }

    /// The profile of a user who is not registered is here.
    fn serve_unregistered(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        impu: &Impu,
        profile: Profile,
    ) -> Result<(), Reject> {
        let id = self.adopt(turn, impu, profile)?;
        self.arm_expiry(turn, id);
        Ok(())
    }

    fn terminate_for(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
        own: Option<OwnRoutes>,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let unavailable = || Reject::new(Status::TEMPORARILY_UNAVAILABLE, "not registered");
        let (_, registration) = self.registrations.find(served.key()).ok_or_else(unavailable)?;
        if registration.is_barred(served.key()) {
            return Err(Reject::new(Status::NOT_FOUND, "identity barred"));
        }
        // TS 24.229 §5.4.3.3: whoever called for help is called back past all services.
        if !is_psap_callback(message) {
            self.check_media(served.key(), message)?;
        }
        if message.method() == Method::Subscribe && reg_event::is_about(message) {
            // The package of RFC 3680 is served here and nowhere else.
            return self.subscribe(turn, request, &served.impu);
        }
        // TS 24.229 §5.4.3.3: whoever called for help is called back past all services.
        match Progress::of(registration, &served).filter(|_| !is_psap_callback(message)) {
            Some(progress) => {
                let own = own.unwrap_or_else(|| self.own_routes(turn, message));
                self.advance(turn, request, own, progress)
            }
            None => self.deliver(turn, request, served),
        }
    }

    /// No application server is left: the request goes to the contacts of the user.
    pub(super) fn deliver(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: Served,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let unavailable = || Reject::new(Status::TEMPORARILY_UNAVAILABLE, "not registered");
        let (_, registration) = self.registrations.find(served.key()).ok_or_else(unavailable)?;
        let calls_back = is_psap_callback(message);
        let device = match message.request_uri() {
            Ok(uri) => device_of(turn, message, &uri),
            Err(_) => Device::Any,
        };
        let may = |binding: &&Binding| {
            (!binding.is_emergency || calls_back) && device.has(binding, self.gruu_space)
        };
        let contacts = registration.bindings.iter().filter(may);
        let has_disposition = message.first(Name::RequestDisposition).is_some();
        let order = match has_disposition {
            true if asks(message, b"sequential") => Order::Sequential,
            true if asks(message, b"parallel") => Order::Parallel,
            true | false => Order::ByPreference,
        };
        let mut wanted = match caller_preferences::has_any(message) {
            true => binding::in_order(caller_preferences::fitting(message, contacts).into_iter(), order),
            false => binding::in_order(contacts.map(|contact| (contact, 0)), order),
        };
        if has_disposition && asks(message, b"no-fork") {
            // RFC 3841 §9.1: one contact, the most wanted.
            wanted.truncate(1);
        }
        let first = binding::next_group(&mut wanted);
        if first.is_empty() {
            return Err(unavailable());
        }
        turn.data().further = wanted;
        self.fork(turn, request, &served, &first)?;
        turn.data().served = Some(served);
        Ok(())
    }

    /// Forwards to each contact of a group at once.
    fn fork(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: &Served,
        group: &[Binding],
    ) -> Result<(), Reject> {
        let message = &request.message;
        let branches = u32::try_from(group.len()).unwrap_or(u32::MAX);
        if !turn.fork_into(request, branches) {
            return Err(Reject::new(Status::MAX_BREADTH_EXCEEDED, "too many branches"));
        }
        let own = self.own_routes(turn, message);
        turn.data().open += group.len();
        for binding in group {
            let mut edits = turn.edits();
            own.slots.iter().for_each(|slot| edits.remove_slot(*slot));
            edits.set_uri(binding.uri());
            edits.set(message, Name::PCalledPartyId, InBrackets(message.uri()));
            edits.remove(message, Name::PServedUser);
            if message.has(Name::PAssertedService) {
                service::check_asserted(self.subscribed(served.key()), message, &mut edits);
            }
            for entry in binding.path() {
                edits.append(Name::Route, entry);
            }
            self.charge(turn, message, &mut edits);
            // One session for all branches: what differs between them is behind us.
            self.record(turn, request, served, &mut edits)?;
            let branch = turn.forward(request, edits, target(binding)).number;
            self.remember_branch(turn, branch, binding);
            let session = turn.data().session;
            if let Some(session) = session.and_then(|id| self.sessions.get_mut(id)) {
                session.ringing.push(Ringing { branch, binding: binding.clone() });
            }
        }
        Ok(())
    }

    /// A branch failed: when it was the last of its group, the next group is tried.
    pub(crate) fn branch_failed(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        branch: u16,
        status: Option<Status>,
    ) -> Result<(), Reject> {
        let data = turn.data();
        data.open = data.open.saturating_sub(1);
        if status.is_some_and(|status| status.code() >= 600) {
            // RFC 3261 §16.7 step 5: nobody else is asked.
            data.further.clear();
        }
        let (is_last, session) = (data.open == 0, data.session);
        if let Some(session) = session.and_then(|id| self.sessions.get_mut(id)) {
            session.ringing.retain(|ringing| ringing.branch != branch);
        }
        if status == Some(Status::FLOW_FAILED)
            && let Some(other) = self.other_flow(turn, branch)
            && let Some(served) = turn.data().served.take()
        {
            // RFC 5626 §5.3: the UE may be reached by another flow.
            turn.count("flow", "failed");
            let forked = self.fork(turn, request, &served, &[other]);
            turn.data().served = Some(served);
            return forked;
        }
        if !is_last {
            return Ok(());
        }
        // Taken for the time of the fork, which changes the rest.
        let Some(served) = turn.data().served.take() else { return Ok(()) };
        let next = self.next_standing(turn, &served);
        if !next.is_empty() {
            let forked = self.fork(turn, request, &served, &next);
            turn.data().served = Some(served);
            return forked;
        }
        turn.data().served = Some(served);
        let has_no_flow = status == Some(Status::FLOW_FAILED);
        // Whatever is answered upstream, it sets up no session.
        let Some(id) = session else {
            return if has_no_flow { Err(no_flow()) } else { Ok(()) };
        };
        let is_curtailed = self.sessions.get_mut(id).is_some_and(|session| session.is_curtailed);
        self.forget_session(turn, id);
        if is_curtailed && status == Some(Status::REQUEST_TERMINATED) && !turn.data().is_cancelled {
            // The 487 is the answer to a CANCEL of ours; the caller did not give up.
            return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "registration ended"));
        }
        if has_no_flow { Err(no_flow()) } else { Ok(()) }
    }

    /// Another flow of the UE behind a branch, the latest that was not tried; none when the caller has given up.
    fn other_flow(&self, turn: &mut Turn<'_, Scscf>, branch: u16) -> Option<Binding> {
        let data = turn.data();
        let served = data.served.as_ref().filter(|_| !data.is_cancelled)?;
        let (_, failed) = data.tried.iter().find(|(number, _)| *number == branch)?;
        let (_, registration) = self.registrations.find(served.key())?;
        let is_tried =
            |binding: &Binding| data.tried.iter().any(|(_, tried)| tried.is_same(binding, same_uri));
        let others = registration.ordinary().filter(|binding| binding::is_same_ue(binding, failed));
        let others = others.filter(|binding| !is_tried(binding));
        others.max_by_key(|binding| binding.expires_at).cloned()
    }

    /// The contact that a GRUU of ours in the Request-URI stands for, within a dialog (RFC 5627 §5.4).
    pub(super) fn contact_of_gruu(&self, turn: &Turn<'_, Scscf>, message: &Message) -> Option<Vec<u8>> {
        if !gruu::may_be(message.uri()) {
            return None;
        }
        let uri = message.request_uri().ok()?;
        let device = device_of(turn, message, &uri);
        if device == Device::Any {
            return None;
        }
        let impu = self.called_user(turn, message).ok()?;
        let (_, registration) = self.registrations.find(&impu)?;
        let its = registration.ordinary().filter(|binding| device.has(binding, self.gruu_space));
        its.max_by_key(|binding| binding.expires_at).map(|binding| binding.uri().to_vec())
    }

    /// The next group of contacts, without those whose registration has ended since the request came.
    fn next_standing(&self, turn: &mut Turn<'_, Scscf>, served: &Served) -> SmallVec<[Binding; 1]> {
        let further = &mut turn.data().further;
        if further.is_empty() {
            return SmallVec::new();
        }
        let standing = self.registrations.find(served.key()).map_or(&[][..], |(_, found)| &found.bindings);
        further.retain(|binding| standing.iter().any(|stands| stands.is_same(binding, same_uri)));
        binding::next_group(further)
    }
}

const ANOTHER_SHARD: &str = "registered at another shard";

/// The device that a Request-URI names.
fn device_of<'u>(turn: &Turn<'_, Scscf>, message: &Message, uri: &Uri<'u>) -> Device<'u> {
    if gruu::may_be(message.uri()) { Device::of(uri, turn.token_key()) } else { Device::Any }
}

/// RFC 5626 §5.3: a 430 is for whoever knows other flows.
fn no_flow() -> Reject {
    Reject::new(Status::TEMPORARILY_UNAVAILABLE, "no flow to the UE is left")
}

/// A URI as a name-addr.
struct InBrackets<'a>(&'a [u8]);

impl Value for InBrackets<'_> {
    fn write_to(self, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.0);
        out.push(b'>');
    }
}

/// Whether a request comes from a PSAP that was called for help (RFC 7090), which a trusted element says alone.
fn is_psap_callback(message: &Message) -> bool {
    message.first(Name::Priority).is_some_and(|priority| priority.eq_ignore_ascii_case(b"psap-callback"))
}

/// Whether Request-Disposition asks for `directive` (RFC 3841 §9.1).
fn asks(message: &Message, directive: &[u8]) -> bool {
    message.option_tags(Name::RequestDisposition).any(|asked| asked.eq_ignore_ascii_case(directive))
}
