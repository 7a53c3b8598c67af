//! SAR: an S-CSCF takes a user, keeps one or gives one up (TS 29.228 §6.1.2.1).

use crate::directory::{Directory, Located};
use crate::registration::{Registration, Server, State};
use crate::subscriber::Subscriber;
use diameter_client::cx::{
    CxResult, P_CSCF_RESTORATION_INDICATION, Saa, Sar, ScscfRestorationInfo, ServerAssignmentType,
    UserDataAlreadyAvailable,
};
use std::collections::BTreeSet;

/// Whom an SAR is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The subscription.
    pub name: String,
    /// The positions of the implicit sets, at least one.
    pub sets: Vec<usize>,
    /// The expression that the public identity was found by.
    pub wildcard: Option<String>,
}

/// Whether an HSS lets an S-CSCF keep a user who is gone (types 6 and 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepServer {
    /// The state becomes Unregistered.
    #[default]
    Yes,
    /// The answer is 2004, the state becomes Not Registered.
    No,
}

/// Finds the subscription and the sets, or what is wrong with the identities of the request.
pub fn identify(directory: &Directory, sar: &Sar) -> Result<Assigned, CxResult> {
    use ServerAssignmentType::{NoAssignment, UnregisteredUser};
    let is_deregistration = sar.assignment_type.is_deregistration();
    let count = sar.public_identities.len();
    if count > 1 && !is_deregistration {
        return Err(CxResult::AVP_OCCURS_TOO_MANY_TIMES);
    }
    let may_lack_impi =
        count > 0 && (is_deregistration || matches!(sar.assignment_type, UnregisteredUser | NoAssignment));
    let may_lack_impu = sar.user_name.is_some() && is_deregistration;
    if (count == 0 && !may_lack_impu) || (sar.user_name.is_none() && !may_lack_impi) {
        return Err(CxResult::MISSING_AVP);
    }
    let owner = match sar.user_name.as_deref() {
        Some(impi) => Some(directory.owner(impi).ok_or(CxResult::USER_UNKNOWN)?),
        None => None,
    };
    let mut located = Vec::new();
    for impu in &sar.public_identities {
        let found = directory.locate(impu).ok_or(CxResult::USER_UNKNOWN)?;
        if !matches!(sar.assignment_type, UnregisteredUser | NoAssignment)
            && !directory.is_distinct(&found, impu)
        {
            return Err(CxResult::IN_ASSIGNMENT_TYPE);
        }
        located.push(found);
    }
    match (owner, located.first()) {
        (_, Some(first)) => together(directory, sar, first, &located),
        (Some(name), None) => every_set(directory, name, sar.user_name.as_deref().unwrap_or_default()),
        (None, None) => Err(CxResult::MISSING_AVP),
    }
}

fn together(
    directory: &Directory,
    sar: &Sar,
    first: &Located,
    located: &[Located],
) -> Result<Assigned, CxResult> {
    let is_allowed =
        |found: &Located| sar.user_name.as_deref().is_none_or(|impi| directory.may_use(impi, found));
    if !located.iter().all(|found| found.name == first.name && is_allowed(found)) {
        return Err(CxResult::IDENTITIES_DONT_MATCH);
    }
    let sets: BTreeSet<usize> = located.iter().map(|found| found.set).collect();
    Ok(Assigned {
        name: first.name.clone(),
        sets: sets.into_iter().collect(),
        wildcard: first.wildcard.clone(),
    })
}

fn every_set(directory: &Directory, name: &str, impi: &str) -> Result<Assigned, CxResult> {
    let subscriber = directory.get(name).ok_or(CxResult::USER_UNKNOWN)?;
    let sets = subscriber.implicit_sets.iter().enumerate();
    let sets = sets.filter(|(_, set)| subscriber.impis_of(set).any(|allowed| allowed == impi));
    Ok(Assigned { name: name.to_owned(), sets: sets.map(|(position, _)| position).collect(), wildcard: None })
}

/// What the answer is made of beside the state.
pub struct Assignment<'a> {
    /// The subscription.
    pub subscriber: &'a Subscriber,
    /// Whom the request is about.
    pub assigned: &'a Assigned,
    /// The S-CSCF that asks.
    pub server: Server,
    /// Whether types 6 and 7 are granted.
    pub keep_server: KeepServer,
    /// Writes User-Data of a set for a private identity.
    pub user_data: &'a dyn Fn(usize, &str) -> Vec<u8>,
}

impl Assignment<'_> {
    /// Decides, and changes the state.
    pub fn answer(self, registration: &mut Registration, sar: &Sar) -> Saa {
        use ServerAssignmentType as Type;
        let is_other = registration.is_served_by_other(&self.server.name);
        let wildcarded_public_identity = self.assigned.wildcard.clone();
        let answer = match sar.assignment_type {
            Type::NoAssignment if is_other || registration.server.is_none() => {
                Saa { result: CxResult::UNABLE_TO_COMPLY, ..Saa::default() }
            }
            Type::NoAssignment => {
                Saa { restoration_infos: self.restoration(registration), ..self.profile(registration, sar) }
            }
            Type::Registration | Type::ReRegistration | Type::UnregisteredUser
                if is_other && !registration.is_reassignment_pending =>
            {
                Saa {
                    result: CxResult::IDENTITY_ALREADY_REGISTERED,
                    server_name: registration.server_name().map(str::to_owned),
                    ..Saa::default()
                }
            }
            Type::Registration | Type::ReRegistration => self.register(registration, sar),
            Type::UnregisteredUser => self.serve_unregistered(registration, sar),
            Type::AuthenticationFailure | Type::AuthenticationTimeout if !is_other => {
                self.give_up(registration, sar)
            }
            _ if is_other => Saa { result: CxResult::UNABLE_TO_COMPLY, ..Saa::default() },
            _ => self.deregister(registration, sar),
        };
        Saa { wildcarded_public_identity, ..answer }
    }

    fn register(self, registration: &mut Registration, sar: &Sar) -> Saa {
        let impi = sar.user_name.clone().unwrap_or_default();
        self.take_over(registration);
        if sar.assignment_type == ServerAssignmentType::Registration
            && sar.is_multiple_registration == Some(true)
            && self.restoration(registration).iter().any(|info| info.user_name == impi)
        {
            // Other contacts of the private identity are on record: whoever asks has to restore them before it adds one.
            let restoration_infos = self.restoration(registration);
            let result = CxResult::IN_ASSIGNMENT_TYPE;
            return Saa { result, restoration_infos, ..self.profile(registration, sar) };
        }
        for &position in &self.assigned.sets {
            let set = registration.set_mut(position);
            set.pending.remove(&impi);
            set.is_unregistered_served = false;
            let is_again = sar.assignment_type == ServerAssignmentType::ReRegistration;
            // Without any, a re-registration says that nothing of it has changed.
            let kept = set.registered.remove(&impi).flatten().filter(|_| is_again);
            set.registered.insert(impi.clone(), sar.restoration_info.clone().or(kept));
        }
        let mut restoration_infos = self.restoration(registration);
        restoration_infos.retain(|info| info.user_name != impi);
        Saa { restoration_infos, ..self.profile(registration, sar) }
    }

    /// The S-CSCF that asks is on record from here on. What another one knew of the subscription is gone with it, but for
    /// what it has left to be restored.
    fn take_over(&self, registration: &mut Registration) {
        if registration.is_served_by_other(&self.server.name) {
            for set in registration.sets.values_mut() {
                set.registered.retain(|_, restoration| restoration.is_some());
                set.is_unregistered_served = false;
                set.pending.clear();
            }
            registration.sets.retain(|_, set| set.state() != State::NotRegistered);
        }
        registration.server = Some(self.server.clone());
        registration.is_reassignment_pending = false;
    }

    fn serve_unregistered(self, registration: &mut Registration, sar: &Sar) -> Saa {
        let is_pcscf_gone = sar.sar_flags.is_some_and(|flags| flags & P_CSCF_RESTORATION_INDICATION != 0);
        self.take_over(registration);
        // A restarted S-CSCF, or the one in its place, finds its registrations again by what it left here.
        let restoration_infos = self.restoration(registration);
        if !restoration_infos.is_empty() && !is_pcscf_gone {
            let result = CxResult::IN_ASSIGNMENT_TYPE;
            return Saa { result, restoration_infos, ..self.profile(registration, sar) };
        }
        for &position in &self.assigned.sets {
            // An S-CSCF that asks this for a user whom we hold for registered has lost the registration, or the P-CSCF.
            let set = registration.set_mut(position);
            set.registered.clear();
            set.is_unregistered_served = true;
        }
        self.profile(registration, sar)
    }

    /// AUTHENTICATION_FAILURE and _TIMEOUT: the state stays, the name goes only with a user who is not registered.
    fn give_up(self, registration: &mut Registration, sar: &Sar) -> Saa {
        for &position in &self.assigned.sets {
            if let Some(impi) = &sar.user_name {
                registration.set_mut(position).pending.remove(impi);
            }
        }
        registration.tidy();
        Saa { user_name: sar.user_name.clone(), ..Saa::default() }
    }

    fn deregister(self, registration: &mut Registration, sar: &Sar) -> Saa {
        use ServerAssignmentType as Type;
        let registered =
            |position: &usize| registration.sets.get(position).map_or(0, |set| set.registered.len());
        if sar.user_name.is_none() && self.assigned.sets.iter().any(|position| registered(position) > 1) {
            // Several private identities share the public one: which of them goes?
            return Saa { result: CxResult::MISSING_AVP, ..Saa::default() };
        }
        let wants_to_keep = matches!(
            sar.assignment_type,
            Type::TimeoutDeregistrationStoreServerName | Type::UserDeregistrationStoreServerName
        );
        let is_kept = wants_to_keep && self.keep_server == KeepServer::Yes && registration.server.is_some();
        for &position in &self.assigned.sets {
            let set = registration.set_mut(position);
            match &sar.user_name {
                Some(impi) => {
                    set.registered.remove(impi);
                    set.pending.remove(impi);
                }
                None => set.registered.clear(),
            }
            if set.state() != State::Registered {
                set.is_unregistered_served = is_kept;
            }
        }
        registration.tidy();
        let result = match wants_to_keep && !is_kept {
            true => CxResult::SUCCESS_SERVER_NAME_NOT_STORED,
            false => CxResult::SUCCESS,
        };
        Saa { result, user_name: sar.user_name.clone(), ..Saa::default() }
    }

    /// SUCCESS with everything that an S-CSCF is told of a user.
    fn profile(&self, registration: &Registration, sar: &Sar) -> Saa {
        let Some(&position) = self.assigned.sets.first() else { return Saa::default() };
        let Some(set) = self.subscriber.implicit_sets.get(position) else { return Saa::default() };
        let impi =
            sar.user_name.as_deref().or_else(|| self.subscriber.impis_of(set).next()).unwrap_or_default();
        let is_wanted = sar.user_data_already_available == UserDataAlreadyAvailable::NotAvailable;
        let mut others: Vec<String> =
            self.subscriber.private_identities.iter().map(|identity| identity.impi.clone()).collect();
        if others.len() < 2 {
            others.clear();
        }
        let registered = registration.sets.get(&position).into_iter().flat_map(|set| set.registered.keys());
        Saa {
            user_name: Some(impi.to_owned()),
            user_data: is_wanted.then(|| (self.user_data)(position, impi)),
            charging_information: self.subscriber.charging.clone().filter(|_| is_wanted),
            associated_identities: others,
            associated_registered_identities: registered.filter(|other| *other != impi).cloned().collect(),
            ..Saa::default()
        }
    }

    fn restoration(&self, registration: &Registration) -> Vec<ScscfRestorationInfo> {
        let sets = self.assigned.sets.iter().filter_map(|position| registration.sets.get(position));
        sets.flat_map(|set| set.registered.values().flatten().cloned()).collect()
    }
}
