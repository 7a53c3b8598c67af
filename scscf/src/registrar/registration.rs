//! What a REGISTER needs next: a challenge, a check, or nothing but its bindings (TS 24.229 §5.4.1.2).
//!
//! Pure: the facts go in, the step comes out, the registrar does it.

use super::integrity::Integrity;
use cscf::Reject;
use sip_core::Status;

/// When a user who is registered is challenged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reauthenticate {
    /// At every REGISTER.
    Always,
    /// At every REGISTER that the P-CSCF does not vouch for.
    Unprotected,
    /// Only while the contact is not known.
    Never,
}

/// Who may answer a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerable {
    /// Only a REGISTER that came over the security associations of that challenge.
    OverGm,
    /// Also one in the clear: for networks whose Gm has no IPsec. The digest still proves who answers; what is lost is
    /// that later requests are tied to the answer.
    InTheClear,
}

/// How a REGISTER relates to the challenge that is out for its private identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenged {
    /// None is out: reg-await-auth does not run.
    Idle,
    /// It has the Call-ID of the 401 and the nonce.
    Same,
    /// One is out, and this REGISTER does not belong to it.
    Other,
}

/// What the Authorization header field holds beside names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// No response, or an empty one.
    Empty,
    /// A response to compare.
    Given,
    /// `auts`: the USIM saw a sequence number out of range.
    Auts,
}

/// The user at the time of the REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No binding of this private identity here.
    Unregistered,
    /// Registered, and every contact of the REGISTER is known.
    Known,
    /// Registered; the REGISTER brings a contact that is not known and has no reg-id.
    NewContact,
    /// Registered; it brings a further flow (RFC 5626).
    NewFlow,
}

/// The facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the P-CSCF vouches for.
    pub integrity: Integrity,
    /// The challenge that is out.
    pub challenged: Challenged,
    /// The answer that it brings.
    pub response: Response,
    /// The user.
    pub standing: Standing,
    /// Whether a digest nonce of ours is still good for this response.
    pub digest_nonce_known: bool,
}

/// The operator's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Of registered users.
    pub reauthenticate: Reauthenticate,
    /// Of challenges.
    pub answerable: Answerable,
    /// Of users whom the P-CSCF vouches for and nobody here knows.
    pub forgotten: Forgotten,
}

/// What becomes of a REGISTER over security associations of a user who is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is refused.
    Refused,
    /// It is taken for one of before our memory was lost, and challenged like a first one (TS 23.380 §4).
    Challenged,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Challenge; a challenge that is out is void.
    Challenge,
    /// Fetch a vector for the sequence number that the USIM reported.
    Resynchronise,
    /// Compare the response.
    Verify,
    /// The USIM did not believe the challenge: an empty response.
    NetworkFailedAuthentication,
    /// Change the bindings without a challenge.
    Update,
}

/// The next step of a REGISTER.
pub fn next(facts: &Facts, policy: Policy) -> Result<Step, Reject> {
    let vouched = facts.integrity.is_protected();
    match (facts.challenged, facts.response) {
        // The answer to our challenge.
        (Challenged::Same, Response::Auts) => return Ok(Step::Resynchronise),
        (Challenged::Same, Response::Empty) => return Ok(Step::NetworkFailedAuthentication),
        (Challenged::Same, Response::Given) if vouched || policy.answerable == Answerable::InTheClear => {
            return Ok(Step::Verify);
        }
        (Challenged::Same, Response::Given) if facts.integrity.is_digest() => return Ok(Step::Verify),
        (Challenged::Same, Response::Given) => return Ok(Step::Challenge),
        // TS 33.203 §6.1.2.3: whoever comes anew while a challenge is out is challenged anew.
        (Challenged::Other, _) if !facts.digest_nonce_known => return Ok(Step::Challenge),
        (Challenged::Other | Challenged::Idle, _) => {}
    }
    match facts.integrity {
        // TS 33.203 Annex U: authenticated before it came here.
        Integrity::Done => return Ok(Step::Update),
        // TS 24.229 §5.4.1.2.3A: vouched for, and nobody here knows the user.
        Integrity::Protected
            if facts.standing == Standing::Unregistered && policy.forgotten == Forgotten::Refused =>
        {
            return Err(Reject::new(
                Status::SERVER_INTERNAL_ERROR,
                "protected register of a user not known here",
            ));
        }
        _ => {}
    }
    if facts.digest_nonce_known && facts.response == Response::Given {
        // RFC 7616 §3.4: a nonce of ours serves again as long as its count rises.
        return Ok(Step::Verify);
    }
    match (facts.standing, policy.reauthenticate) {
        (Standing::Unregistered, _) | (_, Reauthenticate::Always) => Ok(Step::Challenge),
        // TS 24.229 §5.4.1.2.2: over the old associations the contact cannot be another one.
        (Standing::NewContact, _) if vouched => {
            Err(Reject::new(Status::FORBIDDEN, "contact not registered over these associations"))
        }
        (Standing::NewContact, _) => Ok(Step::Challenge),
        (Standing::Known | Standing::NewFlow, Reauthenticate::Unprotected) if !vouched => Ok(Step::Challenge),
        (Standing::NewFlow, Reauthenticate::Never) if !vouched => Ok(Step::Challenge),
        (Standing::Known | Standing::NewFlow, Reauthenticate::Unprotected | Reauthenticate::Never) => {
            Ok(Step::Update)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy {
        reauthenticate: Reauthenticate::Unprotected,
        answerable: Answerable::OverGm,
        forgotten: Forgotten::Refused,
    };
    const CLEAR: Policy = Policy { answerable: Answerable::InTheClear, ..STRICT };
    const RESTORING: Policy = Policy { forgotten: Forgotten::Challenged, ..STRICT };

    fn facts(integrity: Integrity, challenged: Challenged, response: Response, standing: Standing) -> Facts {
        Facts { integrity, challenged, response, standing, digest_nonce_known: false }
    }

    #[test]
    fn the_cases_of_the_clause_give_their_steps() {
        use Challenged::{Idle, Other, Same};
        use Integrity::{Absent, Done, Pending, Protected, Unprotected};
        use Response::{Auts, Empty, Given};
        use Standing::{Known, NewContact, NewFlow, Unregistered};
        let table = [
            // A first REGISTER, its answer, and what may go wrong with the answer.
            (Unprotected, Idle, Empty, Unregistered, STRICT, Ok(Step::Challenge)),
            (Protected, Same, Given, Unregistered, STRICT, Ok(Step::Verify)),
            (Unprotected, Same, Given, Unregistered, STRICT, Ok(Step::Challenge)),
            (Unprotected, Same, Given, Unregistered, CLEAR, Ok(Step::Verify)),
            (Unprotected, Same, Auts, Unregistered, STRICT, Ok(Step::Resynchronise)),
            (Unprotected, Same, Empty, Unregistered, STRICT, Ok(Step::NetworkFailedAuthentication)),
            // Another REGISTER while a challenge is out.
            (Unprotected, Other, Empty, Unregistered, CLEAR, Ok(Step::Challenge)),
            (Unprotected, Other, Given, Unregistered, CLEAR, Ok(Step::Challenge)),
            (Protected, Other, Given, Known, STRICT, Ok(Step::Challenge)),
            // Registered users.
            (Protected, Idle, Empty, Known, STRICT, Ok(Step::Update)),
            (Protected, Idle, Given, NewFlow, STRICT, Ok(Step::Update)),
            (Protected, Idle, Given, NewContact, STRICT, Err(Status::FORBIDDEN)),
            (Unprotected, Idle, Given, Known, STRICT, Ok(Step::Challenge)),
            (Unprotected, Idle, Given, NewContact, CLEAR, Ok(Step::Challenge)),
            // Vouched for, but not here.
            (Protected, Idle, Given, Unregistered, STRICT, Err(Status::SERVER_INTERNAL_ERROR)),
            (Protected, Idle, Given, Unregistered, RESTORING, Ok(Step::Challenge)),
            (Protected, Idle, Given, NewContact, RESTORING, Err(Status::FORBIDDEN)),
            (Done, Idle, Empty, Unregistered, STRICT, Ok(Step::Update)),
            // SIP digest.
            (Absent, Idle, Empty, Unregistered, STRICT, Ok(Step::Challenge)),
            (Pending, Same, Given, Unregistered, STRICT, Ok(Step::Verify)),
        ];
        for (integrity, challenged, response, standing, policy, expected) in table {
            let facts = facts(integrity, challenged, response, standing);
            assert_eq!(
                next(&facts, policy).map_err(|refusal| refusal.status),
                expected,
                "{facts:?} {policy:?}"
            );
        }
    }

    #[test]
    fn the_policy_decides_when_a_registered_user_is_challenged_again() {
        let protected = facts(Integrity::Protected, Challenged::Idle, Response::Given, Standing::Known);
        let clear = Facts { integrity: Integrity::Unprotected, ..protected };
        for (facts, reauthenticate, expected) in [
            (protected, Reauthenticate::Always, Step::Challenge),
            (protected, Reauthenticate::Unprotected, Step::Update),
            (protected, Reauthenticate::Never, Step::Update),
            (clear, Reauthenticate::Always, Step::Challenge),
            (clear, Reauthenticate::Unprotected, Step::Challenge),
            (clear, Reauthenticate::Never, Step::Update),
        ] {
            assert_eq!(
                next(&facts, Policy { reauthenticate, ..STRICT }),
                Ok(expected),
                "{facts:?} {reauthenticate:?}"
            );
        }
    }

    #[test]
    fn without_challenges_a_stranger_still_cannot_add_a_contact_or_flow() {
        let never = Policy { reauthenticate: Reauthenticate::Never, ..CLEAR };
        for standing in [Standing::NewContact, Standing::NewFlow, Standing::Unregistered] {
            let facts = facts(Integrity::Unprotected, Challenged::Idle, Response::Given, standing);
            assert_eq!(next(&facts, never), Ok(Step::Challenge), "{standing:?}");
        }
    }

    #[test]
    fn a_digest_nonce_of_ours_is_checked_again_without_a_new_challenge() {
        let again = facts(Integrity::Pending, Challenged::Idle, Response::Given, Standing::Known);
        assert_eq!(next(&Facts { digest_nonce_known: true, ..again }, STRICT), Ok(Step::Verify));
        assert_eq!(next(&again, STRICT), Ok(Step::Challenge));
    }
}
