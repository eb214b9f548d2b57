//! The training loop: optimizer, schedules, checkpoints, metrics.
