//! Instruction sets: what this processor has, what the user forces, and what therefore runs.

use std::fmt;

/// Environment variable that forces a path: `portable`, `avx2`, `avx512`, `avx512-bf16`, `avx512-dots`, `amx` or `amx-emulated`.
pub const FORCE: &str = "MOEWORKS_ISA";

/// The vectors that kernels are compiled for. A value other than `Portable` is only made where the processor has the
/// set, which is what makes [`crate::simd::run`] sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vector {
    /// No instruction set at all.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same, and BF16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

/// The path that matrices take: vectors, and how bf16 multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa {
    vector: Vector,
    bf16: Bf16,
}

/// How matrices in bf16 multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bf16 {
    /// Widened to f32.
    Widened,
    /// As pairs, by dot products of vectors.
    Dots,
    /// As pairs, on tiles.
    Tiles,
    /// Every tile instruction traps and is carried out in software: for tests.
    EmulatedTiles,
}

/// A path that was asked for and cannot run here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IsaError {
    /// Not a path.
    #[error(
        "{FORCE}={asked:?} is not an instruction set; choose portable, avx2, avx512, avx512-bf16, avx512-dots, amx or \
         amx-emulated"
    )]
    Unknown {
        /// The value.
        asked: String,
    },
    /// A path that this processor or system lacks.
    #[error("{FORCE}={asked} needs {needs}, which this machine lacks; without the variable the best path is chosen")]
    Missing {
        /// The value.
        asked: String,
        /// Instructions or permission.
        needs: String,
    },
}

/// The vector sets of this processor, plainest first.
pub fn vectors() -> Vec<Vector> {
    #[allow(unused_mut)]
    let mut all = vec![Vector::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(Vector::Avx2);
        }
        let wide = ["f", "bw", "dq", "vl"];
        let has = [
            is_x86_feature_detected!("avx512f"),
            is_x86_feature_detected!("avx512bw"),
            is_x86_feature_detected!("avx512dq"),
            is_x86_feature_detected!("avx512vl"),
        ];
        if all.len() == 2 && wide.len() == has.iter().filter(|h| **h).count() {
            all.push(Vector::Avx512);
            if is_x86_feature_detected!("avx512bf16") {
                all.push(Vector::Avx512Bf16);
            }
        }
    }
    all
}

/// Whether dot products of bf16 pairs come as fast as multiply-adds of f32, so that they do twice the work: on AMD's
/// processors since Zen 4. Intel's take twice as long or longer, and multiply bf16 on tiles.
#[cfg(target_arch = "x86_64")]
fn has_fast_dots() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    let vendor = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    vendor.as_flattened() == b"AuthenticAMD"
}

impl Isa {
    /// The best path of this machine, or the one the environment forces.
    pub fn from_environment() -> Result<Self, IsaError> {
        match std::env::var(FORCE) {
            Ok(name) if !name.is_empty() => Self::forced(&name),
            _ => Ok(Self::best()),
        }
    }

    /// The best path of this machine. Where the system refuses tiles, the next best.
    pub fn best() -> Self {
        let vector = *vectors().last().expect("there is always a portable path");
        let bf16 = match vector {
            _ if Self::has_amx() => Bf16::Tiles,
            #[cfg(target_arch = "x86_64")]
            Vector::Avx512Bf16 if has_fast_dots() => Bf16::Dots,
            _ => Bf16::Widened,
        };
        Isa { vector, bf16 }
    }

    /// A path by name.
    pub fn forced(name: &str) -> Result<Self, IsaError> {
        let missing = |needs: &str| IsaError::Missing { asked: name.into(), needs: needs.into() };
        let vector = |wanted: &str, needs: &str| {
            let found = vectors().into_iter().find(|v| format!("{v:?}").eq_ignore_ascii_case(wanted));
            found.ok_or_else(|| missing(needs))
        };
        let avx512 = || vector("avx512", "AVX-512 (F, BW, DQ, VL)");
        // Tiles come with BF16 on every processor that has them, but nothing says that they must.
        let widest = || vector("avx512bf16", "").or_else(|_| avx512());
        let with_bf16 = || vector("avx512bf16", "AVX-512 with BF16");
        Ok(match name {
            "portable" => Isa { vector: Vector::Portable, bf16: Bf16::Widened },
            "avx2" => Isa { vector: vector("avx2", "AVX2 and FMA")?, bf16: Bf16::Widened },
            "avx512" => Isa { vector: avx512()?, bf16: Bf16::Widened },
            "avx512-bf16" => Isa { vector: with_bf16()?, bf16: Bf16::Widened },
            "avx512-dots" => Isa { vector: with_bf16()?, bf16: Bf16::Dots },
            "amx" if Self::has_amx() => Isa { vector: widest()?, bf16: Bf16::Tiles },
            "amx" => return Err(missing("AMX tiles and bf16, and the system's permission to use them")),
            "amx-emulated" => {
                let vector = widest()?;
                Self::emulate().map_err(|e| missing(&e))?;
                Isa { vector, bf16: Bf16::EmulatedTiles }
            }
            _ => return Err(IsaError::Unknown { asked: name.into() }),
        })
    }

    /// Every path that can run here, by the name that forces it, plainest first. Emulated tiles come in place of
    /// native ones where there are none, so that tests reach that code everywhere.
    pub fn all() -> Vec<(&'static str, Isa)> {
        let tiles = if Self::has_amx() { "amx" } else { "amx-emulated" };
        ["portable", "avx2", "avx512", "avx512-bf16", "avx512-dots", tiles]
            .into_iter()
            .filter_map(|n| Some((n, Self::forced(n).ok()?)))
            .collect()
    }

    /// The vectors.
    pub fn vector(self) -> Vector {
        self.vector
    }

    /// Whether matrices in bf16 multiply as they are, on tiles or by dot products, and not widened to f32.
    pub fn multiplies_bf16(self) -> bool {
        self.bf16 != Bf16::Widened
    }

    /// Whether bf16 matrices multiply on tiles.
    pub fn has_tiles(self) -> bool {
        matches!(self.bf16, Bf16::Tiles | Bf16::EmulatedTiles)
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn has_amx() -> bool {
        crate::amx::permitted()
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    fn has_amx() -> bool {
        false
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn emulate() -> Result<(), String> {
        crate::amx::emulator::install().map_err(|e| e.to_string())
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    fn emulate() -> Result<(), String> {
        Err("x86-64 Linux".into())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.vector {
            Vector::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Vector::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Vector::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Vector::Avx512Bf16 => "AVX-512 + BF16",
        })?;
        f.write_str(match self.bf16 {
            Bf16::Widened => "",
            Bf16::Dots => " dot products",
            Bf16::Tiles => " + AMX bf16",
            Bf16::EmulatedTiles => " + AMX bf16 emulated (slow, for tests)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_paths_are_errors_with_the_choices() {
        assert!(Isa::forced("sse9").unwrap_err().to_string().contains("avx512-dots, amx or amx-emulated"));
        assert_eq!(Isa::forced("portable").unwrap().to_string(), "portable");
        if !Isa::has_amx() {
            assert!(Isa::forced("amx").unwrap_err().to_string().contains("this machine lacks"));
        }
        let all = Isa::all();
        assert_eq!(all[0].0, "portable");
        assert!(all.iter().any(|(_, isa)| isa.vector() == Isa::best().vector()));
    }
}
