//! The subscriber database and name servers, waited for: the one place of this command that has a runtime to wait with.

use crate::exit::Failure;
use cscf::config::DnsSection;
use cscf::resolve::{Question, Records};
use hss_mock::store::{Store, StoreError};
use hss_mock::{HssRecord, Subscriber};
use shell::dns::Dns;

/// The subscribers in the database at `url`.
pub fn load(url: &str) -> Result<Vec<Subscriber>, Failure> {
    wait(async {
        let store = Store::open(url).await?;
        let loaded = store.load().await?;
        store.close().await;
        Ok(loaded.subscribers)
    })
}

/// Makes changes durable in the database at `url`, all or none.
pub fn apply(url: &str, records: &[HssRecord]) -> Result<(), Failure> {
    wait(async {
        let store = Store::open(url).await?;
        store.apply(records).await?;
        store.close().await;
        Ok(())
    })
}

/// What the name servers of `setup` say to each question.
pub fn records(setup: &DnsSection, questions: Vec<Question>) -> Vec<(Question, Records)> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return questions.into_iter().map(|question| (question, Records::Unreachable)).collect();
    };
    runtime.block_on(async {
        let dns = Dns::new(setup);
        // At once: a server that is silent is waited for once.
        let asked = questions.into_iter().map(|question| {
            let dns = dns.clone();
            tokio::spawn(async move {
                let records = dns.ask(&question).await;
                (question, records)
            })
        });
        let mut answers = Vec::new();
        for answer in asked.collect::<Vec<_>>() {
            answers.extend(answer.await);
        }
        answers
    })
}

fn wait<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
    runtime.block_on(work).map_err(|error| Failure::Failed(format!("`hss.store`: {error}")))
}
