//! Calls for help.

use crate::cause::{Cause, Sign, Verdict};
use crate::story::Kind;

const CALLS: &[Kind] = &[Kind::Call, Kind::Text];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "emergency-register-first",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "{who} called for help without being registered, and this network serves those of registered UEs alone.",
        clause: "TS 24.229 §5.2.10.2",
        fix: "The UE registers for emergencies and calls again; `pcscf.emergency = \"anyone\"` takes the call as it is.",
        signs: &[Sign::Warned(&["emergency request of a UE that is not registered"])],
    },
    Cause {
        name: "emergency-elsewhere",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "{who} called for help, and this network does not serve such calls: it told the UE to go another way ({status}).",
        clause: "TS 24.229 §5.2.10.1",
        fix: "Configure an E-CSCF (`[ecscf]` or `pcscf.ecscf`), where the UE is not meant to use circuit-switched access.",
        signs: &[Sign::Warned(&["emergency services are not supported"]), Sign::Refused(&[380])],
    },
    Cause {
        name: "no-psap",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "No PSAP serves the place and the service that {who} called for.",
        clause: "TS 24.229 §5.11.2, TS 23.167 §6.2.2",
        fix: "Give `ecscf.psap` one for `urn:service:sos` without an area: it takes what no other one takes.",
        signs: &[Sign::Warned(&[
            "no PSAP serves this place and service",
            "Request-URI names no emergency service",
        ])],
    },
    Cause {
        name: "psap-silent",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "No PSAP answers the call for help of {who}.",
        clause: "TS 24.229 §5.11.2",
        fix: "Check `ecscf.psap` and the way there; add a second one that is tried then.",
        signs: &[Sign::Warned(&["no PSAP answers"])],
    },
];
