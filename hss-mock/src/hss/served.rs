//! One subscription while the HSS runs: its dynamic data, and what waits for the store.

use super::HssOutput;
use crate::command::HssCommand;
use crate::record::{HssRecord, registration_key, sqn_key, write_registration, write_sqn};
use crate::registration::Registration;
use crate::sequence::Sequence;
use crate::subscriber::Subscriber;
use diameter_client::cx::CxRequest;
use diameter_client::endpoint::RequestId;
use ims_aka::Sqn;
use std::collections::{BTreeMap, VecDeque};

/// The dynamic data of a subscription, and its line of jobs.
#[derive(Debug, Default)]
pub struct Served {
    pub registration: Registration,
    pub sequences: BTreeMap<String, Sequence>,
    /// The batch that is being stored, of which there is one at a time.
    batch: Option<u64>,
    line: VecDeque<Job>,
}

/// What is to be done for a subscription.
#[derive(Debug)]
pub enum Job {
    /// Answer a CSCF.
    Request { id: RequestId, request: Box<CxRequest>, origin_host: String, origin_realm: String },
    /// Carry a command out.
    Command { id: u64, command: HssCommand },
    /// The S-CSCF cannot hold the profile that `command` pushed: another has to be found.
    Reject { command: u64 },
}

/// What waits for a batch.
#[derive(Debug)]
pub struct Waiting {
    pub name: String,
    /// The subscription as it was, for a store that fails.
    pub before: Served,
    /// What goes out once the batch is durable.
    pub release: Vec<HssOutput>,
    /// What goes out instead if it cannot be made so.
    pub refuse: Vec<HssOutput>,
    /// What the directory has to take back then.
    pub undo: Option<Undo>,
}

/// A change of the directory, turned round.
#[derive(Debug)]
pub enum Undo {
    /// Take the subscription of this name out.
    Remove(String),
    /// Put this subscription in the place of the one of its name, if there is one.
    Restore(Box<Subscriber>),
}

impl Served {
    /// A copy of the dynamic data, without the line.
    pub fn snapshot(&self) -> Served {
        Served {
            registration: self.registration.clone(),
            sequences: self.sequences.clone(),
            ..Served::default()
        }
    }

    /// Goes on after a number found in the store.
    pub fn continue_after(&mut self, impi: &str, sqn: Sqn) {
        self.sequences.insert(impi.to_owned(), Sequence::after(sqn));
    }

    pub fn is_waiting(&self) -> bool {
        self.batch.is_some()
    }

    pub fn wait_for(&mut self, batch: u64) {
        self.batch = Some(batch);
    }

    /// Puts a job at the end of the line; gives it back when the line is full.
    pub fn line_up(&mut self, job: Job, line_max: usize) -> Result<(), Job> {
        if self.line.len() >= line_max && !matches!(job, Job::Reject { .. }) {
            return Err(job);
        }
        self.line.push_back(job);
        Ok(())
    }

    /// The batch is over: takes the line, to be lined up anew.
    pub fn take_line(&mut self) -> VecDeque<Job> {
        self.batch = None;
        std::mem::take(&mut self.line)
    }

    /// The records that differ from those of `before`.
    pub fn changes(&self, name: &str, before: &Served) -> Vec<HssRecord> {
        let mut records = Vec::new();
        let registration = write_registration(&self.registration);
        if registration != write_registration(&before.registration) {
            records.push(HssRecord::Dynamic { key: registration_key(name), value: registration });
        }
        for (impi, sequence) in &self.sequences {
            let reserved = sequence.reserved();
            if before.sequences.get(impi).is_none_or(|earlier| earlier.reserved() != reserved) {
                records.push(HssRecord::Dynamic { key: sqn_key(impi), value: Some(write_sqn(reserved)) });
            }
        }
        for impi in before.sequences.keys().filter(|impi| !self.sequences.contains_key(*impi)) {
            records.push(HssRecord::Dynamic { key: sqn_key(impi), value: None });
        }
        records
    }
}
