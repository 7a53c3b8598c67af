//! The driver: a thread for each shard of a function, which runs its machine and moves its bytes, queries and time.
//!
//! Most functions have one shard. Several share addresses, a store and a thread for names, and nothing else: what one
//! has to say to another goes through a bounded queue as a parcel.

mod bell;
mod colocated;
mod company;
mod handle;
mod inbox;
mod leftovers;
mod marks;
mod protected;
mod refusals;
mod security;
mod shard;
mod world;

pub use colocated::Operators;
pub use handle::{Ended, Gone, Handle, Meter, Operator};
pub(crate) use inbox::{Accepted, Inbox};
pub(crate) use marks::is_own;
pub use security::Security;

use crate::clock::Clock;
use crate::dns::Desk;
use crate::sockets::Sockets;
use crate::store::Store;
use crate::tls::Tls;
use ambient::Entropy;
use bell::Bell;
use company::{Company, Membership};
use cscf::config::DnsSection;
use cscf::query::Record;
use cscf::station::{Operated, ShardId};
use handle::{Orders, Post, Posts, Reports, join_all};
use leftovers::Leftovers;
use mio::{Poll, Token};
use recorder::{Mode, Rule};
use shard::{Mail, Shard};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use world::World;

/// What a machine is driven with.
#[derive(Debug)]
pub struct Setup {
    /// Where it listens.
    pub sockets: Sockets,
    /// What keeps its records.
    pub store: Store,
    /// What the store held, given to the machine first: all of it to each shard.
    pub restored: Vec<Record>,
    /// Who resolves names.
    pub dns: DnsSection,
    /// Randomness for the weights of SRV records.
    pub entropy: Entropy,
    /// The clock: copies of one make the times of several machines comparable.
    pub clock: Clock,
    /// What is recorded, by the node of this name.
    pub recorder: (String, Rule),
    /// Whether every message is reported to [`Handle::traces`].
    pub trace: bool,
    /// How long work may take to finish once the machine is asked to stop.
    pub drain_max: Duration,
    /// Bytes that may wait to be written to one connection.
    pub write_buffer_max: usize,
    /// Who does ESP between protected ports.
    pub security: Security,
    /// Certificates and trust anchors, for listening points and connections of TLS.
    pub tls: Option<Tls>,
}

impl Setup {
    /// A machine at `sockets` that keeps nothing, with the defaults of the configuration.
    pub fn new(sockets: Sockets, clock: Clock, entropy: Entropy) -> Setup {
        Setup {
            sockets,
            store: Store::memory(),
            restored: Vec::new(),
            dns: DnsSection { servers: Vec::new(), timeout: Duration::from_secs(2) },
            entropy,
            clock,
            recorder: (String::new(), Rule::default()),
            trace: false,
            drain_max: Duration::from_secs(5),
            write_buffer_max: 1 << 20,
            security: Security::None,
            tls: None,
        }
    }

    /// One for each of `count` shards.
    fn split(mut self, count: usize) -> io::Result<Vec<Setup>> {
        let sockets = std::mem::take(&mut self.sockets).of_shards();
        if count == 0 || sockets.len() != count {
            let why = format!("{} sockets of an address for {count} shards", sockets.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut setups = Vec::with_capacity(count);
        for sockets in sockets {
            let restored = match setups.len() + 1 == count {
                true => std::mem::take(&mut self.restored),
                false => self.restored.clone(),
            };
            setups.push(Setup {
                sockets,
                store: self.store.share(),
                restored,
                dns: self.dns.clone(),
                recorder: self.recorder.clone(),
                security: self.security.clone(),
                tls: self.tls.clone(),
                entropy: self.entropy.fork(),
                ..self
            });
        }
        Ok(setups)
    }
}

/// Runs machines.
#[derive(Debug)]
pub struct Driver;

impl Driver {
    /// Runs `machine` on a thread called `name` until it is stopped by its [`Handle`].
    ///
    /// Returns once the sockets are read from: what is sent to them from here on is handled.
    pub fn spawn<M: Operated + 'static>(
        name: &str,
        machine: M,
        setup: Setup,
    ) -> io::Result<Handle<M::Command, M::Notice>> {
        Driver::spawn_shards(name, vec![machine], setup)
    }

    /// Runs the shards of one function, in the order of their numbers, each on a thread of its own.
    ///
    /// The sockets must be bound for as many ([`Sockets::bind_for`]).
    pub fn spawn_shards<M: Operated + 'static>(
        name: &str,
        machines: Vec<M>,
        setup: Setup,
    ) -> io::Result<Handle<M::Command, M::Notice>> {
        let count = machines.len();
        let addresses = setup.sockets.addresses();
        let leftovers = Leftovers::find(&setup.security, count)?;
        let setups = setup.split(count)?;
        let polls = (0..count).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let inbox = |poll: &Poll| Ok(Arc::new(Inbox::new(Bell::new(poll.registry(), BELL)?, count)));
        let inboxes = polls.iter().map(inbox).collect::<io::Result<Vec<_>>>()?;
        let posts: Arc<[_]> = inboxes.iter().map(|inbox| Post::new(Arc::clone(inbox))).collect();
        let company = Arc::new(Company::new(inboxes, leftovers));
        let names = Arc::new(Desk::new(setups[0].dns.clone()));
        let (notice, notices) = sync_channel(REPORTS_MAX);
        let (trace, traces) = sync_channel(REPORTS_MAX);
        let (started, start) = sync_channel(count);
        let orders = Orders(Posts { posts: Arc::clone(&posts), company: Arc::clone(&company) });
        // One for each shard from the start: where a thread cannot be made, dropping its place ends the others.
        let places: Vec<_> = company
            .inboxes
            .iter()
            .map(|inbox| Membership {
                company: Arc::clone(&company),
                inbox: Arc::clone(inbox),
                has_failed: true,
            })
            .collect();
        let mut threads = Vec::new();
        let parts = machines.into_iter().zip(setups).zip(polls).zip(places);
        for (number, (((mut machine, setup), poll), membership)) in (0..).zip(parts) {
            let number = ShardId(number);
            let reports =
                Reports { notice: notice.clone(), trace: setup.trace.then(|| trace.clone()), lost: 0 };
            let (started, posts) = (started.clone(), Arc::clone(&posts));
            let (company, names) = (Arc::clone(&company), Arc::clone(&names));
            let name = if count == 1 { name.to_owned() } else { format!("{name}-{}", number.0) };
            let run = move || {
                let (node, rule) = &setup.recorder;
                machine.set_recorder(node, rule);
                if setup.trace && rule.mode != Mode::On {
                    machine.set_trace(true);
                }
                let world = World::open(setup, number, company, names, &poll)?;
                // The receiver waits right below, unless its thread has died.
                let _ = started.send(());
                drop(started);
                let mail = Mail::new(count);
                let shard = Shard {
                    number,
                    machine,
                    world,
                    reports,
                    membership,
                    poll,
                    mail,
                    drain_until: None,
                    has_told: false,
                };
                Ok(shard.run(&posts[usize::from(number.0)]))
            };
            threads.push(std::thread::Builder::new().name(name).spawn(run)?);
        }
        drop(started);
        if (0..count).all(|_| start.recv().is_ok()) {
            return Ok(Handle { orders, notices, traces, addresses, threads });
        }
        // A thread ended before it began: its error says why.
        Err(match join_all(threads) {
            Err(error) => error,
            Ok(_) => io::Error::other("the driver's thread ended at once"),
        })
    }
}

/// The token of a shard's bell: those of its sockets count from below.
const BELL: Token = Token(usize::MAX);
/// Notices and trace events that wait for a reader; beyond, they are lost.
const REPORTS_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
