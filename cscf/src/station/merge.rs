//! A request of the HSS that every shard answers, and the one answer that follows.

use diameter_client::cx::{CxAnswer, CxResult};
use diameter_client::endpoint::RequestId;
use std::collections::BTreeMap;

/// Requests whose answers are being collected.
#[derive(Debug, Default)]
pub(super) struct Merges(BTreeMap<RequestId, Merge>);

#[derive(Debug)]
struct Merge {
    /// Answers that are still to come.
    awaited: usize,
    best: Option<CxAnswer>,
}

impl Merges {
    /// A request that so many shards answer.
    pub(super) fn open(&mut self, id: RequestId, shards: usize) {
        if self.0.len() >= OPEN_MAX {
            // The peer has given up on the oldest long ago.
            self.0.pop_first();
        }
        self.0.insert(id, Merge { awaited: shards, best: None });
    }

    /// One of the answers; the one for the peer once all are there.
    pub(super) fn answer(&mut self, id: RequestId, answer: CxAnswer) -> Option<CxAnswer> {
        let merge = self.0.get_mut(&id)?;
        merge.awaited = merge.awaited.saturating_sub(1);
        let is_better = merge.best.as_ref().is_none_or(|best| weight(&answer) > weight(best));
        if is_better {
            merge.best = Some(answer);
        }
        match merge.awaited {
            0 => self.0.remove(&id)?.best,
            _ => None,
        }
    }
}

/// How much an answer says: a shard that does not know the user says least; one that failed must be heard, for what was
/// asked is not done.
fn weight(answer: &CxAnswer) -> u8 {
    match answer.result() {
        CxResult::USER_UNKNOWN => 0,
        result if result.is_success() => 1,
        _ => 2,
    }
}

/// Requests of peers under way.
const OPEN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use diameter_client::cx::{CxRequest, Ppr};

    fn merged(results: &[CxResult]) -> CxResult {
        let mut merges = Merges::default();
        merges.open(RequestId(7), results.len());
        let answer = |result| CxRequest::Ppr(Ppr::default()).refuse(result);
        let (last, first) = results.split_last().expect("an answer");
        for result in first {
            assert_eq!(merges.answer(RequestId(7), answer(*result)), None, "not all are there");
        }
        let merged = merges.answer(RequestId(7), answer(*last)).expect("all are there").result();
        assert!(merges.0.is_empty());
        merged
    }

    #[test]
    fn who_knows_the_user_is_heard_before_who_does_not_and_a_failure_before_all() {
        use CxResult as Cx;
        for (answers, expected) in [
            (&[Cx::USER_UNKNOWN, Cx::SUCCESS, Cx::USER_UNKNOWN][..], Cx::SUCCESS),
            (&[Cx::USER_UNKNOWN, Cx::USER_UNKNOWN], Cx::USER_UNKNOWN),
            (&[Cx::UNABLE_TO_COMPLY, Cx::SUCCESS], Cx::UNABLE_TO_COMPLY),
            (&[Cx::USER_UNKNOWN, Cx::NOT_SUPPORTED_USER_DATA], Cx::NOT_SUPPORTED_USER_DATA),
            (&[Cx::SUCCESS, Cx::SUCCESS], Cx::SUCCESS),
        ] {
            assert_eq!(merged(answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn an_answer_to_no_request_is_none() {
        let answer = CxRequest::Ppr(Ppr::default()).refuse(CxResult::SUCCESS);
        assert_eq!(Merges::default().answer(RequestId(1), answer), None);
    }

    #[test]
    fn requests_that_nobody_answers_cost_no_more_than_the_table() {
        let mut merges = Merges::default();
        for id in 0..=OPEN_MAX as u64 {
            merges.open(RequestId(id), 2);
        }
        assert_eq!(merges.0.len(), OPEN_MAX);
    }
}
