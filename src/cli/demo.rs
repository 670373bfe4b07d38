//! `stellate demo`: the example shop in a git repository made on the spot, rendered into its branch `generated`.
//!
//! No cluster, no network. The source commit has a fixed author and date, so that everybody sees the same ids.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use git2::{IndexAddOption, Repository, Signature, Time};

use super::Ending;
use super::delivery::Report;
use super::error::CliError;
use super::progress::Line;
use super::table::count;
use super::terminal::Terminal;
use crate::model::api::pipeline::Layout;
use crate::reconcile::{BranchDestination, DeliveryOptions, Destination, Pipeline, Request};

/// What `stellate demo` is told.
#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of the repository; it must be empty or not there [default: a new temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The branch that is rendered into.
const BRANCH: &str = "generated";
/// When the shop was committed: 2025-01-01 at noon UTC, in seconds since 1970.
const DATE: i64 = 1_735_732_800;

/// Gives a file of the example by its path.
macro_rules! shop {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../examples/shop/", $path)))),*]
    };
}

/// The example, as it was when the program was built.
const FILES: &[(&str, &str)] = &shop![
    "README.md",
    "inventory/core.yaml",
    "inventory/properties.yaml",
    "inventory/staging.yaml",
    "inventory/stores.yaml",
    "policies/campaigns.yaml",
    "policies/monitoring.yaml",
    "policies/payments.yaml",
    "policies/storefront.yaml",
    "policies/stores.yaml",
    "policies/transforms.yaml",
    "workloads/monitoring/agent.yaml",
    "workloads/payments/batch.yaml",
    "workloads/payments/namespace.yaml",
    "workloads/payments/payments.yaml",
    "workloads/shop/access.yaml",
    "workloads/shop/catalog.yaml",
    "workloads/shop/namespace.yaml",
    "workloads/shop/promotions.yaml",
    "workloads/shop/search.yaml",
    "workloads/shop/storefront-production.yaml",
    "workloads/shop/storefront.yaml",
    "workloads/store/till.yaml",
];

/// Makes the repository, renders it and says where to look.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    let folder = folder(arguments.dir.as_deref())?;
    let start = Instant::now();
    let repository = commit(&folder).map_err(|error| {
        CliError::message(format!(
            "cannot make a repository in {}: {}",
            folder.display(),
            crate::git::plain(&error)
        ))
        .hint("name an empty folder that you may write to")
    })?;
    let request = Request {
        location: folder.display().to_string(),
        committed: true,
        ..Request::default()
    };
    let destination = Destination::Branch(BranchDestination {
        repository: repository.path().to_owned(),
        name: BRANCH.to_owned(),
        layout: Layout::Directories,
        push: None,
    });
    let options = DeliveryOptions::default();
    let line = Line::new(terminal);
    let mut pipeline = Pipeline::new(None);
    let rendering = pipeline.render(&request, &line)?;
    let delivery = pipeline.deliver(&rendering, &destination, &options, &line)?;
    drop(line);
    let report = Report::new(&rendering, &delivery, &destination);
    let styles = terminal.out();
    let strong = styles.strong;
    let place = folder.display();
    let head = format!(
        "{strong}{} and {} for {}{strong:#}, committed in {place}\n\n",
        count(rendering.policies.len(), "policy"),
        count(rendering.snapshot.objects.len(), "object"),
        count(rendering.inventory.clusters.len(), "WEC"),
    );
    let commit = report.commit().unwrap_or(BRANCH);
    let commit = commit.get(..12).unwrap_or(commit);
    let look = format!(
        "\n{}\n\n{strong}Look around{strong:#}\n\
         \x20 git -C {place} log --stat {BRANCH}\n\
         \x20 git -C {place} show {BRANCH}:clusters/fra1/shop/configmap-storefront-settings.yaml\n\
         \x20 stellate explain deployment payments/payments --wec sto1 {place}\n\
         \x20 stellate verify {commit} {place}\n",
        report.last_line(start.elapsed(), styles),
    );
    terminal.show(&(head + &report.table(styles) + &look))?;
    Ok(Ending::of_errors(rendering.errors()))
}

/// Gives an empty folder.
fn folder(wanted: Option<&Path>) -> Result<PathBuf, CliError> {
    let Some(folder) = wanted else {
        let made = tempfile::Builder::new().prefix("stellate-demo-").tempdir();
        let made =
            made.map_err(|error| CliError::new(error).context("cannot make a temporary folder"))?;
        // It stays: somebody wants to look at it. The repository's name goes into the commit, so it is always the same.
        return Ok(made.keep().join("shop"));
    };
    let taken = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken || folder.is_file() {
        return Err(
            CliError::message(format!("{} is not empty", folder.display()))
                .hint("name a folder that is not there yet, or leave --dir out"),
        );
    }
    Ok(folder.to_owned())
}

/// Writes and commits the example.
fn commit(folder: &Path) -> Result<Repository, git2::Error> {
    let mut options = git2::RepositoryInitOptions::new();
    options
        .initial_head("main")
        .mkpath(true)
        .external_template(false);
    let repository = Repository::init_opts(folder, &options)?;
    for (path, text) in FILES {
        let path = folder.join(path);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| git2::Error::from_str(&format!("{}: {error}", path.display())))?;
    }
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::FORCE, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = Signature::new("Stellate", "stellate@localhost", &Time::new(DATE, 0))?;
    repository.commit(
        Some("HEAD"),
        &author,
        &author,
        "Open the shop\n",
        &tree,
        &[],
    )?;
    drop(tree);
    Ok(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_holds_every_file_of_the_example() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop");
        let mut found = Vec::new();
        let mut waiting = vec![folder.clone()];
        while let Some(next) = waiting.pop() {
            for entry in std::fs::read_dir(next).expect("folder") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.push(
                        path.strip_prefix(&folder)
                            .expect("inside")
                            .to_string_lossy()
                            .into_owned(),
                    );
                }
            }
        }
        found.sort();
        assert_eq!(
            found,
            FILES
                .iter()
                .map(|(path, _)| (*path).to_owned())
                .collect::<Vec<_>>()
        );
    }
}
