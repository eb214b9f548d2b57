//! Any text as a training configuration and as a setting; what is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_train::TrainConfig;
use moeworks_train::config::resolve;

fuzz_target!(|input: (String, Vec<String>)| {
    let (text, words) = input;
    if let Ok((config, _)) = resolve::<TrainConfig>(Some(("fuzz.toml", &text)), &words) {
        let _ = config.validate("fuzz.toml");
    }
});
