//! Any text, repaired: repairing it again must change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::repair::{RepairOptions, repair};

fuzz_target!(|input: (bool, &str)| {
    let (line_ends, text) = input;
    let options = RepairOptions { line_ends, ..RepairOptions::default() };
    let (once, _) = repair(text, &options);
    assert_eq!(repair(&once, &options).0, once);
});
