//! Axes: where their ticks are and what stands there.

use super::numbers::whole;

/// How a quantity runs along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// An axis: a range of values and its ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) scale: Scale,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis over a range, which is widened where it has no width; `low` is above 0 where it is logarithmic.
    pub(super) fn new(mut low: f64, mut high: f64, scale: Scale, about: usize) -> Self {
        if low.partial_cmp(&high) != Some(std::cmp::Ordering::Less) {
            let around = if low.is_finite() && low != 0.0 { low.abs() * 0.1 } else { 1.0 };
            let middle = if low.is_finite() { low } else { 0.0 };
            (low, high) = (middle - around, middle + around);
        }
        let ticks = match scale {
            Scale::Linear => linear(low, high, about),
            Scale::Logarithmic => logarithmic(low, high),
        };
        Self { low, high, scale, ticks }
    }

    /// Place of a value on the axis, 0 at its low end and 1 at its high end; values beyond are put at the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let along = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => {
                (value.max(f64::MIN_POSITIVE).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
            }
        };
        along.clamp(0.0, 1.0)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, about so many, in a range.
fn linear(low: f64, high: f64, about: usize) -> Vec<(f64, String)> {
    let step = nice_step((high - low) / about.max(1) as f64);
    let tolerance = 1e-9;
    let (first, last) = ((low / step - tolerance).ceil(), (high / step + tolerance).floor());
    if !(first.is_finite() && last.is_finite()) || last - first > 1000.0 {
        return Vec::new();
    }
    (0..=(last - first) as i64).map(|at| (first + at as f64) * step).map(|tick| (tick, label(tick, step))).collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below a width.
fn nice_step(width: f64) -> f64 {
    let power = 10f64.powf(width.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= width * 0.999_999)
        .unwrap_or(width)
}

/// A tick with the decimals that its step needs.
fn label(tick: f64, step: f64) -> String {
    if tick.abs() < step * 1e-6 {
        return "0".into();
    }
    let text = match step.log10().floor() as i32 {
        -4..0 => format!("{tick:.*}", (-(step.log10() + 1e-9).floor()) as usize),
        0..7 => match tick {
            ..0.0 => format!("-{}", whole(tick.abs().round() as u64)),
            _ => whole(tick.round() as u64),
        },
        _ => {
            let power = |value: f64| (value.log10() + 1e-9).floor();
            let digits = (power(tick.abs()) - power(step)).max(0.0) as usize;
            format!("{tick:.digits$e}")
        }
    };
    text.replace('-', "−")
}

/// Powers of ten in a range; between them 2 and 5 where there are few, and linear ticks where there is hardly any.
fn logarithmic(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let every = ((last - first) / 5).max(1);
    let of = |digits: &[i32]| -> Vec<(f64, String)> {
        (first..=last)
            .filter(|power| (power - first) % every == 0)
            .flat_map(|power| digits.iter().map(move |digit| (f64::from(*digit), power)))
            .map(|(digit, power)| (digit, power, digit * 10f64.powi(power)))
            .filter(|(.., tick)| (low * 0.999_999..=high * 1.000_001).contains(tick))
            .map(|(digit, power, tick)| (tick, power_label(digit, power, tick)))
            .collect()
    };
    let decades = of(&[1]);
    if decades.len() >= 3 {
        return decades;
    }
    let finer = of(&[1, 2, 5]);
    if finer.len() >= 2 { finer } else { linear(low, high, 4) }
}

fn power_label(digit: f64, power: i32, tick: f64) -> String {
    match power {
        -3..0 => format!("{tick:.*}", power.unsigned_abs() as usize),
        0..5 => whole(tick.round() as u64),
        _ => format!("{digit}e{power}").replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, scale: Scale, about: usize) -> String {
        let axis = Axis::new(low, high, scale, about);
        for (tick, label) in &axis.ticks {
            let slack = (axis.high - axis.low) * 1e-6;
            assert!((axis.low - slack..=axis.high + slack).contains(tick), "{label} outside");
        }
        axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_labelled_alike() {
        for (low, high, about, expected) in [
            (0.0, 500.0, 5, "0 100 200 300 400 500"),
            (0.0, 20_000.0, 5, "0 5,000 10,000 15,000 20,000"),
            (0.0, 1.0, 5, "0 0.2 0.4 0.6 0.8 1.0"),
            (1.93, 8.4, 5, "2 4 6 8"),
            (3.98, 4.21, 4, "4.0 4.1 4.2"),
            (0.0, 0.001, 4, "0 0.0005 0.0010"),
            (0.0, 0.000_03, 4, "0 1e−5 2e−5 3e−5"),
            (-1.0, 1.0, 4, "−1.0 −0.5 0 0.5 1.0"),
            (0.0, 6_000_000.0, 3, "0 2,000,000 4,000,000 6,000,000"),
            (0.0, 3e9, 3, "0 1e9 2e9 3e9"),
            (0.0, 1.2e8, 5, "0 5e7 1.0e8"),
            (7.0, 7.0, 4, "6.5 7.0 7.5"),
            (0.0, 0.0, 4, "−1.0 −0.5 0 0.5 1.0"),
            (f64::NAN, f64::NAN, 4, "−1.0 −0.5 0 0.5 1.0"),
            (1e300, 1.1e300, 4, "1.00e300 1.05e300 1.10e300"),
        ] {
            assert_eq!(labels(low, high, Scale::Linear, about), expected, "{low} to {high}");
        }
        for (low, high, expected) in [
            (0.5, 300.0, "1 10 100"),
            (0.3, 40.0, "0.5 1 2 5 10 20"),
            (0.001, 1e4, "0.001 0.01 0.1 1 10 100 1,000 10,000"),
            (1e-9, 1e12, "1e−9 1e−5 0.1 1,000 1e7 1e11"),
            (1.1, 1.4, "1.1 1.2 1.3 1.4"),
        ] {
            assert_eq!(labels(low, high, Scale::Logarithmic, 4), expected, "{low} to {high}");
        }
    }

    #[test]
    fn places_run_from_end_to_end_and_not_beyond() {
        let axis = Axis::new(1.0, 100.0, Scale::Logarithmic, 4);
        for (value, place) in [(1.0, 0.0), (10.0, 0.5), (100.0, 1.0), (0.0, 0.0), (1e9, 1.0)] {
            assert!((axis.place(value) - place).abs() < 1e-12, "{value}");
        }
        let axis = Axis::new(-1.0, 3.0, Scale::Linear, 4);
        for (value, place) in [(-1.0, 0.0), (0.0, 0.25), (3.0, 1.0), (-5.0, 0.0), (f64::INFINITY, 1.0)] {
            assert_eq!(axis.place(value), place, "{value}");
        }
    }
}
