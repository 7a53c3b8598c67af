//! Security agreements of the UE with its P-CSCF (TS 33.203 §7, TS 24.229 §5.1.1): what a REGISTER offers, the set that its
//! challenge leads to, and which set a message takes.
//!
//! A challenge sets up a set on trial, which the answer and its 200 go through; everything else stays on the current one.
//! With the 200 the set on trial is the current one, and the one before it goes with the next message that comes through
//! the newer (TS 33.203 §7.4).

use crate::config::Fault;
use crate::ue::{Ue, Waiting};
use cscf::flow::{Hop, Side};
use cscf::query::Secure;
use cscf::{Answer, Query, Target, Turn};
use ims_aka::Key;
use ipsec::{Algorithms, Encapsulation, Ends, Keys, Mode, Offer, SaSet, Spi};
use sip_core::{Message, Name, RequestBuilder};
use std::net::{IpAddr, SocketAddr};

/// The agreements of a UE.
#[derive(Debug, Default)]
pub(crate) struct Security {
    /// What the REGISTER of the attempt offers.
    offered: Option<Ends>,
    /// Waits for the 200 to the answer to its challenge.
    trial: Option<Agreed>,
    /// What the UE is registered by.
    current: Option<Agreed>,
    /// What it was registered by before.
    older: Option<Agreed>,
    /// Counts the offers: the client port moves along its ring.
    offers: usize,
    /// Counts the offers that began from nothing: the server port moves along its ring.
    registrations: usize,
}

/// A set and the Security-Server that it came with.
#[derive(Debug)]
struct Agreed {
    set: Box<SaSet>,
    /// Security-Verify: the Security-Server, as it came.
    verify: Vec<String>,
}

impl Security {
    /// Whether the UE has a set to send through.
    pub(crate) fn is_up(&self) -> bool {
        self.trial.is_some() || self.current.is_some()
    }

    /// The set that a REGISTER takes: the one on trial first.
    fn of_register(&self) -> Option<&Agreed> {
        self.trial.as_ref().or(self.current.as_ref())
    }

    fn ends(&self) -> impl Iterator<Item = Ends> {
        let sets = [&self.trial, &self.current, &self.older].into_iter().flatten();
        let of = |agreed: &Agreed| Ends {
            spi_c: agreed.set.own_spi_c,
            spi_s: agreed.set.own_spi_s,
            port_c: agreed.set.own_client_port,
            port_s: agreed.set.own_server_port,
        };
        sets.map(of)
    }
}

impl Ue {
    /// Our protected server port, and the P-CSCF's.
    pub(crate) fn protected_ends(&self) -> Option<(SocketAddr, Hop)> {
        let SaSet { own_ip, own_server_port, peer_ip, peer_server_port, encapsulation, .. } =
            *self.security.of_register()?.set;
        // Behind a NAT the agreement knows us by the NAT's address, which is not where we listen.
        let own_ip = match encapsulation {
            Encapsulation::UdpTunnel { local, .. } => local.ip(),
            Encapsulation::Transport => own_ip,
        };
        let remote = SocketAddr::new(peer_ip, peer_server_port);
        Some((SocketAddr::new(own_ip, own_server_port), Hop { remote, ..self.config.pcscf }))
    }

    /// Where a REGISTER goes: through the set on trial, else the current one, else in clear.
    pub(crate) fn register_target(&self) -> Target {
        self.through(self.security.of_register())
    }

    /// Where every other request goes.
    pub(crate) fn request_target(&self) -> Target {
        self.through(self.of_request())
    }

    /// The set of every other request: the current one, unless the UE is told to stay with the older.
    fn of_request(&self) -> Option<&Agreed> {
        let is_stale = self.config.policy.fault == Some(Fault::StaleSecurity);
        let older = self.security.older.as_ref().filter(|_| is_stale);
        older.or(self.security.current.as_ref())
    }

    fn through(&self, agreed: Option<&Agreed>) -> Target {
        let hop = self.config.pcscf;
        match agreed {
            Some(Agreed { set, .. }) => {
                let remote = SocketAddr::new(set.peer_ip, set.peer_server_port);
                Target::Secured(set.own_spi_s, Hop { remote, ..hop })
            }
            None => Target::Hop(hop),
        }
    }

    /// Makes an offer for the next REGISTER: SPIs and a client port that no set of ours has.
    pub(crate) fn offer_security(&mut self, turn: &mut Turn<'_, Ue>) {
        let Some(config) = &self.config.security else { return };
        let port_c = (0..config.client_ports.len()).find_map(|step| {
            let at = (self.security.offers + step) % config.client_ports.len();
            let port = config.client_ports[at];
            (!self.security.ends().any(|ends| ends.port_c == port)).then_some(port)
        });
        let Some(port_c) = port_c.or(config.client_ports.first().copied()) else { return };
        // TS 33.203 §7.1: the server port stays while the UE is registered.
        let is_fresh = self.security.ends().next().is_none();
        self.security.registrations += usize::from(is_fresh);
        let at = self.security.registrations % config.server_ports.len().max(1);
        let Some(port_s) = config.server_ports.get(at).copied() else { return };
        let spi_c = loop {
            let drawn = Spi::new(turn.entropy().next_u64() as u32 & !1);
            match drawn.filter(|drawn| !self.security.ends().any(|ends| ends.spi_c == *drawn)) {
                Some(spi) => break spi,
                None => continue,
            }
        };
        let spi_s = Spi::new(spi_c.get() | 1).unwrap_or(spi_c);
        self.security.offers += 1;
        self.security.offered = Some(Ends { spi_c, spi_s, port_c, port_s });
    }

    /// What a REGISTER says of security (RFC 3329 §2.3, TS 24.229 §5.1.1.2.2).
    pub(crate) fn secure_register(&self, request: RequestBuilder) -> RequestBuilder {
        let (Some(config), Some(offered)) = (&self.config.security, self.security.offered) else {
            return request;
        };
        let agreed = self.security.of_register();
        let proof =
            Proof { verify: agreed.map(|agreed| self.verify(agreed)).unwrap_or_default(), is_agreed: true };
        let mut request = proof.on(request);
        let is_changed =
            self.config.policy.fault == Some(Fault::ChangedAlgorithms) && self.security.trial.is_some();
        for mechanism in self.config.handset.mechanisms(config.mechanisms(), offered) {
            request = match is_changed {
                true => request.header(Name::SecurityClient, &altered(&mechanism)),
                false => request.header(Name::SecurityClient, mechanism.as_str()),
            };
        }
        request
    }

    /// What every other request says of security, in a dialog and outside of one (RFC 3329 §2.3.1, TS 24.229 §5.1.2A.1).
    pub(crate) fn proof(&self) -> Proof {
        match self.of_request() {
            Some(agreed) => Proof { verify: self.verify(agreed), is_agreed: true },
            None => Proof::default(),
        }
    }

    /// The values of Security-Verify, as the fault has them.
    fn verify(&self, agreed: &Agreed) -> Vec<String> {
        match self.config.policy.fault {
            Some(Fault::NoSecurityVerify) => Vec::new(),
            Some(Fault::AlteredSecurityVerify) => agreed.verify.iter().map(|value| altered(value)).collect(),
            _ => agreed.verify.clone(),
        }
    }

    /// Sets up what a genuine challenge agrees on; the answer to it follows when the associations stand.
    ///
    /// `Ok(false)`: the UE uses none, and answers as it is.
    pub(crate) fn agree_on_security(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        challenge: &Message,
        keys: Option<(Key<16>, Key<16>)>,
    ) -> Result<bool, &'static str> {
        let (Some(config), Some(offered)) = (&self.config.security, self.security.offered) else {
            return Ok(false);
        };
        let (ck, ik) = keys.ok_or("the challenge gives no keys for security associations")?;
        let values = || challenge.all(Name::SecurityServer).map(|(_, value)| value);
        if values().next().is_none() {
            return Err("no Security-Server");
        }
        let theirs = Offer::read(values()).map_err(|_| "Security-Server cannot be used")?;
        // TS 33.203 §7.2: the first of the P-CSCF's list that the UE has.
        let is_ours = |listed: &&(Mode, Algorithms)| config.mechanisms().any(|own| own == **listed);
        let (mode, algorithms) =
            *theirs.mechanisms.iter().find(is_ours).ok_or("no common algorithms in Security-Server")?;
        let local_ip = turn.local(Side::Protected, Some(self.config.pcscf)).address.ip();
        let (own_ip, encapsulation) = match config.tunnel.filter(|_| mode == Mode::UdpTunnel) {
            Some(tunnel) => {
                let local = SocketAddr::new(local_ip, tunnel.port);
                let remote = SocketAddr::new(self.config.pcscf.remote.ip(), tunnel.pcscf_port);
                let outer = self.public_ip(challenge).unwrap_or(local_ip);
                (outer, Encapsulation::UdpTunnel { local, remote })
            }
            None => (local_ip, Encapsulation::Transport),
        };
        let verify = values().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let set = self.set_of((own_ip, encapsulation), algorithms, offered, theirs.ends, (&ck, &ik));
        self.drop_trial(turn);
        turn.query(Query::Secure(Secure::Install(Box::new(set.clone()))), Waiting::Secured);
        self.security.trial = Some(Agreed { set: Box::new(set), verify });
        Ok(true)
    }

    /// The address that the P-CSCF knows us by: the NAT's, which the Via of a response tells (RFC 3261 §18.2.1).
    fn public_ip(&self, response: &Message) -> Option<IpAddr> {
        let received = response.top_via().ok().and_then(|via| via.received_ip());
        let through_tunnel = || {
            let current = self.security.current.as_ref()?;
            current.set.is_behind_nat().then_some(current.set.own_ip)
        };
        // Within a tunnel it is the one that the tunnel was set up with, wherever the NAT has moved since.
        through_tunnel().or(received)
    }

    /// Where our Contact is to be, in an agreement: behind a NAT, at the NAT's address (TS 24.229 §F.2.1.2.2).
    pub(crate) fn protected_contact(&self) -> Option<SocketAddr> {
        let agreed = self.security.of_register()?;
        Some(SocketAddr::new(agreed.set.own_ip, agreed.set.own_server_port))
    }

    fn set_of(
        &self,
        (own_ip, encapsulation): (IpAddr, Encapsulation),
        algorithms: Algorithms,
        own: Ends,
        theirs: Ends,
        (ck, ik): (&Key<16>, &Key<16>),
    ) -> SaSet {
        let peer_spi_s = match self.config.policy.fault {
            Some(Fault::WrongSpi) => Spi::new(theirs.spi_s.get() ^ 0x100).unwrap_or(theirs.spi_s),
            _ => theirs.spi_s,
        };
        SaSet {
            own_ip,
            peer_ip: self.config.pcscf.remote.ip(),
            own_client_port: own.port_c,
            own_server_port: own.port_s,
            peer_client_port: theirs.port_c,
            peer_server_port: theirs.port_s,
            own_spi_c: own.spi_c,
            own_spi_s: own.spi_s,
            peer_spi_c: theirs.spi_c,
            peer_spi_s,
            algorithms,
            keys: Keys::derive(algorithms, *ck.expose(), *ik.expose()),
            encapsulation,
            lifetime: ipsec::association::LIFETIME_MAX,
        }
    }

    /// The back end has answered; why the associations are not there.
    pub(crate) fn secured(&mut self, turn: &mut Turn<'_, Ue>, answer: &Answer) -> Result<(), &'static str> {
        match answer {
            Answer::Secured(Ok(())) => Ok(()),
            answer => {
                tracing::warn!(?answer, "security associations could not be installed");
                self.drop_trial(turn);
                Err("security associations could not be installed")
            }
        }
    }

    /// The registration has succeeded: what is on trial is the current set.
    pub(crate) fn security_accepted(&mut self, turn: &mut Turn<'_, Ue>) {
        self.security.offered = None;
        if let Some(trial) = self.security.trial.take() {
            self.drop_older(turn);
            if self.config.policy.fault == Some(Fault::Replay) {
                let repeat = Query::Secure(Secure::Repeat(trial.set.clone()));
                turn.query(repeat, Waiting::Forgotten);
            }
            self.security.older = self.security.current.replace(trial);
        }
    }

    /// The attempt has failed: what is on trial goes.
    pub(crate) fn security_refused(&mut self, turn: &mut Turn<'_, Ue>) {
        self.security.offered = None;
        self.drop_trial(turn);
    }

    /// A message came through a set: one through the current set ends the older one (TS 33.203 §7.4.1).
    pub(crate) fn security_used(&mut self, turn: &mut Turn<'_, Ue>, set: Spi) {
        let is_current = self.security.current.as_ref().is_some_and(|current| current.set.own_spi_s == set);
        if is_current && self.config.policy.fault != Some(Fault::StaleSecurity) {
            self.drop_older(turn);
        }
    }

    /// Nothing is registered any more: all sets go.
    pub(crate) fn security_ended(&mut self, turn: &mut Turn<'_, Ue>) {
        self.drop_trial(turn);
        self.drop_older(turn);
        if let Some(current) = self.security.current.take() {
            remove(turn, current);
        }
    }

    fn drop_trial(&mut self, turn: &mut Turn<'_, Ue>) {
        if let Some(trial) = self.security.trial.take() {
            remove(turn, trial);
        }
    }

    fn drop_older(&mut self, turn: &mut Turn<'_, Ue>) {
        if let Some(older) = self.security.older.take() {
            remove(turn, older);
        }
    }
}

/// What a request says of the agreement that protects it.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    verify: Vec<String>,
    is_agreed: bool,
}

impl Proof {
    /// The request with it.
    pub(crate) fn on(&self, mut request: RequestBuilder) -> RequestBuilder {
        if self.is_agreed {
            request = request.header(Name::Require, SEC_AGREE).header(Name::ProxyRequire, SEC_AGREE);
        }
        for mechanism in &self.verify {
            request = request.header(Name::SecurityVerify, mechanism.as_str());
        }
        request
    }
}

/// A mechanism with another algorithm.
fn altered(mechanism: &str) -> String {
    mechanism.replacen("alg=", "alg=x-", 1)
}

fn remove(turn: &mut Turn<'_, Ue>, agreed: Agreed) {
    turn.query(Query::Secure(Secure::Remove(agreed.set)), Waiting::Forgotten);
}

/// The option tag of RFC 3329.
const SEC_AGREE: &str = "sec-agree";
