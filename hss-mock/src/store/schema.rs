//! The tables, in the SQL that SQLite and PostgreSQL share.

use super::StoreError;
use sqlx::{AnyPool, Row};

/// The version of the tables below.
pub const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS subscriber (
    name TEXT PRIMARY KEY,
    imsi TEXT,
    registration_allowed BIGINT NOT NULL,
    unregistered_services BIGINT NOT NULL,
    roaming_networks TEXT,
    mandatory_capabilities TEXT,
    optional_capabilities TEXT,
    server_names TEXT,
    primary_ecf TEXT,
    secondary_ecf TEXT,
    primary_ccf TEXT,
    secondary_ccf TEXT
);
CREATE TABLE IF NOT EXISTS private_identity (
    impi TEXT PRIMARY KEY,
    subscriber TEXT NOT NULL,
    position BIGINT NOT NULL,
    scheme TEXT NOT NULL,
    k TEXT,
    opc TEXT,
    iterations BIGINT,
    realm TEXT,
    ha1 TEXT,
    amf TEXT NOT NULL,
    sqn TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS private_identity_of ON private_identity (subscriber);
CREATE TABLE IF NOT EXISTS implicit_set (
    subscriber TEXT NOT NULL,
    position BIGINT NOT NULL,
    impis TEXT NOT NULL,
    application_server TEXT,
    user_data TEXT NOT NULL,
    PRIMARY KEY (subscriber, position)
);
CREATE TABLE IF NOT EXISTS public_identity (
    impu TEXT PRIMARY KEY,
    subscriber TEXT NOT NULL,
    set_position BIGINT NOT NULL,
    barred BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS public_identity_of ON public_identity (subscriber);
CREATE TABLE IF NOT EXISTS dynamic (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
";

/// Makes the tables when there are none; refuses those of a newer version.
pub async fn prepare(pool: &AnyPool) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
    let row = sqlx::query("SELECT version FROM schema_version").fetch_optional(&mut *transaction).await?;
    match row {
        Some(row) => {
            let found: i64 = row.try_get("version")?;
            if found > VERSION {
                return Err(StoreError::Version(found));
            }
        }
        None => {
            sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
                .bind(VERSION)
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}
