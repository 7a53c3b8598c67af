//! The list of what is measured.

use crate::codec::{self, Kind};
use crate::criteria::{self, Content};
use crate::{cx, esp, icscf, pcscf, scscf};

/// Does what a case measures once. Making it does the rest: a registered user, an open call.
pub type Round = Box<dyn FnMut()>;

/// One row of the table.
pub struct Case {
    /// What a round does.
    pub name: &'static str,
    /// Names it on the command line.
    pub key: &'static str,
    /// Prepares it.
    pub make: fn() -> Round,
    /// Rounds until every pool and table has the size that it keeps.
    pub warm_up: u32,
}

/// A round takes 10 ms of virtual time, and the longest transaction, 64*T1 towards a UE, 128 s: after so many rounds as
/// many end as begin.
const STEADY: u32 = 14_000;
const FEW: u32 = 200;

/// Every case, in the order of the table.
pub const ALL: &[Case] = &[
    Case {
        key: "parse-invite",
        name: "parse, INVITE of 2.4 kB",
        make: || codec::parse(Kind::Invite),
        warm_up: FEW,
    },
    Case {
        key: "parse-register",
        name: "parse, REGISTER",
        make: || codec::parse(Kind::Register),
        warm_up: FEW,
    },
    Case { key: "parse-ok", name: "parse, 200 to INVITE", make: || codec::parse(Kind::Ok), warm_up: FEW },
    Case {
        key: "check-invite",
        name: "check, INVITE of 2.4 kB",
        make: || codec::check(Kind::Invite),
        warm_up: FEW,
    },
    Case {
        key: "check-register",
        name: "check, REGISTER",
        make: || codec::check(Kind::Register),
        warm_up: FEW,
    },
    Case { key: "check-ok", name: "check, 200 to INVITE", make: || codec::check(Kind::Ok), warm_up: FEW },
    Case {
        key: "hop-invite",
        name: "parse, check, edit and render, INVITE of 2.4 kB",
        make: codec::hop,
        warm_up: FEW,
    },
    Case {
        key: "p-ack",
        name: "P-CSCF: ACK within a dialog, from the UE",
        make: || pcscf::from_ue("ACK"),
        warm_up: STEADY,
    },
    Case {
        key: "p-info",
        name: "P-CSCF: INFO and 200 within a dialog, from the UE",
        make: || pcscf::from_ue("INFO"),
        warm_up: STEADY,
    },
    Case {
        key: "p-info-to",
        name: "P-CSCF: INFO and 200 within a dialog, to the UE",
        make: pcscf::to_ue,
        warm_up: STEADY,
    },
    Case {
        key: "s-ack",
        name: "S-CSCF: ACK within a dialog",
        make: || scscf::within("ACK"),
        warm_up: STEADY,
    },
    Case {
        key: "s-ack-recorded",
        name: "S-CSCF: ACK within a dialog, recorded",
        make: || scscf::recorded("ACK"),
        warm_up: STEADY,
    },
    Case {
        key: "s-info-recorded",
        name: "S-CSCF: INFO and 200 within a dialog, recorded",
        make: || scscf::recorded("INFO"),
        warm_up: STEADY,
    },
    Case {
        key: "s-info",
        name: "S-CSCF: INFO and 200 within a dialog",
        make: || scscf::within("INFO"),
        warm_up: STEADY,
    },
    Case {
        key: "p-invite",
        name: "P-CSCF: initial INVITE, 100 and 200",
        make: pcscf::invite,
        warm_up: STEADY,
    },
    Case {
        key: "s-invite",
        name: "S-CSCF: initial INVITE of its user, 100 and 200",
        make: scscf::originating,
        warm_up: STEADY,
    },
    Case {
        key: "i-invite",
        name: "I-CSCF: initial INVITE, 100, LIR/LIA and 200",
        make: icscf::invite,
        warm_up: STEADY,
    },
    Case {
        key: "s-invite-to",
        name: "S-CSCF: initial INVITE to its user, 100 and 200",
        make: scscf::terminating,
        warm_up: STEADY,
    },
    Case {
        key: "p-register",
        name: "P-CSCF: REGISTER again, 200, stored",
        make: pcscf::register,
        warm_up: STEADY,
    },
    Case {
        key: "i-register",
        name: "I-CSCF: REGISTER, UAR/UAA and 200",
        make: icscf::register,
        warm_up: STEADY,
    },
    Case {
        key: "s-challenge",
        name: "S-CSCF: REGISTER, MAR/MAA and 401",
        make: scscf::challenge,
        warm_up: STEADY,
    },
    Case {
        key: "s-register",
        name: "S-CSCF: protected REGISTER again, 200, stored",
        make: scscf::register,
        warm_up: STEADY,
    },
    Case {
        key: "ifc-plain",
        name: "filter criteria: 20 with 60 triggers, no expressions",
        make: || criteria::evaluate(Content::Plain),
        warm_up: FEW,
    },
    Case {
        key: "ifc",
        name: "filter criteria: the same, 5 of them expressions",
        make: || criteria::evaluate(Content::Expressions),
        warm_up: FEW,
    },
    Case {
        key: "ifc-worst",
        name: "filter criteria: an expression on 40 kB",
        make: criteria::worst,
        warm_up: FEW,
    },
    Case { key: "cx-mar", name: "Cx: encode a MAR", make: cx::encode_mar, warm_up: FEW },
    Case { key: "cx-maa", name: "Cx: decode a MAA", make: cx::decode_maa, warm_up: FEW },
    Case {
        key: "cx-saa-encode",
        name: "Cx: encode a SAA with a profile",
        make: cx::encode_saa,
        warm_up: FEW,
    },
    Case { key: "cx-saa", name: "Cx: decode a SAA with a profile", make: cx::decode_saa, warm_up: FEW },
    Case { key: "esp-gcm", name: "ESP: seal and open 1,200 octets, AES-GCM", make: esp::gcm, warm_up: FEW },
    Case {
        key: "esp-sha1-cbc",
        name: "ESP: the same, HMAC-SHA-1 and AES-CBC",
        make: esp::sha1_cbc,
        warm_up: FEW,
    },
    Case { key: "esp-md5", name: "ESP: the same, HMAC-MD5 alone", make: esp::md5, warm_up: FEW },
];

/// The case of this key.
pub fn by_key(key: &str) -> Option<&'static Case> {
    ALL.iter().find(|case| case.key == key)
}
