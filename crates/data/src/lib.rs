//! Documents to tokenised MDS shards to resumable batches.
#![forbid(unsafe_code)]

pub mod mds;
