//! What git itself says of our packs: `index-pack`, `fsck`, `cat-file`, `verify-pack`, `gc`, and libgit2.
#![expect(
    clippy::single_range_in_vec_init,
    reason = "one hole is a list of one range"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::delta::{Delta, Filled};
use super::hash::{ObjectId, ObjectKind, object_id};
use super::object::{Commit, EntryMode, Person, Tree, TreeEntry};
use super::pack::{Deflate, EntryPosition, FinishedPack, PackError, PackSegment, assemble};

/// A bare repository of real git, and the packs in it.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        repository.git(&["init", "--quiet", "--bare", "."], b"");
        repository
    }

    /// Runs git on this input, hermetically, and gives what it prints; git must agree.
    fn git(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // Git may stop reading early when it needs no input.
                stdin.write_all(input).ok();
            });
            child.wait_with_output().unwrap()
        });
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {complaint}");
        output.stdout
    }

    fn git_text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.git(arguments, b"")).unwrap()
    }

    /// Lets git index a pack, and compares its index with ours.
    fn take(&self, pack: &[u8], finished: &FinishedPack) {
        self.git(&["index-pack", "--strict", "--stdin"], pack);
        assert_eq!(finished.length, pack.len() as u64);
        let index = self.pack_path(finished).with_extension("idx");
        assert!(
            std::fs::read(index).unwrap() == finished.index,
            "git indexes the pack otherwise"
        );
    }

    fn pack_path(&self, finished: &FinishedPack) -> std::path::PathBuf {
        self.folder
            .path()
            .join(format!("objects/pack/pack-{}.pack", finished.checksum))
    }

    /// Checks that git gives exactly these bytes for each object.
    fn holds(&self, objects: &[(ObjectKind, ObjectId, Vec<u8>)]) {
        let ids: Vec<_> = objects.iter().map(|(_, id, _)| id.to_string()).collect();
        let shown = self.git(&["cat-file", "--batch"], ids.join("\n").as_bytes());
        let mut wanted = Vec::new();
        for (kind, id, content) in objects {
            wanted
                .extend_from_slice(format!("{id} {} {}\n", kind.name(), content.len()).as_bytes());
            wanted.extend_from_slice(content);
            wanted.push(b'\n');
        }
        assert!(shown == wanted, "git gives other bytes");
    }
}

fn finish(segments: Vec<PackSegment>) -> (Vec<u8>, FinishedPack) {
    let mut pack = Vec::new();
    let finished = assemble(segments, &mut pack).unwrap();
    (pack, finished)
}

fn add(segment: &mut PackSegment, kind: ObjectKind, content: &[u8]) -> (EntryPosition, ObjectId) {
    let id = object_id(kind, &[content]);
    (segment.add_full(kind, id, content), id)
}

fn person() -> Person<'static> {
    Person {
        name: "Stellate",
        email: "stellate@example.org",
        seconds: 1_700_000_000,
        offset_minutes: 0,
    }
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// A generated commit for two folders, each in a segment of its own, with `wecs` siblings of each blob and tree.
fn generated(wecs: usize) -> (Vec<PackSegment>, ObjectId) {
    let mut segments = Vec::new();
    let mut folders = vec![Vec::new(); wecs];
    for namespace in ["shop", "shop.eu"] {
        let mut segment = PackSegment::new();
        let (_, shared) = add(
            &mut segment,
            ObjectKind::Blob,
            format!("namespace: {namespace}\n").as_bytes(),
        );
        let rendering = |wec: usize| {
            let head = format!("metadata:\n  namespace: {namespace}\n  name: ");
            let hole = head.len()..head.len() + wec.to_string().len();
            (format!("{head}{wec}\nspec: {}\n", "x".repeat(300)), hole)
        };
        let (base_text, base_hole) = rendering(0);
        let (base, base_id) = add(&mut segment, ObjectKind::Blob, base_text.as_bytes());
        let tree_of = |id| {
            Tree::new(&mut [
                TreeEntry {
                    mode: EntryMode::FILE,
                    name: b"shared.yaml",
                    id: shared,
                },
                TreeEntry {
                    mode: EntryMode::FILE,
                    name: b"own.yaml",
                    id,
                },
            ])
        };
        let tree = tree_of(base_id).unwrap();
        let (base_tree, base_tree_id) = add(&mut segment, ObjectKind::Tree, tree.as_bytes());
        folders[0].push((namespace, base_tree_id));
        let mut delta = Delta::new();
        for (wec, folder) in folders.iter_mut().enumerate().skip(1) {
            let (text, hole) = rendering(wec);
            let holes = [base_hole.clone(), hole];
            delta.sibling(
                Filled {
                    text: base_text.as_bytes(),
                    holes: &holes[..1],
                },
                Filled {
                    text: text.as_bytes(),
                    holes: &holes[1..],
                },
            );
            let id = object_id(ObjectKind::Blob, &[text.as_bytes()]);
            segment.add_sibling(ObjectKind::Blob, id, text.as_bytes(), base, &delta);

            let mut bytes = Vec::new();
            tree.patch_into(&[(0, id)], &mut bytes);
            let holes = [tree.id_range(0).unwrap()];
            delta.sibling(
                Filled {
                    text: tree.as_bytes(),
                    holes: &holes,
                },
                Filled {
                    text: &bytes,
                    holes: &holes,
                },
            );
            let id = object_id(ObjectKind::Tree, &[&bytes]);
            segment.add_delta(id, base_tree, &delta);
            folder.push((namespace, id));
        }
        segments.push(segment);
    }
    let mut last = PackSegment::new();
    let mut add_tree = |names: &[(String, ObjectId)]| {
        let folder = |(name, id): &(String, ObjectId)| (name.clone().into_bytes(), *id);
        let owned: Vec<_> = names.iter().map(folder).collect();
        let entries = owned.iter().map(|(name, id)| TreeEntry {
            mode: EntryMode::FOLDER,
            name,
            id: *id,
        });
        let tree = Tree::new(&mut entries.collect::<Vec<_>>()).unwrap();
        add(&mut last, ObjectKind::Tree, tree.as_bytes()).1
    };
    let mut clusters = Vec::new();
    for (wec, folder) in folders.iter().enumerate() {
        let names: Vec<_> = folder
            .iter()
            .map(|(name, id)| ((*name).to_owned(), *id))
            .collect();
        clusters.push((format!("wec-{wec:04}"), add_tree(&names)));
    }
    let tree = add_tree(&clusters);
    let commit = Commit {
        tree,
        parents: &[],
        author: person(),
        committer: person(),
        signature: Some("-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n"),
        message: "Render\n",
    };
    let (_, id) = add(&mut last, ObjectKind::Commit, &commit.encode());
    segments.push(last);
    (segments, id)
}

#[test]
fn a_generated_commit_is_taken_checked_and_repacked_by_git() {
    let repository = Repository::new();
    let (segments, commit) = generated(300);
    let (pack, finished) = finish(segments);
    repository.take(&pack, &finished);
    repository.git(
        &["update-ref", "refs/heads/generated", &commit.to_string()],
        b"",
    );
    repository.git(&["fsck", "--strict", "--full"], b"");
    let listed = repository.git_text(&["ls-tree", "-r", "generated"]);
    assert_eq!(listed.lines().count(), 300 * 4);
    let own = repository.git_text(&["show", "generated:wec-0123/shop.eu/own.yaml"]);
    assert!(own.starts_with("metadata:\n  namespace: shop.eu\n  name: 123\nspec: xxx"));

    let pack_path = repository.pack_path(&finished);
    let verified = repository.git_text(&["verify-pack", "-v", &pack_path.to_string_lossy()]);
    assert!(
        verified.contains("chain length = 1: 1196 objects"),
        "blobs and trees of 299 siblings are deltas"
    );
    assert!(
        !verified.contains("chain length = 2"),
        "no delta has a delta as its base"
    );

    repository.git(&["gc", "--quiet", "--prune=now"], b"");
    repository.git(&["fsck", "--strict", "--full"], b"");
    assert_eq!(repository.git_text(&["ls-tree", "-r", "generated"]), listed);
}

#[test]
fn libgit2_reads_pack_and_index_as_we_wrote_them() {
    let repository = Repository::new();
    let (segments, commit) = generated(20);
    let (pack, finished) = finish(segments);
    std::fs::write(repository.pack_path(&finished), &pack).unwrap();
    std::fs::write(
        repository.pack_path(&finished).with_extension("idx"),
        &finished.index,
    )
    .unwrap();
    let opened = git2::Repository::open_bare(repository.folder.path()).unwrap();
    let commit = opened
        .find_commit(git2::Oid::from_bytes(&commit.0).unwrap())
        .unwrap();
    assert_eq!(commit.author().name().ok(), Some("Stellate"));
    let own = commit
        .tree()
        .unwrap()
        .get_path(Path::new("wec-0007/shop/own.yaml"))
        .unwrap();
    let blob = opened.find_blob(own.id()).unwrap();
    assert!(
        blob.content()
            .starts_with(b"metadata:\n  namespace: shop\n  name: 7\n")
    );
    assert_eq!(
        git2::Oid::hash_object(git2::ObjectType::Blob, blob.content()).unwrap(),
        own.id()
    );
}

#[test]
fn the_order_of_our_trees_is_that_of_git_mktree() {
    let repository = Repository::new();
    let blob = String::from_utf8(repository.git(&["hash-object", "-w", "--stdin"], b"x")).unwrap();
    let tree = repository.git_text(&["mktree"]);
    let id = |hex: &str| {
        let bytes = git2::Oid::from_str(hex.trim()).unwrap();
        ObjectId(bytes.as_bytes().try_into().unwrap())
    };
    let (blob_id, tree_id) = (id(&blob), id(&tree));
    let names = [
        "a", "a.b", "a-b", "a0", "ab", "a~", "A", "b.", "b", "b-", "\u{e9}", "a b",
    ];
    for folders in 0..1_u32 << names.len() {
        if folders % 97 != 0 {
            continue;
        }
        let is_folder = |index: usize| folders >> index & 1 == 1;
        let mut lines = Vec::new();
        let mut entries = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let name = name.as_bytes();
            let (mode, id, words) = if is_folder(index) {
                (EntryMode::FOLDER, tree_id, "040000 tree")
            } else {
                (EntryMode::FILE, blob_id, "100644 blob")
            };
            lines.push(format!("{words} {id}\t{}\0", names[index]));
            entries.push(TreeEntry { mode, name, id });
        }
        let wanted = repository.git(&["mktree", "-z"], lines.concat().as_bytes());
        let ours = object_id(
            ObjectKind::Tree,
            &[Tree::new(&mut entries).unwrap().as_bytes()],
        );
        assert_eq!(format!("{ours}\n").as_bytes(), wanted);
    }
}

#[test]
fn objects_of_every_size_come_back_stored_or_deflated() {
    let lengths = [
        0, 1, 15, 16, 2_047, 2_048, 0xffff, 0x1_0000, 70_000, 0x1_ffff, 20_000_000,
    ];
    let noise = noise(20_000_000);
    for deflate in [
        None,
        Some(Deflate {
            at_least: 1,
            level: 6,
        }),
    ] {
        let repository = Repository::new();
        let mut segment = deflate.map_or_else(PackSegment::new, PackSegment::with_deflate);
        let mut objects = Vec::new();
        // Deflating noise takes its time.
        let lengths = &lengths[..lengths.len() - usize::from(deflate.is_some())];
        let contents = lengths
            .iter()
            .flat_map(|length| [noise[..*length].to_vec(), vec![b'a'; *length]]);
        for content in contents.skip(1) {
            let (_, id) = add(&mut segment, ObjectKind::Blob, &content);
            objects.push((ObjectKind::Blob, id, content));
        }
        let total: usize = objects.iter().map(|(_, _, content)| content.len()).sum();
        let runs_shrink = segment.length() < total as u64 * 6 / 10;
        assert_eq!(
            runs_shrink,
            deflate.is_some(),
            "half of the bytes are runs of one letter"
        );
        let (pack, finished) = finish(vec![segment]);
        repository.take(&pack, &finished);
        repository.holds(&objects);
    }
}

#[test]
fn deltas_over_long_distances_and_of_long_copies_are_read_by_git() {
    let repository = Repository::new();
    let base_text = noise(18_000_000);
    let mut segment = PackSegment::new();
    let mut delta = Delta::new();
    let mut objects = Vec::new();
    let (base, _) = add(&mut segment, ObjectKind::Blob, &base_text);
    for filler in [0_usize, 100, 20_000, 3_000_000] {
        let filling = vec![b'-'; filler + 1];
        add(&mut segment, ObjectKind::Blob, &filling);
        let text = [&base_text[..500], &filling, &base_text[600..]].concat();
        let hole = [500..500 + filling.len()];
        let base_filled = Filled {
            text: &base_text,
            holes: &[500..600],
        };
        delta.sibling(
            base_filled,
            Filled {
                text: &text,
                holes: &hole,
            },
        );
        let id = object_id(ObjectKind::Blob, &[&text]);
        segment.add_delta(id, base, &delta);
        objects.push((ObjectKind::Blob, id, text));
    }
    let (pack, finished) = finish(vec![segment]);
    repository.take(&pack, &finished);
    repository.holds(&objects);
}

#[test]
fn a_delta_that_does_not_pay_is_stored_in_full() {
    let mut segment = PackSegment::new();
    let (base, _) = add(&mut segment, ObjectKind::Blob, b"a");
    let mut delta = Delta::new();
    delta.sibling(
        Filled {
            text: b"a",
            holes: &[0..1],
        },
        Filled {
            text: b"b",
            holes: &[0..1],
        },
    );
    let before = segment.length();
    segment.add_sibling(
        ObjectKind::Blob,
        object_id(ObjectKind::Blob, &[b"b"]),
        b"b",
        base,
        &delta,
    );
    assert_eq!(
        segment.length() - before,
        before,
        "as long as the base: full"
    );
    assert_eq!(segment.objects(), 2);
}

#[test]
fn an_object_in_two_segments_is_refused() {
    let segments = std::iter::repeat_with(|| {
        let mut segment = PackSegment::new();
        add(&mut segment, ObjectKind::Blob, b"twice");
        segment
    });
    let error = assemble(segments.take(2).collect(), &mut std::io::sink()).unwrap_err();
    assert!(matches!(error, PackError::Duplicate(_)), "{error}");
}

#[test]
fn an_empty_pack_is_a_pack() {
    let repository = Repository::new();
    let (pack, finished) = finish(vec![PackSegment::new()]);
    repository.take(&pack, &finished);
    assert_eq!(finished.objects, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_objects_in_any_segments_come_back(
        bases in prop::collection::vec(
            (any::<u64>(), 0..90_000_usize, prop::collection::vec((0..90_000_usize, prop::collection::vec(any::<u8>(), 0..400)), 0..6)),
            0..6,
        ),
    ) {
        let repository = Repository::new();
        let mut objects = Vec::new();
        let mut segments = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (salt, length, siblings) in bases {
            let text = [&salt.to_le_bytes()[..], &noise(length)].concat();
            let mut segment = PackSegment::new();
            let (mut base, id) = add(&mut segment, ObjectKind::Blob, &text);
            if !seen.insert(id) {
                continue;
            }
            objects.push((ObjectKind::Blob, id, text.clone()));
            let mut base_text = text;
            for (at, filling) in siblings {
                let at = at.min(base_text.len());
                let end = (at + 77).min(base_text.len());
                let text = [&base_text[..at], &filling, &base_text[end..]].concat();
                let id = object_id(ObjectKind::Blob, &[&text]);
                if !seen.insert(id) {
                    continue;
                }
                let (old, new) = ([at..end], [at..at + filling.len()]);
                let mut delta = Delta::new();
                delta.sibling(Filled { text: &base_text, holes: &old }, Filled { text: &text, holes: &new });
                // Chains too: each is the base of the next.
                base = segment.add_sibling(ObjectKind::Blob, id, &text, base, &delta);
                base_text.clone_from(&text);
                objects.push((ObjectKind::Blob, id, text));
            }
            segments.push(segment);
        }
        let (pack, finished) = finish(segments);
        repository.take(&pack, &finished);
        repository.holds(&objects);
    }
}
