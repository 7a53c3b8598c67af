//! TUAK: f1, f1*, f2, f3, f4, f5 and f5* on the Keccak permutation (TS 35.231).
//!
//! One call of Keccak-f[1600] over one padded block gives every output. Inside the block each field stands with its
//! octets reversed: the specification numbers bits from the most significant end, Keccak's lanes from the least.

use crate::key::{Key, Res, Top, Topc};
use keccak::Keccak;
use zeroize::{Zeroize, Zeroizing};

/// The subscriber key of TUAK: 128 or 256 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TuakKey {
    /// As MILENAGE's.
    K128(Key<16>),
    /// The longer form that only TUAK has.
    K256(Key<32>),
}

impl TuakKey {
    fn octets(&self) -> &[u8] {
        match self {
            TuakKey::K128(key) => key.expose(),
            TuakKey::K256(key) => key.expose(),
        }
    }

    fn instance_bit(&self) -> u8 {
        match self {
            TuakKey::K128(_) => 0,
            TuakKey::K256(_) => INSTANCE_K_256,
        }
    }
}

/// How long an output of TUAK is; the length is itself an input of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// 32 bits; RES only.
    Bits32,
    /// 64 bits.
    Bits64,
    /// 128 bits.
    Bits128,
    /// 256 bits.
    Bits256,
}

impl Length {
    /// In octets.
    pub fn octets(self) -> usize {
        match self {
            Length::Bits32 => 4,
            Length::Bits64 => 8,
            Length::Bits128 => 16,
            Length::Bits256 => 32,
        }
    }

    fn instance_bits(self) -> u8 {
        match self {
            Length::Bits32 => 0,
            Length::Bits64 => 0x08,
            Length::Bits128 => 0x10,
            Length::Bits256 => 0x20,
        }
    }
}

/// The lengths that an operator chose, the same on the card and at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuakLengths {
    /// Of MAC-A and MAC-S. AUTN and AUTS carry 64 bits (TS 33.102 §6.3).
    pub mac: Length,
    /// Of RES.
    pub res: Length,
    /// Of CK: 128 or 256 bits.
    pub ck: Length,
    /// Of IK: 128 or 256 bits.
    pub ik: Length,
}

impl TuakLengths {
    /// What IMS-AKA carries: MAC and RES of 64 bits, CK and IK of 128.
    pub const IMS: TuakLengths =
        TuakLengths { mac: Length::Bits64, res: Length::Bits64, ck: Length::Bits128, ik: Length::Bits128 };
}

/// What f2 to f5 give for one RAND; CK and IK hold their length's octets.
#[derive(Clone)]
pub struct Outputs {
    /// f2.
    pub res: Res,
    /// f3.
    pub ck: Zeroizing<Vec<u8>>,
    /// f4.
    pub ik: Zeroizing<Vec<u8>>,
    /// f5.
    pub ak: Key<6>,
}

/// The TUAK functions of one subscriber. Prints no key.
#[derive(Clone, Debug)]
pub struct Tuak {
    k: TuakKey,
    topc: Topc,
    iterations: u32,
    lengths: TuakLengths,
}

impl Tuak {
    /// The functions of the subscriber with this K and TOPc.
    ///
    /// `iterations` is the number of Keccak permutations; zero counts as one, as no permutation would publish K.
    pub fn new(k: TuakKey, topc: Topc, iterations: u32, lengths: TuakLengths) -> Tuak {
        Tuak { k, topc, iterations: iterations.max(1), lengths }
    }

    /// Derives TOPc from TOP and K.
    pub fn topc(k: &TuakKey, top: &Top, iterations: u32) -> Topc {
        let input =
            Input { variant: top.0.expose(), instance: k.instance_bit(), rand: None, sqn_amf: None, k };
        let out = input.permute(iterations.max(1));
        let mut topc = [0; 32];
        field(&out, 0, &mut topc);
        let key = Topc(Key::new(topc));
        topc.zeroize();
        key
    }

    /// f1: MAC-A, of the length in force; the rest of the 32 octets is zero.
    pub fn f1(&self, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 32] {
        self.mac(INSTANCE_F1, rand, sqn, amf)
    }

    /// f1*: MAC-S, of the length in force; the rest of the 32 octets is zero.
    pub fn f1_star(&self, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 32] {
        self.mac(INSTANCE_F1_STAR, rand, sqn, amf)
    }

    /// f2, f3, f4 and f5 of one RAND.
    pub fn f2345(&self, rand: &[u8; 16]) -> Outputs {
        let mut instance = INSTANCE_F2345 | self.lengths.res.instance_bits();
        if self.lengths.ck == Length::Bits256 {
            instance |= INSTANCE_CK_256;
        }
        if self.lengths.ik == Length::Bits256 {
            instance |= INSTANCE_IK_256;
        }
        let out = self.permute(instance, rand, None);
        let mut res = Zeroizing::new(vec![0; self.lengths.res.octets()]);
        let mut ck = Zeroizing::new(vec![0; self.lengths.ck.octets()]);
        let mut ik = Zeroizing::new(vec![0; self.lengths.ik.octets()]);
        let mut ak = [0; 6];
        field(&out, 0, &mut res);
        field(&out, 32, &mut ck);
        field(&out, 64, &mut ik);
        field(&out, 96, &mut ak);
        let res = Res::new(&res).expect("no TUAK length is above 256 bits");
        Outputs { res, ck, ik, ak: Key::new(ak) }
    }

    /// f5*: the anonymity key of AUTS.
    pub fn f5_star(&self, rand: &[u8; 16]) -> Key<6> {
        let out = self.permute(INSTANCE_F5_STAR, rand, None);
        let mut ak = [0; 6];
        field(&out, 96, &mut ak);
        Key::new(ak)
    }

    fn mac(&self, function: u8, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 32] {
        let out = self.permute(function | self.lengths.mac.instance_bits(), rand, Some((sqn, amf)));
        let mut mac = [0; 32];
        field(&out, 0, &mut mac[..self.lengths.mac.octets()]);
        mac
    }

    fn permute(
        &self,
        instance: u8,
        rand: &[u8; 16],
        sqn_amf: Option<([u8; 6], [u8; 2])>,
    ) -> Zeroizing<[u8; 200]> {
        let instance = instance | self.k.instance_bit();
        Input { variant: self.topc.0.expose(), instance, rand: Some(rand), sqn_amf, k: &self.k }
            .permute(self.iterations)
    }
}

// INSTANCE: the function, the output lengths and the key length, most significant bit first.
const INSTANCE_F1: u8 = 0;
const INSTANCE_F1_STAR: u8 = 0x80;
const INSTANCE_F2345: u8 = 0x40;
const INSTANCE_F5_STAR: u8 = 0xc0;
const INSTANCE_CK_256: u8 = 0x04;
const INSTANCE_IK_256: u8 = 0x02;
const INSTANCE_K_256: u8 = 0x01;

/// The block that the permutation works on.
struct Input<'a> {
    /// TOP or TOPc.
    variant: &'a [u8; 32],
    instance: u8,
    rand: Option<&'a [u8; 16]>,
    sqn_amf: Option<([u8; 6], [u8; 2])>,
    k: &'a TuakKey,
}

impl Input<'_> {
    fn octets(&self) -> Zeroizing<[u8; 200]> {
        let mut block = Zeroizing::new([0; 200]);
        place(&mut block, 0, self.variant);
        block[32] = self.instance;
        place(&mut block, 33, b"TUAK1.0");
        if let Some(rand) = self.rand {
            place(&mut block, 40, rand);
        }
        if let Some((sqn, amf)) = self.sqn_amf {
            place(&mut block, 56, &amf);
            place(&mut block, 58, &sqn);
        }
        place(&mut block, 64, self.k.octets());
        // The padding closes the rate of 1088 bits; the capacity of 512 bits stays zero.
        block[96] = 0x1f;
        block[135] = 0x80;
        block
    }

    fn permute(&self, iterations: u32) -> Zeroizing<[u8; 200]> {
        let mut block = self.octets();
        let mut lanes = Zeroizing::new([0u64; 25]);
        for (lane, octets) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            *lane = octets.iter().rev().fold(0, |lane, octet| lane << 8 | u64::from(*octet));
        }
        Keccak::new().with_f1600(|f1600| {
            for _ in 0..iterations {
                f1600(&mut lanes);
            }
        });
        for (lane, octets) in lanes.iter().zip(block.chunks_exact_mut(8)) {
            octets.copy_from_slice(&lane.to_le_bytes());
        }
        block
    }
}

fn place(block: &mut [u8; 200], at: usize, value: &[u8]) {
    for (to, from) in block[at..at + value.len()].iter_mut().zip(value.iter().rev()) {
        *to = *from;
    }
}

fn field(block: &[u8; 200], at: usize, value: &mut [u8]) {
    let length = value.len();
    value.copy_from_slice(&block[at..at + length]);
    value.reverse();
}
