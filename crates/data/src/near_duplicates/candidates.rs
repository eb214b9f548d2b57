//! From the bands' hashes to pairs that are near duplicates.

use super::{components::Components, scratch::Scratch, sketch::Sample};
use crate::DataError;
use rayon::prelude::*;

/// A group whose documents are alike in a band and not in the whole is compared with so many of them only.
const MOST_LEADERS: usize = 32;
/// Memory for each entry that is sorted: itself, and its share of the list of groups.
const BYTES_PER_ENTRY: u64 = 16;

/// Joins the near duplicates that one band brings together. Entries are taken in as many passes over the band as
/// keep half of the memory free; should so many documents share few hashes that they do not fit all the same, those
/// that came first stand for the others.
pub(super) fn join_band(
    scratch: &Scratch,
    band: usize,
    memory_bytes: u64,
    jaccard: f64,
    components: &mut Components,
) -> Result<(), DataError> {
    let capacity = (memory_bytes / BYTES_PER_ENTRY).max(1024) as usize;
    let passes = (components.roots().len() as u64).div_ceil(capacity as u64 / 2).max(1);
    let mut entries = Vec::new();
    for pass in 0..passes {
        let bound = |pass: u64| ((pass << 32) / passes) << 32;
        let (first, last) = (bound(pass), if pass + 1 == passes { u64::MAX } else { bound(pass + 1) - 1 });
        let mut room = capacity;
        entries.clear();
        scratch.for_each_entry(band, |entry| {
            if (first..=last).contains(&entry) {
                if entries.len() >= room {
                    join(&mut entries, scratch, jaccard, components)?;
                    room = capacity.max(entries.len() * 2);
                }
                entries.push(entry);
            }
            Ok(())
        })?;
        join(&mut entries, scratch, jaccard, components)?;
    }
    Ok(())
}

/// Compares what is there, and leaves of each group those that the next ones have to be compared with.
fn join(entries: &mut Vec<u64>, scratch: &Scratch, jaccard: f64, components: &mut Components) -> Result<(), DataError> {
    entries.par_sort_unstable();
    let same_hash = |one: &u64, two: &u64| one >> 32 == two >> 32;
    let groups: Vec<&[u64]> = entries.chunk_by(same_hash).filter(|group| group.len() > 1).collect();
    // Only the components of before are asked, so the pairs do not depend on the order in which threads work.
    let pairs: Vec<(u32, u32)> = groups
        .par_iter()
        .map(|group| compare(group, scratch, jaccard, components))
        .try_fold(Vec::new, |mut all, pairs| {
            all.extend(pairs?);
            Ok(all)
        })
        .try_reduce(Vec::new, |mut all, pairs| {
            all.extend(pairs);
            Ok::<_, DataError>(all)
        })?;
    components.join(&pairs);
    let (mut hash, mut kept) = (None, 0);
    entries.retain(|entry| {
        kept = if hash == Some(entry >> 32) { kept + 1 } else { 0 };
        hash = Some(entry >> 32);
        kept < MOST_LEADERS
    });
    Ok(())
}

/// The near duplicates in a group, each once: a document is compared with the leaders, the documents before it that
/// joined no other.
fn compare(
    group: &[u64],
    scratch: &Scratch,
    jaccard: f64,
    components: &Components,
) -> Result<Vec<(u32, u32)>, DataError> {
    let mut leaders: Vec<(u32, Sample)> = Vec::new();
    let mut pairs = Vec::new();
    for entry in group {
        let document = *entry as u32;
        let root = components.root(document);
        if leaders.iter().any(|(leader, _)| components.root(*leader) == root) {
            continue;
        }
        let sample = scratch.sample(document)?;
        match leaders.iter().find(|(_, leading)| leading.jaccard(&sample) >= jaccard) {
            Some((leader, _)) => pairs.push((*leader, document)),
            None if leaders.len() < MOST_LEADERS => leaders.push((document, sample)),
            None => {}
        }
    }
    Ok(pairs)
}
