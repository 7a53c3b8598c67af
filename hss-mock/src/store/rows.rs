//! Subscribers and dynamic records as rows, and back.

use super::StoreError;
use crate::credentials::Credentials;
use crate::identity::canonical;
use crate::subscriber::{ImplicitSet, Permission, PrivateIdentity, Roaming, Subscriber};
use cscf::user_data::{self, ImsSubscription};
use diameter_client::cx::{ChargingInformation, ServerCapabilities};
use ims_aka::{Ha1, Hash, Key, Opc, Sqn, Topc, TuakKey};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row, Transaction};
use std::collections::BTreeMap;

/// Every dynamic record, by key.
pub async fn dynamic(pool: &AnyPool) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let rows = sqlx::query("SELECT key, value FROM dynamic ORDER BY key").fetch_all(pool).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("key")?, row.try_get::<String, _>("value")?.into_bytes())))
        .collect()
}

/// Writes a dynamic record, or removes it.
pub async fn write_dynamic(
    transaction: &mut Transaction<'_, Any>,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), StoreError> {
    match value {
        Some(value) => {
            let text = std::str::from_utf8(value).map_err(|_| damaged("dynamic", key, "not text"))?;
            sqlx::query(
                "INSERT INTO dynamic (key, value) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(key)
            .bind(text)
            .execute(&mut **transaction)
            .await?;
        }
        None => {
            sqlx::query("DELETE FROM dynamic WHERE key = $1").bind(key).execute(&mut **transaction).await?;
        }
    }
    Ok(())
}

/// Removes a subscription; its dynamic records have keys of their own.
pub async fn remove_subscriber(transaction: &mut Transaction<'_, Any>, name: &str) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM public_identity WHERE subscriber = $1",
        "DELETE FROM implicit_set WHERE subscriber = $1",
        "DELETE FROM private_identity WHERE subscriber = $1",
        "DELETE FROM subscriber WHERE name = $1",
    ] {
        sqlx::query(statement).bind(name).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Writes a subscription that is not there.
pub async fn write_subscriber(
    transaction: &mut Transaction<'_, Any>,
    subscriber: &Subscriber,
) -> Result<(), StoreError> {
    let server = subscriber.server.as_ref();
    let charging = subscriber.charging.clone().unwrap_or_default();
    let roaming = match &subscriber.roaming {
        Roaming::Anywhere => None,
        Roaming::Networks(networks) => Some(networks.join("\n")),
    };
    sqlx::query(
        "INSERT INTO subscriber (name, imsi, registration_allowed, unregistered_services, roaming_networks,
         mandatory_capabilities, optional_capabilities, server_names, primary_ecf, secondary_ecf, primary_ccf,
         secondary_ccf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(&subscriber.name)
    .bind(&subscriber.imsi)
    .bind(i64::from(subscriber.registration == Permission::Allowed))
    .bind(i64::from(subscriber.unregistered_services == Permission::Allowed))
    .bind(roaming)
    .bind(server.map(|server| numbers(&server.mandatory)))
    .bind(server.map(|server| numbers(&server.optional)))
    .bind(server.map(|server| server.server_names.join("\n")))
    .bind(charging.primary_ecf)
    .bind(charging.secondary_ecf)
    .bind(charging.primary_ccf)
    .bind(charging.secondary_ccf)
    .execute(&mut **transaction)
    .await?;
    for (position, identity) in (0..).zip(&subscriber.private_identities) {
        write_private_identity(transaction, &subscriber.name, position, identity).await?;
    }
    for (position, set) in (0..).zip(&subscriber.implicit_sets) {
        write_set(transaction, subscriber, position, set).await?;
    }
    Ok(())
}

async fn write_private_identity(
    transaction: &mut Transaction<'_, Any>,
    name: &str,
    position: i64,
    identity: &PrivateIdentity,
) -> Result<(), StoreError> {
    let (scheme, k, opc, iterations, realm, ha1) = match &identity.credentials {
        Credentials::Milenage { k, opc } => {
            ("milenage", Some(k.expose_hex()), Some(opc.0.expose_hex()), None, None, None)
        }
        Credentials::Tuak { k, topc, iterations } => {
            let k = match k {
                TuakKey::K128(k) => k.expose_hex(),
                TuakKey::K256(k) => k.expose_hex(),
            };
            ("tuak", Some(k), Some(topc.0.expose_hex()), Some(i64::from(*iterations)), None, None)
        }
        Credentials::Digest { realm, ha1 } => {
            let scheme = match ha1.hash() {
                Hash::Md5 => "digest-md5",
                Hash::Sha256 => "digest-sha-256",
            };
            (scheme, None, None, None, Some(realm.clone()), Some(ha1.expose().to_owned()))
        }
        // The realm of whoever is known by the bearer is its address.
        Credentials::Giba { address } => ("giba", None, None, None, Some(address.to_string()), None),
    };
    sqlx::query(
        "INSERT INTO private_identity (impi, subscriber, position, scheme, k, opc, iterations, realm, ha1, amf, sqn)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&identity.impi)
    .bind(name)
    .bind(position)
    .bind(scheme)
    .bind(k)
    .bind(opc)
    .bind(iterations)
    .bind(realm)
    .bind(ha1)
    .bind(crate::record::hex(&identity.amf))
    .bind(identity.sqn.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn write_set(
    transaction: &mut Transaction<'_, Any>,
    subscriber: &Subscriber,
    position: i64,
    set: &ImplicitSet,
) -> Result<(), StoreError> {
    let impi = subscriber.impis_of(set).next().unwrap_or_default();
    sqlx::query(
        "INSERT INTO implicit_set (subscriber, position, impis, application_server, user_data)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&subscriber.name)
    .bind(position)
    .bind(set.impis.join("\n"))
    .bind(&set.application_server)
    .bind(user_data::write(&subscriber.user_data(set, impi)))
    .execute(&mut **transaction)
    .await?;
    for identity in set.identities() {
        sqlx::query(
            "INSERT INTO public_identity (impu, subscriber, set_position, barred) VALUES ($1, $2, $3, $4)",
        )
        .bind(canonical(&identity.identity))
        .bind(&subscriber.name)
        .bind(position)
        .bind(i64::from(identity.is_barred))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Every subscription, by name.
pub async fn subscribers(pool: &AnyPool) -> Result<Vec<Subscriber>, StoreError> {
    let mut by_name = BTreeMap::new();
    for row in sqlx::query("SELECT * FROM subscriber").fetch_all(pool).await? {
        let subscriber = read_subscriber(&row)?;
        by_name.insert(subscriber.name.clone(), subscriber);
    }
    let rows =
        sqlx::query("SELECT * FROM private_identity ORDER BY subscriber, position").fetch_all(pool).await?;
    for row in rows {
        if let Some(subscriber) = by_name.get_mut(&row.try_get::<String, _>("subscriber")?) {
            subscriber.private_identities.push(read_private_identity(&row)?);
        }
    }
    let rows =
        sqlx::query("SELECT * FROM implicit_set ORDER BY subscriber, position").fetch_all(pool).await?;
    for row in rows {
        if let Some(subscriber) = by_name.get_mut(&row.try_get::<String, _>("subscriber")?) {
            subscriber.implicit_sets.push(read_set(&row)?);
        }
    }
    Ok(by_name.into_values().collect())
}

fn read_subscriber(row: &AnyRow) -> Result<Subscriber, StoreError> {
    let name: String = row.try_get("name")?;
    let permission = |column: &str| -> Result<Permission, sqlx::Error> {
        Ok(if row.try_get::<i64, _>(column)? != 0 { Permission::Allowed } else { Permission::Denied })
    };
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    let list = |column: &str| -> Result<Vec<u32>, StoreError> {
        let list = text(column)?.unwrap_or_default();
        let numbers = list.split(',').filter(|number| !number.is_empty()).map(str::parse);
        numbers
            .collect::<Result<_, _>>()
            .map_err(|_| damaged("subscriber", &name, "a capability is no number"))
    };
    let server = match text("server_names")? {
        Some(names) => Some(ServerCapabilities {
            mandatory: list("mandatory_capabilities")?,
            optional: list("optional_capabilities")?,
            server_names: lines(&names),
        }),
        None => None,
    };
    let charging = ChargingInformation {
        primary_ecf: text("primary_ecf")?,
        secondary_ecf: text("secondary_ecf")?,
        primary_ccf: text("primary_ccf")?,
        secondary_ccf: text("secondary_ccf")?,
    };
    Ok(Subscriber {
        imsi: text("imsi")?,
        private_identities: Vec::new(),
        implicit_sets: Vec::new(),
        server,
        roaming: text("roaming_networks")?.map_or(Roaming::Anywhere, |all| Roaming::Networks(lines(&all))),
        registration: permission("registration_allowed")?,
        unregistered_services: permission("unregistered_services")?,
        charging: (charging != ChargingInformation::default()).then_some(charging),
        name,
    })
}

fn read_private_identity(row: &AnyRow) -> Result<PrivateIdentity, StoreError> {
    let impi: String = row.try_get("impi")?;
    let wrong = |column: &str| damaged("private_identity", &impi, &format!("{column} cannot be read"));
    let text = |column: &str| -> Result<String, StoreError> {
        row.try_get::<Option<String>, _>(column)?.ok_or_else(|| wrong(column))
    };
    let scheme = text("scheme")?;
    let credentials = match scheme.as_str() {
        "milenage" => Credentials::Milenage {
            k: Key::from_hex(&text("k")?).map_err(|_| wrong("k"))?,
            opc: Opc(Key::from_hex(&text("opc")?).map_err(|_| wrong("opc"))?),
        },
        "tuak" => {
            let k = text("k")?;
            let k = match k.len() {
                64 => TuakKey::K256(Key::from_hex(&k).map_err(|_| wrong("k"))?),
                _ => TuakKey::K128(Key::from_hex(&k).map_err(|_| wrong("k"))?),
            };
            let topc = Topc(Key::from_hex(&text("opc")?).map_err(|_| wrong("opc"))?);
            let iterations: Option<i64> = row.try_get("iterations")?;
            let iterations = iterations.unwrap_or(1).try_into().map_err(|_| wrong("iterations"))?;
            Credentials::Tuak { k, topc, iterations }
        }
        "digest-md5" | "digest-sha-256" => {
            let hash = if scheme == "digest-md5" { Hash::Md5 } else { Hash::Sha256 };
            let ha1 = Ha1::from_digits(hash, text("ha1")?.as_bytes()).ok_or_else(|| wrong("ha1"))?;
            Credentials::Digest { realm: text("realm")?, ha1 }
        }
        "giba" => Credentials::Giba { address: text("realm")?.parse().map_err(|_| wrong("realm"))? },
        _ => return Err(wrong("scheme")),
    };
    let amf = Key::<2>::from_hex(&text("amf")?).map_err(|_| wrong("amf"))?;
    let sqn = u64::from_str_radix(&text("sqn")?, 16).ok().and_then(Sqn::new).ok_or_else(|| wrong("sqn"))?;
    Ok(PrivateIdentity { credentials, amf: *amf.expose(), sqn, impi })
}

fn read_set(row: &AnyRow) -> Result<ImplicitSet, StoreError> {
    let name: String = row.try_get("subscriber")?;
    let xml: String = row.try_get("user_data")?;
    let ImsSubscription { service_profiles, .. } = user_data::parse(xml.as_bytes())
        .map_err(|error| damaged("implicit_set", &name, &format!("user_data, {error}")))?;
    Ok(ImplicitSet {
        impis: lines(&row.try_get::<String, _>("impis")?),
        service_profiles,
        application_server: row.try_get("application_server")?,
    })
}

fn numbers(list: &[u32]) -> String {
    list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn damaged(table: &'static str, key: &str, reason: &str) -> StoreError {
    StoreError::Damaged { table, key: key.to_owned(), reason: reason.to_owned() }
}
