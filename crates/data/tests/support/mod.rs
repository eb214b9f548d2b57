//! What the integration tests share: where the golden files are.

use std::path::PathBuf;

/// A folder of the shared reference data; `None`, said loudly, where this checkout has none.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MOEWORKS_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there; set MOEWORKS_SHARED to the folder that holds it", path.display());
    None
}
