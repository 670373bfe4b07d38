//! The integration tests: one binary, so that the crate is linked once.
//!
//! Each module is one subject. What they share (real servers, a git that sees no configuration of this machine, waiting and
//! skipping) is in [`support`]. How to run them: `./tests/run`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so and panics"
)]

mod architecture;
mod bad_input;
mod cli;
mod delivery;
mod examples;
mod properties;
mod server_api;
mod server_browser;
mod server_fake;
mod server_page;
mod servers;
mod servers_argocd;
mod servers_examples;
mod servers_flux;
mod servers_hub;
mod servers_its;
mod servers_kubestellar;
mod servers_mailbox;
mod servers_outage;
mod servers_pipeline;
mod servers_push;
mod servers_rights;
mod servers_status;
mod servers_waves;
mod servers_webhooks;
mod service;
mod service_contention;
mod service_crash;
mod service_faults;
mod service_gitea;
mod service_hub;
mod service_mailbox;
mod service_notified;
#[cfg(feature = "otlp")]
mod service_otlp;
mod service_relay;
mod service_story;
mod service_waves;
mod support;

use std::{fs, path::Path};

#[test]
fn every_file_in_this_folder_is_part_of_the_test_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let declared = fs::read_to_string(folder.join("main.rs")).unwrap();
    let mut forgotten = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let holds_code = path.extension().is_some_and(|extension| extension == "rs")
            || path.join("mod.rs").exists();
        if holds_code && module != "main" && !declared.contains(&format!("\nmod {module};")) {
            forgotten.push(module);
        }
    }
    assert!(
        forgotten.is_empty(),
        "tests/it/main.rs has no `mod` line for {forgotten:?}"
    );
}
