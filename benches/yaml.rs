//! Reading and writing manifests, against the `serde_yaml` family: target T6.
//!
//! ```text
//! cargo bench --bench yaml [-- --quick]
//! ```
//!
//! Both sides read the same texts to the same `serde_json` values, in turn; a difference between them is a failure.

mod support;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use aws_lc_rs::digest;
use serde::Deserialize as _;
use serde_json::Value;
use stellate::model::{BlobId, RepoPath};
use stellate::output::branch::hash::{ObjectKind, object_id};
use stellate::source::ParsedCache;
use stellate::yaml::{self, Limits};

use support::corpus::{self, Fleet, Mode};
use support::manifest;
use support::measure::{median, number, repeat, seconds};
use support::options::Options;
use support::table::Table;

fn main() -> Result<()> {
    let options = Options::from_command_line();
    let count = options.choose(10_000, 1_000, 50);
    let rounds = options.choose(7, 5, 1);
    let fleet = Fleet::new(count, 0, Mode::Spread);
    let made: Vec<String> = (0..count)
        .map(|object| manifest::text(&fleet, object, 0))
        .collect();
    let mut table = Table::new(&options);
    compare(
        &mut table,
        &format!("T6 {count} made-up manifests"),
        &made,
        rounds,
        true,
    )?;
    let mut ours = Vec::new();
    gather(Path::new(env!("CARGO_MANIFEST_DIR")), &mut ours)?;
    let name = format!("T6 the {} manifests of this repository", ours.len());
    let many = ours
        .iter()
        .cycle()
        .take(ours.len() * options.choose(50, 10, 1));
    compare(
        &mut table,
        &name,
        &many.cloned().collect::<Vec<_>>(),
        rounds,
        false,
    )?;
    warm(&mut table, &fleet, &made, rounds);
    table.print();
    Ok(())
}

/// Reads with both, and writes what was read.
fn compare(
    table: &mut Table,
    name: &str,
    texts: &[String],
    rounds: usize,
    judged: bool,
) -> Result<()> {
    let bytes = number(texts.iter().map(|text| text.len() as u64).sum());
    let limits = Limits::default();
    let ours = |text: &String| -> Option<Vec<Value>> {
        let documents = yaml::load(text.as_bytes(), &limits).ok()?;
        Some(
            documents
                .into_iter()
                .map(|document| document.value)
                .collect(),
        )
    };
    let theirs = |text: &String| -> Option<Vec<Value>> {
        serde_yaml::Deserializer::from_str(text)
            .map(|each| Value::deserialize(each).ok())
            .collect()
    };
    let different = texts
        .iter()
        .filter(|text| ours(text) != theirs(text))
        .count();
    if judged {
        ensure!(
            different == 0,
            "{different} texts are read otherwise by the two"
        );
    }
    let values: Vec<Value> = texts.iter().filter_map(ours).flatten().collect();
    let mut out = Vec::new();
    let mut figures: [Vec<f64>; 6] = Default::default();
    for _ in 0..rounds {
        let mut note = |index: usize, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            figures[index].push(start.elapsed().as_secs_f64());
        };
        let (mut first, mut second) = (
            Vec::with_capacity(texts.len()),
            Vec::with_capacity(texts.len()),
        );
        note(0, &mut || first.extend(texts.iter().map(ours)));
        note(1, &mut || second.extend(texts.iter().map(theirs)));
        note(2, &mut || {
            for text in texts {
                black_box(digest::digest(
                    &digest::SHA1_FOR_LEGACY_USE_ONLY,
                    text.as_bytes(),
                ));
            }
        });
        note(3, &mut || {
            for value in &values {
                out.clear();
                yaml::emit_into(value, &mut out);
                black_box(&out);
            }
        });
        note(4, &mut || {
            for value in &values {
                drop(black_box(serde_yaml::to_string(value)));
            }
        });
        note(5, &mut || {
            for value in &values {
                drop(black_box(serde_json::to_vec(value)));
            }
        });
    }
    let ratio = |over: usize, under: usize| {
        median(
            figures[over]
                .iter()
                .zip(&figures[under])
                .map(|(over, under)| over / under)
                .collect(),
        )
    };
    let speed = |index: usize| format!("{:.0} MB/s", bytes / 1e6 / median(figures[index].clone()));
    let text = format!("{:.1} × ({} against {})", ratio(1, 0), speed(0), speed(1));
    let target = format!("{name}, read, against yaml_serde");
    table.judge(&target, "≥ 3 ×", text, ratio(1, 0) >= 3.0);
    table.note(
        &format!("{name}, read, in SHA-1 of the same texts"),
        format!("{:.1} ×", ratio(0, 2)),
    );
    table.note(
        &format!("{name}: read otherwise by yaml_serde"),
        format!("{different} of {}", texts.len()),
    );
    let text = format!(
        "{:.1} × ({} against {}; JSON {})",
        ratio(4, 3),
        speed(3),
        speed(4),
        speed(5)
    );
    table.note(&format!("{name}, written, against yaml_serde"), text);
    Ok(())
}

/// Files that are known already, one of them changed.
fn warm(table: &mut Table, fleet: &Fleet, texts: &[String], rounds: usize) {
    let id = |text: &String| BlobId(object_id(ObjectKind::Blob, &[text.as_bytes()]).0);
    let mut files: Vec<(RepoPath, BlobId)> = texts
        .iter()
        .enumerate()
        .map(|(object, text)| (RepoPath::from(corpus::path(object)), id(text)))
        .collect();
    let mut cache = ParsedCache::open(None);
    let mut texts = texts.to_vec();
    let mut asked = 0;
    let mut parse = |files: &[(RepoPath, BlobId)], texts: &[String]| {
        let parsed = cache.get_or_parse(files, |path, _| {
            asked += 1;
            let position = files
                .iter()
                .position(|(other, _)| other == path)
                .unwrap_or(0);
            Ok::<_, std::io::Error>(texts[position].clone().into_bytes())
        });
        black_box(parsed);
        std::mem::take(&mut asked)
    };
    parse(&files, &texts);
    let mut read = 0;
    let time = repeat(rounds, |round| {
        texts[0] = manifest::text(fleet, 0, round + 1);
        files[0].1 = id(&texts[0]);
        read = read.max(parse(&files, &texts));
    });
    table.judge(
        &format!("T6 warm, 1 of {} files changed", files.len()),
        "1 file parsed",
        format!("{read}, in {}", seconds(time)),
        read == 1,
    );
}

/// Reads the manifests that people wrote: examples and configurations of this repository.
fn gather(root: &Path, texts: &mut Vec<String>) -> Result<()> {
    for folder in ["examples", "argocd", "flux"] {
        let mut pending = vec![root.join(folder)];
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_some_and(|end| end == "yaml") {
                    texts.push(std::fs::read_to_string(path)?);
                }
            }
        }
    }
    Ok(())
}
