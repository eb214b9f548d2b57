//! The op set on x86-64 and portable CPUs.
