//! What is known besides what was recorded: the subscribers, and the name of the home network.

/// Identities of subscribers, and the domain of the network.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The domain of the home network; empty where it is not known.
    pub domain: String,
    /// The identities of the subscribers.
    pub identities: Vec<KnownIdentity>,
}

/// One identity of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownIdentity {
    /// A private or a public identity.
    pub identity: String,
    /// Whether what is stored as OPc of this private identity is stored for other keys, too: then it is an OP, because
    /// an OPc is derived from the key (TS 35.206 §8.1) and no two cards have the same.
    pub shares_opc: bool,
}

impl Known {
    /// The identity that is most like another one, if one is at all like it.
    pub fn nearest(&self, identity: &str) -> Option<&str> {
        let wanted = bare(identity);
        let distance = |known: &&KnownIdentity| distance(bare(&known.identity), wanted);
        let nearest = self.identities.iter().min_by_key(distance)?;
        (distance(&nearest) <= NEAR_MAX && bare(&nearest.identity) != wanted)
            .then_some(nearest.identity.as_str())
    }

    /// Whether the OPc stored for a private identity is stored for others.
    pub fn shares_opc(&self, impi: &str) -> bool {
        self.identities.iter().any(|known| known.shares_opc && known.identity == impi)
    }
}

fn bare(identity: &str) -> &str {
    let rest = ["sip:", "sips:", "tel:"].iter().find_map(|scheme| identity.strip_prefix(scheme));
    rest.unwrap_or(identity)
}

/// How many characters must be changed, left out or put in (Levenshtein); beyond a bound, the bound.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > NEAR_MAX || a.len().max(b.len()) > IDENTITY_MAX {
        return NEAR_MAX + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = corner + usize::from(from != to);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// An identity that differs in more characters is another one.
const NEAR_MAX: usize = 3;
/// Longer identities are compared with nothing.
const IDENTITY_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(identities: &[&str]) -> Known {
        let identity =
            |identity: &&str| KnownIdentity { identity: (*identity).to_owned(), shares_opc: false };
        Known { identities: identities.iter().map(identity).collect(), ..Known::default() }
    }

    #[test]
    fn the_nearest_identity_is_named_and_a_stranger_has_none() {
        let known =
            known(&["sip:+49301000001@home.net", "sip:+49301000002@home.net", "001010000000001@home.net"]);
        for (asked, nearest) in [
            ("sip:+49301000003@home.net", Some("sip:+49301000001@home.net")),
            ("sip:+4930100002@home.net", Some("sip:+49301000002@home.net")),
            ("00101000000001@home.net", Some("001010000000001@home.net")),
            ("sip:someone@elsewhere.example", None),
            ("", None),
        ] {
            assert_eq!(known.nearest(asked), nearest, "{asked}");
        }
    }

    #[test]
    fn the_distance_is_the_number_of_changes() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "abd", 1), ("abc", "ab", 1), ("abc", "bc", 1), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
