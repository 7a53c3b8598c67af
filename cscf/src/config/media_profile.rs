//! `[[scscf.media_profile]]`: what the media of a user may be, by the number that a profile of the HSS names (TS 29.228 §B.2.1).

use super::value::{Fault, Value};
use toml::de::DeValue;

/// The media that users with this number may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaProfile {
    /// The SubscribedMediaProfileId.
    pub id: u32,
    /// What may stand behind `m=`: `audio`, `video`, `message` and others.
    pub media: Vec<String>,
}

/// The key of the table.
pub(super) const KEY: &str = "media_profile";

impl Value for MediaProfile {
    fn read(value: &DeValue<'_>) -> Result<MediaProfile, Fault> {
        let remedy = "write [[scscf.media_profile]], id = 1 and media = [\"audio\"]";
        let DeValue::Table(table) = value else { return Err(Fault::new("is no media profile", remedy)) };
        if let Some(key) = table.keys().find(|key| !["id", "media"].contains(&key.get_ref().as_ref())) {
            let fault = Fault::new(format!("a media profile has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let field = |name: &str| {
            table.get(name).ok_or_else(|| Fault::new(format!("a media profile needs its {name}"), remedy))
        };
        let (id, media) = (field("id")?, field("media")?);
        let within =
            |at: std::ops::Range<usize>| move |fault: Fault| Fault { at: fault.at.or(Some(at)), ..fault };
        let profile = MediaProfile {
            id: u32::read(id.get_ref()).map_err(within(id.span()))?,
            media: Vec::<String>::read(media.get_ref()).map_err(within(media.span()))?,
        };
        let is_medium = |medium: &String| {
            !medium.is_empty() && medium.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        match profile.media.iter().find(|medium| !is_medium(medium)) {
            Some(medium) => Err(Fault::new(format!("\"{medium}\" is no kind of media"), remedy)),
            None => Ok(profile),
        }
    }

    fn show(&self) -> String {
        format!("{{ id = {}, media = {} }}", self.id, self.media.show())
    }
}
