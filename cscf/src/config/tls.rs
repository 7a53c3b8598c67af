//! `[tls]`: certificates of whoever listens at `tls:` addresses, and whom connections over TLS are opened to.

use super::reader::Reader;
use super::value::Fault;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The section of TLS. The files are read by the processes, at start and at a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSection {
    /// Our certificate in PEM, the certificates between it and a trust anchor behind it.
    pub certificate: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
    /// The trust anchors in PEM: who vouches for those that connections are opened to.
    pub trust_anchors: Option<PathBuf>,
    /// How long a peer may take to shake hands.
    pub handshake_timeout: Duration,
    /// How many peers may be at it at once; one more is turned away.
    pub handshakes: usize,
    /// Of these, how many at one address.
    pub handshakes_per_remote: usize,
}

impl TlsSection {
    pub(super) fn read(reader: &mut Reader<'_>, directory: &Path) -> TlsSection {
        let seconds = Duration::from_secs;
        let mut section = reader.section("tls");
        let mut file = |key| section.optional::<PathBuf>(key).map(|path| directory.join(path));
        let (certificate, key, trust_anchors) = (file("certificate"), file("key"), file("trust_anchors"));
        let read = TlsSection {
            certificate,
            key,
            trust_anchors,
            handshake_timeout: section.within(
                "handshake_timeout",
                seconds(10),
                Duration::from_millis(100)..=seconds(60),
            ),
            handshakes: section.within("handshakes", 1000, 1..=1_000_000) as usize,
            handshakes_per_remote: section.within("handshakes_per_remote", 50, 1..=1_000_000) as usize,
        };
        section.end();
        for (has, key, other) in [
            (read.key.is_some() && read.certificate.is_none(), "certificate", "key"),
            (read.certificate.is_some() && read.key.is_none(), "key", "certificate"),
        ] {
            if has {
                let remedy = format!("name the PEM file: {key} = \"{key}.pem\"");
                reader.reject("tls", key, Fault::new(format!("is missing beside tls.{other}"), remedy));
            }
        }
        read
    }

    /// Whether somebody may listen for TLS.
    pub fn has_certificate(&self) -> bool {
        self.certificate.is_some() && self.key.is_some()
    }
}
