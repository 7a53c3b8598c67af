//! The subscriber database, waited for: the one place of this command that has a runtime to wait with.

use crate::exit::Failure;
use hss_mock::store::{Store, StoreError};
use hss_mock::{HssRecord, Subscriber};

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

fn wait<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
    runtime.block_on(work).map_err(|error| Failure::Failed(format!("`hss.store`: {error}")))
}
