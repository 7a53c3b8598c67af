//! The ways in beside IMS-AKA, by our processes on real sockets: SIP digest over TLS (TS 33.203 Annex O), a foreign client
//! of TLS, another certificate while the process runs, and GIBA (Annex T).

use carillon_tests::authority::{Authority, Validity};
use carillon_tests::binaries::binary;
use carillon_tests::lab::{DOMAIN, Lab, Part, START_MAX};
use carillon_tests::needs;
use carillon_tests::process::Process;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// A lab whose P-CSCF listens for TLS at port 5061, with carol and dave who have a password, and erin who has a bearer.
fn lab() -> (Lab, Authority) {
    let lab = Lab::ready_made();
    let authority = Authority::new(lab.folder(), "ca");
    authority.issue("server", &[&format!("pcscf.{DOMAIN}")], Validity::Current);
    let pcscf = lab.address(Part::Pcscf);
    let listen = format!("listen = [\"{pcscf}\", \"tls:{}\"]", at(&lab));
    let files = "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
    let file = lab.folder().join("subscribers.csv");
    let people = fs::read_to_string(&file).expect("the subscribers");
    let header = "imsi,k,opc,msisdn,name";
    assert!(people.contains(header), "{people}");
    fs::write(&file, people.replace(header, &format!("{header},password,ip"))).expect("a file of the lab");
    lab.add_subscriber("001010000000901,,,+49301000901,carol,secret");
    lab.add_subscriber("001010000000902,,,+49301000902,dave,secret");
    lab.add_subscriber(&format!("001010000000903,,,+49301000903,erin,,{}", erin(&lab)));
    // Both at once: one alone is a mistake.
    let text = fs::read_to_string(lab.config_file()).expect("the configuration");
    let text = text.replace(&format!("listen = [\"{pcscf}\"]"), &listen).replace("[tls]\n", files);
    fs::write(lab.config_file(), text).expect("a file of the lab");
    lab.config();
    (lab, authority)
}

fn at(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.address(Part::Pcscf).ip(), 5061)
}

/// Where the bearer of erin is.
fn erin(lab: &Lab) -> IpAddr {
    lab.loopback().host(77)
}

fn ims(lab: &Lab, words: &[&str], anchors: &str) -> Result<String, (Option<i32>, String)> {
    let anchors = lab.folder().join(anchors).display().to_string();
    let entry = ["--transport", "tls", "--trust-anchors", &anchors, "--password", "secret"];
    lab.ims(&[words, &entry].concat())
}

#[test]
fn phones_with_a_password_register_write_and_call_over_tls() {
    let (mut lab, _authority) = lab();
    lab.start_all();
    let told = ims(&lab, &["register", "carol", "--ladder"], "ca.pem").unwrap();
    assert!(told.contains("carol is registered"), "{told}");
    let sent = ims(&lab, &["message", "carol", "dave", "Hello Dave"], "ca.pem").unwrap();
    assert!(sent.contains("dave received from carol: Hello Dave"), "{sent}");
    let called = ims(&lab, &["call", "carol", "dave", "--talk", "300ms"], "ca.pem").unwrap();
    assert!(called.contains("carol has hung up"), "{called}");

    Authority::new(lab.folder(), "other");
    let (status, told) = ims(&lab, &["register", "carol"], "other.pem").unwrap_err();
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("certificate of an unknown issuer"), "{told}");
    let (_, told) = ims(&lab, &["register", "alice"], "ca.pem").unwrap_err();
    assert!(told.contains("403"), "TLS is for SIP digest, and alice has a card: {told}");
}

/// openssl as the client, by each version; and whoever is connected stays so while the certificate changes.
#[test]
fn a_foreign_client_is_served_and_outlives_a_new_certificate() {
    if !needs("openssl") {
        return;
    }
    let (mut lab, authority) = lab();
    lab.start_all();
    let folder = lab.folder().to_owned();
    for number in [1, 2] {
        let text = format!(
            "OPTIONS sip:pcscf.{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:pcscf.{DOMAIN}>\r\nCall-ID: o{number}\r\n\
             CSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        fs::write(folder.join(format!("options{number}")), text).unwrap();
    }
    let address = at(&lab);
    let client = |name: &str, version: &str, requests: &str| {
        let mut shell = Command::new("sh");
        let script = format!(
            "({requests}) | openssl s_client -connect {address} -{version} -CAfile ca.pem -verify_return_error -verify 3 \
             -servername pcscf.{DOMAIN} -verify_hostname pcscf.{DOMAIN} -showcerts -ign_eof"
        );
        shell.args(["-c", &script]).current_dir(&folder);
        Process::start(name, &mut shell, &folder)
    };
    let shown = |process: &Process| {
        let output = process.output();
        let pem = output.split("-----BEGIN CERTIFICATE-----").nth(1).unwrap_or_default().to_owned();
        pem.split("-----END").next().unwrap_or_default().split_whitespace().collect::<String>()
    };
    let mut old: Vec<_> = ["tls1_2", "tls1_3"]
        .into_iter()
        .map(|version| {
            let later = "cat options1; while [ ! -e go ]; do sleep 0.1; done; cat options2";
            let mut client = client(version, version, later);
            client.wait_for_output("SIP/2.0 200 OK", START_MAX);
            client
        })
        .collect();
    let first = shown(&old[0]);
    assert!(!first.is_empty() && shown(&old[1]) == first);

    authority.issue("server", &[&format!("pcscf.{DOMAIN}")], Validity::Current);
    lab.process(Part::Pcscf).signal("HUP");
    lab.process(Part::Pcscf).wait_for_output("certificates and trust anchors are read", START_MAX);
    let mut new = client("new", "tls1_3", "cat options1; sleep 30");
    new.wait_for_output("SIP/2.0 200 OK", START_MAX);
    assert_ne!(shown(&new), first, "who connects sees the new certificate");
    fs::write(folder.join("go"), "").unwrap();
    for client in &mut old {
        client.wait_for_output("CSeq: 2 OPTIONS", START_MAX);
    }
    assert!(!lab.process(Part::Pcscf).output().contains("ERROR"));
}

#[test]
fn a_file_that_is_wrong_is_told_before_a_socket_opens() {
    let (lab, authority) = lab();
    authority.issue("second", &["elsewhere.example"], Validity::Current);
    let told = || {
        let mut command = Command::new(binary("pcscf"));
        command.arg("--check-config").arg("--config").arg(lab.config_file());
        let mut process = Process::start("check", &mut command, lab.folder());
        let status = process.wait(START_MAX);
        (status.code(), process.output())
    };
    assert_eq!(told().0, Some(0), "{}", told().1);
    lab.set("key = \"server.key\"", "key = \"second.key\"");
    let (status, output) = told();
    assert_eq!(status, Some(2), "{output}");
    for part in ["lab.toml: tls.key: ", "second.key: is not the key of ", "server.pem"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    lab.set("certificate = \"server.pem\"", "certificate = \"nowhere.pem\"");
    let (status, output) = told();
    assert!(
        status == Some(2) && output.contains("tls.certificate: ") && output.contains("nowhere.pem"),
        "{output}"
    );
}

/// TS 33.203 Annex T: the address that the HSS knows, by UDP and without credentials.
#[test]
fn a_phone_registers_by_the_address_of_its_bearer_and_no_other_address_does() {
    let (mut lab, _authority) = lab();
    lab.set(
        "[access]\n",
        "[access]\nnetworks = [{ type = \"3GPP-E-UTRAN-FDD\", schemes = [\"aka\", \"giba\"] }]\n",
    );
    lab.start_all();
    let answered = |from: IpAddr, number: u32| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.set_read_timeout(Some(START_MAX)).unwrap();
        let own = socket.local_addr().unwrap();
        let user = format!("sip:001010000000903@{DOMAIN}");
        let text = format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <{user}>;tag=1\r\nTo: <{user}>\r\nCall-ID: giba{number}\r\nCSeq: {number} REGISTER\r\n\
             Contact: <sip:erin@{own}>;expires=600\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send_to(text.as_bytes(), lab.address(Part::Pcscf)).unwrap();
        loop {
            let mut buffer = [0; 65_535];
            let length = socket.recv(&mut buffer).unwrap();
            let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if !answer.starts_with("SIP/2.0 100 ") {
                return answer;
            }
        }
    };
    let other = answered(lab.loopback().host(78), 1);
    assert!(other.starts_with("SIP/2.0 403 ") && other.contains("bearer"), "{other}");
    let own = answered(erin(&lab), 2);
    assert!(own.starts_with("SIP/2.0 200 ") && own.contains(&format!("sip:erin@{DOMAIN}")), "{own}");
    lab.ims(&["register", "alice"]).unwrap();
}

/// Handshakes that never end are ended, and whoever comes meanwhile is served.
#[test]
fn silent_connections_do_not_keep_phones_out() {
    let (mut lab, _authority) = lab();
    lab.set("# handshake_timeout = \"10s\"", "handshake_timeout = \"1s\"");
    lab.start_all();
    let silent: Vec<_> = (0..40).map(|_| std::net::TcpStream::connect(at(&lab)).unwrap()).collect();
    ims(&lab, &["register", "carol"], "ca.pem").unwrap();
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(std::io::Read::read(&mut stream, &mut [0; 1]).unwrap(), 0, "it was ended");
    }
    assert!(lab.process(Part::Pcscf).output().contains("TLS: handshake takes too long"));
}
