//! Certificates, keys and trust anchors in PEM files, and what is wrong with them.

use cscf::config::TlsSection;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with a file that `[tls]` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFileError {
    /// The key of the configuration, as `tls.certificate`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and what to do about it.
    pub why: String,
}

impl fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.key, self.file.display(), self.why)
    }
}

impl std::error::Error for TlsFileError {}

/// The files that a section names.
pub(super) struct Files<'s>(pub(super) &'s TlsSection);

impl Files<'_> {
    /// Our certificate chain with its key; `None` when none is named.
    pub(super) fn certified_key(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<CertifiedKey>, TlsFileError> {
        let (Some(certificate), Some(key)) = (&self.0.certificate, &self.0.key) else { return Ok(None) };
        let chain = certificates(CERTIFICATE, certificate)?;
        let wrong = |why: &str| TlsFileError { key: KEY, file: key.clone(), why: why.to_owned() };
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                wrong("holds no private key; write one that needs no password as PEM")
            }
            other => wrong(&said(&other)),
        })?;
        let private = provider
            .key_provider
            .load_private_key(private)
            .map_err(|_| wrong("is no key of ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits and more)"))?;
        let certified = CertifiedKey::new(chain, private);
        match certified.keys_match() {
            Ok(()) => Ok(Some(certified)),
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                let certificate = certificate.display();
                Err(wrong(&format!(
                    "is not the key of {certificate}; the server's own certificate comes first there"
                )))
            }
            Err(error) => Err(TlsFileError {
                key: CERTIFICATE,
                file: certificate.clone(),
                why: format!("cannot be used: {error}"),
            }),
        }
    }

    /// The trust anchors; `None` when none are named.
    pub(super) fn anchors(&self) -> Result<Option<RootCertStore>, TlsFileError> {
        let Some(file) = &self.0.trust_anchors else { return Ok(None) };
        let mut anchors = RootCertStore::empty();
        for certificate in certificates(ANCHORS, file)? {
            anchors.add(certificate).map_err(|error| TlsFileError {
                key: ANCHORS,
                file: file.clone(),
                why: format!("holds a certificate that cannot be used: {error}"),
            })?;
        }
        Ok(Some(anchors))
    }
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let wrong = |why: String| TlsFileError { key, file: file.to_owned(), why };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(said(&error)))?;
    let read = read.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(said(&error)))?;
    match read.is_empty() {
        true => {
            Err(wrong("holds no certificate; write it as PEM (\"-----BEGIN CERTIFICATE-----\")".to_owned()))
        }
        false => Ok(read),
    }
}

fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        other => format!("is no PEM: {other}"),
    }
}

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";
const ANCHORS: &str = "tls.trust_anchors";
