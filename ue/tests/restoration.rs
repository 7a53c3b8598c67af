//! A 504 that asks the UE to register again (TS 24.229 §5.1.2A.1.6).

mod phones;

use phones::{ALICE, HOME, Phones};
use ue::Command;

const BODY: &str = "<?xml version=\"1.0\"?>\n<ims-3gpp version=\"1\"><alternative-service><type>restoration</type>\
    <reason>lost</reason><action>initial-registration</action></alternative-service></ims-3gpp>";

/// Alice writes to somebody, and hears a 504 by this identity and with this body; whether she registers then.
fn registers_after(asserted: &str, body: &str) -> bool {
    let mut phones = Phones::registered(|_, _| {});
    phones.loses = Box::new(|_, text| text.starts_with("MESSAGE "));
    phones.command(ALICE, Command::Message { to: format!("sip:nobody@{HOME}"), text: "hello".to_owned() });
    let message = phones.last(ALICE, "MESSAGE ").to_owned();
    let mut refusal = "SIP/2.0 504 Server Time-out\n".to_owned();
    for line in message.lines() {
        if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            refusal.push_str(line);
            refusal.push_str(if line.starts_with("To:") { ";tag=p\n" } else { "\n" });
        }
    }
    let length = body.replace('\n', "\r\n").len();
    phones.log.clear();
    phones.deliver(
        ALICE,
        &format!(
            "{refusal}P-Asserted-Identity: <{asserted}>\nContent-Type: application/3gpp-ims+xml\n\
             Content-Length: {length}\n\n{body}"
        ),
    );
    let did = phones.log.iter().any(|(phone, text)| *phone == ALICE && text.starts_with("REGISTER "));
    assert!(phones.nodes[ALICE].role().is_registered(), "anew, or still");
    did
}

#[test]
fn a_504_of_an_element_that_the_registration_is_by_starts_a_new_registration() {
    assert!(registers_after(&format!("sip:token@pcscf.{HOME};lr"), BODY), "Path");
    assert!(registers_after(&format!("sip:orig@scscf.{HOME};lr"), BODY), "Service-Route");
}

#[test]
fn a_504_of_anybody_else_or_for_another_reason_is_a_refusal_and_nothing_more() {
    assert!(!registers_after("sip:mallory@evil.example", BODY));
    let path = format!("sip:token@pcscf.{HOME};lr");
    assert!(!registers_after(&path, &BODY.replace("restoration", "emergency")));
    assert!(!registers_after(&path, &BODY.replace("initial-registration", "emergency-registration")));
    assert!(!registers_after(&path, ""));
}
