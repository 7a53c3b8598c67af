//! The driver: one thread that runs one machine and moves its bytes, queries and time.
//!
//! The thread has a single-threaded runtime. The machine is touched by its main loop alone, which waits for whatever
//! comes first (datagrams, connections, answers, orders, time), stamps the time once a batch, and carries out what the
//! machine then asks for. Connections have tasks of their own on the same thread, behind a bounded channel.

mod handle;
mod world;

pub use handle::{Ended, Gone, Handle, Operator};

use crate::clock::Clock;
use crate::sockets::Sockets;
use crate::store::Store;
use ambient::{Entropy, Now};
use cscf::config::DnsSection;
use cscf::query::{Answer, QueryId, Record};
use cscf::station::{LinkId, Operated, Protocol, WireInput};
use handle::{Order, Reports};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use world::World;

/// What a machine is driven with.
#[derive(Debug)]
pub struct Setup {
    /// Where it listens.
    pub sockets: Sockets,
    /// What keeps its records.
    pub store: Store,
    /// What the store held, given to the machine first.
    pub restored: Vec<Record>,
    /// Who resolves names.
    pub dns: DnsSection,
    /// Randomness for the weights of SRV records.
    pub entropy: Entropy,
    /// The clock: copies of one make the times of several machines comparable.
    pub clock: Clock,
    /// Whether every message is reported to [`Handle::traces`].
    pub trace: bool,
    /// How long work may take to finish once the machine is asked to stop.
    pub drain_max: Duration,
    /// Bytes that may wait to be written to one connection.
    pub write_buffer_max: usize,
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
            trace: false,
            drain_max: Duration::from_secs(5),
            write_buffer_max: 1 << 20,
        }
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
        mut machine: M,
        setup: Setup,
    ) -> io::Result<Handle<M::Command, M::Notice>> {
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let (notice, notices) = sync_channel(REPORTS_MAX);
        let (trace, traces) = sync_channel(REPORTS_MAX);
        let (started, start) = sync_channel(1);
        let addresses = setup.sockets.addresses();
        machine.set_trace(setup.trace);
        let reports = Reports { notice, trace };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let (events, arrived) = mpsc::channel(EVENTS_MAX);
                let main = Main { machine, world: World::open(setup, events)?, reports };
                // The receiver waits right below, unless its thread has died.
                let _ = started.send(());
                Ok(main.run(ordered, arrived).await)
            })
        })?;
        match start.recv() {
            Ok(()) => Ok(Handle { orders, notices, traces, addresses, thread }),
            // The thread ended before it began: its error says why.
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => error,
                Ok(Ok(_)) | Err(_) => io::Error::other("the driver's thread ended at once"),
            }),
        }
    }
}

/// What comes to the main loop from the tasks around it.
pub(crate) enum Arrived {
    /// A peer opened a connection.
    Accepted { stream: TcpStream, protocol: Protocol, local: SocketAddr, remote: SocketAddr },
    /// A connection of ours is open.
    Connected { link: LinkId, stream: TcpStream, local: SocketAddr },
    /// A connection of ours did not come about.
    ConnectFailed { link: LinkId, why: &'static str },
    /// Bytes on a connection.
    Received { link: LinkId, bytes: Vec<u8> },
    /// The end of a connection.
    Closed { link: LinkId },
    /// A datagram of ours that did not arrive.
    Undeliverable { remote: SocketAddr, why: &'static str },
    /// The answer to a query.
    Answered { id: QueryId, answer: Box<Answer> },
}

/// The main loop and what it owns.
struct Main<M: Operated> {
    machine: M,
    world: World,
    reports: Reports<M::Notice>,
}

impl<M: Operated> Main<M> {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order<M::Command>>,
        mut arrived: mpsc::Receiver<Arrived>,
    ) -> Ended {
        let restored = self.world.take_restored();
        self.input(self.world.now(), WireInput::Start { restored });
        self.world.flush();
        let mut drain_until = None;
        let ended = loop {
            self.undelivered();
            if drain_until.is_some() && self.machine.is_drained() {
                break Ended::Drained;
            }
            let due = self.machine.next_timeout().map(|(at, _)| at);
            let wake = self.world.wake(due, drain_until);
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Command(command)) => {
                        let now = self.world.now();
                        self.machine.command(now, command);
                        self.drain_outputs(now);
                    }
                    // A handle that was dropped is an owner that has gone: stop in good order.
                    Some(Order::Drain) | None => {
                        if drain_until.is_none() {
                            let now = self.world.now();
                            drain_until = Some(now.instant + self.world.drain_max());
                            self.input(now, WireInput::Drain);
                        }
                    }
                    Some(Order::Abort) => break Ended::Aborted,
                },
                Some(event) = arrived.recv() => {
                    let now = self.world.now();
                    self.event(now, event);
                    for _ in 1..EVENTS_BATCH {
                        let Ok(event) = arrived.try_recv() else { break };
                        self.event(now, event);
                    }
                }
                port = self.world.datagrams.ready() => {
                    let now = self.world.now();
                    for input in self.world.receive(port) {
                        self.input(now, input);
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    let now = self.world.now();
                    if drain_until.is_some_and(|until| now.instant >= until) {
                        break Ended::Late;
                    }
                    self.world.expire_writes(now);
                    self.input(now, WireInput::Timeout);
                }
            }
            self.world.flush();
        };
        self.world.flush();
        // Tasks and the store must not wait for room that nobody makes any more.
        drop(arrived);
        self.world.close(ended == Ended::Aborted).await;
        ended
    }

    fn event(&mut self, now: Now, event: Arrived) {
        if let Some(input) = self.world.arrived(event) {
            self.input(now, input);
        }
    }

    fn input(&mut self, now: Now, input: WireInput) {
        self.machine.handle(now, input);
        self.drain_outputs(now);
    }

    fn drain_outputs(&mut self, now: Now) {
        while let Some(output) = self.machine.poll_output() {
            self.world.carry_out(now, output);
        }
        self.reports.collect(&mut self.machine);
    }

    /// What carrying out outputs brought at once: a store that answers, a connection that overflows.
    fn undelivered(&mut self) {
        let now = self.world.now();
        while let Some(input) = self.world.poll_input() {
            self.input(now, input);
        }
        self.world.flush();
    }
}

/// Commands that wait for a machine.
const ORDERS_MAX: usize = 1024;
/// Notices and trace events that wait for a reader; beyond, they are lost.
const REPORTS_MAX: usize = 65_536;
/// Events that wait for the main loop; their senders wait beyond.
const EVENTS_MAX: usize = 1024;
/// Events handled with one stamp of time.
const EVENTS_BATCH: usize = 256;

#[cfg(test)]
mod tests;
