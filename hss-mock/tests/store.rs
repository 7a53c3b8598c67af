//! The store, by the same suite on SQLite in memory, on a file, and on PostgreSQL where there is one.
//!
//! `CARILLON_TEST_POSTGRES` names a PostgreSQL database that may be emptied: `postgres://postgres@localhost/test`.

// Clippy knows a test by its attribute, and not the suite that three of them share.
#![allow(clippy::unwrap_used)]

mod lab;

use cscf::user_data::{ApplicationServer, InitialFilterCriteria};
use diameter_client::cx::{ChargingInformation, ServerCapabilities};
use hss_mock::store::{Store, StoreError};
use hss_mock::{Credentials, HssRecord, Permission, Roaming, Subscriber};
use ims_aka::{Hash, Key, Sqn, Top, TuakKey};
use lab::*;

/// Every field away from its default.
fn rich() -> Subscriber {
    let mut subscriber = alice();
    let mut tuak = subscriber.private_identities[0].clone();
    tuak.impi = "tuak@home1.net".to_owned();
    tuak.credentials = Credentials::tuak_top(TuakKey::K256(Key::new([5; 32])), &Top(Key::new([6; 32])), 2);
    tuak.sqn = Sqn::from_parts(99, 9);
    tuak.amf = [0x12, 0x34];
    let mut digest = tuak.clone();
    digest.impi = "digest@home1.net".to_owned();
    digest.credentials = Credentials::digest_password(Hash::Sha256, "digest@home1.net", DOMAIN, "secret");
    subscriber.private_identities.extend([tuak, digest]);
    let profile = &mut subscriber.implicit_sets[0].service_profiles[0];
    let application_server = ApplicationServer { server_name: "sip:as".to_owned(), ..Default::default() };
    profile.filter_criteria = vec![InitialFilterCriteria { application_server, ..Default::default() }];
    let mut second = subscriber.implicit_sets[0].clone();
    second.impis = vec!["tuak@home1.net".to_owned()];
    second.application_server = Some("sip:as2".to_owned());
    for identity in &mut second.service_profiles[0].public_identities {
        identity.identity = identity.identity.replace("sip:", "sip:2").replace("tel:+", "tel:+2");
    }
    subscriber.implicit_sets.push(second);
    subscriber.server = Some(ServerCapabilities {
        mandatory: vec![1, 2],
        optional: vec![3],
        server_names: vec!["sip:s1".to_owned(), "sip:s2".to_owned()],
    });
    subscriber.roaming = Roaming::Networks(vec!["a".to_owned(), "b".to_owned()]);
    subscriber.registration = Permission::Denied;
    subscriber.unregistered_services = Permission::Denied;
    subscriber.charging =
        Some(ChargingInformation { primary_ccf: Some("aaa://ccf".to_owned()), ..Default::default() });
    subscriber
}

fn dynamic(key: &str, value: Option<&str>) -> HssRecord {
    HssRecord::Dynamic { key: key.to_owned(), value: value.map(|value| value.as_bytes().to_vec()) }
}

fn added(subscriber: Subscriber) -> HssRecord {
    HssRecord::Subscriber(Box::new(subscriber))
}

async fn suite(store: &Store) {
    store
        .apply(&[added(rich()), added(bob()), dynamic("a", Some("1\nx")), dynamic("b", Some("2"))])
        .await
        .unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.subscribers, [rich(), bob()]);
    let record = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    assert_eq!(loaded.records, [record("a", "1\nx"), record("b", "2")]);

    store.apply(&[added(alice()), dynamic("a", None), dynamic("b", Some("3"))]).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.subscribers, loaded.records), (vec![alice(), bob()], vec![record("b", "3")]));

    let mut twin = bob();
    twin.name = "twin".to_owned();
    let error = store.apply(&[dynamic("c", Some("4")), added(twin)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Database(_)), "an identity cannot be had twice: {error}");
    assert_eq!(store.load().await.unwrap().records, [record("b", "3")], "none of a failed batch stays");

    store.apply(&[HssRecord::RemoveSubscriber("alice".to_owned())]).await.unwrap();
    assert_eq!(store.load().await.unwrap().subscribers, [bob()]);
}

#[tokio::test]
async fn sqlite_in_memory_keeps_what_it_is_given() {
    suite(&Store::open("sqlite::memory:").await.unwrap()).await;
}

#[tokio::test]
async fn an_sqlite_file_keeps_it_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("hss.db").display());
    let store = Store::open(&url).await.unwrap();
    suite(&store).await;
    store.close().await;
    let loaded = Store::open(&url).await.unwrap().load().await.unwrap();
    assert_eq!((loaded.subscribers, loaded.records.len()), (vec![bob()], 1));
}

#[tokio::test]
async fn postgresql_keeps_what_it_is_given() {
    let Ok(url) = std::env::var("CARILLON_TEST_POSTGRES") else {
        println!("skipped: CARILLON_TEST_POSTGRES names no database");
        return;
    };
    let store = Store::open(&url).await.unwrap();
    let left = store.load().await.unwrap();
    let names = left.subscribers.into_iter().map(|subscriber| HssRecord::RemoveSubscriber(subscriber.name));
    let keys = left.records.iter().map(|(key, _)| dynamic(key, None));
    store.apply(&names.chain(keys).collect::<Vec<_>>()).await.unwrap();
    suite(&store).await;
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused_with_the_kinds_there_are() {
    let error = Store::open("mysql://localhost/hss").await.unwrap_err();
    assert!(error.to_string().contains("sqlite:FILE"), "{error}");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("hss.db").display());
    Store::open(&url).await.unwrap().close().await;
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    sqlx::query("UPDATE schema_version SET version = 99").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(matches!(Store::open(&url).await, Err(StoreError::Version(99))));
}
