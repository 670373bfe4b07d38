//! The command line; see [`stellate::cli`].

fn main() {}
