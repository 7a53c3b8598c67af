//! MILENAGE: f1, f1*, f2, f3, f4, f5 and f5* on AES-128 (TS 35.206).

use crate::key::{Key, Op, Opc};
use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// The MILENAGE functions of one subscriber: one AES key schedule for all of them.
///
/// Holds K only as that schedule. Both are wiped on drop. Prints as `Milenage(..)`.
#[derive(Clone)]
pub struct Milenage {
    cipher: Aes128,
    opc: Opc,
}

/// What f2 to f5 give for one RAND.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// f2.
    pub res: Key<8>,
    /// f3.
    pub ck: Key<16>,
    /// f4.
    pub ik: Key<16>,
    /// f5, the anonymity key of AUTN.
    pub ak: Key<6>,
}

impl Milenage {
    /// The functions of the subscriber with this K and OPc.
    pub fn new(k: &Key<16>, opc: Opc) -> Milenage {
        Milenage { cipher: Aes128::new(k.expose().into()), opc }
    }

    /// Derives OPc from OP and K (TS 35.206): what a provisioning tool does once.
    pub fn opc(k: &Key<16>, op: &Op) -> Opc {
        let cipher = Aes128::new(k.expose().into());
        Opc(Key::new(xor(encrypt(&cipher, *op.0.expose()), op.0.expose())))
    }

    /// f1: the MAC-A of AUTN.
    pub fn f1(&self, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 8] {
        let [mac, _] = halves(self.out1(rand, sqn, amf));
        mac
    }

    /// f1*: the MAC-S of AUTS.
    pub fn f1_star(&self, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 8] {
        let [_, mac] = halves(self.out1(rand, sqn, amf));
        mac
    }

    /// f2, f3, f4 and f5 of one RAND.
    pub fn f2345(&self, rand: &[u8; 16]) -> Outputs {
        let temp = self.temp(rand);
        let [ak, res] = halves(self.out(&temp, ROTATE_2, CONSTANT_2));
        Outputs {
            res: Key::new(res),
            ck: Key::new(self.out(&temp, ROTATE_3, CONSTANT_3)),
            ik: Key::new(self.out(&temp, ROTATE_4, CONSTANT_4)),
            ak: Key::new(first_six(&ak)),
        }
    }

    /// f5*: the anonymity key of AUTS.
    pub fn f5_star(&self, rand: &[u8; 16]) -> Key<6> {
        Key::new(first_six(&self.out(&self.temp(rand), ROTATE_5, CONSTANT_5)))
    }

    fn temp(&self, rand: &[u8; 16]) -> [u8; 16] {
        encrypt(&self.cipher, xor(*rand, self.opc.0.expose()))
    }

    /// OUT1 covers SQN and AMF, each twice, and so differs in shape from the other four.
    fn out1(&self, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 16] {
        let mut input = [0; 16];
        for half in input.chunks_exact_mut(8) {
            half[..6].copy_from_slice(&sqn);
            half[6..].copy_from_slice(&amf);
        }
        let opc = self.opc.0.expose();
        let rotated = rotate(xor(input, opc), ROTATE_1);
        xor(encrypt(&self.cipher, xor(rotated, &self.temp(rand))), opc)
    }

    fn out(&self, temp: &[u8; 16], rotation: usize, constant: u8) -> [u8; 16] {
        let opc = self.opc.0.expose();
        let mut block = rotate(xor(*temp, opc), rotation);
        block[15] ^= constant;
        xor(encrypt(&self.cipher, block), opc)
    }
}

impl std::fmt::Debug for Milenage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Milenage(..)")
    }
}

// The rotations r1 to r5 in octets, and the low octet of c1 to c5, of TS 35.206; c1 is zero.
const ROTATE_1: usize = 64 / 8;
const ROTATE_2: usize = 0;
const ROTATE_3: usize = 32 / 8;
const ROTATE_4: usize = 64 / 8;
const ROTATE_5: usize = 96 / 8;
const CONSTANT_2: u8 = 1;
const CONSTANT_3: u8 = 2;
const CONSTANT_4: u8 = 4;
const CONSTANT_5: u8 = 8;

fn encrypt(cipher: &Aes128, block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

fn xor(mut left: [u8; 16], right: &[u8; 16]) -> [u8; 16] {
    for (a, b) in left.iter_mut().zip(right) {
        *a ^= b;
    }
    left
}

fn rotate(mut block: [u8; 16], octets: usize) -> [u8; 16] {
    block.rotate_left(octets);
    block
}

fn halves(block: [u8; 16]) -> [[u8; 8]; 2] {
    let (mut low, mut high) = ([0; 8], [0; 8]);
    low.copy_from_slice(&block[..8]);
    high.copy_from_slice(&block[8..]);
    [low, high]
}

fn first_six(octets: &[u8]) -> [u8; 6] {
    let mut six = [0; 6];
    six.copy_from_slice(&octets[..6]);
    six
}
