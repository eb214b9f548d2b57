//! Instruction sets: what this processor has, what the user forces, and what therefore runs.

use std::fmt;

/// Environment variable that forces a path: `portable`, `avx2`, `avx512`, `avx512-bf16`, `amx` or `amx-emulated`.
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

/// The path that matrices take: vectors, and tiles for bf16 where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa {
    vector: Vector,
    tiles: Tiles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tiles {
    None,
    Native,
    /// Every tile instruction traps and is carried out in software: for tests.
    Emulated,
}

/// A path that was asked for and cannot run here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IsaError {
    /// Not a path.
    #[error(
        "{FORCE}={asked:?} is not an instruction set; choose portable, avx2, avx512, avx512-bf16, amx or amx-emulated"
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
        let tiles = if Self::has_amx() { Tiles::Native } else { Tiles::None };
        Isa { vector, tiles }
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
        Ok(match name {
            "portable" => Isa { vector: Vector::Portable, tiles: Tiles::None },
            "avx2" => Isa { vector: vector("avx2", "AVX2 and FMA")?, tiles: Tiles::None },
            "avx512" => Isa { vector: avx512()?, tiles: Tiles::None },
            "avx512-bf16" => Isa { vector: vector("avx512bf16", "AVX-512 with BF16")?, tiles: Tiles::None },
            "amx" if Self::has_amx() => Isa { vector: widest()?, tiles: Tiles::Native },
            "amx" => return Err(missing("AMX tiles and bf16, and the system's permission to use them")),
            "amx-emulated" => {
                let vector = widest()?;
                Self::emulate().map_err(|e| missing(&e))?;
                Isa { vector, tiles: Tiles::Emulated }
            }
            _ => return Err(IsaError::Unknown { asked: name.into() }),
        })
    }

    /// Every path that can run here, by the name that forces it, plainest first. Emulated tiles come in place of
    /// native ones where there are none, so that tests reach that code everywhere.
    pub fn all() -> Vec<(&'static str, Isa)> {
        let tiles = if Self::has_amx() { "amx" } else { "amx-emulated" };
        ["portable", "avx2", "avx512", "avx512-bf16", tiles]
            .into_iter()
            .filter_map(|n| Some((n, Self::forced(n).ok()?)))
            .collect()
    }

    /// The vectors.
    pub fn vector(self) -> Vector {
        self.vector
    }

    /// Whether bf16 matrices multiply on tiles.
    pub fn has_tiles(self) -> bool {
        self.tiles != Tiles::None
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
        f.write_str(match self.tiles {
            Tiles::None => "",
            Tiles::Native => " + AMX bf16",
            Tiles::Emulated => " + AMX bf16 emulated (slow, for tests)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_paths_are_errors_with_the_choices() {
        assert!(Isa::forced("sse9").unwrap_err().to_string().contains("avx512-bf16, amx or amx-emulated"));
        assert_eq!(Isa::forced("portable").unwrap().to_string(), "portable");
        if !Isa::has_amx() {
            assert!(Isa::forced("amx").unwrap_err().to_string().contains("this machine lacks"));
        }
        let all = Isa::all();
        assert_eq!(all[0].0, "portable");
        assert!(all.iter().any(|(_, isa)| isa.vector() == Isa::best().vector()));
    }
}
