//! Decoding of the VEX-encoded tile instructions (Intel SDM volume 2: chapter 2 for VEX, ModRM and SIB, the pages of
//! the instructions for the opcodes).

/// A tile instruction with its memory operand resolved. Tile numbers are below 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// `ldtilecfg`: 64 bytes at the address.
    LoadConfig { address: u64 },
    /// `sttilecfg`: 64 bytes at the address.
    StoreConfig { address: u64 },
    /// `tilerelease`.
    Release,
    /// `tilezero`.
    Zero { tile: usize },
    /// `tileloadd` and `tileloaddt1`.
    Load { tile: usize, memory: Rows },
    /// `tilestored`.
    Store { tile: usize, memory: Rows },
    /// `sum += left * right`.
    Dot { product: Product, sum: usize, left: usize, right: usize },
}

/// Where the rows of a tile lie in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) base: u64,
    pub(super) stride: u64,
}

/// What a dot product multiplies: bf16 pairs, or bytes (signedness of the left operand, then of the right one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    Bf16,
    SignedSigned,
    SignedUnsigned,
    UnsignedSigned,
    UnsignedUnsigned,
}

/// The fields of the VEX prefix, inverted bits turned back.
struct Vex {
    /// Extension of ModRM.reg, SIB.index and ModRM.rm or SIB.base: 8 or 0.
    reg: u8,
    index: u8,
    base: u8,
    /// The extra register operand, 0 where there is none.
    vvvv: u8,
    prefix: u8,
}

const NONE: u8 = 0;
const X66: u8 = 1;
const XF3: u8 = 2;
const XF2: u8 = 3;

/// The bytes of the instruction, fetched one by one and counted.
struct Bytes<F> {
    fetch: F,
    length: usize,
}

impl<F: FnMut(usize) -> u8> Bytes<F> {
    fn next(&mut self) -> u8 {
        let byte = (self.fetch)(self.length);
        self.length = self.length.wrapping_add(1);
        byte
    }

    fn next_i32(&mut self) -> i32 {
        i32::from_le_bytes([self.next(), self.next(), self.next(), self.next()])
    }
}

/// Decodes the instruction whose byte `i` is `fetch(i)`, at address `rip`, with the general `registers` in the order
/// of their numbers. Returns it with its length in bytes, or nothing if it is no tile instruction. Fetches no byte
/// beyond the first that rules this out.
pub(super) fn decode(fetch: impl FnMut(usize) -> u8, registers: &[u64; 16], rip: u64) -> Option<(Instruction, u64)> {
    let mut bytes = Bytes { fetch, length: 0 };
    let vex = vex_128_0f38_w0(&mut bytes)?;
    let opcode = bytes.next();
    if !matches!(opcode, 0x49 | 0x4B | 0x5C | 0x5E) {
        return None;
    }
    let modrm = bytes.next();
    let instruction = if modrm >= 0xC0 {
        between_registers(opcode, modrm, &vex)?
    } else {
        with_memory(opcode, modrm, &vex, &mut bytes, registers, rip)?
    };
    Some((instruction, bytes.length as u64))
}

/// Reads the prefix VEX.128.*.0F38.W0, which only the three-byte form can say.
fn vex_128_0f38_w0<F: FnMut(usize) -> u8>(bytes: &mut Bytes<F>) -> Option<Vex> {
    if bytes.next() != 0xC4 {
        return None;
    }
    let second = bytes.next();
    if second & 0x1F != 2 {
        return None;
    }
    let third = bytes.next();
    if third & 0x84 != 0 {
        return None; // W or L is set
    }
    Some(Vex {
        reg: if second & 0x80 == 0 { 8 } else { 0 },
        index: if second & 0x40 == 0 { 8 } else { 0 },
        base: if second & 0x20 == 0 { 8 } else { 0 },
        vvvv: !(third >> 3) & 15,
        prefix: third & 3,
    })
}

/// Instructions with ModRM.mod = 3: no memory operand.
fn between_registers(opcode: u8, modrm: u8, vex: &Vex) -> Option<Instruction> {
    let (reg, rm) = (modrm >> 3 & 7, modrm & 7);
    let product = match (opcode, vex.prefix) {
        (0x49, NONE) if vex.vvvv == 0 && reg == 0 && rm == 0 => return Some(Instruction::Release),
        (0x49, XF2) if vex.vvvv == 0 && rm == 0 => return Some(Instruction::Zero { tile: tile(vex.reg | reg)? }),
        (0x5C, XF3) => Product::Bf16,
        (0x5E, XF2) => Product::SignedSigned,
        (0x5E, XF3) => Product::SignedUnsigned,
        (0x5E, X66) => Product::UnsignedSigned,
        (0x5E, NONE) => Product::UnsignedUnsigned,
        _ => return None,
    };
    Some(Instruction::Dot { product, sum: tile(vex.reg | reg)?, left: tile(vex.base | rm)?, right: tile(vex.vvvv)? })
}

/// Instructions with a memory operand.
fn with_memory<F: FnMut(usize) -> u8>(
    opcode: u8,
    modrm: u8,
    vex: &Vex,
    bytes: &mut Bytes<F>,
    registers: &[u64; 16],
    rip: u64,
) -> Option<Instruction> {
    let reg = modrm >> 3 & 7;
    let strided = opcode == 0x4B;
    match (opcode, vex.prefix) {
        (0x49, NONE | X66) if reg == 0 => {}
        // Rows of a tile are addressed through a SIB byte, whose index register holds the stride.
        (0x4B, X66 | XF3 | XF2) if modrm & 7 == 4 && vex.reg == 0 => {}
        _ => return None,
    }
    if vex.vvvv != 0 {
        return None;
    }
    let Rows { base, stride } = operand(modrm, vex, bytes, registers, rip);
    Some(match (strided, vex.prefix) {
        (false, NONE) => Instruction::LoadConfig { address: base.wrapping_add(stride) },
        (false, _) => Instruction::StoreConfig { address: base.wrapping_add(stride) },
        (true, XF3) => Instruction::Store { tile: tile(reg)?, memory: Rows { base, stride } },
        (true, _) => Instruction::Load { tile: tile(reg)?, memory: Rows { base, stride } },
    })
}

/// Base plus displacement, and the scaled index: what an address is the sum of, and what a tile keeps apart.
fn operand<F: FnMut(usize) -> u8>(modrm: u8, vex: &Vex, bytes: &mut Bytes<F>, registers: &[u64; 16], rip: u64) -> Rows {
    let register = |number: u8| registers[usize::from(number & 15)];
    let (mode, rm) = (modrm >> 6, modrm & 7);
    let mut stride = 0;
    let mut base_field = rm;
    if rm == 4 {
        let sib = bytes.next();
        base_field = sib & 7;
        let index = vex.index | (sib >> 3 & 7);
        // Number 4 would be RSP and means that there is no index.
        if index != 4 {
            stride = register(index) << (sib >> 6);
        }
    }
    // Without a displacement, the numbers of RBP and R13 mean: no base (with SIB), or the next instruction's address.
    let no_base = mode == 0 && base_field == 5;
    let displacement = match mode {
        1 => i64::from(bytes.next() as i8),
        2 => i64::from(bytes.next_i32()),
        _ if no_base => i64::from(bytes.next_i32()),
        _ => 0,
    };
    let base = match (no_base, rm) {
        (true, 4) => 0,
        (true, _) => rip.wrapping_add(bytes.length as u64),
        (false, _) => register(vex.base | base_field),
    };
    Rows { base: base.wrapping_add_signed(displacement), stride }
}

/// Palette 1 has eight tiles.
fn tile(number: u8) -> Option<usize> {
    (number < 8).then_some(usize::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIP: u64 = 0x5000;

    fn registers() -> [u64; 16] {
        std::array::from_fn(|number| 0x10_0000 * (number as u64 + 1))
    }

    /// Decodes `code`, whose every byte must be needed: nothing may be fetched beyond it.
    fn decoded(code: &[u8]) -> Option<Instruction> {
        let result = decode(|offset| code[offset], &registers(), RIP);
        result.map(|(instruction, length)| {
            assert_eq!(length, code.len() as u64, "{code:02x?}");
            instruction
        })
    }

    fn at(number: u64, displacement: i64, index: u64, scale: u64) -> Rows {
        let base = (0x10_0000 * (number + 1)).wrapping_add_signed(displacement);
        Rows { base, stride: if index == 4 { 0 } else { 0x10_0000 * (index + 1) * scale } }
    }

    #[test]
    fn instructions_and_operands() {
        use Instruction::*;
        let cases: &[(&[u8], Instruction)] = &[
            // ldtilecfg [rax], [r12], [rbx + rcx*4 + 8], [rip + 16], [8 * r12 + 1]; sttilecfg [r8 - 1]
            (&[0xC4, 0xE2, 0x78, 0x49, 0x00], LoadConfig { address: 0x10_0000 }),
            (&[0xC4, 0xC2, 0x78, 0x49, 0x04, 0x24], LoadConfig { address: 0xD0_0000 }),
            (&[0xC4, 0xE2, 0x78, 0x49, 0x44, 0x8B, 0x08], LoadConfig { address: 0x40_0000 + 4 * 0x20_0000 + 8 }),
            (&[0xC4, 0xE2, 0x78, 0x49, 0x05, 16, 0, 0, 0], LoadConfig { address: RIP + 9 + 16 }),
            (&[0xC4, 0xA2, 0x78, 0x49, 0x04, 0xE5, 1, 0, 0, 0], LoadConfig { address: 8 * 0xD0_0000 + 1 }),
            (&[0xC4, 0xC2, 0x79, 0x49, 0x40, 0xFF], StoreConfig { address: 0x8F_FFFF }),
            // tilerelease, tilezero tmm0 and tmm7
            (&[0xC4, 0xE2, 0x78, 0x49, 0xC0], Release),
            (&[0xC4, 0xE2, 0x7B, 0x49, 0xC0], Zero { tile: 0 }),
            (&[0xC4, 0xE2, 0x7B, 0x49, 0xF8], Zero { tile: 7 }),
            // tileloadd tmm1, [rsi + rcx]; tmm2, [rsp]; tmm3, [r13 + r12*2 + 0]; tmm4, [rbp + rdx*8 - 256]
            (&[0xC4, 0xE2, 0x7B, 0x4B, 0x0C, 0x0E], Load { tile: 1, memory: at(6, 0, 1, 1) }),
            (&[0xC4, 0xE2, 0x7B, 0x4B, 0x14, 0x24], Load { tile: 2, memory: at(4, 0, 4, 1) }),
            (&[0xC4, 0x82, 0x7B, 0x4B, 0x5C, 0x65, 0x00], Load { tile: 3, memory: at(13, 0, 12, 2) }),
            (&[0xC4, 0xE2, 0x7B, 0x4B, 0xA4, 0xD5, 0, 0xFF, 0xFF, 0xFF], Load { tile: 4, memory: at(5, -256, 2, 8) }),
            // tileloaddt1 tmm5, [r15*4 - 16]
            (
                &[0xC4, 0xA2, 0x79, 0x4B, 0x2C, 0xBD, 0xF0, 0xFF, 0xFF, 0xFF],
                Load { tile: 5, memory: Rows { base: 0_u64.wrapping_sub(16), stride: 4 * 0x100_0000 } },
            ),
            // The same two forms without base, with the number of R13 in place of that of RBP.
            (&[0xC4, 0xC2, 0x78, 0x49, 0x05, 16, 0, 0, 0], LoadConfig { address: RIP + 9 + 16 }),
            (
                &[0xC4, 0x82, 0x7B, 0x4B, 0x2C, 0xBD, 0x10, 0, 0, 0],
                Load { tile: 5, memory: Rows { base: 16, stride: 4 * 0x100_0000 } },
            ),
            // tilestored [rax + r8 + 127], tmm6
            (&[0xC4, 0xA2, 0x7A, 0x4B, 0x74, 0x00, 0x7F], Store { tile: 6, memory: at(0, 127, 8, 1) }),
            // tdpbf16ps tmm0, tmm1, tmm2; tdpbssd, tdpbsud, tdpbusd and tdpbuud tmm5, tmm6, tmm7
            (&[0xC4, 0xE2, 0x6A, 0x5C, 0xC1], Dot { product: Product::Bf16, sum: 0, left: 1, right: 2 }),
            (&[0xC4, 0xE2, 0x43, 0x5E, 0xEE], Dot { product: Product::SignedSigned, sum: 5, left: 6, right: 7 }),
            (&[0xC4, 0xE2, 0x42, 0x5E, 0xEE], Dot { product: Product::SignedUnsigned, sum: 5, left: 6, right: 7 }),
            (&[0xC4, 0xE2, 0x41, 0x5E, 0xEE], Dot { product: Product::UnsignedSigned, sum: 5, left: 6, right: 7 }),
            (&[0xC4, 0xE2, 0x40, 0x5E, 0xEE], Dot { product: Product::UnsignedUnsigned, sum: 5, left: 6, right: 7 }),
        ];
        for &(code, instruction) in cases {
            assert_eq!(decoded(code), Some(instruction), "{code:02x?}");
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        let cases: &[&[u8]] = &[
            &[0x0F],                         // ud2 and the like
            &[0xC5],                         // two-byte VEX
            &[0xC4, 0xE1],                   // another opcode map
            &[0xC4, 0xE2, 0xF8],             // W set
            &[0xC4, 0xE2, 0x7C],             // L set
            &[0xC4, 0xE2, 0x78, 0x4A],       // another opcode
            &[0xC4, 0xE2, 0x78, 0x49, 0x08], // ldtilecfg with reg = 1
            &[0xC4, 0xE2, 0x7A, 0x49, 0x00], // 49 with F3
            &[0xC4, 0xE2, 0x70, 0x49, 0x00], // ldtilecfg with vvvv
            &[0xC4, 0xE2, 0x70, 0x49, 0xC0], // tilerelease with vvvv
            &[0xC4, 0xE2, 0x78, 0x49, 0xC1], // tilerelease with rm = 1
            &[0xC4, 0xE2, 0x79, 0x49, 0xC0], // sttilecfg of a register
            &[0xC4, 0xE2, 0x7B, 0x49, 0xC1], // tilezero with rm = 1
            &[0xC4, 0x62, 0x7B, 0x49, 0xC0], // tilezero tmm8
            &[0xC4, 0xE2, 0x7B, 0x4B, 0x07], // tileloadd without SIB
            &[0xC4, 0xE2, 0x7B, 0x4B, 0xC4], // tileloadd of a register
            &[0xC4, 0xE2, 0x78, 0x4B, 0x04], // 4B without prefix
            &[0xC4, 0x62, 0x7B, 0x4B, 0x04], // tileloadd tmm8
            &[0xC4, 0xE2, 0x73, 0x4B, 0x04], // tileloadd with vvvv
            &[0xC4, 0xE2, 0x6B, 0x5C, 0xC1], // tdpfp16ps
            &[0xC4, 0xE2, 0x6A, 0x5C, 0x01], // tdpbf16ps with memory
            &[0xC4, 0x62, 0x6B, 0x5E, 0xC1], // tdpbssd tmm8, tmm1, tmm2
            &[0xC4, 0xC2, 0x6B, 0x5E, 0xC1], // tdpbssd tmm0, tmm9, tmm2
            &[0xC4, 0xE2, 0x3B, 0x5E, 0xC1], // tdpbssd tmm0, tmm1, tmm8
        ];
        for code in cases {
            assert_eq!(decoded(code), None, "{code:02x?}");
        }
    }
}
