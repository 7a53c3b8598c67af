//! Security associations follow a registration (TS 33.203 §7.3, §7.4, TS 24.229 §5.2.2): set up with the challenge, taken
//! into use with the 200, replaced by a newer set, and ended with the last registration of the UE, after the answer to its
//! de-registration.
//!
//! There is no lifetime of their own: a set lasts as long as what is registered by it.

use crate::admission::{self, Absence, Proposal};
use crate::agreement_record;
use crate::agreements::{Agreement, State};
use crate::kept::Kept;
use crate::{Pcscf, Timer, Waiting, credentials, nat, registration};
use cscf::config::IpsecSection;
use cscf::query::{Record, Secure};
use cscf::{Answer, Hop, Incoming, Query, Reject, Source, Target, Turn};
use ipsec::{Encapsulation, Ends, Fingerprint, Keys, Mode, SaSet, Spi};
use sip_core::{Message, Status};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a UE may take over a challenge: reg-await-auth (TS 24.229 §7.8).
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
/// How long a set that nothing new goes by serves what is under way: 64 T1 of the access (TS 24.229 §7.7).
const LINGERS: Duration = Duration::from_secs(128);
/// How long an older set waits for the UE to use the newer one.
const REPLACED_LINGERS: Duration = Duration::from_secs(600);
/// Sets for each registration that may stand: the current one, one on trial, one on its way out, and a reserve.
const SETS_PER_REGISTRATION: usize = 4;

/// A challenge is on its way to a UE that offered IPsec: sets the associations up first, and takes the keys out.
///
/// False when nothing can be set up, for want of keys or of another port: the challenge is passed as it is.
pub fn challenged(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    response: &Incoming,
    proposal: &Proposal,
) -> Result<bool, Reject> {
    let Some([ck, ik]) = credentials::keys(&response.message) else {
        tracing::warn!("a challenge without CK and IK: its UE asked for security associations in vain");
        turn.count("not_secured", "challenge without CK and IK");
        return Ok(false);
    };
    let previous = proposal.previous.and_then(|previous| pcscf.agreements.get(previous));
    if previous.is_some_and(|previous| previous.set.peer_client_port == proposal.ends.port_c) {
        // TS 33.203 §7.4: port-uc changes. Two sets with the same cannot stand, and this one carries the challenge.
        tracing::warn!("a UE asks for new security associations with the port-c of those that it has");
        turn.count("not_secured", "port-c did not change");
        return Ok(false);
    }
    let config = pcscf.config.clone();
    let peer_ip = request.source.remote.ip();
    // TS 33.203 §7.3.1.4: what is left of an attempt that was not finished goes.
    let is_unfinished =
        |agreement: &&Agreement| agreement.state == State::Awaiting && agreement.impi == proposal.impi;
    let unfinished: Vec<Spi> =
        pcscf.agreements.at(peer_ip).filter(is_unfinished).map(Agreement::name).collect();
    unfinished.into_iter().for_each(|name| end_now(pcscf, turn, name));
    make_way(pcscf, turn, proposal, peer_ip)?;
    if pcscf.agreements.len() >= config.pcscf.registrations_max.saturating_mul(SETS_PER_REGISTRATION) {
        return Err(Reject::new(Status::SERVICE_UNAVAILABLE, "too many security associations"));
    }
    let ue = SocketAddr::new(peer_ip, proposal.ends.port_s);
    let (client_port, freed) = pcscf
        .agreements
        .client_port(&config.ipsec.client_ports, ue)
        .ok_or_else(|| Reject::new(Status::SERVER_INTERNAL_ERROR, "no protected client port is left"))?;
    freed.into_iter().for_each(|name| end_now(pcscf, turn, name));
    let (spi_s, spi_c) = draw(pcscf, turn, proposal);
    let own = Ends { spi_c, spi_s, port_c: client_port, port_s: config.ipsec.server_port };
    let server = admission::security_server(&config.ipsec, (proposal.mode, proposal.algorithms), own);
    let server = Fingerprint::of(server.iter().map(|value| value.as_bytes())).ok_or_else(|| {
        Reject::new(Status::SERVER_INTERNAL_ERROR, "our own Security-Server cannot be read")
    })?;
    let set = SaSet {
        own_ip: request.source.local.ip(),
        peer_ip,
        own_client_port: own.port_c,
        own_server_port: own.port_s,
        peer_client_port: proposal.ends.port_c,
        peer_server_port: proposal.ends.port_s,
        own_spi_c: spi_c,
        own_spi_s: spi_s,
        peer_spi_c: proposal.ends.spi_c,
        peer_spi_s: proposal.ends.spi_s,
        algorithms: proposal.algorithms,
        keys: Keys::derive(proposal.algorithms, *ck, *ik),
        encapsulation: encapsulation(&config.ipsec, proposal.mode, request),
        lifetime: ipsec::association::LIFETIME_MAX,
    };
    tell_of_nat(turn, &config.ipsec, proposal, request);
    let timer = turn.arm(REG_AWAIT_AUTH, Timer::AgreementEnds(spi_s), "reg-await-auth");
    let query = Query::Secure(Secure::Install(Box::new(set.clone())));
    pcscf.agreements.insert(Agreement {
        set: Box::new(set),
        impi: proposal.impi.clone(),
        client: proposal.client,
        server,
        previous: proposal.previous,
        nat: proposal.nat,
        since: turn.wall(),
        state: State::Awaiting,
        timer: Some(timer),
    });
    let response = Incoming { message: response.message.clone(), source: response.source };
    turn.query(query, Waiting::Installed { response, set: spi_s });
    Ok(true)
}

/// How the ESP of a new set travels. Within a tunnel a UE is known by the address of its NAT, which it learns from the Via of
/// its challenge (TS 24.229 §F.2.1.2.2).
fn encapsulation(config: &IpsecSection, mode: Mode, request: &Incoming) -> Encapsulation {
    let (own, peer) = (request.source.local.ip(), request.source.remote.ip());
    match (mode, config.tunnel_port()) {
        (Mode::UdpTunnel, Some(port)) => Encapsulation::UdpTunnel {
            local: SocketAddr::new(own, port),
            // What the NAT makes of the UE's port, its first packet shows.
            remote: SocketAddr::new(peer, 0),
        },
        (Mode::UdpTunnel | Mode::Transport, _) => Encapsulation::Transport,
    }
}

/// Names a UE behind a NAT as such: most of those whose ESP never comes are.
fn tell_of_nat(turn: &mut Turn<'_, Pcscf>, config: &IpsecSection, proposal: &Proposal, request: &Incoming) {
    let has_tunnels = config.tunnel_port().is_some();
    let Some((counted, outlook)) = nat::outlook(proposal.mode, proposal.nat.is_some(), has_tunnels) else {
        return;
    };
    turn.count("behind_nat", counted);
    let claimed = proposal.nat.unwrap_or(request.source.remote.ip());
    let remote = request.source.remote;
    match proposal.mode {
        Mode::UdpTunnel => tracing::info!(%claimed, %remote, "a UE is behind a NAT: {outlook}"),
        Mode::Transport => tracing::warn!(%claimed, %remote, "a UE is behind a NAT: {outlook}"),
    }
}

/// Ends what has the selectors of the new set: a phone that restarted may come with the ports that it had.
///
/// The user of such a set may replace it; anybody else is refused.
fn make_way(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    proposal: &Proposal,
    peer_ip: IpAddr,
) -> Result<(), Reject> {
    let clashes = |agreement: &&Agreement| {
        agreement.set.peer_client_port == proposal.ends.port_c
            || (agreement.set.peer_server_port == proposal.ends.port_s && agreement.impi != proposal.impi)
    };
    let clashing: Vec<(Spi, bool)> = pcscf
        .agreements
        .at(peer_ip)
        .filter(clashes)
        .map(|agreement| (agreement.name(), agreement.impi == proposal.impi))
        .collect();
    if clashing.iter().any(|(_, is_own)| !is_own) {
        return Err(Reject::new(
            Status::FORBIDDEN,
            "protected port is in use by another user of this address",
        ));
    }
    for (name, _) in clashing {
        turn.count("security_association_ended", "its UE came with the same port-c again");
        end_now(pcscf, turn, name);
    }
    Ok(())
}

/// Two SPIs that no other set of any shard has: the bucket of the UE's address stands in them, which one shard owns.
fn draw(pcscf: &Pcscf, turn: &mut Turn<'_, Pcscf>, proposal: &Proposal) -> (Spi, Spi) {
    let bucket = turn.bucket(proposal.impi.as_bytes()).number();
    loop {
        let random = (turn.entropy().next_u64() as u32) & 0x7ffff;
        let number = random << 13 | u32::from(bucket & 0xfff) << 1;
        let (Some(spi_s), Some(spi_c)) = (Spi::new(number), Spi::new(number | 1)) else { continue };
        let of_ue = [proposal.ends.spi_c, proposal.ends.spi_s];
        if pcscf.agreements.get(spi_s).is_none() && !of_ue.contains(&spi_s) && !of_ue.contains(&spi_c) {
            return (spi_s, spi_c);
        }
    }
}

/// The back end has answered: the challenge goes on, with what the UE needs to use the associations.
pub fn installed(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    response: &Incoming,
    set: Spi,
    answer: Answer,
) -> Result<(), Reject> {
    let Some(agreement) = pcscf.agreements.get(set) else {
        return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "security association has ended"));
    };
    let why = match answer {
        Answer::Secured(Ok(())) => {
            let SaSet { own_spi_c, own_spi_s, own_client_port, own_server_port, .. } = *agreement.set;
            let own =
                Ends { spi_c: own_spi_c, spi_s: own_spi_s, port_c: own_client_port, port_s: own_server_port };
            let config = &pcscf.config.ipsec;
            let chosen = (agreement.set.encapsulation.mode(), agreement.set.algorithms);
            let listed = admission::security_server(config, chosen, own);
            tracing::info!(%set, ue = %agreement.ue(), algorithms = %agreement.set.algorithms, "security associations are set up");
            turn.count("secured", agreement.set.algorithms.name());
            registration::pass(turn, response, &listed);
            return Ok(());
        }
        Answer::Secured(Err(failure)) => failure.to_string(),
        Answer::Cx(_) | Answer::Resolved(_) | Answer::Naptr(_) | Answer::Stored(_) => {
            "another question was answered".to_owned()
        }
    };
    end_now(pcscf, turn, set);
    Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "security associations could not be installed")
        .detail(why))
}

/// What changes in the store when a REGISTER that came through `set` succeeds: the set is kept from here on, and the one
/// before it as the older one.
pub fn records(pcscf: &Pcscf, set: Spi) -> Vec<Record> {
    let Some(agreement) = pcscf.agreements.get(set).filter(|agreement| agreement.state == State::Awaiting)
    else {
        return Vec::new();
    };
    let previous = agreement.previous.and_then(|previous| pcscf.agreements.get(previous));
    let previous = previous.map(|previous| agreement_record::of(previous, State::Replaced));
    previous.into_iter().chain([agreement_record::of(agreement, State::Current)]).collect()
}

/// The registrar has accepted a REGISTER that came through `set`.
pub fn accepted(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, set: Spi) {
    let Some(agreement) =
        pcscf.agreements.get_mut(set).filter(|agreement| agreement.state == State::Awaiting)
    else {
        return;
    };
    agreement.state = State::Current;
    let (timer, previous) = (agreement.timer.take(), agreement.previous);
    let (impi, ip) = (agreement.impi.clone(), agreement.set.peer_ip);
    if let Some(timer) = timer {
        turn.disarm(timer);
    }
    // TS 33.203 §7.4.2a: the set that the REGISTER began in stays until the newer one is used, every other one goes; all
    // of them when it began in clear, for then the UE has lost them.
    let of_user: Vec<(Spi, State)> = pcscf
        .agreements
        .at(ip)
        .filter(|other| other.impi == impi && other.name() != set)
        .map(|other| (other.name(), other.state))
        .collect();
    for (name, state) in of_user {
        match state {
            State::Ending => {}
            _ if previous == Some(name) => {
                become_state(pcscf, turn, name, State::Replaced, REPLACED_LINGERS);
            }
            _ if previous.is_none() => end_now(pcscf, turn, name),
            State::Awaiting | State::Current | State::Replaced => end_soon(pcscf, turn, name),
        }
    }
}

/// The registrar has refused the answer to a challenge: the refusal still goes through the set.
pub fn refused(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, set: Spi) {
    if pcscf.agreements.get(set).is_some_and(|agreement| agreement.state == State::Awaiting) {
        end_soon(pcscf, turn, set);
    }
}

/// A message of a UE came through `set`: from the first one after its registration on, the older set is not needed.
pub fn used(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, set: Spi) {
    for name in pcscf.agreements.outdated_by(set) {
        end_soon(pcscf, turn, name);
    }
}

/// A registration of the UE at this address has ended: with the last one go its sets, once what is under way is over.
pub fn registration_ended(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, ue: SocketAddr) {
    if pcscf.bindings.is_at(ue) {
        return;
    }
    let sets: Vec<Spi> = pcscf.agreements.of(ue).map(Agreement::name).collect();
    for name in sets {
        let state = pcscf.agreements.get(name).map(|agreement| agreement.state);
        if matches!(state, Some(State::Current | State::Replaced)) {
            end_soon(pcscf, turn, name);
        }
    }
}

/// The time of a set is over.
pub fn timed_out(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, name: Spi) {
    let Some(agreement) = pcscf.agreements.get_mut(name) else { return };
    agreement.timer = None;
    match agreement.state {
        State::Awaiting => {
            tracing::info!(set = %name, "the UE did not answer its challenge through the security associations");
            turn.count("security_association_ended", "challenge not answered");
            end_now(pcscf, turn, name);
        }
        State::Replaced => end_soon(pcscf, turn, name),
        State::Current => {}
        State::Ending => end_now(pcscf, turn, name),
    }
}

/// An agreement of the store: its associations are taken up where they stand, or set up again.
pub fn restored(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, mut agreement: Agreement) {
    let name = agreement.name();
    if agreement.state == State::Replaced {
        agreement.timer =
            Some(turn.arm(REPLACED_LINGERS, Timer::AgreementEnds(name), "older security associations end"));
    }
    let query = Query::Secure(Secure::Adopt(agreement.set.clone()));
    pcscf.agreements.insert(agreement);
    turn.query(query, Waiting::Adopted(name));
}

/// The back end has answered to [`restored`].
pub fn adopted(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, name: Spi, answer: &Answer) {
    if let Answer::Secured(Err(failure)) = answer {
        tracing::error!(set = %name, %failure, "the security associations of a UE are lost; it is reached when it registers anew");
        turn.count("security_association_ended", "not restored");
        end_now(pcscf, turn, name);
    }
}

/// The source of a message as its UE is known.
pub fn sender(pcscf: &Pcscf, source: &Source) -> Result<Source, Reject> {
    let gone = || Reject::new(Status::FORBIDDEN, "security association has ended");
    pcscf.agreements.sender(source).ok_or_else(gone)
}

/// Holds a message within an agreement to it: a Security-Verify that it has must be ours (RFC 3329 §2.3.1).
pub fn verify(pcscf: &Pcscf, source: &Source, message: &Message) -> Result<(), Reject> {
    match source.secured.and_then(|set| pcscf.agreements.get(set)) {
        Some(agreement) => admission::verify(agreement, message, Absence::Borne),
        None => Ok(()),
    }
}

/// Why nobody is known by this source.
pub fn why_unknown(pcscf: &Pcscf, source: &Source) -> &'static str {
    let is_known =
        pcscf.agreements.at(source.remote.ip()).any(|agreement| agreement.state != State::Awaiting);
    match source.secured {
        None if is_known => "outside the security association",
        None | Some(_) => "sender is not registered",
    }
}

/// The way to the UE of a binding: through associations where it is protected, and never around them.
pub fn target(pcscf: &Pcscf, binding: &Kept) -> Result<Target, Reject> {
    match binding.is_protected() {
        true => protected_target(pcscf, binding.hop()),
        false => binding.target().ok_or_else(|| {
            Reject::new(Status::TEMPORARILY_UNAVAILABLE, "the TLS connection of the UE is gone")
        }),
    }
}

/// The way to a protected UE, by its protected server port.
pub fn protected_target(pcscf: &Pcscf, hop: Hop) -> Result<Target, Reject> {
    let none = || Reject::new(Status::TEMPORARILY_UNAVAILABLE, "no security association to the UE");
    pcscf.agreements.towards(hop.remote).map(|set| Target::Secured(set, hop)).ok_or_else(none)
}

fn end_soon(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, name: Spi) {
    become_state(pcscf, turn, name, State::Ending, LINGERS);
}

fn become_state(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, name: Spi, state: State, after: Duration) {
    let Some(agreement) = pcscf.agreements.get_mut(name) else { return };
    let before = agreement.timer.take();
    agreement.state = state;
    agreement.timer = Some(turn.arm(after, Timer::AgreementEnds(name), "security associations end"));
    if let Some(before) = before {
        turn.disarm(before);
    }
}

fn end_now(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, name: Spi) {
    let Some(agreement) = pcscf.agreements.remove(name) else { return };
    if let Some(timer) = agreement.timer {
        turn.disarm(timer);
    }
    tracing::debug!(set = %name, ue = %agreement.ue(), state = ?agreement.state, "security associations end");
    if agreement.state != State::Awaiting {
        turn.query(Query::Store(vec![agreement_record::removal(name)]), Waiting::Forgotten);
    }
    turn.query(Query::Secure(Secure::Remove(agreement.set)), Waiting::Forgotten);
}
