//! What tshark makes of the messages that we write: an oracle that we did not build.

use super::samples;
use crate::capabilities::Capabilities;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

/// The messages of `samples`, and the handshake.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let ips = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let own = Capabilities::own("hss.ims.example", "ims.example", "Carillon", &ips);
    let mut all = samples::messages();
    all.push(("CER", own.encode_request(1, 2)));
    let header = crate::wire::read_header(&own.encode_request(1, 2)).unwrap();
    all.push(("CEA", own.encode_answer(&header)));
    all
}

/// A hex dump as text2pcap reads it.
fn hex_dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (line, row) in bytes.chunks(16).enumerate() {
        let hex: String = row.iter().map(|byte| format!(" {byte:02x}")).collect();
        dump.push_str(&format!("{:06x}{hex}\n", line * 16));
    }
    dump
}

/// Runs a program on `input`; `None` when it is not installed.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(output.stdout)
}

/// Gives every message as a packet of its own to tshark.
fn dissect(arguments: &[&str]) -> Option<String> {
    let dump: String = messages().iter().map(|(_, bytes)| hex_dump(bytes)).collect();
    let pcap = run("text2pcap", &["-q", "-T", "40000,3868", "-", "-"], dump.as_bytes())?;
    let arguments = [&["-r", "-", "-d", "tcp.port==3868,diameter"], arguments].concat();
    Some(String::from_utf8(run("tshark", &arguments, &pcap)?).unwrap())
}

const MISSING: &str = "tshark or text2pcap is not installed (Debian package tshark)";

#[test]
fn tshark_reads_every_message_without_complaint() {
    let Some(tree) = dissect(&["-V", "-O", "diameter"]) else {
        return crate::tests::skip(MISSING);
    };
    assert_eq!(tree.matches("Diameter Protocol").count(), messages().len(), "{tree}");
    for complaint in ["Malformed", "[Expert Info", "Padding is missing", "Wrong", "must be"] {
        // The samples carry AVPs that nobody knows on purpose, and a few are newer than tshark.
        let is_complaint = |line: &&str| line.contains(complaint) && !line.contains("Unknown AVP");
        let lines: Vec<_> = tree.lines().filter(is_complaint).collect();
        assert!(lines.is_empty(), "{lines:#?}\n{tree}");
    }
}

#[test]
fn tshark_names_commands_and_values_as_we_do() {
    let expected = [
        ("UAR", "diameter.Public-Identity", "sip:alice@ims.example"),
        ("UAA", "diameter.Experimental-Result-Code", "2001"),
        ("SAR", "diameter.Server-Assignment-Type", "1"),
        ("LIR", "diameter.Originating-Request", "0"),
        ("MAR", "diameter.3GPP-SIP-Number-Auth-Items", "1"),
        ("MAA", "diameter.Confidentiality-Key", "33333333333333333333333333333333"),
        ("RTR", "diameter.Reason-Code", "2"),
        ("PPA", "diameter.Result-Code", "5001"),
        ("CER", "diameter.Host-IP-Address.IPv6", "::1"),
    ];
    let mut arguments = vec!["-T", "fields", "-e", "diameter.cmd.code", "-e", "diameter.flags.request"];
    for (_, field, _) in expected {
        arguments.extend(["-e", field]);
    }
    let Some(lines) = dissect(&arguments) else {
        return crate::tests::skip(MISSING);
    };
    let messages = messages();
    assert_eq!(lines.lines().count(), messages.len(), "{lines}");
    for (line, (name, _)) in lines.lines().zip(messages) {
        let columns: Vec<&str> = line.split('\t').collect();
        let command = columns[0].parse().unwrap();
        let is_request = matches!(columns[1], "1" | "True");
        assert_eq!(crate::dictionary::command_name(command, is_request), Some(name));
        if let Some(at) = expected.iter().position(|(each, _, _)| *each == name) {
            let value = columns[at + 2].replace(':', "");
            assert!(value.starts_with(&expected[at].2.replace(':', "")), "{name}: {line}");
        }
    }
}
