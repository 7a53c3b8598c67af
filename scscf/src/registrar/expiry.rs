//! How long a binding lives: what the UE asked for, between the operator's bounds (RFC 3261 §10.3 step 7).

use cscf::Reject;
use sip_core::{Name, Status};

/// The operator's bounds on a registration, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A shorter wish is refused.
    pub min_s: u32,
    /// Granted to a UE that names no time.
    pub default_s: u32,
    /// A longer wish is shortened.
    pub max_s: u32,
}

/// An hour: a registrar must not refuse a wish that is longer (RFC 3261 §10.3 step 7).
const REFUSABLE_BELOW_S: u32 = 3600;

impl Bounds {
    /// The time granted for `asked_s` seconds; zero asks for removal and is always granted.
    pub fn grant(self, asked_s: Option<u32>) -> Result<u32, Reject> {
        match asked_s {
            None => Ok(self.default_s.clamp(self.min_s, self.max_s.max(self.min_s))),
            Some(0) => Ok(0),
            Some(asked_s) if asked_s < self.min_s && asked_s < REFUSABLE_BELOW_S => {
                Err(Reject::new(Status::INTERVAL_TOO_BRIEF, "expiry below the minimum")
                    .header(Name::MinExpires, self.min_s.to_string()))
            }
            Some(asked_s) => Ok(asked_s.clamp(self.min_s.min(REFUSABLE_BELOW_S), self.max_s.max(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min_s: 60, default_s: 3600, max_s: 600_000 };

    #[test]
    fn a_wish_within_the_bounds_is_granted_and_a_longer_one_shortened() {
        for (asked, granted) in
            [(None, 3600), (Some(0), 0), (Some(60), 60), (Some(7200), 7200), (Some(u32::MAX), 600_000)]
        {
            assert_eq!(BOUNDS.grant(asked), Ok(granted), "{asked:?}");
        }
    }

    #[test]
    fn a_wish_below_the_minimum_is_refused_with_the_minimum() {
        let refusal = BOUNDS.grant(Some(59)).unwrap_err();
        assert_eq!(refusal.status, Status::INTERVAL_TOO_BRIEF);
        assert_eq!(refusal.headers, [(Name::MinExpires, "60".to_owned())]);
    }

    /// RFC 3261 §10.3 step 7: a wish of an hour or more is never too brief, whatever the operator's minimum.
    #[test]
    fn an_hour_is_never_too_brief() {
        let long = Bounds { min_s: 7200, default_s: 7200, max_s: 10_000 };
        assert_eq!(long.grant(Some(3600)), Ok(3600));
        assert!(long.grant(Some(3599)).is_err());
    }
}
