//! Who is registered, for an operator.

use super::registrations::Registrations;
use ambient::Instant;

/// Lines of one reply: an operator of more users asks the HSS about one of them.
const LINES_MAX: usize = 1000;

/// A line for each contact: identity, private identity, contact, seconds left, and the Path with commas.
pub fn lines(registrations: &Registrations, now: Instant) -> Vec<String> {
    let mut lines: Vec<String> = registrations
        .iter()
        .flat_map(|(_, registration)| {
            registration.bindings.iter().map(move |binding| (registration, binding))
        })
        .take(LINES_MAX)
        .map(|(registration, binding)| {
            let identity = registration.default_identity();
            let path: Vec<_> = binding.path().map(one_word).collect();
            format!(
                "{} {} {} {} {}",
                identity.as_ref().map_or("-", |impu| impu.as_str()),
                one_word(binding.impi().as_str().as_bytes()),
                one_word(binding.uri()),
                binding.expires_at.since(now).as_secs(),
                if path.is_empty() { "-".to_owned() } else { path.join(",") },
            )
        })
        .collect();
    lines.sort();
    lines
}

/// What a UE wrote, without what would end a word.
fn one_word(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.chars().map(|c| if c.is_whitespace() || c.is_control() || c == ',' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ue_wrote_stays_one_word() {
        assert_eq!(one_word(b"sip:a@h;x=\"b c,d\"\n"), "sip:a@h;x=\"b_c_d\"_");
    }
}
