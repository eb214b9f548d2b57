//! The op set: dtypes, views, buffers, the memory plan, one trait, the naive reference and the table of op cases.
