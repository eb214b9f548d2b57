//! Any bytes as config.json.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    if let Ok(config) = moeworks_model::huggingface::config::parse(&value, "config.json") {
        // What is read is valid, and written it is read again as the same.
        let written = moeworks_model::huggingface::config::write(&config, "float32");
        let again = moeworks_model::huggingface::config::parse(&written, "config.json").unwrap();
        assert_eq!(again.d_model, config.d_model);
    }
});
