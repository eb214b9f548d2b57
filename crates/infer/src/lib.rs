//! Generation: KV cache, sampler, streaming text.
