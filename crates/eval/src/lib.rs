//! Evaluation: bits per byte and in-context-learning tasks with standard errors.
