//! The server over real HTTP on a loopback port, with a small random model on the reference device.

mod chat;
mod client;
mod completions;
mod device;
mod doors;
mod load;
mod support;
mod wrong;
