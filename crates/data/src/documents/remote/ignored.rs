//! `.gitignore` and `.ignore` files of a tree in an object store, with git's rules.

use super::Bucket;
use crate::DataError;
use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};
use std::collections::HashMap;

/// Longer ones are taken for something else.
const LIMIT: u64 = 1 << 20;
/// The former decides where both speak.
const NAMES: [&str; 2] = [".ignore", ".gitignore"];

/// The ignore files by name and then by folder.
#[derive(Default)]
pub(super) struct IgnoreFiles([HashMap<String, Gitignore>; 2]);

impl IgnoreFiles {
    pub(super) fn read(bucket: &Bucket) -> Result<Self, DataError> {
        let mut files = Self::default();
        for object in &bucket.0.objects {
            let (folder, name) = object.path.rsplit_once('/').unwrap_or(("", &object.path));
            let Some(kind) = NAMES.iter().position(|known| *known == name) else { continue };
            let Some(text) = bucket.read_small(&object.path, LIMIT)? else { continue };
            let mut builder = GitignoreBuilder::new(folder);
            for line in text.lines() {
                // A line that is no pattern matches nothing, as in git.
                let _ = builder.add_line(None, line);
            }
            if let Ok(patterns) = builder.build() {
                files.0[kind].insert(folder.to_owned(), patterns);
            }
        }
        Ok(files)
    }

    /// Whether a file is left out, or a folder that it lies in.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        if self.0.iter().all(HashMap::is_empty) {
            return false;
        }
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.any(|folder| self.names(folder, true)) || self.names(path, false)
    }

    /// Whether the deepest file that speaks of a path leaves it out.
    fn names(&self, path: &str, is_folder: bool) -> bool {
        for by_folder in &self.0 {
            let mut folder = path;
            while !folder.is_empty() {
                folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
                match by_folder.get(folder).map(|patterns| patterns.matched(path, is_folder)) {
                    Some(Match::Ignore(_)) => return true,
                    Some(Match::Whitelist(_)) => return false,
                    Some(Match::None) | None => {}
                }
            }
        }
        false
    }
}
