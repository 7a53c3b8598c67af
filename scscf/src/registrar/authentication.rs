//! Authentications under way: per private identity the challenge that is out and the vectors that are left.

use super::challenge::{Challenge, Vector};
use super::register::Register;
use super::registration::{Challenged, Response};
use ambient::TimerId;
use ambient::entropy::KeyedState;
use cscf::identity::{Impi, Impu};
use std::collections::{HashMap, VecDeque};

/// A challenge that waits for its answer.
#[derive(Debug)]
pub struct Outstanding {
    /// The challenge.
    pub challenge: Challenge,
    /// The public identity that was to be registered: named in the SAR when nobody answers.
    pub impu: Impu,
    /// reg-await-auth.
    pub timer: TimerId,
}

/// What is known of one private identity's authentication.
#[derive(Debug, Default)]
pub struct Authentication {
    /// The challenge that is out.
    pub outstanding: Option<Outstanding>,
    /// The last challenge of SIP digest that was answered right: its nonce may serve again.
    pub digest: Option<Challenge>,
    /// Vectors in the order of the HSS, each used once (TS 33.203 §6.1.1).
    pub vectors: VecDeque<Vector>,
}

/// All of them.
#[derive(Debug)]
pub struct Authentications {
    by_impi: HashMap<Impi, Box<Authentication>, KeyedState>,
}

/// Only identities that the HSS knows are put in: nobody can choose what collides, and the key need not be secret.
const STATE: (u64, u64) = (0x6175_7468_656e_7469, 0x6361_7469_6f6e_7321);

impl Default for Authentications {
    fn default() -> Authentications {
        Authentications { by_impi: HashMap::with_hasher(KeyedState::from_key(STATE)) }
    }
}

impl Authentications {
    /// That of `impi`, made when there is none. Only for an identity that the HSS knows: so the table is bounded by the
    /// subscriptions.
    pub fn entry(&mut self, impi: Impi) -> &mut Authentication {
        self.by_impi.entry(impi).or_default()
    }

    /// That of `impi`.
    pub fn get_mut(&mut self, impi: &Impi) -> Option<&mut Authentication> {
        self.by_impi.get_mut(impi).map(|known| &mut **known)
    }

    /// How a REGISTER relates to the challenge that is out.
    pub fn challenged(&self, register: &Register) -> Challenged {
        let Some(outstanding) =
            self.by_impi.get(register.impi()).and_then(|known| known.outstanding.as_ref())
        else {
            return Challenged::Idle;
        };
        let challenge = &outstanding.challenge;
        // TS 24.229 §5.4.1.2.2: the answer has the Call-ID of the 401. The digest covers no To, so that it is compared too:
        // whoever proves to be one user says nothing about another.
        if challenge.call_id == register.origin.call_id
            && outstanding.impu == register.impu
            && challenge.has_nonce(&register.authorization.nonce)
        {
            Challenged::Same
        } else {
            Challenged::Other
        }
    }

    /// Whether a REGISTER uses the nonce of the last digest challenge again.
    pub fn knows_digest_nonce(&self, register: &Register) -> bool {
        register.authorization.response() == Response::Given
            && self
                .by_impi
                .get(register.impi())
                .and_then(|known| known.digest.as_ref())
                .is_some_and(|challenge| challenge.has_nonce(&register.authorization.nonce))
    }

    /// Takes the challenge that is out.
    pub fn take_outstanding(&mut self, impi: &Impi) -> Option<Outstanding> {
        self.by_impi.get_mut(impi)?.outstanding.take()
    }

    /// Forgets an identity of which nothing is left to remember.
    pub fn tidy(&mut self, impi: &Impi) {
        let is_spent = |known: &Authentication| {
            known.outstanding.is_none() && known.digest.is_none() && known.vectors.is_empty()
        };
        if self.by_impi.get(impi).is_some_and(|known| is_spent(known)) {
            self.by_impi.remove(impi);
        }
    }

    /// Forgets an identity that is neither registered nor being challenged.
    pub fn forget(&mut self, impi: &Impi) {
        if self.by_impi.get(impi).is_some_and(|known| known.outstanding.is_none()) {
            self.by_impi.remove(impi);
        }
    }

    /// How many identities are known.
    pub fn len(&self) -> usize {
        self.by_impi.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_impi.is_empty()
    }
}
