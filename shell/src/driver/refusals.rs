//! ESP that was refused, told now and then: nothing else shows a phone whose packets nobody can open.

use crate::ipsec::SecurityBackEnd;
use ambient::Instant;
use ipsec::Refusal;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What has been told of, by any shard of a function: the kernel counts for all of them.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<Counts>>);

type Counts = [u64; Refusal::ALL.len()];

/// The looks of one shard.
#[derive(Debug)]
pub(super) struct Refusals {
    told: Arc<Told>,
    look_at: Option<Instant>,
    /// What was told, for the recorder.
    news: VecDeque<(&'static str, u64)>,
}

impl Refusals {
    /// Looks that begin later.
    pub(super) const fn new(told: Arc<Told>) -> Refusals {
        Refusals { told, look_at: None, news: VecDeque::new() }
    }

    /// There is something to look for from here on; what was refused before the first shard says so is no news.
    pub(super) fn begin(&mut self, back_end: &SecurityBackEnd, now: Instant) {
        if self.look_at.is_none() {
            self.told.lock().get_or_insert_with(|| counts(back_end));
            self.look_at = Some(now + EVERY);
        }
    }

    /// The next reason that was told of, and how often it came.
    pub(super) fn poll(&mut self) -> Option<(&'static str, u64)> {
        self.news.pop_front()
    }

    /// When [`Refusals::look`] is due.
    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.look_at
    }

    /// Tells what came since any shard looked; `is_needed` says whether to look again.
    pub(super) fn look(&mut self, back_end: &SecurityBackEnd, is_needed: bool, now: Instant) {
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.look_at = is_needed.then(|| now + EVERY);
        let mut told = self.told.lock();
        let Some(told) = told.as_mut() else { return };
        for (reason, count) in news(told, counts(back_end)) {
            tracing::warn!(count, cause = meaning(reason), "ESP was refused: {reason:?}");
            self.news.push_back((reason.name(), count));
        }
    }
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Option<Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counts(back_end: &SecurityBackEnd) -> Counts {
    Refusal::ALL.map(|reason| back_end.refused(reason).unwrap_or(0))
}

/// What has grown, and by how much.
fn news(told: &mut Counts, found: Counts) -> impl Iterator<Item = (Refusal, u64)> {
    let before = std::mem::replace(told, found);
    let grown = Refusal::ALL.into_iter().zip(found.into_iter().zip(before));
    grown.filter_map(|(reason, (found, before))| {
        Some((reason, found.saturating_sub(before))).filter(|(_, count)| *count > 0)
    })
}

/// What a reason means for whoever looks after a lab.
fn meaning(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Malformed => "no ESP of the agreed algorithms",
        Refusal::UnknownSpi => {
            "a UE sends through an association that is not here: it has ended, or the UE took another SPI"
        }
        Refusal::BadIcv => {
            "another key, or changed on its way: CK and IK of UE and HSS differ, or the algorithms do"
        }
        Refusal::Replay => "heard before, or far too late",
        Refusal::Source => "from another address than the UE's: there is a NAT between UE and P-CSCF",
        Refusal::Selector => "inside are other ports than the agreed ones",
    }
}

const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_for_what_is_new() {
        let mut told = [0; Refusal::ALL.len()];
        let mut found = told;
        found[1] = 3;
        found[3] = 1;
        assert_eq!(
            news(&mut told, found).collect::<Vec<_>>(),
            [(Refusal::UnknownSpi, 3), (Refusal::Replay, 1)]
        );
        found[3] = 2;
        assert_eq!(news(&mut told, found).collect::<Vec<_>>(), [(Refusal::Replay, 1)]);
        // Another namespace, or a kernel that began anew.
        assert_eq!(news(&mut told, [0; Refusal::ALL.len()]).count(), 0);
    }
}
