//! Sequence numbers: SQN, how the home network counts them and how a USIM checks them (TS 33.102 Annex C).
//!
//! SQN is 48 bits: SEQ, and below it an index IND of five bits that says which entry of the USIM's array the number is
//! checked against. Vectors fetched by different servers may so arrive out of order and still be accepted.

use std::fmt;

/// A sequence number of 48 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sqn(u64);

impl Sqn {
    /// The greatest sequence number.
    pub const MAX: Sqn = Sqn((1 << 48) - 1);
    /// The bits of IND.
    pub const IND_BITS: u32 = 5;
    /// The number of different IND, and so the size of a USIM's array.
    pub const IND_COUNT: usize = 1 << Sqn::IND_BITS;
    /// The greatest SEQ.
    pub const SEQ_MAX: u64 = Sqn::MAX.0 >> Sqn::IND_BITS;

    /// The sequence number of this value; `None` above 48 bits.
    pub fn new(value: u64) -> Option<Sqn> {
        (value <= Sqn::MAX.0).then_some(Sqn(value))
    }

    /// The sequence number made of a SEQ and an IND, each cut to its bits.
    pub fn from_parts(seq: u64, ind: u8) -> Sqn {
        Sqn((seq & Sqn::SEQ_MAX) << Sqn::IND_BITS | u64::from(ind) & (Sqn::IND_COUNT as u64 - 1))
    }

    /// The sequence number in AUTN's order of octets.
    pub fn from_octets(octets: [u8; 6]) -> Sqn {
        Sqn(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }

    /// The six octets, most significant first.
    pub fn octets(self) -> [u8; 6] {
        let [_, _, octets @ ..] = self.0.to_be_bytes();
        octets
    }

    /// The number itself.
    pub fn value(self) -> u64 {
        self.0
    }

    /// The part that grows.
    pub fn seq(self) -> u64 {
        self.0 >> Sqn::IND_BITS
    }

    /// The index into the USIM's array.
    pub fn ind(self) -> u8 {
        (self.0 & (Sqn::IND_COUNT as u64 - 1)) as u8
    }

    /// The number that the home network uses after this one: SEQ grows by one, IND cycles.
    ///
    /// The scheme that is not time-based; it wraps after 2^43 vectors.
    pub fn next(self) -> Sqn {
        Sqn::from_parts(self.seq().wrapping_add(1), self.ind().wrapping_add(1))
    }

    /// The number `steps` vectors after this one.
    pub fn after(self, steps: u32) -> Sqn {
        let ind = (u64::from(self.ind()) + u64::from(steps)) % Sqn::IND_COUNT as u64;
        Sqn::from_parts(self.seq().wrapping_add(u64::from(steps)), ind as u8)
    }

    /// The home network's number after a verified AUTS that carried `sqn_ms` (TS 33.102 §6.3.5).
    ///
    /// Ours stays when the USIM would accept the next of it; else the USIM's is taken.
    pub fn resynchronised(self, sqn_ms: Sqn) -> Sqn {
        let next = self.next().seq();
        let acceptable = next > sqn_ms.seq() && next - sqn_ms.seq() <= SqnArray::DELTA;
        if acceptable { self } else { sqn_ms }
    }
}

impl fmt::Display for Sqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// What a USIM remembers of the sequence numbers that it accepted: the highest SEQ of each IND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqnArray {
    seq: [u64; Sqn::IND_COUNT],
    /// The number accepted with the highest SEQ: SQN_MS, what AUTS tells.
    highest: Sqn,
    /// How far below the highest SEQ a number may lie; `None` is no limit.
    age_max: Option<u64>,
}

impl SqnArray {
    /// The greatest jump that is accepted, against a wrap-around forced from outside.
    pub const DELTA: u64 = 1 << 28;

    /// A fresh card: every SEQ is zero.
    pub fn new() -> SqnArray {
        SqnArray { seq: [0; Sqn::IND_COUNT], highest: Sqn::default(), age_max: None }
    }

    /// The same with an age limit L: a number more than `age_max` below the highest is refused.
    pub fn with_age_limit(age_max: u64) -> SqnArray {
        SqnArray { age_max: Some(age_max), ..SqnArray::new() }
    }

    /// SQN_MS.
    pub fn highest(&self) -> Sqn {
        self.highest
    }

    /// Checks a number of which the MAC was verified, and remembers it when it is accepted.
    pub fn accept(&mut self, sqn: Sqn) -> bool {
        let newest = self.highest.seq();
        let too_far = sqn.seq().saturating_sub(newest) > SqnArray::DELTA;
        let too_old = self.age_max.is_some_and(|limit| newest.saturating_sub(sqn.seq()) > limit);
        let entry = &mut self.seq[usize::from(sqn.ind())];
        if too_far || too_old || sqn.seq() <= *entry {
            return false;
        }
        *entry = sqn.seq();
        if sqn.seq() > newest {
            self.highest = sqn;
        }
        true
    }
}

impl Default for SqnArray {
    fn default() -> SqnArray {
        SqnArray::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_splits_into_seq_and_ind_and_back() {
        let sqn = Sqn::from_octets([0xff, 0x9b, 0xb4, 0xd0, 0xb6, 0x07]);
        assert_eq!(sqn.octets(), [0xff, 0x9b, 0xb4, 0xd0, 0xb6, 0x07]);
        assert_eq!(Sqn::from_parts(sqn.seq(), sqn.ind()), sqn);
        assert_eq!(sqn.ind(), 7);
        assert_eq!(Sqn::new(1 << 48), None);
    }

    #[test]
    fn the_next_number_grows_in_seq_while_ind_cycles() {
        let last_ind = Sqn::from_parts(9, 31);
        assert_eq!(last_ind.next(), Sqn::from_parts(10, 0));
        assert_eq!(Sqn::default().after(33), Sqn::from_parts(33, 1));
        assert_eq!((0..5).fold(last_ind, |sqn, _| sqn.next()), last_ind.after(5));
    }

    #[test]
    fn numbers_out_of_order_are_accepted_once_each() {
        let mut array = SqnArray::new();
        let numbers: Vec<Sqn> = (1..=5).map(|steps| Sqn::default().after(steps)).collect();
        for n in [4, 0, 2, 1, 3] {
            assert!(array.accept(numbers[n]), "number {n}");
        }
        assert!(numbers.iter().all(|sqn| !array.clone().accept(*sqn)), "a replay is refused");
        assert_eq!(array.highest(), numbers[4]);
    }

    #[test]
    fn an_older_number_of_the_same_index_is_refused() {
        let mut array = SqnArray::new();
        assert!(array.accept(Sqn::from_parts(40, 3)));
        assert!(!array.accept(Sqn::from_parts(39, 3)));
        assert!(array.accept(Sqn::from_parts(39, 4)));
    }

    #[test]
    fn a_jump_beyond_delta_is_refused_and_one_of_delta_is_not() {
        let mut array = SqnArray::new();
        assert!(!array.accept(Sqn::from_parts(SqnArray::DELTA + 1, 0)));
        assert!(array.accept(Sqn::from_parts(SqnArray::DELTA, 0)));
    }

    #[test]
    fn a_number_beyond_the_age_limit_is_refused() {
        let mut array = SqnArray::with_age_limit(10);
        assert!(array.accept(Sqn::from_parts(100, 0)));
        assert!(!array.accept(Sqn::from_parts(89, 1)));
        assert!(array.accept(Sqn::from_parts(90, 1)));
    }

    #[test]
    fn after_auts_the_home_network_takes_the_cards_number_unless_its_own_is_good() {
        let card = Sqn::from_parts(1000, 4);
        assert_eq!(Sqn::from_parts(3, 3).resynchronised(card), card, "ours is behind");
        assert_eq!(Sqn::from_parts(1000 + (1 << 29), 3).resynchronised(card), card, "ours is too far ahead");
        let ours = Sqn::from_parts(1005, 9);
        assert_eq!(ours.resynchronised(card), ours);
    }
}
