//! Emulation of the AMX tile instructions on x86-64 Linux machines that lack them.
//!
//! [`install`] puts a SIGILL handler in place. A processor without AMX (or an operating system that has not enabled
//! it) raises SIGILL at the first byte of a tile instruction; the handler decodes the instruction, carries it out on
//! tiles kept per thread, steps over it and returns. So the machine code that runs on AMX hardware can be tested,
//! slowly, everywhere.
//!
//! Emulated: `ldtilecfg`, `sttilecfg`, `tileloadd`, `tileloaddt1`, `tilestored`, `tilezero`, `tilerelease`,
//! `tdpbf16ps`, `tdpbssd`, `tdpbsud`, `tdpbusd` and `tdpbuud`, under palette 1. What the hardware refuses with #UD
//! stays an illegal instruction and goes to the handler that was there before; what it refuses with #GP (a
//! configuration that breaks the rules) raises SIGSEGV, as Linux does.
//!
//! Not emulated:
//! - tile state outside the thread: the kernel knows of none, so XSAVE, `ptrace`, core dumps and debuggers show none;
//! - signal handlers that use tiles: hardware gives them fresh tiles and puts the old ones back afterwards, here they
//!   share the tiles of the code they interrupted, and one that lands inside the emulation kills the process;
//! - restart after a page fault in the middle of a tile: the fault is raised inside the SIGILL handler;
//! - use from a library loaded at run time, whose thread-locals may be allocated on first use, in the handler;
//! - prefixes before the VEX byte (segment and address-size overrides), transactions, and `arch_prctl` permission.
//!
//! On a machine with AMX the handler is never entered for a legal instruction, so installing it there is harmless and
//! not refused. It cannot mix with the hardware either: without permission for tile data, Linux answers `tileloadd`
//! with SIGILL but the `ldtilecfg` before it has run in hardware, so the emulator has no configuration and passes the
//! signal on.

mod decode;
mod tiles;

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use tiles::{Fault, Tiles};

/// Why the emulator could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmulatorError {
    /// The emulated arithmetic itself needs vector instructions that this processor lacks.
    #[error("the AMX emulator needs AVX2 and FMA, which this processor lacks; run without AMX kernels here")]
    MissingFeature,
    /// The operating system refused the signal handler.
    #[error("installing the SIGILL handler of the AMX emulator failed: {}", std::io::Error::from_raw_os_error(*errno))]
    Sigaction {
        /// The error number that `sigaction` left.
        errno: i32,
    },
}

static OUTCOME: OnceLock<Result<(), EmulatorError>> = OnceLock::new();

/// What SIGILL did before: written before our handler can run, read by it without a lock.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

thread_local! {
    // Constant and without a destructor, so that touching it allocates nothing and registers nothing.
    static TILES: UnsafeCell<Tiles> = const { UnsafeCell::new(Tiles::new()) };
}

/// Installs the emulator for the whole process. Later calls, from any thread, return the outcome of the first.
///
/// # Errors
/// [`EmulatorError`] where the processor lacks AVX2 or FMA, or the signal handler is refused.
pub fn install() -> Result<(), EmulatorError> {
    *OUTCOME.get_or_init(|| {
        if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            return Err(EmulatorError::MissingFeature);
        }
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a null new action only reads the present one, into memory of the right type.
        if unsafe { libc::sigaction(libc::SIGILL, std::ptr::null(), previous.as_mut_ptr()) } != 0 {
            return Err(last_error());
        }
        // SAFETY: sigaction has filled it, and all-zero was valid already.
        let _ = PREVIOUS.set(unsafe { previous.assume_init() });

        // SAFETY: sigaction is plain data for which all-zero is valid.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = on_sigill as *const () as usize;
        // Not SA_ONSTACK: the alternate stack the standard library sets up is 8 KiB, of which the kernel's AVX-512
        // frame takes nearly half, and code that reaches a tile instruction has not run out of its own stack.
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: sa_mask is a signal set; the action names a handler of the SA_SIGINFO kind.
        let status = unsafe {
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut())
        };
        if status == 0 { Ok(()) } else { Err(last_error()) }
    })
}

/// Whether [`install`] has succeeded in this process.
pub fn is_installed() -> bool {
    matches!(OUTCOME.get(), Some(Ok(())))
}

fn last_error() -> EmulatorError {
    EmulatorError::Sigaction { errno: std::io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}

/// The SIGILL handler. Async-signal-safe: no allocation, no lock, no panic.
extern "C" fn on_sigill(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both pointers, valid and unshared until the handler returns.
    let (from_processor, machine) =
        unsafe { ((*info).si_code > 0, &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
    if from_processor {
        match emulate(machine) {
            Ok(()) => return,
            Err(Fault::Protection) => {
                // SAFETY: raise is async-signal-safe. The instruction pointer still names the instruction.
                unsafe { libc::raise(libc::SIGSEGV) };
                return;
            }
            Err(Fault::Undefined) => {}
        }
    }
    pass_on(signal, info, context, from_processor);
}

type Registers = [libc::greg_t; 23];

/// Carries out the tile instruction at the instruction pointer and steps over it.
fn emulate(machine: &mut Registers) -> Result<(), Fault> {
    use libc::{REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    use libc::{REG_RAX, REG_RBP, REG_RBX, REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP};
    // In the order of their numbers in machine code.
    let general = [
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, //
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    ]
    .map(|register| machine[register as usize] as u64);
    let rip = machine[REG_RIP as usize] as u64;
    let code = std::ptr::with_exposed_provenance::<u8>(rip as usize);
    // SAFETY: the decoder asks for the bytes one by one and stops at the first that cannot belong to a tile
    // instruction, so it stays within the instruction the processor has just fetched.
    let (instruction, length) =
        decode::decode(|offset| unsafe { code.add(offset).read() }, &general, rip).ok_or(Fault::Undefined)?;
    TILES.with(|tiles| {
        // SAFETY: the tiles belong to this thread, and SIGILL is blocked while its handler runs, so this is the only
        // reference. The memory operand is the one the interrupted code named; install has checked AVX2 and FMA.
        unsafe { (*tiles.get()).execute(instruction) }
    })?;
    machine[REG_RIP as usize] = rip.wrapping_add(length) as libc::greg_t;
    Ok(())
}

/// Does with the signal what would have been done without the emulator.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, from_processor: bool) {
    let (handler, flags) = PREVIOUS.get().map_or((libc::SIG_DFL, 0), |action| (action.sa_sigaction, action.sa_flags));
    match handler {
        // The kernel lets nobody ignore an illegal instruction, only a signal that was sent.
        libc::SIG_IGN if !from_processor => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: both calls are async-signal-safe. The raised signal waits, since SIGILL is blocked here, and is
            // delivered at the interrupted instruction when the handler returns.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        function if flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: the previous owner registered a three-argument handler, as its flag says.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(function) };
            handler(signal, info, context);
        }
        function => {
            // SAFETY: the previous owner registered a one-argument handler, as the absent flag says.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(function) };
            handler(signal);
        }
    }
}
