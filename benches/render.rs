//! The whole chain, from a source commit to a generated commit: targets T1 to T5 and T7.
//!
//! ```text
//! cargo bench --bench render                 everything, at full size: some 15 minutes
//! cargo bench --bench render -- --quick      a tenth of it, to see that nothing is grossly wrong
//! cargo bench --bench render -- t1 t4        some of it; --rounds=N for fewer rounds
//! ```
//!
//! Every big piece of work is a process of its own, so that its memory can be told. Ratios are formed between figures that
//! were scaled by the machine's speed at that moment; seconds are only shown to give an idea.

mod peers;
mod support;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use support::cases::{self, Report, Run};
use support::corpus::{Fleet, Mode};
use support::measure::{median, number, seconds};
use support::options::Options;
use support::repository::SourceRepository;
use support::table::{Table, say};
use support::wec::Edit;

fn main() -> Result<()> {
    if let Some((case, arguments)) = cases::asked() {
        return answer(&case, &arguments);
    }
    let options = Options::from_command_line();
    let scratch = tempfile::Builder::new()
        .prefix("stellate-bench-")
        .tempdir()?;
    let mut bench = Bench {
        table: Table::new(&options),
        scratch: scratch.path().to_owned(),
        options,
    };
    let big = bench
        .options
        .choose((10_000, 1_000), (2_000, 200), (200, 10));
    bench.cold(big, Mode::Spread)?;
    bench.cold(big, Mode::Grouped)?;
    bench.against_peers()?;
    bench.growing(big.0)?;
    bench.changes(big, Mode::Spread)?;
    bench.changes(big, Mode::Grouped)?;
    bench.table.print();
    if !bench.options.is_full() {
        say("\nSmall sizes: what is fixed weighs more, and the targets are not meant for them.");
    }
    Ok(())
}

/// Runs one case in this process and prints what came out.
fn answer(case: &str, arguments: &[String]) -> Result<()> {
    let repository = Path::new(&arguments[0]);
    let text = match case {
        "cold" => serde_json::to_string(&Run::new(repository, None).measured_with_unit()?)?,
        "cached" => {
            let cache = Some(PathBuf::from(&arguments[1]));
            serde_json::to_string(&Run::new(repository, cache).measured()?)?
        }
        "changes" => serde_json::to_string(&changes(repository, arguments)?)?,
        "peers" => serde_json::to_string(&peers::compare(repository, arguments)?)?,
        other => anyhow::bail!("there is no case {other}"),
    };
    say(&text);
    Ok(())
}

struct Bench {
    options: Options,
    scratch: PathBuf,
    table: Table,
}

impl Bench {
    /// T1: everything from nothing.
    fn cold(&mut self, (objects, wecs): (usize, usize), mode: Mode) -> Result<()> {
        if !self.options.wants("t1") {
            return Ok(());
        }
        let fleet = Fleet::new(objects, wecs, mode);
        let name = format!("T1 cold {objects} × {wecs} {}", mode.word());
        let reports = self.cold_rounds(&name, &fleet, self.options.rounds())?;
        let of = |figure: fn(&Report) -> f64| median(reports.iter().map(figure).collect());
        let (cpu, wall) = (
            of(|report| report.cpu / report.unit),
            of(|report| report.wall / report.unit),
        );
        let peak = of(|report| report.peak);
        self.table.judge(
            &format!("{name}: CPU"),
            "≤ 3 U",
            format!("{cpu:.2} U"),
            cpu <= 3.0,
        );
        self.table.judge(
            &format!("{name}: wall"),
            "≤ 2 U",
            format!("{wall:.2} U"),
            wall <= 2.0,
        );
        self.table.judge(
            &format!("{name}: memory"),
            "≤ 350 MB",
            format!("{peak:.0} MB"),
            peak <= 350.0,
        );
        let [blobs, trees, bytes] = reports[0].distinct;
        let pack = number(reports[0].pack) / number(blobs + trees);
        self.table.judge(
            &format!("{name}: pack"),
            "≤ 150 B an object",
            format!("{pack:.0} B"),
            pack <= 150.0,
        );
        self.table.note(
            &format!("{name}: seconds"),
            format!(
                "U {}, wall {}, CPU {}; {} files, {blobs} blobs, {trees} trees, {:.0} MB",
                seconds(of(|report| report.unit)),
                seconds(of(|report| report.wall)),
                seconds(of(|report| report.cpu)),
                reports[0].files,
                number(bytes) / 1e6
            ),
        );
        self.table
            .note(&format!("{name}: stages"), stages(&reports));
        Ok(())
    }

    /// Renders a fleet from nothing so many times, each in a process and on a repository of its own.
    ///
    /// A round during which the machine changed its speed is run again, a few times.
    fn cold_rounds(&self, name: &str, fleet: &Fleet, rounds: usize) -> Result<Vec<Report>> {
        say(&format!("{name}, {rounds} rounds"));
        let folder = tempfile::tempdir_in(&self.scratch)?;
        let source = SourceRepository::create(folder.path().join("source.git"), fleet)?;
        let mut reports = Vec::new();
        let mut spare = rounds;
        while reports.len() < rounds {
            let round = tempfile::tempdir_in(&self.scratch)?;
            let copy = source.copy_to(round.path().join("source.git"))?;
            let report: Report = cases::run("cold", &[&copy.path().to_string_lossy()])?;
            say(&format!(
                "    wall {} CPU {} U {} peak {:.0} MB drift {:.2}",
                seconds(report.wall),
                seconds(report.cpu),
                seconds(report.unit),
                report.peak,
                report.drift()
            ));
            if report.drift() > 1.15 && spare > 0 {
                spare -= 1;
            } else {
                reports.push(report);
            }
        }
        Ok(reports)
    }

    /// T3: ten times the WECs, nothing customised.
    fn growing(&mut self, objects: usize) -> Result<()> {
        if !self.options.wants("t3") {
            return Ok(());
        }
        let sizes = self
            .options
            .choose([100, 1_000, 10_000], [20, 200, 2_000], [2, 4, 8]);
        let mut last: Option<(f64, f64, f64)> = None;
        for wecs in sizes {
            let fleet = Fleet {
                customised: 0,
                ..Fleet::new(objects, wecs, Mode::Spread)
            };
            let name = format!("T3 {objects} × {wecs}, nothing customised");
            let reports = self.cold_rounds(&name, &fleet, self.options.rounds())?;
            let of = |figure: fn(&Report) -> f64| median(reports.iter().map(figure).collect());
            let (time, peak) = (of(Report::normal), of(|report| report.peak));
            let later = of(|report| report.normal() * (1.0 - stage(report, "read") / report.wall));
            self.table.note(
                &name,
                format!(
                    "{}, {peak:.0} MB; {}",
                    seconds(of(|report| report.wall)),
                    stages(&reports)
                ),
            );
            if let Some((time_then, peak_then, later_then)) = last {
                let (slower, larger) = (time / time_then, peak / peak_then);
                self.table.judge(
                    &format!("T3 → {wecs} WECs: time"),
                    "≤ 1.3 ×",
                    format!("{slower:.2} ×"),
                    slower <= 1.3,
                );
                self.table.judge(
                    &format!("T3 → {wecs} WECs: memory"),
                    "≤ 1.1 ×",
                    format!("{larger:.2} ×"),
                    larger <= 1.1,
                );
                self.table.note(
                    &format!("T3 → {wecs} WECs: time without reading the source"),
                    format!("{:.2} ×", later / later_then),
                );
            }
            last = Some((time, peak, later));
        }
        Ok(())
    }

    /// T2: against what people do.
    fn against_peers(&mut self) -> Result<()> {
        if !self.options.wants("t2") {
            return Ok(());
        }
        let (objects, wecs) = self.options.choose((1_000, 100), (300, 30), (100, 4));
        let fleet = Fleet::new(objects, wecs, Mode::Spread);
        say(&format!("T2 {objects} × {wecs} against peers"));
        let folder = tempfile::tempdir_in(&self.scratch)?;
        let source = SourceRepository::create(folder.path().join("source.git"), &fleet)?;
        let rounds = self.options.rounds().to_string();
        let path = source.path().to_string_lossy().into_owned();
        let arguments = [&path, &objects.to_string(), &wecs.to_string(), &rounds];
        let found: peers::Comparison = cases::run("peers", &arguments.map(String::as_str))?;
        found.judge(&mut self.table, &format!("T2 {objects} × {wecs}"));
        Ok(())
    }

    /// T4, T5 and T7: changes.
    fn changes(&mut self, (objects, wecs): (usize, usize), mode: Mode) -> Result<()> {
        if !["t4", "t5", "t7"]
            .iter()
            .any(|case| self.options.wants(case))
        {
            return Ok(());
        }
        let fleet = Fleet::new(objects, wecs, mode);
        say(&format!("T4, T5, T7 {objects} × {wecs} {}", mode.word()));
        let folder = tempfile::tempdir_in(&self.scratch)?;
        let source = SourceRepository::create(folder.path().join("source.git"), &fleet)?;
        let rounds = self.options.rounds();
        let copy = source.copy_to(folder.path().join("memory.git"))?;
        let arguments = [
            &copy.path().to_string_lossy().into_owned(),
            &objects.to_string(),
            &wecs.to_string(),
            &mode.word().to_owned(),
            &rounds.to_string(),
        ];
        let found: Changes = cases::run("changes", &arguments.map(String::as_str))?;
        self.judge_changes(mode, &found);
        self.restarts(&fleet, &source, folder.path(), rounds, &found.cold)
    }

    fn judge_changes(&mut self, mode: Mode, found: &Changes) {
        let cold = found.cold.normal();
        let name = mode.word();
        let limit = if mode == Mode::Grouped { 0.015 } else { 0.03 };
        let limits = [
            (&found.shared, "shared", limit),
            (&found.customised, "customised", 0.03),
        ];
        for (reports, object, limit) in limits {
            let share = median(reports.iter().map(Report::normal).collect()) / cold;
            let wanted = format!("≤ {:.1} % of cold", limit * 100.0);
            let text = format!(
                "{:.2} % ({}, {})",
                share * 100.0,
                time(reports),
                written(reports)
            );
            self.table.judge(
                &format!("T4 {name}, {object} object changed"),
                &wanted,
                text,
                share <= limit,
            );
            self.table
                .note(&format!("T4 {name}, {object}: stages"), stages(reports));
        }
        let unchanged = median(found.unchanged.iter().map(|report| report.wall).collect());
        let same = found
            .unchanged
            .iter()
            .all(|report| report.written == [0, 0])
            && found.same_commit;
        let text = format!(
            "{}, {}",
            seconds(unchanged),
            if same {
                "same commit"
            } else {
                "ANOTHER COMMIT"
            }
        );
        self.table.judge(
            &format!("T5 {name}, nothing changed"),
            "≤ 5 ms, same commit",
            text,
            same && unchanged <= 0.005,
        );
        self.table
            .note(&format!("T5 {name}: stages"), stages(&found.unchanged));
        for (reports, what) in [
            (&found.label, "label of a WEC"),
            (&found.property, "property of a WEC"),
            (&found.added, "one WEC more"),
        ] {
            let share = median(reports.iter().map(Report::normal).collect()) / cold;
            let [blobs, trees] = reports[0].written;
            let few = blobs + trees <= found.bound;
            let text = format!(
                "{blobs} blobs, {trees} trees; {} = {:.2} % of cold",
                time(reports),
                share * 100.0
            );
            let wanted = format!("≤ {} new objects, ≤ 3 %", found.bound);
            self.table.judge(
                &format!("T7 {name}, {what}"),
                &wanted,
                text,
                few && share <= 0.03,
            );
            self.table
                .note(&format!("T7 {name}, {what}: stages"), stages(reports));
        }
    }

    /// T4 and T5 after a restart: a new process, with the cache on disk and the generated branch in git.
    fn restarts(
        &mut self,
        fleet: &Fleet,
        source: &SourceRepository,
        folder: &Path,
        rounds: usize,
        cold: &Report,
    ) -> Result<()> {
        let mut copy = source.copy_to(folder.join("restart.git"))?;
        let cache = folder.join("cache");
        let arguments = [
            copy.path().to_string_lossy().into_owned(),
            cache.to_string_lossy().into_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let primed: Report = cases::run("cached", &arguments)?;
        let object = fleet.deployment(false);
        let mut changed: Vec<Report> = Vec::new();
        let mut unchanged: Vec<Report> = Vec::new();
        for _ in 0..rounds {
            copy.edit_object(fleet, object)?;
            changed.push(cases::run("cached", &arguments)?);
            unchanged.push(cases::run("cached", &arguments)?);
        }
        let name = fleet.mode.word();
        let share = median(changed.iter().map(Report::normal).collect()) / cold.normal();
        let text = format!(
            "{:.2} % ({}, {})",
            share * 100.0,
            time(&changed),
            written(&changed)
        );
        self.table.judge(
            &format!("T4 {name}, after a restart"),
            "≤ 5 % of cold",
            text,
            share <= 0.05,
        );
        self.table.note(
            &format!("T4 {name}, after a restart: stages"),
            stages(&changed),
        );
        self.table.note(
            &format!("T5 {name}, after a restart"),
            format!("{}; {}", time(&unchanged), stages(&unchanged)),
        );
        self.table.note(
            &format!("T4 {name}: cold with the cache written"),
            format!("{}; without {}", seconds(primed.wall), seconds(cold.wall)),
        );
        Ok(())
    }
}

/// What a pipeline with its memory took for each change.
#[derive(Serialize, Deserialize)]
struct Changes {
    cold: Report,
    unchanged: Vec<Report>,
    same_commit: bool,
    shared: Vec<Report>,
    customised: Vec<Report>,
    label: Vec<Report>,
    property: Vec<Report>,
    added: Vec<Report>,
    /// New objects that one WEC may cost: what is customised for it, its folders, its root, the top, and the metadata.
    bound: u64,
}

fn changes(repository: &Path, arguments: &[String]) -> Result<Changes> {
    let mode = if arguments[3] == Mode::Spread.word() {
        Mode::Spread
    } else {
        Mode::Grouped
    };
    let fleet = Fleet::new(arguments[1].parse()?, arguments[2].parse()?, mode);
    let rounds: usize = arguments[4].parse()?;
    let mut source = SourceRepository::reopen(repository);
    let mut run = Run::new(repository, None);
    let cold = run.measured()?;
    let unchanged = (0..rounds)
        .map(|_| run.measured())
        .collect::<Result<Vec<_>>>()?;
    let same_commit = unchanged.iter().all(|report| report.commit == cold.commit);
    let mut each = |edit: &mut dyn FnMut(&mut SourceRepository, usize) -> Result<()>| {
        let round = |round| {
            edit(&mut source, round)?;
            run.measured()
        };
        (1..=rounds).map(round).collect::<Result<Vec<_>>>()
    };
    let wec = fleet.wecs / 2;
    let customised = (0..fleet.objects)
        .filter(|&object| fleet.is_customised(object))
        .count();
    Ok(Changes {
        cold,
        unchanged,
        same_commit,
        shared: each(&mut |source, _| source.edit_object(&fleet, fleet.deployment(false)))?,
        customised: each(&mut |source, _| source.edit_object(&fleet, fleet.deployment(true)))?,
        label: each(&mut |source, round| source.edit_wec(&fleet, wec, Edit::Label(round)))?,
        property: each(&mut |source, round| source.edit_wec(&fleet, wec, Edit::Property(round)))?,
        added: each(&mut |source, round| source.add_wec(fleet.wecs + round))?,
        bound: (customised + fleet.namespaces() + 8) as u64,
    })
}

fn stage(report: &Report, name: &str) -> f64 {
    report
        .stages
        .iter()
        .filter(|stage| stage.0 == name)
        .map(|stage| stage.1)
        .sum()
}

/// The stages with their medians.
fn stages(reports: &[Report]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in reports.iter().flat_map(|report| &report.stages) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let show = |name: &&String| {
        let times = reports.iter().map(|report| stage(report, name)).collect();
        format!("{name} {}", seconds(median(times)))
    };
    names.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn time(reports: &[Report]) -> String {
    seconds(median(reports.iter().map(|report| report.wall).collect()))
}

fn written(reports: &[Report]) -> String {
    let [blobs, trees] = reports.first().map_or([0, 0], |report| report.written);
    format!("{blobs} blobs, {trees} trees")
}
