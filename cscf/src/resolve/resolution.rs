//! The DNS procedure of RFC 3263 §4.1 and §4.2 for one name, one question at a time.
//!
//! NAPTR chooses transport and SRV name, SRV chooses host and port (RFC 2782), addresses end it. What is missing on the
//! way falls back as the RFC says. The driver only carries questions and record sets.

use super::{Lookup, default_transport};
use crate::flow::{Hop, Transport};
use crate::query::Unresolved;
use ambient::Entropy;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// A question for a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The NAPTR records of a name.
    Naptr(String),
    /// The SRV records of a name.
    Srv(String),
    /// The A and AAAA records of a name, in the order in which the host prefers them.
    Address(String),
}

/// What a name server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// To [`Question::Naptr`]; empty when there are none.
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`]; empty when there are none.
    Srv(Vec<Srv>),
    /// To [`Question::Address`]; empty when there are none.
    Addresses(Vec<IpAddr>),
    /// No answer in time, or a failure of the server.
    Unreachable,
}

/// A NAPTR record (RFC 3403 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower first.
    pub order: u16,
    /// Lower first, within an order.
    pub preference: u16,
    /// `S` for a replacement that has SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T` and others.
    pub services: String,
    /// How a text becomes another one (RFC 3402 §3.2), where there is no replacement; of ENUM (RFC 6116).
    pub regexp: String,
    /// The next name.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// The share within a priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` when the service is decidedly not there.
    pub target: String,
}

/// What a resolution needs, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this, and hand the records to [`Resolution::answered`].
    Ask(Question),
    /// The hops in the order in which to try them; never empty when `Ok`.
    Done(Result<Vec<Hop>, Unresolved>),
}

/// The procedure for one [`Lookup`].
#[derive(Debug)]
pub struct Resolution {
    lookup: Lookup,
    entropy: Entropy,
    /// SRV names yet to ask, best first, with the transport that each stands for.
    services: VecDeque<(Transport, String)>,
    /// Hosts yet to ask, best first.
    hosts: VecDeque<(Transport, String, u16)>,
    hops: Vec<Hop>,
    /// The question that is out.
    asked: Option<Question>,
    /// Whether a name server failed to answer on the way.
    unreachable: bool,
    /// Whether any SRV record named a host, or the fall-back to the bare name was taken.
    host_known: bool,
    questions: usize,
}

impl Resolution {
    /// The procedure for `lookup`, whose weights are drawn from `entropy`.
    pub fn new(lookup: Lookup, entropy: Entropy) -> Resolution {
        Resolution {
            lookup,
            entropy,
            services: VecDeque::new(),
            hosts: VecDeque::new(),
            hops: Vec::new(),
            asked: None,
            unreachable: false,
            host_known: false,
            questions: 0,
        }
    }

    /// The first step.
    pub fn start(&mut self) -> Step {
        let name = self.lookup.name.clone();
        match (self.lookup.port, self.lookup.transport) {
            // §4.2: with a port, only the addresses are left to find; §4.1: the transport is the URI's, else UDP.
            (Some(port), transport) => {
                let Some(transport) = transport.or(default_transport(&self.lookup.have)) else {
                    return Step::Done(Err(Unresolved::NoTransport(name)));
                };
                self.host_known = true;
                self.hosts.push_back((transport, name, port));
                self.next()
            }
            (None, Some(transport)) => {
                self.services.push_back((transport, service_name(transport, &name)));
                self.next()
            }
            (None, None) => self.ask(Question::Naptr(name)),
        }
    }

    /// The step after the records of the question that is out.
    pub fn answered(&mut self, records: Records) -> Step {
        match (self.asked.take(), records) {
            (Some(Question::Naptr(_)), Records::Naptr(records)) => self.naptr(records),
            (Some(Question::Naptr(_)), _) => {
                self.unreachable = true;
                self.naptr(Vec::new());
            }
            (Some(Question::Srv(_)), Records::Srv(records)) => self.srv(records),
            (Some(Question::Srv(_)), _) => {
                self.unreachable = true;
                self.services.pop_front();
            }
            (Some(Question::Address(_)), Records::Addresses(addresses)) => self.addresses(&addresses),
            (Some(Question::Address(_)), _) => {
                self.unreachable = true;
                self.hosts.pop_front();
            }
            (None, _) => {}
        }
        self.next()
    }

    fn next(&mut self) -> Step {
        if self.questions < QUESTIONS_MAX && self.hops.len() < HOPS_MAX {
            if let Some((_, host, _)) = self.hosts.front() {
                return self.ask(Question::Address(host.clone()));
            }
            if let Some((_, service)) = self.services.front() {
                return self.ask(Question::Srv(service.clone()));
            }
            // §4.1 and §4.2: without any SRV record, the addresses of the name itself and the default port.
            if !self.host_known
                && let Some(transport) = self.lookup.transport.or(default_transport(&self.lookup.have))
            {
                self.host_known = true;
                self.hosts.push_back((transport, self.lookup.name.clone(), transport.default_port()));
                return self.ask(Question::Address(self.lookup.name.clone()));
            }
        }
        if !self.hops.is_empty() {
            return Step::Done(Ok(std::mem::take(&mut self.hops)));
        }
        let name = self.lookup.name.clone();
        Step::Done(Err(match self.unreachable {
            true => Unresolved::Unreachable(name),
            false => Unresolved::NoRecord(name),
        }))
    }

    fn ask(&mut self, question: Question) -> Step {
        self.questions += 1;
        self.asked = Some(question.clone());
        Step::Ask(question)
    }

    /// §4.1: records of services that this node has, by order, then preference; else the SRV names of its transports.
    fn naptr(&mut self, mut records: Vec<Naptr>) {
        records.sort_by_key(|record| (record.order, record.preference));
        for record in records {
            let transport = match record.services.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => continue,
            };
            if self.lookup.have.contains(&transport) && record.flags.eq_ignore_ascii_case("s") {
                self.services.push_back((transport, record.replacement));
            }
        }
        if self.services.is_empty() {
            let name = &self.lookup.name;
            self.services.extend(
                self.lookup.have.iter().map(|transport| (*transport, service_name(*transport, name))),
            );
        }
    }

    fn srv(&mut self, records: Vec<Srv>) {
        let Some((transport, _)) = self.services.pop_front() else {
            return;
        };
        self.host_known |= !records.is_empty();
        for record in weighed(records, &mut self.entropy) {
            // RFC 2782: a target of "." says that the service is not available at this domain.
            if record.target != "." && !record.target.is_empty() && self.hosts.len() < HOPS_MAX {
                self.hosts.push_back((transport, record.target, record.port));
            }
        }
    }

    fn addresses(&mut self, addresses: &[IpAddr]) {
        let Some((transport, _, port)) = self.hosts.pop_front() else {
            return;
        };
        for address in addresses {
            let hop = Hop { transport, remote: SocketAddr::new(*address, port) };
            if !self.hops.contains(&hop) && self.hops.len() < HOPS_MAX {
                self.hops.push(hop);
            }
        }
    }
}

/// `_sip._udp.example.org`, `_sips._tcp.example.org` (RFC 3263 §4.1).
fn service_name(transport: Transport, name: &str) -> String {
    match transport {
        Transport::Udp | Transport::Tcp => format!("_sip._{}.{name}", transport.uri_token()),
        Transport::Tls => format!("_sips._tcp.{name}"),
    }
}

/// The records by priority, and within one by lot with the given weights (RFC 2782, "Weight").
fn weighed(mut records: Vec<Srv>, entropy: &mut Entropy) -> Vec<Srv> {
    // Records of weight 0 stand first in their priority, so that they have a small chance too.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records.iter().take_while(|record| record.priority == priority).count();
        let total: u64 = records[..group].iter().map(|record| u64::from(record.weight)).sum();
        let lot = entropy.below(total + 1);
        let mut sum = 0;
        let drawn = records[..group].iter().position(|record| {
            sum += u64::from(record.weight);
            sum >= lot
        });
        ordered.push(records.remove(drawn.unwrap_or(0)));
    }
    ordered
}

/// Questions for one lookup: a hostile zone costs no more than this.
const QUESTIONS_MAX: usize = 16;
/// Hops and hosts kept of one lookup: nobody waits for the ninth to fail.
const HOPS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

    /// A zone: each line is a question and its records.
    fn zone(question: &Question) -> Records {
        let naptr = |order, preference, services: &str, replacement: &str| Naptr {
            order,
            preference,
            flags: "s".into(),
            services: services.into(),
            regexp: String::new(),
            replacement: replacement.into(),
        };
        let srv =
            |priority, weight, port, target: &str| Srv { priority, weight, port, target: target.into() };
        match question {
            Question::Naptr(name) => Records::Naptr(match name.as_str() {
                "example.org" => vec![
                    naptr(90, 50, "SIP+D2U", "_sip._udp.example.org"),
                    naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.org"),
                    naptr(90, 20, "SIP+D2T", "_sip._tcp.example.org"),
                ],
                _ => vec![],
            }),
            Question::Srv(name) => Records::Srv(match name.as_str() {
                "_sip._tcp.example.org" => {
                    vec![srv(1, 0, 5060, "b.example.org"), srv(0, 1, 5070, "a.example.org")]
                }
                "_sip._udp.example.org" => vec![srv(0, 1, 5061, "a.example.org")],
                "_sips._tcp.example.org" => vec![srv(0, 1, 5071, "b.example.org")],
                "_sip._tcp.srv-only.example" => vec![srv(0, 0, 5090, "b.example.org")],
                "_sip._udp.closed.example" => vec![srv(0, 0, 5060, ".")],
                "_sip._udp.dangling.example" => vec![srv(0, 0, 5060, "nowhere.example")],
                "_sip._udp.sick.example" | "_sip._tcp.sick.example" => return Records::Unreachable,
                _ => vec![],
            }),
            Question::Address(name) => Records::Addresses(match name.as_str() {
                "a.example.org" => vec!["2001:db8::a".parse().unwrap(), "192.0.2.1".parse().unwrap()],
                "b.example.org" | "bare.example" => vec!["192.0.2.2".parse().unwrap()],
                "sick.example" => return Records::Unreachable,
                _ => vec![],
            }),
        }
    }

    fn run(name: &str, port: Option<u16>, transport: Option<Transport>, have: &[Transport]) -> String {
        let lookup = Lookup { name: name.into(), port, transport, have: have.into() };
        let mut resolution = Resolution::new(lookup, Entropy::seeded(1));
        let mut step = resolution.start();
        loop {
            match step {
                Step::Ask(question) => step = resolution.answered(zone(&question)),
                Step::Done(Ok(hops)) => {
                    return hops.iter().map(Hop::to_string).collect::<Vec<_>>().join(" ");
                }
                Step::Done(Err(why)) => return why.to_string(),
            }
        }
    }

    #[test]
    fn naptr_then_srv_then_addresses_in_their_order() {
        assert_eq!(
            run("example.org", None, None, &BOTH),
            "tcp:[2001:db8::a]:5070 tcp:192.0.2.1:5070 tcp:192.0.2.2:5060 udp:[2001:db8::a]:5061 udp:192.0.2.1:5061"
        );
    }

    #[test]
    fn a_record_of_a_transport_that_the_node_lacks_is_passed_over() {
        assert_eq!(
            run("example.org", None, None, &[Transport::Udp]),
            "udp:[2001:db8::a]:5061 udp:192.0.2.1:5061"
        );
    }

    #[test]
    fn each_fall_back_of_rfc_3263() {
        for (name, port, transport, expected) in [
            // A port: addresses alone, UDP unless the URI says otherwise.
            ("a.example.org", Some(5099), None, "udp:[2001:db8::a]:5099 udp:192.0.2.1:5099"),
            ("bare.example", Some(5099), Some(Transport::Tcp), "tcp:192.0.2.2:5099"),
            // A transport: its SRV name, without NAPTR.
            ("example.org", None, Some(Transport::Udp), "udp:[2001:db8::a]:5061 udp:192.0.2.1:5061"),
            // A transport without SRV: addresses, default port, that transport.
            ("bare.example", None, Some(Transport::Tcp), "tcp:192.0.2.2:5060"),
            // What is secure has SRV names and a port of its own.
            ("example.org", None, Some(Transport::Tls), "tls:192.0.2.2:5071"),
            ("bare.example", None, Some(Transport::Tls), "tls:192.0.2.2:5061"),
            // No NAPTR: the SRV names of our own transports.
            ("srv-only.example", None, None, "tcp:192.0.2.2:5090"),
            // Neither: UDP to the addresses.
            ("bare.example", None, None, "udp:192.0.2.2:5060"),
            ("missing.example", None, None, "no usable DNS record for missing.example"),
            ("dangling.example", None, None, "no usable DNS record for dangling.example"),
            ("sick.example", None, None, "no DNS answer for sick.example"),
            ("sick.example", Some(5060), None, "no DNS answer for sick.example"),
        ] {
            assert_eq!(run(name, port, transport, &BOTH), expected, "{name} {port:?} {transport:?}");
        }
    }

    #[test]
    fn a_service_that_is_decidedly_absent_is_not_asked_for_addresses() {
        assert_eq!(
            run("closed.example", None, Some(Transport::Udp), &BOTH),
            "no usable DNS record for closed.example"
        );
    }

    #[test]
    fn weights_share_the_load_and_zero_is_seldom_first() {
        let records = |a, b| {
            vec![
                Srv { priority: 0, weight: a, port: 1, target: "a".into() },
                Srv { priority: 0, weight: b, port: 2, target: "b".into() },
            ]
        };
        let mut entropy = Entropy::seeded(3);
        let firsts = |a, b, entropy: &mut Entropy| {
            (0..1000).filter(|_| weighed(records(a, b), entropy)[0].port == 1).count()
        };
        assert!((700..800).contains(&firsts(75, 25, &mut entropy)));
        assert!((0..60).contains(&firsts(0, 99, &mut entropy)));
        assert_eq!(weighed(records(65535, 65535), &mut entropy).len(), 2);
    }

    #[test]
    fn a_hostile_zone_ends() {
        let lookup = Lookup {
            name: "evil.example".into(),
            port: None,
            transport: None,
            have: smallvec![Transport::Udp],
        };
        let mut resolution = Resolution::new(lookup, Entropy::seeded(1));
        let mut step = resolution.start();
        let mut questions = 0;
        while let Step::Ask(question) = step {
            questions += 1;
            step = resolution.answered(match question {
                Question::Naptr(_) => Records::Naptr(
                    (0..1000)
                        .map(|n| Naptr {
                            order: n,
                            preference: n,
                            flags: "S".into(),
                            services: "sip+d2u".into(),
                            regexp: String::new(),
                            replacement: format!("_{n}.evil.example"),
                        })
                        .collect(),
                ),
                Question::Srv(_) => Records::Srv(
                    (0..1000)
                        .map(|n| Srv { priority: n, weight: n, port: n, target: format!("{n}.evil.example") })
                        .collect(),
                ),
                Question::Address(_) => Records::Addresses(Vec::new()),
            });
        }
        assert!(questions <= QUESTIONS_MAX, "{questions}");
    }

    #[test]
    fn an_answer_to_another_question_is_a_failure_of_the_server() {
        let lookup =
            Lookup { name: "bare.example".into(), port: Some(1), transport: None, have: BOTH.into() };
        let mut resolution = Resolution::new(lookup, Entropy::seeded(1));
        resolution.start();
        let step = resolution.answered(Records::Srv(Vec::new()));
        assert_eq!(step, Step::Done(Err(Unresolved::Unreachable("bare.example".into()))));
    }
}
