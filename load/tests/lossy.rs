//! What the UEs do when nobody answers, or the answer comes twice: virtual time, and no socket.

use ambient::{Entropy, Instant};
use carillon_load::generator::{Generator, Setup};
use carillon_load::population::{Card, Population, Subscriber};
use carillon_load::scenario::Scenario;
use carillon_load::sources::{Network, Sources};
use carillon_load::transport::Transport;
use ims_aka::{Key, Opc};
use std::net::SocketAddr;
use std::time::Duration;

const PCSCF: ([u8; 4], u16) = ([127, 0, 0, 10], 5060);

fn generator() -> Generator {
    generator_over(Transport::Udp)
}

fn generator_over(transport: Transport) -> Generator {
    let card = Card { k: Key::new([7; 16]), opc: Opc(Key::new([9; 16])) };
    let ue =
        |name: &str| Subscriber { impi: name.to_owned(), impu: format!("sip:{name}"), card: card.clone() };
    let population = Population::new([ue("a@home.net"), ue("b@home.net")]);
    let network = Network::parse("127.64.0.0/10").expect("a network");
    let setup = Setup { transport, ..Setup::new(SocketAddr::from(PCSCF), "home.net") };
    Generator::new(setup, Sources::new(network, vec![5060]), population, Entropy::seeded(1))
}

fn at(millis: u64) -> Instant {
    Instant::START + Duration::from_millis(millis)
}

fn sent(generator: &mut Generator) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(outgoing) = generator.outbox.front() {
        all.push(String::from_utf8(outgoing.bytes.to_vec()).expect("SIP text"));
        generator.outbox.pop();
    }
    all
}

/// A response to a request of ours, as a P-CSCF that adds nothing would send it.
fn answer(status: &str, request: &str, more: &str) -> String {
    let kept = ["Via", "From", "To", "Call-ID", "CSeq"];
    let lines = request.lines().filter(|line| kept.iter().any(|name| line.starts_with(&format!("{name}:"))));
    format!("SIP/2.0 {status}\r\n{}\r\n{more}\r\n", lines.collect::<Vec<_>>().join("\r\n"))
}

/// RFC 3261 §17.1.2.2: T1 doubles up to T2, and 64·T1 is the end.
#[test]
fn a_register_without_an_answer_is_sent_eleven_times_and_times_out() {
    let mut generator = generator();
    generator.start(at(0), Scenario::Register, at(0), true);
    let first = sent(&mut generator).remove(0);
    let mut times = Vec::new();
    while let Some(wake) = generator.next_wake() {
        generator.tick(wake);
        for again in sent(&mut generator) {
            assert_eq!(again, first, "the same bytes");
            times.push(wake.since(at(0)).as_millis());
        }
    }
    assert_eq!(times, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    assert_eq!(generator.measures.retransmissions_sent, 10);
    let causes: Vec<_> = generator.measures.causes.keys().map(ToString::to_string).collect();
    assert_eq!(causes, ["REGISTER timeout"]);
    assert_eq!((generator.in_flight(), generator.population.absent()), (0, 2), "it may try again");
}

/// RFC 3261 §17.1.2.2: Timer E is for unreliable transports, Timer F for all.
#[test]
fn over_a_connection_a_register_is_sent_once_and_times_out_no_later() {
    let mut generator = generator_over(Transport::Tcp);
    generator.start(at(0), Scenario::Register, at(0), true);
    let register = sent(&mut generator).remove(0);
    assert!(register.contains("\r\nVia: SIP/2.0/TCP 127.64.0.1:5060;rport;branch="), "{register}");
    assert!(register.contains("\r\nContact: <sip:127.64.0.1:5060;transport=tcp>;"), "{register}");
    let wake = generator.next_wake().expect("Timer F");
    generator.tick(wake);
    assert_eq!((wake, sent(&mut generator).len()), (at(32_000), 0));
    let causes: Vec<_> = generator.measures.causes.keys().map(ToString::to_string).collect();
    assert_eq!((causes, generator.measures.retransmissions_sent), (vec!["REGISTER timeout".to_owned()], 0));
}

#[test]
fn latency_counts_from_the_time_of_arrival_and_not_from_the_sending() {
    let mut generator = generator();
    generator.start(at(300), Scenario::Register, at(100), true);
    let request = sent(&mut generator).remove(0);
    generator.receive(at(400), SocketAddr::from(PCSCF), answer("200 OK", &request, "").as_bytes());
    let latency = generator.measures.latency.max_us();
    assert!((299_000..=301_000).contains(&latency), "{latency}");
    assert!(generator.measures.lag.max_us() >= 199_000);
}

#[test]
fn a_second_answer_belongs_to_nothing_and_does_not_count_twice() {
    let mut generator = generator();
    generator.start(at(0), Scenario::Register, at(0), true);
    let request = sent(&mut generator).remove(0);
    let refused = answer("403 Forbidden", &request, "");
    for _ in 0..2 {
        generator.receive(at(5), SocketAddr::from(PCSCF), refused.as_bytes());
    }
    assert_eq!((generator.measures.total().failed, generator.strays), (1, 1));
}

#[test]
fn a_challenge_that_is_not_genuine_fails_and_is_not_answered() {
    let mut generator = generator();
    generator.start(at(0), Scenario::Register, at(0), true);
    let request = sent(&mut generator).remove(0);
    let challenge = "WWW-Authenticate: Digest realm=\"home.net\",nonce=\"AAAA\",algorithm=AKAv1-MD5\r\n";
    let challenged = answer("401 Unauthorized", &request, challenge);
    generator.receive(at(5), SocketAddr::from(PCSCF), challenged.as_bytes());
    assert!(sent(&mut generator).is_empty());
    let causes: Vec<_> = generator.measures.causes.keys().map(ToString::to_string).collect();
    assert_eq!(causes, ["challenge without RAND and AUTN"]);
}

#[test]
fn an_arrival_without_a_free_ue_is_dropped_by_us_and_never_a_failure_of_the_core() {
    let mut generator = generator();
    generator.start(at(0), Scenario::Call, at(0), true);
    assert_eq!((generator.measures.dropped, generator.measures.total().attempted), (1, 0));
}
