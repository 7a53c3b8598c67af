//! A certificate authority for one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};
use std::fs;
use std::path::{Path, PathBuf};

/// An authority, with a folder for what it issues.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// For how long a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Current,
    /// It was.
    Past,
}

impl Authority {
    /// A new one; its own certificate is `NAME.pem` in `folder`.
    pub fn new(folder: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        fs::write(folder.join(format!("{name}.pem")), issuer.pem()).expect("a file");
        Authority { issuer, folder: folder.to_owned() }
    }

    /// Issues a certificate for names: of hosts, addresses, or `sip:` domains. It is `FILE.pem`, its key `FILE.key`.
    pub fn issue(&self, file: &str, names: &[&str], validity: Validity) {
        let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("sip:"));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.to_owned().try_into().expect("a URI")));
        }
        if validity == Validity::Past {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.folder.join(format!("{file}.pem")), certificate.pem()).expect("a file");
        fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem()).expect("a file");
    }
}
