//! GRUUs: URIs that name one device of a user, assigned at registration (RFC 5627, TS 24.229 §5.4.7A).
//!
//! Nothing is kept for them. A public one is the identity and what stands for the instance id; a temporary one is a sealed
//! block that names the identity, the instance and the Call-ID of the registration by hashes: it is good as long as a contact
//! of that instance has that Call-ID (RFC 5627 §3.2), and looks like no other of the same user.

use super::binding::Binding;
use super::implicit_set::Identity;
use super::register::Register;
use super::registrations::Registrations;
use crate::role::Scscf;
use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use ambient::entropy::KeyedState;
use cscf::Turn;
use cscf::bucket::{Bucket, SHARDS_MAX, TokenKey, base32, unbase32};
use cscf::gruu::Mark;
use cscf::identity::Impu;
use sha1::{Digest, Sha1};
use sip_core::uri::unescape;
use std::fmt::Write;
use std::hash::BuildHasher;

/// The name space from which the names of phones are made, so that nobody learns an IMEI from a GRUU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameSpace([u8; 16]);

impl NameSpace {
    /// That of a home network: the same in all of its S-CSCFs, for a public GRUU is the same at each registration.
    pub fn of(domain: &str) -> NameSpace {
        /// Of domain names (RFC 9562 §6.6).
        const DNS: [u8; 16] =
            [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        NameSpace(named(DNS, domain.to_ascii_lowercase().as_bytes()))
    }
}

/// A UUID by name (RFC 9562 §5.5).
fn named(space: [u8; 16], name: &[u8]) -> [u8; 16] {
    let digest = Sha1::new().chain_update(space).chain_update(name).finalize();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x50;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// The value of `gr` that stands for an instance id (TS 24.229 §5.4.7A.2): the id itself, or a UUID for an IMEI.
pub fn gr(instance: &[u8], space: NameSpace) -> String {
    let urn = instance.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).unwrap_or(instance);
    let is_imei = [&b"urn:gsma:imei:"[..], b"urn:gsma:imeisv:", b"urn:device:meid:"]
        .iter()
        .any(|kind| urn.get(..kind.len()).is_some_and(|head| head.eq_ignore_ascii_case(kind)));
    let mut text = String::with_capacity(urn.len().max(45));
    if is_imei {
        text.push_str("urn:uuid:");
        for (at, byte) in named(space.0, &urn.to_ascii_lowercase()).into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            // Text takes every write.
            let _ = write!(text, "{byte:02x}");
        }
        return text;
    }
    for byte in urn {
        match byte {
            // RFC 3261 §25.1: unreserved and param-unreserved.
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'!'
            | b'~'
            | b'*'
            | b'\''
            | b'('
            | b')'
            | b'['
            | b']'
            | b'/'
            | b':'
            | b'&'
            | b'+'
            | b'$' => text.push(char::from(*byte)),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

/// Whether a contact is of the instance that the `gr` of a public GRUU names.
pub fn is_named(binding: &Binding, wanted: &[u8], space: NameSpace) -> bool {
    let instance = binding.texts().instance;
    !instance.is_empty() && unescape(gr(instance, space).as_bytes()).eq_ignore_ascii_case(&unescape(wanted))
}

/// The GRUUs that a 200 tells of (RFC 5627 §5.3).
#[derive(Debug)]
pub struct Gruus {
    /// The identity that they are of, a SIP URI.
    pub aor: String,
    /// From which names of phones are made.
    pub space: NameSpace,
    /// The instance that registers, and its new temporary one.
    pub latest: (Box<[u8]>, String),
}

impl Gruus {
    /// The public one of a contact.
    pub fn public(&self, binding: &Binding) -> String {
        public(&self.aor, binding, self.space)
    }

    /// The temporary one of a contact of the instance that registers.
    pub fn temporary(&self, binding: &Binding) -> Option<&str> {
        (*self.latest.0 == *binding.texts().instance).then_some(&*self.latest.1)
    }
}

/// The public GRUU of a contact of an identity (RFC 5627 §3.1).
pub fn public(aor: &str, binding: &Binding, space: NameSpace) -> String {
    format!("{aor};gr={}", gr(binding.texts().instance, space))
}

impl Scscf {
    /// The GRUUs for the 200 to a REGISTER whose UE asks for some (TS 24.229 §5.4.7A.4).
    pub(super) fn gruus(&self, turn: &mut Turn<'_, Scscf>, register: &Register) -> Option<Gruus> {
        if !register.origin.wants_gruu {
            return None;
        }
        let (_, registration) = self.registrations.find(&register.impu)?;
        let contact = register.contacts().iter().find(|contact| contact.expires_s > 0)?;
        let is_own = |binding: &&Binding| {
            binding.has_gruu()
                && binding.is_of(register.impi())
                && binding.texts().instance == &contact.instance[..]
        };
        let binding = registration.ordinary().find(is_own)?;
        // A barred identity is called by nobody, and a number has no parameters of a URI.
        let is_callable = |identity: &&Identity| identity.as_str().starts_with("sip:");
        let is_named = |identity: &&Identity| identity.canonical() == Some(register.impu.as_str());
        let named = registration.set.associated().filter(is_callable).find(is_named);
        let named = named.or_else(|| registration.set.associated().find(is_callable))?;
        Some(Gruus {
            aor: named.as_str().to_owned(),
            space: self.gruu_space,
            latest: (
                binding.texts().instance.into(),
                temporary(turn, self.gruu_mark, (named, registration.home), binding)?,
            ),
        })
    }
}

/// A new temporary GRUU of a contact of an identity; a number has none.
pub fn temporary(
    turn: &mut Turn<'_, Scscf>,
    mark: Mark,
    (identity, home): (&Identity, Bucket),
    binding: &Binding,
) -> Option<String> {
    let impu = Impu::parse(identity.as_str().as_bytes())?;
    let domain = impu.host().filter(|_| identity.as_str().starts_with("sip:"))?;
    let device = Device::of(identity.canonical()?, binding);
    let chance = turn.entropy().next_u64();
    let bucket = own_bucket(turn, home, chance);
    let token = Sealer::new(turn.token_key()).seal(device, mark, bucket, chance as u32);
    Some(format!("sip:{token}@{domain};gr"))
}

/// A bucket of this shard that tells nothing of the user: the one of the registration names one user in four thousand.
fn own_bucket(turn: &Turn<'_, Scscf>, home: Bucket, chance: u64) -> Bucket {
    let numbers = (chance >> 48) as u16;
    let near = (0..SHARDS_MAX).map(|step| Bucket::new(numbers.wrapping_add(step)));
    near.into_iter().find(|bucket| turn.owns(*bucket)).unwrap_or(home)
}

/// Makes and opens temporary GRUUs.
#[derive(Clone, Copy, Debug)]
pub struct Sealer<'k> {
    key: &'k TokenKey,
}

/// What a temporary GRUU names: hashes of the identity, the instance and the Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    impu: u32,
    instance: u32,
    call_id: u32,
}

impl Device {
    /// The device behind a contact of an identity.
    pub fn of(impu: &str, binding: &Binding) -> Device {
        let texts = binding.texts();
        Device { impu: hash(impu.as_bytes()), instance: hash(texts.instance), call_id: hash(texts.call_id) }
    }

    /// Whether a contact is of this instance.
    pub fn has(&self, binding: &Binding) -> bool {
        let instance = binding.texts().instance;
        !instance.is_empty() && hash(instance) == self.instance
    }

    /// The identity that is meant, while the Call-ID is that of a contact of the instance.
    pub fn find(&self, registrations: &Registrations) -> Option<Impu> {
        registrations.by_hash(self.impu).find_map(|(_, registration)| {
            let mut named = registration.set.identities().iter().filter_map(Identity::canonical);
            let impu = named.find(|impu| hash(impu.as_bytes()) == self.impu)?;
            let is_current = |binding: &&Binding| hash(binding.texts().call_id) == self.call_id;
            registration.ordinary().filter(|binding| self.has(binding)).find(is_current)?;
            Impu::parse(impu.as_bytes())
        })
    }
}

/// As the index of registrations has it. What it is made of is sealed: nobody chooses what collides.
fn hash(text: &[u8]) -> u32 {
    match std::str::from_utf8(text) {
        Ok(text) => super::index::hash(text),
        Err(_) => KeyedState::from_key((0x6772_7575, 1)).hash_one(text) as u32,
    }
}

/// What a token begins with that is a temporary GRUU.
const KIND: u8 = b'g';
/// Characters behind the kind: the mark of the S-CSCF, and 128 bits.
const MARK_CHARS: usize = 4;
const WORDS: [(u32, usize); 3] = [(60, 12), (60, 12), (10, 2)];

impl<'k> Sealer<'k> {
    /// By the key of the deployment, which is in the store: a GRUU outlives a restart.
    pub fn new(key: &'k TokenKey) -> Sealer<'k> {
        Sealer { key }
    }

    fn cipher(&self) -> Aes128 {
        Aes128::new(&self.key.derive(b"temporary gruu").into())
    }

    /// The user part of a new one; `chance` makes it differ from all others.
    pub fn seal(&self, device: Device, mark: Mark, bucket: Bucket, chance: u32) -> String {
        let Device { impu, instance, call_id } = device;
        let mut block = [0; 16];
        for (part, word) in block.chunks_exact_mut(4).zip([chance, impu, instance, call_id]) {
            part.copy_from_slice(&word.to_be_bytes());
        }
        let mut sealed = block.into();
        self.cipher().encrypt_block(&mut sealed);
        let sealed = u128::from_be_bytes(sealed.into());
        let minted = self.key.mint_with(bucket, |token| {
            token.push(KIND);
            mark.write(token);
            base32((sealed >> 68) as u64 & LOW_60, 60, token);
            base32((sealed >> 8) as u64 & LOW_60, 60, token);
            base32(sealed as u64 & 0xff, 10, token);
        });
        minted.as_str().to_owned()
    }

    /// What the user part of one names; `None` for any that is not ours.
    pub fn open(&self, user: &[u8]) -> Option<Device> {
        let (_, payload) = self.key.open(user)?;
        let rest = payload.as_bytes().strip_prefix(&[KIND])?.get(MARK_CHARS..)?;
        let (mut rest, mut words) = (rest, [0_u128; 3]);
        for (word, (_, chars)) in words.iter_mut().zip(WORDS) {
            let (text, left) = rest.split_at_checked(chars)?;
            *word = u128::from(unbase32(text)?);
            rest = left;
        }
        if !rest.is_empty() {
            return None;
        }
        let sealed = words[0] << 68 | words[1] << 8 | words[2] & 0xff;
        let mut block = sealed.to_be_bytes().into();
        self.cipher().decrypt_block(&mut block);
        let block = u128::from_be_bytes(block.into());
        Some(Device { impu: (block >> 64) as u32, instance: (block >> 32) as u32, call_id: block as u32 })
    }
}

const LOW_60: u64 = (1 << 60) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use ambient::{Entropy, Instant};

    fn bound(instance: &str, call_id: &str) -> Binding {
        let texts = super::super::binding::Texts {
            impi: b"alice@home1.net",
            uri: b"sip:alice@10.0.0.1",
            instance: instance.as_bytes(),
            call_id: call_id.as_bytes(),
            ..Default::default()
        };
        Binding::new(texts, 1000, None, 1, Instant::START)
    }

    #[test]
    fn an_instance_is_named_by_itself_and_an_imei_by_a_uuid_that_is_always_the_same() {
        let space = NameSpace::of("home1.net");
        let uuid = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
        assert_eq!(gr(format!("<{uuid}>").as_bytes(), space), uuid);
        assert_eq!(gr(b"<urn:x:a b;c>", space), "urn:x:a%20b%3Bc");
        let imei = gr(b"<urn:gsma:imei:35332411-091032-0>", space);
        assert!(imei.starts_with("urn:uuid:") && imei.len() == 45 && &imei[23..24] == "5", "{imei}");
        assert!(!imei.contains("35332411"), "{imei}");
        assert_eq!(gr(b"<URN:GSMA:IMEI:35332411-091032-0>", space), imei);
        assert_ne!(gr(b"<urn:gsma:imei:35332411-091032-0>", NameSpace::of("home2.net")), imei);
        assert!(is_named(&bound(&format!("<{uuid}>"), "c"), uuid.to_uppercase().as_bytes(), space));
        assert!(!is_named(&bound("", "c"), b"", space));
    }

    /// RFC 9562 §A.4.
    #[test]
    fn a_uuid_by_name_is_the_one_of_the_specification() {
        let dns =
            [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        let uuid = named(dns, b"www.example.com");
        assert_eq!(u128::from_be_bytes(uuid), 0x2ed6657d_e927_568b_95e1_2665a8aea6a2);
    }

    #[test]
    fn a_temporary_gruu_opens_with_its_own_key_and_no_two_look_alike() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        let sealer = Sealer::new(&key);
        let device = Device::of("sip:alice@home1.net", &bound("<urn:uuid:1>", "c1"));
        let mark = Mark::of("sip:scscf.home1.net:6060");
        let one = sealer.seal(device, mark, Bucket::new(7), 1);
        let other = sealer.seal(device, mark, Bucket::new(9), 2);
        assert_eq!(
            (sealer.open(one.as_bytes()), sealer.open(other.as_bytes())),
            (Some(device), Some(device))
        );
        assert_ne!(one[8..34], other[8..34]);
        assert_eq!(Mark::read(one.as_bytes()), Some(mark));
        let stranger = TokenKey::new(&mut Entropy::seeded(2));
        assert_eq!(Sealer::new(&stranger).open(one.as_bytes()), None);
        let token = key.mint(Bucket::new(7), "s");
        assert_eq!(sealer.open(token.as_bytes()), None, "a token of ours for something else");
    }
}
