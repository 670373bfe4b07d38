//! Placement: who gets what, from nothing and after one change: target T8.
//!
//! ```text
//! cargo bench --bench placement [-- --quick]
//! ```

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use stellate::model::{Labels, ObjectKey};
use stellate::placement::{ObjectFacts, Placer, place};

use support::corpus::{self, Kind, ROLES};
use support::measure::{Spent, measure, median, repeat, seconds};
use support::options::Options;
use support::policy::policy;
use support::table::Table;
use support::wec::{self, Edit};

fn main() {
    let options = Options::from_command_line();
    let (objects, policies, wecs) =
        options.choose((10_000, 1_000, 5_000), (2_000, 200, 1_000), (200, 20, 100));
    let rounds = options.choose(7, 5, 1);
    let mut table = Table::new(&options);
    let name = format!("T8 {objects} objects × {policies} policies × {wecs} WECs");
    let facts: Vec<ObjectFacts> = (0..objects).map(|object| facts(object, 0)).collect();
    let written: Vec<_> = (0..policies)
        .map(|number| policy(number, objects, 0))
        .collect();
    let inventory = wec::inventory(wecs);
    let namespaces = BTreeMap::new();

    let mut spent: Vec<Spent> = Vec::new();
    let mut placed = 0;
    for _ in 0..rounds {
        let input = (facts.clone(), written.clone());
        let (plan, took) = measure(|| place(input.0, &namespaces, input.1, &inventory));
        placed = plan
            .0
            .placements
            .iter()
            .map(|placement| placement.clusters.len())
            .sum();
        spent.push(took);
    }
    let cpu = median(spent.iter().map(|spent| spent.cpu).collect());
    let wall = median(spent.iter().map(|spent| spent.wall).collect());
    let text = format!(
        "{} CPU, {} wall; {placed} files",
        seconds(cpu.max(0.01)),
        seconds(wall)
    );
    table.judge(&format!("{name}, cold"), "≤ 1 s CPU", text, cpu <= 1.0);

    let mut placer = Placer::new();
    placer.set_inventory(&inventory);
    placer.set_objects(facts);
    placer.set_policies(written);
    placer.plan();
    let rounds = options.choose(201, 51, 3);
    let mut judge = |what: &str, time: f64| {
        table.judge(
            &format!("{name}, {what}"),
            "≤ 1 ms",
            seconds(time),
            time <= 0.001,
        );
    };
    judge("nothing changed", repeat(rounds, |_| drop(placer.plan())));
    judge(
        "one object changed",
        repeat(rounds, |round| {
            placer.upsert_object(self::facts(round * 37 % objects, round + 1));
            placer.plan();
        }),
    );
    judge(
        "one policy changed",
        repeat(rounds, |round| {
            placer.upsert_policy(policy(round * 7 % policies, objects, round + 1));
            placer.plan();
        }),
    );
    judge(
        "labels of one WEC changed",
        repeat(rounds, |round| {
            placer.upsert_cluster(wec::cluster(round * 11 % wecs, Edit::Label(round + 1)));
            placer.plan();
        }),
    );
    judge(
        "one WEC more",
        repeat(rounds, |round| {
            placer.upsert_cluster(wec::cluster(wecs + round, Edit::None));
            placer.plan();
        }),
    );
    table.print();
}

/// What placement sees of an object; an edit changes what it does, and so who selects it.
fn facts(object: usize, edit: usize) -> ObjectFacts {
    let (group, kind, resource) = match corpus::kind(object) {
        Kind::Deployment => ("apps", "Deployment", "deployments"),
        Kind::Service => ("", "Service", "services"),
        Kind::ConfigMap => ("", "ConfigMap", "configmaps"),
    };
    let (name, namespace) = (corpus::name(object), corpus::namespace(object));
    let role = ROLES[(object + edit) % ROLES.len()];
    let labels = [("name", role), ("part-of", &namespace), ("instance", &name)];
    let labels: Labels = labels
        .map(|(key, value)| (format!("app.kubernetes.io/{key}"), value.to_owned()))
        .into();
    ObjectFacts {
        key: ObjectKey::new(group, kind, &namespace, &name),
        resource: resource.into(),
        labels: Arc::new(labels),
        excluded: None,
    }
}
