//! What a UE does when its time comes, and in which proportions.

use std::fmt;

/// One thing that a UE does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// An initial registration by IMS-AKA.
    Register,
    /// A refresh of a registration.
    Reregister,
    /// A call: INVITE, 180, 200, ACK, talk, BYE.
    Call,
    /// A text: MESSAGE.
    Message,
    /// A de-registration.
    Deregister,
}

impl Scenario {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Scenario; 5] =
        [Scenario::Register, Scenario::Reregister, Scenario::Call, Scenario::Message, Scenario::Deregister];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Register => "register",
            Scenario::Reregister => "reregister",
            Scenario::Call => "call",
            Scenario::Message => "message",
            Scenario::Deregister => "deregister",
        }
    }

    /// The scenario of that name.
    pub fn from_name(name: &str) -> Option<Scenario> {
        Scenario::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// Whether it is a REGISTER.
    pub fn registers(self) -> bool {
        matches!(self, Scenario::Register | Scenario::Reregister | Scenario::Deregister)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Scenarios with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// At least one; every weight is above zero.
    parts: Vec<(Scenario, f64)>,
}

impl Mix {
    /// One scenario alone.
    pub fn only(scenario: Scenario) -> Mix {
        Mix { parts: vec![(scenario, 1.0)] }
    }

    /// A mix as it is written: `register=10,call=5`.
    pub fn parse(text: &str) -> Result<Mix, String> {
        let mut parts: Vec<(Scenario, f64)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) =
                part.split_once('=').ok_or_else(|| format!("`{part}` is not SCENARIO=RATE"))?;
            let scenario = Scenario::from_name(name.trim()).ok_or_else(|| {
                format!("`{name}` is none of register, reregister, call, message, deregister")
            })?;
            let weight: f64 = weight.trim().parse().map_err(|_| format!("`{weight}` is not a number"))?;
            if !weight.is_finite() || weight <= 0.0 {
                return Err(format!("the rate of {name} is not above zero"));
            }
            if parts.iter().any(|(known, _)| *known == scenario) {
                return Err(format!("{name} is there twice"));
            }
            parts.push((scenario, weight));
        }
        Ok(Mix { parts })
    }

    /// The sum of the weights.
    pub fn total(&self) -> f64 {
        self.parts.iter().map(|(_, weight)| weight).sum()
    }

    /// The scenarios with their shares, which sum up to 1.
    pub fn shares(&self) -> impl Iterator<Item = (Scenario, f64)> {
        let total = self.total();
        self.parts.iter().map(move |(scenario, weight)| (*scenario, weight / total))
    }

    /// Whether a scenario is one of them.
    pub fn has(&self, scenario: Scenario) -> bool {
        self.parts.iter().any(|(known, _)| *known == scenario)
    }

    /// The scenario at `point` of the shares laid end to end, from 0 up to 1.
    pub fn at(&self, point: f64) -> Scenario {
        let mut left = point;
        for (scenario, share) in self.shares() {
            left -= share;
            if left < 0.0 {
                return scenario;
            }
        }
        self.parts[self.parts.len() - 1].0
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(scenario, _)] = &self.parts[..] {
            return write!(f, "{scenario}");
        }
        for (at, (scenario, weight)) in self.parts.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{scenario}={weight}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_shown_as_it_was_written() {
        let mix = Mix::parse("register=10,call=5,message=20").unwrap();
        assert_eq!(mix.to_string(), "register=10,call=5,message=20");
        assert_eq!(mix.total(), 35.0);
        assert!(mix.has(Scenario::Call) && !mix.has(Scenario::Deregister));
        assert_eq!(Mix::only(Scenario::Call).to_string(), "call");
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused_in_words() {
        for (text, why) in [
            ("", "`` is not SCENARIO=RATE"),
            ("register", "`register` is not SCENARIO=RATE"),
            ("walk=1", "`walk` is none of register, reregister, call, message, deregister"),
            ("call=x", "`x` is not a number"),
            ("call=0", "the rate of call is not above zero"),
            ("call=NaN", "the rate of call is not above zero"),
            ("call=1,call=2", "call is there twice"),
        ] {
            assert_eq!(Mix::parse(text), Err(why.to_owned()));
        }
    }

    #[test]
    fn points_fall_on_scenarios_by_their_shares() {
        let mix = Mix::parse("register=1,call=3").unwrap();
        let at = |point: f64| mix.at(point);
        assert_eq!([at(0.0), at(0.249)], [Scenario::Register; 2]);
        assert_eq!([at(0.251), at(0.999), at(1.0)], [Scenario::Call; 3]);
    }
}
