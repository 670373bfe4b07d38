use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::layout::{Kept, Layout};
use super::piece::{Facts, Manifest, Memory, Pieces};
use super::plan::{self, Contents, Known};
use super::shape::{Class, Part};
use super::standing::{self, Standing, StandingWork};
use super::{MAX_BYTES, MAX_OBJECTS, Owner, Settings, body};
use crate::model::{ClusterName, ClusterSet, Diagnostic, ObjectKey};
use crate::output::branch::change::FileChange;
use crate::transform::{Content, Fillings, Prepared, Rendered, RenderedObject, Variant};

/// An object in words: its name, how long its text is, what stands in it, and which WECs get it.
type Wanted = (String, usize, u32, Vec<usize>);

const CLUSTERS: usize = 3;

fn clusters(count: usize) -> Arc<[ClusterName]> {
    (0..count)
        .map(|number| format!("c{number}").into())
        .collect()
}

fn config_map(name: &str) -> ObjectKey {
    ObjectKey::new("", "ConfigMap", "shop", name)
}

fn object((name, length, value, positions): &Wanted) -> RenderedObject {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: shop\ndata:\n  value: x{value}\n  long: {}\n",
        "y".repeat(*length)
    );
    shared(config_map(name), &text, positions)
}

fn shared(key: ObjectKey, text: &str, positions: &[usize]) -> RenderedObject {
    let prepared = Prepared {
        text: text.as_bytes().into(),
        holes: [].into(),
    };
    let variant = Variant {
        clusters: Arc::new(positions.iter().copied().collect()),
        content: Content::Shared(Arc::new(prepared)),
    };
    RenderedObject {
        key,
        variants: [variant].into(),
        create_only: Arc::default(),
    }
}

fn rendered(mut objects: Vec<RenderedObject>) -> Rendered {
    objects.sort_by(|left, right| left.key.cmp(&right.key));
    objects.dedup_by(|left, right| left.key == right.key);
    Rendered {
        clusters: clusters(CLUSTERS),
        objects,
        quarantined: Vec::new(),
    }
}

fn pieces(rendered: &Rendered, max_bytes: usize) -> (Pieces, Vec<Diagnostic>) {
    let resource =
        |group: &str, kind: &str, resource: &str| ((group.into(), kind.into()), resource.into());
    let resources = [
        resource("", "ConfigMap", "configmaps"),
        resource("", "Namespace", "namespaces"),
        resource("apps", "Deployment", "deployments"),
    ];
    let implied = [("implied".to_owned(), Arc::new(ClusterSet::all(CLUSTERS)))].into();
    let facts = Facts {
        resources: &resources.into(),
        implied: &implied,
        max_bytes,
    };
    Pieces::new(rendered, &facts, &mut Memory::default())
}

fn layout(rendered: &Rendered, standing: &Standing, max_bytes: usize) -> Layout {
    let settings = Settings {
        max_bytes,
        orphan: false,
    };
    let parts = |name: &ClusterName| -> Vec<Part> {
        standing
            .get(name)
            .into_iter()
            .flatten()
            .map(|(_, work)| work.part)
            .collect()
    };
    let pieces = pieces(rendered, MAX_BYTES).0.pieces;
    Layout::new(&rendered.clusters, pieces, Kept::new(), parts, &settings)
}

/// The works as they stand once a layout is delivered.
fn delivered(layout: &Layout) -> Standing {
    let mut standing = Standing::new();
    for (position, name) in layout.clusters().iter().enumerate() {
        for (part, digest) in layout.works(position) {
            let objects = u32::try_from(layout.manifests(position, part).len()).unwrap();
            let work = StandingWork {
                uid: format!("{name}-{}", part.suffix()),
                version: "1".to_owned(),
                part,
                digest,
                objects,
                generation: 1,
                deleting: false,
            };
            standing
                .entry(name.clone())
                .or_default()
                .insert(part.place(), work);
        }
    }
    standing
}

fn change(
    layout: &Layout,
    standing: &Standing,
    last: &Layout,
) -> crate::output::branch::change::Change {
    let plans = plan::plan(layout, standing);
    let read = Contents::new();
    plan::change(
        layout,
        standing,
        &plans,
        &Known {
            last: Some(last),
            next: Some(layout),
            read: &read,
        },
    )
}

fn some(count: usize) -> Vec<Wanted> {
    (0..count)
        .map(|number| (format!("o{number}"), 100, 0, vec![0, 1]))
        .collect()
}

fn all(objects: &[Wanted]) -> Rendered {
    rendered(objects.iter().map(object).collect())
}

#[test]
fn what_is_delivered_is_not_written_again() {
    let first = layout(&all(&some(20)), &Standing::new(), 1000);
    let standing = delivered(&first);
    assert!(
        standing[&ClusterName::from("c0")].len() > 2,
        "several works: {standing:?}"
    );
    assert!(
        !standing.contains_key("c2"),
        "no work for a WEC that gets nothing"
    );
    assert_eq!(
        plan::plan(&layout(&all(&some(20)), &standing, 1000), &standing),
        []
    );
}

#[test]
fn an_edit_writes_one_work_of_each_wec_that_has_the_object() {
    let first = layout(&all(&some(20)), &Standing::new(), 1000);
    let standing = delivered(&first);
    let mut objects = some(20);
    objects[7].2 = 1;
    let second = layout(&all(&objects), &standing, 1000);
    let plans = plan::plan(&second, &standing);
    assert_eq!(plans.len(), 2);
    assert!(
        plans
            .iter()
            .all(|plan| plan.writes.len() == 1 && plan.deletions.is_empty())
    );
    assert!(
        plans
            .iter()
            .all(|plan| plan.writes[0].over.is_some() && plan.writes[0].after.is_empty())
    );
    let change = change(&second, &standing, &first);
    assert_eq!(change.counts(), (0, 0, 2));
    assert_eq!((change.files_before, change.clusters_before), (40, 2));
    let changes: Vec<_> = change.clusters.values().collect();
    assert!(Arc::ptr_eq(changes[0], changes[1]), "equal changes are one");
    assert!(matches!(
        changes[0]["shop/configmap-o7.yaml"],
        FileChange::Changed(..)
    ));
}

#[test]
fn objects_leave_a_full_work_only_when_their_new_one_is_applied() {
    let mut objects = some(6);
    let first = layout(&all(&objects), &Standing::new(), 2000);
    let standing = delivered(&first);
    assert_eq!(standing[&ClusterName::from("c0")].len(), 1);
    objects.extend((6..14).map(|number| (format!("o{number}"), 100, 0, vec![0, 1])));
    let second = layout(&all(&objects), &standing, 2000);
    let plans = plan::plan(&second, &standing);
    let (new, old): (Vec<_>, Vec<_>) = plans[0]
        .writes
        .iter()
        .partition(|write| write.over.is_none());
    assert!(!new.is_empty());
    assert_eq!(old.len(), 1, "{plans:?}");
    assert_eq!(
        old[0].after,
        new.iter().map(|write| write.part).collect::<Vec<_>>()
    );
    // What only moves is neither removed nor added, now or when the old work is written at last.
    assert_eq!(change(&second, &standing, &first).counts(), (16, 0, 0));
    let mut between = delivered(&second);
    for (name, works) in &mut between {
        works.extend(standing[name].clone());
    }
    let third = layout(&all(&objects), &between, 2000);
    assert_eq!(plan::plan(&third, &between)[0].writes.len(), 1);
    let read = Contents::new();
    let known = Known {
        last: Some(&first),
        next: Some(&third),
        read: &read,
    };
    let change = plan::change(&third, &between, &plan::plan(&third, &between), &known);
    assert_eq!(change.counts().1, 0, "{change:?}");
}

#[test]
fn a_wec_that_is_gone_loses_its_works_and_one_that_gets_nothing_too() {
    let first = layout(&all(&some(3)), &Standing::new(), 1000);
    let mut standing = delivered(&first);
    let works = standing.remove("c1").unwrap();
    standing.insert("elsewhere".into(), works);
    let only_c1: Vec<Wanted> = some(3)
        .into_iter()
        .map(|object| (object.0, object.1, object.2, vec![1]))
        .collect();
    let second = layout(&all(&only_c1), &standing, 1000);
    let plans = plan::plan(&second, &standing);
    let kinds: Vec<(&str, usize, usize)> = plans
        .iter()
        .map(|plan| {
            (
                plan.cluster.as_str(),
                plan.writes.len(),
                plan.deletions.len(),
            )
        })
        .collect();
    assert_eq!(kinds, [("c0", 0, 1), ("c1", 1, 0), ("elsewhere", 0, 1)]);
    let change = change(&second, &standing, &first);
    assert_eq!(
        change.emptied,
        [ClusterName::from("c0"), ClusterName::from("elsewhere")]
    );
    assert_eq!(change.fresh, [(ClusterName::from("c1"), 3)].into());
}

#[test]
fn an_object_that_no_work_can_hold_is_refused_and_keeps_its_last_state() {
    let objects = vec![
        ("small".to_owned(), 10, 0, vec![0]),
        ("large".to_owned(), 2000, 0, vec![0, 1]),
    ];
    let (pieces, found) = pieces(&all(&objects), 1000);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].reason, &found[0].object),
        ("ObjectTooLarge", &Some(config_map("large")))
    );
    assert_eq!(
        pieces.refused,
        [(config_map("large"), Arc::new(ClusterSet::all(2)))]
    );
    assert!(pieces.gives(0, &config_map("small")) && !pieces.gives(0, &config_map("large")));
}

#[test]
fn a_changed_property_touches_its_wec_alone() {
    let filled = |values: [&str; CLUSTERS]| {
        let text = "apiVersion: v1\ndata:\n  colour: \nkind: ConfigMap\nmetadata:\n  name: paint\n  namespace: shop\n";
        let mut fillings = Fillings::new(1);
        for value in values {
            fillings.push(|out| out.extend_from_slice(value.as_bytes()));
        }
        let variant = Variant {
            clusters: Arc::new(ClusterSet::all(CLUSTERS)),
            content: Content::Filled {
                prepared: Arc::new(Prepared {
                    text: text.as_bytes().into(),
                    holes: [u32::try_from(text.find("\nkind").unwrap()).unwrap()].into(),
                }),
                choice: (0..3).collect(),
                fillings: Arc::new(fillings),
            },
        };
        let key = config_map("paint");
        rendered(vec![RenderedObject {
            key,
            variants: [variant].into(),
            create_only: Arc::default(),
        }])
    };
    let first = layout(&filled(["red", "green", "blue"]), &Standing::new(), 1000);
    let standing = delivered(&first);
    let second = layout(&filled(["red", "yellow", "blue"]), &standing, 1000);
    let plans = plan::plan(&second, &standing);
    assert_eq!(
        plans
            .iter()
            .map(|plan| plan.cluster.as_str())
            .collect::<Vec<_>>(),
        ["c1"]
    );
    let manifests = second.manifests(1, Part::whole(Class::Rest));
    let manifest: Value = serde_json::from_slice(&manifests[0].json).unwrap();
    assert_eq!(manifest["data"]["colour"], "yellow");
}

#[test]
fn what_is_kept_goes_before_what_is_rendered() {
    let first = layout(&all(&some(3)), &Standing::new(), 1000);
    let standing = delivered(&first);
    let mut objects = some(3);
    objects[1].2 = 9;
    let kept: Kept = [(
        0,
        [(
            config_map("o1"),
            first.manifest(0, &config_map("o1")).unwrap(),
        )]
        .into(),
    )]
    .into();
    let rendered = all(&objects);
    let pieces = pieces(&rendered, 1000).0.pieces;
    let second = Layout::new(
        &rendered.clusters,
        pieces,
        kept,
        |_| Vec::new(),
        &Settings::default(),
    );
    let plans = plan::plan(&second, &standing);
    assert_eq!(
        plans
            .iter()
            .map(|plan| plan.cluster.as_str())
            .collect::<Vec<_>>(),
        ["c1"]
    );
}

#[test]
fn a_work_says_how_its_objects_are_treated_and_reads_back() {
    let namespace = |name: &str| {
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n");
        shared(ObjectKey::new("", "Namespace", "", name), &text, &[0])
    };
    let mut once = object(&("once".to_owned(), 1, 0, vec![0]));
    once.create_only = Arc::new(ClusterSet::all(1));
    let web = shared(
        ObjectKey::new("apps", "Deployment", "shop", "web"),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  replicas: 2\n",
        &[0],
    );
    let rendered = rendered(vec![once, web, namespace("shop"), namespace("implied")]);
    let layout = layout(&rendered, &Standing::new(), 100_000);
    let owner = Owner::new("shop");
    let works: Vec<(Part, Value, Vec<Manifest>)> = layout
        .works(0)
        .map(|(part, digest)| {
            let manifests = layout.manifests(0, part);
            let bytes = body(&owner, part, &digest, false, &manifests);
            (part, serde_json::from_slice(&bytes).unwrap(), manifests)
        })
        .collect();
    let names: Vec<&Value> = works
        .iter()
        .map(|(_, work, _)| &work["metadata"]["name"])
        .collect();
    assert_eq!(
        names,
        ["shop.first", "shop.rest"],
        "what others need comes first"
    );
    let (first, rest) = (&works[0].1["spec"], &works[1].1["spec"]);
    assert_eq!(
        first["deleteOption"],
        json!({"propagationPolicy": "SelectivelyOrphan", "selectivelyOrphans": {"orphaningRules": [
            {"group": "", "resource": "namespaces", "namespace": "", "name": "implied"}]}}),
        "a Namespace that nobody asked for is never deleted"
    );
    assert_eq!(rest["deleteOption"], Value::Null);
    let strategies: Vec<&Value> = rest["manifestConfigs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|config| &config["updateStrategy"]["type"])
        .collect();
    assert_eq!(strategies, ["CreateOnly", "ServerSideApply"]);
    assert_eq!(rest["manifestConfigs"][0]["feedbackRules"], Value::Null);
    assert_eq!(
        rest["manifestConfigs"][1]["feedbackRules"][0]["type"],
        "JSONPaths"
    );
    for (_, work, manifests) in &works {
        let read: Vec<Manifest> = standing::manifests(work).into_values().collect();
        assert_eq!(&read, manifests);
    }
}

fn objects() -> impl Strategy<Value = Vec<Wanted>> {
    let positions = prop::collection::btree_set(0..CLUSTERS, 1..=CLUSTERS);
    let one = ("[a-z][a-z0-9]{0,5}", 0..400_usize, 0..3_u32, positions);
    let one = one.prop_map(|(name, length, value, positions)| {
        (name, length, value, positions.into_iter().collect())
    });
    prop::collection::vec(one, 1..60)
}

/// Where each object of a WEC is.
fn places(layout: &Layout, position: usize) -> BTreeMap<ObjectKey, Part> {
    let works = layout.works(position).flat_map(|(part, _)| {
        layout
            .manifests(position, part)
            .into_iter()
            .map(move |manifest| (manifest.key, part))
    });
    works.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn works_hold_each_object_once_and_only_a_large_object_alone_has_a_large_work(objects in objects(), max in 300..3000_usize) {
        let rendered = all(&objects);
        let layout = layout(&rendered, &Standing::new(), max);
        for position in 0..CLUSTERS {
            let mut seen = BTreeSet::new();
            for (part, _) in layout.works(position) {
                let manifests = layout.manifests(position, part);
                prop_assert!(!manifests.is_empty() && manifests.len() <= MAX_OBJECTS);
                let bytes: usize = manifests.iter().map(|manifest| manifest.json.len() + 10).sum();
                prop_assert!(bytes <= max || manifests.len() == 1, "{bytes} of {max}");
                for manifest in manifests {
                    prop_assert!(seen.insert(manifest.key));
                }
            }
            let wanted: BTreeSet<ObjectKey> = rendered
                .objects
                .iter()
                .filter(|object| object.variants[0].clusters.contains(position))
                .map(|object| object.key.clone())
                .collect();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn one_object_more_less_or_other_touches_one_work_and_moves_none(
        objects in objects(),
        other in objects(),
        at in any::<prop::sample::Index>(),
        act in 0..3,
    ) {
        let first = layout(&all(&objects), &Standing::new(), 1500);
        let standing = delivered(&first);
        let mut after = objects.clone();
        let at = at.index(after.len());
        match act {
            0 => drop(after.remove(at)),
            1 => after.push(other[0].clone()),
            _ => after[at].2 += 7,
        }
        let second = layout(&all(&after), &standing, 1500);
        for plan in plan::plan(&second, &standing) {
            let position = plan.position.unwrap();
            let afters = plan.writes.iter().map(|write| &write.after);
            let afters = afters.chain(plan.deletions.iter().map(|deletion| &deletion.after));
            let split = afters.into_iter().any(|after| !after.is_empty());
            if split {
                continue;
            }
            prop_assert!(plan.writes.len() + plan.deletions.len() <= 1, "{plan:?}");
            let (before, now) = (places(&first, position), places(&second, position));
            for (key, part) in before {
                prop_assert!(now.get(&key).is_none_or(|now| now.place() == part.place()));
            }
        }
    }

    #[test]
    fn equal_objects_make_equal_works_whatever_else_there_was(objects in objects()) {
        let layout = layout(&all(&objects), &Standing::new(), 100_000);
        let reversed: Vec<Wanted> = objects.iter().rev().cloned().collect();
        let same_keys = objects.iter().map(|object| &object.0).collect::<BTreeSet<_>>().len() == objects.len();
        if same_keys {
            let other = super::tests::layout(&all(&reversed), &Standing::new(), 100_000);
            for position in 0..CLUSTERS {
                prop_assert_eq!(layout.works(position).collect::<Vec<_>>(), other.works(position).collect::<Vec<_>>());
            }
        }
    }
}
