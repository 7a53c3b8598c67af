//! TUAK against the six test sets of TS 35.233: every length of key, MAC, RES, CK and IK, and two iterations.

use ims_aka::tuak::Length;
use ims_aka::{Key, Top, Tuak, TuakKey, TuakLengths};

struct Set {
    k: &'static str,
    rand: &'static str,
    sqn: &'static str,
    amf: &'static str,
    top: &'static str,
    iterations: u32,
    topc: &'static str,
    f1: &'static str,
    f1_star: &'static str,
    f2: &'static str,
    f3: &'static str,
    f4: &'static str,
    f5: &'static str,
    f5_star: &'static str,
}

const SETS: [Set; 6] = [
    Set {
        k: "abababababababababababababababab",
        rand: "42424242424242424242424242424242",
        sqn: "111111111111",
        amf: "ffff",
        top: "5555555555555555555555555555555555555555555555555555555555555555",
        iterations: 1,
        topc: "bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff",
        f1: "f9a54e6aeaa8618d",
        f1_star: "e94b4dc6c7297df3",
        f2: "657acd64",
        f3: "d71a1e5c6caffe986a26f783e5c78be1",
        f4: "be849fa2564f869aecee6f62d4337e72",
        f5: "719f1e9b9054",
        f5_star: "e7af6b3d0e38",
    },
    Set {
        k: "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0",
        rand: "0123456789abcdef0123456789abcdef",
        sqn: "0123456789ab",
        amf: "abcd",
        top: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        iterations: 1,
        topc: "305425427e18c503c8a4b294ea72c95d0c36c6c6b29d0c65de5974d5977f8524",
        f1: "c0b8c2d4148ec7aa5f1d78a97e4d1d58",
        f1_star: "ef81af7290f7842c6ceafa537fa0745b",
        f2: "e9d749dc4eea0035",
        f3: "a4cb6f6529ab17f8337f27baa8234d47",
        f4: "2274155ccf4199d5e2abcbf621907f90",
        f5: "480a9345cc1e",
        f5_star: "f84eb338848c",
    },
    Set {
        k: "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0",
        rand: "0123456789abcdef0123456789abcdef",
        sqn: "0123456789ab",
        amf: "abcd",
        top: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        iterations: 1,
        topc: "305425427e18c503c8a4b294ea72c95d0c36c6c6b29d0c65de5974d5977f8524",
        f1: "d97b75a1776065271b1e212bc3b1bf173f438b21e6c64a55a96c372e085e5cc5",
        f1_star: "427bbf07c6e3a86c54f8c5216499f3909a6fd4a164c9fe235b1550258111b821",
        f2: "07021c73e7635c7d",
        f3: "4d59ac796834eb85d11fa148a5058c3c",
        f4: "126d47500136fdc5ddfd14f19ebf16749ce4b6435323fbb5715a3a796a6082bd",
        f5: "1d6622c4e59a",
        f5_star: "f84eb338848c",
    },
    Set {
        k: "b8da837a50652d6ac7c97da14f6acc61",
        rand: "6887e55425a966bd86c9661a5fa72be8",
        sqn: "0dea2ee2c5af",
        amf: "df1e",
        top: "0952be13556c32ebc58195d9dd930493e12a9003669988ffde5fa1f0fe35cc01",
        iterations: 1,
        topc: "2bc16eb657a68e1f446f08f57c0efb1d493527a2e652ce281eb6ca0e4487760a",
        f1: "749214087958dd8f58bfcdf869d8ae3f",
        f1_star: "619e865afe80e382aee13063f9dfb56d",
        f2: "4041ce438e3e38e8aa96562eed83ac43",
        f3: "3e3bc01bea0cd914c4c2c83ce2d92757",
        f4: "666a8e6f577b1aa77b7fd53cebb8a3d6",
        f5: "1f880d005119",
        f5_star: "45e617d77fe5",
    },
    Set {
        k: "1574ca56881d05c189c82880f789c9cd4244955f4426aa2b69c29f15770e5aa5",
        rand: "c570aac68cde651fb1e3088322498bef",
        sqn: "c89bb71f3a41",
        amf: "297d",
        top: "e59f6eb10ea406813f4991b0b9e02f181edf4c7e17b480f66d34da35ee88c95e",
        iterations: 1,
        topc: "3c6052e41532a28a47aa3cbb89f223e8f3aaa976aecd48bc3e7d6165a55eff62",
        f1: "d7340dad02b4cb01",
        f1_star: "c6021e2e66accb15",
        f2: "84d89b41db1867ffd4c7ba1d82163f4d526a20fbae5418fbb526940b1eeb905c",
        f3: "d419676afe5ab58c1d8bee0d43523a4d2f52ef0b31a4676a0c334427a988fe65",
        f4: "205533e505661b61d05cc0eac87818f4",
        f5: "d7b3d2d4980a",
        f5_star: "ca9655264986",
    },
    Set {
        k: "1574ca56881d05c189c82880f789c9cd4244955f4426aa2b69c29f15770e5aa5",
        rand: "c570aac68cde651fb1e3088322498bef",
        sqn: "c89bb71f3a41",
        amf: "297d",
        top: "e59f6eb10ea406813f4991b0b9e02f181edf4c7e17b480f66d34da35ee88c95e",
        iterations: 2,
        topc: "b04a66f26c62fcd6c82de22a179ab65506ecf47f56245cd149966cfa9cec7a51",
        f1: "90d2289ed1ca1c3dbc2247bb480d431ac71d2e4a7677f6e997cfddb0cbad88b7",
        f1_star: "427355dbac30e825063aba61b556e87583abac638e3ab01c4c884ad9d458dc2f",
        f2: "d67e6e64590d22eecba7324afa4af4460c93f01b24506d6e12047d789a94c867",
        f3: "ede57edfc57cdffe1aae75066a1b7479bbc3837438e88d37a801cccc9f972b89",
        f4: "48ed9299126e5057402fe01f9201cf25249f9c5c0ed2afcf084755daff1d3999",
        f5: "6aae8d18c448",
        f5_star: "8c5f33b61f4e",
    },
];

fn octets<const N: usize>(digits: &str) -> [u8; N] {
    *Key::<N>::from_hex(digits).expect("digits of a test set").expose()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn length(digits: &str) -> Length {
    [Length::Bits32, Length::Bits64, Length::Bits128, Length::Bits256]
        .into_iter()
        .find(|length| length.octets() * 2 == digits.len())
        .expect("a length of TUAK")
}

fn key(digits: &str) -> TuakKey {
    match digits.len() {
        32 => TuakKey::K128(Key::from_hex(digits).expect("digits of a test set")),
        _ => TuakKey::K256(Key::from_hex(digits).expect("digits of a test set")),
    }
}

#[test]
fn the_test_sets_of_ts_35_233_give_their_outputs() {
    for (n, set) in SETS.iter().enumerate() {
        let topc = Tuak::topc(&key(set.k), &Top(Key::from_hex(set.top).unwrap()), set.iterations);
        assert_eq!(topc.0.expose_hex(), set.topc, "TOPc of set {}", n + 1);

        let lengths =
            TuakLengths { mac: length(set.f1), res: length(set.f2), ck: length(set.f3), ik: length(set.f4) };
        let tuak = Tuak::new(key(set.k), topc, set.iterations, lengths);
        let (rand, sqn, amf) = (octets(set.rand), octets(set.sqn), octets(set.amf));
        let (mac_a, mac_s) = (tuak.f1(&rand, sqn, amf), tuak.f1_star(&rand, sqn, amf));
        let outputs = tuak.f2345(&rand);
        assert_eq!(hex(&mac_a[..lengths.mac.octets()]), set.f1, "f1 of set {}", n + 1);
        assert_eq!(hex(&mac_s[..lengths.mac.octets()]), set.f1_star, "f1* of set {}", n + 1);
        assert_eq!(hex(outputs.res.expose()), set.f2, "f2 of set {}", n + 1);
        assert_eq!(hex(&outputs.ck), set.f3, "f3 of set {}", n + 1);
        assert_eq!(hex(&outputs.ik), set.f4, "f4 of set {}", n + 1);
        assert_eq!(outputs.ak.expose_hex(), set.f5, "f5 of set {}", n + 1);
        assert_eq!(tuak.f5_star(&rand).expose_hex(), set.f5_star, "f5* of set {}", n + 1);
    }
}

#[test]
fn no_permutation_at_all_is_never_a_choice() {
    let top = Top(Key::new([0x55; 32]));
    let k = key(SETS[0].k);
    assert_eq!(Tuak::topc(&k, &top, 0), Tuak::topc(&k, &top, 1));
}
