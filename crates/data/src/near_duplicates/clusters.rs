use crate::{DataError, mds::replace_file};
use std::{fs, path::Path};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"MWCLUST1";

/// Which documents are near duplicates of each other. A cluster is what hangs together by pairs, its id the number of
/// its first document, which is the one that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    /// (document, cluster) in the order of the documents; only those that have near duplicates.
    members: Vec<(u64, u64)>,
}

impl Clusters {
    /// From the smallest document that each document hangs together with.
    pub(super) fn of_roots(roots: &[u32]) -> Self {
        let mut clustered = vec![false; roots.len()];
        for (document, root) in roots.iter().enumerate().filter(|(document, root)| *document != **root as usize) {
            clustered[document] = true;
            clustered[*root as usize] = true;
        }
        let members = (0..roots.len()).filter(|document| clustered[*document]);
        Self { members: members.map(|document| (document as u64, u64::from(roots[document]))).collect() }
    }

    /// The cluster of a document; none if nothing is like it.
    #[must_use]
    pub fn of(&self, document: u64) -> Option<u64> {
        let at = self.members.binary_search_by_key(&document, |(document, _)| *document).ok()?;
        Some(self.members[at].1)
    }

    /// Whether a document before this one is kept in its place.
    #[must_use]
    pub fn is_dropped(&self, document: u64) -> bool {
        self.of(document).is_some_and(|cluster| cluster != document)
    }

    /// How many documents are dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.members.iter().filter(|(document, cluster)| document != cluster).count() as u64
    }

    /// Every document that has near duplicates, with its cluster, in the order of the documents.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.members.iter().copied()
    }

    /// Every cluster with the number of its documents, in the order of the clusters.
    #[must_use]
    pub fn sizes(&self) -> Vec<(u64, u64)> {
        let mut clusters: Vec<u64> = self.members.iter().map(|(_, cluster)| *cluster).collect();
        clusters.sort_unstable();
        clusters.chunk_by(|one, two| one == two).map(|group| (group[0], group.len() as u64)).collect()
    }

    /// Writes a file that holds either what it held before or all clusters: `MWCLUST1`, the number of pairs, the pairs
    /// (document, cluster), and the xxh3 hash of all that; little-endian numbers of 64 bits.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let mut bytes = Vec::with_capacity(24 + 16 * self.members.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(self.members.len() as u64).to_le_bytes());
        for (document, cluster) in &self.members {
            bytes.extend_from_slice(&document.to_le_bytes());
            bytes.extend_from_slice(&cluster.to_le_bytes());
        }
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        replace_file(path, &bytes).map_err(DataError::writing(path))
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is another kind of file, was cut or changed, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = fs::read(path).map_err(|error| DataError::reading(path, error))?;
        Self::parse(&bytes).map_err(|reason| DataError::Damaged { path: path.into(), reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let body = bytes.strip_prefix(MAGIC).ok_or("does not begin with MWCLUST1: it is no file of clusters")?;
        let (numbers, left) = body.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let [count, pairs @ .., hash] = &numbers[..] else {
            return Err(format!("has {} bytes, an empty one has 24", bytes.len()));
        };
        let expected = u128::from(*count) * 16 + 24;
        if !left.is_empty() || expected != bytes.len() as u128 {
            return Err(format!("has {} bytes, {count} pairs need {expected}", bytes.len()));
        }
        let found = xxh3_64(&bytes[..bytes.len() - 8]);
        if found != *hash {
            return Err(format!("its content hashes to {found:016x}, it says {hash:016x}"));
        }
        let members: Vec<(u64, u64)> =
            pairs.as_chunks::<2>().0.iter().map(|[document, cluster]| (*document, *cluster)).collect();
        if let Some(at) = (1..members.len()).find(|at| members[at - 1].0 >= members[*at].0) {
            return Err(format!("document {} stands before {}", members[at - 1].0, members[at].0));
        }
        let clusters = Self { members };
        for (document, cluster) in clusters.members() {
            if cluster > document || clusters.of(cluster) != Some(cluster) {
                return Err(format!("document {document} is in cluster {cluster}, which does not begin with itself"));
            }
        }
        Ok(clusters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clusters() -> Clusters {
        //             0  1  2  3  4  5  6
        Clusters::of_roots(&[0, 1, 0, 3, 1, 5, 0])
    }

    #[test]
    fn the_first_document_of_a_cluster_is_kept() {
        let clusters = clusters();
        assert_eq!(clusters.members().collect::<Vec<_>>(), [(0, 0), (1, 1), (2, 0), (4, 1), (6, 0)]);
        assert_eq!(clusters.sizes(), [(0, 3), (1, 2)]);
        assert_eq!((clusters.of(6), clusters.of(3), clusters.of(99)), (Some(0), None, None));
        assert_eq!((0..7).filter(|document| clusters.is_dropped(*document)).collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(clusters.dropped(), 3);
    }

    #[test]
    fn a_file_reads_back_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clusters");
        for clusters in [clusters(), Clusters::default()] {
            clusters.write(&path).unwrap();
            assert_eq!(Clusters::read(&path).unwrap(), clusters);
        }
        clusters().write(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(Clusters::parse(&changed).is_err(), "byte {at} changed");
            assert!(Clusters::parse(&whole[..at]).is_err(), "cut to {at}");
        }
        let error = Clusters::read(&folder.path().join("none")).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }), "{error}");
    }

    /// A file whose hash is right but whose pairs cannot be.
    #[test]
    fn contradictions_are_refused() {
        for members in [vec![(3, 3), (2, 2)], vec![(1, 1), (1, 1)], vec![(1, 2), (2, 2)], vec![(4, 1)]] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("clusters");
            Clusters { members: members.clone() }.write(&path).unwrap();
            assert!(matches!(Clusters::read(&path), Err(DataError::Damaged { .. })), "{members:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
            let _ = Clusters::parse(&[MAGIC.as_slice(), &bytes].concat());
        }
    }
}
