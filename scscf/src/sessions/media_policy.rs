//! Which media a user has subscribed to: an offer of others is refused (TS 24.229 §6.3, TS 29.228 §B.2.1).
//!
//! The profile of the HSS names a number, and the operator says what stands behind it.

use crate::criteria::session_description;
use crate::role::Scscf;
use cscf::Reject;
use cscf::config::MediaProfile;
use cscf::identity::Impu;
use sip_core::sdp::Sdp;
use sip_core::{Message, Status};

impl Scscf {
    /// Refuses a request of a user, or to one, with media that this user has not subscribed to.
    pub(super) fn check_media(&self, impu: &Impu, message: &Message) -> Result<(), Reject> {
        let profiles = &self.config.scscf.media_profiles;
        if profiles.is_empty() || message.body().is_empty() {
            return Ok(());
        }
        let named = self.subscribed(impu).and_then(|services| services.subscribed_media_profile_id);
        match profiles.iter().find(|profile| Some(profile.id) == named) {
            Some(profile) => check(profile, session_description::of(message).unwrap_or_default()),
            None => Ok(()),
        }
    }
}

/// Refuses a session description with other media; one that cannot be read says nothing of them.
fn check(profile: &MediaProfile, description: &[u8]) -> Result<(), Reject> {
    let Ok(sdp) = Sdp::parse(description) else { return Ok(()) };
    let is_allowed =
        |media: &[u8]| profile.media.iter().any(|allowed| media.eq_ignore_ascii_case(allowed.as_bytes()));
    // A port of zero takes a stream out (RFC 3264 §8.2).
    if sdp.media().all(|media| media.port == 0 || is_allowed(media.media)) {
        return Ok(());
    }
    // RFC 3264 §9: what would do, in a description that opens no stream.
    let mut would_do = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_owned();
    for media in sdp.media().filter(|media| is_allowed(media.media)) {
        let [kind, protocol, formats] =
            [media.media, media.protocol, media.formats].map(String::from_utf8_lossy);
        would_do.push_str(&format!("m={kind} 0 {protocol} {formats}\r\n"));
        let codecs = media.lines().filter(|line| line.kind == b'a' && line.value.starts_with(b"rtpmap:"));
        codecs.for_each(|line| would_do.push_str(&format!("a={}\r\n", String::from_utf8_lossy(line.value))));
    }
    Err(Reject::new(Status::NOT_ACCEPTABLE_HERE, "media not subscribed to").body("application/sdp", would_do))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_other_media_is_refused_with_what_would_do() {
        let profile = MediaProfile { id: 1, media: vec!["audio".to_owned(), "text".to_owned()] };
        let audio = "m=audio 49152 RTP/AVP 97\r\na=rtpmap:97 AMR/8000\r\na=sendrecv\r\n";
        let head = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n";
        let of = |media: &str| check(&profile, format!("{head}{media}").as_bytes());
        assert_eq!(of(audio), Ok(()));
        assert_eq!(of("m=AUDIO 1 RTP/AVP 0\r\nm=text 2 RTP/AVP 98\r\n"), Ok(()));
        assert_eq!(of(""), Ok(()));
        assert_eq!(of(&format!("{audio}m=video 0 RTP/AVP 31\r\n")), Ok(()), "it takes its video out");
        assert_eq!(check(&profile, b"nothing of that kind"), Ok(()));
        let refused =
            of(&format!("{audio}m=video 49154 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n")).expect_err("video");
        assert_eq!(refused.status, Status::NOT_ACCEPTABLE_HERE);
        let (kind, text) = refused.body.expect("what would do");
        assert_eq!(kind, "application/sdp");
        let sdp = Sdp::parse(text.as_bytes()).expect("a description");
        let media: Vec<_> = sdp.media().map(|media| (media.media, media.port, media.formats)).collect();
        assert_eq!(media, [(&b"audio"[..], 0, &b"97"[..])]);
        assert!(text.ends_with("a=rtpmap:97 AMR/8000\r\n"), "{text}");
    }
}
