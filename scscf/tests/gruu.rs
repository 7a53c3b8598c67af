//! GRUUs (RFC 5627, TS 24.229 §5.4.7A): a request to one device of a user, by a name that tells who it is, or hides it; and
//! what a caller asks of the device (RFC 3841), and which flow leads to it (RFC 5626).

mod bench;

use bench::*;
use std::time::Duration;

const PHONE: &str = "<sip:alice@10.0.0.1:5060>;expires=600;+sip.instance=\"<urn:gsma:imei:35332411-091032-0>\";+g.3gpp.smsip;audio";
const TABLET: &str = "<sip:alice@10.0.0.2:5060>;expires=600;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000002>\";audio;video";

/// A REGISTER for a device of alice's whose UE asks for GRUUs; gives the 200.
fn registers(bench: &mut Bench, call_id: &str, cseq: u32, contact: &str) -> String {
    let register = Register {
        call_id: call_id.to_owned(),
        cseq,
        more: "Supported: gruu\n".to_owned(),
        ..register("alice")
    };
    let register = register.contact(contact);
    let nonce = bench.challenge(&register);
    let mut did = bench.receive(PCSCF, &register.next().text(Some((&nonce, &RES))));
    if did.iter().any(|one| matches!(one, Did::Cx(..))) {
        let (id, _) = sar(&did);
        did = bench.cx(id, saa("alice"));
    }
    let (id, records) = store(&did);
    let ok = sip(&bench.stored(id, &records)).to_owned();
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    ok
}

/// A parameter of the Contact with this URI in a 200.
fn param(ok: &str, uri: &str, name: &str) -> Option<String> {
    let contact = headers(ok, "Contact").into_iter().find(|contact| contact.contains(uri));
    let contact = contact.unwrap_or_else(|| panic!("no {uri} in {ok}"));
    let value = contact.split(&format!(";{name}=\"")).nth(1)?;
    Some(value.split('"').next().unwrap_or_default().to_owned())
}

fn request(method: &str, uri: &str, call_id: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.11:4060;branch=z9hG4bK{call_id}\nMax-Forwards: 60\n\
         Route: <sip:scscf.{HOME}:6060;lr>\nFrom: <sip:bob@{HOME}>;tag=b\nTo: <{uri}>\nCall-ID: {call_id}\n\
         CSeq: 1 {method}\n{more}Content-Length: 0\n\n"
    )
}

/// The Request-URIs that a MESSAGE is forwarded with, or the status of its refusal.
fn reached(bench: &mut Bench, uri: &str, call_id: &str, more: &str) -> Vec<String> {
    let did = bench.receive(ICSCF, &request("MESSAGE", uri, call_id, more));
    sips(&did).iter().map(|(_, text)| text.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
}

/// RFC 5627 §5.3: whoever asks is told both; the public one names the user and hides the IMEI, the temporary one hides the
/// user and the device.
#[test]
fn a_ue_that_asks_is_given_a_public_and_a_temporary_gruu() {
    let mut bench = Bench::new();
    let ok = registers(&mut bench, "phone", 1, PHONE);
    let public = param(&ok, "10.0.0.1", "pub-gruu").expect("a public GRUU");
    let temporary = param(&ok, "10.0.0.1", "temp-gruu").expect("a temporary GRUU");
    assert!(
        public.starts_with(&format!("sip:alice@{HOME};gr=urn:uuid:")) && !public.contains("35332411"),
        "{public}"
    );
    assert!(temporary.ends_with(&format!("@{HOME};gr")) && !temporary.contains("alice"), "{temporary}");
    let again = registers(&mut bench, "phone", 7, PHONE);
    assert_eq!(param(&again, "10.0.0.1", "pub-gruu"), Some(public), "the same for ever");
    assert_ne!(param(&again, "10.0.0.1", "temp-gruu"), Some(temporary), "a new one each time");
    // Of a UE that does not ask, nothing is told.
    let mut bench = Bench::new();
    let ok = bench.register(&register("alice").contact(PHONE));
    assert!(!ok.contains("gruu"), "{ok}");
}

/// RFC 5627 §5.4: to that device and no other; to none that is not registered.
#[test]
fn a_request_to_a_gruu_reaches_its_device_alone() {
    let mut bench = Bench::new();
    let phone = registers(&mut bench, "phone", 1, PHONE);
    let tablet = registers(&mut bench, "tablet", 1, TABLET);
    assert_eq!(headers(&tablet, "Contact").len(), 2, "two instances are two devices");
    let user = format!("sip:alice@{HOME}");
    assert_eq!(reached(&mut bench, &user, "all", "").len(), 2);
    let (one, other) = ("sip:alice@10.0.0.1:5060", "sip:alice@10.0.0.2:5060");
    for (ok, host, contact) in [(&phone, "10.0.0.1", one), (&tablet, "10.0.0.2", other)] {
        let public = param(ok, host, "pub-gruu").expect("a public GRUU");
        let temporary = param(ok, host, "temp-gruu").expect("a temporary GRUU");
        assert_eq!(reached(&mut bench, &public, &format!("p{host}"), ""), [contact]);
        assert_eq!(reached(&mut bench, &temporary, &format!("t{host}"), ""), [contact]);
    }
    let elsewhere = format!("{user};gr=urn:uuid:00000000-0000-4000-8000-000000000009");
    assert_eq!(reached(&mut bench, &elsewhere, "none", ""), ["480"]);
    assert_eq!(reached(&mut bench, &format!("sip:aaagbbbb@{HOME};gr"), "forged", ""), ["404"]);
}

/// RFC 5627 §3.2: temporary ones last as long as their registration, through refreshes and a restart; and end with a
/// registration by another Call-ID.
#[test]
fn a_temporary_gruu_lasts_as_long_as_its_registration() {
    let mut bench = Bench::new();
    let gruu = |ok: &str| param(ok, "10.0.0.1", "temp-gruu").expect("a temporary GRUU");
    let first = gruu(&registers(&mut bench, "phone", 1, PHONE));
    let second = gruu(&registers(&mut bench, "phone", 7, PHONE));
    let (mut bench, _) = bench.restart(Duration::from_secs(1));
    for (number, temporary) in [&first, &second].into_iter().enumerate() {
        let call_id = format!("old{number}");
        assert_eq!(reached(&mut bench, temporary, &call_id, ""), ["sip:alice@10.0.0.1:5060"]);
    }
    let third = gruu(&registers(&mut bench, "switched-on-again", 1, PHONE));
    assert_eq!(reached(&mut bench, &first, "gone", ""), ["404"]);
    assert_eq!(reached(&mut bench, &third, "new", ""), ["sip:alice@10.0.0.1:5060"]);
}

/// RFC 3841 §7.2.4: a caller says what the device is to be, and how hard it wants it.
#[test]
fn a_caller_is_given_the_devices_that_it_prefers() {
    let mut bench = Bench::new();
    registers(&mut bench, "phone", 1, PHONE);
    registers(&mut bench, "tablet", 1, TABLET);
    let user = format!("sip:alice@{HOME}");
    let (phone, tablet) = ("sip:alice@10.0.0.1:5060", "sip:alice@10.0.0.2:5060");
    for (number, (more, expected)) in [
        ("Accept-Contact: *;audio\n", &[phone, tablet][..]),
        // Preferred is asked first, and required is asked alone.
        ("Accept-Contact: *;video\n", &[tablet]),
        ("Accept-Contact: *;+g.3gpp.smsip;require;explicit\n", &[phone]),
        ("Reject-Contact: *;video\n", &[phone]),
        ("Reject-Contact: *;audio\n", &["480"]),
        ("Request-Disposition: sequential\n", &[phone]),
        ("Request-Disposition: no-fork\nAccept-Contact: *;video\n", &[tablet]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(reached(&mut bench, &user, &format!("prefers{number}"), more), expected, "{more}");
    }
}

const FLOW: &str = "+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000003>\"";

/// RFC 5626 §5.3: a 430 is the word of an edge that has lost a flow; the next one of the same UE is tried, and the caller
/// never hears of it.
#[test]
fn a_failed_flow_gives_way_to_another_of_the_same_ue() {
    let mut bench = Bench::new();
    for (number, call_id) in [(1, "flow-1"), (2, "flow-2")] {
        let contact = format!("<sip:alice@10.0.0.{number}:5060>;expires=600;reg-id={number};{FLOW}");
        let register = Register {
            call_id: call_id.to_owned(),
            more: "Supported: outbound\n".to_owned(),
            ..register("alice")
        };
        let register = register.contact(&contact);
        let text = |text: String| text.replace("5060;lr>\nMax", "5060;lr;ob>\nMax");
        let did = bench.receive(PCSCF, &text(register.text(None)));
        let (mar, _) = cx(&did);
        let did = bench.cx(mar, maa());
        let nonce = nonce(sip(&did));
        let mut did = bench.receive(PCSCF, &text(register.next().text(Some((&nonce, &RES)))));
        if did.iter().any(|one| matches!(one, Did::Cx(..))) {
            let (id, _) = sar(&did);
            did = bench.cx(id, saa("alice"));
        }
        let (id, records) = store(&did);
        let ok = sip(&bench.stored(id, &records)).to_owned();
        assert_eq!(header(&ok, "Require"), "outbound", "{ok}");
        assert_eq!(headers(&ok, "Contact").len(), number, "{ok}");
        bench.advance(Duration::from_secs(1));
    }
    let mut did = bench.receive(ICSCF, &request("MESSAGE", &format!("sip:alice@{HOME}"), "m", ""));
    for expected in ["sip:alice@10.0.0.2:5060", "sip:alice@10.0.0.1:5060"] {
        let (_, asked) = sips(&did)[0];
        assert_eq!(asked.split(' ').nth(1), Some(expected), "{asked}");
        let mut failed = "SIP/2.0 430 Flow Failed\n".to_owned();
        for line in asked.lines().filter(|line| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
        }) {
            failed.push_str(line);
            failed.push_str(if line.starts_with("To:") { ";tag=edge\n" } else { "\n" });
        }
        did = bench.receive(PCSCF, &format!("{failed}Content-Length: 0\n\n"));
    }
    assert!(sip(&did).starts_with("SIP/2.0 480 "), "{did:?}");
}

/// The contacts of alice's SIP identity in a NOTIFY: what stands in each of a GRUU of this kind.
fn in_notify(did: &[Did], element: &str) -> Vec<String> {
    let notify = sips(did).into_iter().find(|(_, text)| text.starts_with("NOTIFY "));
    let (_, notify) = notify.unwrap_or_else(|| panic!("no NOTIFY: {did:?}"));
    let start = format!("<gr:{element} ");
    notify.split(&start).skip(1).map(|rest| rest.split("/>").next().unwrap_or_default().to_owned()).collect()
}

/// A subscription to alice's registration by this identity, with its first NOTIFY.
fn subscribed(bench: &mut Bench, asserted: &str, call_id: &str) -> Vec<Did> {
    let more = format!(
        "P-Asserted-Identity: <{asserted}>\nEvent: reg\nExpires: 3600\nContact: <sip:watcher@127.0.0.10:5060>\n"
    );
    let did = bench.receive(ICSCF, &request("SUBSCRIBE", &format!("sip:alice@{HOME}"), call_id, &more));
    let (id, records) = store(&did);
    bench.stored(id, &records)
}

/// RFC 5628: a temporary GRUU hides who the user is; who watches and is not the user would learn whose it is.
#[test]
fn the_user_is_told_temporary_gruus_that_hold_and_nobody_else_is() {
    let mut bench = Bench::new();
    registers(&mut bench, "phone", 1, PHONE);
    registers(&mut bench, "phone", 7, PHONE);
    let of_user = subscribed(&mut bench, &format!("sip:alice@{HOME}"), "user");
    let [temporary] = &in_notify(&of_user, "temp-gruu")[..] else { panic!("{of_user:?}") };
    assert_eq!(in_notify(&of_user, "pub-gruu").len(), 1);
    // The first REGISTER that was accepted has CSeq 2: all that were given since hold.
    assert!(temporary.ends_with(&format!("@{HOME};gr\" first-cseq=\"2\"")), "{temporary}");
    assert!(!temporary.contains("alice"), "{temporary}");
    let uri = temporary.split("uri=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a uri");
    assert_eq!(reached(&mut bench, uri, "told", ""), ["sip:alice@10.0.0.1:5060"]);

    let of_proxy = subscribed(&mut bench, "sip:127.0.0.10:5060", "proxy");
    assert_eq!(in_notify(&of_proxy, "pub-gruu").len(), 1);
    assert_eq!(in_notify(&of_proxy, "temp-gruu"), Vec::<String>::new());

    // RFC 5627 §3.2: with another Call-ID those of before hold no longer.
    let mut bench = Bench::new();
    registers(&mut bench, "phone", 1, PHONE);
    registers(&mut bench, "anew", 20, PHONE);
    let again = subscribed(&mut bench, &format!("sip:alice@{HOME}"), "again");
    assert!(in_notify(&again, "temp-gruu")[0].ends_with("first-cseq=\"21\""), "{again:?}");
}
