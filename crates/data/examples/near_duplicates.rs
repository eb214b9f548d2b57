//! Finds the near duplicates of JSON lines and says what it took.
//!
//!     near_duplicates SCRATCH_FOLDER CLUSTERS ROWS.jsonl...
//!
//! Each row holds its text under "text". CLUSTERS becomes a text file with a line "document cluster" for each document
//! that has near duplicates; documents are numbered from 0 through all files.

use moeworks_data::{NearDuplicateOptions, NearDuplicates};
use rayon::prelude::*;
use serde::Deserialize;
use std::{
    borrow::Cow,
    env,
    error::Error,
    fmt::Write as _,
    fs::{self, File},
    io::Read,
    ops::ControlFlow,
    path::Path,
    time::Instant,
};

const BLOCK: usize = 16 << 20;

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl AsRef<str> for Row<'_> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, scratch, clusters_path, files @ ..] = &arguments[..] else {
        return Err("usage: near_duplicates SCRATCH_FOLDER CLUSTERS ROWS.jsonl...".into());
    };
    let started = Instant::now();
    let mut search = NearDuplicates::create(NearDuplicateOptions::default(), Path::new(scratch))?;
    let mut bytes = 0;
    for file in files {
        bytes += push_rows(&mut search, File::open(file)?)?;
    }
    let documents = search.documents();
    let sketched = started.elapsed();
    let clusters = search.finish(&|_, _| ControlFlow::Continue(()))?;
    let finished = started.elapsed();
    let mut lines = String::new();
    for (document, cluster) in clusters.members() {
        writeln!(lines, "{document} {cluster}")?;
    }
    fs::write(clusters_path, lines)?;
    let figures = serde_json::json!({
        "documents": documents,
        "bytes": bytes,
        "clusters": clusters.sizes().len(),
        "dropped": clusters.dropped(),
        "sketch_s": sketched.as_secs_f64(),
        "total_s": finished.as_secs_f64(),
    });
    println!("{figures}");
    Ok(())
}

/// Reads rows block by block; returns the bytes of their texts.
fn push_rows(search: &mut NearDuplicates, mut file: File) -> Result<usize, Box<dyn Error>> {
    let (mut block, mut bytes) = (Vec::new(), 0);
    loop {
        let read = file.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        let line_end = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole = if read == 0 { block.len() } else { line_end };
        let rows: Vec<Row> = block[..whole]
            .par_split(|byte| *byte == b'\n')
            .filter(|row| !row.is_empty())
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()?;
        bytes += rows.iter().map(|row| row.text.len()).sum::<usize>();
        search.push(&rows)?;
        drop(rows);
        block.drain(..whole);
        if read == 0 {
            return Ok(bytes);
        }
    }
}
