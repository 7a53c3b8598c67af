//! TLS of the driver: what a listener shows, whom a connection believes, how many may shake hands at once.
//!
//! rustls does the protocol (TLS 1.2 and 1.3), by the primitives of ring. Certificates come from files, which are read
//! whole at start and again at a reload: handshakes that begin after it see the new ones, connections that stand are not
//! touched.

mod files;
mod identity;

pub use files::TlsFileError;

use cscf::config::{Config, TlsSection};
use cscf::flow::Transport;
use files::Files;
use identity::SipDomain;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The TLS of one function, shared by its shards and its reload.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
    /// The names that the configuration gives to addresses which connections are opened to.
    names: BTreeMap<SocketAddr, Vec<String>>,
    bounds: HandshakeBounds,
}

/// What handshakes that begin from here on go by.
#[derive(Clone)]
struct Current {
    server: Option<Arc<ServerConfig>>,
    anchors: Option<Arc<RootCertStore>>,
}

/// Bounds of handshakes that peers begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeBounds {
    pub(crate) timeout: Duration,
    /// For each shard.
    pub(crate) max: usize,
    pub(crate) per_remote_max: usize,
}

impl Tls {
    /// By a configuration, its files read; `None` when it names none. A mistake in a file is told with key and remedy.
    pub fn of(config: &Config) -> Result<Option<Tls>, TlsFileError> {
        let section = &config.tls;
        if section.certificate.is_none() && section.trust_anchors.is_none() {
            return Ok(None);
        }
        let mut names: BTreeMap<SocketAddr, Vec<String>> = BTreeMap::new();
        for (name, hops) in &config.names {
            for hop in hops.iter().filter(|hop| hop.transport == Transport::Tls) {
                names.entry(hop.remote).or_default().push(name.clone());
            }
        }
        Tls::new(section, names).map(Some)
    }

    /// Of somebody who opens connections only: who believes the anchors in a file, and expects `name` at an address.
    pub fn client(anchors: &Path, name: &str, remote: SocketAddr) -> Result<Tls, TlsFileError> {
        let section = TlsSection {
            certificate: None,
            key: None,
            trust_anchors: Some(anchors.to_owned()),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 1,
            handshakes_per_remote: 1,
        };
        Tls::new(&section, BTreeMap::from([(remote, vec![name.to_owned()])]))
    }

    fn new(section: &TlsSection, names: BTreeMap<SocketAddr, Vec<String>>) -> Result<Tls, TlsFileError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = RwLock::new(Current::read(section, &provider)?);
        let bounds = HandshakeBounds {
            timeout: section.handshake_timeout,
            max: section.handshakes,
            per_remote_max: section.handshakes_per_remote,
        };
        Ok(Tls(Arc::new(Shared { provider, current, names, bounds })))
    }

    /// Reads the files that `section` names; what comes of it is for [`Tls::take_over`].
    pub(crate) fn reread(&self, section: &TlsSection) -> Result<Reread, TlsFileError> {
        Current::read(section, &self.0.provider).map(Reread)
    }

    /// Lets handshakes that begin from here on go by what was read.
    pub(crate) fn take_over(&self, Reread(current): Reread) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    pub(crate) fn bounds(&self) -> HandshakeBounds {
        self.0.bounds
    }

    /// Our side of a handshake that a peer begins.
    pub(crate) fn accept(&self) -> Result<ServerConnection, rustls::Error> {
        let server = self.current().server;
        let server = server.ok_or_else(|| rustls::Error::General("no certificate to show".to_owned()))?;
        ServerConnection::new(server)
    }

    /// Our side of a handshake that we begin.
    pub(crate) fn connect(&self, remote: SocketAddr) -> Result<ClientConnection, rustls::Error> {
        let anchors = self.current().anchors;
        let anchors = anchors.ok_or_else(|| rustls::Error::General(NO_ANCHORS.to_owned()))?;
        let names = self.0.names.get(&remote).cloned().unwrap_or_default();
        // The first name goes into the Server Name Indication; without a name, the address is what must be proven.
        let named = names.first().and_then(|name| ServerName::try_from(name.clone()).ok());
        let expected = named.unwrap_or_else(|| ServerName::IpAddress(remote.ip().into()));
        let domain = SipDomain::new(anchors, names, Arc::clone(&self.0.provider));
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.0.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(domain))
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), expected)
    }

    fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("names", &self.0.names).field("bounds", &self.0.bounds).finish()
    }
}

/// Files that were read and not yet taken over.
pub(crate) struct Reread(Current);

impl Current {
    fn read(section: &TlsSection, provider: &Arc<CryptoProvider>) -> Result<Current, TlsFileError> {
        let files = Files(section);
        let server = files.certified_key(provider)?.map(|certified| {
            let certified = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
            ServerConfig::builder_with_provider(Arc::clone(provider))
                .with_safe_default_protocol_versions()
                .expect("ring has cipher suites of both versions")
                .with_no_client_auth()
                .with_cert_resolver(certified)
        });
        Ok(Current { server: server.map(Arc::new), anchors: files.anchors()?.map(Arc::new) })
    }
}

/// Why a handshake failed, in the few words that a machine reports; the whole error goes to the log.
pub(crate) fn why(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    use rustls::Error;
    match error {
        Error::InvalidCertificate(wrong) => match wrong {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "TLS: certificate has expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "TLS: certificate is not valid yet"
            }
            Certificate::UnknownIssuer => "TLS: certificate of an unknown issuer",
            Certificate::BadSignature => "TLS: certificate is not signed by the issuer that it names",
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "TLS: certificate is for another name"
            }
            _ => "TLS: certificate is not believed",
        },
        Error::AlertReceived(_) => "TLS: the peer refused the handshake",
        Error::PeerIncompatible(_) => "TLS: no version or cipher suite in common",
        Error::General(why) if why == NO_ANCHORS => "TLS: no trust anchors; set tls.trust_anchors",
        _ => "TLS: handshake failed",
    }
}

const NO_ANCHORS: &str = "no trust anchors";
