//! Vectors from the HSS: Multimedia-Auth, and resynchronisation by a second one (TS 29.228 §6.3).

use super::assignment;
use super::challenge::{Staleness, Vector};
use super::integrity::Integrity;
use super::register::Register;
use crate::role::Scscf;
use crate::waiting::Waiting;
use cscf::query::Query;
use cscf::{Incoming, Reject, Turn};
use diameter_client::cx::{AuthDataItem, AuthScheme, CxAnswer, CxRequest, CxResult, Mar};
use diameter_client::endpoint::CxFailure;
use sip_core::Status;

/// Vectors asked for at once. More than one would go stale when another S-CSCF or a resynchronisation comes between.
const VECTORS_AT_ONCE: u32 = 1;

impl Scscf {
    /// Asks the HSS for a vector; `resynchronisation` is RAND and AUTS.
    pub(crate) fn ask_for_vectors(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        resynchronisation: Option<Vec<u8>>,
    ) {
        let scheme = first_scheme(register.authorization.integrity);
        self.ask_for_scheme(turn, register, scheme, resynchronisation);
    }

    fn ask_for_scheme(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        scheme: AuthScheme,
        resynchronisation: Option<Vec<u8>>,
    ) {
        let mar = Mar {
            user_name: register.impi().as_str().to_owned(),
            public_identity: register.impu.as_str().to_owned(),
            auth_data_item: AuthDataItem {
                scheme: Some(scheme.clone()),
                authorization: resynchronisation,
                ..AuthDataItem::default()
            },
            number_auth_items: VECTORS_AT_ONCE,
            server_name: self.config.scscf.uri.clone(),
            ..Mar::default()
        };
        let trace = register.trace.clone();
        let query = Query::Cx { request: Box::new(CxRequest::Mar(mar)), destination: self.hss(), trace };
        turn.query(query, Waiting::Maa { register, scheme });
    }

    /// The USIM saw a sequence number out of range: the vectors that are left are of no use either.
    pub(crate) fn resynchronise(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
    ) -> Result<(), Reject> {
        let Some(outstanding) = self.authentications.take_outstanding(register.impi()) else {
            return Err(Reject::new(Status::FORBIDDEN, "no challenge to resynchronise"));
        };
        turn.disarm(outstanding.timer);
        let Some(resynchronisation) = outstanding.challenge.resynchronisation(&register.authorization) else {
            return Err(Reject::new(Status::BAD_REQUEST, "malformed auts"));
        };
        if let Some(known) = self.authentications.get_mut(register.impi()) {
            known.vectors.clear();
        }
        turn.count("registration", "resynchronised");
        self.ask_for_vectors(turn, register, Some(resynchronisation));
        Ok(())
    }

    /// The HSS answered.
    pub(crate) fn vectors_came(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        scheme: AuthScheme,
        answer: Result<CxAnswer, CxFailure>,
    ) -> Result<(), Reject> {
        let maa = match answer {
            Ok(CxAnswer::Maa(maa)) => maa,
            Ok(_) => return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "hss answered another command")),
            Err(failure) => return Err(assignment::unreachable_hss(&failure)),
        };
        if scheme == AuthScheme::EarlyIms {
            return self.bearer_came(turn, request, register, &maa);
        }
        if maa.result == CxResult::AUTH_SCHEME_NOT_SUPPORTED
            && scheme == AuthScheme::DigestAkaV1Md5
            && matches!(register.authorization.integrity, Integrity::Absent | Integrity::Unprotected)
        {
            // A first REGISTER names no scheme, and without security associations on Gm the P-CSCF writes `no` for SIP
            // digest too: a user without AKA gets it.
            self.ask_for_scheme(turn, register, AuthScheme::SipDigest, None);
            return Ok(());
        }
        if !maa.result.is_success() {
            return Err(refusal(maa.result));
        }
        let mut vectors =
            maa.in_order().into_iter().filter_map(|item| Vector::from_item(item, self.config.home.domain()));
        let Some(first) = vectors.next() else {
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "no usable vector from the hss"));
        };
        let rest: Vec<Vector> = vectors.collect();
        match self.authentications.get_mut(register.impi()) {
            Some(known) => known.vectors = rest.into(),
            None if rest.is_empty() => {}
            None => self.authentications.entry(register.impi().clone()).vectors = rest.into(),
        }
        self.issue(turn, request, register, first, Staleness::Fresh);
        Ok(())
    }
}

/// TS 33.203 §P.4.2. Without the flag AKA is tried first.
fn first_scheme(integrity: Integrity) -> AuthScheme {
    if integrity.is_digest() { AuthScheme::SipDigest } else { AuthScheme::DigestAkaV1Md5 }
}

pub(super) fn refusal(result: CxResult) -> Reject {
    let (status, cause) = match result {
        CxResult::USER_UNKNOWN => (Status::FORBIDDEN, "user unknown"),
        CxResult::IDENTITIES_DONT_MATCH => (Status::FORBIDDEN, "identities do not match"),
        CxResult::AUTH_SCHEME_NOT_SUPPORTED => (Status::FORBIDDEN, "authentication scheme not supported"),
        CxResult::AUTHORIZATION_REJECTED => (Status::FORBIDDEN, "not authorized"),
        _ => (Status::SERVER_INTERNAL_ERROR, "refused by the hss"),
    };
    Reject::new(status, cause).detail(format!("{result:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_chooses_the_scheme_and_its_absence_tries_aka() {
        assert_eq!(first_scheme(Integrity::Unprotected), AuthScheme::DigestAkaV1Md5);
        assert_eq!(first_scheme(Integrity::Absent), AuthScheme::DigestAkaV1Md5);
        assert_eq!(first_scheme(Integrity::Pending), AuthScheme::SipDigest);
    }

    #[test]
    fn a_user_whom_the_hss_refuses_is_forbidden_and_its_own_troubles_are_a_500() {
        assert_eq!(refusal(CxResult::USER_UNKNOWN).status, Status::FORBIDDEN);
        assert_eq!(refusal(CxResult::AUTH_SCHEME_NOT_SUPPORTED).status, Status::FORBIDDEN);
        assert_eq!(refusal(CxResult::UNABLE_TO_COMPLY).status, Status::SERVER_INTERNAL_ERROR);
    }
}
