//! Memory operands in all their forms.

use super::*;

/// A function that puts its arguments into a base and an index register and runs one instruction with the operand
/// `[base + index * scale + displacement]`. Both registers may be any: RSP, RBP and RBX are put back afterwards.
struct Addressing {
    text: &'static str,
    scale: i64,
    displacement: i64,
    run: unsafe fn(base: i64, index: i64),
}

macro_rules! addressing {
    ($before:literal, $base:literal, $index:literal, $scale:literal, $displacement:literal, $after:literal) => {
        Addressing {
            text: concat!($before, "[", $base, " + ", $index, "*", $scale, " + ", $displacement, "]", $after),
            scale: $scale,
            displacement: $displacement,
            run: {
                unsafe fn run(base: i64, index: i64) {
                    // SAFETY: the caller vouches for the operand.
                    unsafe {
                        asm!(
                            "movq xmm0, rax",
                            "movq xmm1, rcx",
                            "movq xmm2, rsp",
                            "movq xmm3, rbp",
                            "movq xmm4, rbx",
                            concat!("movq ", $base, ", xmm0"),
                            concat!("movq ", $index, ", xmm1"),
                            concat!($before, "[", $base, " + ", $index, "*", $scale, " + ", $displacement, "]", $after),
                            "movq rsp, xmm2",
                            "movq rbp, xmm3",
                            "movq rbx, xmm4",
                            inout("rax") base => _, inout("rcx") index => _,
                            out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _, out("r10") _,
                            out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
                            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                            out("tmm0") _,
                        );
                    }
                }
                run
            },
        }
    };
}

/// Every general register as base, every one but RSP as index, with no displacement, a byte and a dword.
macro_rules! every_register {
    ($before:literal, $after:literal) => {
        every_register!(@each $before, $after,
            ("rax", "rcx", 1), ("rcx", "rdx", 2), ("rdx", "rbx", 4), ("rbx", "rbp", 8),
            ("rsp", "rsi", 1), ("rbp", "rdi", 2), ("rsi", "r8", 4), ("rdi", "r9", 8),
            ("r8", "r10", 1), ("r9", "r11", 2), ("r10", "r12", 4), ("r11", "r13", 8),
            ("r12", "r14", 1), ("r13", "r15", 2), ("r14", "rax", 4), ("r15", "rbx", 8))
    };
    (@each $before:literal, $after:literal, $(($base:literal, $index:literal, $scale:literal)),+) => {
        [$(
            addressing!($before, $base, $index, $scale, 0, $after),
            addressing!($before, $base, $index, $scale, 127, $after),
            addressing!($before, $base, $index, $scale, -128, $after),
            addressing!($before, $base, $index, $scale, 4096, $after),
            addressing!($before, $base, $index, $scale, -70000, $after),
        )+]
    };
}

/// Memory in which an instruction may address its operand through RSP: a signal takes its stack from below.
struct Arena(Vec<u8>);

impl Arena {
    const OPERAND: usize = 1 << 17;

    fn new() -> Self {
        Self(vec![0xCC; 2 * Self::OPERAND])
    }

    fn operand(&mut self) -> &mut [u8] {
        &mut self.0[Self::OPERAND..]
    }

    /// The address `offset` bytes into the operand.
    fn address(&mut self, offset: usize) -> i64 {
        self.operand()[offset..].as_mut_ptr().expose_provenance() as i64
    }
}

#[test]
fn rows_are_addressed_through_every_register() {
    prepare();
    let mut arena = Arena::new();
    let block = Block::random(&mut Random(3));
    Config::full().load();
    for stride in [64_i64, 72, 160, -64, -72] {
        let first = if stride < 0 { 4096 } else { 0 };
        // What lies below RSP is not safe from signals.
        let usable = |case: &Addressing| stride > 0 || !case.text.contains("[rsp");
        let row_at = |row: usize| (first as i64 + stride * row as i64) as usize;
        arena.operand().fill(0xCC);
        for (row, bytes) in block.0.iter().enumerate() {
            arena.operand()[row_at(row)..][..64].copy_from_slice(bytes);
        }
        for case in every_register!("tileloadd tmm0, ", "").into_iter().filter(usable) {
            tiles_only!("tilezero tmm0");
            // SAFETY: the operand names the 16 rows.
            unsafe { (case.run)(arena.address(first) - case.displacement, stride / case.scale) };
            assert_eq!(stored!("tmm0"), block, "{}, stride {stride}", case.text);
        }
        load!("tmm0", block);
        for case in every_register!("tilestored ", ", tmm0").into_iter().filter(usable) {
            arena.operand().fill(0xCC);
            // SAFETY: the operand names the 16 rows.
            unsafe { (case.run)(arena.address(first) - case.displacement, stride / case.scale) };
            for (row, bytes) in block.0.iter().enumerate() {
                assert_eq!(&arena.operand()[row_at(row)..][..64], bytes, "{}, stride {stride}", case.text);
            }
        }
    }
    release();
}

#[test]
fn configurations_are_addressed_through_every_register() {
    prepare();
    let mut arena = Arena::new();
    for (number, case) in every_register!("ldtilecfg ", "").into_iter().enumerate() {
        let config = Config::new(&[(1 + number % 16, 64 - 4 * (number % 16)); 8]);
        arena.operand()[800..864].copy_from_slice(&config.0);
        // SAFETY: the operand names the 64 bytes.
        unsafe { (case.run)(arena.address(0) - case.displacement, 800 / case.scale) };
        assert_eq!(Config::current(), config, "{}", case.text);
    }
    let config = Config::new(&[(3, 12); 8]);
    config.load();
    for case in every_register!("sttilecfg ", "") {
        arena.operand().fill(0xCC);
        // SAFETY: the operand names the 64 bytes.
        unsafe { (case.run)(arena.address(0) - case.displacement, 800 / case.scale) };
        assert_eq!(arena.operand()[800..864], config.0, "{}", case.text);
    }
    release();
}

#[test]
fn without_an_index_every_row_is_the_same() {
    prepare();
    Config::full().load();
    let block = Block::random(&mut Random(4));
    let repeated = Block([block.0[0]; 16]);
    macro_rules! base_alone {
        ($($register:literal),+) => {$(
            tiles_only!("tilezero tmm0");
            // SAFETY: reads the first row. The register is put back.
            unsafe {
                tile_asm!(
                    "movq xmm0, rax",
                    concat!("movq xmm1, ", $register),
                    concat!("movq ", $register, ", xmm0"),
                    concat!("tileloadd tmm0, [", $register, "]"),
                    concat!("movq ", $register, ", xmm1");
                    inout("rax") &block => _, out("xmm0") _, out("xmm1") _,
                )
            };
            assert_eq!(stored!("tmm0"), repeated, $register);
        )+};
    }
    base_alone!("rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi");
    base_alone!("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
    // RSP is not replaced but filled.
    let first: [u64; 8] = std::array::from_fn(|i| u64::from_le_bytes(block.0[0][8 * i..][..8].try_into().unwrap()));
    tiles_only!("tilezero tmm0");
    // SAFETY: reads the 64 bytes just pushed, and pops them.
    unsafe {
        tile_asm!(
            "push {7}", "push {6}", "push {5}", "push {4}", "push {3}", "push {2}", "push {1}", "push {0}",
            "tileloadd tmm0, [rsp]",
            "add rsp, 64";
            in(reg) first[0], in(reg) first[1], in(reg) first[2], in(reg) first[3],
            in(reg) first[4], in(reg) first[5], in(reg) first[6], in(reg) first[7],
        )
    };
    assert_eq!(stored!("tmm0"), repeated, "rsp");
    release();
}

#[test]
fn operands_without_a_base_register() {
    prepare();
    const PAGE: usize = 0x1000_0000;
    // SAFETY: asks for a new page where nothing else is mapped.
    let page = unsafe {
        libc::mmap(
            PAGE as *mut libc::c_void,
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        )
    };
    assert_eq!(page as usize, PAGE, "mmap: {}", std::io::Error::last_os_error());
    let block = Block::random(&mut Random(5));
    // SAFETY: the page is ours and large enough.
    unsafe { page.cast::<Block>().write(block.clone()) };
    Config::full().load();
    // SAFETY: reads the page.
    unsafe { tile_asm!("tileloadd tmm4, [{0}*2 + 0x10000000]"; in(reg) 32_usize,) };
    assert_eq!(stored!("tmm4"), block);

    // Relative to the next instruction.
    static CONFIG: Config = {
        let mut bytes = [0; 64];
        (bytes[0], bytes[16], bytes[48]) = (1, 32, 9);
        Config(bytes)
    };
    // SAFETY: reads the static.
    unsafe { tile_asm!("ldtilecfg [rip + {0}]"; sym CONFIG,) };
    assert_eq!(Config::current(), CONFIG);
    release();
}
