//! The targets by name.

use crate::network;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// Something that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line, and of its folder in the corpus.
    pub name: &'static str,
    /// Feeds it once; gives a number that differs where it behaved differently.
    pub run: fn(&[u8]) -> u64,
}

/// Every target.
pub const ALL: &[Target] = &[
    Target { name: "sip", run: sip },
    Target { name: "sdp", run: sdp },
    Target { name: "stream", run: stream },
    Target { name: "stun", run: stun },
    Target { name: "diameter", run: diameter },
    Target { name: "xml", run: xml },
    Target { name: "expression", run: scscf::criteria::expression::fuzz_expression },
    Target { name: "pcscf", run: network::pcscf },
    Target { name: "icscf", run: network::icscf },
    Target { name: "scscf", run: network::scscf },
];

/// The target of this name.
pub fn by_name(name: &str) -> Option<Target> {
    ALL.iter().find(|target| target.name == name).copied()
}

impl Target {
    /// Where its inputs lie.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// The inputs in its folder, by name; those of the SIP parser serve the stream too.
    pub fn corpus(&self) -> Vec<(String, Vec<u8>)> {
        let mut folders = vec![self.folder()];
        if matches!(self.name, "sip" | "stream") {
            folders.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/sip"));
            folders.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sip-core/tests/torture"));
        }
        folders.dedup();
        let mut found: Vec<_> = folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some((name, std::fs::read(path).ok()?))
            })
            .filter(|(name, _)| !name.starts_with('.') && !name.ends_with(".md"))
            .collect();
        found.sort();
        found
    }
}

/// A number for whatever can be hashed.
pub fn signature(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn sip(data: &[u8]) -> u64 {
    sip_core::fuzz::fuzz_message(data);
    match sip_core::Message::parse(data.to_vec(), &sip_core::Limits::default()) {
        Ok(message) => signature(message.check().map_err(|error| error.to_string())),
        Err(error) => signature(error.reason.label()),
    }
}

fn sdp(data: &[u8]) -> u64 {
    sip_core::fuzz::fuzz_sdp(data);
    signature(sip_core::sdp::Sdp::parse(data).map(|sdp| sdp.media().count().min(8)).ok())
}

fn stream(data: &[u8]) -> u64 {
    sip_core::fuzz::fuzz_stream(data);
    0
}

fn stun(data: &[u8]) -> u64 {
    cscf::stun::fuzz_stun(data);
    let from = std::net::SocketAddr::from(([192, 0, 2, 1], 5060));
    match cscf::stun::hear(data, from) {
        cscf::stun::Heard::Asked(answer) => signature((&answer[..4], answer.len())),
        other => signature(format!("{other:?}")),
    }
}

fn diameter(data: &[u8]) -> u64 {
    diameter_client::fuzz::fuzz_diameter(data);
    let Ok(message) = diameter_client::wire::Message::parse(data) else { return 0 };
    let asked = diameter_client::cx::decode_request(&message).map(|(_, request)| request.name()).ok();
    let answered = diameter_client::cx::decode_answer(&message).map(|(_, answer)| answer.result()).ok();
    signature((asked, format!("{answered:?}")))
}

fn xml(data: &[u8]) -> u64 {
    cscf::user_data::fuzz_user_data(data);
    for profile in cscf::user_data::parse(data).iter().flat_map(|subscription| &subscription.service_profiles)
    {
        let sets = scscf::criteria::SharedSets::default();
        let ids = &profile.shared_ifc_set_ids;
        let refused = scscf::criteria::Criteria::compile(&profile.filter_criteria, ids, &sets).is_err();
        let findings = scscf::criteria::lint::lint(profile);
        assert!(!refused || !findings.is_empty(), "what is refused is found");
    }
    // What is wrong, without the line and the words of the input.
    let words = |reason: String| reason.split_whitespace().take(2).collect::<String>();
    signature(cscf::user_data::parse(data).map(|_| ()).map_err(|error| words(error.reason)))
}
