//! Licences of source files: what a file says of itself, else what the licence file above it is.

use super::files::Root;
use crate::DataError;
use std::collections::HashMap;

/// An `SPDX-License-Identifier` further in a file belongs to something else.
const HEADER_BYTES: usize = 4096;
/// The longest licence of the table, GPL 3.0, has 35 KB.
const LICENCE_FILE_BYTES: u64 = 256 << 10;

/// Each licence by phrases that its text has, and phrases that only other licences have. Compared without case,
/// punctuation and line breaks. A text grants no later version of itself; hence `-only`.
const KNOWN: &[(&str, &[&str], &[&str])] = &[
    ("Apache-2.0", &["apache license version 2 0 january 2004", "terms and conditions for use reproduction"], &[]),
    (
        "BSD-2-Clause",
        &["redistribution and use in source and binary forms with or without modification are permitted"],
        &["endorse or promote", "all advertising materials", "must not be misrepresented"],
    ),
    (
        "BSD-3-Clause",
        &[
            "redistribution and use in source and binary forms with or without modification are permitted",
            "may be used to endorse or promote products derived from this software without specific prior written",
        ],
        &["all advertising materials"],
    ),
    ("CC0-1.0", &["cc0 1 0 universal", "statement of purpose"], &[]),
    ("GPL-2.0-only", &["gnu general public license version 2 june 1991"], &[]),
    ("GPL-3.0-only", &["gnu general public license version 3 29 june 2007"], &[]),
    (
        "ISC",
        &["permission to use copy modify and or distribute this software for any purpose with or without fee is \
             hereby granted provided that the above copyright notice and this permission notice appear in all copies"],
        &[],
    ),
    ("LGPL-2.1-only", &["gnu lesser general public license version 2 1 february 1999"], &[]),
    ("LGPL-3.0-only", &["gnu lesser general public license version 3 29 june 2007"], &[]),
    (
        "MIT",
        &[
            "permission is hereby granted free of charge to any person obtaining a copy of this software and \
             associated documentation files the software to deal in the software without restriction",
            "the above copyright notice and this permission notice shall be included in all copies",
        ],
        &["except as contained in this notice the name"],
    ),
    ("MPL-2.0", &["mozilla public license version 2 0", "covered software is provided under this license"], &[]),
    ("Unlicense", &["this is free and unencumbered software released into the public domain"], &[]),
];

/// The expression behind `SPDX-License-Identifier:` in the head of a file (SPDX 2.3, annex E).
pub(super) fn stated_in(text: &str) -> Option<String> {
    let head = &text[..text.floor_char_boundary(HEADER_BYTES)];
    let (_, rest) = head.split_once("SPDX-License-Identifier:")?;
    let line = rest.lines().next()?;
    // The comment may be closed on the same line.
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-.+:()".contains(c);
    let words: Vec<&str> =
        line.split_whitespace().take_while(|word| word.chars().all(is_part) && !word.starts_with("--")).collect();
    let is_expression = words.iter().any(|word| word.chars().any(|c| c.is_ascii_alphanumeric()));
    is_expression.then(|| words.join(" "))
}

/// Whether a file's name says that it holds a licence, as `LICENSE`, `LICENSE-MIT`, `COPYING.LESSER`, `UNLICENSE.md`.
pub(super) fn is_licence_file(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let stem = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"].into_iter().find_map(|stem| name.strip_prefix(stem));
    stem.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
}

/// The licences whose texts are in a text.
fn recognise(text: &str) -> Vec<&'static str> {
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let text = words.join(" ");
    let has = |phrases: &[&str]| phrases.iter().all(|phrase| text.contains(phrase));
    let lacks = |phrases: &[&str]| !phrases.iter().any(|phrase| text.contains(phrase));
    KNOWN.iter().filter(|(_, own, foreign)| has(own) && lacks(foreign)).map(|(name, ..)| *name).collect()
}

/// One expression for the licence files of a folder, each with its licences.
fn combine(mut files: Vec<Vec<&'static str>>) -> Option<String> {
    files.retain(|licences| !licences.is_empty());
    let each_one = files.iter().all(|licences| licences.len() == 1);
    let mut all = files.concat();
    all.sort_unstable();
    all.dedup();
    if all.contains(&"LGPL-3.0-only") {
        // It is written as an addition to the GPL, whose text comes with it.
        all.retain(|&name| name != "GPL-3.0-only");
    }
    // Two files with one licence each, one of them Apache's, are a choice, as is the custom of Rust. Whatever else
    // lies together is taken to hold together.
    let joint = if each_one && all.len() == 2 && all.contains(&"Apache-2.0") { " OR " } else { " AND " };
    (!all.is_empty()).then(|| all.join(joint))
}

/// The licences of the folders of a source, each looked up once.
pub(super) struct FolderLicences {
    root: Root,
    known: HashMap<String, Option<String>>,
}

impl FolderLicences {
    pub(super) fn new(root: Root) -> Self {
        Self { root, known: HashMap::new() }
    }

    /// The licence of the nearest folder above a file that has a licence file which is known.
    ///
    /// # Errors
    /// If an object store does not give one.
    pub(super) fn of(&mut self, path: &str) -> Result<Option<String>, DataError> {
        let mut folder = path;
        while !folder.is_empty() {
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            if !self.known.contains_key(folder) {
                let licence = self.look_up(folder)?;
                self.known.insert(folder.to_owned(), licence);
            }
            if let Some(Some(licence)) = self.known.get(folder) {
                return Ok(Some(licence.clone()));
            }
        }
        Ok(None)
    }

    fn look_up(&self, folder: &str) -> Result<Option<String>, DataError> {
        let mut files = Vec::new();
        for name in self.root.names_in(folder).into_iter().filter(|name| is_licence_file(name)) {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if let Some(text) = self.root.read_small(&path, LICENCE_FILE_BYTES)? {
                files.push(recognise(&text));
            }
        }
        Ok(combine(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_its_licence_in_its_head() {
        for (text, expected) in [
            ("// SPDX-License-Identifier: MIT OR Apache-2.0\nfn f() {}", Some("MIT OR Apache-2.0")),
            (
                "/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */",
                Some("GPL-2.0-only WITH Linux-syscall-note"),
            ),
            ("<!-- SPDX-License-Identifier: CC0-1.0 -->", Some("CC0-1.0")),
            ("# SPDX-License-Identifier: (MIT AND BSD-3-Clause)\r\n", Some("(MIT AND BSD-3-Clause)")),
            ("# SPDX-License-Identifier:\nMIT", None),
            ("# SPDX-License-Identifier: -->", None),
            ("MIT", None),
        ] {
            assert_eq!(stated_in(text).as_deref(), expected, "{text}");
        }
        let late = format!("{}SPDX-License-Identifier: MIT", "\u{e9}".repeat(HEADER_BYTES));
        assert_eq!(stated_in(&late), None);
    }

    #[test]
    fn names_of_licence_files() {
        for (name, expected) in [
            ("LICENSE", true),
            ("license.txt", true),
            ("LICENSE-MIT", true),
            ("LICENCE.md", true),
            ("COPYING.LESSER", true),
            ("UNLICENSE", true),
            ("licensed.rs", false),
            ("my-LICENSE", false),
        ] {
            assert_eq!(is_licence_file(name), expected, "{name}");
        }
    }

    #[test]
    fn folders_with_several_licences() {
        for (files, expected) in [
            (vec![vec![]], None),
            (vec![vec!["MIT"], vec![]], Some("MIT")),
            (vec![vec!["Apache-2.0"], vec!["MIT"]], Some("Apache-2.0 OR MIT")),
            (vec![vec!["Apache-2.0", "MIT"]], Some("Apache-2.0 AND MIT")),
            (vec![vec!["BSD-3-Clause"], vec!["MIT"]], Some("BSD-3-Clause AND MIT")),
            (vec![vec!["GPL-3.0-only"], vec!["LGPL-3.0-only"]], Some("LGPL-3.0-only")),
            (vec![vec!["MIT"], vec!["MIT"]], Some("MIT")),
        ] {
            assert_eq!(combine(files.clone()).as_deref(), expected, "{files:?}");
        }
    }
}
