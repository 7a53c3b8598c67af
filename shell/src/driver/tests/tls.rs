//! TLS at the driver: who is served, who is refused and why, and how much of it there may be.

#[path = "../../../../tests/src/authority.rs"]
mod authority;

use super::*;
use crate::reload::Reload;
use crate::tls::Tls;
use authority::{Authority, Validity};
use cscf::config::Config;
use cscf::wording::Outcome;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::path::Path;

/// A folder with an authority `ca` and a certificate of it, and a configuration that names them.
struct Place {
    folder: tempfile::TempDir,
    authority: Authority,
}

const NAME: &str = "pcscf.home.example";

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca");
        authority.issue("server", &[NAME], Validity::Current);
        Place { folder, authority }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration with `more` in its section, in a file that a reload can read.
    fn config(&self, more: &str) -> Config {
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n{more}\n"
        );
        let file = self.path().join("lab.toml");
        std::fs::write(&file, &text).unwrap();
        Config::parse(&text, &file.display().to_string()).unwrap()
    }

    fn tls(&self, more: &str) -> Tls {
        Tls::of(&self.config(more)).unwrap().unwrap()
    }

    fn serve(&self, more: &str) -> Handle<Ask, String> {
        run(Setup { tls: Some(self.tls(more)), ..setup(&[Speaks::SipTls]) })
    }

    /// A client that is not ours, but for the library: it believes `ca` and expects the name.
    fn client(
        &self,
        handle: &Handle<Ask, String>,
        version: &'static SupportedProtocolVersion,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut anchors = RootCertStore::empty();
        anchors.add(CertificateDer::from_pem_file(self.path().join("ca.pem")).unwrap()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(anchors)
            .with_no_client_auth();
        let connection = ClientConnection::new(config.into(), ServerName::try_from(NAME).unwrap()).unwrap();
        StreamOwned::new(connection, dial(handle))
    }
}

/// Sends a word and hears it back.
fn echoed(client: &mut StreamOwned<ClientConnection, TcpStream>, word: &[u8]) {
    client.write_all(word).unwrap();
    let mut heard = vec![0; word.len()];
    client.read_exact(&mut heard).unwrap();
    assert!(heard == word, "{} octets come back as they were", word.len());
}

fn first_certificate(client: &StreamOwned<ClientConnection, TcpStream>) -> CertificateDer<'static> {
    client.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn both_versions_are_served_and_the_end_is_told_as_tls_wants_it() {
    let place = Place::new();
    let handle = place.serve("");
    for version in [&TLS12, &TLS13] {
        let mut client = place.client(&handle, version);
        echoed(&mut client, b"hello");
        assert_eq!(notice(&handle), "accepted SIP");
        assert_eq!(client.conn.protocol_version(), Some(version.version));
        // Several records.
        let long: Vec<u8> = (0..100_000_u32).map(|at| at as u8 | 0x80).collect();
        echoed(&mut client, &long);
        client.write_all(b"bye").unwrap();
        let mut rest = Vec::new();
        // Without close_notify this would be an error.
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"bye");
    }
    assert_eq!(handle.stop().unwrap(), Ended::Drained);
}

#[test]
fn a_connection_of_ours_opens_to_the_name_it_is_for_and_says_what_it_does_not_believe() {
    let place = Place::new();
    let other = Authority::new(place.path(), "other");
    let servers: Vec<_> = [
        (&place.authority, "named", &[NAME][..], Validity::Current),
        (&place.authority, "domain", &["sip:PCSCF.home.example"], Validity::Current),
        (&place.authority, "elsewhere", &["sip:elsewhere.example", NAME], Validity::Current),
        (&place.authority, "wild", &["*.home.example"], Validity::Current),
        (&place.authority, "old", &[NAME], Validity::Past),
        (&other, "strange", &[NAME], Validity::Current),
    ]
    .into_iter()
    .map(|(authority, file, names, validity)| {
        authority.issue("server", names, validity);
        (file, place.serve(""))
    })
    .collect();
    for ((file, server), expected) in servers.into_iter().zip([
        "closed",
        "closed",
        "failed: TLS: certificate is for another name",
        "failed: TLS: certificate is for another name",
        "failed: TLS: certificate has expired",
        "failed: TLS: certificate of an unknown issuer",
    ]) {
        let remote = server.addresses()[0].address;
        let tls = Tls::client(&place.path().join("ca.pem"), NAME, remote).unwrap();
        let client = run(Setup { tls: Some(tls), ..setup(&[]) });
        client.command(Ask::ConnectTls(remote)).unwrap();
        if expected == "closed" {
            assert_eq!(notice(&server), "accepted SIP", "{file}");
            // Both echo "hello" until one side stops.
            server.abort().unwrap();
        }
        assert_eq!(notice(&client), expected, "{file}");
    }
}

#[test]
fn without_trust_anchors_no_connection_is_opened_and_the_key_is_named() {
    let place = Place::new();
    let client = run(Setup { tls: Some(place.tls("")), ..setup(&[]) });
    client.command(Ask::ConnectTls(free_port())).unwrap();
    assert_eq!(notice(&client), "failed: TLS: no trust anchors; set tls.trust_anchors");
}

#[test]
fn a_client_that_does_not_believe_us_is_no_connection() {
    let place = Place::new();
    let handle = place.serve("");
    Authority::new(place.path(), "ca");
    let mut stranger = place.client(&handle, &TLS13);
    assert!(stranger.write_all(b"hello").is_err(), "the client finds an unknown issuer");
    drop(stranger);
    let mut plain = dial(&handle);
    plain.write_all(b"OPTIONS sip:x SIP/2.0\r\n\r\n").unwrap();
    assert!(plain.read_to_end(&mut Vec::new()).is_ok(), "it is answered by an alert, and ended");
    assert_eq!(
        handle.notices.recv_timeout(Duration::from_millis(50)).ok(),
        None,
        "the machine hears nothing"
    );
}

/// The files change, `ims reload` or SIGHUP: who is connected stays so, who connects sees the new certificate.
#[test]
fn a_reload_changes_what_is_shown_and_drops_nobody() {
    let place = Place::new();
    let config = place.config("");
    let tls = Tls::of(&config).unwrap().unwrap();
    let handle = run(Setup { tls: Some(tls.clone()), ..setup(&[Speaks::SipTls]) });
    let reload = Reload::new(config.into(), Some(place.path().join("lab.toml"))).with_tls(Some(tls));
    for version in [&TLS12, &TLS13] {
        let mut before = place.client(&handle, version);
        echoed(&mut before, b"before");
        place.authority.issue("server", &[NAME], Validity::Current);
        let reply = reload.reload();
        assert_eq!(reply.outcome, Outcome::Done, "{reply}");
        assert!(reply.lines[0].starts_with("tls: certificates"), "{reply}");
        let mut after = place.client(&handle, version);
        echoed(&mut after, b"after");
        assert_ne!(first_certificate(&before), first_certificate(&after));
        echoed(&mut before, b"still here");

        // A file that is broken takes nothing away.
        let good = std::fs::read(place.path().join("server.key")).unwrap();
        std::fs::write(place.path().join("server.key"), "no key").unwrap();
        let reply = reload.reload();
        assert!(matches!(reply.outcome, Outcome::Failed(_)), "{reply}");
        assert!(reply.lines[0].starts_with("tls.key: ") && reply.lines[0].contains("server.key"), "{reply}");
        let mut later = place.client(&handle, version);
        echoed(&mut later, b"later");
        assert_eq!(first_certificate(&after), first_certificate(&later));
        std::fs::write(place.path().join("server.key"), good).unwrap();
    }
}

#[test]
fn whoever_shakes_hands_too_slowly_is_dropped_and_the_others_stay() {
    let place = Place::new();
    let handle = place.serve("handshake_timeout = \"300ms\"");
    let mut client = place.client(&handle, &TLS13);
    echoed(&mut client, b"hello");
    let mut silent = dial(&handle);
    let mut slow = dial(&handle);
    // The beginning of a record that never ends.
    slow.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    for dropped in [&mut silent, &mut slow] {
        assert_eq!(
            dropped.read(&mut [0; 1]).unwrap(),
            0,
            "it was ended, well before the test loses patience"
        );
    }
    echoed(&mut client, b"still here");
}

#[test]
fn only_so_many_shake_hands_at_once_and_one_that_ends_makes_room() {
    let place = Place::new();
    let handle = place.serve("handshakes = 3\nhandshakes_per_remote = 2\nhandshake_timeout = \"1min\"");
    let open: Vec<_> = (0..2)
        .map(|_| {
            let mut client = place.client(&handle, &TLS13);
            echoed(&mut client, b"hello");
            client
        })
        .collect();
    let mut waiting: Vec<_> = (0..2).map(|_| dial(&handle)).collect();
    let mut refused = dial(&handle);
    assert_eq!(refused.read(&mut [0; 1]).unwrap(), 0, "a third of this address");
    // Another address has its own share, until all of them are taken.
    let elsewhere = |host: u8| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
        socket.connect(&handle.addresses()[0].address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let third = elsewhere(2);
    assert_eq!(elsewhere(3).read(&mut [0; 1]).unwrap(), 0, "a fourth in all");
    drop(waiting.pop());
    drop(third);
    let until = std::time::Instant::now() + PATIENCE;
    // That the ones before have ended is known a moment later.
    loop {
        let mut client = place.client(&handle, &TLS13);
        if client.write_all(b"room").is_ok() && client.read_exact(&mut [0; 4]).is_ok() {
            break;
        }
        assert!(std::time::Instant::now() < until, "there is no room after one has ended");
    }
    drop((open, waiting));
}

#[test]
fn a_peer_that_reads_nothing_is_closed_when_too_much_waits_for_it() {
    let place = Place::new();
    let handle = place.serve("");
    let mut client = place.client(&handle, &TLS13);
    client.write_all(b"flood").unwrap();
    assert_eq!(notice(&handle), "accepted SIP");
    assert_eq!(notice(&handle), "closed");
}
