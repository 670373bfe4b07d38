//! `stellate render`: a source becomes manifests on standard output, a folder, or a generated branch.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::data::Format;
use super::delivery::Report;
use super::error::CliError;
use super::progress::Line;
use super::scene::{Scene, SourceArguments};
use super::table::{Table, count, duration};
use super::terminal::Terminal;
use super::{Ending, data, problems, remote, scene};
use crate::config::{ResolvedBranch, ResolvedOutput, branch_name_problem};
use crate::model::api::pipeline::Layout;
use crate::model::{ClusterName, ObjectKey};
use crate::output::branch::publish::Committer;
use crate::output::path;
use crate::reconcile::{BranchDestination, DeliveryOptions, Destination, Pipeline, Rendering};
use crate::source::folder;
use crate::yaml::{self, Limits};

/// How much is gathered before it is written.
const CHUNK: usize = 256 << 10;
/// How long the folder is left alone when no event comes.
const POLL: Duration = Duration::from_secs(30);

/// What `stellate render` is told.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags are what they are")]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The branch, tag or commit to render [default: the work tree; for a URL, its default branch]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Print only these clusters; may be repeated
    #[arg(long, value_name = "NAME")]
    wec: Vec<String>,
    /// Write the tree of the generated branch into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["branch", "deliver"])]
    out: Option<PathBuf>,
    /// Commit to this branch; of a local repository, what is committed is rendered
    #[arg(long, value_name = "NAME", conflicts_with = "deliver")]
    branch: Option<String>,
    /// Deliver to the outputs of the configuration
    #[arg(long)]
    deliver: bool,
    /// Publish the branch
    #[arg(long, requires = "branch")]
    push: bool,
    /// Where to publish: a remote's name or a URL [default: origin, or the URL that was rendered]
    #[arg(long, value_name = "NAME|URL", requires = "push")]
    remote: Option<String>,
    /// One branch with a folder for each cluster, or one small branch for each
    #[arg(long, value_enum, requires = "branch")]
    layout: Option<LayoutArgument>,
    /// Let this change remove as much as it does
    #[arg(long)]
    allow_removals: bool,
    /// Deliver to all clusters at once, whatever waves the configuration has
    #[arg(long)]
    all_waves: bool,
    /// Hold everything when there is one error
    #[arg(long)]
    strict: bool,
    /// The ssh key that signs generated commits
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Render again whenever the folder changes
    #[arg(long, conflicts_with_all = ["rev", "push"])]
    watch: bool,
    /// The form of the result [default: manifests as YAML, or a table of what was delivered]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// How clusters share branches.
#[derive(Clone, Copy, ValueEnum)]
enum LayoutArgument {
    /// One branch for all
    Directories,
    /// One branch for each
    Branches,
}

impl From<LayoutArgument> for Layout {
    fn from(layout: LayoutArgument) -> Self {
        match layout {
            LayoutArgument::Directories => Self::Directories,
            LayoutArgument::Branches => Self::Branches,
        }
    }
}

/// Renders.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, CliError> {
    arguments.refuse_partial_delivery()?;
    let mut scene = arguments.source.scene()?;
    scene.check(terminal)?;
    arguments.refuse_waves(&scene)?;
    // Lives as long as branches may be pushed through it.
    let scratch = tempfile::tempdir()
        .map_err(|error| CliError::new(error).context("cannot make a temporary folder"))?;
    if arguments.rev.is_some() {
        scene.request.revision.clone_from(&arguments.rev);
    }
    scene.request.settings.strict |= arguments.strict;
    let places = arguments.places(&mut scene, scratch.path(), terminal)?;
    let mut pipeline = scene.start();
    let mut ending = arguments.once(&scene, &places, &mut pipeline, terminal)?;
    if arguments.watch {
        if scene.remote {
            return Err(CliError::message("only a folder can be watched")
                .hint("clone the repository, or run this in CI"));
        }
        let folder = scene.request.location.clone();
        terminal.say(&format!("watching {folder}; stop with Ctrl-C"));
        for change in folder::watch(Path::new(&folder), POLL)? {
            if change == folder::Change::Seen {
                ending = arguments.once(&scene, &places, &mut pipeline, terminal)?;
            }
        }
    }
    Ok(ending)
}

/// A destination with the way to it.
struct Target {
    destination: Destination,
    access: crate::git::Access,
}

impl Arguments {
    /// Refuses to deliver to some WECs only: a folder or branch holds all of them, and whoever is not in it is emptied.
    fn refuse_partial_delivery(&self) -> Result<(), CliError> {
        let destination = if self.out.is_some() {
            "--out"
        } else if self.branch.is_some() {
            "--branch"
        } else if self.deliver {
            "--deliver"
        } else {
            return Ok(());
        };
        if self.wec.is_empty() {
            return Ok(());
        }
        Err(CliError::message(format!(
            "--wec with {destination} would take everything away from all other WECs: what is delivered always holds all of them"
        ))
        .hint("leave out --wec; or look at one WEC alone: stellate render --wec NAME"))
    }

    /// Refuses to overtake the waves of a configuration: a command does not know which clusters are healthy.
    fn refuse_waves(&self, scene: &Scene) -> Result<(), CliError> {
        let resolved = scene.configured.as_ref();
        let has_waves = resolved.is_some_and(|resolved| !resolved.waves.is_empty());
        let delivers = self.deliver || self.branch.is_some();
        if !has_waves || !delivers || self.all_waves {
            return Ok(());
        }
        Err(CliError::message(
            "the configuration has waves, and a command does not know which WECs are healthy",
        )
        .hint("let `stellate run` deliver; or deliver to all WECs at once with --all-waves"))
    }

    /// Decides where the results go; nowhere means standard output.
    fn places(
        &self,
        scene: &mut Scene,
        scratch: &Path,
        terminal: &Terminal,
    ) -> Result<Vec<Target>, CliError> {
        let access = scene.request.access.clone();
        if let Some(folder) = &self.out {
            return Ok(vec![Target {
                destination: Destination::Folder(folder.clone()),
                access,
            }]);
        }
        if let Some(name) = &self.branch {
            if let Some(problem) = branch_name_problem(name) {
                return Err(CliError::message(format!(
                    "{name:?} is no name of a branch: {problem}"
                ))
                .hint("take a name such as `generated`"));
            }
            let branch = self.branch_to(name, scene);
            return Ok(vec![self.target(scene, &branch, scratch, terminal)?]);
        }
        if self.deliver {
            return self.configured_places(scene, scratch, terminal);
        }
        Ok(Vec::new())
    }

    /// All outputs of the configuration.
    fn configured_places(
        &self,
        scene: &mut Scene,
        scratch: &Path,
        terminal: &Terminal,
    ) -> Result<Vec<Target>, CliError> {
        let outputs = scene
            .configured
            .as_ref()
            .map(|resolved| resolved.outputs.clone())
            .unwrap_or_default();
        if outputs.is_empty() {
            return Err(CliError::message("the configuration names no output that this command can write")
                .hint("add `outputs: [{branch: {name: generated}}]` to stellate.yaml, or use --branch or --out"));
        }
        let mut targets = Vec::new();
        for output in outputs {
            match output {
                ResolvedOutput::Folder(folder) => targets.push(Target {
                    destination: Destination::Folder(folder),
                    access: scene.request.access.clone(),
                }),
                ResolvedOutput::Branch(branch) => {
                    targets.push(self.target(scene, &branch, scratch, terminal)?);
                }
                ResolvedOutput::Mailbox { .. } => {
                    terminal.warn("mailboxes are left out: `stellate run` delivers into them");
                }
            }
        }
        Ok(targets)
    }

    /// The branch of --branch: what the configuration says about one of that name, and arguments that win over it.
    fn branch_to(&self, name: &str, scene: &Scene) -> ResolvedBranch {
        let outputs = scene.configured.iter().flat_map(|resolved| &resolved.outputs);
        let mut branches = outputs.filter_map(|output| match output {
            ResolvedOutput::Branch(branch) if branch.name == name => Some(branch.clone()),
            _ => None,
        });
        let mut branch = branches.next().unwrap_or_else(|| ResolvedBranch {
            name: name.to_owned(),
            ..ResolvedBranch::default()
        });
        branch.push = self.push;
        if let Some(layout) = self.layout {
            branch.layout = layout.into();
        }
        if self.remote.is_some() {
            branch.url.clone_from(&self.remote);
        }
        branch
    }

    /// The way to a branch.
    fn target(
        &self,
        scene: &mut Scene,
        branch: &ResolvedBranch,
        scratch: &Path,
        terminal: &Terminal,
    ) -> Result<Target, CliError> {
        let access = match &branch.credentials {
            Some(login) => self.source.configuration.access(Some(login))?,
            None => scene.request.access.clone(),
        };
        let destination = destination(scene, branch, scratch, terminal)?;
        Ok(Target {
            destination: Destination::Branch(destination),
            access,
        })
    }

    /// Renders once and writes the result.
    fn once(
        &self,
        scene: &Scene,
        targets: &[Target],
        pipeline: &mut Pipeline,
        terminal: &Terminal,
    ) -> Result<Ending, CliError> {
        let start = Instant::now();
        let line = Line::new(terminal);
        let rendering = pipeline.render(&scene.request, &line)?;
        drop(line);
        scene::report(&rendering, terminal);
        let mut timings = rendering.timings.clone();
        let mut ending = Ending::of_errors(rendering.errors());
        for target in targets {
            let options = DeliveryOptions {
                allow_removals: self.allow_removals,
                strict: scene.request.settings.strict,
                guard: scene.request.settings.guard.clone(),
                committer: Committer::default(),
                signing_key: self.signing_key.clone(),
                access: target.access.clone(),
                staged: None,
            };
            let line = Line::new(terminal);
            let delivered = pipeline.deliver(&rendering, &target.destination, &options, &line)?;
            drop(line);
            timings.extend(delivered.timings.iter().copied());
            let report = Report::new(&rendering, &delivered, &target.destination);
            match data::text(&report, self.output.unwrap_or(Format::Table))? {
                Some(data) => terminal.print(data)?,
                None => terminal.show(&report.table(terminal.out()))?,
            }
            terminal.say(&report.last_line(start.elapsed(), terminal.talk()));
            if report.is_held() {
                ending = Ending::Held;
            }
        }
        if targets.is_empty() {
            self.print(&rendering, terminal)?;
            terminal.say(&said(&rendering, start.elapsed()));
            if scene.request.settings.strict && rendering.errors() > 0 {
                ending = Ending::Held;
            }
        }
        scene.report_timings(&timings, terminal);
        Ok(ending)
    }

    /// Writes the manifests, or the summary, to standard output.
    fn print(&self, rendering: &Rendering, terminal: &Terminal) -> Result<(), CliError> {
        let chosen = chosen(rendering, &self.wec)?;
        match self.output {
            None | Some(Format::Yaml) => stream(rendering, &chosen, terminal),
            Some(Format::Json) => lists(rendering, &chosen, terminal),
            Some(Format::Table) => {
                let mut table = Table::new(&["WEC", "OBJECTS", "CUSTOMISED", "QUARANTINED"])
                    .numbers(&[1, 2, 3]);
                let summary = rendering.summary();
                for cluster in chosen
                    .iter()
                    .filter_map(|&position| summary.clusters.get(position))
                {
                    let numbers = [cluster.objects, cluster.customised, cluster.quarantined];
                    let numbers = numbers.map(|number| number.to_string());
                    table.row(std::iter::once(cluster.name.to_string()).chain(numbers));
                }
                terminal.show(&table.text(terminal.out()))
            }
        }
    }
}

/// Finds the repository of a branch, and the address it is pushed to when there is one.
fn destination(
    scene: &mut Scene,
    branch: &ResolvedBranch,
    scratch: &Path,
    terminal: &Terminal,
) -> Result<BranchDestination, CliError> {
    let location = scene.request.location.clone();
    let to = |repository, push| BranchDestination {
        repository,
        name: branch.name.clone(),
        layout: branch.layout,
        push,
    };
    if scene.remote {
        let Some(remote) = pushed_to(branch, &location) else {
            return Err(CliError::message(format!(
                "the branch {} of {} can only be pushed",
                branch.name,
                redacted(&location)
            ))
            .hint("add --push, or write to a folder with --out"));
        };
        let url = remote::address(None, remote)?;
        let repository = remote::relay(&url, scene.cache.as_deref(), scratch)?;
        return Ok(to(repository, Some(url)));
    }
    let folder = Path::new(location.strip_prefix("file://").unwrap_or(&location));
    if !folder.exists() {
        return Err(
            CliError::message(format!("there is no folder {location}")).hint("check the path")
        );
    }
    let repository = remote::discover(folder)?;
    let push = pushed_to(branch, "origin")
        .map(|remote| remote::address(Some(&repository), remote))
        .transpose()?;
    if !scene.request.committed {
        scene.request.committed = true;
        let revision = scene.request.revision.as_deref();
        if revision.is_none() && remote::is_dirty(&repository, folder) {
            terminal.warn("a branch is rendered from HEAD: what is not committed is not in it");
        }
    }
    Ok(to(repository.path().to_owned(), push))
}

/// The remote that a branch is pushed to; `home` where none is named. None not to push.
fn pushed_to<'a>(branch: &'a ResolvedBranch, home: &'a str) -> Option<&'a str> {
    let remote = branch.url.as_deref().unwrap_or(home);
    branch.push.then_some(remote)
}

/// Writes an address without who logs in.
pub(super) fn redacted(location: &str) -> String {
    crate::git::RemoteUrl::parse(location)
        .map_or_else(|_| location.to_owned(), |url| url.redacted())
}

/// Gives the positions of the WECs of these names; of all when there are none.
pub(super) fn chosen(rendering: &Rendering, names: &[String]) -> Result<Vec<usize>, CliError> {
    if names.is_empty() {
        return Ok((0..rendering.rendered.clusters.len()).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        chosen.push(position(rendering, name)?);
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Finds a WEC.
pub(super) fn position(rendering: &Rendering, name: &str) -> Result<usize, CliError> {
    rendering.inventory.position(name).ok_or_else(|| {
        let known: Vec<&str> = rendering
            .inventory
            .clusters
            .iter()
            .map(|cluster| cluster.name.as_str())
            .collect();
        let error = CliError::message(format!("the inventory holds no WEC {name}"));
        match crate::model::names::nearest(name, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint(format!("it holds: {}", super::table::list(&known, 12))),
        }
    })
}

/// Gives the path of an object below the root of the generated tree.
pub(super) fn file_path(cluster: &ClusterName, key: &crate::model::ObjectKey) -> String {
    format!(
        "{}/{cluster}/{}/{}",
        path::CLUSTERS,
        path::folder(key),
        path::file_name(key)
    )
}

/// Writes all manifests as one YAML stream, each behind a comment with its path.
fn stream(rendering: &Rendering, chosen: &[usize], terminal: &Terminal) -> Result<(), CliError> {
    let mut text = Vec::with_capacity(CHUNK + (64 << 10));
    for &cluster in chosen {
        let name = &rendering.rendered.clusters[cluster];
        let mut objects: Vec<_> = rendering.objects_on(cluster).collect();
        objects.sort_by_key(|object| rank(&object.key));
        for object in objects {
            text.extend_from_slice(format!("---\n# {}\n", file_path(name, &object.key)).as_bytes());
            for variant in object.variants.iter() {
                variant.bytes_into(cluster, &mut text);
            }
            if text.len() > CHUNK {
                terminal.print(&text)?;
                text.clear();
            }
        }
    }
    terminal.print(&text)
}

/// Puts first what others need to be there: `kubectl apply` takes the stream in its order.
fn rank(key: &ObjectKey) -> u8 {
    match (&*key.group, &*key.kind) {
        ("", "Namespace") => 0,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => 1,
        _ => 2,
    }
}

/// Writes a `List` for each WEC: `{"clusters": {"fra1": {"kind": "List", "items": […]}, …}}`.
fn lists(rendering: &Rendering, chosen: &[usize], terminal: &Terminal) -> Result<(), CliError> {
    terminal.print("{\"clusters\": {")?;
    for (index, &cluster) in chosen.iter().enumerate() {
        let items: Vec<Value> = rendering
            .objects_on(cluster)
            .filter_map(|object| rendering.text(&object.key, cluster))
            .filter_map(|text| {
                yaml::load(&text, &Limits::default())
                    .ok()?
                    .into_iter()
                    .next()
            })
            .map(|document| document.value)
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let name = json!(rendering.rendered.clusters[cluster].as_str());
        let comma = if index == 0 { "" } else { "," };
        terminal.print(format!("{comma}\n{name}: {list}"))?;
    }
    terminal.print("\n}}\n")
}

/// Says what was rendered, in a line.
fn said(rendering: &Rendering, time: Duration) -> String {
    let summary = rendering.summary();
    let problems = problems::tally(
        rendering
            .diagnostics
            .iter()
            .filter(|found| found.severity > crate::model::Severity::Note),
    );
    let problems = problems
        .map(|tally| format!("; {tally}"))
        .unwrap_or_default();
    format!(
        "{} for {}: {}, {} distinct, in {}{problems}",
        count(summary.objects, "object"),
        count(summary.clusters.len(), "WEC"),
        count(summary.files, "file"),
        super::table::grouped(summary.distinct),
        duration(time),
    )
}
