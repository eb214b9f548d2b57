//! Any bytes as a data recipe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::Recipe;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    std::fs::write(&path, bytes).unwrap();
    if let Ok(recipe) = Recipe::read(&path) {
        let _ = recipe.check();
    }
});
