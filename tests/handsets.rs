//! Phones of each make (`ue::handset`) against a P-CSCF that requires security associations, in simulation; and what they
//! send beside captures of real ones.
//!
//! `CARILLON_CAPTURES` names a folder with `ipsec_reg.pcapng` and `nonipsec_to_ipsec_call.pcapng` of the Open5GS
//! documentation; without it nothing is compared.

use carillon_tests::story::settled;
use carillon_tests::{needs, skip};
use sim::{Ims, Phone, Plan};
use std::path::PathBuf;
use std::process::Command as Program;
use std::time::Duration;
use ue::{Command, Deregistration, Handset, Notice, handset};

const REQUIRED: &str = "[ipsec]\npolicy = \"required\"";

fn required(seed: u64) -> Ims {
    // Each REGISTER is challenged, so that each leads to new associations.
    let plan = Plan::seeded(seed).with_settings(REQUIRED);
    plan.with_scscf_settings("reauthenticate = \"always\"").start()
}

fn talk(ims: &mut Ims, from: &Phone, to: &Phone, what: &str) {
    let notice = ims.call(from, &to.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{what}: {notice:?}\n{}", ims.ladder());
    ims.advance(Duration::from_secs(3));
    let notice = ims.hang_up(from);
    assert!(matches!(notice, Notice::Ended { .. }), "{what}: {notice:?}\n{}", ims.ladder());
    let notice = ims.message(from, &to.sip, "hello");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{what}: {notice:?}\n{}", ims.ladder());
}

/// Registers, calls both ways, writes both ways, re-registers with new associations twice, calls again, de-registers.
fn is_served(handset: &'static Handset, seed: u64) {
    let mut ims = required(seed);
    let alice = ims.phone_with(|config| config.play(handset));
    let bob = ims.phone_with(|config| config.play(&handset::plain::PLAIN));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.world.tap();
    for round in ["at first", "behind a re-registration", "behind two"] {
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            talk(&mut ims, from, to, &format!("{} {round}", handset.name));
        }
        ims.register_well(&alice);
        ims.advance(Duration::from_secs(140));
    }
    let clear = in_clear(&ims, &alice);
    assert_eq!(clear, 0, "{}: packets in clear behind the first challenge\n{}", handset.name, ims.ladder());
    let notice = ims.deregister(&alice);
    assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed));
    // From nothing, and for some at another server port.
    ims.register_well(&alice);
    talk(&mut ims, &bob, &alice, &format!("{} anew", handset.name));
    let notice = ims.deregister(&alice);
    assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed));
    ims.advance(Duration::from_secs(140));
    let sets = |host: &str| ims.world.hosts()[ims.world.host(host)].esp.sets().count();
    assert_eq!((sets("pcscf"), sets("alice")), (1, 0), "{}", handset.name);
    settled(ims, &[&bob]);
}

/// How many packets went in clear between a phone and the P-CSCF since the tap was set.
fn in_clear(ims: &Ims, phone: &Phone) -> usize {
    let pcscf = ims.world.host("pcscf");
    let gm = [(phone.host, pcscf), (pcscf, phone.host)];
    let packets = ims.world.taken().iter().filter(|packet| !packet.is_esp);
    packets.filter(|packet| gm.contains(&(packet.from, packet.to))).count()
}

#[test]
fn a_plain_ue_is_served() {
    is_served(&handset::plain::PLAIN, 31);
}

#[test]
fn a_samsung_is_served() {
    is_served(&handset::samsung::SAMSUNG, 32);
}

/// One that offers HMAC-MD5 with three ciphers in one field.
#[test]
fn a_samsung_with_a_list_is_served() {
    is_served(&handset::samsung::SAMSUNG_LIST, 33);
}

#[test]
fn an_iphone_is_served() {
    is_served(&handset::apple::APPLE, 34);
}

/// One that registers over TCP and does not say so in its Contact.
#[test]
fn a_phone_with_a_qualcomm_modem_is_served() {
    is_served(&handset::qualcomm::QUALCOMM, 35);
}

#[test]
fn a_phone_with_a_mediatek_modem_is_served() {
    is_served(&handset::mediatek::MEDIATEK, 36);
}

/// Each make calls each other.
#[test]
fn handsets_of_all_makes_call_each_other() {
    let plan = Plan::seeded(37).with_settings(REQUIRED);
    let mut ims = plan.with_subscribers(handset::ALL.len() as u8).start();
    let phones: Vec<Phone> =
        handset::ALL.into_iter().map(|handset| ims.phone_with(|config| config.play(handset))).collect();
    for phone in &phones {
        ims.register_well(phone);
    }
    for (at, from) in phones.iter().enumerate() {
        for (to_at, to) in phones.iter().enumerate().filter(|(to_at, _)| *to_at != at) {
            talk(&mut ims, from, to, &format!("{} to {}", handset::ALL[at].name, handset::ALL[to_at].name));
        }
    }
    settled(ims, &phones.iter().collect::<Vec<_>>());
}

// --- beside captures --------------------------------------------------------------------------------------------------

/// The header of a message: names and values, in order.
type Header = Vec<(String, String)>;

fn header_of(text: &str) -> Header {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let lines = head.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn names(header: &Header) -> Vec<&str> {
    let mut names: Vec<&str> = header.iter().map(|(name, _)| name.as_str()).collect();
    // A P-CSCF that offers more makes a longer Security-Verify.
    names.dedup();
    names
}

fn value<'h>(header: &'h Header, name: &str) -> &'h str {
    let found = header.iter().find(|(own, _)| own == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// Names of parameters, in order.
fn parameters(value: &str, between: char) -> Vec<&str> {
    value.split(between).map(|parameter| parameter.split('=').next().unwrap_or_default().trim()).collect()
}

/// What the requests of a method in a capture say, each once.
fn captured(file: &str, method: &str) -> Option<Vec<String>> {
    let Some(folder) = std::env::var_os("CARILLON_CAPTURES").map(PathBuf::from) else {
        skip("CARILLON_CAPTURES names no folder with captures of handsets");
        return None;
    };
    if !needs("tshark") {
        return None;
    }
    let file = folder.join(file);
    assert!(file.is_file(), "{} is not there", file.display());
    let mut tshark = Program::new(carillon_tests::find("tshark").expect("looked for before"));
    tshark.args(["-o", "esp.enable_null_encryption_decode_heuristic:TRUE", "-r"]).arg(file);
    tshark.args(["-Y", &format!("sip.Method == \"{method}\"")]);
    tshark.args(["-T", "fields", "-e", "sip.Request-Line", "-e", "sip.msg_hdr"]);
    let output = tshark.output().expect("tshark runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let requests = lines.lines().filter_map(|line| {
        let (first, header) = line.split_once('\t')?;
        Some(format!("{first}\r\n{}\r\n", header.replace("\\r\\n", "\r\n")))
    });
    Some(requests.collect())
}

/// What a phone sent that begins like this, though in ESP without encryption.
fn sent(ims: &Ims, phone: &Phone, start: &str) -> Vec<String> {
    let packets = ims.world.taken().iter().filter(|packet| packet.from == phone.host);
    let texts = packets.filter_map(|packet| {
        let text = String::from_utf8_lossy(&packet.bytes).into_owned();
        let from = text.find(start)?;
        let to = text[from..].find("\r\n\r\n")?;
        Some(text[from..from + to + 4].to_owned())
    });
    texts.collect()
}

/// The two REGISTERs of a Samsung tablet, header by header: names, order, lists, offers, ports.
#[test]
fn a_samsung_registers_as_the_captured_one_does() {
    let Some(captured) = captured("ipsec_reg.pcapng", "REGISTER") else { return };
    // The capture has each message as the modem sent it, and behind each function that forwarded it.
    let from_ue = |text: &&String| text.contains("Security-Client");
    let real: Vec<Header> = captured.iter().filter(from_ue).map(|text| header_of(text)).collect();
    let mut ims = required(41);
    ims.world.tap();
    let alice = ims.phone_with(|config| config.play(&handset::samsung::SAMSUNG));
    ims.register_well(&alice);
    let ours: Vec<Header> = sent(&ims, &alice, "REGISTER ").iter().map(|text| header_of(text)).collect();
    let of = |headers: &[Header], is_answer: bool| {
        let is = |header: &&Header| header.iter().any(|(name, _)| name == "Security-Verify") == is_answer;
        headers.iter().find(is).cloned().unwrap_or_else(|| panic!("no REGISTER: {headers:?}"))
    };
    for is_answer in [false, true] {
        let (real, ours) = (of(&real, is_answer), of(&ours, is_answer));
        assert_eq!(names(&ours), names(&real));
        for name in
            ["Proxy-Require", "Require", "Expires", "Allow", "Supported", "User-Agent", "Max-Forwards"]
        {
            assert_eq!(value(&ours, name), value(&real, name), "{name}");
        }
        for (name, between) in [("Contact", ';'), ("Security-Client", ';'), ("Authorization", ',')] {
            assert_eq!(
                parameters(value(&ours, name), between)[1..],
                parameters(value(&real, name), between)[1..],
                "{name}"
            );
        }
        let offered = |header: &Header| {
            let value = value(header, "Security-Client").to_owned();
            let of = |name: &str| {
                let start = format!("{name}=");
                let found = value.split(';').find_map(|parameter| parameter.strip_prefix(&*start));
                found.unwrap_or_default().to_owned()
            };
            ["prot", "mod", "alg", "ealg", "port-c", "port-s"].map(of)
        };
        assert_eq!(offered(&ours), offered(&real));
        let has_user =
            |header: &Header| value(header, "Contact").split('>').next().unwrap_or("").contains('@');
        assert_eq!(has_user(&ours), has_user(&real));
    }
    // RFC 3261 §18.1.1: the answer is too long for UDP, in the capture and here.
    let transport = |headers: &[Header], is_answer| value(&of(headers, is_answer), "Via")[..11].to_owned();
    for headers in [&real, &ours] {
        assert_eq!(
            (transport(headers, false), transport(headers, true)),
            ("SIP/2.0/UDP".into(), "SIP/2.0/TCP".into())
        );
    }
}

/// The INVITE of a phone with a Qualcomm modem and without IPsec; but for the place of its Via.
#[test]
fn a_qualcomm_modem_calls_as_the_captured_one_does() {
    let Some(captured) = captured("nonipsec_to_ipsec_call.pcapng", "INVITE") else { return };
    let from_ue = captured
        .iter()
        .map(|text| header_of(text))
        .find(|header| header.iter().filter(|(name, _)| name == "Via").count() == 1);
    let real = from_ue.expect("an INVITE of the phone");
    let mut ims = Plan::seeded(42).start();
    ims.world.tap();
    let alice = ims.phone_with(|config| {
        config.play(&handset::qualcomm::QUALCOMM);
        config.security = None;
    });
    let bob = ims.phone();
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.ask(&alice, Command::Call { to: bob.tel.clone(), offer: None }, Duration::from_secs(60), |notice| {
        matches!(notice, Notice::Established { .. } | Notice::Ended { .. })
    });
    let ours = sent(&ims, &alice, "INVITE ").first().map(|text| header_of(text)).expect("an INVITE of ours");
    let without_via = |header: &Header| -> Vec<String> {
        names(header).into_iter().filter(|name| *name != "Via").map(str::to_owned).collect()
    };
    assert_eq!(without_via(&ours), without_via(&real));
    for name in ["Supported", "P-Preferred-Service", "Accept-Contact", "P-Early-Media"] {
        assert_eq!(value(&ours, name), value(&real, name), "{name}");
    }
    assert_eq!(parameters(value(&ours, "Contact"), ';')[1..], parameters(value(&real, "Contact"), ';')[1..]);
}
