//! Documents to tokenised MDS shards to resumable batches.
