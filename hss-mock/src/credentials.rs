//! What a private identity is authenticated with: AKA by MILENAGE or TUAK, SIP digest, or the address of its bearer.

use ims_aka::tuak::Length;
use ims_aka::{Algorithm, Ha1, Hash, Key, Milenage, Op, Opc, Topc, Tuak, TuakKey};
use std::net::IpAddr;

/// The credentials of one private identity. Prints no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// AKA with MILENAGE.
    Milenage {
        /// The subscriber key.
        k: Key<16>,
        /// The operator's field, bound to the key.
        opc: Opc,
    },
    /// AKA with TUAK; RES of 64 bits.
    Tuak {
        /// The subscriber key.
        k: TuakKey,
        /// The operator's field, bound to the key.
        topc: Topc,
        /// The number of Keccak permutations.
        iterations: u32,
    },
    /// SIP digest.
    Digest {
        /// The realm that H(A1) was made for.
        realm: String,
        /// H(A1), and by it the hash.
        ha1: Ha1,
    },
    /// GPRS-IMS-bundled authentication (TS 33.203 Annex T).
    Giba {
        /// The address that the packet core gave to the subscriber's bearer.
        address: IpAddr,
    },
}

impl Credentials {
    /// MILENAGE with OP: OPc is computed here, and OP is not kept.
    pub fn milenage_op(k: Key<16>, op: &Op) -> Credentials {
        let opc = Milenage::opc(&k, op);
        Credentials::Milenage { k, opc }
    }

    /// TUAK with TOP: TOPc is computed here, and TOP is not kept.
    pub fn tuak_top(k: TuakKey, top: &ims_aka::Top, iterations: u32) -> Credentials {
        let topc = Tuak::topc(&k, top, iterations);
        Credentials::Tuak { k, topc, iterations }
    }

    /// Digest with a password, which is not kept.
    pub fn digest_password(hash: Hash, impi: &str, realm: &str, password: &str) -> Credentials {
        let ha1 = Ha1::from_password(hash, impi.as_bytes(), realm.as_bytes(), password.as_bytes());
        Credentials::Digest { realm: realm.to_owned(), ha1 }
    }

    /// The AKA functions; `None` where there is no card.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Credentials::Milenage { k, opc } => Some(Algorithm::milenage(k, opc.clone())),
            Credentials::Tuak { k, topc, iterations } => {
                Some(Algorithm::tuak(k.clone(), topc.clone(), *iterations, Length::Bits64))
            }
            Credentials::Digest { .. } | Credentials::Giba { .. } => None,
        }
    }
}
