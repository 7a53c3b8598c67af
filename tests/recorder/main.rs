//! The flight recorder across processes: what `ims ladder` and `ims trace` show of a call is what happened, once.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process and phone has said")]

mod secrets;
mod terminal;

use carillon_tests::lab::{Lab, Part};
use carillon_tests::{find, needs};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// A lab in which alice has written to bob and called him, and carol has registered with her password.
fn called() -> Lab {
    let mut lab = secrets::lab();
    lab.start_all();
    secrets::password_is_used(&lab);
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    alice.message(&mut bob, secrets::TEXT);
    alice.call(&mut bob);
    // The answer to the BYE passes the P-CSCF after both have hung up.
    std::thread::sleep(Duration::from_millis(200));
    lab
}

/// The messages of a ladder as JSON: reference point, protocol, Call-ID or nothing.
fn messages(lab: &Lab, words: &[&str]) -> Vec<serde_json::Value> {
    let told = lab.ims(&[&["ladder", "-o", "json"], words].concat()).expect("`ims` succeeds");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let rows = told["rows"].as_array().expect("rows").clone();
    rows.into_iter().filter(|row| row["summary"].is_string()).collect()
}

fn text(row: &serde_json::Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_call_across_four_processes_is_one_ladder_and_every_export_has_as_much() {
    let mut lab = called();
    let list = lab.ims(&["ladder", "--list"]).expect("`ims` succeeds");
    assert_eq!(
        list.lines().filter(|line| line.contains(" call ") && line.contains(" 200 ")).count(),
        1,
        "{list}"
    );
    assert_eq!(list.lines().filter(|line| line.contains(" registration ")).count(), 3, "{list}");

    // The INVITE passes seven times: to the P-CSCF, to the S-CSCF of the caller, to the I-CSCF, to the S-CSCF of the called one,
    // to the P-CSCF, to the phone.
    let rows = messages(&lab, &["--call", "last"]);
    let invites: Vec<_> = rows
        .iter()
        .filter(|row| text(row, "summary") == "INVITE")
        .map(|row| text(row, "interface"))
        .collect();
    assert_eq!(invites.first().map(String::as_str), Some("Gm"), "{invites:?}");
    assert_eq!(invites.last().map(String::as_str), Some("Gm"), "{invites:?}");
    assert!(
        invites.len() >= 5 && invites[1..invites.len() - 1].iter().all(|point| point == "Mw"),
        "{invites:?}"
    );
    let ladder = lab.ims(&["ladder", "--call", "last"]).expect("`ims` succeeds");
    for expected in ["Cx  LIR", "Cx  LIA 2001", "Gm  BYE", "Mw  BYE"] {
        assert!(ladder.contains(expected), "{expected}:\n{ladder}");
    }
    // Requests come before their answers, whichever process told of them.
    let place = |wanted: &str| rows.iter().position(|row| text(row, "summary") == wanted);
    assert!(place("LIR") < place("LIA 2001") && place("INVITE") < place("LIR"), "{ladder}");

    is_one_trace(&lab);
    let all = messages(&lab, &[]);
    assert!(all.len() > rows.len(), "registrations, a text and a call");
    tshark_counts_the_same(&lab, &all);
    homer_gets_the_same(&lab, &rows);
    terminal::sngrep_counts_the_same(&lab, &all);
    secrets::are_nowhere(&mut lab);

    // One file for a report, which a tool of others opens.
    let file = lab.folder().join("report.zip");
    lab.ims(&["bundle", "--call", "last", "-o", &file.display().to_string()]).expect("`ims` succeeds");
    if needs("python3") {
        let program = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(z.namelist())";
        let output = Command::new("python3").args(["-c", program]).arg(&file).output().expect("python3 runs");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("ladder.txt") && told.contains("capture.pcapng"), "{told}");
    }
}

/// The trace id is that of the icid, and each hop's parent is the hop before it.
fn is_one_trace(lab: &Lab) {
    let file = lab.folder().join("call.jsonl");
    lab.ims(&["trace", "export", "--call", "last", "-o", &file.display().to_string()])
        .expect("`ims` succeeds");
    let told = fs::read_to_string(&file).expect("the export");
    let icid = {
        let rows = messages(lab, &["--call", "last"]);
        let message = rows.iter().map(|row| text(row, "message")).find(|text| text.contains("icid-value"));
        let message = message.expect("an icid on Mw");
        let (_, rest) = message.split_once("icid-value=").expect("it was found by that");
        rest.trim_start_matches('"').split(['"', ';', '\r']).next().unwrap_or_default().to_owned()
    };
    let id: String =
        Sha256::digest(icid.as_bytes())[..16].iter().map(|octet| format!("{octet:02x}")).collect();
    let line =
        told.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("no trace {id}:\n{told}"));
    let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    let mut spans: BTreeMap<String, (String, String, String)> = BTreeMap::new();
    for resource in line["resourceSpans"].as_array().expect("as OTLP has it") {
        let service = text(&resource["resource"]["attributes"][0]["value"], "stringValue");
        for span in resource["scopeSpans"][0]["spans"].as_array().expect("as OTLP has it") {
            let told = (service.clone(), text(span, "name"), text(span, "parentSpanId"));
            spans.insert(text(span, "spanId"), told);
        }
    }
    // From the LIR of the HSS back to the phone.
    let mut at = spans.iter().find(|(_, (service, ..))| service == "HSS").map(|(id, _)| id.clone());
    let mut chain = Vec::new();
    while let Some((service, name, parent)) = at.as_ref().and_then(|id| spans.get(id)) {
        chain.push(format!("{service} {name}"));
        at = Some(parent.clone());
        assert!(chain.len() < 50, "{chain:?}");
    }
    let expected = [
        "HSS diameter.server LIR",
        "I-CSCF diameter.client LIR",
        "I-CSCF sip.server INVITE",
        "S-CSCF sip.client INVITE",
        "S-CSCF sip.server INVITE",
        "P-CSCF sip.client INVITE",
        "P-CSCF sip.server INVITE",
    ];
    assert_eq!(chain, expected, "{spans:#?}");
}

fn tshark_counts_the_same(lab: &Lab, rows: &[serde_json::Value]) {
    if !needs("tshark") {
        return;
    }
    let file = lab.folder().join("all.pcapng");
    lab.ims(&["trace", "export", "-o", &file.display().to_string()]).expect("`ims` succeeds");
    let mut tshark = Command::new(find("tshark").expect("needed above"));
    tshark.arg("-r").arg(&file).args(["-Y", "sip || diameter.Session-Id", "-T", "fields"]);
    tshark.args(["-e", "frame.interface_name", "-e", "frame.protocols", "-e", "frame.comment"]);
    for part in [Part::Pcscf, Part::Icscf, Part::Scscf] {
        for transport in ["udp", "tcp"] {
            tshark.arg("-d").arg(format!("{transport}.port=={},sip", lab.address(part).port()));
        }
    }
    tshark.arg("-d").arg(format!("tcp.port=={},diameter", lab.address(Part::Hss).port()));
    let output = tshark.output().expect("tshark runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let mut seen: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for line in told.lines() {
        let mut fields = line.split('\t');
        let (point, protocols) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        assert!(fields.next().is_some_and(|comment| comment.contains(point)), "a comment: {line}");
        *seen.entry((point.to_owned(), protocols.contains(":sip"))).or_default() += 1;
    }
    let mut recorded: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for row in rows {
        *recorded.entry((text(row, "interface"), text(row, "protocol") == "SIP")).or_default() += 1;
    }
    assert_eq!(seen, recorded, "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// As many messages of SIP, all with the same correlation id; and with nobody there, nothing fails.
fn homer_gets_the_same(lab: &Lab, rows: &[serde_json::Value]) {
    let homer = UdpSocket::bind("127.0.0.1:0").expect("a port");
    homer.set_read_timeout(Some(Duration::from_secs(2))).expect("more than nothing");
    let to = format!("hep:udp:{}", homer.local_addr().expect("it is bound"));
    let reader = std::thread::spawn(move || {
        let mut packets = Vec::new();
        let mut buffer = [0; 65_535];
        while let Ok(length) = homer.recv(&mut buffer) {
            packets.push(buffer[..length].to_vec());
        }
        packets
    });
    lab.ims(&["trace", "send", "--call", "last", "--to", &to]).expect("`ims` succeeds");
    let packets = reader.join().expect("it does not panic");
    let sip = rows.iter().filter(|row| text(row, "protocol") == "SIP").count();
    assert_eq!(packets.len(), sip);
    let correlation = |packet: &Vec<u8>| {
        let at = packet.windows(4).position(|part| part == [0, 0, 0, 0x11]).expect("a correlation id");
        let length = usize::from(u16::from_be_bytes([packet[at + 4], packet[at + 5]]));
        packet[at + 6..at + length].to_vec()
    };
    assert!(
        packets
            .iter()
            .all(|packet| packet.starts_with(b"HEP3") && correlation(packet) == correlation(&packets[0]))
    );
    lab.ims(&["trace", "send", "--call", "last", "--to", "hep:tcp:127.0.0.1:9"]).expect("`ims` succeeds");
}

/// Why a request was refused is in the ladder of it, with privacy nobody's name is.
#[test]
fn a_refusal_says_its_cause_and_privacy_hides_who_it_was() {
    let mut lab = Lab::ready_made();
    lab.set("# privacy = false", "privacy = true");
    lab.start_all();
    let mut alice = lab.phone("alice");
    lab.ims(&["hss", "refuse", "uar", "user_unknown", "--who", "alice"]).expect("`ims` succeeds");
    alice.is_refused();
    let ladder = lab.ims(&["ladder"]).expect("`ims` succeeds");
    assert!(ladder.lines().any(|line| line.contains('●') && line.contains("refused: ")), "{ladder}");
    assert!(ladder.contains("UAA 5001 ✗") && ladder.contains("403 Forbidden (REGISTER) ✗"), "{ladder}");
    assert!(ladder.contains("peer_up: connected"), "{ladder}");
    let all = lab.ims(&["ladder", "-o", "json"]).expect("`ims` succeeds");
    assert!(!all.contains("001010000000001") && all.contains("0************01"), "{all}");
}
