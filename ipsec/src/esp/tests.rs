use super::*;
use crate::algorithm::{Algorithms, Encryption, Integrity};
use crate::keys::Keys;
use proptest::prelude::*;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn transform(algorithms: Algorithms) -> Arc<Transform> {
    let keys = Keys::derive(algorithms, [0x11; 16], [0x22; 16]);
    Arc::new(Transform::new(algorithms, &keys).expect("a pair that makes sense"))
}

fn ends(algorithms: Algorithms) -> (Outbound, Inbound) {
    let transform = transform(algorithms);
    let spi = Spi::new(0x1234_5678).expect("not reserved");
    (Outbound::new(spi, transform.clone(), &mut Entropy::seeded(1)), Inbound::new(transform))
}

fn seal(from: &mut Outbound, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    from.seal(&mut Entropy::seeded(9), 17, &[payload], &mut packet).expect("numbers are left");
    packet
}

struct Answer {
    key: &'static str,
    salt: &'static str,
    next_header: u8,
    plain: &'static str,
    packet: &'static str,
}

/// Test cases of draft-mcgrew-gcm-test-01 with keys of 128 bits and no extended sequence numbers.
const GCM: &[Answer] = &[
    Answer {
        key: "feffe9928665731c6d6a8f9467308308",
        salt: "cafebabe",
        next_header: 1,
        plain: "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100
                00010000000000000373697009637962657263697479 02646b000001 00010001",
        packet: "0000a5f80000000afacedbaddecaf888deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c
                 3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a",
    },
    Answer {
        key: "00000000000000000000000000000000",
        salt: "00000000",
        next_header: 1,
        plain: "4500003c99c500008001cb7a40679318010101010800075c02004400616263646566676869
                6a6b6c6d6e6f7071727374757677616263646566676869 01020201",
        packet: "000000000000000100000000000000004688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284
                 456476492719ffb64de7d9dca1e1d894bc3bd57873ed4d181d19d4d5c8c18af3f821d496eeb096e98ad2b69e4799c71d",
    },
    Answer {
        key: "7d773d00c144c525ac619d18c84a3f47",
        salt: "d9664267",
        next_header: 1,
        plain: "01020201",
        packet: "335467aeffffffff43457e9182443bc6437f866bcb3f699fe9b0822bac961c4504bef270",
    },
];

#[test]
fn aes_gcm_gives_the_packets_of_the_published_test_cases() {
    let algorithms = Algorithms { integrity: Integrity::Null, encryption: Encryption::AesGcm };
    for answer in GCM {
        let key = [octets(answer.key), octets(answer.salt)].concat();
        let transform = Transform::new(algorithms, &Keys::of(&[], &key)).expect("a key and a salt");
        let (plain, wanted) = (octets(answer.plain), octets(answer.packet));
        let padding = usize::from(plain[plain.len() - 2]);
        let payload = &plain[..plain.len() - TRAILER - padding];
        let spi = u32::from_be_bytes(*wanted.first_chunk().expect("an SPI"));
        let number = sequence(&wanted).expect("a sequence number");
        let mut packet = Vec::new();
        write(&transform, spi, number, &wanted[8..16], answer.next_header, &[payload], &mut packet);
        assert_eq!(packet, wanted);
        assert_eq!(transform.open(&mut packet).expect("its own ICV"), plain);
    }
}

/// RFC 3602 §4, cases 5 and 6, which have no ICV.
#[test]
fn aes_cbc_gives_the_packets_of_rfc_3602() {
    let cases = [
        (
            1,
            "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
             202122232425262728292a2b2c2d2e2f3031323334353637",
            "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849a4870b66cc6b9965
             330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d59
             13ac19b7cfbad4a6",
        ),
        (
            8,
            "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
            "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109689bb379d2d750c0
             d915dca346a89f75",
        ),
    ];
    let algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
    let keys = Keys::of(&[0; 20], &octets("90d382b410eeba7ad938c46cec1a82bf"));
    let transform = Transform::new(algorithms, &keys).expect("a pair that makes sense");
    for (number, payload, wanted) in cases {
        let (payload, wanted) = (octets(payload), octets(wanted));
        let mut packet = Vec::new();
        write(&transform, 0x4321, number, &wanted[8..24], 1, &[&payload], &mut packet);
        assert_eq!(packet[..wanted.len()], wanted);
        assert_eq!(packet.len(), wanted.len() + 12);
    }
}

#[test]
fn every_pair_opens_what_it_sealed_and_hides_it_if_it_encrypts() {
    for algorithms in Algorithms::ALL {
        let (mut from, mut to) = ends(algorithms);
        for length in 0..70 {
            let payload = b"REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org SIP/2.0\r\nVia: SIP/2.0/UDP";
            let mut packet = seal(&mut from, &payload[..length]);
            let is_seen = packet.windows(8).any(|window| window == b"REGISTER");
            assert_eq!(is_seen, length >= 8 && algorithms.encryption == Encryption::Null, "{algorithms}");
            let opened = to.open(&mut packet).expect("its own packet");
            assert_eq!((opened.next_header, opened.payload), (17, &payload[..length]), "{algorithms}");
            assert_eq!(opened.sequence as usize, length + 1);
        }
    }
}

#[test]
fn a_packet_with_one_bit_changed_has_a_bad_icv_wherever_the_bit_is() {
    for algorithms in Algorithms::ALL {
        let (mut from, mut to) = ends(algorithms);
        let packet = seal(&mut from, b"sip:alice@example.org");
        // The SPI has found the association; it is covered as well.
        for at in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert_eq!(to.open(&mut changed), Err(Refusal::BadIcv), "{algorithms}, bit {at}");
        }
        assert!(to.open(&mut packet.clone()).is_ok(), "{algorithms}: the forgeries moved the window");
    }
}

#[test]
fn a_packet_that_comes_twice_is_a_replay() {
    for algorithms in Algorithms::ALL {
        let (mut from, mut to) = ends(algorithms);
        let (first, second) = (seal(&mut from, b"first"), seal(&mut from, b"second"));
        assert!(to.open(&mut second.clone()).is_ok());
        assert!(to.open(&mut first.clone()).is_ok(), "late, but not too late");
        assert_eq!(to.open(&mut first.clone()), Err(Refusal::Replay));
        assert_eq!(to.open(&mut second.clone()), Err(Refusal::Replay));
    }
}

#[test]
fn the_key_of_another_registration_opens_nothing() {
    for algorithms in Algorithms::ALL {
        let (mut from, _) = ends(algorithms);
        let other = Keys::derive(algorithms, [0x12; 16], [0x23; 16]);
        let mut to = Inbound::new(Arc::new(Transform::new(algorithms, &other).expect("a pair")));
        assert_eq!(to.open(&mut seal(&mut from, b"hello")), Err(Refusal::BadIcv), "{algorithms}");
    }
}

#[test]
fn sequence_numbers_do_not_cycle() {
    let (mut from, mut to) = ends(Algorithms::ALL[0]);
    from.skip_to(u32::MAX - 1);
    assert!(to.open(&mut seal(&mut from, b"the last")).is_ok());
    let sealed = from.seal(&mut Entropy::seeded(1), 17, &[b"one more"], &mut Vec::new());
    assert_eq!(sealed, Err(SequenceExhausted));
}

/// TS 33.203 §6.2 gives all four associations one key: what must not repeat is the vector, over all of them and a restart.
#[test]
fn no_vector_of_a_counter_mode_repeats_over_a_set_and_a_restart() {
    for algorithms in [Algorithms::ALL[0], Algorithms::ALL[1]] {
        let transform = transform(algorithms);
        let mut seen = std::collections::BTreeSet::new();
        for process_start in 0..2 {
            let mut entropy = Entropy::seeded(process_start);
            for spi in [1001, 1002, 2001, 2002] {
                let spi = Spi::new(spi).expect("not reserved");
                let mut from = Outbound::new(spi, transform.clone(), &mut entropy);
                for _ in 0..1000 {
                    let packet = seal(&mut from, b"x");
                    assert!(seen.insert(packet[8..16].to_vec()), "{algorithms}");
                }
            }
        }
    }
}

#[test]
fn the_random_vectors_of_cbc_differ_from_packet_to_packet() {
    let algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
    let (mut from, _) = ends(algorithms);
    let (mut entropy, mut first, mut second) = (Entropy::seeded(3), Vec::new(), Vec::new());
    from.seal(&mut entropy, 17, &[b"same"], &mut first).expect("numbers are left");
    from.seal(&mut entropy, 17, &[b"same"], &mut second).expect("numbers are left");
    assert_ne!(first[8..24], second[8..24]);
}

#[test]
fn packets_without_room_for_their_parts_are_malformed() {
    for algorithms in Algorithms::ALL {
        let (mut from, mut to) = ends(algorithms);
        let packet = seal(&mut from, b"some payload");
        for length in 0..packet.len() {
            let mut cut = packet[..length].to_vec();
            let refused = to.open(&mut cut);
            assert!(matches!(refused, Err(Refusal::Malformed | Refusal::BadIcv)), "{algorithms} {length}");
        }
    }
}

/// An authentic sender may still lie about its padding.
#[test]
fn padding_longer_than_the_packet_is_malformed() {
    let transform = transform(Algorithms::ALL[4]);
    let mut packet = [0, 0, 1, 0, 0, 0, 0, 1, b'x', b'y', 200, 17].to_vec();
    transform.seal(&mut packet, 0);
    assert_eq!(Inbound::new(transform).open(&mut packet), Err(Refusal::Malformed));
}

proptest! {
    #[test]
    fn no_octets_from_the_network_panic(mut packet in prop::collection::vec(any::<u8>(), 0..200), pair in 0..8_usize) {
        let (_, mut to) = ends(Algorithms::ALL[pair]);
        prop_assert!(to.open(&mut packet).is_err());
    }

    #[test]
    fn no_authentic_octets_panic(text in prop::collection::vec(any::<u8>(), 0..12), pair in 0..8_usize, number in 1..u32::MAX) {
        let transform = transform(Algorithms::ALL[pair]);
        let mut packet = [&[0, 0, 1, 0][..], &number.to_be_bytes(), &[7; 16][..transform.iv_length()]].concat();
        for _ in 0..transform.block_length() {
            packet.extend_from_slice(&text);
        }
        transform.seal(&mut packet, 0);
        let plain = text.repeat(transform.block_length());
        let fits = plain.len() >= TRAILER && usize::from(plain[plain.len() - 2]) + TRAILER <= plain.len();
        prop_assert_eq!(Inbound::new(transform).open(&mut packet).is_ok(), fits);
    }
}
