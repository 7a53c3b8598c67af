//! The owner's end of a running machine.

use crate::sockets::Binding;
use cscf::station::Operated;
use cscf::trace;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// A machine that runs on a thread of its own.
///
/// Dropping the handle stops the machine in good order, without waiting for it.
#[derive(Debug)]
pub struct Handle<C, N> {
    pub(super) orders: mpsc::Sender<Order<C>>,
    /// What the machine tells its owner. Those that nobody reads are lost beyond some ten thousand.
    pub notices: Receiver<N>,
    /// Every message that it sent or received, when [`super::Setup::trace`] asked for it.
    pub traces: Receiver<trace::Event>,
    pub(super) addresses: Vec<Binding>,
    pub(super) thread: JoinHandle<io::Result<Ended>>,
}

/// What the owner asks of the main loop.
#[derive(Debug)]
pub(super) enum Order<C> {
    Command(C),
    Drain,
    Abort,
}

/// How a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All work was finished.
    Drained,
    /// Work was left when the time to finish it was over.
    Late,
    /// At once, as asked.
    Aborted,
}

/// The machine has ended, or its queue of commands is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the machine has stopped or takes no more commands")
    }
}

impl std::error::Error for Gone {}

impl<C, N> Handle<C, N> {
    /// Queues a command.
    pub fn command(&self, command: C) -> Result<(), Gone> {
        self.orders.try_send(Order::Command(command)).map_err(|_| Gone)
    }

    /// The end that commands the machine and hears its notices, to be used elsewhere; [`Handle::notices`] is silent from
    /// here on.
    ///
    /// It keeps no machine alive.
    pub fn operator(&mut self) -> Operator<C, N> {
        let (_, silent) = sync_channel(1);
        let notices = std::mem::replace(&mut self.notices, silent);
        Operator { orders: self.orders.downgrade(), notices }
    }

    /// Where the machine listens, with the ports that the system chose.
    pub fn addresses(&self) -> &[Binding] {
        &self.addresses
    }

    /// Whether the machine has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks the machine to take no new work and to end; does not wait.
    pub fn drain(&self) {
        // A full queue of commands must not make a process immortal: the machine ends by the second try.
        if self.orders.try_send(Order::Drain).is_err() {
            tracing::warn!("the machine is too busy to be stopped, or has stopped");
        }
    }

    /// Stops the machine in good order and waits for its end.
    pub fn stop(self) -> io::Result<Ended> {
        self.end(Order::Drain)
    }

    /// Ends the machine as a crash would: nothing is finished, nothing is said.
    pub fn abort(self) -> io::Result<Ended> {
        self.end(Order::Abort)
    }

    /// Waits until the machine ends by itself.
    pub fn join(self) -> io::Result<Ended> {
        let Handle { orders, thread, .. } = self;
        let result = thread.join();
        drop(orders);
        flatten(result)
    }

    fn end(self, order: Order<C>) -> io::Result<Ended> {
        let Handle { orders, thread, .. } = self;
        // Fails only when the machine has ended already.
        let _ = orders.blocking_send(order);
        flatten(thread.join())
    }
}

/// Who commands a running machine, and hears what it says of it.
#[derive(Debug)]
pub struct Operator<C, N> {
    orders: mpsc::WeakSender<Order<C>>,
    /// What the machine tells.
    pub notices: Receiver<N>,
}

impl<C, N> Operator<C, N> {
    /// Queues a command.
    pub fn command(&self, command: C) -> Result<(), Gone> {
        let orders = self.orders.upgrade().ok_or(Gone)?;
        orders.try_send(Order::Command(command)).map_err(|_| Gone)
    }

    /// Whether the machine has ended.
    pub fn is_gone(&self) -> bool {
        self.orders.upgrade().is_none_or(|orders| orders.is_closed())
    }
}

fn flatten(result: std::thread::Result<io::Result<Ended>>) -> io::Result<Ended> {
    result.unwrap_or_else(|_| Err(io::Error::other("the machine's thread panicked")))
}

/// The machine's end of what its owner reads.
pub(super) struct Reports<N> {
    pub(super) notice: SyncSender<N>,
    pub(super) trace: SyncSender<trace::Event>,
}

impl<N> Reports<N> {
    /// Hands over what the machine has to say; a reader that is behind or gone loses it.
    pub(super) fn collect(&mut self, machine: &mut impl Operated<Notice = N>) {
        while let Some(notice) = machine.poll_notice() {
            let _ = self.notice.try_send(notice);
        }
        while let Some(event) = machine.poll_trace() {
            let _ = self.trace.try_send(event);
        }
    }
}
