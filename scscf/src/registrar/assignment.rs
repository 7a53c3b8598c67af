//! Server-Assignment: what the HSS is told about a user, and what its answer means (TS 29.228 §6.1.2).

use super::implicit_set::ImplicitSet;
use super::profile_fault::ProfileFault;
use cscf::Reject;
use cscf::identity::Impu;
use diameter_client::cx::{CxResult, Saa, Sar, ServerAssignmentType, UserDataAlreadyAvailable};
use diameter_client::endpoint::CxFailure;
use sip_core::Status;

/// The profile that an SAA brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Profile {
    /// A new one.
    Given(Box<ImplicitSet>),
    /// None: the one that is here stands.
    Kept,
}

/// What follows from an SAA that is no success.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request is answered with this.
    Final(Reject),
    /// The request is answered with this, and the HSS is told to forget the assignment it just made.
    Undo(Reject, ServerAssignmentType),
    /// The user is registered already: ask again with this type, which the state of the HSS allows.
    Again(ServerAssignmentType),
}

/// The SAR for one public identity of a private one.
pub fn request(
    assignment_type: ServerAssignmentType,
    server_name: &str,
    impi: Option<&str>,
    impu: &str,
    available: UserDataAlreadyAvailable,
) -> Sar {
    Sar {
        server_name: server_name.to_owned(),
        assignment_type,
        user_data_already_available: available,
        user_name: impi.map(str::to_owned),
        public_identities: vec![impu.to_owned()],
        ..Sar::default()
    }
}

/// What the answer to a SAR that takes a user over says; `read` reads User-Data.
pub fn outcome(
    asked: ServerAssignmentType,
    impu: &Impu,
    answer: Result<&Saa, &CxFailure>,
    available: UserDataAlreadyAvailable,
    read: impl FnOnce(&[u8]) -> Result<ImplicitSet, ProfileFault>,
) -> Result<Profile, Refused> {
    let saa = answer.map_err(|failure| Refused::Final(unreachable_hss(failure)))?;
    let is_restoring = is_restoring(asked, saa);
    if !saa.result.is_success() && !is_restoring {
        return Err(refusal(asked, saa.result));
    }
    let undo = |status, cause: &'static str, detail: String, undo_type| {
        let reject = Reject::new(status, cause).detail(detail);
        // What the HSS holds stands: this request has changed nothing of it.
        Err(if is_restoring { Refused::Final(reject) } else { Refused::Undo(reject, undo_type) })
    };
    let administrative = ServerAssignmentType::AdministrativeDeregistration;
    match &saa.user_data {
        None if available == UserDataAlreadyAvailable::AlreadyAvailable => Ok(Profile::Kept),
        None => undo(Status::SERVER_INTERNAL_ERROR, "no profile from the hss", String::new(), administrative),
        // TS 29.228 table 6.1.2.2: another S-CSCF may be able to hold it, so that the I-CSCF chooses anew at a 480.
        Some(xml) if xml.len() > USER_DATA_MAX => undo(
            Status::TEMPORARILY_UNAVAILABLE,
            "profile too large",
            format!("{} octets", xml.len()),
            ServerAssignmentType::DeregistrationTooMuchData,
        ),
        Some(xml) => match read(xml) {
            Ok(set) if set.identity(impu.as_str()).is_some() => Ok(Profile::Given(Box::new(set))),
            // Somebody else's, or nobody's: taken over, it would bring its owners under the contacts of this user.
            Ok(_) | Err(ProfileFault::NoIdentity) => undo(
                Status::SERVER_INTERNAL_ERROR,
                "profile without the identity",
                String::new(),
                administrative,
            ),
            // Whoever is served already is served on as before: what came instead is no reason to take that away.
            Err(_) if available == UserDataAlreadyAvailable::AlreadyAvailable => Ok(Profile::Kept),
            Err(fault) if fault.is_too_much() => undo(
                Status::TEMPORARILY_UNAVAILABLE,
                "profile too large",
                fault.to_string(),
                ServerAssignmentType::DeregistrationTooMuchData,
            ),
            Err(fault) => {
                undo(Status::SERVER_INTERNAL_ERROR, "malformed profile", fault.to_string(), administrative)
            }
        },
    }
}

/// Whether an answer says that the user is registered and brings what is needed to go on with that (TS 29.228 §6.1.2.1).
pub fn is_restoring(asked: ServerAssignmentType, saa: &Saa) -> bool {
    use ServerAssignmentType::{Registration, UnregisteredUser};
    matches!(asked, Registration | UnregisteredUser)
        && saa.result == CxResult::IN_ASSIGNMENT_TYPE
        && !saa.restoration_infos.is_empty()
        && saa.user_data.is_some()
}

fn refusal(asked: ServerAssignmentType, result: CxResult) -> Refused {
    use ServerAssignmentType::{NoAssignment, ReRegistration, Registration, UnregisteredUser};
    let reject = |status, cause| Refused::Final(Reject::new(status, cause).detail(format!("{result:?}")));
    match (result, asked) {
        // The state in the HSS is ahead of ours: after a crash, or when another request of the user was faster.
        (CxResult::IN_ASSIGNMENT_TYPE, Registration) => Refused::Again(ReRegistration),
        (CxResult::IN_ASSIGNMENT_TYPE, UnregisteredUser) => Refused::Again(NoAssignment),
        (CxResult::USER_UNKNOWN, UnregisteredUser) => reject(Status::NOT_FOUND, "user unknown"),
        (CxResult::USER_UNKNOWN, _) => reject(Status::FORBIDDEN, "user unknown"),
        (CxResult::IDENTITIES_DONT_MATCH, _) => reject(Status::FORBIDDEN, "identities do not match"),
        (CxResult::AUTHORIZATION_REJECTED, _) => reject(Status::FORBIDDEN, "not authorized"),
        // TS 29.228 §8.1.2: another S-CSCF serves the user; a 480 lets the I-CSCF ask for it.
        (CxResult::IDENTITY_ALREADY_REGISTERED, _) => {
            reject(Status::TEMPORARILY_UNAVAILABLE, "served by another s-cscf")
        }
        _ => reject(Status::SERVER_INTERNAL_ERROR, "refused by the hss"),
    }
}

/// The response while the HSS cannot be asked.
pub fn unreachable_hss(failure: &CxFailure) -> Reject {
    let (status, cause) = match failure {
        CxFailure::Overload => (Status::SERVICE_UNAVAILABLE, "too many requests wait for the hss"),
        CxFailure::Timeout => (Status::SERVER_TIMEOUT, "hss did not answer"),
        CxFailure::NoPeer => (Status::SERVER_TIMEOUT, "hss not reachable"),
        _ => (Status::SERVER_INTERNAL_ERROR, "hss answered nonsense"),
    };
    let reject = Reject::new(status, cause).detail(failure.to_string());
    match failure {
        CxFailure::Overload => reject.header(sip_core::Name::RetryAfter, "5"),
        _ => reject,
    }
}

/// More than any subscription of ours needs; the parser has bounds of its own below it.
pub const USER_DATA_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criteria::SharedSets;
    use ServerAssignmentType::{NoAssignment, ReRegistration, Registration, UnregisteredUser};
    use UserDataAlreadyAvailable::{AlreadyAvailable, NotAvailable};
    use diameter_client::cx::ScscfRestorationInfo;

    fn saa(result: CxResult, user_data: Option<&str>) -> Saa {
        Saa { result, user_data: user_data.map(|xml| xml.as_bytes().to_vec()), ..Default::default() }
    }

    fn read(xml: &[u8]) -> Result<ImplicitSet, ProfileFault> {
        let subscription = cscf::user_data::parse(xml).map_err(ProfileFault::Document)?;
        ImplicitSet::new(subscription, &SharedSets::default())
    }

    fn alice() -> Impu {
        Impu::parse(b"sip:alice@home1.net").expect("a SIP URI")
    }

    #[test]
    fn every_refusal_of_the_hss_has_its_status() {
        let table = [
            (Registration, CxResult::USER_UNKNOWN, Status::FORBIDDEN),
            (UnregisteredUser, CxResult::USER_UNKNOWN, Status::NOT_FOUND),
            (Registration, CxResult::IDENTITIES_DONT_MATCH, Status::FORBIDDEN),
            (Registration, CxResult::IDENTITY_ALREADY_REGISTERED, Status::TEMPORARILY_UNAVAILABLE),
            (Registration, CxResult::UNABLE_TO_COMPLY, Status::SERVER_INTERNAL_ERROR),
            // The base code 5005 is another thing than the experimental one.
            (Registration, CxResult::MISSING_AVP, Status::SERVER_INTERNAL_ERROR),
        ];
        for (asked, result, status) in table {
            match outcome(asked, &alice(), Ok(&saa(result, None)), NotAvailable, read) {
                Err(Refused::Final(reject)) => assert_eq!(reject.status, status, "{result:?}"),
                other => panic!("{result:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn an_assignment_type_that_the_state_forbids_is_asked_again_with_the_one_it_allows() {
        for (asked, again) in [(Registration, ReRegistration), (UnregisteredUser, NoAssignment)] {
            let answer = saa(CxResult::IN_ASSIGNMENT_TYPE, None);
            assert_eq!(outcome(asked, &alice(), Ok(&answer), NotAvailable, read), Err(Refused::Again(again)));
        }
        let answer = saa(CxResult::IN_ASSIGNMENT_TYPE, None);
        assert!(matches!(
            outcome(ReRegistration, &alice(), Ok(&answer), NotAvailable, read),
            Err(Refused::Final(_))
        ));
    }

    /// TS 29.228 §6.1.2.1: with restoration information it is no refusal.
    #[test]
    fn an_answer_that_brings_what_was_lost_brings_the_profile() {
        let saa = |xml: &str| Saa {
            restoration_infos: vec![ScscfRestorationInfo::default()],
            ..saa(CxResult::IN_ASSIGNMENT_TYPE, Some(xml))
        };
        for (asked, is_given) in [(Registration, true), (UnregisteredUser, true), (ReRegistration, false)] {
            let found = outcome(asked, &alice(), Ok(&saa(&profile("home1", 0))), NotAvailable, read);
            assert_eq!(matches!(found, Ok(Profile::Given(_))), is_given, "{asked:?}: {found:?}");
        }
        let unusable = outcome(UnregisteredUser, &alice(), Ok(&saa("<no")), NotAvailable, read);
        assert!(matches!(unusable, Err(Refused::Final(_))), "nothing is given back: {unusable:?}");
    }

    #[test]
    fn a_profile_that_cannot_be_used_is_given_back() {
        let huge = "x".repeat(USER_DATA_MAX + 1);
        for (xml, status, undo) in [
            (None, Status::SERVER_INTERNAL_ERROR, ServerAssignmentType::AdministrativeDeregistration),
            (Some("<no"), Status::SERVER_INTERNAL_ERROR, ServerAssignmentType::AdministrativeDeregistration),
            (
                Some(&huge[..]),
                Status::TEMPORARILY_UNAVAILABLE,
                ServerAssignmentType::DeregistrationTooMuchData,
            ),
        ] {
            match outcome(Registration, &alice(), Ok(&saa(CxResult::SUCCESS, xml)), NotAvailable, read) {
                Err(Refused::Undo(reject, asked)) => assert_eq!((reject.status, asked), (status, undo)),
                other => panic!("{other:?}"),
            }
        }
        // Who has one already keeps it.
        for xml in [None, Some("<no"), Some(&hostile("(")[..])] {
            let answer = saa(CxResult::SUCCESS, xml);
            assert_eq!(
                outcome(ReRegistration, &alice(), Ok(&answer), AlreadyAvailable, read),
                Ok(Profile::Kept)
            );
        }
    }

    /// A profile of alice with a trigger on this content of her Request-URI, and so many more criteria.
    fn profile(expression: &str, more: usize) -> String {
        let server = "<ApplicationServer><ServerName>sip:as</ServerName></ApplicationServer>";
        let more: String = (0..more)
            .map(|priority| {
                format!(
                    "<InitialFilterCriteria><Priority>{priority}</Priority>{server}</InitialFilterCriteria>"
                )
            })
            .collect();
        format!(
            "<IMSSubscription><PrivateID>alice@home1.net</PrivateID><ServiceProfile><PublicIdentity>\
             <Identity>sip:alice@home1.net</Identity></PublicIdentity><InitialFilterCriteria><Priority>1</Priority>\
             <TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF><SPT><Group>0</Group><RequestURI>{expression}\
             </RequestURI></SPT></TriggerPoint>{server}</InitialFilterCriteria>{more}</ServiceProfile></IMSSubscription>"
        )
    }

    fn hostile(expression: &str) -> String {
        profile(expression, 0)
    }

    /// TS 29.228 table 6.1.2.2: what is merely too much may go to another S-CSCF.
    #[test]
    fn criteria_that_cannot_be_evaluated_are_refused_and_too_many_given_to_another_server() {
        for (xml, status, cause) in [
            (hostile("("), Status::SERVER_INTERNAL_ERROR, "malformed profile"),
            (hostile("(a{99}){99}"), Status::SERVER_INTERNAL_ERROR, "malformed profile"),
            (profile("home1", 256), Status::TEMPORARILY_UNAVAILABLE, "profile too large"),
        ] {
            match outcome(Registration, &alice(), Ok(&saa(CxResult::SUCCESS, Some(&xml))), NotAvailable, read)
            {
                Err(Refused::Undo(reject, _)) => assert_eq!((reject.status, reject.cause), (status, cause)),
                other => panic!("{other:?}"),
            }
        }
        let good = profile("home1", 255);
        let taken =
            outcome(Registration, &alice(), Ok(&saa(CxResult::SUCCESS, Some(&good))), NotAvailable, read);
        assert!(matches!(taken, Ok(Profile::Given(_))), "{taken:?}");
    }

    #[test]
    fn a_silent_hss_is_a_504_and_a_full_one_a_503_with_retry_after() {
        let silent = unreachable_hss(&CxFailure::Timeout);
        assert_eq!(silent.status, Status::SERVER_TIMEOUT);
        let full = unreachable_hss(&CxFailure::Overload);
        assert_eq!(full.status, Status::SERVICE_UNAVAILABLE);
        assert_eq!(full.headers.len(), 1);
    }
}
