//! What nobody may read (TS 33.203 §6.1.1): every view and export of registrations, a text and a call is searched for the keys
//! of the cards and for what was derived of them for each challenge, for a password, and for what a user wrote.

use crate::{messages, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carillon_tests::binaries::binary;
use carillon_tests::lab::{Lab, Part};
use hss_mock::Credentials;
use ims_aka::{AkaNonce, Milenage};
use memchr::memmem;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// What alice writes to bob.
pub const TEXT: &str = "where the old mill was, at eight";
const PASSWORD: &str = "correct-horse-battery";
const PASSWORD_OF_THE_DATABASE: &str = "speak-friend-and-enter";

/// A lab whose processes log at debug and serve their metrics, with carol who has a password.
pub fn lab() -> Lab {
    let lab = Lab::ready_made();
    let served = metrics(&lab).map(|(key, address)| format!("{key} = \"{address}\"\n"));
    lab.set("[metrics]\n", &format!("[metrics]\n{}", served.concat()));
    lab.set("# level = \"info\"", "level = \"debug\"");
    lab.set("# transactions = false", "transactions = true");
    let file = lab.folder().join("subscribers.csv");
    let people = fs::read_to_string(&file).expect("the subscribers");
    let header = "imsi,k,opc,msisdn,name";
    assert!(people.contains(header), "{people}");
    fs::write(&file, people.replace(header, &format!("{header},password"))).expect("a file of the lab");
    lab.add_subscriber(&format!("001010000000901,,,+49301000901,carol,{PASSWORD}"));
    lab
}

/// carol registers with her password, and leaves.
pub fn password_is_used(lab: &Lab) {
    lab.ims(&["register", "carol", "--password", PASSWORD]).expect("`ims` succeeds");
}

fn metrics(lab: &Lab) -> [(&'static str, SocketAddr); 4] {
    let at = |key, n: u16| (key, lab.loopback().at(40, 9400 + n));
    [at("pcscf", 1), at("icscf", 2), at("scscf", 3), at("hss", 5)]
}

/// No view, export, log or answer has any of it.
pub fn are_nowhere(lab: &mut Lab) {
    let secrets = secrets(lab);
    let views = views(lab);
    for (view, (bytes, expected)) in &views {
        let has = |wanted: &[u8]| memmem::find(bytes, wanted).is_some();
        assert!(
            has(expected.as_bytes()),
            "{view} has not even {expected}: {}",
            String::from_utf8_lossy(bytes)
        );
        for (what, secret) in &secrets {
            for (form, written) in forms(secret) {
                assert!(!has(&written), "{view} has {what}, {form}");
            }
        }
    }
}

/// What is secret, by what it is.
fn secrets(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let mut secrets = vec![
        ("a password".to_owned(), PASSWORD.into()),
        ("the password of the database".to_owned(), PASSWORD_OF_THE_DATABASE.into()),
        ("a text".to_owned(), TEXT.into()),
    ];
    let nonces = nonces(lab);
    let mut answered = 0;
    let users = ["alice", "bob", "carol"];
    for subscriber in lab.subscribers().iter().filter(|known| users.contains(&known.name.as_str())) {
        let private = &subscriber.private_identities[0];
        let of = |what: &str| format!("{what} of {}", subscriber.name);
        let (k, opc) = match &private.credentials {
            Credentials::Milenage { k, opc } => (k, opc),
            Credentials::Digest { ha1, .. } => {
                secrets.push((of("H(A1)"), ha1.expose().into()));
                continue;
            }
            other => panic!("{other:?}"),
        };
        secrets.push((of("K"), k.expose().into()));
        secrets.push((of("OPc"), opc.0.expose().into()));
        let card = Milenage::new(k, opc.clone());
        for nonce in &nonces {
            let derived = card.f2345(&nonce.rand);
            let sqn: Vec<u8> = nonce.autn.iter().zip(derived.ak.expose()).map(|(a, b)| a ^ b).collect();
            let sqn: [u8; 6] = sqn.try_into().expect("as many octets as AK has");
            // The MAC of AUTN is right for this card alone: so is what is derived.
            if card.f1(&nonce.rand, sqn, [nonce.autn[6], nonce.autn[7]]) == nonce.autn[8..] {
                answered += 1;
                secrets.push((of("CK"), derived.ck.expose().into()));
                secrets.push((of("IK"), derived.ik.expose().into()));
                secrets.push((of("RES"), derived.res.expose().into()));
            }
        }
    }
    assert!(answered >= 2 && answered == nonces.len(), "{answered} of {} challenges of cards", nonces.len());
    secrets
}

/// The challenges of cards, as the recorder has them.
fn nonces(lab: &Lab) -> Vec<AkaNonce> {
    let mut nonces: BTreeMap<String, AkaNonce> = BTreeMap::new();
    for row in messages(lab, &[]).iter().filter(|row| text(row, "summary").starts_with("401 ")) {
        let message = text(row, "message");
        let nonce = message.split_once("nonce=\"").and_then(|(_, rest)| rest.split_once('"'));
        let nonce = nonce.expect("a challenge has a nonce").0;
        if message.contains("AKAv1-MD5") {
            nonces.insert(nonce.to_owned(), AkaNonce::decode(nonce.as_bytes()).expect("RAND and AUTN"));
        }
    }
    nonces.into_values().collect()
}

/// A secret as it may be written.
fn forms(secret: &[u8]) -> Vec<(String, Vec<u8>)> {
    let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let mut forms = vec![
        ("as it is".to_owned(), secret.to_vec()),
        ("in hex".to_owned(), hex.clone().into_bytes()),
        ("in capital hex".to_owned(), hex.to_uppercase().into_bytes()),
    ];
    // In base64 behind something else: the characters that its own octets decide.
    for before in 0..3 {
        let whole = STANDARD.encode([&vec![0; before], secret].concat());
        let (from, to) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
        forms.push((format!("in base64 behind {before}"), whole[from..to].into()));
    }
    forms
}

/// Everything that tells of the core, by name, with something that is expected in it.
fn views(lab: &mut Lab) -> BTreeMap<String, (Vec<u8>, &'static str)> {
    let mut views = BTreeMap::new();
    let invite = "INVITE sip:";
    for (words, expected) in [
        ("ladder", "INVITE"),
        ("ladder --list", "registration"),
        ("ladder -o json", "WWW-Authenticate"),
        ("ladder -o svg", "<svg"),
        ("ladder -o mermaid", "sequenceDiagram"),
        ("counters", "pcscf"),
        ("hss show alice", "001010000000001"),
        ("hss show carol", "001010000000901"),
        ("hss list", "carol"),
    ] {
        let told = lab.ims(&words.split(' ').collect::<Vec<_>>());
        let told = told.unwrap_or_else(|error| panic!("{words}: {error:?}"));
        views.insert(words.to_owned(), (told.into_bytes(), expected));
    }
    for (name, expected) in [("s.pcapng", invite), ("s.rec", invite), ("s.jsonl", "sip.server INVITE")] {
        let file = lab.folder().join(name);
        lab.ims(&["trace", "export", "-o", &file.display().to_string()]).expect("`ims` succeeds");
        views.insert(name.to_owned(), (fs::read(file).expect("the export"), expected));
    }
    views.insert("HEP3".to_owned(), (hep(lab), invite));
    for part in Part::ALL {
        let log = lab.process(part).output().into_bytes();
        // An HSS has nothing to say at that level.
        let expected = if part == Part::Hss { "listens" } else { "DEBUG" };
        views.insert(format!("log of {}", part.program()), (log, expected));
    }
    for (key, address) in metrics(lab) {
        views.insert(format!("metrics of {key}"), (get(address), "ims_"));
    }
    let store = format!("store = \"postgres://hss:{PASSWORD_OF_THE_DATABASE}@127.0.0.1/hss\"");
    lab.set("# store = \"memory\"", &store);
    for part in Part::ALL {
        let mut program = Command::new(binary(part.program()));
        let output = program.arg("--print-config").arg("--config").arg(lab.config_file()).output();
        let printed = output.expect("it runs").stdout;
        views.insert(format!("configuration of {}", part.program()), (printed, "postgres://"));
    }
    // Nothing in this archive is compressed.
    let file = lab.folder().join("secrets.zip");
    lab.ims(&["bundle", "-o", &file.display().to_string()]).expect("`ims` succeeds");
    views.insert("bundle".to_owned(), (fs::read(file).expect("the bundle"), "postgres://"));
    views
}

fn hep(lab: &Lab) -> Vec<u8> {
    let homer = UdpSocket::bind("127.0.0.1:0").expect("a port");
    homer.set_read_timeout(Some(Duration::from_secs(1))).expect("more than nothing");
    let to = format!("hep:udp:{}", homer.local_addr().expect("it is bound"));
    let reader = std::thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 65_535]);
        while let Ok(length) = homer.recv(&mut buffer) {
            all.extend_from_slice(&buffer[..length]);
        }
        all
    });
    lab.ims(&["trace", "send", "--to", &to]).expect("`ims` succeeds");
    reader.join().expect("it does not panic")
}

fn get(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    answer
}
