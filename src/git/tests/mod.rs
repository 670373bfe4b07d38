//! Fetch and push against real repositories: local, behind a real HTTP server, and through an ssh program.

mod addresses;
mod fetching;
mod pushing;
mod support;
