//! Whether a certificate is one of the SIP domain that a connection was opened for (RFC 5922 §7.1, §7.2).

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// Believes the certificate of one of these domains that an anchor vouches for.
pub(super) struct SipDomain {
    anchors: Arc<RootCertStore>,
    /// Any of them will do; empty where only an address is known, which the certificate must name then.
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl SipDomain {
    pub(super) fn new(
        anchors: Arc<RootCertStore>,
        names: Vec<String>,
        provider: Arc<CryptoProvider>,
    ) -> SipDomain {
        SipDomain { anchors, names, provider }
    }
}

impl fmt::Debug for SipDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipDomain").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for SipDomain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.anchors,
            intermediates,
            now,
            algorithms,
        )?;
        if self.names.is_empty() {
            verify_server_name(&certificate, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let (uris, hosts) = (parsed.valid_uri_names().collect(), parsed.valid_dns_names().collect());
        match is_of_domain(uris, hosts, &self.names) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// RFC 5922 §7.1: the SIP URIs of the certificate are its identities, and where it has none, its DNS names are; §7.2: one
/// of them is, letter by letter whatever their case, a name that was expected. Wildcards match nothing.
fn is_of_domain(uris: Vec<&str>, hosts: Vec<&str>, names: &[String]) -> bool {
    let sip: Vec<&str> = uris.into_iter().filter_map(domain_of_uri).collect();
    let identities = if sip.is_empty() { hosts } else { sip };
    identities.iter().any(|identity| names.iter().any(|name| name.eq_ignore_ascii_case(identity)))
}

/// The domain of `sip:example.com`; `None` for another scheme, and for one with a user part, who is no domain.
fn domain_of_uri(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    (scheme.eq_ignore_ascii_case("sip") && !rest.contains('@')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_uris_are_the_identities_and_dns_names_only_without_them() {
        let names = ["pcscf.home.example".to_owned()];
        for (uris, hosts, expected) in [
            (&["sip:PCSCF.home.example"][..], &[][..], true),
            (&[], &["Pcscf.Home.Example"], true),
            (&["sip:other.example"], &["pcscf.home.example"], false),
            (&["https://pcscf.home.example"], &["pcscf.home.example"], true),
            (&["sip:alice@pcscf.home.example"], &[], false),
            (&["sips:pcscf.home.example"], &[], false),
            (&[], &["*.home.example"], false),
            (&[], &["home.example"], false),
        ] {
            assert_eq!(is_of_domain(uris.to_vec(), hosts.to_vec(), &names), expected, "{uris:?} {hosts:?}");
        }
    }
}
