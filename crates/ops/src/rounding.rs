//! Two ways to keep numbers in 16 bits without losing what adds up: masters in halves, and random rounding.

/// The upper half of an f32 as a bf16, the nearest one (ties away from zero), and its lower half. Together they are the
/// number to the bit: the lower half says by its uppermost bit whether the upper one was rounded up.
pub fn split(value: f32) -> (u16, u16) {
    let bits = value.to_bits();
    ((bits.wrapping_add(0x8000) >> 16) as u16, bits as u16)
}

/// What [`split`] was given.
pub fn join(upper: u16, lower: u16) -> f32 {
    f32::from_bits((u32::from(upper) << 16).wrapping_add_signed(i32::from(lower as i16)))
}

/// Random bits of an element in a step: the lower 16 decide whether its first moment is rounded up, the upper 16 its
/// second. A hash of both numbers (Chris Wellons' lowbias32, twice), so that a run repeats itself.
pub fn random_bits(step: u64, element: u32) -> u32 {
    mixed(element ^ seed(step))
}

/// What [`random_bits`] makes of a step before it is [`mixed`] with an element by exclusive or.
pub fn seed(step: u64) -> u32 {
    mixed(step as u32)
}

/// A hash of 32 bits.
pub fn mixed(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
    let x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// A neighbouring bf16 as f32: the one away from zero with the probability that makes the result right on average,
/// over the lower 16 bits of `random`. Numbers that are bf16 already stay as they are.
pub fn round_randomly(value: f32, random: u32) -> f32 {
    f32::from_bits(value.to_bits().wrapping_add(random & 0xffff) & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn halves_are_the_number_to_the_bit(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            let (upper, lower) = split(value);
            prop_assert_eq!(join(upper, lower).to_bits(), bits);
            if value.is_finite() && bits & 0xffff != 0x8000 {
                prop_assert_eq!(upper, bf16::from_f32(value).to_bits());
            }
        }

        #[test]
        fn rounding_gives_a_neighbour(value in -1e30f32..1e30, random in any::<u32>()) {
            let rounded = round_randomly(value, random);
            prop_assert_eq!(rounded.to_bits() & 0xffff, 0);
            prop_assert!((rounded - value).abs() <= value.abs() / 128.0);
            prop_assert_eq!(round_randomly(rounded, random), rounded);
        }
    }

    #[test]
    fn rounding_is_right_on_average_where_the_nearest_never_moves() {
        // A second moment that grows by a thousandth of itself a step stands still when it is rounded to nearest.
        let after = |round: &dyn Fn(f32, u64) -> f32| (0..100).fold(1.0, |v, step| round(v * 1.001, step));
        assert_eq!(after(&|v, _| bf16::from_f32(v).to_f32()), 1.0);
        let randomly = |element| f64::from(after(&|v, step| round_randomly(v, random_bits(step, element))));
        let mean = (0..1000).map(randomly).sum::<f64>() / 1000.0;
        assert!((mean - 1.001f64.powi(100)).abs() < 0.005, "{mean}");
    }
}
