//! Documents read from files.

use crate::error::EvalError;
use crate::rows::{Place, rows};
use crate::source;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The documents of files in order: each row's text under `text_key` of a `.jsonl` file, the whole of any other file;
/// either may be `.gz` or `.zst`. Ends at the first error.
pub fn documents<'a>(
    files: &'a [PathBuf],
    text_key: &'a str,
) -> impl Iterator<Item = Result<String, EvalError>> + use<'a> {
    let mut failed = false;
    files
        .iter()
        .flat_map(move |file| of_file(file, text_key))
        .take_while(move |document| !std::mem::replace(&mut failed, document.is_err()))
}

type Documents<'a> = Box<dyn Iterator<Item = Result<String, EvalError>> + 'a>;

fn of_file<'a>(file: &'a Path, text_key: &'a str) -> Documents<'a> {
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if !source::plain_name(&name).ends_with(".jsonl") {
        return Box::new(std::iter::once(whole(file)));
    }
    match rows(file) {
        Ok(rows) => Box::new(rows.map(move |row| Ok(row?.text(text_key)?.to_owned()))),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

fn whole(file: &Path) -> Result<String, EvalError> {
    let mut bytes = Vec::new();
    source::open(file)?.read_to_end(&mut bytes).map_err(|source| EvalError::reading(file, source))?;
    String::from_utf8(bytes).map_err(|error| EvalError::NotUtf8 {
        place: Place { file: file.into(), row: None },
        offset: error.utf8_error().valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn texts_and_rows_come_plain_and_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let lines = "{\"text\": \" one\\n\"}\n\n{\"text\": \"\", \"id\": 2}\n";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(lines.as_bytes()).unwrap();
        let files: Vec<PathBuf> = [
            ("a.txt", b"caf\xc3\xa9 \n".to_vec()),
            ("b.jsonl", lines.into()),
            ("c.jsonl.gz", gz.finish().unwrap()),
            ("d.md.zst", zstd::encode_all("d".as_bytes(), 3).unwrap()),
        ]
        .into_iter()
        .map(|(name, content)| {
            std::fs::write(dir.path().join(name), content).unwrap();
            dir.path().join(name)
        })
        .collect();
        let found: Vec<String> = documents(&files, "text").map(Result::unwrap).collect();
        assert_eq!(found, ["café \n", " one\n", "", " one\n", "", "d"]);
    }

    #[test]
    fn a_bad_file_ends_it_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            std::fs::write(dir.path().join(name), content).unwrap();
            dir.path().join(name)
        };
        let good = write("good.txt", b"x");
        let mut cut = zstd::encode_all("some text".as_bytes(), 3).unwrap();
        cut.truncate(cut.len() - 4);
        for (bad, words) in [
            (dir.path().join("none.txt"), "no such file"),
            (dir.path().to_path_buf(), "it is a folder"),
            (write("bad.txt", b"ab\xff"), "byte 2 is not UTF-8"),
            (write("bad.jsonl", b"{\"text\": \"\"}\n{\"txt\": 1}"), "row 2: `text` is missing; the row has txt"),
            (write("bad.gz", b"no gzip"), "cannot be read"),
            (write("cut.txt.zst", &cut), "cannot be read"),
        ] {
            let files = [good.clone(), bad.clone(), good.clone()];
            let found: Vec<_> = documents(&files, "text").collect();
            assert!(found[0].is_ok());
            let message = found.last().unwrap().as_ref().unwrap_err().to_string();
            assert!(message.contains(words) && message.contains(&*bad.to_string_lossy()), "{message}\nlacks {words}");
        }
    }
}
