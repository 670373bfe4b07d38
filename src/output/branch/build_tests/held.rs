//! WECs that keep their folders: the tree is that of the others' new files and their old ones, and the pack holds nothing else.

use proptest::prelude::*;

use super::properties::{Edit, any_edit, any_wish};
use super::*;

/// What stood before a step: the state, the files, and the tree.
type Before = (BranchState, Files, ObjectId);

/// Builds a wish for all WECs but some, and checks what came out.
fn step(store: &Store, wish: &Wish, held: &BTreeSet<u8>, before: &Before) -> Before {
    let (last, old, standing) = before;
    let (mut files, mut kept) = wish.files(old);
    let mut folders = Vec::new();
    for (position, number) in wish.positions().into_iter().enumerate() {
        if !held.contains(&number) {
            continue;
        }
        let name = mk_cluster(number);
        let below = format!("{name}/");
        kept.retain(|file| file.cluster != position);
        files.retain(|path, _| !path.starts_with(&below));
        let stays = old.iter().filter(|(path, _)| path.starts_with(&below));
        files.extend(stays.map(|(path, bytes)| (path.clone(), bytes.clone())));
        folders.push(HeldFolder {
            cluster: position,
            root: last.root(&name),
            files: last.files_on(&name) as u64,
        });
    }
    let rendered = wish.rendered();
    let part = rendered.without(&folders.iter().map(|folder| folder.cluster).collect());
    let built = build_beside(&part, &kept, &folders, Some(last), &HashSet::new()).unwrap();
    assert_eq!(built.tree, naive_tree(&files), "of {files:?}");

    let (head, records) = written(last);
    let read = read_back(&head, &records).expect("what was written");
    let again = build_beside(&part, &kept, &folders, Some(&read), &HashSet::new()).unwrap();
    assert_eq!(
        (again.tree, again.statistics),
        (built.tree, built.statistics)
    );

    let mut read = |id| store.branch().tree(id);
    let mut tree = StandingTree::new(Some(*standing), &mut read);
    let found = change(&mut tree, &built.state).unwrap();
    for folder in &folders {
        let name = rendered.clusters[folder.cluster].clone();
        assert!(
            !found.clusters.contains_key(&name) && !found.emptied.contains(&name),
            "{found:?}"
        );
        assert_eq!(built.state.root(name.as_str()), folder.root);
    }
    let new = store.take(built.segments);
    assert_eq!(store.files(built.tree), files);
    let reachable = store.branch().reachable(built.tree).unwrap();
    // What is kept in the place of something rendered leaves that unused: a rendering has none of the two for one WEC.
    let unused = new.iter().filter(|id| !reachable.contains(id));
    assert!(
        !kept.is_empty() || unused.count() == 0,
        "nothing is written that nobody gets"
    );
    (built.state, files, built.tree)
}

fn any_steps() -> impl Strategy<Value = Vec<(Vec<Edit>, BTreeSet<u8>)>> {
    let step = (
        prop::collection::vec(any_edit(), 0..4),
        prop::collection::btree_set(0_u8..8, 0..6),
    );
    prop::collection::vec(step, 1..5)
}

proptest! {
    #[test]
    fn who_is_held_keeps_its_folder_and_once_nobody_is_all_is_as_if_nobody_had_been(wish in any_wish(), steps in any_steps()) {
        let store = Store::new();
        let mut wish = wish;
        let (state, files) = check(&store, &wish, None);
        let tree = state.tree().unwrap();
        let mut before = (state, files, tree);
        for (edits, held) in &steps {
            for edit in edits {
                wish.edit(edit);
            }
            before = step(&store, &wish, held, &before);
        }
        // What is kept because of an error depends on what stood.
        wish.kept.clear();
        let (_, _, tree) = step(&store, &wish, &BTreeSet::new(), &before);
        let undisturbed = build(&wish.rendered(), &[], None, &HashSet::new()).unwrap();
        prop_assert_eq!(tree, undisturbed.tree);
    }
}
