//! Whatever is wished for, and whatever stood before: the files are those, and each object is written once.

use proptest::prelude::*;

use super::*;

fn any_text() -> impl Strategy<Value = Text> {
    prop_oneof![
        (0_u8..3).prop_map(Text::Shared),
        (0_u8..2, 0_u8..6).prop_map(|(number, value)| Text::Filled(number, value)),
    ]
}

fn any_name() -> impl Strategy<Value = Name> {
    (0_u8..4, 0_u8..4)
}

pub(super) fn any_wish() -> impl Strategy<Value = Wish> {
    let texts = prop::collection::btree_map(0_u8..8, any_text(), 0..8);
    let shared = (0_u8..3).prop_map(|number| {
        (0..8)
            .map(|cluster| (cluster, Text::Shared(number)))
            .collect()
    });
    (
        prop::collection::btree_set(0_u8..8, 0..8),
        prop::collection::btree_map(any_name(), prop_oneof![texts, shared], 0..10),
    )
        .prop_map(|(clusters, objects)| Wish {
            clusters,
            objects,
            kept: BTreeSet::new(),
        })
}

/// What a person or an inventory changes.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Cluster(u8),
    Object(Name),
    Everywhere(Name, Text),
    Text(Name, u8, Option<Text>),
    Keep(u8, Name),
    Swap(u8, u8),
}

pub(super) fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0_u8..8).prop_map(Edit::Cluster),
        any_name().prop_map(Edit::Object),
        (any_name(), any_text()).prop_map(|(name, text)| Edit::Everywhere(name, text)),
        (any_name(), 0_u8..8, prop::option::of(any_text()))
            .prop_map(|(name, cluster, text)| Edit::Text(name, cluster, text)),
        (0_u8..8, any_name()).prop_map(|(cluster, name)| Edit::Keep(cluster, name)),
        (0_u8..8, 0_u8..8).prop_map(|(left, right)| Edit::Swap(left, right)),
    ]
}

impl Wish {
    pub(super) fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Cluster(cluster) => {
                if !self.clusters.remove(&cluster) {
                    self.clusters.insert(cluster);
                }
            }
            Edit::Object(name) => {
                self.objects.remove(&name);
            }
            Edit::Everywhere(name, text) => {
                let texts = (0..8).map(|cluster| match text {
                    Text::Filled(number, value) => {
                        (cluster, Text::Filled(number, (value + cluster) % 6))
                    }
                    shared @ Text::Shared(_) => (cluster, shared),
                });
                self.objects.insert(name, texts.collect());
            }
            Edit::Text(name, cluster, text) => {
                let texts = self.objects.entry(name).or_default();
                match text {
                    Some(text) => texts.insert(cluster, text),
                    None => texts.remove(&cluster),
                };
            }
            Edit::Keep(cluster, name) => {
                if !self.kept.remove(&(cluster, name)) {
                    self.kept.insert((cluster, name));
                }
            }
            // Two WECs change places: each class is there still, on another WEC.
            Edit::Swap(left, right) => {
                for texts in self.objects.values_mut() {
                    let (one, other) = (texts.remove(&left), texts.remove(&right));
                    texts.extend(other.map(|text| (left, text)));
                    texts.extend(one.map(|text| (right, text)));
                }
            }
        }
    }
}

/// All changes between two sets of files, by WEC.
fn naive_change(before: &Files, after: &Files) -> BTreeMap<String, BTreeMap<String, FileChange>> {
    let id = |bytes: &Vec<u8>| object_id(ObjectKind::Blob, &[bytes]);
    let mut changes: BTreeMap<String, BTreeMap<String, FileChange>> = BTreeMap::new();
    for path in before.keys().chain(after.keys()) {
        let (cluster, below) = path.split_once('/').unwrap();
        let change = match (before.get(path), after.get(path)) {
            (Some(old), Some(new)) if old != new => FileChange::Changed(id(old), id(new)),
            (Some(old), None) => FileChange::Removed(id(old)),
            (None, Some(new)) => FileChange::Added(id(new)),
            _ => continue,
        };
        if below != path::KEEP {
            changes
                .entry(cluster.to_owned())
                .or_default()
                .insert(below.to_owned(), change);
        }
    }
    changes
}

fn objects_on(files: &Files, cluster: &str) -> usize {
    let folder = format!("{cluster}/");
    files
        .keys()
        .filter(|path| path.starts_with(&folder) && !path.ends_with(path::KEEP))
        .count()
}

/// Checks that `change` says what a comparison of all files says.
fn check_change(
    store: &Store,
    before: Option<&(BranchState, Files)>,
    after: &(BranchState, Files),
) {
    let branch = store.branch();
    let mut read = |id| -> Result<Tree, RepositoryError> { branch.tree(id) };
    let nothing = Files::new();
    let files = before.map_or(&nothing, |before| &before.1);
    let mut standing = StandingTree::new(before.and_then(|before| before.0.tree()), &mut read);
    let found = change(&mut standing, &after.0).unwrap();
    let state = before.map(|before| before.0.clone()).unwrap_or_default();
    assert_eq!(change_between(&state, &after.0), found);
    let wanted = naive_change(files, &after.1);
    let listed: BTreeMap<String, BTreeMap<String, FileChange>> = found
        .clusters
        .iter()
        .map(|(cluster, files)| (cluster.to_string(), (**files).clone()))
        .collect();
    let stood = |cluster: &str| {
        files
            .keys()
            .any(|path| path.split_once('/').unwrap().0 == cluster)
    };
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = wanted
        .clone()
        .into_iter()
        .partition(|(cluster, _)| stood(cluster));
    assert_eq!(listed, old);
    let fresh: BTreeMap<String, u64> = found
        .fresh
        .iter()
        .map(|(cluster, files)| (cluster.to_string(), *files))
        .collect();
    let counted = new
        .into_iter()
        .map(|(cluster, files)| (cluster, files.len() as u64));
    assert_eq!(fresh, counted.collect());
    let count = |wanted_change: fn(&FileChange) -> bool| {
        wanted
            .values()
            .flat_map(BTreeMap::values)
            .filter(|change| wanted_change(change))
            .count() as u64
    };
    assert_eq!(
        found.counts(),
        (
            count(|change| matches!(change, FileChange::Added(_))),
            count(|change| matches!(change, FileChange::Removed(_))),
            count(|change| matches!(change, FileChange::Changed(..))),
        )
    );
    let clusters: BTreeSet<&str> = files
        .keys()
        .map(|path| path.split_once('/').unwrap().0)
        .collect();
    let with_objects: Vec<&str> = clusters
        .into_iter()
        .filter(|cluster| objects_on(files, cluster) > 0)
        .collect();
    let emptied: Vec<&str> = with_objects
        .iter()
        .copied()
        .filter(|cluster| objects_on(&after.1, cluster) == 0)
        .collect();
    assert_eq!(
        found
            .emptied
            .iter()
            .map(ClusterName::as_str)
            .collect::<Vec<_>>(),
        emptied
    );
    assert_eq!(found.clusters_before, with_objects.len());
    assert_eq!(
        found.files_before,
        with_objects
            .iter()
            .map(|cluster| objects_on(files, cluster) as u64)
            .sum::<u64>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_stood_before_the_same_wish_gives_the_same_tree(
        first in any_wish(),
        edits in prop::collection::vec(prop::collection::vec(any_edit(), 1..4), 1..6),
    ) {
        let store = Store::new();
        let mut wish = first;
        let mut last = check(&store, &wish, None);
        check_change(&store, None, &last);
        for edits in &edits {
            for edit in edits {
                wish.edit(edit);
            }
            let next = check(&store, &wish, Some(&last));
            check_change(&store, Some(&last), &next);
            last = next;
        }
    }

    #[test]
    fn what_is_known_is_left_out_and_nothing_else(first in any_wish(), edits in prop::collection::vec(any_edit(), 1..5)) {
        let store = Store::new();
        let (state, files) = check(&store, &first, None);
        let known = store.branch().reachable(state.tree().unwrap()).unwrap();
        let mut wish = first;
        for edit in &edits {
            wish.edit(edit);
        }
        let (wanted, kept) = wish.files(&files);
        let built = build(&wish.rendered(), &kept, None, &known).unwrap();
        prop_assert_eq!(built.tree, naive_tree(&wanted));
        let new = store.take(built.segments);
        prop_assert!(new.iter().all(|id| !known.contains(id)));
        prop_assert_eq!(store.files(built.tree), wanted);
    }

    #[test]
    fn a_build_on_itself_writes_nothing(wish in any_wish()) {
        let built = build(&wish.rendered(), &[], None, &HashSet::new()).unwrap();
        let again = build(&wish.rendered(), &[], Some(&built.state), &HashSet::new()).unwrap();
        prop_assert_eq!(again.tree, built.tree);
        prop_assert_eq!(again.segments.iter().map(PackSegment::objects).sum::<usize>(), 0);
    }
}

#[test]
fn a_state_whose_records_are_damaged_is_none_and_no_panic() {
    let mut wish = Wish {
        clusters: (0..3).collect(),
        ..Wish::default()
    };
    wish.edit(&Edit::Everywhere((1, 0), Text::Filled(0, 0)));
    wish.edit(&Edit::Everywhere((1, 1), Text::Shared(0)));
    let built = build(&wish.rendered(), &[], None, &HashSet::new()).unwrap();
    let (head, records) = written(&built.state);
    assert!(read_back(&head, &records).is_some());
    assert!(read_back(&head, &BTreeMap::new()).is_none());
    for end in 0..head.len() {
        assert!(read_back(&head[..end], &records).is_none(), "cut at {end}");
    }
    for (record, bytes) in &records {
        for end in 0..bytes.len() {
            let cut = BTreeMap::from([(*record, bytes[..end].to_vec())]);
            assert!(read_back(&head, &cut).is_none(), "cut at {end}");
        }
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0xff;
            let Some(read) = read_back(&head, &BTreeMap::from([(*record, damaged)])) else {
                continue;
            };
            drop(build(&wish.rendered(), &[], Some(&read), &HashSet::new()));
        }
    }
}
