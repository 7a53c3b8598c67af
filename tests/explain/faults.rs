//! The faults: each is what is wrong, what is done then, and the cause that is to be told first.
//!
//! Whoever adds one changes subscriber data, a card, the configuration, the network or a peer by [`Setup`], lets phones do
//! something by [`Bench`], and writes down the cause by its name in `docs/explain.md`.

use crate::bench::Bench;
use crate::setup::{Setup, Who};
use crate::{Fault, Takes};
use cscf::user_data::{CoreNetworkServices, DefaultHandling, SessionCase};
use diameter_client::cx::{CxResult, ReasonCode, ServerCapabilities};
use hss_mock::{Credentials, HssCommand, Permission, Roaming};
use ims_aka::{Hash, Key, Op, Opc};
use ipsec::{Algorithms, Encryption, Integrity};
use sim::Behaviour;
use sip_core::Status;
use std::time::Duration;
use ue::{Command, Password};

use Takes::{RawSockets, Sockets};

fn nothing(_: &mut Setup) {}

fn alice_registers(bench: &mut Bench) {
    bench.phone("alice");
    bench.register("alice");
}

fn alice_calls_bob(bench: &mut Bench) {
    bench.registered(&["alice", "bob"]);
    let bob = bench.number("bob");
    bench.call("alice", &bob);
}

fn alice_with(fault: ue::Fault) -> impl Fn(&mut Bench) {
    move |bench: &mut Bench| {
        bench.phone_with("alice", |ue| ue.policy.fault = Some(fault));
        bench.register("alice");
        bench.pause(Duration::from_millis(600));
    }
}

const fn key(octet: u8) -> [u8; 16] {
    [octet; 16]
}

pub const FAULTS: &[Fault] = &[
    // --- subscriber data ----------------------------------------------------------------------------------------------
    Fault {
        name: "another K in the HSS",
        changed: |setup| {
            setup.subscriber("alice", |alice| {
                if let Credentials::Milenage { k, .. } = &mut alice.private_identities[0].credentials {
                    *k = Key::new(key(99));
                }
            });
        },
        done: alice_registers,
        expected: "wrong-key",
        takes: Sockets,
    },
    Fault {
        name: "another OPc in the HSS",
        changed: |setup| {
            setup.subscriber("alice", |alice| {
                if let Credentials::Milenage { opc, .. } = &mut alice.private_identities[0].credentials {
                    *opc = Opc(Key::new(key(98)));
                }
            });
        },
        done: alice_registers,
        expected: "wrong-key",
        takes: Sockets,
    },
    Fault {
        name: "OP stored as OPc",
        changed: |setup| {
            for name in ["alice", "bob", "carol"] {
                setup.subscriber(name, |subscriber| {
                    if let Credentials::Milenage { opc, .. } =
                        &mut subscriber.private_identities[0].credentials
                    {
                        *opc = Opc(Key::new(key(77)));
                    }
                });
                setup.card(name, |card| {
                    let credentials = &mut card.private_identities[0].credentials;
                    if let Credentials::Milenage { k, .. } = credentials {
                        *credentials = Credentials::milenage_op(k.clone(), &Op(Key::new(key(77))));
                    }
                });
            }
        },
        done: alice_registers,
        expected: "op-as-opc",
        takes: Sockets,
    },
    Fault {
        name: "no such subscriber",
        changed: |setup| setup.without_subscriber("alice"),
        done: alice_registers,
        expected: "unknown-identity",
        takes: Sockets,
    },
    Fault {
        name: "a public identity with two digits exchanged",
        changed: nothing,
        done: |bench| {
            bench.phone_with("alice", |ue| {
                ue.impu = ue.impu.replace("0001@", "0010@").replace("00001@", "00010@")
            });
            bench.register("alice");
        },
        expected: "unknown-identity",
        takes: Sockets,
    },
    Fault {
        name: "the public identity of somebody else",
        changed: nothing,
        done: |bench| {
            let bob = bench.number("bob");
            bench.phone_with("alice", |ue| ue.impu = bob);
            bench.register("alice");
        },
        expected: "identities-do-not-match",
        takes: Sockets,
    },
    Fault {
        name: "a subscriber who may not register",
        changed: |setup| setup.subscriber("alice", |alice| alice.registration = Permission::Denied),
        done: alice_registers,
        expected: "barred-identity",
        takes: Sockets,
    },
    Fault {
        name: "a subscriber who may not roam here",
        changed: |setup| {
            setup.subscriber("alice", |alice| {
                alice.roaming = Roaming::Networks(vec!["elsewhere.example".into()])
            });
        },
        done: alice_registers,
        expected: "roaming-not-allowed",
        takes: Sockets,
    },
    Fault {
        name: "an MNC of three digits on the card",
        changed: nothing,
        done: |bench| {
            bench.phone_with("alice", |ue| {
                let wrong = |text: &str| text.replace("mnc001.", "mnc010.");
                ue.home_domain = wrong(&ue.home_domain);
                ue.impi = wrong(&ue.impi);
                ue.impu = wrong(&ue.impu);
            });
            bench.register("alice");
        },
        expected: "mnc-digits",
        takes: Sockets,
    },
    Fault {
        name: "the domain of the SIM's maker",
        changed: nothing,
        done: |bench| {
            bench.phone_with("alice", |ue| ue.home_domain = "open-ims.test".to_owned());
            bench.register("alice");
        },
        expected: "domain-not-ours",
        takes: Sockets,
    },
    Fault {
        name: "capabilities that no S-CSCF has",
        changed: |setup| {
            setup.subscriber("alice", |alice| {
                alice.server =
                    Some(ServerCapabilities { mandatory: vec![42], ..ServerCapabilities::default() });
            });
        },
        done: alice_registers,
        expected: "no-scscf-with-capabilities",
        takes: Sockets,
    },
    Fault {
        name: "another password in the HSS",
        changed: |setup| {
            setup.subscriber("alice", |alice| {
                let private = &mut alice.private_identities[0];
                private.credentials = Credentials::digest_password(
                    Hash::Md5,
                    &private.impi,
                    carillon_tests::lab::DOMAIN,
                    "the right one",
                );
            });
        },
        done: |bench| {
            bench.phone_with("alice", |ue| {
                ue.credentials = ue::Credentials::Digest(Password::new("another one"));
            });
            bench.register("alice");
        },
        expected: "wrong-password",
        takes: Sockets,
    },
    // --- the HSS ------------------------------------------------------------------------------------------------------
    Fault {
        name: "no HSS",
        changed: |setup| setup.without(Who::Hss),
        done: alice_registers,
        expected: "hss-down",
        takes: Sockets,
    },
    Fault {
        name: "an HSS that never answers",
        changed: Setup::silent_hss,
        done: alice_registers,
        expected: "hss-silent",
        takes: Sockets,
    },
    Fault {
        name: "an HSS that refuses its peers",
        changed: |setup| {
            setup.set_at(Who::Hss, "hss", "accept_unknown_peers", "false");
        },
        done: alice_registers,
        expected: "diameter-peer-refused",
        takes: Sockets,
    },
    Fault {
        name: "an HSS that is too busy",
        changed: nothing,
        done: |bench| {
            bench.hss_refuses("UAR", CxResult::Base(3004));
            alice_registers(bench);
        },
        expected: "hss-overloaded",
        takes: Sockets,
    },
    Fault {
        name: "a realm that is not served",
        changed: nothing,
        done: |bench| {
            bench.hss_refuses("UAR", CxResult::Base(3003));
            alice_registers(bench);
        },
        expected: "diameter-realm-wrong",
        takes: Sockets,
    },
    Fault {
        name: "an HSS that cannot store",
        changed: nothing,
        done: |bench| {
            bench.hss_refuses("SAR", CxResult::Base(5012));
            alice_registers(bench);
        },
        expected: "hss-cannot-comply",
        takes: Sockets,
    },
    Fault {
        name: "a registration that the HSS ends",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice"]);
            bench.hss(HssCommand::Deregister {
                target: "alice".to_owned(),
                reason: ReasonCode::PermanentTermination,
                info: None,
            });
            bench.pause(Duration::from_millis(200));
        },
        expected: "deregistered-by-network",
        takes: Sockets,
    },
    // --- the core -----------------------------------------------------------------------------------------------------
    Fault {
        name: "no P-CSCF",
        changed: |setup| setup.without(Who::Pcscf),
        done: alice_registers,
        expected: "pcscf-silent",
        takes: Sockets,
    },
    Fault {
        name: "no I-CSCF",
        changed: |setup| setup.without(Who::Icscf),
        done: alice_registers,
        expected: "core-silent",
        takes: Sockets,
    },
    Fault {
        name: "no S-CSCF",
        changed: |setup| setup.without(Who::Scscf),
        done: alice_registers,
        expected: "scscf-unavailable",
        takes: Sockets,
    },
    Fault {
        name: "a name that DNS does not have",
        changed: |setup| {
            setup.empty_dns();
            setup.set("pcscf", "icscf", "\"sip:icscf.nowhere.example\"");
        },
        done: alice_registers,
        expected: "no-dns-record",
        takes: Sockets,
    },
    Fault {
        name: "a name server that does not answer",
        changed: |setup| {
            setup.silent_dns();
            setup.set("pcscf", "icscf", "\"sip:icscf.nowhere.example\"");
        },
        done: alice_registers,
        expected: "dns-silent",
        takes: Sockets,
    },
    Fault {
        name: "an I-CSCF that does not trust the P-CSCF",
        changed: |setup| {
            let other = setup.at(98, 5060);
            setup.set_at(Who::Icscf, "pcscf", "listen", &format!("\"{other}\""));
            setup.set_at(Who::Icscf, "pcscf", "host", &format!("\"{}\"", other.ip()));
        },
        done: alice_registers,
        expected: "not-trusted",
        takes: Sockets,
    },
    Fault {
        name: "a disk that is full",
        changed: |setup| setup.broken_store(Who::Scscf),
        done: alice_registers,
        expected: "store-failed",
        takes: Sockets,
    },
    Fault {
        name: "a P-CSCF that has as many as it takes",
        changed: |setup| setup.set("pcscf", "registrations_max", "1"),
        done: |bench| {
            bench.registered(&["bob"]);
            alice_registers(bench);
        },
        expected: "overload",
        takes: Sockets,
    },
    // --- phones -------------------------------------------------------------------------------------------------------
    Fault {
        name: "a phone that drops its challenge",
        changed: nothing,
        done: |bench| alice_with(ue::Fault::IgnoreChallenge)(bench),
        expected: "challenge-unanswered",
        takes: Sockets,
    },
    Fault {
        name: "a phone with another RES",
        changed: nothing,
        done: |bench| alice_with(ue::Fault::WrongRes)(bench),
        expected: "wrong-response",
        takes: Sockets,
    },
    Fault {
        name: "a phone that calls without being registered",
        changed: nothing,
        done: |bench| {
            bench.registered(&["bob"]);
            bench.phone_with("alice", |ue| ue.policy.fault = Some(ue::Fault::Unregistered));
            let bob = bench.number("bob");
            bench.call("alice", &bob);
        },
        expected: "caller-not-registered",
        takes: Sockets,
    },
    Fault {
        name: "a REGISTER without hops left",
        changed: nothing,
        done: |bench| bench.by_hand(&REGISTER.replace("Max-Forwards: 70", "Max-Forwards: 0")),
        expected: "too-many-hops",
        takes: Sockets,
    },
    Fault {
        name: "a REGISTER that requires an unknown extension of proxies",
        changed: nothing,
        done: |bench| {
            bench.by_hand(&REGISTER.replace("Max-Forwards: 70", "Max-Forwards: 70\nProxy-Require: nonesuch"));
        },
        expected: "extension-unsupported",
        takes: Sockets,
    },
    Fault {
        name: "a REGISTER of nobody",
        changed: nothing,
        done: |bench| bench.by_hand(&REGISTER.replace("To: <sip:alice@{domain}>", "To: <mailto:alice>")),
        expected: "malformed",
        takes: Sockets,
    },
    // --- security associations ----------------------------------------------------------------------------------------
    Fault {
        name: "a phone without IPsec where it is required",
        changed: Setup::secured,
        done: |bench| {
            bench.phone_with("alice", |ue| ue.security = None);
            bench.register("alice");
        },
        expected: "no-security-client",
        takes: RawSockets,
    },
    Fault {
        name: "a phone with old algorithms alone",
        changed: |setup| {
            setup.secured();
            setup.set("ipsec", "profile", "\"strict\"");
        },
        done: |bench| {
            bench.phone_with("alice", |ue| {
                if let Some(security) = &mut ue.security {
                    let old = |pair: &Algorithms| {
                        pair.integrity == Integrity::HmacMd5 && pair.encryption == Encryption::DesEde3Cbc
                    };
                    security.pairs.retain(old);
                }
            });
            bench.register("alice");
        },
        expected: "no-common-algorithms",
        takes: RawSockets,
    },
    Fault {
        name: "a phone that leaves Security-Verify out",
        changed: Setup::secured,
        done: |bench| alice_with(ue::Fault::NoSecurityVerify)(bench),
        expected: "no-security-verify",
        takes: RawSockets,
    },
    Fault {
        name: "a Security-Verify that was altered",
        changed: Setup::secured,
        done: |bench| alice_with(ue::Fault::AlteredSecurityVerify)(bench),
        expected: "security-verify-altered",
        takes: RawSockets,
    },
    Fault {
        name: "a phone that offers something else the second time",
        changed: Setup::secured,
        done: |bench| alice_with(ue::Fault::ChangedAlgorithms)(bench),
        expected: "security-client-changed",
        takes: RawSockets,
    },
    Fault {
        name: "a phone with another SPI",
        changed: Setup::secured,
        done: |bench| alice_with(ue::Fault::WrongSpi)(bench),
        expected: "spi-mismatch",
        takes: RawSockets,
    },
    // --- calls --------------------------------------------------------------------------------------------------------
    Fault {
        name: "a number that nobody has",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice"]);
            bench.call("alice", &format!("sip:+4930199999@{}", carillon_tests::lab::DOMAIN));
        },
        expected: "callee-unknown",
        takes: Sockets,
    },
    Fault {
        name: "a phone that is switched off",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice"]);
            let bob = bench.number("bob");
            bench.call("alice", &bob);
        },
        expected: "callee-not-registered",
        takes: Sockets,
    },
    Fault {
        name: "a text to a phone that is switched off",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice"]);
            let bob = bench.number("bob");
            bench.message("alice", &bob, "hello");
        },
        expected: "callee-not-registered",
        takes: Sockets,
    },
    Fault {
        name: "a phone whose battery is empty",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice", "bob"]);
            bench.battery_out("bob");
            let bob = bench.number("bob");
            bench.call("alice", &bob);
        },
        expected: "callee-unreachable",
        takes: Sockets,
    },
    Fault {
        name: "a call with media that the caller has not subscribed to",
        changed: |setup| {
            setup.set("scscf", "media_profile", "[{ id = 1, media = [\"message\"] }]");
            setup.subscriber("alice", |alice| {
                for profile in alice.implicit_sets.iter_mut().flat_map(|set| &mut set.service_profiles) {
                    profile.core_network_services = Some(CoreNetworkServices {
                        subscribed_media_profile_id: Some(1),
                        ..CoreNetworkServices::default()
                    });
                }
            });
        },
        done: alice_calls_bob,
        expected: "media-not-subscribed",
        takes: Sockets,
    },
    Fault {
        name: "no codec in common",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice", "bob"]);
            let bob = bench.number("bob");
            bench.call_with("alice", &bob, Some(OFFER));
        },
        expected: "no-common-codec",
        takes: Sockets,
    },
    Fault {
        name: "a caller that never acknowledges",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice", "bob"]);
            bench.policy("alice", |policy| policy.fault = Some(ue::Fault::NoAck));
            let bob = bench.number("bob");
            bench.call("alice", &bob);
            bench.wait_for("bob", |notice| matches!(notice, ue::Notice::Ended { .. }));
        },
        expected: "no-ack",
        takes: Sockets,
    },
    Fault {
        name: "a short number that nobody serves",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice"]);
            bench.call("alice", "tel:123;phone-context=elsewhere.example");
        },
        expected: "number-not-served",
        takes: Sockets,
    },
    Fault {
        name: "a call for help where none is taken",
        changed: nothing,
        done: |bench| {
            bench.registered(&["alice"]);
            bench.call("alice", "urn:service:sos");
        },
        expected: "emergency-elsewhere",
        takes: Sockets,
    },
    Fault {
        name: "a call for help to a PSAP that is not there",
        changed: |setup| setup.emergency(false),
        done: |bench| {
            bench.registered(&["alice"]);
            bench.call("alice", "urn:service:sos");
        },
        expected: "psap-silent",
        takes: Sockets,
    },
    // --- application servers ------------------------------------------------------------------------------------------
    Fault {
        name: "an application server that is not there",
        changed: |setup| {
            let server = setup.no_application_server();
            setup.criterion(
                "alice",
                SessionCase::OriginatingRegistered,
                &server,
                DefaultHandling::SessionTerminated,
            );
        },
        done: alice_calls_bob,
        expected: "as-down",
        takes: Sockets,
    },
    Fault {
        name: "an application server that says nothing",
        changed: |setup| {
            let server = setup.application_server(Behaviour::Silent);
            setup.criterion(
                "alice",
                SessionCase::OriginatingRegistered,
                &server,
                DefaultHandling::SessionTerminated,
            );
        },
        done: alice_calls_bob,
        expected: "as-silent",
        takes: Sockets,
    },
    Fault {
        name: "an application server that says nothing, and a call that goes on without it",
        changed: |setup| {
            let server = setup.application_server(Behaviour::Silent);
            setup.criterion(
                "bob",
                SessionCase::TerminatingRegistered,
                &server,
                DefaultHandling::SessionContinued,
            );
        },
        done: alice_calls_bob,
        expected: "as-silent",
        takes: Sockets,
    },
    Fault {
        name: "an application server that refuses",
        changed: |setup| {
            let server = setup.application_server(Behaviour::Refuse(Status::FORBIDDEN));
            setup.criterion(
                "alice",
                SessionCase::OriginatingRegistered,
                &server,
                DefaultHandling::SessionTerminated,
            );
        },
        done: alice_calls_bob,
        expected: "as-refused",
        takes: Sockets,
    },
];

/// What a phone would send first, by hand.
const REGISTER: &str = "REGISTER sip:{domain} SIP/2.0
Via: SIP/2.0/UDP {at};branch=z9hG4bKbyhand;rport
Max-Forwards: 70
From: <sip:alice@{domain}>;tag=byhand
To: <sip:alice@{domain}>
Call-ID: byhand@bench
CSeq: 1 REGISTER
Contact: <sip:{at}>;expires=3600
Content-Length: 0

";

/// An offer of a codec that no phone of the bench has.
const OFFER: &str = "v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 40000 RTP/AVP 4
a=rtpmap:4 G723/8000
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_expects_a_cause_that_there_is() {
        for fault in FAULTS {
            assert!(explain::catalogue::causes().any(|cause| cause.name == fault.expected), "{}", fault.name);
        }
        assert!(FAULTS.len() >= 40, "{}", FAULTS.len());
        let _: Command = Command::Register;
    }
}
