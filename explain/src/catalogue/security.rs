//! Between the UE and the P-CSCF: the agreement of RFC 3329 and the associations of TS 33.203.

use crate::cause::{Cause, Sign, Verdict, concerns};
use crate::scene::Scene;
use crate::story::{Kind, Outcome, Story};

const REGISTRATIONS: &[Kind] = &[Kind::Registration, Kind::Deregistration];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "icv-mismatch",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "What {who} sent through its security association was dropped: its ICV is wrong ({detail}), so that the two ends have other keys.",
        clause: "RFC 4303 §3.4.4, TS 33.203 §7.1",
        fix: "CK and IK of both ends come from the same challenge: look for a second challenge in between, and for a device on the way that changes packets.",
        signs: &[Sign::Shows(|story, scene| dropped(story, scene, "bad ICV"))],
    },
    Cause {
        name: "spi-mismatch",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "What {who} sent through its security association was dropped: no association has its SPI ({detail}).",
        clause: "RFC 4303 §3.4.2, TS 33.203 §7.2",
        fix: "The UE writes spi-s or spi-c of another Security-Server, or uses associations that have ended: compare with `ims sa list`.",
        signs: &[Sign::Shows(|story, scene| dropped(story, scene, "unknown SPI"))],
    },
    Cause {
        name: "esp-other-source",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "What {who} sent through its security association came from another address than the one that it agreed from: a NAT lies between ({detail}).",
        clause: "TS 33.203 Annex M",
        fix: "Set `ipsec.nat_port` and let the UE offer `mod=UDP-enc-tun`, or take the NAT out of the way.",
        signs: &[Sign::Shows(|story, scene| dropped(story, scene, "other source"))],
    },
    Cause {
        name: "esp-other-ports",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "What {who} sent through its security association was not between the ports that were agreed on ({detail}).",
        clause: "TS 33.203 §7.1",
        fix: "The UE sends from port-c to port-s of Security-Server; compare with `ims sa list`.",
        signs: &[Sign::Shows(|story, scene| dropped(story, scene, "other ports inside"))],
    },
    Cause {
        name: "no-security-client",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} offered no security association (no Security-Client), and the P-CSCF takes none without.",
        clause: "RFC 3329 §2.3.1, TS 24.229 §5.2.2",
        fix: "Let the UE use IPsec (sec-agree), or set `ipsec.policy = \"optional\"`.",
        signs: &[Sign::Warned(&["REGISTER without Security-Client"]), Sign::Refused(&[421])],
    },
    Cause {
        name: "no-common-algorithms",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "Nothing that {who} offers in Security-Client is allowed by the P-CSCF.",
        clause: "RFC 3329 §2.3.1, TS 33.203 Annex H",
        fix: "Compare alg and ealg of Security-Client with Security-Server of the 494; `ipsec.profile = \"permissive\"` allows what phones in the field have.",
        signs: &[Sign::Warned(&[
            "no common algorithms in Security-Client",
            "Security-Client cannot be used",
        ])],
    },
    Cause {
        name: "no-security-verify",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{who} did not return the list of the P-CSCF (no Security-Verify), which proves that nobody altered it.",
        clause: "RFC 3329 §2.3.1, TS 24.229 §5.1.1.5.1",
        fix: "It is a fault of the UE: each protected REGISTER repeats Security-Server as Security-Verify.",
        signs: &[Sign::Warned(&["no Security-Verify"])],
    },
    Cause {
        name: "security-verify-altered",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "Security-Verify of {who} is not the Security-Server that it was sent: somebody on the way altered the list, or the UE did.",
        clause: "RFC 3329 §2.3.1, TS 33.203 §7.2",
        fix: "Compare both headers in the messages below; an ALG or a proxy between UE and P-CSCF must leave them alone.",
        signs: &[Sign::Warned(&["Security-Verify differs from our Security-Server"])],
    },
    Cause {
        name: "security-client-changed",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} answered its challenge with another Security-Client than the one that it was challenged for.",
        clause: "TS 33.203 §7.2",
        fix: "It is a fault of the UE, or an attempt to bid it down: both REGISTERs must have the same Security-Client.",
        signs: &[Sign::Warned(&["Security-Client differs from the one that was challenged"])],
    },
    Cause {
        name: "protected-port-taken",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} offers a protected port that another user of its address has.",
        clause: "TS 33.203 §7.1",
        fix: "Two users of one address need ports of their own; see `ims sa list` for who has it.",
        signs: &[Sign::Warned(&["protected port is in use by another user of this address"])],
    },
    Cause {
        name: "other-users-association",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} used the security association of another user.",
        clause: "TS 33.203 §7.1",
        fix: "It is a fault of the UE: a private identity registers through associations of its own.",
        signs: &[Sign::Warned(&[
            "private identity of another security association",
            "private identity of another TLS connection",
            "contact not registered over these associations",
        ])],
    },
    Cause {
        name: "wrong-port",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{who} sent its {story} outside of its security association, from or to a port that is not protected.",
        clause: "TS 24.229 §5.2.6.3, TS 33.203 §7.1",
        fix: "The UE sends to port-s of Security-Server, through the association; a proxy setting or an ALG may send it to 5060 instead.",
        signs: &[Sign::Warned(&[
            "outside the security association",
            "emergency request outside of a security association",
        ])],
    },
    Cause {
        name: "association-expired",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The security association of {who} had ended when its {story} came.",
        clause: "TS 33.203 §7.4",
        fix: "The UE registers anew from nothing. An association lives as long as the registration and the time for one more refresh: compare expiries and clocks.",
        signs: &[Sign::Warned(&["security association has ended", "no security association to the UE"])],
    },
    Cause {
        name: "association-not-installed",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The P-CSCF could not set up security associations with {who}.",
        clause: "TS 33.203 §7.1",
        fix: "The log of the P-CSCF has the reason: the kernel's ESP takes CAP_NET_ADMIN, that of the process CAP_NET_RAW.",
        signs: &[Sign::Warned(&[
            "security associations could not be installed",
            "no protected client port is left",
            "too many security associations",
        ])],
    },
];

/// Packets that were dropped while a story went on that did not go well.
fn dropped(story: &Story, scene: &Scene, cause: &str) -> Vec<usize> {
    if story.outcome == Outcome::Success {
        return Vec::new();
    }
    let events = scene.events();
    let is_drop = |at: &usize| {
        let event = &events[*at];
        event.fact().is_some_and(|fact| fact.name == "esp_refused" && fact.cause == cause)
            && concerns(event, story, events)
    };
    let mut drops: Vec<usize> = story.events.iter().copied().filter(is_drop).collect();
    if drops.is_empty() {
        return drops;
    }
    let protected = story.sips(events).filter(|(at, sip)| sip.is_request() && events[*at].is_protected);
    drops.extend(protected.map(|(at, _)| at).take(2));
    drops
}
