//! The arithmetic of the dot products, against scalar loops.

use super::*;

/// `x * y + z` with one rounding, denormals read as zero and flushed to zero.
fn fused(x: f32, y: f32, z: f32) -> f32 {
    flushed(flushed(x).mul_add(flushed(y), flushed(z)))
}

fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0_f32.copysign(x) } else { x }
}

/// `tdpbf16ps` in the order of the SDM: even and odd products apart, then together, then onto the sum.
fn bf16_reference((m, n, k): (usize, usize, usize), c: &Block, a: &Block, b: &Block) -> Vec<f32> {
    cells(m, n)
        .map(|(row, column)| {
            let half = |odd| (0..k).fold(0.0, |sum, i| fused(a.bf16(row, i, odd), b.bf16(i, column, odd), sum));
            fused(1.0, c.f32(row, column), flushed(half(0) + half(1)))
        })
        .collect()
}

/// The order of a plain loop, which is not that of the hardware.
fn bf16_one_by_one((m, n, k): (usize, usize, usize), c: &Block, a: &Block, b: &Block) -> Vec<f32> {
    cells(m, n)
        .map(|(row, column)| {
            (0..2 * k)
                .fold(c.f32(row, column), |sum, i| fused(a.bf16(row, i / 2, i % 2), b.bf16(i / 2, column, i % 2), sum))
        })
        .collect()
}

/// (rows of the sum, columns of the sum, dwords of depth)
const SHAPES: [(usize, usize, usize); 8] =
    [(16, 16, 16), (1, 1, 1), (16, 16, 1), (1, 16, 16), (16, 1, 16), (3, 5, 7), (15, 13, 11), (2, 9, 16)];

fn configure_product((m, n, k): (usize, usize, usize)) {
    Config::new(&[(m, 4 * n), (m, 4 * k), (k, 4 * n), (0, 0), (0, 0), (m, 4 * k), (k, 4 * n), (m, 4 * n)]).load();
}

fn assert_same_floats(shape: (usize, usize, usize), got: &Block, expected: &[f32], what: &str) {
    for ((row, column), expected) in cells(shape.0, shape.1).zip(expected) {
        let got = got.f32(row, column);
        let same = if expected.is_nan() { got.is_nan() } else { got.to_bits() == expected.to_bits() };
        assert!(same, "{what}, shape {shape:?}, row {row}, column {column}: got {got:e}, expected {expected:e}");
    }
}

#[test]
fn bf16_products_follow_the_documented_order() {
    prepare();
    let mut random = Random(6);
    // Exponents of factors and of sums: ordinary numbers; products that cancel and underflow; everything.
    let ranges = [(120..134, 120..134), (1..134, 0..20), (55..72, 0..20), (0..256, 0..256)];
    let mut sensitive_to_order = 0;
    for (kind, (factors, sums)) in ranges.into_iter().enumerate() {
        for shape in SHAPES {
            for round in 0..8 {
                let mut bits =
                    |range: &std::ops::Range<u32>, low: u32| random.bf16(range.clone()) | random.next() as u32 & low;
                let c_bits: [u32; 256] = std::array::from_fn(|_| bits(&sums, 0xFFFF));
                let a_bits: [u32; 256] = std::array::from_fn(|_| bits(&factors, 0) | bits(&factors, 0) >> 16);
                let b_bits: [u32; 256] = std::array::from_fn(|_| bits(&factors, 0) | bits(&factors, 0) >> 16);
                let c = Block::from_dwords(|row, column| c_bits[16 * row + column]);
                let a = Block::from_dwords(|row, column| a_bits[16 * row + column]);
                let b = Block::from_dwords(|row, column| b_bits[16 * row + column]);
                let expected = bf16_reference(shape, &c, &a, &b);
                configure_product(shape);
                let result = if round % 2 == 0 {
                    load!("tmm0", c);
                    load!("tmm1", a);
                    load!("tmm2", b);
                    tiles_only!("tdpbf16ps tmm0, tmm1, tmm2");
                    assert_eq!(stored!("tmm1").cropped(shape.0, 4 * shape.2), a.cropped(shape.0, 4 * shape.2));
                    assert_eq!(stored!("tmm2").cropped(shape.2, 4 * shape.1), b.cropped(shape.2, 4 * shape.1));
                    stored!("tmm0")
                } else {
                    load!("tmm7", c);
                    load!("tmm5", a);
                    load!("tmm6", b);
                    tiles_only!("tdpbf16ps tmm7, tmm5, tmm6");
                    stored!("tmm7")
                };
                assert_same_floats(shape, &result, &expected, &format!("range {kind}, round {round}"));
                let other = bf16_one_by_one(shape, &c, &a, &b);
                sensitive_to_order += expected.iter().zip(&other).filter(|(x, y)| !x.is_nan() && x != y).count();
            }
        }
    }
    assert!(sensitive_to_order > 1000, "only {sensitive_to_order} sums could tell a wrong order from the right one");
    release();
}

/// Sums accumulate over instructions, and infinities follow the rules of f32.
#[test]
fn bf16_sums_accumulate() {
    prepare();
    let one = 0x3F80_3F80;
    let infinite = 0x7F80_3F80;
    let a = Block::from_dwords(|row, _| if row == 2 { infinite } else { one });
    let b = Block::from_dwords(|_, _| one);
    Config::new(&[(4, 64), (4, 12), (3, 64)]).load();
    load!("tmm1", a);
    load!("tmm2", b.cropped(16, 20));
    tiles_only!("tdpbf16ps tmm0, tmm1, tmm2", "tdpbf16ps tmm0, tmm1, tmm2");
    let result = stored!("tmm0");
    for (row, column) in cells(4, 16) {
        let got = result.f32(row, column);
        match (row, column) {
            (2, 0..5) => assert_eq!(got, f32::INFINITY, "row {row}, column {column}"),
            (2, _) => assert!(got.is_nan(), "infinity times zero in row {row}, column {column}: {got}"),
            (_, 0..5) => assert_eq!(got, 12.0, "row {row}, column {column}"),
            _ => assert_eq!(got.to_bits(), 0, "row {row}, column {column}"),
        }
    }
    release();
}

/// The rounding mode and the flags of MXCSR neither matter nor change.
#[test]
fn mxcsr_is_neither_read_nor_written() {
    prepare();
    let shape = (16, 16, 16);
    let mut random = Random(7);
    let bits: [u32; 512] = std::array::from_fn(|_| random.bf16(100..140) | random.bf16(100..140) >> 16);
    let a = Block::from_dwords(|row, column| bits[16 * row + column]);
    let b = Block::from_dwords(|row, column| bits[256 + 16 * row + column]);
    let expected = bf16_reference(shape, &Block::filled(0), &a, &b);
    for rounding in 0..4_u32 {
        configure_product(shape);
        load!("tmm1", a);
        load!("tmm2", b);
        let mut modes = [0x1F80 | rounding << 13, 0, 0];
        // SAFETY: reads and writes the three modes; MXCSR is as before afterwards.
        unsafe {
            tile_asm!(
                "stmxcsr [{0} + 4]", "ldmxcsr [{0}]",
                "tdpbf16ps tmm0, tmm1, tmm2",
                "stmxcsr [{0} + 8]", "ldmxcsr [{0} + 4]";
                in(reg) modes.as_mut_ptr(),
            )
        };
        assert_eq!(modes[2], modes[0], "rounding mode {rounding}");
        assert_same_floats(shape, &stored!("tmm0"), &expected, &format!("rounding mode {rounding}"));
    }
    release();
}

#[test]
fn byte_products_wrap_around() {
    prepare();
    let mut random = Random(8);
    for shape @ (m, n, k) in SHAPES {
        for extreme in [false, true] {
            let (mut c, mut a, mut b) =
                (Block::random(&mut random), Block::random(&mut random), Block::random(&mut random));
            if extreme {
                // Sums near the ends of the range, and bytes at the ends of theirs.
                c = Block::from_dwords(|row, column| if (row + column) % 2 == 0 { 0x7FFF_FFFF } else { 0x8000_0000 });
                for block in [&mut a, &mut b] {
                    block.0.iter_mut().flatten().for_each(|byte| *byte = [0x80, 0x7F, 0xFF, 0x01][*byte as usize % 4]);
                }
            }
            macro_rules! check {
                ($code:literal, $left:ty, $right:ty) => {
                    configure_product(shape);
                    load!("tmm7", c);
                    load!("tmm5", a);
                    load!("tmm6", b);
                    tiles_only!($code);
                    let result = stored!("tmm7");
                    for (row, column) in cells(m, n) {
                        let exact: i64 = cells(k, 4)
                            .map(|(i, byte)| {
                                i64::from(a.0[row][4 * i + byte] as $left)
                                    * i64::from(b.0[i][4 * column + byte] as $right)
                            })
                            .sum();
                        let expected = c.dword(row, column).wrapping_add(exact as u32);
                        let got = result.dword(row, column);
                        assert_eq!(got, expected, "{}, shape {shape:?}, row {row}, column {column}", $code);
                    }
                };
            }
            check!("tdpbssd tmm7, tmm5, tmm6", i8, i8);
            check!("tdpbsud tmm7, tmm5, tmm6", i8, u8);
            check!("tdpbusd tmm7, tmm5, tmm6", u8, i8);
            check!("tdpbuud tmm7, tmm5, tmm6", u8, u8);
        }
    }
    release();
}
