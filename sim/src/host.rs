//! A host of the simulation: a machine that can crash and start again, and the disk that outlives it.

use crate::security::{Esp, Marks, Origin};
use crate::world::HostId;
use ambient::{Instant, Now};
use cscf::node::Count;
use cscf::query::Record;
use cscf::role::Role;
use cscf::station::{Operated, Shards, Station, WireInput, WireOutput};
use cscf::trace;
use ipsec::Refusal;
use std::any::Any;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A machine whose commands and notices are handed over untyped, so that one world drives all of them.
pub trait AnyMachine {
    /// See [`cscf::station::Machine::handle`].
    fn handle(&mut self, now: Now, input: WireInput);
    /// See [`cscf::station::Machine::poll_output`].
    fn poll_output(&mut self) -> Option<WireOutput>;
    /// See [`cscf::station::Machine::next_timeout`].
    fn next_timeout(&self) -> Option<(Instant, &'static str)>;
    /// See [`Operated::command`]; false when the command is not the machine's.
    fn command(&mut self, now: Now, command: Box<dyn Any>) -> bool;
    /// See [`Operated::poll_notice`].
    fn poll_notice(&mut self) -> Option<Box<dyn Any>>;
    /// See [`Operated::poll_trace`].
    fn poll_trace(&mut self) -> Option<trace::Event>;
    /// See [`Operated::counters`].
    fn counters(&self) -> Vec<Count>;
    /// The machine itself, for a look at its state.
    fn as_any(&self) -> &dyn Any;
}

impl<M: Operated + 'static> AnyMachine for M {
    fn handle(&mut self, now: Now, input: WireInput) {
        cscf::station::Machine::handle(self, now, input);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        cscf::station::Machine::poll_output(self)
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        cscf::station::Machine::next_timeout(self)
    }

    fn command(&mut self, now: Now, command: Box<dyn Any>) -> bool {
        match command.downcast::<M::Command>() {
            Ok(command) => {
                Operated::command(self, now, *command);
                true
            }
            Err(_) => false,
        }
    }

    fn poll_notice(&mut self) -> Option<Box<dyn Any>> {
        Operated::poll_notice(self).map(|notice| Box::new(notice) as Box<dyn Any>)
    }

    fn poll_trace(&mut self) -> Option<trace::Event> {
        Operated::poll_trace(self)
    }

    fn counters(&self) -> Vec<Count> {
        Operated::counters(self, None)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Makes the machine of a host, anew at each start; the number is a fresh seed.
pub type Factory = Box<dyn FnMut(u64) -> Box<dyn AnyMachine>>;

/// One host.
pub struct Host {
    /// Its name in links and ladders.
    pub name: String,
    /// Its address; all its sockets are on it.
    pub address: IpAddr,
    /// The running machine; `None` while it is down.
    pub machine: Option<Box<dyn AnyMachine>>,
    /// Makes the machine.
    pub factory: Factory,
    /// What the store has acknowledged: it survives a crash.
    pub disk: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its ESP, in this life.
    pub esp: Esp,
    /// How far its associations were, as its disk has it.
    pub marks: Marks,
    /// The ESP datagram that left last: for whom, how it comes there, and what it was.
    pub left_last: Option<(HostId, Origin, Vec<u8>)>,
    /// Counts the starts, so that what was on its way to an earlier life is dropped.
    pub life: u32,
    /// Notices that nobody has taken yet.
    pub notices: Vec<(Instant, Box<dyn Any>)>,
    /// Whether the disk refuses to write.
    pub disk_fails: bool,
    /// Whether connections of SIP to it are refused.
    pub refuses_streams: bool,
    /// The timeout that is on the heap.
    pub wakes_at: Option<Instant>,
}

impl Host {
    /// The records of the disk, as a machine gets them at its start.
    pub fn restored(&self) -> Vec<Record> {
        self.disk.iter().map(|(key, value)| Record { key: key.clone(), value: Some(value.clone()) }).collect()
    }

    /// How often something was counted by the machine that runs on it or by its ESP, as an operator would be told.
    pub fn counted(&self, name: &str, cause: &str) -> u64 {
        let of_esp = Refusal::ALL.map(|reason| Count {
            name: "esp_refused",
            cause: reason.name(),
            count: self.esp.refused(reason),
        });
        let of_machine = self.machine.as_ref().map(|machine| machine.counters()).unwrap_or_default();
        let is_it = |counted: &&Count| counted.name == name && counted.cause == cause;
        of_machine.iter().chain(&of_esp).filter(is_it).map(|counted| counted.count).sum()
    }

    /// Whether a phone runs on it.
    pub fn is_phone(&self) -> bool {
        !self.shards::<ue::Ue>().is_empty()
    }

    /// The shards of the function that runs on it, when it is of this role; none while it is down.
    pub fn shards<R: Role + 'static>(&self) -> &[Station<R>] {
        let Some(machine) = &self.machine else { return &[] };
        let any = machine.as_any();
        match any.downcast_ref::<Shards<R>>() {
            Some(shards) => shards.stations(),
            None => any.downcast_ref::<Station<R>>().map_or(&[], std::slice::from_ref),
        }
    }

    /// Writes acknowledged records.
    pub fn write(&mut self, records: Vec<Record>) {
        for Record { key, value } in records {
            match value {
                Some(value) => self.disk.insert(key, value),
                None => self.disk.remove(&key),
            };
        }
    }
}
