//! Authentication vectors for the home network (TS 33.102 §6.3): making them, and reading AUTS.

use crate::key::{Key, Op, Opc, Res, Top, Topc};
use crate::milenage::Milenage;
use crate::sqn::Sqn;
use crate::tuak::{Length, Tuak, TuakKey, TuakLengths};
use std::fmt;
use subtle::ConstantTimeEq;

/// The authentication functions of one subscriber, whichever set they are from. Prints no key.
#[derive(Clone, Debug)]
pub struct Algorithm(Functions);

// MILENAGE is the common case, and its expanded key schedule the larger: a box would only cost an allocation.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
enum Functions {
    /// TS 35.206.
    Milenage(Milenage),
    /// TS 35.231; always with a MAC of 64 bits and CK and IK of 128.
    Tuak(Tuak),
}

/// One authentication vector: five values, of which three are secret. Prints RAND and AUTN only.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthVector {
    /// The challenge.
    pub rand: [u8; 16],
    /// SQN xor AK, AMF, MAC-A.
    pub autn: [u8; 16],
    /// The answer that a genuine USIM gives.
    pub xres: Res,
    /// The cipher key.
    pub ck: Key<16>,
    /// The integrity key.
    pub ik: Key<16>,
}

impl fmt::Debug for AuthVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthVector")
            .field("rand", &self.rand)
            .field("autn", &self.autn)
            .finish_non_exhaustive()
    }
}

/// Why AUTS is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutsError {
    /// MAC-S is not the one that this subscriber's card would have made over this RAND.
    MacFailure,
}

impl fmt::Display for AutsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MAC-S of AUTS does not verify")
    }
}

impl std::error::Error for AutsError {}

/// RES, CK, IK and AK of one RAND.
pub(crate) struct Answer {
    pub(crate) res: Res,
    pub(crate) ck: Key<16>,
    pub(crate) ik: Key<16>,
    pub(crate) ak: Key<6>,
}

impl Algorithm {
    /// MILENAGE with the subscriber's OPc.
    pub fn milenage(k: &Key<16>, opc: Opc) -> Algorithm {
        Algorithm(Functions::Milenage(Milenage::new(k, opc)))
    }

    /// MILENAGE with the operator's OP, of which OPc is derived.
    pub fn milenage_op(k: &Key<16>, op: &Op) -> Algorithm {
        Algorithm::milenage(k, Milenage::opc(k, op))
    }

    /// TUAK with the subscriber's TOPc, and RES of `res`.
    pub fn tuak(k: TuakKey, topc: Topc, iterations: u32, res: Length) -> Algorithm {
        Algorithm(Functions::Tuak(Tuak::new(k, topc, iterations, TuakLengths { res, ..TuakLengths::IMS })))
    }

    /// TUAK with the operator's TOP, of which TOPc is derived.
    pub fn tuak_top(k: TuakKey, top: &Top, iterations: u32, res: Length) -> Algorithm {
        let topc = Tuak::topc(&k, top, iterations);
        Algorithm::tuak(k, topc, iterations, res)
    }

    /// The vector of this RAND and SQN.
    pub fn vector(&self, rand: [u8; 16], sqn: Sqn, amf: [u8; 2]) -> AuthVector {
        let Answer { res, ck, ik, ak } = self.answer(&rand);
        let mut autn = [0; 16];
        autn[..6].copy_from_slice(&concealed(sqn.octets(), &ak));
        autn[6..8].copy_from_slice(&amf);
        autn[8..].copy_from_slice(&self.mac_a(&rand, sqn, amf));
        AuthVector { rand, autn, xres: res, ck, ik }
    }

    /// SQN_MS out of an AUTS that answers the challenge `rand`, when its MAC-S verifies.
    pub fn resync(&self, rand: &[u8; 16], auts: &[u8; 14]) -> Result<Sqn, AutsError> {
        let mut octets = [0; 6];
        octets.copy_from_slice(&auts[..6]);
        let sqn_ms = Sqn::from_octets(concealed(octets, &self.ak_star(rand)));
        let genuine: bool = self.mac_s(rand, sqn_ms).ct_eq(&auts[6..]).into();
        if genuine { Ok(sqn_ms) } else { Err(AutsError::MacFailure) }
    }

    pub(crate) fn answer(&self, rand: &[u8; 16]) -> Answer {
        match &self.0 {
            Functions::Milenage(milenage) => {
                let outputs = milenage.f2345(rand);
                let res = Res::new(outputs.res.expose()).expect("f2 of MILENAGE gives 8 octets");
                Answer { res, ck: outputs.ck, ik: outputs.ik, ak: outputs.ak }
            }
            Functions::Tuak(tuak) => {
                let outputs = tuak.f2345(rand);
                let of_128_bits =
                    |key: &[u8]| Key::from_slice(key).expect("CK and IK have 128 bits in IMS-AKA");
                Answer {
                    res: outputs.res,
                    ck: of_128_bits(&outputs.ck),
                    ik: of_128_bits(&outputs.ik),
                    ak: outputs.ak,
                }
            }
        }
    }

    pub(crate) fn mac_a(&self, rand: &[u8; 16], sqn: Sqn, amf: [u8; 2]) -> [u8; 8] {
        match &self.0 {
            Functions::Milenage(milenage) => milenage.f1(rand, sqn.octets(), amf),
            Functions::Tuak(tuak) => first_eight(&tuak.f1(rand, sqn.octets(), amf)),
        }
    }

    /// MAC-S covers an AMF of zero, which is not sent (TS 33.102 §6.3.3).
    pub(crate) fn mac_s(&self, rand: &[u8; 16], sqn_ms: Sqn) -> [u8; 8] {
        match &self.0 {
            Functions::Milenage(milenage) => milenage.f1_star(rand, sqn_ms.octets(), [0; 2]),
            Functions::Tuak(tuak) => first_eight(&tuak.f1_star(rand, sqn_ms.octets(), [0; 2])),
        }
    }

    pub(crate) fn ak_star(&self, rand: &[u8; 16]) -> Key<6> {
        match &self.0 {
            Functions::Milenage(milenage) => milenage.f5_star(rand),
            Functions::Tuak(tuak) => tuak.f5_star(rand),
        }
    }
}

/// Conceals a sequence number with an anonymity key, or reveals it: both are the same exclusive or.
pub(crate) fn concealed(mut sqn: [u8; 6], ak: &Key<6>) -> [u8; 6] {
    for (octet, mask) in sqn.iter_mut().zip(ak.expose()) {
        *octet ^= mask;
    }
    sqn
}

fn first_eight(mac: &[u8; 32]) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(&mac[..8]);
    eight
}
