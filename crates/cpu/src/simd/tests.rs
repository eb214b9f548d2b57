use super::*;
use crate::isa;
use moeworks_ops::rounding;

/// Runs `f` on 16 lanes as an instruction set sees them.
fn lanes(vector: Vector, a: [f32; 16], b: [f32; 16], f: Op) -> [f32; 16] {
    struct Lanes {
        a: [f32; 16],
        b: [f32; 16],
        f: Op,
    }
    impl Kernel for Lanes {
        type Output = [f32; 16];
        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> [f32; 16] {
            let mut out = [0.0; 16];
            for i in (0..16).step_by(S::LANES) {
                // SAFETY: i + LANES <= 16.
                unsafe {
                    let (a, b) = (S::load(self.a.as_ptr().add(i)), S::load(self.b.as_ptr().add(i)));
                    let v = match self.f {
                        Op::Exp => S::exp(a),
                        Op::Sigmoid => S::sigmoid(a),
                        Op::Round => S::round(a),
                        Op::RoundBf16 => S::round_bf16(a),
                        Op::Fma => S::fma(a, b, a),
                        Op::Max => S::max(a, b),
                        Op::Sum => S::splat(S::sum(a)),
                        Op::Largest => S::splat(S::largest(a)),
                        Op::Part => {
                            let mut part = [7.0f32; 16];
                            S::store_part(part.as_mut_ptr(), S::load_part(self.a.as_ptr().add(i), 3), 2);
                            S::load(part.as_ptr())
                        }
                        Op::Bf16 => {
                            let mut narrow = [bf16::ZERO; 16];
                            S::store_bf16(narrow.as_mut_ptr(), a);
                            S::load_bf16(narrow.as_ptr())
                        }
                        Op::Exceeds => S::splat(S::exceeds(a, b) as f32),
                    };
                    S::store(out.as_mut_ptr().add(i), v);
                }
            }
            out
        }
    }
    // SAFETY: the kernel touches only its own arrays.
    unsafe { run(vector, Lanes { a, b, f }) }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Exp,
    Sigmoid,
    Round,
    RoundBf16,
    Fma,
    Max,
    Sum,
    Largest,
    Part,
    Bf16,
    Exceeds,
}

#[test]
fn exp_and_sigmoid_are_close_everywhere() {
    for vector in isa::vectors() {
        for start in -90..88 {
            let x: [f32; 16] = std::array::from_fn(|i| start as f32 + i as f32 / 16.0);
            let (e, s) = (lanes(vector, x, x, Op::Exp), lanes(vector, x, x, Op::Sigmoid));
            for i in 0..16 {
                let want = f64::from(x[i].clamp(-87.3, 88.3)).exp();
                assert!((f64::from(e[i]) - want).abs() <= 4e-7 * want, "{vector:?}: exp {} is {}", x[i], e[i]);
                let want = 1.0 / (1.0 + f64::from(-x[i]).exp());
                assert!((f64::from(s[i]) - want).abs() <= 1e-6 * want + 1e-38, "{vector:?}: sigmoid {}", x[i]);
            }
        }
        assert!(lanes(vector, [f32::NAN; 16], [0.0; 16], Op::Exp).iter().all(|v| v.is_nan()), "{vector:?}");
    }
}

#[test]
fn every_set_computes_the_same_lanes() {
    let a: [f32; 16] = std::array::from_fn(|i| (i as f32 - 7.5) * 1.37);
    let b: [f32; 16] = std::array::from_fn(|i| (i as f32 * 2.0 - 11.0) * 0.71);
    for vector in isa::vectors() {
        for i in 0..16 {
            assert_eq!(lanes(vector, a, b, Op::Round)[i], a[i].round_ties_even(), "{vector:?}");
            assert_eq!(lanes(vector, a, b, Op::Max)[i], a[i].max(b[i]), "{vector:?}");
            let narrow = bf16::from_f32(a[i]).to_f32();
            assert_eq!(lanes(vector, a, b, Op::RoundBf16)[i], narrow, "{vector:?}");
            assert_eq!(lanes(vector, a, b, Op::Bf16)[i], narrow, "{vector:?}");
            assert!((lanes(vector, a, b, Op::Fma)[i] - (a[i] * b[i] + a[i])).abs() < 1e-4, "{vector:?}");
        }
        assert!(lanes(vector, [f32::NAN; 16], b, Op::Bf16).iter().all(|v| v.is_nan()), "{vector:?}");
        let mut lanes_of = 0;
        struct Width;
        impl Kernel for Width {
            type Output = usize;
            unsafe fn run<S: Simd>(self) -> usize {
                S::LANES
            }
        }
        // SAFETY: touches nothing.
        lanes_of += unsafe { run(vector, Width) };
        for chunk in 0..16 / lanes_of {
            let at = chunk * lanes_of;
            let part = &a[at..at + lanes_of];
            let sum: f32 = part.iter().sum();
            assert!((lanes(vector, a, b, Op::Sum)[at] - sum).abs() < 1e-4, "{vector:?}");
            let most = part.iter().copied().fold(f32::MIN, f32::max);
            assert_eq!(lanes(vector, a, b, Op::Largest)[at], most, "{vector:?}");
            assert_eq!(&lanes(vector, a, b, Op::Part)[at..at + 4], [a[at], a[at + 1], 7.0, 7.0], "{vector:?}");
            let bits = (0..lanes_of).fold(0u32, |m, i| m | u32::from(a[at + i].abs() > b[at + i]) << i);
            assert_eq!(lanes(vector, a, b, Op::Exceeds)[at], bits as f32, "{vector:?}");
        }
    }
}

#[test]
fn halves_and_random_rounding_are_those_of_the_op_set() {
    struct Narrow([f32; 16]);
    impl Kernel for Narrow {
        type Output = ([f32; 16], [(u16, u16); 16], [f32; 16], [f32; 16]);
        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> Self::Output {
            let (mut joined, mut low_rounded, mut high_rounded) = ([0.0; 16], [0.0; 16], [0.0; 16]);
            let (mut upper, mut lower) = ([bf16::ZERO; 16], [0u16; 16]);
            for i in (0..16).step_by(S::LANES) {
                // SAFETY: i + LANES <= 16.
                unsafe {
                    let v = S::load(self.0.as_ptr().add(i));
                    let (upper, lower) = (upper.as_mut_ptr().add(i), lower.as_mut_ptr().add(i));
                    S::store_halves(upper, lower, v);
                    S::store(joined.as_mut_ptr().add(i), S::load_halves(upper, lower));
                    let random = S::random_bits(rounding::seed(7), 1000 + i as u32);
                    S::store(low_rounded.as_mut_ptr().add(i), S::round_randomly(v, random));
                    S::store(high_rounded.as_mut_ptr().add(i), S::round_randomly(v, S::upper_bits(random)));
                }
            }
            (joined, std::array::from_fn(|i| (upper[i].to_bits(), lower[i])), low_rounded, high_rounded)
        }
    }
    let numbers: [f32; 16] = std::array::from_fn(|i| match i {
        0 => 0.0,
        1 => 1.0 + 1.0 / 256.0, // just between two bf16
        2 => -f32::MIN_POSITIVE,
        3 => f32::MAX,
        _ => (i as f32 - 7.5) * 1.37e-3,
    });
    for vector in isa::vectors() {
        // SAFETY: the kernel touches only its own arrays.
        let (joined, halves, low, high) = unsafe { run(vector, Narrow(numbers)) };
        for (i, x) in numbers.into_iter().enumerate() {
            let random = rounding::random_bits(7, 1000 + i as u32);
            assert_eq!((joined[i], halves[i]), (x, rounding::split(x)), "{vector:?}");
            assert_eq!(low[i], rounding::round_randomly(x, random), "{vector:?}");
            assert_eq!(high[i], rounding::round_randomly(x, random >> 16), "{vector:?}");
        }
    }
}

#[test]
fn transposing_moves_every_element() {
    struct Transpose<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Transpose<'_> {
        type Output = ();
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            // SAFETY: both blocks are inside their slices.
            unsafe { S::transpose(self.0.as_ptr().add(1), 20, self.1.as_mut_ptr().add(2), 18) }
        }
    }
    let from: Vec<f32> = (0..400).map(|i| i as f32).collect();
    for vector in isa::vectors() {
        let mut to = vec![-1.0; 300];
        // SAFETY: the kernel stays inside its slices.
        unsafe { run(vector, Transpose(&from, &mut to)) };
        for i in 0..16 {
            for j in 0..16 {
                assert_eq!(to[2 + j * 18 + i], from[1 + i * 20 + j], "{vector:?} {i} {j}");
            }
        }
    }
}
