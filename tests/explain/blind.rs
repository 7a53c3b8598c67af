//! Faults that were written by somebody who had not seen the catalogue of causes, from what goes wrong in labs.
//!
//! The name of each is what a good engineer would say of it, and was written down before it ran for the first time.

use crate::setup::{Setup, Who};
use crate::{Fault, Takes};
use carillon_tests::lab::DOMAIN;
use cscf::user_data::{
    ApplicationServer, Condition, DefaultHandling, InitialFilterCriteria, ServicePointTrigger, SessionCase,
    TriggerPoint,
};
use diameter_client::cx::ServerCapabilities;
use sim::Behaviour;
use sip_core::Status;
use std::time::Duration;
use ue::Command;

use Takes::Sockets;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the HSS names an S-CSCF for the subscriber with a wrong port: nothing answers there",
        changed: |setup| {
            let wrong = format!("sip:{}", setup.at(13, 6061));
            setup.subscriber("alice", |alice| {
                alice.server =
                    Some(ServerCapabilities { server_names: vec![wrong], ..ServerCapabilities::default() });
            });
        },
        done: |bench| {
            bench.phone("alice");
            bench.register("alice");
        },
        expected: "hss-names-wrong-scscf",
        takes: Sockets,
    },
    Fault {
        name: "the HSS has the public identity under another private identity: the two do not belong together",
        changed: |setup| {
            let [alice, bob] = [0, 1].map(|n: usize| setup.subscribers()[n].implicit_sets.clone());
            setup.subscriber("alice", |alice| alice.implicit_sets = bob);
            setup.subscriber("bob", |bob| bob.implicit_sets = alice);
        },
        done: |bench| {
            bench.phone("alice");
            bench.register("alice");
        },
        expected: "identities-do-not-match",
        takes: Sockets,
    },
    Fault {
        name: "the caller offers SRTP alone, and the called phone has none: they share no media",
        changed: |_| {},
        done: |bench| {
            bench.registered(&["alice", "bob"]);
            let bob = bench.number("bob");
            bench.call_with("alice", &bob, Some(SRTP_ALONE));
        },
        expected: "no-common-media-profile",
        takes: Sockets,
    },
    Fault {
        name: "the HSS serves the EPC's realm, and the CSCFs ask that of the IMS: realm not served",
        changed: |setup| {
            setup.set_at(Who::Hss, "hss", "realm", "\"epc.mnc001.mcc001.3gppnetwork.org\"");
        },
        done: |bench| {
            bench.phone("alice");
            bench.register("alice");
        },
        expected: "diameter-realm-wrong",
        takes: Sockets,
    },
    Fault {
        name: "the application server refuses the third-party REGISTER, so it serves the user nothing",
        changed: |setup| {
            let server = setup.application_server(Behaviour::Refuse(Status::FORBIDDEN));
            sends_to(setup, "alice", "REGISTER", &server);
        },
        done: |bench| {
            bench.phone("alice");
            bench.register("alice");
            bench.pause(Duration::from_millis(500));
        },
        expected: "third-party-register-refused",
        takes: Sockets,
    },
    Fault {
        name: "bob and carol forward their calls to each other: the call goes round until Max-Forwards is used up",
        changed: |setup| {
            for (name, other) in [("bob", "carol"), ("carol", "bob")] {
                let server = setup.application_server(Behaviour::Divert(format!("sip:{other}@{DOMAIN}")));
                setup.criterion(
                    name,
                    SessionCase::TerminatingRegistered,
                    &server,
                    DefaultHandling::SessionContinued,
                );
            }
        },
        done: |bench| {
            bench.registered(&["alice", "bob", "carol"]);
            let bob = bench.number("bob");
            bench.call("alice", &bob);
        },
        expected: "loop",
        takes: Sockets,
    },
    Fault {
        name: "the criterion sends texts to an SMSC whose name is not in the DNS",
        changed: |setup| {
            setup.empty_dns();
            sends_to(setup, "alice", "MESSAGE", &format!("sip:smsc.{DOMAIN}:7090"));
        },
        done: |bench| {
            bench.registered(&["alice", "bob"]);
            let bob = bench.number("bob");
            bench.message("alice", &bob, "hello");
        },
        expected: "no-dns-record",
        takes: Sockets,
    },
    Fault {
        name: "the phone was given the I-CSCF's address as that of the P-CSCF",
        changed: |_| {},
        done: |bench| {
            let icscf = bench.at(12, 4060);
            bench.phone_with("alice", |ue| ue.pcscf.remote = icscf);
            bench.register("alice");
        },
        expected: "not-by-a-pcscf",
        takes: Sockets,
    },
    Fault {
        name: "the S-CSCF has another country's code, so a national number is completed to one that nobody has",
        changed: |setup| setup.set("scscf", "country_code", "\"1\""),
        done: |bench| {
            bench.registered(&["alice", "bob"]);
            bench.call("alice", "tel:0301000002");
        },
        expected: "number-completed-wrongly",
        takes: Sockets,
    },
    Fault {
        name: "the S-CSCF waits too short a time for the answer to its challenge (reg-await-auth)",
        changed: |setup| setup.set("scscf", "reg_await_auth", "\"1s\""),
        done: |bench| {
            bench.phone_with("alice", |ue| ue.policy.challenge_pause = Duration::from_millis(1800));
            bench.ask("alice", Command::Register, |notice| {
                matches!(notice, ue::Notice::Registered { .. } | ue::Notice::RegistrationFailed(_))
            });
        },
        expected: "challenge-expired",
        takes: Sockets,
    },
];

const SRTP_ALONE: &str = "v=0
o=- 7 7 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 40000 RTP/SAVP 8 0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
";

/// The profile sends what a subscriber begins with a method to a server, and ends what the server does not answer well.
fn sends_to(setup: &mut Setup, name: &str, method: &str, server: &str) {
    let trigger = |condition| ServicePointTrigger {
        is_negated: false,
        groups: vec![0],
        condition,
        registration_types: Vec::new(),
    };
    let triggers = vec![
        trigger(Condition::Method(method.into())),
        trigger(Condition::SessionCase(SessionCase::OriginatingRegistered)),
    ];
    let criterion = InitialFilterCriteria {
        priority: 0,
        trigger_point: Some(TriggerPoint { triggers, ..TriggerPoint::default() }),
        application_server: ApplicationServer {
            server_name: server.to_owned(),
            default_handling: DefaultHandling::SessionTerminated,
            ..ApplicationServer::default()
        },
        profile_part: None,
    };
    setup.subscriber(name, |subscriber| {
        for set in &mut subscriber.implicit_sets {
            for profile in &mut set.service_profiles {
                profile.filter_criteria.push(criterion.clone());
            }
        }
    });
}
