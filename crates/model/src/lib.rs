//! The model family: configuration, presets, parameters, forward, backward, Hugging Face checkpoints.
