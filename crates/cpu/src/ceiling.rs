//! What this machine can do at most, measured: multiply-adds in registers and on tiles, and reads from memory. Shares of
//! these ceilings say how far an op is from the hardware's limit.

use crate::Cpu;
use crate::scratch::PANEL;
use crate::simd::{self, Kernel, Simd};
use half::bf16;
use moeworks_ops::buffer::Buffer;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Rates of all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// f32 operations a second on vectors, a multiply-add as two.
    pub f32_flops: f64,
    /// bf16 operations a second on tiles or in dot products, where the path has either.
    pub bf16_flops: Option<f64>,
    /// Bytes a second read from memory.
    pub read_bytes: f64,
}

/// Bytes that reads go over: beyond any cache's share of one machine.
const READ: usize = 1 << 29;
/// Runs of which the best counts: a ceiling is what nothing disturbed.
const RUNS: usize = 12;
/// Least time of a run.
const SECONDS: f64 = 0.02;

impl Cpu {
    /// Measures the ceilings of this path with this many threads; takes about a second and [`READ`] bytes of memory.
    pub fn ceilings(&mut self) -> Ceilings {
        Ceilings { f32_flops: self.vector_rate(false), bf16_flops: self.bf16_rate(), read_bytes: self.read_rate() }
    }

    fn bf16_rate(&mut self) -> Option<f64> {
        if self.isa.has_tiles() { self.tile_rate() } else { self.isa.multiplies_bf16().then(|| self.vector_rate(true)) }
    }

    /// Chains of multiply-adds, or of dot products of bf16 pairs.
    fn vector_rate(&mut self, dots: bool) -> f64 {
        let (vector, threads) = (self.isa.vector(), self.pool.threads());
        let done = AtomicU64::new(0);
        self.best(|cpu, rounds| {
            done.store(0, Ordering::Relaxed);
            cpu.pool.run(threads, &|_, _| {
                // SAFETY: the kernel touches registers only.
                let (flops, sum) = unsafe { simd::run(vector, Chains { rounds, dots }) };
                black_box(sum);
                done.fetch_add(flops, Ordering::Relaxed);
            });
            done.load(Ordering::Relaxed) as f64
        })
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn tile_rate(&mut self) -> Option<f64> {
        use crate::amx::Tiles;
        use crate::scratch::DEPTH;
        let threads = self.pool.threads();
        Some(self.best(|cpu, rounds| {
            cpu.pool.run(threads, &|_, scratch| {
                // SAFETY: tiles are there; scratch holds 32 rows and two panels of DEPTH inputs.
                unsafe {
                    let tiles = Tiles::configure();
                    let panels = [0, DEPTH * PANEL].map(|at| scratch.b().cast::<bf16>().add(at).cast_const());
                    for _ in 0..rounds {
                        let (a, c) = (scratch.a_bf16(), scratch.c());
                        tiles.two_by_two(DEPTH / 32, a, DEPTH, panels, panels, c, 2 * PANEL, true);
                    }
                }
            });
            (2 * 32 * 32 * DEPTH * rounds * threads) as f64
        }))
    }

    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    fn tile_rate(&mut self) -> Option<f64> {
        None
    }

    fn read_rate(&mut self) -> f64 {
        let Ok(mut buffer) = Buffer::zeroed(READ) else { return f64::NAN };
        buffer.bytes().fill(1); // pages that were never written are all the same page
        let floats: &[f32] = bytemuck::cast_slice(buffer.bytes());
        let (vector, part) = (self.isa.vector(), 1 << 20);
        self.best(|cpu, rounds| {
            for _ in 0..rounds {
                cpu.pool.run(floats.len() / part, &|task, _| {
                    let part = &floats[task * part..(task + 1) * part];
                    // SAFETY: the kernel reads its slice.
                    black_box(unsafe { simd::run(vector, Sum { part }) });
                });
            }
            (READ * rounds) as f64
        })
    }

    /// Work a second: `work` does so many rounds and says what they were. Rounds are doubled until a run takes long
    /// enough to be timed.
    fn best(&mut self, work: impl Fn(&mut Cpu, usize) -> f64) -> f64 {
        let (mut rounds, mut best) = (1, 0.0f64);
        let mut left = RUNS;
        while left > 0 {
            let began = Instant::now();
            let done = work(self, rounds);
            let seconds = began.elapsed().as_secs_f64();
            if seconds < SECONDS {
                rounds *= 2;
                continue;
            }
            best = best.max(done / seconds);
            left -= 1;
        }
        best
    }
}

/// Chains of multiply-adds, as many as registers hold: 24 of 32, 12 of 16. Gives their operations, and a number that
/// depends on all.
struct Chains {
    rounds: usize,
    /// Dot products of bf16 pairs instead.
    dots: bool,
}

impl Kernel for Chains {
    type Output = (u64, f32);

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> (u64, f32) {
        // SAFETY: registers only.
        unsafe {
            match self.dots {
                true => dots::<S, 24>(self.rounds),
                false if S::REGISTERS == 32 => chains::<S, 24>(self.rounds),
                false => chains::<S, 12>(self.rounds),
            }
        }
    }
}

/// Steps of a round.
const STEPS: usize = 1000;

#[inline(always)]
unsafe fn dots<S: Simd, const N: usize>(rounds: usize) -> (u64, f32) {
    // SAFETY: the pairs are there, and the rest is registers.
    unsafe {
        let pairs = black_box([bf16::from_f32(1e-3); 2 * PANEL]);
        let (x, y) = (S::splat_dots(pairs.as_ptr()), S::load_dots(pairs.as_ptr()));
        let mut sums = [S::splat(black_box(1.0)); N];
        for _ in 0..rounds * STEPS {
            for sum in &mut sums {
                *sum = S::dot(*sum, x, y);
            }
        }
        let all = sums.into_iter().fold(S::splat(0.0), |a, b| S::add(a, b));
        ((4 * S::LANES * N * STEPS * rounds) as u64, S::sum(all))
    }
}

#[inline(always)]
unsafe fn chains<S: Simd, const N: usize>(rounds: usize) -> (u64, f32) {
    // SAFETY: registers only.
    unsafe {
        let (x, y) = (S::splat(black_box(0.999)), S::splat(black_box(1e-3)));
        let mut sums = [S::splat(black_box(1.0)); N];
        for _ in 0..rounds * STEPS {
            for sum in &mut sums {
                *sum = S::fma(*sum, x, y);
            }
        }
        let all = sums.into_iter().fold(S::splat(0.0), |a, b| S::add(a, b));
        ((2 * S::LANES * N * STEPS * rounds) as u64, S::sum(all))
    }
}

/// Reads a slice whose length is a multiple of eight vectors.
struct Sum<'a> {
    part: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        // SAFETY: loads stay inside the slice.
        unsafe {
            let mut sums = [S::splat(0.0); 8];
            for at in (0..self.part.len()).step_by(8 * S::LANES) {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = S::add(*sum, S::load(self.part.as_ptr().add(at + i * S::LANES)));
                }
            }
            S::sum(sums.into_iter().fold(S::splat(0.0), |a, b| S::add(a, b)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    #[test]
    fn ceilings_are_rates_on_every_path() {
        for (name, isa) in Isa::all() {
            let ceilings = Cpu::new(1, isa).ceilings();
            assert!(ceilings.f32_flops > 1e7 && ceilings.read_bytes > 1e7, "{name}: {ceilings:?}");
            assert_eq!(ceilings.bf16_flops.is_some(), isa.multiplies_bf16(), "{name}");
        }
    }
}
