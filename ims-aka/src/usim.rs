//! The USIM's side of an authentication (TS 33.102 §6.3.3): check AUTN, then answer or say why not.

use crate::key::{Key, Res};
use crate::sqn::{Sqn, SqnArray};
use crate::vector::{Algorithm, concealed};
use subtle::ConstantTimeEq;

/// A USIM or ISIM: the functions of its subscriber and the sequence numbers that it accepted.
#[derive(Clone, Debug)]
pub struct Usim {
    algorithm: Algorithm,
    accepted: SqnArray,
}

/// What a USIM answers to RAND and AUTN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsimAnswer {
    /// The challenge is genuine and fresh.
    Ok {
        /// The password of digest AKA.
        res: Res,
        /// The cipher key.
        ck: Key<16>,
        /// The integrity key.
        ik: Key<16>,
    },
    /// The challenge is genuine but its sequence number is not acceptable.
    SyncFailure {
        /// SQN_MS xor AK*, MAC-S.
        auts: [u8; 14],
    },
    /// The challenge is not from this subscriber's home network.
    MacFailure,
}

impl Usim {
    /// A fresh card.
    pub fn new(algorithm: Algorithm) -> Usim {
        Usim::with_accepted(algorithm, SqnArray::new())
    }

    /// A card that has accepted sequence numbers before.
    pub fn with_accepted(algorithm: Algorithm, accepted: SqnArray) -> Usim {
        Usim { algorithm, accepted }
    }

    /// What the card remembers.
    pub fn accepted(&self) -> &SqnArray {
        &self.accepted
    }

    /// Answers a challenge; remembers its sequence number when it is accepted.
    pub fn answer(&mut self, rand: &[u8; 16], autn: &[u8; 16]) -> UsimAnswer {
        let answer = self.algorithm.answer(rand);
        let mut octets = [0; 6];
        octets.copy_from_slice(&autn[..6]);
        let sqn = Sqn::from_octets(concealed(octets, &answer.ak));
        let genuine: bool = self.algorithm.mac_a(rand, sqn, [autn[6], autn[7]]).ct_eq(&autn[8..]).into();
        // MAC first: a sequence number of unknown origin says nothing.
        if !genuine {
            return UsimAnswer::MacFailure;
        }
        if !self.accepted.accept(sqn) {
            return UsimAnswer::SyncFailure { auts: self.auts(rand) };
        }
        UsimAnswer::Ok { res: answer.res, ck: answer.ck, ik: answer.ik }
    }

    fn auts(&self, rand: &[u8; 16]) -> [u8; 14] {
        let sqn_ms = self.accepted.highest();
        let mut auts = [0; 14];
        auts[..6].copy_from_slice(&concealed(sqn_ms.octets(), &self.algorithm.ak_star(rand)));
        auts[6..].copy_from_slice(&self.algorithm.mac_s(rand, sqn_ms));
        auts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Opc, Topc};
    use crate::tuak::{Length, TuakKey};
    use crate::vector::AutsError;

    const RAND: [u8; 16] = [0x23; 16];
    const AMF: [u8; 2] = [0x80, 0x00];

    fn algorithms() -> [Algorithm; 2] {
        let k = Key::new([7; 16]);
        [
            Algorithm::milenage(&k, Opc(Key::new([9; 16]))),
            Algorithm::tuak(TuakKey::K128(k), Topc(Key::new([5; 32])), 1, Length::Bits128),
        ]
    }

    #[test]
    fn a_fresh_challenge_is_answered_with_the_values_of_the_vector() {
        for algorithm in algorithms() {
            let vector = algorithm.vector(RAND, Sqn::default().next(), AMF);
            let answer = Usim::new(algorithm).answer(&vector.rand, &vector.autn);
            let expected =
                UsimAnswer::Ok { res: vector.xres.clone(), ck: vector.ck.clone(), ik: vector.ik.clone() };
            assert_eq!(answer, expected);
        }
    }

    #[test]
    fn a_replayed_challenge_brings_the_home_network_back_in_step() {
        for algorithm in algorithms() {
            let mut usim = Usim::new(algorithm.clone());
            let ahead = algorithm.vector(RAND, Sqn::from_parts(500, 3), AMF);
            assert!(matches!(usim.answer(&ahead.rand, &ahead.autn), UsimAnswer::Ok { .. }));

            let stale = algorithm.vector(RAND, Sqn::from_parts(2, 3), AMF);
            let UsimAnswer::SyncFailure { auts } = usim.answer(&stale.rand, &stale.autn) else {
                panic!("a stale number must be refused");
            };
            let sqn_ms = algorithm.resync(&stale.rand, &auts).unwrap();
            assert_eq!(sqn_ms, Sqn::from_parts(500, 3));

            let fresh = algorithm.vector(RAND, Sqn::from_parts(2, 3).resynchronised(sqn_ms).next(), AMF);
            assert!(matches!(usim.answer(&fresh.rand, &fresh.autn), UsimAnswer::Ok { .. }));
        }
    }

    #[test]
    fn any_changed_octet_of_autn_is_a_mac_failure_and_leaves_the_card_as_it_was() {
        for algorithm in algorithms() {
            let vector = algorithm.vector(RAND, Sqn::default().next(), AMF);
            let mut usim = Usim::new(algorithm);
            for at in 0..16 {
                let mut autn = vector.autn;
                autn[at] ^= 1;
                assert_eq!(usim.answer(&vector.rand, &autn), UsimAnswer::MacFailure, "octet {at}");
            }
            assert!(matches!(usim.answer(&vector.rand, &vector.autn), UsimAnswer::Ok { .. }));
        }
    }

    #[test]
    fn an_auts_for_another_challenge_or_with_a_changed_octet_is_refused() {
        for algorithm in algorithms() {
            let mut usim = Usim::new(algorithm.clone());
            let vector = algorithm.vector(RAND, Sqn::default(), AMF);
            let UsimAnswer::SyncFailure { auts } = usim.answer(&vector.rand, &vector.autn) else {
                panic!("SEQ zero is never fresh");
            };
            assert_eq!(algorithm.resync(&RAND, &auts), Ok(Sqn::default()));
            assert_eq!(algorithm.resync(&[0x24; 16], &auts), Err(AutsError::MacFailure));
            for at in 0..14 {
                let mut changed = auts;
                changed[at] ^= 0x80;
                assert_eq!(algorithm.resync(&RAND, &changed), Err(AutsError::MacFailure), "octet {at}");
            }
        }
    }

    #[test]
    fn a_vector_prints_neither_xres_nor_keys() {
        let [algorithm, _] = algorithms();
        let printed = format!("{:?} {algorithm:?}", algorithm.vector(RAND, Sqn::default(), AMF));
        assert!(
            !printed.contains("xres") && !printed.contains("ck") && !printed.contains("cipher"),
            "{printed}"
        );
    }
}
