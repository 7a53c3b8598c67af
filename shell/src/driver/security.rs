//! IPsec of a machine: who does ESP for it, and what becomes of a wish of its.

use super::leftovers::Leftovers;
use super::marks::Marks;
use super::protected::Protected;
use super::refusals::{Refusals, Told};
use crate::ipsec::userspace::NAT_SILENCE;
use crate::ipsec::{SecurityBackEnd, SecurityError, Userspace, Xfrm};
use ambient::{Entropy, Instant, Now};
use cscf::node::Count;
use cscf::query::{Record, Secure, SecureFailure};
use cscf::station::{LinkId, WireInput};
use ipsec::{Refusal, SaSet, Selector, Spi};
use mio::Registry;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Who does ESP for a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nobody: a machine that asks for associations is refused.
    #[default]
    None,
    /// The kernel of the network namespace that the machine is started in.
    Xfrm {
        /// Protected ports that take nothing in clear, from wherever it is.
        guarded: Vec<SocketAddr>,
    },
    /// The machine's own process. A machine of several shards cannot have it.
    Userspace {
        /// The protected ports, which are no sockets of the system.
        protected: Vec<SocketAddr>,
        /// Where ESP in UDP is taken (RFC 3948), which is for those with a NAT in between.
        encapsulated: Vec<SocketAddr>,
    },
}

impl Security {
    /// Opens the way to it; ports are guarded from here on. Sockets have tokens from `first_token` up; gives how many.
    pub(super) fn open(
        &self,
        restored: &mut Vec<Record>,
        (leftovers, told): (Arc<Leftovers>, Arc<Told>),
        entropy: Entropy,
        registry: &Registry,
        first_token: usize,
    ) -> io::Result<(Option<Associations>, usize)> {
        let marks = Marks::taken_from(restored);
        let of = |back_end, traffic| Associations {
            back_end,
            traffic,
            leftovers,
            ending: Vec::new(),
            marks,
            sets: BTreeSet::new(),
            keeps_nats_open_at: None,
            refusals: Refusals::new(told),
        };
        match self {
            Security::None => Ok((None, 0)),
            Security::Xfrm { guarded } => {
                let mut back_end = SecurityBackEnd::Xfrm(Xfrm::open().map_err(io::Error::other)?);
                back_end.guard(guarded).map_err(io::Error::other)?;
                Ok((Some(of(back_end, None)), 0))
            }
            Security::Userspace { protected, encapsulated } => {
                let own: BTreeSet<IpAddr> = protected.iter().map(SocketAddr::ip).collect();
                let own: Vec<IpAddr> = own.into_iter().collect();
                let mut userspace = Userspace::open(&own, entropy).map_err(io::Error::other)?;
                for port in encapsulated {
                    userspace.open_encapsulated(*port).map_err(|error| {
                        io::Error::other(format!("{port}: {error}; name another ipsec.nat_port, or 0"))
                    })?;
                }
                let (traffic, count) = Protected::new(&userspace, protected.clone(), registry, first_token)?;
                Ok((Some(of(SecurityBackEnd::Userspace(Box::new(userspace)), Some(traffic))), count))
            }
        }
    }
}

/// The associations of one machine.
pub(super) struct Associations {
    back_end: SecurityBackEnd,
    /// What goes through them, where that is no matter of the kernel.
    traffic: Option<Protected>,
    /// What an earlier process left in place.
    leftovers: Arc<Leftovers>,
    /// Sets that go at a moment, the next one first: until then the connections through them end in good order, which in
    /// clear they could not.
    ending: Vec<(Instant, Box<SaSet>)>,
    marks: Marks,
    /// Those that are in place.
    sets: BTreeSet<Spi>,
    /// When the NATs that this end is behind are looked after.
    keeps_nats_open_at: Option<Instant>,
    refusals: Refusals,
}

impl Associations {
    /// Does what a machine asks for.
    pub(super) fn carry_out(
        &mut self,
        now: Now,
        wish: Secure,
        inputs: &mut VecDeque<WireInput>,
    ) -> Result<(), SecureFailure> {
        let (name, done) = match wish {
            Secure::Install(set) => {
                self.make_way(&set, inputs);
                let done = self.back_end.install(&set);
                if done.is_ok() {
                    self.marks.forget(set.own_spi_s);
                }
                (set.own_spi_s, done)
            }
            Secure::Adopt(set) => (set.own_spi_s, self.adopt(now, &set)),
            Secure::Repeat(set) => {
                return match &self.back_end {
                    SecurityBackEnd::Userspace(userspace) => {
                        userspace.repeat(&set).map_err(|error| SecureFailure(error.to_string()))
                    }
                    SecurityBackEnd::Xfrm(_) => Err(SecureFailure("the kernel repeats no packet".to_owned())),
                };
            }
            Secure::Remove(set) => {
                // What was refused may have the ports of a set that stands, which would lose them.
                if self.sets.contains(&set.own_spi_s) {
                    self.ending.push((now.instant + FAREWELL, set));
                }
                return Ok(());
            }
        };
        done.map_err(|error| SecureFailure(error.to_string()))?;
        self.sets.insert(name);
        if let SecurityBackEnd::Userspace(userspace) = &self.back_end
            && userspace.is_behind_nat()
        {
            self.keeps_nats_open_at.get_or_insert(now.instant + NAT_SILENCE);
        }
        self.refusals.begin(&self.back_end, now.instant);
        Ok(())
    }

    /// The machine has taken up what it knows: what else an earlier process left goes, once all shards are so far.
    pub(super) fn started(&mut self) {
        self.marks.started();
        let unknown = self.leftovers.started();
        if unknown.is_empty() {
            return;
        }
        let count = unknown.len();
        match self.back_end.discard(&unknown) {
            Ok(()) => tracing::info!(count, "security associations of an earlier process are removed"),
            Err(error) => {
                tracing::warn!(count, %error, "security associations of an earlier process stay in place");
            }
        }
    }

    /// See [`Refusals::poll`].
    pub(super) fn poll_refused(&mut self) -> Option<(&'static str, u64)> {
        self.refusals.poll()
    }

    /// When [`Associations::timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let due = match &self.back_end {
            SecurityBackEnd::Userspace(userspace) => userspace.due(),
            SecurityBackEnd::Xfrm(_) => None,
        };
        let ending = self.ending.first().map(|(at, _)| *at);
        [ending, due, self.refusals.next_look(), self.keeps_nats_open_at].into_iter().flatten().min()
    }

    /// Removes what has had its time.
    pub(super) fn timeout(&mut self, now: Now, inputs: &mut VecDeque<WireInput>) {
        let is_over = |(at, _): &mut (Instant, Box<SaSet>)| *at <= now.instant;
        let over: Vec<_> = self.ending.extract_if(.., is_over).collect();
        for (_, set) in over {
            self.remove(&set, inputs);
        }
        if let Some((traffic, userspace)) = self.own() {
            traffic.timeout(userspace, now, inputs);
        }
        if let SecurityBackEnd::Userspace(userspace) = &self.back_end
            && self.keeps_nats_open_at.is_some_and(|at| at <= now.instant)
        {
            userspace.keep_nats_open(now);
            let open_for = userspace.nats_stay_open_for(now);
            self.keeps_nats_open_at = userspace.is_behind_nat().then(|| now.instant + open_for);
        }
        self.refusals.look(&self.back_end, !self.sets.is_empty(), now.instant);
    }

    /// What was refused of what came as ESP.
    pub(super) fn counters(&self) -> Vec<Count> {
        let count = |reason: &Refusal| {
            let count = self.back_end.refused(*reason).filter(|count| *count > 0)?;
            Some(Count { name: "esp_refused", cause: reason.name(), count })
        };
        Refusal::ALL.iter().filter_map(count).collect()
    }

    /// Ends the connections through our own ESP in good order.
    pub(super) fn close_links(&mut self, now: Now) {
        if let Some((traffic, userspace)) = self.own() {
            traffic.close_all(userspace, now);
        }
    }

    /// Whether the peers have acknowledged all that went to them on connections of our own ESP.
    pub(super) fn is_quiet(&self) -> bool {
        match &self.back_end {
            SecurityBackEnd::Userspace(userspace) => userspace.due().is_none(),
            SecurityBackEnd::Xfrm(_) => true,
        }
    }

    /// Removes everything that has to go, at once; gives what is to be stored at the end.
    pub(super) fn close(mut self) -> Vec<Record> {
        for (_, set) in std::mem::take(&mut self.ending) {
            self.remove(&set, &mut VecDeque::new());
        }
        if let SecurityBackEnd::Userspace(userspace) = &self.back_end {
            self.marks.rest(|set| userspace.sequences(set));
        }
        self.marks.take_records()
    }

    // --- what goes through our own ESP ----------------------------------------------------------------------------

    fn own(&mut self) -> Option<(&mut Protected, &mut Userspace)> {
        match (&mut self.traffic, &mut self.back_end) {
            (Some(traffic), SecurityBackEnd::Userspace(userspace)) => Some((traffic, userspace)),
            _ => None,
        }
    }

    /// A socket of ours has news.
    pub(super) fn wake(&mut self) {
        if let Some(traffic) = &mut self.traffic {
            traffic.wake();
        }
    }

    /// Whether there is work without waiting for the system.
    pub(super) fn has_work(&self) -> bool {
        self.traffic.as_ref().is_some_and(Protected::has_work)
    }

    /// Takes a batch of what has come.
    pub(super) fn receive(&mut self, now: Now, inputs: &mut VecDeque<WireInput>) {
        let Some((traffic, userspace)) = self.own() else { return };
        let first = inputs.len();
        traffic.receive(userspace, now, inputs);
        let ends = inputs.iter().skip(first).filter_map(|input| match input {
            WireInput::Datagram { local, remote, .. } => {
                Some((Selector { local: *local, remote: *remote }, Carries::Datagram))
            }
            WireInput::Accepted { local, remote, .. } => {
                Some((Selector { local: *local, remote: *remote }, Carries::Stream))
            }
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        ends.into_iter().for_each(|(ends, what)| self.carried(&ends, what));
        self.streams_carried();
    }

    /// Sends a datagram from a protected port; false when the port is not one of ours.
    pub(super) fn send(&mut self, ends: Selector, bytes: &[u8], now: Now) -> bool {
        let Some((traffic, userspace)) = self.own() else { return false };
        if !has_ends(traffic, userspace, &ends) {
            return false;
        }
        if let Err(error) = userspace.send(&ends, bytes, now) {
            tracing::debug!(remote = %ends.remote, %error, "a protected datagram is lost");
        }
        self.carried(&ends, Carries::Datagram);
        true
    }

    /// Opens a connection from a protected port; false when the port is not one of ours.
    pub(super) fn connect(
        &mut self,
        link: LinkId,
        ends: Selector,
        now: Now,
        inputs: &mut VecDeque<WireInput>,
    ) -> bool {
        let Some((traffic, userspace)) = self.own() else { return false };
        let is_ours = has_ends(traffic, userspace, &ends);
        if is_ours {
            traffic.connect(userspace, (link, ends), now, inputs);
            self.carried(&ends, Carries::Stream);
        }
        is_ours
    }

    /// Writes to a connection; false when it is not one of ours.
    pub(super) fn write(
        &mut self,
        link: LinkId,
        bytes: &[u8],
        now: Now,
        inputs: &mut VecDeque<WireInput>,
    ) -> bool {
        let Some((traffic, userspace)) = self.own() else { return false };
        let is_ours = traffic.has_link(link);
        if is_ours {
            traffic.write(userspace, (link, bytes), now, inputs);
            self.streams_carried();
        }
        is_ours
    }

    /// Ends a connection; false when it is not one of ours.
    pub(super) fn close_link(&mut self, link: LinkId, now: Now) -> bool {
        let Some((traffic, userspace)) = self.own() else { return false };
        let is_ours = traffic.has_link(link);
        if is_ours {
            traffic.close(userspace, link, now);
        }
        is_ours
    }

    /// Something went through an association of ours.
    fn carried(&mut self, ends: &Selector, what: Carries) {
        if let SecurityBackEnd::Userspace(userspace) = &self.back_end
            && let Some(set) = userspace.set_of(ends)
        {
            if what == Carries::Stream {
                self.marks.begins_stream(set);
            }
            follow_nat(&mut self.marks, userspace, set);
            self.marks.carried(set, || userspace.sequences(set));
        }
    }

    /// Connections have carried something.
    fn streams_carried(&mut self) {
        if let (Some(traffic), SecurityBackEnd::Userspace(userspace)) = (&mut self.traffic, &self.back_end) {
            for set in traffic.take_carried() {
                follow_nat(&mut self.marks, userspace, set);
                self.marks.carried(set, || userspace.sequences(set));
            }
        }
    }

    /// What has to be stored, so that a later process takes up where this one is.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        self.marks.take_records()
    }

    fn remove(&mut self, set: &SaSet, inputs: &mut VecDeque<WireInput>) {
        self.sets.remove(&set.own_spi_s);
        self.marks.end(set.own_spi_s);
        if let Err(error) = self.back_end.remove(set) {
            tracing::warn!(set = %set.own_spi_s, %error, "security associations that have ended stay in place");
        }
        if let Some(traffic) = &mut self.traffic {
            traffic.removed(set, inputs);
        }
    }

    /// Removes at once what is about to go and has the ports of a new set.
    fn make_way(&mut self, set: &SaSet, inputs: &mut VecDeque<WireInput>) {
        let selectors = |set: &SaSet| set.associations().map(|association| association.selector);
        let new = selectors(set);
        let clashes = |other: &SaSet| selectors(other).iter().any(|selector| new.contains(selector));
        let clashing: Vec<_> = self.ending.extract_if(.., |(_, other)| clashes(other)).collect();
        for (_, other) in clashing {
            self.remove(&other, inputs);
        }
    }

    /// Leaves a set in place that stands whole, with its counters; else it is installed anew.
    fn adopt(&mut self, now: Now, set: &SaSet) -> Result<(), SecurityError> {
        if self.leftovers.take(set) {
            return Ok(());
        }
        self.back_end.remove(set)?;
        self.back_end.install(set)?;
        if let (SecurityBackEnd::Userspace(userspace), Some(mark)) =
            (&mut self.back_end, self.marks.take_up(set.own_spi_s))
        {
            userspace.resume(set, mark.received, mark.sent_at_most());
            if let Some(outer) = mark.outer {
                userspace.resume_outer(set, outer);
            }
            if mark.has_streams {
                userspace.reset_streams(set, now);
            }
            // A second crash may come before the first packet.
            self.marks.carried(set.own_spi_s, || userspace.sequences(set.own_spi_s));
        }
        Ok(())
    }
}

/// Notes where the NAT of a peer is, if there is one.
fn follow_nat(marks: &mut Marks, userspace: &Userspace, set: Spi) {
    let Some(outer) = userspace.outer(set) else { return };
    match marks.moves_to(set, outer) {
        None => {}
        Some(Some(before)) => {
            tracing::info!(%set, %before, %outer, "the NAT of a peer has moved, and its tunnel with it");
        }
        Some(None) => tracing::info!(%set, %outer, "a tunnel in UDP stands"),
    }
}

/// Whether what goes between these ends is ours: at a protected port; or at the address of a NAT that this end is behind, where
/// it has an association.
fn has_ends(traffic: &Protected, userspace: &Userspace, ends: &Selector) -> bool {
    traffic.has_port(ends.local) || userspace.set_of(ends).is_some()
}

/// What an association carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Datagram,
    Stream,
}

/// How long a set stays that a machine has no use for.
const FAREWELL: Duration = Duration::from_secs(1);
