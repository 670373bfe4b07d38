//! Every file of an example, damaged in every way: whatever happens, no WEC loses an object or a line of one.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use git2::{
    Commit, FileMode, ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult,
    build::TreeUpdateBuilder,
};
use stellate::reconcile::{DeliveryOptions, Request};

use super::*;
use crate::support::site::{GENERATED, branch_of};

/// What is done to a file. Nothing of it leaves a text that can be read and says something else.
#[derive(Clone, Debug)]
enum Damage {
    /// Other bytes.
    Bytes(Vec<u8>),
    /// A symbolic link.
    Link(&'static str),
    /// A submodule.
    Submodule,
}

/// Damages a text as a whole, in all ways that fit it.
fn whole(text: &str) -> Vec<(&'static str, Damage)> {
    let (half, size) = (text.len() / 2, text.len());
    let half = (half..size).find(|&at| text.is_char_boundary(at)).unwrap();
    let (head, tail) = text.split_at(half);
    let noise: Vec<u8> = (0..300_u32)
        .map(|number| (number * 7919 % 251) as u8)
        .collect();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{:064}\nsize {size}\n",
        7
    );
    let object =
        "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: damage, namespace: shop}\ndata: ";
    let mut laughs = format!("{object}\n  a0: &a0 [x, x]\n");
    for number in 1..40 {
        let last = number - 1;
        writeln!(laughs, "  a{number}: &a{number} [*a{last}, *a{last}]").unwrap();
    }
    let bytes = |text: String| Damage::Bytes(text.into_bytes());
    let mut all = vec![
        (
            "bytes that are no UTF-8",
            Damage::Bytes([head.as_bytes(), b"\xff\xfe", tail.as_bytes()].concat()),
        ),
        (
            "one such byte at the end",
            Damage::Bytes([text.as_bytes(), b"\xff"].concat()),
        ),
        ("a null byte", bytes(format!("{head}\0{tail}"))),
        ("noise", Damage::Bytes(noise)),
        ("UTF-16", Damage::Bytes(wide)),
        ("a pointer to large file storage", bytes(pointer)),
        ("a tab", bytes(text.replacen("\n  ", "\n\t", 1))),
        (
            "marks of a merge",
            bytes(format!("<<<<<<< HEAD\n{text}=======\n>>>>>>> other\n")),
        ),
        ("an open list", bytes(format!("{text}\nmore: [\n"))),
        ("an open text", bytes(format!("{text}\nmore: \"\n"))),
        (
            "too deep",
            bytes(format!("{text}{object}{}", "[".repeat(100_000))),
        ),
        (
            "an alias of itself",
            bytes(format!("{text}{object}&a [*a]\n")),
        ),
        (
            "an alias of nothing",
            bytes(format!("{text}{object}*nothing\n")),
        ),
        ("aliases of aliases", bytes(text.to_owned() + &laughs)),
        ("a link to nowhere", Damage::Link("nowhere.yaml")),
        (
            "a link out of the repository",
            Damage::Link("../../../../../etc/hostname"),
        ),
        ("a submodule", Damage::Submodule),
    ];
    if let Some(open) = text.rfind('{') {
        all.push(("cut off", bytes(text[..=open].to_owned())));
    }
    all
}

/// Damages one document of a text, in all ways that fit it. `steers` where it is one that is never delivered itself.
fn documents(text: &str, steers: bool) -> Vec<(&'static str, Damage)> {
    let parts: Vec<&str> = text.split("\n---\n").collect();
    let mut all = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let line = |start: &str| part.lines().find(|line| line.starts_with(start));
        let (Some(kind), Some(version)) = (line("kind: "), line("apiVersion: ")) else {
            continue;
        };
        let name = part
            .split(['{', '\n', ','])
            .find(|piece| piece.trim_start().starts_with("name: "));
        let name = name
            .expect("every object has a name")
            .trim()
            .trim_end_matches('}');
        let mut add = |what, from: &str, to: &str| {
            let mut damaged = parts.clone();
            let text = part.replacen(from, to, 1);
            damaged[number] = &text;
            all.push((what, Damage::Bytes(damaged.join("\n---\n").into_bytes())));
        };
        add("a key twice", kind, &format!("{kind}\n{kind}"));
        add("no kind", kind, "");
        add("a kind that is misspelt", kind, &format!("{kind}x"));
        add("another kind", kind, "kind: Nonsense");
        add("an empty kind", kind, "kind:");
        add("no version", version, "");
        add("another version", version, "apiVersion: nonsense.io/v9");
        add("no name", name, "name: ");
        add("a number for a name", name, "name: 5");
        add("a list for a name", name, "name: [a]");
        add("a tag", kind, &format!("{kind}\nmore: !!set nonsense"));
        let spec = part.find("\nspec:").or_else(|| part.find("\ndata:"));
        if let Some(spec) = spec.filter(|_| steers) {
            let field = &part[spec + 1..spec + 5];
            add(
                "another shape",
                &part[spec..],
                &format!("\n{field}: oops\n"),
            );
        }
    }
    all
}

/// A source in a bare repository, delivered; commits are made without a work tree.
struct Bench {
    repository: Repository,
    base: Oid,
    generated: Oid,
    pipeline: Pipeline,
}

impl Bench {
    fn new() -> Self {
        let folder = support::folder("damage");
        let shop = support::project().join("examples/shop");
        let source = git::Repository::new("damage-source");
        for (path, text) in support::site::files_in(&shop) {
            support::write_files(source.path(), &[(path.as_str(), text.as_str())]);
        }
        let base = Oid::from_str(&source.commit_all("Begin")).unwrap();
        let address = source.path().to_str().unwrap();
        let repository = git2::build::RepoBuilder::new()
            .bare(true)
            .clone(address, &folder)
            .unwrap();
        let mut bench = Self {
            repository,
            base,
            generated: Oid::ZERO_SHA1,
            pipeline: Pipeline::new(None),
        };
        assert_eq!(bench.deliver(base), Outcome::Written);
        bench.generated = bench.tip();
        bench
    }

    fn deliver(&mut self, commit: Oid) -> Outcome {
        let request = Request {
            location: self.repository.path().to_str().unwrap().to_owned(),
            revision: Some(commit.to_string()),
            committed: true,
            ..Request::default()
        };
        let to = branch_of(self.repository.path());
        let rendering = self.pipeline.render(&request, &Silent).unwrap();
        let options = DeliveryOptions {
            allow_removals: true,
            ..DeliveryOptions::default()
        };
        let delivered = self
            .pipeline
            .deliver(&rendering, &to, &options, &Silent)
            .unwrap();
        delivered.outcome
    }

    fn tip(&self) -> Oid {
        let name = format!("refs/heads/{GENERATED}");
        self.repository.refname_to_id(&name).unwrap()
    }

    fn commit(&self, id: Oid) -> Commit<'_> {
        self.repository.find_commit(id).unwrap()
    }

    fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let tree = self.commit(self.base).tree().unwrap();
        tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            let path = format!("{folder}{}", entry.name().unwrap());
            if entry.kind() == Some(ObjectType::Blob) && is_manifest(&path) {
                let blob = self.repository.find_blob(entry.id()).unwrap();
                files.push((path, String::from_utf8(blob.content().to_vec()).unwrap()));
            }
            TreeWalkResult::Ok
        })
        .unwrap();
        files
    }

    /// Delivers the damage on top of the good files, and gives what the WECs lose.
    fn lost(&mut self, path: &str, damage: &Damage) -> String {
        let damaged = self.damaged(path, damage);
        self.deliver(damaged);
        let lost = self.differences(self.tip());
        let name = format!("refs/heads/{GENERATED}");
        self.repository
            .reference(&name, self.generated, true, "again")
            .unwrap();
        lost
    }

    /// Commits the damage.
    fn damaged(&self, path: &str, damage: &Damage) -> Oid {
        let blob = |bytes: &[u8]| self.repository.blob(bytes).unwrap();
        let base = self.commit(self.base);
        let (id, mode) = match damage {
            Damage::Bytes(bytes) => (blob(bytes), FileMode::Blob),
            Damage::Link(to) => (blob(to.as_bytes()), FileMode::Link),
            Damage::Submodule => (self.base, FileMode::Commit),
        };
        // A file cannot become a submodule in one step.
        let mut tree = base.tree().unwrap();
        for is_there in [false, true] {
            let mut step = TreeUpdateBuilder::new();
            if is_there {
                step.upsert(path, id, mode);
            } else {
                step.remove(path);
            }
            let id = step.create_updated(&self.repository, &tree).unwrap();
            tree = self.repository.find_tree(id).unwrap();
        }
        let author = base.author();
        self.repository
            .commit(None, &author, &author, "Damage", &tree, &[&base])
            .unwrap()
    }

    /// The lines below `clusters/` that stood and do not stand any more.
    fn differences(&self, tip: Oid) -> String {
        let clusters = |id| {
            let tree = self.commit(id).tree().unwrap();
            let clusters = tree.get_name("clusters").unwrap().id();
            self.repository.find_tree(clusters).unwrap()
        };
        let mut lost = String::new();
        if tip == self.generated {
            return lost;
        }
        let (old, new) = (clusters(self.generated), clusters(tip));
        let changes = self
            .repository
            .diff_tree_to_tree(Some(&old), Some(&new), None)
            .unwrap();
        changes
            .print(git2::DiffFormat::Patch, |change, _, line| {
                if line.origin() == '-' {
                    let path = change.old_file().path().unwrap().display();
                    write!(lost, "{path}: {}", String::from_utf8_lossy(line.content())).unwrap();
                }
                true
            })
            .unwrap();
        lost
    }
}

/// One file, and what is done to it.
struct Case {
    path: String,
    what: &'static str,
    damage: Damage,
}

/// Every file in every way that fits it.
fn cases(files: Vec<(String, String)>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, text) in files {
        let steers = !path.starts_with("workloads/");
        let all = whole(&text).into_iter().chain(documents(&text, steers));
        for (what, damage) in all {
            let is_same = matches!(&damage, Damage::Bytes(bytes) if bytes == text.as_bytes());
            if !is_same {
                let path = path.clone();
                cases.push(Case { path, what, damage });
            }
        }
    }
    cases
}

#[test]
fn no_damage_to_any_file_takes_a_line_from_any_wec() {
    let cases = cases(Bench::new().files());
    assert!(cases.len() > 1000, "{}", cases.len());
    // Each core takes the next one, in a repository of its own.
    let (next, lost) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mut bench = Bench::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = bench.lost(&case.path, &case.damage);
            if !found.is_empty() {
                let told = format!("{}, {}: {found}", case.path, case.what);
                lost.lock().unwrap().push(told);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    let lost = lost.into_inner().unwrap();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

fn is_manifest(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|kind| kind == "yaml")
}
