//! `stellate rbac`: the least roles that let Stellate do its work, from the code's own lists of what it asks.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};

use super::Ending;
use super::error::CliError;
use super::terminal::Terminal;
use crate::reconcile::rights::{Account, Part, roles};
use crate::yaml;

/// What `stellate rbac` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// For pipelines whose inventory is there
    #[arg(long, value_enum, value_name = "KIND")]
    inventory: Option<Inventory>,
    /// For pipelines whose results go there
    #[arg(long, value_enum, value_name = "KIND")]
    output: Option<Output>,
    /// For a service that is configured by Pipeline objects
    #[arg(long)]
    pipelines: bool,
    /// For replicas that share pipelines
    #[arg(long)]
    leases: bool,
    /// The namespace of the service account
    #[arg(long, value_name = "NAME", default_value = "stellate")]
    namespace: String,
    /// The service account
    #[arg(long, value_name = "NAME", default_value = "stellate")]
    service_account: String,
}

/// Where an inventory is.
#[derive(Clone, Copy, ValueEnum)]
enum Inventory {
    /// In an ITS
    Its,
}

/// Where results go.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// Into the mailbox namespaces of an ITS
    Mailbox,
}

/// Prints.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let asked = [
        (arguments.inventory.is_some(), Part::Inventory),
        (arguments.output.is_some(), Part::Mailbox),
        (arguments.pipelines, Part::Pipelines),
        (arguments.leases, Part::Leases),
    ];
    let parts: BTreeSet<Part> = asked
        .into_iter()
        .filter_map(|(asked, part)| asked.then_some(part))
        .collect();
    if parts.is_empty() {
        return Err(CliError::message("nothing was named that needs rights").hint(
            "name what this API server is used for: --inventory its, --output mailbox, --pipelines, --leases",
        ));
    }
    let account = Account {
        namespace: arguments.namespace.clone(),
        name: arguments.service_account.clone(),
    };
    terminal.print(text(&parts, &account))?;
    Ok(Ending::Done)
}

fn text(parts: &BTreeSet<Part>, account: &Account) -> Vec<u8> {
    let mut text = Vec::new();
    for object in roles(parts, account) {
        text.extend_from_slice(b"---\n");
        yaml::emit_into(&object, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_in_deploy_are_what_the_code_asks() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rbac");
        let account = Account {
            namespace: "stellate".to_owned(),
            name: "stellate".to_owned(),
        };
        let files: [(&str, &str, &[Part]); 2] = [
            (
                "its.yaml",
                "--inventory its --output mailbox",
                &[Part::Inventory, Part::Mailbox],
            ),
            (
                "service.yaml",
                "--pipelines --leases",
                &[Part::Pipelines, Part::Leases],
            ),
        ];
        for (name, arguments, parts) in files {
            let parts = parts.iter().copied().collect();
            let committed = std::fs::read(folder.join(name)).unwrap_or_default();
            assert!(
                committed == text(&parts, &account),
                "{name} has drifted: run `cargo run -- rbac {arguments} > deploy/rbac/{name}`"
            );
        }
    }
}
