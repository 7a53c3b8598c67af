//! A document in two parts: who it is about, and what they subscribe to. Most users of an operator have the second part
//! in common to the octet, so that whoever has read it once need not read it again.

use super::element::OCTETS_MAX;
use super::{ImsSubscription, parse};

/// User-Data of one service profile, cut behind its last public identity and behind the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'x> {
    head: &'x str,
    /// What stands behind the identities, to the end of the profile. Two documents that can be split and have it in
    /// common have the same services.
    pub services: &'x str,
    /// What belongs to the subscription: the IMSI, and the end of the document.
    tail: &'x str,
}

/// Cuts a document; `None` when it is not written so that it can be cut without being read: several service profiles,
/// comments, sections, prefixes of namespaces.
pub fn split(xml: &[u8]) -> Option<Split<'_>> {
    let text = std::str::from_utf8(xml).ok().filter(|text| text.len() <= OCTETS_MAX)?;
    let body = text.strip_prefix("<?xml").unwrap_or(text);
    // Nothing in which markup could be hidden.
    if body.contains("<!") || body.contains("<?") || body.matches("ServiceProfile").count() != 2 {
        return None;
    }
    let end = text.rfind(LAST_IDENTITY)? + LAST_IDENTITY.len();
    let (head, rest) = text.split_at(end);
    let (services, tail) = rest.split_at(rest.find(PROFILE_END)?);
    // An identity whose end is written in another way.
    let has_more = rest.contains("PublicIdentity");
    (!has_more && head.contains("<ServiceProfile>")).then_some(Split { head, services, tail })
}

impl Split<'_> {
    /// The subscription with its identities and without its services; `None` when the document has services, or what
    /// belongs to the subscription, at another place than behind the identities.
    pub fn identities(&self) -> Option<ImsSubscription> {
        let document = [self.head, self.tail].concat();
        // The tail closes what was open at the cut, or the document was cut at another place than it seemed.
        let subscription = parse(document.as_bytes()).ok()?;
        let [profile] = &subscription.service_profiles[..] else { return None };
        let is_bare = profile.core_network_services.is_none()
            && profile.filter_criteria.is_empty()
            && profile.shared_ifc_set_ids.is_empty();
        is_bare.then_some(subscription)
    }
}

const LAST_IDENTITY: &str = "</PublicIdentity>";
const PROFILE_END: &str = "</ServiceProfile>";

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITIES: &str = "<PublicIdentity><Identity>sip:alice@h</Identity></PublicIdentity>\
        <PublicIdentity><BarringIndication>1</BarringIndication><Identity>sip:imsi@h</Identity></PublicIdentity>";
    const CRITERIA: &str = "<InitialFilterCriteria><Priority>1</Priority><ApplicationServer>\
        <ServerName>sip:as</ServerName></ApplicationServer></InitialFilterCriteria>";

    fn document(profile: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><IMSSubscription><PrivateID>alice@h</PrivateID><ServiceProfile>{profile}\
             </ServiceProfile></IMSSubscription>"
        )
    }

    #[test]
    fn a_document_is_cut_behind_its_identities_and_both_parts_say_what_the_whole_says() {
        let whole = document(&format!("{IDENTITIES}{CRITERIA}"));
        let split = split(whole.as_bytes()).unwrap();
        assert_eq!(split.services, CRITERIA);
        let (cut, read) = (split.identities().unwrap(), parse(whole.as_bytes()).unwrap());
        assert_eq!(cut.private_id, read.private_id);
        assert_eq!(cut.service_profiles[0].public_identities, read.service_profiles[0].public_identities);
    }

    #[test]
    fn what_belongs_to_the_subscription_is_not_of_the_services() {
        let whole = document(&format!("{IDENTITIES}{CRITERIA}"));
        let of = |imsi: &str| {
            let extension = format!("</ServiceProfile><Extension><IMSI>{imsi}</IMSI></Extension>");
            whole.replace("</ServiceProfile>", &extension)
        };
        let (one, other) = (of("001010000000001"), of("001010000000002"));
        let (one, other) = (split(one.as_bytes()).unwrap(), split(other.as_bytes()).unwrap());
        assert_eq!(one.services, other.services);
        assert_eq!(one.identities().unwrap().imsi.as_deref(), Some("001010000000001"));
        assert_eq!(other.identities().unwrap().imsi.as_deref(), Some("001010000000002"));
    }

    #[test]
    fn a_document_in_which_the_cut_could_be_wrong_is_not_cut() {
        let whole = document(&format!("{IDENTITIES}{CRITERIA}"));
        for (from, to) in [
            ("<PrivateID>", "<!-- x --><PrivateID>"),
            ("sip:as", "<![CDATA[</PublicIdentity>]]>"),
            ("<PrivateID>", "<?x y?><PrivateID>"),
            ("</ServiceProfile>", "</ServiceProfile><ServiceProfile></ServiceProfile>"),
            ("ServiceProfile>", "c:ServiceProfile>"),
            ("PublicIdentity>", "c:PublicIdentity>"),
            ("<InitialFilterCriteria>", "<c:PublicIdentity></c:PublicIdentity><InitialFilterCriteria>"),
            ("sip:as", "ServiceProfile"),
        ] {
            assert!(whole.contains(from), "{from}");
            assert_eq!(split(whole.replace(from, to).as_bytes()), None, "{to}");
        }
        assert_eq!(split(b"<IMSSubscription>\xff"), None);
    }

    #[test]
    fn services_before_the_identities_or_an_identity_inside_of_something_else_are_seen() {
        for profile in [
            format!("{CRITERIA}{IDENTITIES}"),
            format!("{IDENTITIES}<Extension>{IDENTITIES}</Extension>"),
            format!("<Extension>{IDENTITIES}</Extension>{CRITERIA}"),
        ] {
            let whole = document(&profile);
            let split = split(whole.as_bytes()).unwrap();
            assert_eq!(split.identities(), None, "{profile}");
        }
    }
}
