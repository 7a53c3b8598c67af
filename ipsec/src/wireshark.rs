//! Rows of Wireshark's table of associations, `esp_sa`, by which it checks and decrypts ESP.

use crate::algorithm::{Encryption, Integrity};
use crate::association::{Association, SaSet};
use std::fmt::Write;

/// Whether keys appear in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Without keys, Wireshark tells the associations apart and opens none.
    Hidden,
    /// Everything that the capture holds can be read.
    Revealed,
}

/// The row of one association of a set: for the file `esp_sa` of a profile, or behind `-o uat:esp_sa:`.
///
/// Wireshark has no AES-GMAC: it tells such packets apart, and neither checks nor reads them.
pub fn row(set: &SaSet, association: &Association, secrecy: Secrecy) -> String {
    let family = if association.source().is_ipv4() { "IPv4" } else { "IPv6" };
    let encryption = match set.algorithms.encryption {
        Encryption::Null => "NULL",
        Encryption::AesCbc => "AES-CBC [RFC3602]",
        Encryption::DesEde3Cbc => "TripleDES-CBC [RFC2451]",
        Encryption::AesGcm => "AES-GCM with 16 octet ICV [RFC4106]",
    };
    let integrity = match set.algorithms.integrity {
        Integrity::HmacSha1 => "HMAC-SHA-1-96 [RFC2404]",
        Integrity::HmacMd5 => "HMAC-MD5-96 [RFC2403]",
        Integrity::AesGmac => "ANY 128 bit authentication [no checking]",
        Integrity::Null => "NULL",
    };
    let key = |key: &[u8]| {
        let mut text = String::new();
        if secrecy == Secrecy::Revealed && !key.is_empty() {
            text.push_str("0x");
            key.iter().for_each(|octet| {
                let _ = write!(text, "{octet:02x}");
            });
        }
        text
    };
    format!(
        "\"{family}\",\"{}\",\"{}\",\"{:#010x}\",\"{encryption}\",\"{}\",\"{integrity}\",\"{}\"",
        association.source().ip(),
        association.destination().ip(),
        association.spi.get(),
        key(set.keys.expose_encryption()),
        key(set.keys.expose_integrity()),
    )
}
