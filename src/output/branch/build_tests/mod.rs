//! What a build leaves in a repository, seen with git: every file with its bytes, nothing twice, and the same tree
//! whether it was built from nothing or from what stood before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository};

use super::build::{BranchState, Built, HeldFolder, KeptFile, build, build_beside};
use super::change::{FileChange, change, change_between};
use super::hash::{ObjectId, ObjectKind, object_id};
use super::object::{EntryMode, Tree, TreeEntry};
use super::pack::{PackSegment, assemble};
use super::repository::{BranchRepository, RepositoryError};
use super::standing::StandingTree;
use super::state::StateHead;
use crate::model::{ClusterName, ClusterSet, ObjectKey};
use crate::output::path;
use crate::transform::{Content, Fillings, Prepared, Rendered, RenderedObject, Variant};

mod held;
mod properties;

/// What an object says on one WEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Text {
    /// The same for all who have this number.
    Shared(u8),
    /// A template of this number; two neighbouring values give the same text.
    Filled(u8, u8),
}

/// Namespace and name, by number.
type Name = (u8, u8);

/// What should lie on the branch.
#[derive(Clone, Debug, Default)]
struct Wish {
    clusters: BTreeSet<u8>,
    objects: BTreeMap<Name, BTreeMap<u8, Text>>,
    kept: BTreeSet<(u8, Name)>,
}

/// Files with their bytes, by path below `clusters/`.
type Files = BTreeMap<String, Vec<u8>>;

fn mk_cluster(number: u8) -> String {
    format!("wec-{number}")
}

fn mk_key((space, name): Name) -> ObjectKey {
    let space = ["", "shop", "shop-a", "till"][usize::from(space) % 4];
    ObjectKey::new("", "ConfigMap", space, &format!("cm-{name}"))
}

fn mk_path(cluster: u8, name: Name) -> String {
    let key = mk_key(name);
    let (folder, file) = (path::folder(&key), path::file_name(&key));
    format!("{}/{folder}/{file}", mk_cluster(cluster))
}

fn mk_scalar(value: u8) -> String {
    "v".repeat(usize::from(value) / 2 + 1)
}

fn mk_text(text: Text) -> Vec<u8> {
    match text {
        Text::Shared(number) => format!("shared: {number}\n").into_bytes(),
        Text::Filled(number, value) => {
            let scalar = mk_scalar(value);
            let long = "long text that siblings share\n".repeat(4);
            format!("a: {scalar}\ntemplate: {number}\n{long}b: {scalar}\n").into_bytes()
        }
    }
}

fn mk_shared(number: u8) -> Content {
    Content::Shared(Arc::new(Prepared {
        text: mk_text(Text::Shared(number)).into(),
        holes: Box::default(),
    }))
}

/// A template with two holes, and the value of each WEC of the set.
fn mk_filled(number: u8, values: &[u8]) -> Content {
    let head = "a: ";
    let middle = format!(
        "\ntemplate: {number}\n{}b: ",
        "long text that siblings share\n".repeat(4)
    );
    let offset = |length: usize| u32::try_from(length).unwrap();
    let prepared = Prepared {
        text: format!("{head}{middle}\n").into_bytes().into(),
        holes: [offset(head.len()), offset(head.len() + middle.len())].into(),
    };
    let distinct: BTreeSet<u8> = values.iter().copied().collect();
    let distinct: Vec<u8> = distinct.into_iter().collect();
    let mut fillings = Fillings::new(2);
    for value in &distinct {
        let scalar = mk_scalar(*value);
        fillings.push(|out| out.extend_from_slice(scalar.as_bytes()));
        fillings.push(|out| out.extend_from_slice(scalar.as_bytes()));
    }
    let choice = values
        .iter()
        .map(|value| offset(distinct.binary_search(value).unwrap()));
    Content::Filled {
        prepared: Arc::new(prepared),
        choice: choice.collect(),
        fillings: Arc::new(fillings),
    }
}

impl Wish {
    fn positions(&self) -> Vec<u8> {
        self.clusters.iter().copied().collect()
    }

    fn rendered(&self) -> Rendered {
        let positions = self.positions();
        let mut rendered = Rendered {
            clusters: positions
                .iter()
                .map(|&number| ClusterName::new(mk_cluster(number)))
                .collect(),
            ..Rendered::default()
        };
        for (&name, texts) in &self.objects {
            // WECs with the same text, or the same template, are one variant.
            let mut groups: BTreeMap<(bool, u8), (ClusterSet, Vec<u8>)> = BTreeMap::new();
            for (position, number) in positions.iter().enumerate() {
                let (group, value) = match texts.get(number) {
                    None => continue,
                    Some(&Text::Shared(number)) => ((false, number), 0),
                    Some(&Text::Filled(number, value)) => ((true, number), value),
                };
                let (set, values) = groups.entry(group).or_default();
                set.insert(position);
                values.push(value);
            }
            let variants = groups
                .into_iter()
                .map(|((filled, number), (set, values))| Variant {
                    clusters: Arc::new(set),
                    content: if filled {
                        mk_filled(number, &values)
                    } else {
                        mk_shared(number)
                    },
                });
            rendered.objects.push(RenderedObject {
                key: mk_key(name),
                variants: variants.collect(),
                create_only: Arc::default(),
            });
        }
        rendered
            .objects
            .sort_by(|left, right| left.key.cmp(&right.key));
        rendered
    }

    /// What is to be on the branch, and what stays as `before` has it.
    fn files(&self, before: &Files) -> (Files, Vec<KeptFile>) {
        let (mut files, mut kept) = (Files::new(), Vec::new());
        for (position, &cluster) in self.positions().iter().enumerate() {
            for (&name, texts) in &self.objects {
                if let Some(&text) = texts.get(&cluster) {
                    files.insert(mk_path(cluster, name), mk_text(text));
                }
            }
            for &(_, name) in self.kept.iter().filter(|kept| kept.0 == cluster) {
                let path = mk_path(cluster, name);
                if let Some(bytes) = before.get(&path) {
                    let key = mk_key(name);
                    kept.push(KeptFile {
                        cluster: position,
                        folder: path::folder(&key).to_owned(),
                        file: path::file_name(&key),
                        id: object_id(ObjectKind::Blob, &[bytes]),
                    });
                    files.insert(path, bytes.clone());
                }
            }
            let folder = format!("{}/", mk_cluster(cluster));
            if !files.keys().any(|path| path.starts_with(&folder)) {
                files.insert(folder + path::KEEP, Vec::new());
            }
        }
        (files, kept)
    }
}

/// The id of the tree that holds these files, made one file at a time.
fn naive_tree(files: &Files) -> ObjectId {
    let mut below: BTreeMap<&str, Files> = BTreeMap::new();
    let mut entries = Vec::new();
    for (path, bytes) in files {
        match path.split_once('/') {
            Some((folder, rest)) => {
                below
                    .entry(folder)
                    .or_default()
                    .insert(rest.to_owned(), bytes.clone());
            }
            None => entries.push(TreeEntry {
                mode: EntryMode::FILE,
                name: path.as_bytes(),
                id: object_id(ObjectKind::Blob, &[bytes]),
            }),
        }
    }
    entries.extend(below.iter().map(|(folder, files)| TreeEntry {
        mode: EntryMode::FOLDER,
        name: folder.as_bytes(),
        id: naive_tree(files),
    }));
    object_id(
        ObjectKind::Tree,
        &[Tree::new(&mut entries).unwrap().as_bytes()],
    )
}

/// A bare repository that takes what is built.
struct Store {
    _folder: tempfile::TempDir,
    repository: Repository,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        Self {
            _folder: folder,
            repository,
        }
    }

    /// Stores segments and gives the ids in them.
    fn take(&self, segments: Vec<PackSegment>) -> Vec<ObjectId> {
        let mut pack = Vec::new();
        let finished = assemble(segments, &mut pack).expect("no object twice");
        let database = self.repository.odb().unwrap();
        let mut writer = database.packwriter().unwrap();
        std::io::Write::write_all(&mut writer, &pack).unwrap();
        writer.commit().unwrap();
        let count = finished.objects as usize;
        finished.index[8 + 1024..][..20 * count]
            .as_chunks()
            .0
            .iter()
            .map(|id| ObjectId(*id))
            .collect()
    }

    /// Reads all files below a tree; fails when anything is missing.
    fn files(&self, tree: ObjectId) -> Files {
        let mut files = Files::new();
        let tree = self
            .repository
            .find_tree(Oid::from_bytes(&tree.0).unwrap())
            .unwrap();
        tree.walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() == Some(ObjectType::Blob) {
                let blob = self.repository.find_blob(entry.id()).unwrap();
                files.insert(
                    format!("{folder}{}", entry.name().unwrap()),
                    blob.content().to_vec(),
                );
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
        files
    }

    fn branch(&self) -> BranchRepository<'_> {
        BranchRepository::new(&self.repository)
    }
}

/// Writes a state down: its head, and its folders' records.
fn written(state: &BranchState) -> (Vec<u8>, BTreeMap<ObjectId, Vec<u8>>) {
    let mut records = BTreeMap::new();
    let mut keep = |record, bytes| {
        records.insert(record, bytes);
        Ok::<(), ()>(())
    };
    let head = state.write(&mut |_| false, &mut keep).unwrap();
    (head, records)
}

fn read_back(head: &[u8], records: &BTreeMap<ObjectId, Vec<u8>>) -> Option<BranchState> {
    let head = StateHead::read(head)?;
    let folders = records.iter();
    let folders = folders.map(|(record, bytes)| Some((*record, head.folder(*record, bytes)?)));
    let folders = folders.collect::<Option<HashMap<_, _>>>()?;
    head.with(&folders)
}

/// Checks that the next process builds what this one does.
fn check_stored(rendered: &Rendered, kept: &[KeptFile], last: &BranchState, here: &Built) {
    let (head, records) = written(last);
    let read = read_back(&head, &records).expect("what was written");
    let there = build(rendered, kept, Some(&read), &HashSet::new()).unwrap();
    assert_eq!(there.tree, here.tree);
    assert_eq!(there.statistics, here.statistics);
    assert_eq!(
        change_between(&read, &there.state),
        change_between(last, &here.state)
    );
}

/// Builds on `last` and checks what came out against the files that were wished for.
fn check(store: &Store, wish: &Wish, last: Option<&(BranchState, Files)>) -> (BranchState, Files) {
    let nothing = Files::new();
    let (files, kept) = wish.files(last.map_or(&nothing, |last| &last.1));
    let (rendered, last) = (wish.rendered(), last.map(|last| &last.0));
    let built = build(&rendered, &kept, last, &HashSet::new()).unwrap();
    if let Some(last) = last {
        check_stored(&rendered, &kept, last, &built);
    }
    let Built {
        tree,
        segments,
        state,
        statistics,
    } = built;
    assert_eq!(tree, naive_tree(&files), "of {files:?}");
    let new = store.take(segments);
    assert_eq!(new.len() as u64, statistics.blobs + statistics.trees);
    assert_eq!(statistics.files, files.len() as u64);
    assert_eq!(store.files(tree), files);
    for &number in &wish.clusters {
        let name = mk_cluster(number);
        let folder = format!("{name}/");
        let wanted = files
            .keys()
            .filter(|path| path.starts_with(&folder) && !path.ends_with(path::KEEP));
        assert_eq!(state.files_on(&name), wanted.count());
    }
    (state, files)
}
#[test]
fn equal_texts_of_different_objects_are_written_once() {
    let store = Store::new();
    let everywhere = |text| {
        (0..4)
            .map(|cluster| (cluster, text))
            .collect::<BTreeMap<_, _>>()
    };
    let wish = Wish {
        clusters: (0..4).collect(),
        // Two folders with equal contents: the same blobs, and the same tree.
        objects: [
            ((1, 0), everywhere(Text::Shared(1))),
            ((2, 0), everywhere(Text::Shared(1))),
        ]
        .into(),
        kept: BTreeSet::new(),
    };
    let built = build(&wish.rendered(), &[], None, &HashSet::new()).unwrap();
    // One blob, one folder, one WEC's folder, and the one above.
    assert_eq!(store.take(built.segments).len(), 4);
}

#[test]
fn variants_that_turn_out_equal_are_one_blob() {
    let store = Store::new();
    let mut wish = Wish {
        clusters: (0..4).collect(),
        ..Wish::default()
    };
    wish.objects.insert(
        (1, 0),
        (0..4).map(|cluster| (cluster, Text::Shared(1))).collect(),
    );
    let mut rendered = wish.rendered();
    // A Transform for some WECs that changes nothing splits the variant all the same.
    let part = |positions: [usize; 2]| Variant {
        clusters: Arc::new(positions.into_iter().collect()),
        content: mk_shared(1),
    };
    rendered.objects[0].variants = [part([0, 1]), part([2, 3])].into();
    let built = build(&rendered, &[], None, &HashSet::new()).unwrap();
    assert_eq!(built.tree, naive_tree(&wish.files(&Files::new()).0));
    assert_eq!(store.take(built.segments).len(), 4);
}

#[test]
fn a_wec_without_objects_keeps_its_folder() {
    let store = Store::new();
    let wish = Wish {
        clusters: [3].into(),
        ..Wish::default()
    };
    let (state, files) = check(&store, &wish, None);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["wec-3/.keep"]);
    assert_eq!(state.files_on("wec-3"), 0);
}

#[test]
fn ten_times_the_wecs_need_no_more_objects_when_nothing_is_customised() {
    let objects = |count: u16| {
        let clusters: Arc<[ClusterName]> = (0..count)
            .map(|number| ClusterName::new(format!("wec-{number:04}")))
            .collect();
        let rendered = Rendered {
            objects: (0..4)
                .map(|name| RenderedObject {
                    key: mk_key((name, name)),
                    variants: [Variant {
                        clusters: Arc::new(ClusterSet::all(clusters.len())),
                        content: mk_shared(name),
                    }]
                    .into(),
                    create_only: Arc::default(),
                })
                .collect(),
            clusters,
            quarantined: Vec::new(),
        };
        let statistics = build(&rendered, &[], None, &HashSet::new())
            .unwrap()
            .statistics;
        (statistics.blobs, statistics.trees)
    };
    assert_eq!(objects(10), objects(100));
}

#[test]
fn a_name_that_git_refuses_is_an_error_and_no_broken_tree() {
    let rendered = Rendered {
        clusters: [ClusterName::from("a/b")].into(),
        ..Rendered::default()
    };
    let error = build(&rendered, &[], None, &HashSet::new()).err().unwrap();
    assert!(error.to_string().contains("a/b"), "{error}");
}

#[test]
fn a_listing_gives_each_file_with_its_blob() {
    let wish = Wish {
        clusters: (0..3).collect(),
        objects: [
            ((0, 1), [(1, Text::Filled(0, 3))].into()),
            ((1, 2), [(0, Text::Shared(2)), (1, Text::Shared(2))].into()),
        ]
        .into(),
        kept: BTreeSet::new(),
    };
    let state = build(&wish.rendered(), &[], None, &HashSet::new())
        .unwrap()
        .state;
    let listing = state.listing("wec-1");
    let files: HashMap<String, ObjectId> = listing
        .iter()
        .flat_map(|(folder, (_, files))| {
            files
                .iter()
                .map(move |(file, id)| (format!("{folder}/{file}"), *id))
        })
        .collect();
    let blob = |text| object_id(ObjectKind::Blob, &[&mk_text(text)]);
    assert_eq!(
        files,
        [
            (
                "_cluster/configmap-cm-1.yaml".to_owned(),
                blob(Text::Filled(0, 3))
            ),
            ("shop/configmap-cm-2.yaml".to_owned(), blob(Text::Shared(2))),
        ]
        .into()
    );
    assert!(state.listing("wec-2").is_empty());
    assert_eq!(
        state.cluster_names().collect::<Vec<_>>(),
        ["wec-0", "wec-1", "wec-2"]
    );
}
