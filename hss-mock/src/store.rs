//! The store of an HSS: SQLite (a file or memory) or PostgreSQL, chosen by URL, by sqlx.
//!
//! The only asynchronous part of this crate. Read once at the start ([`Store::load`]); from then on it only takes records
//! ([`Store::apply`]), and no answer waits for it unless it depends on one.
//!
//! Tables are made to be read by a person; the profile of an implicit set is kept as the User-Data of TS 29.228, and
//! `public_identity` repeats the identities in it, to search by. Keys stand in the clear, as in any lab: protect the file.

pub mod keeper;
mod rows;
mod schema;

use crate::record::HssRecord;
use crate::subscriber::Subscriber;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions};
use std::fmt;
use std::str::FromStr;

/// A store that is open.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
}

/// What a store held when it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// By name.
    pub subscribers: Vec<Subscriber>,
    /// The dynamic records, by key.
    pub records: Vec<(String, Vec<u8>)>,
}

/// Why a store cannot be opened, read or written.
#[derive(Debug)]
pub enum StoreError {
    /// The URL names neither SQLite nor PostgreSQL.
    Url(String),
    /// The tables were made by a newer version.
    Version(i64),
    /// A row is not what this version writes.
    Damaged {
        /// Of this table.
        table: &'static str,
        /// The key of the row.
        key: String,
        /// What is wrong with it, without a secret.
        reason: String,
    },
    /// The database refused or failed.
    Database(sqlx::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Url(reason) => {
                write!(
                    f,
                    "store URL: {reason}; use sqlite:FILE, sqlite::memory: or postgres://USER@HOST/NAME"
                )
            }
            StoreError::Version(found) => {
                write!(
                    f,
                    "the store has tables of version {found}, and this program knows {}",
                    schema::VERSION
                )
            }
            StoreError::Damaged { table, key, reason } => write!(f, "table {table}, row {key}: {reason}"),
            StoreError::Database(error) => write!(f, "database: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        StoreError::Database(error)
    }
}

impl Store {
    /// Opens a store and makes its tables when there are none.
    ///
    /// `sqlite:FILE` makes the file; `sqlite::memory:` is gone when the store is closed.
    pub async fn open(url: &str) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        if !is_sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(StoreError::Url("unknown kind of database".to_owned()));
        }
        let is_plain_file = is_sqlite && !url.contains(":memory:") && !url.contains('?');
        let url = if is_plain_file { format!("{url}?mode=rwc") } else { url.to_owned() };
        let options =
            AnyConnectOptions::from_str(&url).map_err(|error| StoreError::Url(error.to_string()))?;
        // SQLite has one writer, and a database in memory belongs to its connection.
        let connections = if is_sqlite { 1 } else { 4 };
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.disable_statement_logging())
            .await?;
        if is_sqlite {
            // An acknowledged record survives a loss of power, not only a crash of the process.
            sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").execute(&pool).await?;
        }
        schema::prepare(&pool).await?;
        Ok(Store { pool })
    }

    /// Reads everything.
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        Ok(Loaded {
            subscribers: rows::subscribers(&self.pool).await?,
            records: rows::dynamic(&self.pool).await?,
        })
    }

    /// Makes records durable, all or none. Records of several batches may be given at once.
    pub async fn apply(&self, records: &[HssRecord]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for record in records {
            match record {
                HssRecord::Dynamic { key, value } => {
                    rows::write_dynamic(&mut transaction, key, value.as_deref()).await?;
                }
                HssRecord::Subscriber(subscriber) => {
                    rows::remove_subscriber(&mut transaction, &subscriber.name).await?;
                    rows::write_subscriber(&mut transaction, subscriber).await?;
                }
                HssRecord::RemoveSubscriber(name) => rows::remove_subscriber(&mut transaction, name).await?,
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Closes the store; what was applied is durable already.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
