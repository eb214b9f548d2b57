//! Any bytes as model.safetensors beside a valid config.json: opened or refused, tensor by tensor, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_model::{Checkpoint, parameters, preset};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let config = preset("tiny").unwrap();
    let json = moeworks_model::huggingface::config::write(&config, "float32");
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    if let Ok(checkpoint) = Checkpoint::open(folder.path()) {
        for (parameter, _) in parameters(&checkpoint.config) {
            let _ = checkpoint.parameter(parameter);
        }
    }
});
