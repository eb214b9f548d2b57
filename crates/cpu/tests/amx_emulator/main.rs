//! Tile instructions, written with their real mnemonics, against plain scalar loops. Where the processor has AMX they
//! run in hardware and the tests check the arithmetic and the rules that the emulator claims to follow.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::arch::asm;
use std::sync::Once;

use moeworks_cpu::amx::emulator;

/// `asm!` on tiles: declares all of them as overwritten.
macro_rules! tile_asm {
    ($($code:expr),+ ; $($operands:tt)*) => {
        asm!(
            $($code,)+ $($operands)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
        )
    };
}

/// Makes tile instructions work in this process: in hardware if it has them, else by the emulator.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has = |flag| processor.split_whitespace().any(|word| word == flag);
        let has_tiles_bf16_int8 = has("amx_tile") && has("amx_bf16") && has("amx_int8");
        // SAFETY: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) takes and returns numbers only.
        if has_tiles_bf16_int8 && unsafe { libc::syscall(libc::SYS_arch_prctl, 0x1023, 18) } == 0 {
            eprintln!("NATIVE: this processor has AMX; the hardware is tested, not the emulator");
        } else {
            emulator::install().expect("the AMX emulator");
            assert!(emulator::is_installed());
        }
    });
}

/// The operand of `ldtilecfg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
struct Config([u8; 64]);

impl Config {
    /// Palette 1, tile `i` having `shapes[i]` = (rows, bytes per row).
    fn new(shapes: &[(usize, usize)]) -> Self {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        for (tile, &(rows, bytes_per_row)) in shapes.iter().enumerate() {
            bytes[16 + 2 * tile] = bytes_per_row as u8;
            bytes[48 + tile] = rows as u8;
        }
        Self(bytes)
    }

    fn full() -> Self {
        Self::new(&[(16, 64); 8])
    }

    fn starting_at(mut self, row: u8) -> Self {
        self.0[1] = row;
        self
    }

    fn load(&self) {
        // SAFETY: reads the 64 bytes.
        unsafe { tile_asm!("ldtilecfg [{}]"; in(reg) self,) }
    }

    fn current() -> Self {
        let mut config = Self([0xAA; 64]);
        // SAFETY: writes the 64 bytes.
        unsafe { asm!("sttilecfg [{}]", in(reg) &mut config) };
        config
    }
}

fn release() {
    // SAFETY: touches tiles only.
    unsafe { tile_asm!("tilerelease";) }
}

/// Memory for one tile: 16 rows of 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block([[u8; 64]; 16]);

impl Block {
    fn filled(byte: u8) -> Self {
        Self([[byte; 64]; 16])
    }

    fn random(random: &mut Random) -> Self {
        Self(std::array::from_fn(|_| std::array::from_fn(|_| random.next() as u8)))
    }

    fn from_dwords(dwords: impl Fn(usize, usize) -> u32) -> Self {
        let mut block = Self::filled(0);
        for (row, column) in cells(16, 16) {
            block.0[row][4 * column..][..4].copy_from_slice(&dwords(row, column).to_le_bytes());
        }
        block
    }

    fn dword(&self, row: usize, column: usize) -> u32 {
        u32::from_le_bytes(self.0[row][4 * column..][..4].try_into().unwrap())
    }

    fn f32(&self, row: usize, column: usize) -> f32 {
        f32::from_bits(self.dword(row, column))
    }

    /// The even (0) or odd (1) bf16 element of a dword.
    fn bf16(&self, row: usize, column: usize, odd: usize) -> f32 {
        f32::from_bits(if odd == 1 { self.dword(row, column) & 0xFFFF_0000 } else { self.dword(row, column) << 16 })
    }

    /// What lies within a shape, zero elsewhere.
    fn cropped(&self, rows: usize, bytes: usize) -> Self {
        Self(std::array::from_fn(|row| {
            std::array::from_fn(|byte| if row < rows && byte < bytes { self.0[row][byte] } else { 0 })
        }))
    }
}

fn cells(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

/// An xorshift generator: deterministic, without dependencies.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// A bf16 with an exponent in the range, in the upper half of the bits of an f32.
    fn bf16(&mut self, exponents: std::ops::Range<u32>) -> u32 {
        let exponent = exponents.start + self.next() as u32 % (exponents.end - exponents.start);
        (self.next() as u32 & 0x807F) << 16 | exponent << 23
    }
}

/// Loads a block into tile `$tile`, with the rows 64 bytes apart.
macro_rules! load {
    ($tile:literal, $block:expr) => {{
        let block: &Block = &$block;
        // SAFETY: reads at most 16 rows of 64 bytes.
        unsafe { tile_asm!(concat!("tileloadd ", $tile, ", [{0} + {1}]"); in(reg) block, in(reg) 64_usize,) }
    }};
}

/// Stores tile `$tile` into a block filled with `0xCC`.
macro_rules! stored {
    ($tile:literal) => {{
        let mut block = Block::filled(0xCC);
        // SAFETY: writes at most 16 rows of 64 bytes.
        unsafe { asm!(concat!("tilestored [{0} + {1}], ", $tile), in(reg) &mut block, in(reg) 64_usize) };
        block
    }};
}

/// Runs code that has tile operands only.
macro_rules! tiles_only {
    ($($code:literal),+) => {
        // SAFETY: touches tiles only.
        unsafe { tile_asm!($($code),+;) }
    };
}

mod addressing;
mod illegal_use;
mod products;
mod state;
