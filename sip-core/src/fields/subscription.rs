//! Event and Subscription-State (RFC 6665 §8.2).

use super::FieldError;
use crate::grammar::{self, Params};
use crate::message::Message;
use crate::name::Name;

/// An Event value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The package, with its templates: `reg`, `presence.winfo`. Compared byte by byte (RFC 6665 §8.2.1).
    pub package: &'a [u8],
    params: Params<'a>,
}

/// A Subscription-State value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated` or an extension.
    pub state: &'a [u8],
    params: Params<'a>,
}

impl<'a> Event<'a> {
    /// Reads the field's value.
    pub fn parse(value: &'a [u8]) -> Result<Event<'a>, FieldError> {
        let (package, params) = read(Name::Event, value)?;
        Ok(Event { package, params })
    }

    /// The `id` that tells two subscriptions of one dialog apart.
    pub fn id(&self) -> Option<&'a [u8]> {
        self.params.get(b"id")
    }
}

impl<'a> SubscriptionState<'a> {
    /// Reads the field's value.
    pub fn parse(value: &'a [u8]) -> Result<SubscriptionState<'a>, FieldError> {
        let (state, params) = read(Name::SubscriptionState, value)?;
        Ok(SubscriptionState { state, params })
    }

    /// Whether the subscription has ended.
    pub fn is_terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case(b"terminated")
    }

    /// How long it lasts, in seconds.
    pub fn expires(&self) -> Option<u32> {
        self.params.get(b"expires").and_then(grammar::number)
    }

    /// Why it ended, such as `deactivated` or `timeout`.
    pub fn reason(&self) -> Option<&'a [u8]> {
        self.params.get(b"reason")
    }

    /// When to try again, in seconds.
    pub fn retry_after(&self) -> Option<u32> {
        self.params.get(b"retry-after").and_then(grammar::number)
    }
}

impl Message {
    /// Event; an error when absent.
    pub fn event(&self) -> Result<Event<'_>, FieldError> {
        Event::parse(self.first(Name::Event).ok_or(FieldError::missing(Name::Event))?)
    }

    /// Subscription-State; an error when absent.
    pub fn subscription_state(&self) -> Result<SubscriptionState<'_>, FieldError> {
        let value =
            self.first(Name::SubscriptionState).ok_or(FieldError::missing(Name::SubscriptionState))?;
        SubscriptionState::parse(value)
    }
}

fn read(field: Name, value: &[u8]) -> Result<(&[u8], Params<'_>), FieldError> {
    let (token, rest) = grammar::take_token(grammar::trim(value));
    let params = Params::parse(rest).filter(|_| !token.is_empty()).ok_or(FieldError::syntax(field))?;
    Ok((token, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_reasons_are_read() {
        let state = SubscriptionState::parse(b"terminated;reason=deactivated;retry-after=5").unwrap();
        assert!(state.is_terminated());
        assert_eq!(
            (state.reason(), state.retry_after(), state.expires()),
            (Some(&b"deactivated"[..]), Some(5), None)
        );
        assert!(!SubscriptionState::parse(b"active;expires=60").unwrap().is_terminated());
        assert!(SubscriptionState::parse(b";expires=60").is_err());
    }

    #[test]
    fn an_event_has_a_package_and_perhaps_an_id() {
        let event = Event::parse(b"reg;id=7").unwrap();
        assert_eq!((event.package, event.id()), (&b"reg"[..], Some(&b"7"[..])));
        assert!(Event::parse(b"").is_err());
    }
}
