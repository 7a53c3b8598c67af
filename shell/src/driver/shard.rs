//! The main loop of one shard: the only thread that touches its machine.
//!
//! A turn takes what there is (mail of other threads, time, datagrams, pieces of streams, connections), a bounded amount
//! of each, with one stamp of time; the machine handles it; and what the machine asks for leaves at the end of the turn,
//! in as few system calls as it can. The loop sleeps when nothing is left.

use super::company::Membership;
use super::handle::{Ended, Order, Post, Reports};
use super::inbox::Accepted;
use super::world::World;
use crate::metrics::{READER_BEHIND, TRACE_DROPPED};
use ambient::{Instant, Now};
use cscf::assembly::Part;
use cscf::metrics::Snapshot;
use cscf::node::Count;
use cscf::query::{Answer, QueryId};
use cscf::station::{Operated, Parcel, ShardId, WireInput};
use mio::{Events, Poll};
use recorder::FactRef;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// A machine and what is around it.
pub(super) struct Shard<M: Operated> {
    pub(super) number: ShardId,
    pub(super) machine: M,
    pub(super) world: World,
    pub(super) reports: Reports<M::Notice>,
    pub(super) membership: Membership,
    pub(super) poll: Poll,
    pub(super) mail: Mail,
    /// When work that is left is given up; `None` in service.
    pub(super) drain_until: Option<Instant>,
    /// Whether the others know that this one has no more work.
    pub(super) has_told: bool,
}

/// What was taken from the inbox and is not handled yet.
#[derive(Default)]
pub(super) struct Mail {
    answers: VecDeque<(QueryId, Answer)>,
    accepted: VecDeque<Accepted>,
    /// By the number of the sender.
    parcels: Vec<VecDeque<Parcel>>,
}

impl Mail {
    /// Of a shard of a function that has `shards` of them.
    pub(super) fn new(shards: usize) -> Mail {
        Mail { parcels: (0..shards).map(|_| VecDeque::new()).collect(), ..Mail::default() }
    }

    fn is_empty(&self) -> bool {
        self.parcels.iter().all(VecDeque::is_empty)
    }
}

impl<M: Operated> Shard<M> {
    /// Runs until its end.
    pub(super) fn run(mut self, post: &Post<M::Command>) -> Ended {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let restored = self.world.take_restored();
        let mut now = self.world.now();
        self.input(now, WireInput::Start { restored });
        self.world.started();
        self.settle(now);
        let mut turns = 0;
        let ended = loop {
            if let Some(ended) = self.is_over(now) {
                break ended;
            }
            let is_busy = self.world.has_work() || !self.mail.is_empty();
            if is_busy && turns < BUSY_TURNS_MAX {
                turns += 1;
            } else {
                turns = 0;
                self.wait(&mut events, is_busy);
            }
            now = self.world.now();
            if self.membership.inbox.bell.has_rung()
                && let Some(ended) = self.collect(now, post)
            {
                break ended;
            }
            self.handle_mail(now);
            self.handle_time(now);
            self.world.receive_protected(now);
            // A connection is known to the machine before anything is read from it.
            self.handle_told(now);
            self.handle_datagrams(now);
            self.handle_streams(now);
            self.settle(now);
        };
        let Shard { world, mut poll, mut membership, .. } = self;
        world.close(&mut poll, ended == Ended::Aborted);
        membership.has_failed = false;
        ended
    }

    /// Waits for the system, or only asks it where there is work.
    fn wait(&mut self, events: &mut Events, is_busy: bool) {
        let bell = &self.membership.inbox.bell;
        let timeout = match is_busy || !bell.may_sleep() {
            true => Some(Duration::ZERO),
            false => {
                let due = [self.machine.next_timeout().map(|(at, _)| at), self.drain_until];
                self.world.wait(due.into_iter().flatten().min())
            }
        };
        let polled = self.poll.poll(events, timeout);
        bell.woke();
        match polled {
            Ok(()) => events.iter().for_each(|event| self.world.event(event)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => tracing::error!(%error, "the system does not tell of sockets"),
        }
    }

    /// Whether the end has come, and which.
    fn is_over(&mut self, now: Now) -> Option<Ended> {
        let company = &self.membership.company;
        if company.is_broken() {
            return Some(Ended::Aborted);
        }
        let until = self.drain_until?;
        if !self.has_told && self.machine.is_drained() {
            self.has_told = true;
            company.one_drained();
        }
        // The first shard has what the others depend on: it goes last.
        if company.all_drained() && (self.number != ShardId(0) || company.running() == 1) {
            return Some(Ended::Drained);
        }
        (now.instant >= until).then_some(Ended::Late)
    }

    // --- the parts of a turn --------------------------------------------------------------------------------------

    /// Takes what other threads have put into the inbox, and obeys.
    fn collect(&mut self, now: Now, post: &Post<M::Command>) -> Option<Ended> {
        let Mail { answers, accepted, parcels } = &mut self.mail;
        let inbox = &self.membership.inbox;
        // The first two are handled whole each turn.
        inbox.take_answers(answers);
        inbox.take_accepted(accepted);
        for (number, parcels) in (0..).zip(parcels) {
            if parcels.is_empty() {
                inbox.take_parcels(ShardId(number), parcels);
            } else {
                // Those behind are taken when these are handled.
                inbox.bell.ring();
            }
        }
        while let Some(order) = post.take() {
            match order {
                Order::Command(command) => {
                    self.machine.command(now, command);
                    self.drain_outputs(now);
                }
                Order::Count { of, asker } => {
                    let mut counts = self.machine.counters(of);
                    // ESP is the P-CSCF's; the kernel counts for all shards, and our own ESP is one shard's.
                    if self.number == ShardId(0) && matches!(of, None | Some(Part::Pcscf)) {
                        counts.extend(self.world.counters());
                    }
                    // Who asked may have gone.
                    let _ = asker.try_send(counts);
                }
                Order::Measure { asker } => {
                    // Who asked may have gone.
                    let _ = asker.try_send(self.snapshots());
                }
                Order::Record { of, after, asker } => {
                    let _ = asker.try_send(self.machine.recorded(of, after));
                }
                Order::Drain if self.drain_until.is_none() => {
                    self.drain_until = Some(now.instant + self.world.drain_max());
                    self.input(now, WireInput::Drain);
                }
                Order::Drain => {}
                Order::Abort => return Some(Ended::Aborted),
            }
        }
        None
    }

    /// What the functions of this shard tell, and what the driver has counted for them.
    fn snapshots(&self) -> Vec<Snapshot> {
        let mut snapshots = self.machine.snapshots();
        if let Some(first) = snapshots.first_mut() {
            let lost = Count { name: TRACE_DROPPED, cause: READER_BEHIND, count: self.reports.lost };
            first.counts.extend((lost.count > 0).then_some(lost));
        }
        let pcscf = snapshots.iter_mut().find(|snapshot| snapshot.role == Part::Pcscf.name());
        // The kernel counts for all shards, and our own ESP is one shard's.
        if let Some(pcscf) = pcscf.filter(|_| self.number == ShardId(0)) {
            pcscf.counts.extend(self.world.counters());
        }
        snapshots
    }

    fn handle_mail(&mut self, now: Now) {
        while let Some((id, answer)) = self.mail.answers.pop_front() {
            let input = self.world.answered(id, answer);
            self.input(now, input);
        }
        while let Some(accepted) = self.mail.accepted.pop_front() {
            self.world.accepted(accepted);
        }
        for from in 0..self.mail.parcels.len() {
            for _ in 0..PARCELS_BATCH {
                let Some(parcel) = self.mail.parcels[from].pop_front() else { break };
                let from = ShardId(u16::try_from(from).unwrap_or(u16::MAX));
                self.input(now, WireInput::Parcel { from, parcel });
            }
        }
    }

    fn handle_time(&mut self, now: Now) {
        self.world.timeout(now);
        if self.machine.next_timeout().is_some_and(|(at, _)| at <= now.instant) {
            self.input(now, WireInput::Timeout);
        }
    }

    /// Handles what the world said at once.
    fn handle_told(&mut self, now: Now) {
        while let Some(input) = self.world.inputs.pop_front() {
            self.input(now, input);
        }
    }

    fn handle_datagrams(&mut self, now: Now) {
        for _ in 0..self.world.datagrams.len() {
            self.lend();
            if !self.world.receive(now) {
                return;
            }
            while let Some(input) = self.world.datagrams.take() {
                self.input(now, input);
            }
        }
    }

    fn handle_streams(&mut self, now: Now) {
        for _ in 0..self.world.links.readable().min(READS_BATCH) {
            self.lend();
            let World { links, spare, .. } = &mut self.world;
            if let Some(input) = links.read(spare) {
                self.input(now, input);
            }
        }
        if self.world.listeners.has_work() {
            self.accept();
        }
    }

    /// Accepts connections, each for the shard that it belongs to.
    fn accept(&mut self) {
        let inboxes = &self.membership.company.inboxes;
        let moment = std::time::Instant::now();
        for _ in 0..ACCEPTS_BATCH {
            let Some(accepted) = self.world.listeners.accept(moment) else { return };
            let home = match inboxes.len() {
                1 => self.number,
                _ => self.machine.home_of_connection(accepted.protocol, accepted.local, accepted.remote),
            };
            match inboxes.get(usize::from(home.0)) {
                Some(inbox) if home != self.number => {
                    if let Err(accepted) = inbox.accept(accepted) {
                        let remote = accepted.remote;
                        tracing::warn!(%remote, "a connection was closed: its shard has too many to open");
                    }
                }
                _ => self.world.accepted(accepted),
            }
        }
    }

    /// Handles what the world said at once, and lets everything go that the turn has produced.
    fn settle(&mut self, now: Now) {
        loop {
            self.handle_told(now);
            let machine = &mut self.machine;
            self.world.flush(now, |buffer| machine.recycle(buffer));
            if self.world.inputs.is_empty() {
                return;
            }
        }
    }

    // --- one input ------------------------------------------------------------------------------------------------

    fn input(&mut self, now: Now, input: WireInput) {
        self.machine.handle(now, input);
        self.drain_outputs(now);
    }

    fn drain_outputs(&mut self, now: Now) {
        while let Some(output) = self.machine.poll_output() {
            self.world.carry_out(now, output);
        }
        while let Some((cause, count)) = self.world.poll_refused() {
            let detail = format!("{count} packets");
            let fact = FactRef { name: "esp_refused", cause, detail: &detail, ..FactRef::default() };
            self.machine.record(now, &fact);
        }
        self.reports.collect(&mut self.machine);
    }

    /// Takes buffers that the machine is done with where there are none to receive into.
    fn lend(&mut self) {
        if self.world.spare.is_empty() {
            for _ in 0..LENT_BATCH {
                let Some(buffer) = self.machine.spare_buffer() else { return };
                self.world.spare.keep(buffer);
            }
        }
    }
}

/// Turns while there is work before the system is asked what else there is.
const BUSY_TURNS_MAX: usize = 8;
/// What the system tells of in one go.
const EVENTS_MAX: usize = 1024;
/// Parcels of one sender in one turn.
const PARCELS_BATCH: usize = 64;
/// Connections read from in one turn.
const READS_BATCH: usize = 64;
/// Connections accepted in one turn.
const ACCEPTS_BATCH: usize = 64;
/// Buffers taken back in one go.
const LENT_BATCH: usize = 32;
