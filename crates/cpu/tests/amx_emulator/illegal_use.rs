//! What the hardware refuses, in child processes that it ends.

use std::os::unix::process::ExitStatusExt;

use super::*;

/// How a child process ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Signal(i32),
    Code(i32),
}
use End::{Code, Signal};

/// The exit code of a child that got past the instruction that should have ended it.
const SURVIVED: i32 = 7;
/// The exit code given by a SIGILL handler that was there before the emulator.
const HANDLED: i32 = 42;

extern "C" fn exit_handled(_: i32) {
    // SAFETY: _exit is async-signal-safe.
    unsafe { libc::_exit(HANDLED) }
}

extern "C" fn exit_handled_with_info(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's pointers are valid in the handler; _exit is async-signal-safe.
    unsafe {
        let context = &*context.cast::<libc::ucontext_t>();
        let at_fault = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize == (*info).si_addr() as usize;
        libc::_exit(if at_fault { HANDLED } else { 1 })
    }
}

fn set_handler(handler: usize, flags: i32) {
    // SAFETY: all-zero is a valid sigaction, and the handlers above are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut()), 0);
    }
}

fn illegal_instruction() {
    // SAFETY: ends in SIGILL, which is the point.
    unsafe { asm!("ud2") }
}

/// What ends a child process, and how.
const DEATHS: &[(&str, End, fn())] = &[
    ("ud2", Signal(libc::SIGILL), || {
        prepare();
        illegal_instruction();
    }),
    ("ud2 after tiles were used", Signal(libc::SIGILL), || {
        prepare();
        Config::full().load();
        tiles_only!("tilezero tmm0");
        illegal_instruction();
    }),
    ("a SIGILL that is sent", Signal(libc::SIGILL), || {
        prepare();
        // SAFETY: sends a signal to this thread.
        unsafe { libc::raise(libc::SIGILL) };
    }),
    ("ud2 with a handler from before", Code(HANDLED), || {
        set_handler(exit_handled as *const () as usize, 0);
        prepare();
        Config::full().load();
        tiles_only!("tilezero tmm0");
        illegal_instruction();
    }),
    ("ud2 with a handler from before that takes three arguments", Code(HANDLED), || {
        set_handler(exit_handled_with_info as *const () as usize, libc::SA_SIGINFO);
        prepare();
        Config::full().load();
        illegal_instruction();
    }),
    ("ud2 with SIGILL ignored before", Signal(libc::SIGILL), || {
        set_handler(libc::SIG_IGN, 0);
        prepare();
        illegal_instruction();
    }),
    ("a SIGILL that is sent, ignored before", Code(SURVIVED), || {
        set_handler(libc::SIG_IGN, 0);
        prepare();
        // SAFETY: sends a signal to this thread.
        unsafe { libc::raise(libc::SIGILL) };
    }),
    ("tiles that were never configured", Signal(libc::SIGILL), || {
        prepare();
        tiles_only!("tilezero tmm0");
    }),
    ("tiles after tilerelease", Signal(libc::SIGILL), || {
        prepare();
        Config::full().load();
        tiles_only!("tilezero tmm0");
        release();
        tiles_only!("tilezero tmm0");
    }),
    ("tiles after palette 0", Signal(libc::SIGILL), || {
        prepare();
        Config::full().load();
        Config([0; 64]).load();
        load!("tmm0", Block::filled(0));
    }),
    ("tiles of another thread", Signal(libc::SIGILL), || {
        prepare();
        Config::full().load();
        std::thread::scope(|scope| drop(scope.spawn(|| tiles_only!("tilezero tmm0")).join()));
    }),
    ("a tile that is not configured", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(16, 64), (0, 0)]).load();
        load!("tmm1", Block::filled(0));
    }),
    ("a row that is no whole number of dwords", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(16, 6)]).load();
        tiles_only!("tilezero tmm0");
        load!("tmm0", Block::filled(0));
    }),
    ("a load that starts beyond its tile", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(3, 64)]).starting_at(3).load();
        load!("tmm0", Block::filled(0));
    }),
    ("a store that starts beyond its tile", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(3, 64)]).starting_at(200).load();
        stored!("tmm0");
    }),
    ("a product whose depths disagree", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(16, 64), (16, 60), (16, 64)]).load();
        tiles_only!("tdpbf16ps tmm0, tmm1, tmm2");
    }),
    ("a product whose rows disagree", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(15, 64), (16, 64), (16, 64)]).load();
        tiles_only!("tdpbssd tmm0, tmm1, tmm2");
    }),
    ("a product whose columns disagree", Signal(libc::SIGILL), || {
        prepare();
        Config::new(&[(16, 64), (16, 64), (16, 60)]).load();
        tiles_only!("tdpbuud tmm0, tmm1, tmm2");
    }),
    // The assembler refuses operands that repeat: tdpbf16ps tmm0, tmm1, tmm1 in bytes.
    ("a product of a tile with itself", Signal(libc::SIGILL), || {
        prepare();
        Config::full().load();
        tiles_only!(".byte 0xC4, 0xE2, 0x72, 0x5C, 0xC1");
    }),
    // tdpbssd tmm1, tmm1, tmm2
    ("a product onto its own operand", Signal(libc::SIGILL), || {
        prepare();
        Config::full().load();
        tiles_only!(".byte 0xC4, 0xE2, 0x6B, 0x5E, 0xC9");
    }),
    ("a configuration that is too wide", Signal(libc::SIGSEGV), || {
        prepare();
        Config::new(&[(16, 68)]).load();
    }),
    ("a configuration with rows but no columns", Signal(libc::SIGSEGV), || {
        prepare();
        Config::new(&[(16, 0)]).load();
    }),
    ("a configuration of palette 2", Signal(libc::SIGSEGV), || {
        prepare();
        let mut config = Config::full();
        config.0[0] = 2;
        config.load();
    }),
    ("a load from nowhere", Signal(libc::SIGSEGV), || {
        prepare();
        Config::full().load();
        // SAFETY: ends in SIGSEGV, which is the point.
        unsafe { tile_asm!("tileloadd tmm0, [{0} + {1}]"; in(reg) 0_usize, in(reg) 64_usize,) };
    }),
    ("a store to memory that cannot be written", Signal(libc::SIGSEGV), || {
        prepare();
        Config::full().load();
        static CONSTANT: Block = Block([[1; 64]; 16]);
        // SAFETY: ends in SIGSEGV, which is the point.
        unsafe { asm!("tilestored [{0} + {1}], tmm0", in(reg) &CONSTANT, in(reg) 64_usize) };
    }),
];

const DEATH: &str = "MOEWORKS_TEST_AMX_DEATH";

/// Not a test of its own: what the children of [`illegal_use_ends_the_process`] run.
#[test]
fn child_process() {
    let Ok(name) = std::env::var(DEATH) else { return };
    let (_, _, die) = DEATHS.iter().find(|(known, ..)| *known == name).expect("a known death");
    // SAFETY: sets a limit of this process: no core files.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
    die();
    std::process::exit(SURVIVED);
}

#[test]
fn illegal_use_ends_the_process() {
    for (name, expected, _) in DEATHS {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["illegal_use::child_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(DEATH, name)
            .output()
            .unwrap();
        let end = output.status.signal().map_or_else(|| Code(output.status.code().unwrap()), Signal);
        assert_eq!(end, *expected, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
