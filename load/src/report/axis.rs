//! One axis of a plot: where a value is along it, and which values it names.

/// How values are laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Log,
    /// Shares below 1, by the logarithm of what is missing to 1: 90 %, 99 % and 99.9 % are equally far apart.
    Nines,
}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    /// What is along it, and in which unit.
    pub label: &'static str,
}

impl Axis {
    /// From 0 to `to`, which is above 0, and no further.
    pub fn up_to(label: &'static str, to: f64) -> Axis {
        Axis { scale: Scale::Linear, from: 0.0, to, label }
    }

    /// From 0 to the round number above the highest value.
    pub fn above(label: &'static str, highest: f64) -> Axis {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = step(highest);
        Axis::up_to(label, (highest / step).ceil() * step)
    }

    /// Logarithmic, between the round numbers around the lowest and the highest value.
    pub fn log(label: &'static str, lowest: f64, highest: f64) -> Axis {
        let round = one_two_five();
        let from = round.iter().rev().find(|number| **number <= lowest).unwrap_or(&round[0]);
        let to = round.iter().find(|number| **number >= highest && *number > from);
        Axis { scale: Scale::Log, from: *from, to: *to.unwrap_or(&round[round.len() - 1]), label }
    }

    /// Shares of a number of values, up to the last of them that can be told apart.
    pub fn nines(label: &'static str, count: u64) -> Axis {
        Axis { scale: Scale::Nines, from: 0.0, to: 1.0 - 1.0 / (count as f64).max(10.0), label }
    }

    /// Where a value is, from 0 at the beginning of the axis to 1 at its end; what is beyond is at the end.
    pub fn place(&self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Nines => -(1.0 - value).max(f64::MIN_POSITIVE).log10(),
        };
        let (from, to) = (along(self.from), along(self.to));
        ((along(value) - from) / (to - from)).clamp(0.0, 1.0)
    }

    /// The values that are named, with their names.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let is_on = |value: &f64| *value >= self.from && *value <= self.to * (1.0 + 1e-9);
        match self.scale {
            Scale::Linear => {
                let step = step(self.to);
                let ticks = (0..=TICKS_MAX).map(|at| f64::from(at) * step).filter(is_on);
                ticks.map(|value| (value, short(value))).collect()
            }
            Scale::Log => {
                let all: Vec<f64> = one_two_five().into_iter().filter(is_on).collect();
                let is_crowded = all.len() > 7;
                let is_power = |value: &f64| value.log10().fract().abs() < 1e-9;
                let kept = all.into_iter().filter(|value| !is_crowded || is_power(value));
                kept.map(|value| (value, value.to_string())).collect()
            }
            Scale::Nines => {
                let named = NINES.iter().filter(|(share, _)| is_on(share));
                named.map(|(share, name)| (*share, (*name).to_owned())).collect()
            }
        }
    }
}

/// A round step that divides 0 to `to` into four to ten parts.
fn step(to: f64) -> f64 {
    let power = 10f64.powf((to / 4.0).log10().floor());
    let fits = |step: &f64| *step <= to / 4.0 * (1.0 + 1e-9);
    [5.0, 2.0, 1.0].into_iter().map(|digit| digit * power).find(fits).unwrap_or(power)
}

/// The numbers 1, 2 and 5 with every power of ten, from a microsecond to a thousand seconds in milliseconds.
fn one_two_five() -> Vec<f64> {
    let digits = |exponent: i32| {
        // A division is exact where the product with 0.001 is not.
        [1.0, 2.0, 5.0].map(|digit: f64| match exponent {
            0.. => digit * 10f64.powi(exponent),
            _ => digit / 10f64.powi(-exponent),
        })
    };
    (-3..=6).flat_map(digits).collect()
}

/// A number without digits that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// More steps than [`step`] makes.
const TICKS_MAX: u32 = 20;
/// The shares that are named.
const NINES: [(f64, &str); 8] = [
    (0.0, "0"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.999_99, "99.999 %"),
    (0.999_999, "99.9999 %"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_linear_axis_ends_at_a_round_number_and_names_round_numbers() {
        assert_eq!(names(Axis::above("/s", 93.0)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(names(Axis::above("/s", 0.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(names(Axis::up_to("s", 30.0)), ["0", "5", "10", "15", "20", "25", "30"]);
        assert_eq!(Axis::above("/s", 93.0).place(50.0), 0.5);
    }

    #[test]
    fn a_logarithmic_axis_names_powers_of_ten_and_more_where_there_is_room() {
        assert_eq!(names(Axis::log("ms", 0.7, 4.0)), ["0.5", "1", "2", "5"]);
        assert_eq!(names(Axis::log("ms", 0.02, 900.0)), ["0.1", "1", "10", "100", "1000"]);
        let axis = Axis::log("ms", 1.0, 100.0);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-9);
        assert_eq!((axis.place(0.0), axis.place(1e9)), (0.0, 1.0), "what is beyond is at the end");
    }

    #[test]
    fn nines_are_equally_far_apart_up_to_the_last_that_the_count_can_tell() {
        let axis = Axis::nines("share", 1000);
        assert_eq!(names(axis), ["0", "50 %", "90 %", "99 %", "99.9 %"]);
        for (share, place) in [(0.0, 0.0), (0.9, 1.0 / 3.0), (0.99, 2.0 / 3.0), (1.0, 1.0)] {
            assert!((axis.place(share) - place).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn an_axis_for_one_equal_value_still_has_a_length() {
        let axis = Axis::log("ms", 5.0, 5.0);
        assert_eq!((axis.place(5.0), axis.ticks().len()), (0.0, 2));
        assert_eq!(Axis::nines("share", 0).place(0.0), 0.0);
    }
}
