//! The tile registers of one thread and what the tile instructions do to them (Intel SDM volume 2, the operation
//! sections of the instructions and the exception classes AMX-E1 to AMX-E6).

use super::decode::{Instruction, Product, Rows};

const TILES: usize = 8;
const ROWS: usize = 16;
const DWORDS: usize = 16;

/// Sixteen rows of 64 bytes. No instruction shows what lies outside the configured shape.
type Tile = [[u32; DWORDS]; ROWS];

/// The exception that the hardware would raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// #UD, an illegal instruction.
    Undefined,
    /// #GP.
    Protection,
}

/// Both zero (a tile that is not in use) or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    rows: u8,
    bytes_per_row: u16,
}

/// The configuration and the data of the tiles of one thread.
pub(super) struct Tiles {
    /// 0: not configured.
    palette: u8,
    start_row: u8,
    shapes: [Shape; TILES],
    data: [Tile; TILES],
}

impl Tiles {
    /// The initial state: not configured.
    pub(super) const fn new() -> Self {
        Self {
            palette: 0,
            start_row: 0,
            shapes: [Shape { rows: 0, bytes_per_row: 0 }; TILES],
            data: [[[0; DWORDS]; ROWS]; TILES],
        }
    }

    /// Carries out one instruction, or changes nothing and says what the hardware would raise.
    ///
    /// # Safety
    /// The memory operand must be one that the program may access, exclusively where it is written, in the extent
    /// that the configuration gives it. The processor must have AVX2 and FMA.
    pub(super) unsafe fn execute(&mut self, instruction: Instruction) -> Result<(), Fault> {
        match instruction {
            Instruction::LoadConfig { address } => {
                let mut bytes = [0; 64];
                // SAFETY: the caller vouches for the operand; 64 bytes are what the array holds.
                unsafe { copy(address, bytes.as_mut_ptr().expose_provenance() as u64, bytes.len()) };
                self.configure(&bytes)
            }
            Instruction::StoreConfig { address } => {
                let bytes = self.describe();
                // SAFETY: the caller vouches for the operand; 64 bytes are what the array holds.
                unsafe { copy(bytes.as_ptr().expose_provenance() as u64, address, bytes.len()) };
                Ok(())
            }
            Instruction::Release => {
                self.reset();
                Ok(())
            }
            Instruction::Zero { tile } => self.zero(tile),
            // SAFETY: passed on to the caller.
            Instruction::Load { tile, memory } => unsafe { self.load(tile, memory) },
            // SAFETY: passed on to the caller.
            Instruction::Store { tile, memory } => unsafe { self.store(tile, memory) },
            // SAFETY: passed on to the caller.
            Instruction::Dot { product, sum, left, right } => unsafe { self.dot(product, sum, left, right) },
        }
    }

    fn reset(&mut self) {
        self.palette = 0;
        self.start_row = 0;
        self.shapes.fill(Shape { rows: 0, bytes_per_row: 0 });
        self.data.as_flattened_mut().as_flattened_mut().fill(0);
    }

    /// `ldtilecfg`. Layout: palette, start row, 14 reserved bytes, 16 little-endian bytes per row, 16 row counts.
    fn configure(&mut self, bytes: &[u8; 64]) -> Result<(), Fault> {
        let mut shapes = [Shape { rows: 0, bytes_per_row: 0 }; TILES];
        match bytes[0] {
            0 => {
                self.reset();
                return Ok(());
            }
            1 => {}
            _ => return Err(Fault::Protection),
        }
        let reserved = bytes[2..16].iter().chain(&bytes[32..48]).chain(&bytes[56..64]);
        if reserved.copied().any(|byte| byte != 0) {
            return Err(Fault::Protection);
        }
        let columns = bytes[16..32].as_chunks::<2>().0;
        for ((shape, &bytes_per_row), &rows) in shapes.iter_mut().zip(columns).zip(&bytes[48..56]) {
            *shape = Shape { rows, bytes_per_row: u16::from_le_bytes(bytes_per_row) };
            let fits = usize::from(shape.rows) <= ROWS && usize::from(shape.bytes_per_row) <= 4 * DWORDS;
            if !fits || (shape.rows == 0) != (shape.bytes_per_row == 0) {
                return Err(Fault::Protection);
            }
        }
        self.reset();
        self.palette = 1;
        self.start_row = bytes[1];
        self.shapes = shapes;
        Ok(())
    }

    /// `sttilecfg`: the layout of `ldtilecfg`, all zero when not configured.
    fn describe(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0] = self.palette;
        bytes[1] = self.start_row;
        for (place, shape) in bytes[16..32].as_chunks_mut::<2>().0.iter_mut().zip(&self.shapes) {
            *place = shape.bytes_per_row.to_le_bytes();
        }
        for (place, shape) in bytes[48..56].iter_mut().zip(&self.shapes) {
            *place = shape.rows;
        }
        bytes
    }

    /// `tilezero`, which alone accepts rows that are no whole number of dwords.
    fn zero(&mut self, tile: usize) -> Result<(), Fault> {
        let (shape, data) = self.shapes.get(tile).zip(self.data.get_mut(tile)).ok_or(Fault::Undefined)?;
        if shape.rows == 0 {
            return Err(Fault::Undefined);
        }
        data.as_flattened_mut().fill(0);
        self.start_row = 0;
        Ok(())
    }

    /// Rows and dwords per row of a tile in use. A tile of an unconfigured thread is not in use.
    fn shape(&self, tile: usize) -> Result<(usize, usize), Fault> {
        match self.shapes.get(tile) {
            Some(&Shape { rows, bytes_per_row }) if rows != 0 && bytes_per_row % 4 == 0 => {
                Ok((usize::from(rows), usize::from(bytes_per_row / 4)))
            }
            _ => Err(Fault::Undefined),
        }
    }

    /// `tileloadd`: rows before the start row keep their contents.
    ///
    /// # Safety
    /// As for [`Tiles::execute`].
    unsafe fn load(&mut self, tile: usize, memory: Rows) -> Result<(), Fault> {
        let (rows, dwords) = self.shape(tile)?;
        let start = usize::from(self.start_row);
        let data = self.data.get_mut(tile).ok_or(Fault::Undefined)?;
        let data = data.get_mut(start..rows).filter(|rows| !rows.is_empty()).ok_or(Fault::Undefined)?;
        for (row, dwords_of_row) in (start as u64..).zip(data) {
            let address = memory.base.wrapping_add(memory.stride.wrapping_mul(row));
            // SAFETY: the caller vouches for the operand; dwords are at most the sixteen of the row.
            unsafe { copy(address, dwords_of_row.as_mut_ptr().expose_provenance() as u64, 4 * dwords) };
        }
        self.start_row = 0;
        Ok(())
    }

    /// `tilestored`, from the start row on.
    ///
    /// # Safety
    /// As for [`Tiles::execute`].
    unsafe fn store(&mut self, tile: usize, memory: Rows) -> Result<(), Fault> {
        let (rows, dwords) = self.shape(tile)?;
        let start = usize::from(self.start_row);
        let data = self.data.get(tile).ok_or(Fault::Undefined)?;
        let data = data.get(start..rows).filter(|rows| !rows.is_empty()).ok_or(Fault::Undefined)?;
        for (row, dwords_of_row) in (start as u64..).zip(data) {
            let address = memory.base.wrapping_add(memory.stride.wrapping_mul(row));
            // SAFETY: the caller vouches for the operand; dwords are at most the sixteen of the row.
            unsafe { copy(dwords_of_row.as_ptr().expose_provenance() as u64, address, 4 * dwords) };
        }
        self.start_row = 0;
        Ok(())
    }

    /// `tdp*`: `sum[m][n] += left[m][k] * right[k][n]`, each element a dword of packed numbers.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA.
    unsafe fn dot(&mut self, product: Product, sum: usize, left: usize, right: usize) -> Result<(), Fault> {
        let (rows, columns) = self.shape(sum)?;
        let (left_rows, left_columns) = self.shape(left)?;
        let (right_rows, right_columns) = self.shape(right)?;
        if rows != left_rows || columns != right_columns || left_columns != right_rows {
            return Err(Fault::Undefined);
        }
        // Operands must be three different tiles.
        let [sum, left, right] = self.data.get_disjoint_mut([sum, left, right]).map_err(|_| Fault::Undefined)?;
        for (sum, left) in sum.iter_mut().zip(&*left).take(rows) {
            match product {
                // SAFETY: passed on to the caller.
                Product::Bf16 => unsafe { add_bf16_products(sum, left, right, right_rows) },
                Product::SignedSigned => add_byte_products::<true, true>(sum, left, right, right_rows, columns),
                Product::SignedUnsigned => add_byte_products::<true, false>(sum, left, right, right_rows, columns),
                Product::UnsignedSigned => add_byte_products::<false, true>(sum, left, right, right_rows, columns),
                Product::UnsignedUnsigned => add_byte_products::<false, false>(sum, left, right, right_rows, columns),
            }
        }
        self.start_row = 0;
        Ok(())
    }
}

/// Copies bytes as an instruction of the interrupted program would: where an address leads nowhere, null included, the
/// processor and not the compiler has the say.
///
/// # Safety
/// Both addresses must be valid for that many bytes, one to read and the other to write.
unsafe fn copy(source: u64, target: u64, bytes: usize) {
    // SAFETY: the caller vouches for the addresses; the direction flag is clear, as everywhere in Rust.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rsi") source => _, inout("rdi") target => _, inout("rcx") bytes => _,
            options(nostack, preserves_flags),
        );
    }
}

/// One row of a byte product: four products of bytes per dword, added with wrap-around.
fn add_byte_products<const LEFT_SIGNED: bool, const RIGHT_SIGNED: bool>(
    sum: &mut [u32; DWORDS],
    left: &[u32; DWORDS],
    right: &Tile,
    depth: usize,
    columns: usize,
) {
    for (left, right) in left.iter().zip(right).take(depth) {
        for (sum, right) in sum.iter_mut().zip(right).take(columns) {
            for (x, y) in left.to_le_bytes().into_iter().zip(right.to_le_bytes()) {
                let x = if LEFT_SIGNED { i32::from(x as i8) } else { i32::from(x) };
                let y = if RIGHT_SIGNED { i32::from(y as i8) } else { i32::from(y) };
                *sum = sum.wrapping_add(x.wrapping_mul(y) as u32);
            }
        }
    }
}

/// One row of `tdpbf16ps`, in the order of the operation section of its SDM page, which Bochs follows too
/// (`cpu/avx/amx.cc`): for each column, the products of the even elements and those of the odd elements are summed
/// apart from each other, from zero and in the order of the depth, each product fused with its addition (one
/// rounding); then even and odd sums are added, and the result is added to what the tile held.
///
/// Rounding is to nearest even, with denormals taken as zero and results flushed to zero, whatever MXCSR says. The
/// processor's own FMA in that mode is the definition used here: it flushes what is tiny after rounding. Which NaN
/// comes out where several meet is not documented for tiles, and here is what the FMA gives.
///
/// # Safety
/// The processor must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn add_bf16_products(sum: &mut [u32; DWORDS], left: &[u32; DWORDS], right: &Tile, depth: usize) {
    if depth == 0 || depth > ROWS {
        return;
    }
    // Flush to zero, denormals are zero, nearest even, all exceptions masked; then room for the mode found.
    let mut modes = [0x9FC0_u32, 0];
    // SAFETY: reads `depth` dwords of `left` and rows of `right`, which hold at least that many; reads and writes the
    // sixteen of `sum`; writes the second mode. MXCSR is put back, save for its sticky flags, which asm! may change.
    unsafe {
        std::arch::asm!(
            "vstmxcsr [{modes} + 4]",
            "vldmxcsr [{modes}]",
            "vxorps ymm0, ymm0, ymm0",         // even sums, columns 0 to 7
            "vxorps ymm1, ymm1, ymm1",         // even sums, columns 8 to 15
            "vxorps ymm2, ymm2, ymm2",         // odd sums
            "vxorps ymm3, ymm3, ymm3",
            "vpcmpeqd ymm4, ymm4, ymm4",
            "vpslld ymm4, ymm4, 16",           // a bf16 is the upper half of an f32
            "2:",
            "vpbroadcastd ymm5, [{left}]",
            "vpand ymm6, ymm5, ymm4",          // odd element of the left row
            "vpslld ymm5, ymm5, 16",           // even element
            "vmovdqu ymm7, [{right}]",
            "vmovdqu ymm8, [{right} + 32]",
            "vpslld ymm9, ymm7, 16",
            "vpslld ymm10, ymm8, 16",
            "vpand ymm7, ymm7, ymm4",
            "vpand ymm8, ymm8, ymm4",
            "vfmadd231ps ymm0, ymm5, ymm9",
            "vfmadd231ps ymm1, ymm5, ymm10",
            "vfmadd231ps ymm2, ymm6, ymm7",
            "vfmadd231ps ymm3, ymm6, ymm8",
            "add {left}, 4",
            "add {right}, 64",
            "dec {depth}",
            "jnz 2b",
            "vaddps ymm0, ymm0, ymm2",
            "vaddps ymm1, ymm1, ymm3",
            "vmovups ymm2, [{sum}]",
            "vmovups ymm3, [{sum} + 32]",
            "vaddps ymm0, ymm2, ymm0",
            "vaddps ymm1, ymm3, ymm1",
            "vmovups [{sum}], ymm0",
            "vmovups [{sum} + 32], ymm1",
            "vldmxcsr [{modes} + 4]",
            modes = in(reg) modes.as_mut_ptr(),
            left = inout(reg) left.as_ptr() => _,
            right = inout(reg) right.as_ptr() => _,
            depth = inout(reg) depth => _,
            sum = in(reg) sum.as_mut_ptr(),
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
            out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One column, one row: sums `pairs` of bf16 products onto `start` as `tdpbf16ps` does.
    fn dot(start: f32, pairs: &[[f32; 4]]) -> f32 {
        let bf16 = |even: f32, odd: f32| {
            assert_eq!((even.to_bits() | odd.to_bits()) & 0xFFFF, 0, "not a bf16: {even} {odd}");
            even.to_bits() >> 16 | odd.to_bits()
        };
        let (mut sum, mut left, mut right) = ([0; DWORDS], [0; DWORDS], [[0; DWORDS]; ROWS]);
        sum[0] = start.to_bits();
        for (k, &[a_even, b_even, a_odd, b_odd]) in pairs.iter().enumerate() {
            left[k] = bf16(a_even, a_odd);
            right[k][0] = bf16(b_even, b_odd);
        }
        super::super::install().unwrap();
        // SAFETY: install has checked AVX2 and FMA.
        unsafe { add_bf16_products(&mut sum, &left, &right, pairs.len()) };
        assert_eq!(sum[1..], [0; 15]);
        f32::from_bits(sum[0])
    }

    /// Flushing is decided after rounding: the values that end up a hair below the smallest normal number.
    #[test]
    fn flushes_what_is_tiny_after_rounding() {
        let smallest = f32::MIN_POSITIVE;
        let lost = 2_f32.powi(-75);
        let (x, y) = (2_f32.powi(-60), 2_f32.powi(-66));
        for (factor, expected) in [
            (0.25, smallest), // rounds up to normal with 24 bits
            (0.5, smallest),  // the tie goes to even, which is normal
            (0.75, 0.0),      // rounds to 2^-126 - 2^-150, which is tiny, though not with a denormal's precision
            (1.0, 0.0),
            (2.0, 0.0),
        ] {
            let got = dot(0.0, &[[x, y, 0.0, 0.0], [-lost, factor * lost, 0.0, 0.0]]);
            assert_eq!(got.to_bits(), expected.to_bits(), "factor {factor}: {got:e}");
            let got = dot(0.0, &[[-x, y, 0.0, 0.0], [lost, factor * lost, 0.0, 0.0]]);
            let expected = if expected == 0.0 { 0.0 } else { -expected };
            assert_eq!(got.to_bits(), expected.to_bits(), "factor -{factor}: {got:e}");
        }
    }

    #[test]
    fn configuration_survives_a_round_trip() {
        let mut bytes = [0; 64];
        bytes[..2].copy_from_slice(&[1, 5]);
        bytes[16..24].copy_from_slice(&[64, 0, 4, 0, 0, 0, 20, 0]);
        bytes[48..52].copy_from_slice(&[16, 1, 0, 7]);
        let mut tiles = Tiles::new();
        assert_eq!(tiles.describe(), [0; 64]);
        tiles.configure(&bytes).unwrap();
        assert_eq!(tiles.describe(), bytes);
        bytes[0] = 0;
        tiles.configure(&bytes).unwrap();
        assert_eq!(tiles.describe(), [0; 64]);
    }

    #[test]
    fn rejected_configurations_change_nothing() {
        let mut valid = [0; 64];
        valid[0] = 1;
        valid[16] = 64;
        valid[48] = 16;
        let mut tiles = Tiles::new();
        tiles.configure(&valid).unwrap();
        let changes: [(usize, u8); 12] = [
            (0, 2),   // palette
            (2, 1),   // reserved
            (15, 1),  // reserved
            (16, 65), // too wide
            (17, 1),  // too wide
            (16, 0),  // rows without columns
            (18, 4),  // columns without rows
            (32, 1),  // a ninth tile
            (48, 17), // too high
            (48, 0),  // columns without rows
            (56, 1),  // a ninth tile
            (63, 1),  // reserved
        ];
        for (place, value) in changes {
            let mut bytes = valid;
            bytes[place] = value;
            assert_eq!(tiles.configure(&bytes), Err(Fault::Protection), "byte {place} = {value}");
            assert_eq!(tiles.describe(), valid, "byte {place} = {value}");
        }
    }
}
