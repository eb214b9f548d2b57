//! Ctrl-C and SIGTERM: the first asks politely, the second ends the process at once.

use crate::exit;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Catches the signals from now on, and gives the flag that the first of them sets.
pub fn catch() -> &'static AtomicBool {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            // Whatever is being saved has a temporary name, so nothing whole is lost.
            std::process::exit(exit::INTERRUPTED.into());
        }
        eprintln!("\nstopping at the next step (once more: at once)");
    };
    // A second call finds the handler in place already.
    let _ = ctrlc::set_handler(handler);
    &ASKED
}

/// Catches the signals for a conversation: every one sets the flag, which the conversation clears.
pub fn catch_softly() -> &'static AtomicBool {
    let _ = ctrlc::set_handler(|| ASKED.store(true, Ordering::SeqCst));
    &ASKED
}
