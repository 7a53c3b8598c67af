//! A registration through security associations (TS 33.203 §7, TS 24.229 §5.2.2), and what is refused around them.

use crate::bench::*;
use ipsec::{SaSet, Spi};
use pcscf::agreements::State;
use std::time::Duration;

const OPTIONAL: &str = "[ipsec]\npolicy = \"optional\"";
const REQUIRED: &str = "[ipsec]\npolicy = \"required\"";
/// Not the port that phones have elsewhere: the first REGISTER may come from any.
const SOMEWHERE: &str = "10.0.0.1:40123";
const CK: &str = "000102030405060708090a0b0c0d0e0f";
const IK: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

/// What the UE offers: its SPIs begin at `spi`, its client port is `port`.
fn offer(spi: u32, port: u16) -> String {
    let mechanism = |algorithms: &str| {
        format!(
            "ipsec-3gpp;{algorithms};prot=esp;mod=trans;spi-c={spi};spi-s={};port-c={port};port-s=6300",
            spi + 1
        )
    };
    format!("{}, {}", mechanism("alg=hmac-md5-96;ealg=aes-cbc"), mechanism("alg=hmac-sha-1-96;ealg=aes-cbc"))
}

struct Phone {
    offer: String,
    verify: String,
    /// Its set, once the network has agreed.
    set: Option<SaSet>,
    branches: u32,
}

impl Phone {
    fn new() -> Phone {
        Phone { offer: offer(25656, 6301), verify: String::new(), set: None, branches: 0 }
    }

    fn branch(&mut self) -> String {
        self.branches += 1;
        format!("s{}", self.branches)
    }

    fn register(&mut self, expires: u32, response: &str) -> String {
        let verify = if self.verify.is_empty() { String::new() } else { format!("{}\n", self.verify) };
        let extra = format!(
            "Contact: <sip:alice@10.0.0.1:6300>;expires={expires}\nRequire: sec-agree\nProxy-Require: sec-agree\n\
             Security-Client: {}\n{verify}Authorization: Digest username=\"alice@{HOME}\",realm=\"{HOME}\",nonce=\"bg==\",\
             uri=\"sip:{HOME}\",response=\"{response}\",integrity-protected=\"yes\"",
            self.offer
        );
        register(&self.branch(), &extra)
    }

    fn send(&mut self, bench: &mut Bench, text: &str) -> Vec<Sent> {
        match &self.set {
            Some(set) => bench.ue_sends_through(&set.clone(), text),
            None => bench.ue_sends(SOMEWHERE, text),
        }
    }

    /// A REGISTER up to its challenge; what the UE was told.
    fn challenged(&mut self, bench: &mut Bench) -> Sent {
        let text = self.register(600, "");
        let sent = self.send(bench, &text);
        let challenge = format!(
            "WWW-Authenticate: Digest realm=\"{HOME}\",nonce=\"bm9u\",algorithm=AKAv1-MD5,ck=\"{CK}\",ik=\"{IK}\""
        );
        let back = bench.core_sends(&response(&last(&sent).1, "401 Unauthorized", &challenge));
        let [told] = &back[..] else { panic!("{back:?}") };
        if values(&told.1, "Security-Server").is_empty() {
            return told.clone();
        }
        self.verify = values(&told.1, "Security-Server")
            .iter()
            .map(|mechanism| format!("Security-Verify: {mechanism}"))
            .collect::<Vec<_>>()
            .join("\n");
        self.set = bench.sets.last().cloned();
        told.clone()
    }

    /// A whole registration; what the UE was told in the end.
    fn registers(&mut self, bench: &mut Bench) -> Sent {
        self.challenged(bench);
        self.answers(bench, 600)
    }

    /// The answer to the challenge, or a refresh, and what the UE was told.
    fn answers(&mut self, bench: &mut Bench, expires: u32) -> Sent {
        let text = self.register(expires, "6629");
        let sent = self.send(bench, &text);
        let request = &last(&sent).1;
        if request.starts_with("SIP/2.0 ") {
            return last(&sent).clone();
        }
        let contacts = match expires {
            0 => "X-None: 1".to_owned(),
            _ => format!("Contact: <sip:alice@10.0.0.1:6300>;expires={expires}"),
        };
        last(&bench.core_sends(&granted(request, &contacts))).clone()
    }

    fn name(&self) -> Spi {
        self.set.as_ref().expect("a set").own_spi_s
    }
}

fn last(sent: &[Sent]) -> &Sent {
    sent.last().expect("something left")
}

fn status(sent: &[Sent]) -> &str {
    &last(sent).1[8..11]
}

fn message_to_bob(branch: &str, extra: &str) -> String {
    format!(
        "MESSAGE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:6300;branch=z9hG4bK{branch};rport\nMax-Forwards: 70\n\
         Route: <sip:127.0.0.10:6100;lr>, <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>\n\
         Call-ID: m{branch}\nCSeq: 1 MESSAGE\n{extra}Content-Length: 0\n\n"
    )
}

/// A request of the core to alice, by the Path that the registrar was given.
fn to_alice(branch: &str, path: &str) -> String {
    format!(
        "MESSAGE sip:alice@10.0.0.1:6300 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bK{branch}\nMax-Forwards: 60\n\
         Route: {path}\nFrom: <sip:bob@{HOME}>;tag=b1\nTo: <sip:alice@{HOME}>\nCall-ID: t{branch}\nCSeq: 1 MESSAGE\n\
         Content-Length: 0\n\n"
    )
}

/// By which way a request of the core reaches alice now.
fn way_to_alice(bench: &mut Bench, branch: &str, path: &str) -> String {
    let sent = bench.core_sends(&to_alice(branch, path));
    let (to, text) = last(&sent);
    if text.starts_with("SIP/2.0 ") { text[8..11].to_owned() } else { to.clone() }
}

fn through(set: &SaSet) -> String {
    format!("udp through {}", set.own_spi_s)
}

/// TS 24.229 §5.2.2.2: the 401 sets the associations up; the answer comes through them, and so does the 200.
#[test]
fn a_ue_registers_through_the_associations_of_its_challenge() {
    let mut bench = Bench::with(OPTIONAL);
    let mut phone = Phone::new();
    let (to, challenge) = phone.challenged(&mut bench);
    assert_eq!(to, "flow", "in clear, as the REGISTER came");
    assert!(!challenge.contains(CK) && !challenge.contains(IK), "{challenge}");
    let listed = values(&challenge, "Security-Server");
    assert_eq!(
        listed.len(),
        8,
        "all that we have, so that the UE can tell whether it was altered: {listed:?}"
    );
    let set = phone.set.clone().expect("installed before the 401 leaves");
    assert_eq!((set.peer_client_port, set.peer_server_port), (6301, 6300));
    assert_eq!((set.own_client_port, set.own_server_port), (5100, 6100));
    assert_eq!((set.peer_spi_c.get(), set.peer_spi_s.get()), (25656, 25657));
    assert_eq!(set.algorithms.to_string(), "hmac-sha-1-96/aes-cbc", "our order, not the UE's");
    assert_eq!(&set.keys.expose_integrity()[..2], [0xf0, 0xf1]);

    let text = phone.register(600, "6629");
    let sent = phone.send(&mut bench, &text);
    let forwarded = &last(&sent).1;
    assert!(value(forwarded, "Authorization").ends_with(",integrity-protected=\"yes\""), "{forwarded}");
    for absent in ["Security-Client", "Security-Verify", "Proxy-Require"] {
        assert_eq!(values(forwarded, absent), [""; 0], "{absent}");
    }
    let path = value(forwarded, "Path");
    let granted = bench.core_sends(&granted(forwarded, "Contact: <sip:alice@10.0.0.1:6300>;expires=600"));
    assert_eq!(last(&granted).0, through(&set));
    assert_eq!(way_to_alice(&mut bench, "1", &path), through(&set));
    let sent = phone.send(&mut bench, &message_to_bob("2", ""));
    assert!(last(&sent).1.contains(&format!("P-Asserted-Identity: <sip:alice@{HOME}>")), "{sent:?}");
}

/// A UE that offers nothing is served where the policy lets it, and refused by name where it does not.
#[test]
fn a_ue_without_security_client_is_served_by_policy() {
    let mut bench = Bench::with(OPTIONAL);
    bench.register();
    assert!(bench.is_registered() && bench.sets.is_empty());
    let mut bench = Bench::with(REQUIRED);
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    assert_eq!(status(&sent), "421");
    assert_eq!(value(&last(&sent).1, "Require"), "sec-agree");
    let mut bench = Bench::new();
    let (_, challenge) = Phone::new().challenged(&mut bench);
    assert!(challenge.starts_with("SIP/2.0 401 ") && bench.sets.is_empty(), "off: {challenge}");
}

/// An offer that nothing of the profile is in, as some phones send it.
#[test]
fn a_ue_with_other_algorithms_is_told_what_we_have() {
    let mut bench = Bench::with("[ipsec]\npolicy = \"optional\"\nprofile = \"strict\"");
    let mut phone = Phone::new();
    phone.offer = phone.offer.replace("hmac-sha-1-96", "hmac-md5-96");
    let text = phone.register(600, "");
    let sent = phone.send(&mut bench, &text);
    assert_eq!(status(&sent), "494");
    assert_eq!(values(&last(&sent).1, "Security-Server").len(), 4);
}

/// TS 33.203 §7.4: new SPIs and the next port-pc; the older set until the UE uses the newer one, and a while for what is
/// under way.
#[test]
fn a_reregistration_moves_to_a_new_set_without_a_gap() {
    let mut bench = Bench::with(REQUIRED);
    let mut phone = Phone::new();
    phone.registers(&mut bench);
    let older = phone.set.clone().expect("a set");
    phone.offer = offer(25756, 6302);
    let (to, challenge) = phone.challenged(&mut bench);
    assert_eq!(to, through(&older), "the 401 comes through the older set");
    assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
    let newer = phone.set.clone().expect("a set");
    assert_eq!((newer.own_client_port, newer.own_server_port), (5101, 6100));
    let path = path_of(&mut bench, &older);
    assert_eq!(way_to_alice(&mut bench, "1", &path), through(&older), "not agreed yet");
    let (to, text) = phone.answers(&mut bench, 600);
    assert_eq!(to, through(&newer), "{text}");
    assert_eq!(way_to_alice(&mut bench, "2", &path), through(&older), "the UE has not used the newer one");
    assert_eq!(bench.sets.len(), 2);
    let sent = phone.send(&mut bench, &message_to_bob("3", ""));
    assert!(last(&sent).1.starts_with("MESSAGE "), "{sent:?}");
    assert_eq!(way_to_alice(&mut bench, "4", &path), through(&newer));
    bench.advance(Duration::from_secs(127));
    assert_eq!(bench.sets.len(), 2, "what is under way finishes");
    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.sets, [newer]);
}

/// The Path of a refresh through `set`, which is forwarded and forgotten.
fn path_of(bench: &mut Bench, set: &SaSet) -> String {
    let mut phone = Phone::new();
    phone.branches = 100;
    phone.verify = verify_of(set);
    let text = phone.register(600, "");
    let sent = bench.ue_sends_through(set, &text);
    let forwarded = last(&sent).1.clone();
    bench.core_sends(&response(&forwarded, "500 Try again", ""));
    value(&forwarded, "Path")
}

fn verify_of(set: &SaSet) -> String {
    let own = ipsec::Ends {
        spi_c: set.own_spi_c,
        spi_s: set.own_spi_s,
        port_c: set.own_client_port,
        port_s: set.own_server_port,
    };
    let mechanisms = ipsec::Profile::Permissive.pairs().map(|pair| (ipsec::Mode::Transport, pair));
    ipsec::agreement::written(mechanisms, Some(own))
        .iter()
        .map(|mechanism| format!("Security-Verify: {mechanism}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The answer to a de-registration goes through the association, which ends after it.
#[test]
fn the_200_to_a_deregistration_is_protected() {
    let mut bench = Bench::with(REQUIRED);
    let mut phone = Phone::new();
    phone.registers(&mut bench);
    let set = phone.set.clone().expect("a set");
    let (to, text) = phone.answers(&mut bench, 0);
    assert!(text.starts_with("SIP/2.0 200 "), "{text}");
    assert_eq!(to, through(&set));
    assert!(!bench.is_registered());
    bench.advance(Duration::from_secs(127));
    assert_eq!(bench.sets.len(), 1, "the 200 may be asked for again");
    bench.advance(Duration::from_secs(2));
    assert!(bench.sets.is_empty() && bench.store.is_empty() && bench.node.role().agreements().is_empty());
}

/// One source of truth: the set stands while something is registered by it, and not longer.
#[test]
fn a_set_lasts_as_long_as_the_registration_and_its_refreshes() {
    let mut bench = Bench::with(REQUIRED);
    let mut phone = Phone::new();
    phone.registers(&mut bench);
    for _ in 0..3 {
        bench.advance(Duration::from_secs(500));
        let (_, text) = phone.answers(&mut bench, 600);
        assert!(text.starts_with("SIP/2.0 200 "), "{text}");
        assert_eq!(bench.sets.len(), 1);
    }
    bench.advance(Duration::from_secs(601));
    assert!(!bench.is_registered());
    assert_eq!(bench.sets.len(), 1, "30 s longer at least");
    bench.advance(Duration::from_secs(130));
    assert!(bench.sets.is_empty());
}

#[test]
fn a_challenge_that_is_not_answered_leaves_nothing() {
    let mut bench = Bench::with(REQUIRED);
    let mut phone = Phone::new();
    phone.challenged(&mut bench);
    bench.advance(Duration::from_secs(239));
    assert_eq!(bench.sets.len(), 1);
    bench.advance(Duration::from_secs(2));
    assert!(bench.sets.is_empty() && bench.store.is_empty());
}

/// TS 33.203 §7.3.1.4: an attempt that was not finished makes room for the next.
#[test]
fn a_ue_that_begins_anew_has_one_set() {
    let mut bench = Bench::with(REQUIRED);
    for spi in [25656, 25756, 25856] {
        let mut phone = Phone::new();
        phone.branches = spi;
        phone.offer = offer(spi, 6301);
        phone.challenged(&mut bench);
        assert_eq!(bench.sets.len(), 1);
    }
}

/// A phone that restarted registers in clear: it is challenged, and until it succeeds the registration that it had lives.
#[test]
fn the_registration_of_a_phone_that_restarted_lives_until_the_new_one() {
    let mut bench = Bench::with(REQUIRED);
    let mut before = Phone::new();
    before.registers(&mut bench);
    let older = before.set.clone().expect("a set");
    let path = path_of(&mut bench, &older);
    let mut after = Phone::new();
    (after.offer, after.branches) = (offer(30000, 6311), 200);
    let (to, _) = after.challenged(&mut bench);
    assert_eq!(to, "flow");
    assert_eq!(way_to_alice(&mut bench, "1", &path), through(&older));
    after.answers(&mut bench, 600);
    assert_eq!(bench.sets, [after.set.clone().expect("a set")], "the phone has lost the older set");
}

#[test]
fn a_phone_that_restarted_may_come_with_its_old_ports_but_nobody_else_may() {
    let mut bench = Bench::with(REQUIRED);
    Phone::new().registers(&mut bench);
    let mut stranger = Phone::new();
    stranger.branches = 300;
    let text = stranger.register(600, "").replace("username=\"alice@", "username=\"mallory@");
    let sent = stranger.send(&mut bench, &text);
    let challenge = format!(
        "WWW-Authenticate: Digest realm=\"{HOME}\",nonce=\"bm9u\",algorithm=AKAv1-MD5,ck=\"{CK}\",ik=\"{IK}\""
    );
    let told = bench.core_sends(&response(&last(&sent).1, "401 Unauthorized", &challenge));
    assert_eq!(status(&told), "403");
    let mut again = Phone::new();
    again.branches = 400;
    again.registers(&mut bench);
    assert_eq!(bench.sets.len(), 1);
}

/// TS 33.203 §7.4: a phone that keeps its client port gets no new set, and keeps the one that it has.
#[test]
fn a_refresh_with_the_same_client_port_leaves_the_set_alone() {
    let mut bench = Bench::with(REQUIRED);
    let mut phone = Phone::new();
    phone.registers(&mut bench);
    let set = phone.set.clone().expect("a set");
    phone.offer = offer(25756, 6301);
    let (to, challenge) = phone.challenged(&mut bench);
    assert_eq!(to, through(&set));
    assert!(challenge.starts_with("SIP/2.0 401 ") && values(&challenge, "Security-Server").is_empty());
    assert!(!challenge.contains(CK), "{challenge}");
    assert_eq!(bench.sets, [set]);
}

/// RFC 3329 §2.3.1 and TS 33.203 §7.1, each with a cause of its own.
#[test]
fn what_does_not_fit_the_agreement_is_refused() {
    for (from, to, expected) in [
        ("username=\"alice@", "username=\"bob@", "403"),
        (
            "Security-Verify: ipsec-3gpp;q=0.900;alg=null",
            "Security-Verify: ipsec-3gpp;q=0.900;alg=aes-gmac",
            "494",
        ),
        ("Security-Verify: ", "X-Verify: ", "494"),
        ("spi-c=25656", "spi-c=25658", "494"),
    ] {
        let mut bench = Bench::with(REQUIRED);
        let mut phone = Phone::new();
        phone.challenged(&mut bench);
        let text = phone.register(600, "6629");
        assert!(text.contains(from), "{text}");
        let sent = phone.send(&mut bench, &text.replace(from, to));
        assert_eq!(status(&sent), expected, "{from}");
        assert!(!bench.is_registered());
        let genuine = phone.answers(&mut bench, 600);
        assert!(genuine.1.starts_with("SIP/2.0 200 "), "the genuine one is still taken: {}", genuine.1);
    }
}

/// TS 33.203 §7.1: in clear only a REGISTER is taken from a UE that has associations.
#[test]
fn a_protected_user_cannot_be_spoken_for_in_clear() {
    let mut bench = Bench::with(OPTIONAL);
    let mut phone = Phone::new();
    phone.registers(&mut bench);
    for remote in ["10.0.0.1:6300", "10.0.0.1:6301", SOMEWHERE] {
        let sent = bench.ue_sends(remote, &message_to_bob(&format!("c{}", &remote[9..]), ""));
        assert_eq!(status(&sent), "403", "{remote}");
        assert!(last(&sent).1.contains("outside the security association"), "{sent:?}");
    }
    let forged = format!("P-Asserted-Identity: <sip:bob@{HOME}>\nP-Preferred-Identity: <sip:bob@{HOME}>\n");
    let sent = phone.send(&mut bench, &message_to_bob("f", &forged));
    assert!(last(&sent).1.contains(&format!("P-Asserted-Identity: <sip:alice@{HOME}>")), "{sent:?}");
    let altered = format!("{}\n", phone.verify.replace("q=0.900", "q=0.901"));
    let sent = phone.send(&mut bench, &message_to_bob("g", &altered));
    assert_eq!(status(&sent), "494");
}

#[test]
fn a_back_end_that_fails_is_told_to_the_ue_and_leaves_nothing() {
    let mut bench = Bench::with(REQUIRED);
    bench.ipsec_is_broken = true;
    let (_, text) = Phone::new().challenged(&mut bench);
    assert!(text.starts_with("SIP/2.0 500 ") && text.contains("could not be installed"), "{text}");
    assert!(!text.contains("no ESP here") && bench.node.role().agreements().is_empty());
}

/// A phone does not notice that the P-CSCF was away.
#[test]
fn associations_outlive_a_restart_with_what_is_registered_by_them() {
    let mut bench = Bench::with(REQUIRED);
    let mut phone = Phone::new();
    phone.registers(&mut bench);
    let older = phone.set.clone().expect("a set");
    let path = path_of(&mut bench, &older);
    let mut bench = bench.restarted();
    assert_eq!(bench.sets, std::slice::from_ref(&older));
    assert_eq!(way_to_alice(&mut bench, "1", &path), through(&older));
    let sent = phone.send(&mut bench, &message_to_bob("2", ""));
    assert!(last(&sent).1.starts_with("MESSAGE "), "{sent:?}");
    let (_, text) = phone.answers(&mut bench, 600);
    assert!(text.starts_with("SIP/2.0 200 "), "a refresh with the Security-Verify of old: {text}");
    phone.offer = offer(25756, 6302);
    phone.registers(&mut bench);
    let mut bench = bench.restarted();
    let states: Vec<(Spi, State)> =
        bench.node.role().agreements().iter().map(|agreement| (agreement.name(), agreement.state)).collect();
    let mut expected = [(older.own_spi_s, State::Replaced), (phone.name(), State::Current)];
    expected.sort_by_key(|(name, _)| *name);
    assert_eq!(states, expected);
    assert_eq!(way_to_alice(&mut bench, "3", &path), through(&older), "the newer one has not been used");
}
