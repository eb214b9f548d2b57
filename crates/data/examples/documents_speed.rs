//! How fast documents are read: `cargo run --release -p moeworks-data --example documents_speed [PATH|URL]...`
//!
//! Without a path, cargo's registry is read. `RAYON_NUM_THREADS` and `taskset` say with how many threads.

use moeworks_data::{CargoRegistry, DataError, Source, documents};
use std::{path::Path, time::Instant};

fn main() -> Result<(), DataError> {
    let mut sources: Vec<Source> =
        std::env::args().skip(1).map(|path| Source::at(Path::new(&path))).collect::<Result<_, _>>()?;
    if sources.is_empty() {
        sources.push(Source::CargoRegistry(CargoRegistry::default()));
    }
    for source in sources {
        // Once to bring the files into the system's cache, twice to measure.
        for run in ["cold", "warm", "warm"] {
            let start = Instant::now();
            let (mut documents, mut bytes, mut rejects) = (0_u64, 0_u64, 0_u64);
            for found in documents::open(&source)? {
                match found? {
                    documents::Found::Document(document) => {
                        documents += 1;
                        bytes += document.text.len() as u64;
                    }
                    documents::Found::Reject(_) => rejects += 1,
                }
            }
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{} {run}: {documents} documents, {:.1} MB, {rejects} rejects, {seconds:.2} s, {:.0} MB/s",
                source.name(),
                bytes as f64 / 1e6,
                bytes as f64 / 1e6 / seconds
            );
        }
    }
    Ok(())
}
