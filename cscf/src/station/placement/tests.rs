//! Homes of messages, told as the messages.

use super::*;

const HOME: &str = "home1.net";

fn numbers() -> NumberPolicy {
    NumberPolicy {
        country_code: Some("49".to_owned()),
        national_prefix: "0".to_owned(),
        international_prefix: "00".to_owned(),
        home_domain: HOME.to_owned(),
    }
}

struct Bench {
    key: TokenKey,
    placement: Placement,
}

impl Bench {
    fn with(access: AccessSide) -> Bench {
        let mut entropy = Entropy::seeded(1);
        Bench { key: TokenKey::new(&mut entropy), placement: Placement::new(access, numbers(), &mut entropy) }
    }

    fn home(&mut self, message: &str) -> Option<Bucket> {
        self.home_of(Trust::Domain, message.as_bytes())
    }

    fn home_of(&mut self, trust: Trust, message: &[u8]) -> Option<Bucket> {
        self.placement.home(&self.key, trust, "10.0.0.1".parse().expect("an address"), message)
    }

    fn bucket(&self, identity: &str) -> Option<Bucket> {
        Some(self.key.bucket(identity.as_bytes()))
    }
}

/// A request in the words of one who sends many.
fn request(method: &str, uri: &str, fields: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n{fields}\
         From: \"A, B\" <sip:carol@home1.net>;tag=1\r\nCSeq: 1 {method}\r\nCall-ID: c1@h\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn a_transaction_stays_in_one_bucket_with_its_ack_its_cancel_and_its_retransmissions() {
    let mut bench = Bench::with(AccessSide::None);
    let token = bench.key.mint(Bucket::new(1234), "s");
    let route = format!("Route: <sip:{token}@scscf.home1.net:6060;lr>, <sip:next;lr>\r\n");
    let to = "To: <sip:bob@home1.net>\r\n";
    let answered = "To: <sip:bob@home1.net>;tag=ours\r\n";
    for (uri, routes) in [
        ("sip:bob@home1.net", ""),
        ("sip:bob@home1.net", &route[..]),
        ("sip:bob@home1.net", "Route: <sip:scscf.home1.net:6060;lr>\r\n"),
        ("tel:+49-30-1", ""),
        ("urn:service:sos", ""),
        ("sip:home1.net", ""),
    ] {
        let invite = bench.home(&request("INVITE", uri, &format!("{routes}{to}")));
        assert!(invite.is_some(), "{uri} {routes}");
        // RFC 3261 §17.1.1.3 and §9.1: Request-URI, Route, From, Call-ID and the top Via are those of the INVITE.
        let ack = bench.home(&request("ACK", uri, &format!("{routes}{answered}")));
        let cancel = bench.home(&request("CANCEL", uri, &format!("{routes}{to}")));
        let again = bench.home(&request("INVITE", uri, &format!("{routes}{to}")));
        assert_eq!([ack, cancel, again], [invite; 3], "{uri} {routes}");
    }
    let by_token = bench.home(&request("INVITE", "sip:bob@home1.net", &format!("{route}{to}")));
    assert_eq!(by_token, Some(Bucket::new(1234)));
    // Within a dialog, the ACK to a 2xx among others, the Route alone says where.
    let ack = bench.home(&request("ACK", "sip:bob@10.0.0.7", &format!("{route}{answered}")));
    assert_eq!(ack, Some(Bucket::new(1234)));
}

#[test]
fn a_response_goes_home_by_our_branch_and_a_strangers_goes_nowhere() {
    let mut bench = Bench::with(AccessSide::Gm);
    let mut branch = Vec::new();
    BranchId { bucket: Bucket::new(4095), slot: 7, generation: 1, loop_hash: 5, random: 9 }
        .write(&mut branch);
    let branch = String::from_utf8(branch).expect("a token");
    for via in [
        format!(
            "Via: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKx"
        ),
        format!(
            "v: SIP / 2.0 / TCP h;received=10.0.0.1 ;branch={branch}, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKx"
        ),
        format!("Subject: \"Via: x\r\n folded\"\r\nVIA :\r\n SIP/2.0/UDP [::1]:5060\r\n\t;branch={branch}"),
    ] {
        let response = format!("SIP/2.0 200 OK\r\n{via}\r\nCSeq: 1 INVITE\r\n\r\n");
        assert_eq!(bench.home_of(Trust::Outside, response.as_bytes()), Some(Bucket::new(4095)), "{response}");
    }
    let foreign = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKx\r\n\r\n";
    assert_eq!(bench.home(foreign), None);
}

#[test]
fn what_a_ue_sends_is_at_home_at_its_address_and_what_the_core_sends_is_not() {
    let mut bench = Bench::with(AccessSide::Gm);
    let invite = request("INVITE", "sip:bob@home1.net", "To: <sip:bob@home1.net>\r\n");
    let by_address = bench.key.bucket(b"10.0.0.1");
    assert_eq!(bench.home_of(Trust::Outside, invite.as_bytes()), Some(by_address));
    assert_eq!(bench.home_of(Trust::Domain, invite.as_bytes()), bench.bucket("sip:bob@home1.net"));
    let token = bench.key.mint(by_address, "p");
    let routed =
        request("INVITE", "sip:bob@10.0.0.1", &format!("Route: <sip:{token}@127.0.0.10:5060;lr>\r\n"));
    assert_eq!(bench.home_of(Trust::Domain, routed.as_bytes()), Some(by_address), "by our Path");
    let mut elsewhere = Bench::with(AccessSide::None);
    let by_uri = elsewhere.bucket("sip:bob@home1.net");
    assert_eq!(
        elsewhere.home_of(Trust::Outside, invite.as_bytes()),
        by_uri,
        "no UE registers by address here"
    );
}

#[test]
fn a_registration_and_a_call_meet_whatever_form_the_identity_has() {
    let mut bench = Bench::with(AccessSide::None);
    let register = |to: &str| request("REGISTER", "sip:scscf.home1.net:6060", &format!("{to}\r\n"));
    let home = bench.bucket("sip:alice@home1.net");
    for to in [
        "To: <sip:alice@home1.net>",
        "t: sip:alice@HOME1.net;tag=7",
        "To: \"Alice <sip:bob@home1.net>, \\\"she\\\"\" <sip:%61lice@home1.net:5060;transport=tcp>",
        "TO : \r\n <sip:alice@home1.net>",
    ] {
        assert_eq!(bench.home(&register(to)), home, "{to}");
    }
    for uri in ["sip:alice@home1.net", "sip:alice@Home1.Net:5060;user=phone", "sip:%61lice@home1.net"] {
        assert_eq!(bench.home(&request("INVITE", uri, "")), home, "{uri}");
    }
    let number = bench.bucket("tel:+49301000001");
    for uri in [
        "tel:+49-30-100(0001)",
        "tel:0301000001",
        "tel:0301000001;phone-context=home1.net",
        "sip:+49301000001@home1.net;user=phone",
        "sip:0301000001@home1.net;user=phone",
        "sip:+49-30-1000001@home1.net;user=phone",
    ] {
        assert_eq!(bench.home(&request("INVITE", uri, "")), number, "{uri}");
    }
    for uri in ["sip:+49301000001@home1.net", "sip:+49301000001@elsewhere.net;user=phone"] {
        assert_ne!(bench.home(&request("INVITE", uri, "")), number, "{uri}");
    }
}

#[test]
fn an_announced_identity_is_at_home_with_its_owner() {
    let mut bench = Bench::with(AccessSide::None);
    let owner = Bucket::new(77);
    let identity = bench.key.hash(b"tel:+49301000001");
    bench.placement.aliases.insert(identity, owner);
    for uri in ["tel:+49-301000001", "sip:+49301000001@home1.net;user=phone"] {
        assert_eq!(bench.home(&request("INVITE", uri, "")), Some(owner), "{uri}");
    }
    let register = request("REGISTER", "sip:home1.net", "To: <tel:+49301000001>\r\n");
    assert_eq!(bench.home(&register), Some(owner));
    bench.placement.aliases.remove(identity, owner);
    assert_eq!(bench.home(&register), bench.bucket("tel:+49301000001"));
}

#[test]
fn where_no_identity_is_named_the_call_id_decides_and_without_it_nothing() {
    let mut bench = Bench::with(AccessSide::None);
    let call = bench.bucket("c1@h");
    assert_eq!(bench.home(&request("OPTIONS", "sip:scscf.home1.net:6060", "")), call);
    assert_eq!(bench.home(&request("REGISTER", "sip:home1.net", "To: nonsense\r\n")), call);
    assert_eq!(bench.home("OPTIONS sip:home1.net SIP/2.0\r\ni: c1@h\r\n\r\n"), call);
    for cut in
        ["", "\r\n\r\n", "OPTIONS", "OPTIONS sip:home1.net SIP/2.0\r\n\r\nCall-ID: c1@h\r\n", "\u{1}\u{2}"]
    {
        assert_eq!(bench.home(cut), None, "{cut:?}");
    }
}

/// TS 24.229 §5.7.1: the user is named by a field that ACK and CANCEL do not have.
#[test]
fn what_an_application_server_sends_for_a_user_is_at_home_with_the_user_and_so_are_its_ack_and_cancel() {
    let mut bench = Bench::with(AccessSide::None);
    let route = "Route: <sip:scscf.home1.net:6060;lr;orig>\r\n";
    let home = bench.bucket("sip:alice@home1.net");
    let asserted = "P-Asserted-Identity: <sip:alice@home1.net>, <tel:+49>\r\n";
    let served = "P-Served-User: <sip:alice@home1.net>;sescase=orig\r\nP-Asserted-Identity: <tel:+491>\r\n";
    let other = "sip:bob@elsewhere.net";
    for user in [asserted, served] {
        for fields in [format!("{route}{user}"), format!("{user}{route}")] {
            assert_eq!(bench.home(&request("INVITE", other, &fields)), home, "{fields}");
        }
    }
    assert_eq!(bench.home(&request("CANCEL", other, route)), home);
    assert_eq!(bench.home(&request("ACK", other, route)), home);
    let another = request("CANCEL", other, route).replace("z9hG4bK1", "z9hG4bK2");
    assert_eq!(bench.home(&another), bench.bucket(other), "a CANCEL of nothing");
    let unmarked = format!("Route: <sip:scscf.home1.net:6060;lr>\r\n{served}");
    assert_eq!(bench.home(&request("INVITE", other, &unmarked)), bench.bucket(other));
}

#[test]
fn a_forged_token_leads_nowhere_and_the_request_goes_by_what_it_says() {
    let mut bench = Bench::with(AccessSide::None);
    let forged = TokenKey::new(&mut Entropy::seeded(2)).mint(Bucket::new(9), "s");
    let invite =
        request("INVITE", "sip:bob@home1.net", &format!("Route: <sip:{forged}@scscf.home1.net;lr>\r\n"));
    assert_eq!(bench.home(&invite), bench.bucket("sip:bob@home1.net"));
}

/// Whatever a stranger sends has a home or none; it is found without a panic, and twice the same.
#[test]
fn mutated_messages_are_placed_without_a_panic_and_always_alike() {
    let mut bench = Bench::with(AccessSide::None);
    let token = bench.key.mint(Bucket::new(1234), "s");
    let samples = [
        request("INVITE", "sip:0301@home1.net;user=phone", &format!("Route: <sip:{token}@h;lr>\r\n")),
        request("REGISTER", "sip:home1.net", "To: \"a\\\"<b\" <sip:%61@home1.net>\r\n folded\r\n"),
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;x=\"a,b\";branch=z9hG4bKaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n"
            .to_owned(),
    ];
    let mut entropy = Entropy::seeded(3);
    let bytes = b"\r\n \t:;,<>\"\\@%+sip\0\xff";
    for sample in samples.iter().cycle().take(3000) {
        let mut mutated = sample.clone().into_bytes();
        for _ in 0..=entropy.below(4) {
            let at = entropy.below(mutated.len() as u64) as usize;
            match entropy.below(3) {
                0 => mutated.truncate(at.max(1)),
                1 => mutated.insert(at, bytes[entropy.below(bytes.len() as u64) as usize]),
                _ => mutated[at] = bytes[entropy.below(bytes.len() as u64) as usize],
            }
        }
        let home = bench.home_of(Trust::Domain, &mutated);
        assert_eq!(bench.home_of(Trust::Domain, &mutated), home);
    }
}
