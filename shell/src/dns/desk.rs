//! The thread that looks names up for the shards of one function: they share its cache.
//!
//! It starts with the first name that the configuration does not hold, so that most deployments never have it.

use super::Dns;
use crate::driver::Inbox;
use ambient::Entropy;
use cscf::config::DnsSection;
use cscf::query::{Answer, QueryId};
use cscf::resolve::{Lookup, Unresolved};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Takes lookups from any shard. The thread ends when the desk is dropped.
#[derive(Debug)]
pub(crate) struct Desk {
    setup: DnsSection,
    /// Unbounded as a channel, bounded by `open`.
    jobs: Mutex<Option<UnboundedSender<Job>>>,
    open: Arc<AtomicUsize>,
}

/// What is looked up.
pub(crate) enum Asked {
    /// The hops of a URI.
    Hops(Lookup, Box<Entropy>),
    /// The NAPTR records of a name.
    Naptr(String),
}

impl Asked {
    /// No server was asked.
    fn unanswered(&self) -> Answer {
        match self {
            Asked::Hops(lookup, _) => Answer::Resolved(Err(Unresolved::Unreachable(lookup.name.clone()))),
            Asked::Naptr(name) => Answer::Naptr(Err(Unresolved::Unreachable(name.clone()))),
        }
    }
}

/// One lookup, and whom to tell.
struct Job {
    asked: Asked,
    id: QueryId,
    inbox: Arc<Inbox>,
}

impl Desk {
    /// A desk that will ask the servers of `setup`.
    pub(crate) fn new(setup: DnsSection) -> Desk {
        Desk { setup, jobs: Mutex::new(None), open: Arc::default() }
    }

    /// Looks a name up; the answer goes to `inbox`. Returns it instead where it is known at once.
    pub(crate) fn resolve(&self, id: QueryId, asked: Asked, inbox: &Arc<Inbox>) -> Option<Answer> {
        let unanswered = asked.unanswered();
        if self.open.fetch_add(1, Ordering::AcqRel) >= LOOKUPS_MAX {
            self.open.fetch_sub(1, Ordering::AcqRel);
            return Some(unanswered);
        }
        let job = Job { asked, id, inbox: Arc::clone(inbox) };
        match self.give(job) {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(%error, "names cannot be looked up");
                self.open.fetch_sub(1, Ordering::AcqRel);
                Some(unanswered)
            }
        }
    }

    fn give(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &*jobs {
            Some(sender) => sender.clone(),
            None => {
                let (sender, taken) = unbounded_channel();
                let (setup, open) = (self.setup.clone(), Arc::clone(&self.open));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                std::thread::Builder::new()
                    .name("names".to_owned())
                    .spawn(move || runtime.block_on(serve(setup, taken, open)))?;
                *jobs = Some(sender.clone());
                sender
            }
        };
        sender.send(job).map_err(|_| io::Error::other("the thread that looks names up has ended"))
    }
}

async fn serve(setup: DnsSection, mut jobs: UnboundedReceiver<Job>, open: Arc<AtomicUsize>) {
    let dns = Dns::new(&setup);
    while let Some(Job { asked, id, inbox }) = jobs.recv().await {
        let (dns, open) = (dns.clone(), Arc::clone(&open));
        tokio::spawn(async move {
            let answer = match asked {
                Asked::Hops(lookup, entropy) => Answer::Resolved(dns.resolve(lookup, *entropy).await),
                Asked::Naptr(name) => Answer::Naptr(dns.naptr(name).await),
            };
            open.fetch_sub(1, Ordering::AcqRel);
            inbox.answer(id, answer);
        });
    }
}

/// Names that are looked up at once; beyond, a lookup fails.
const LOOKUPS_MAX: usize = 256;
