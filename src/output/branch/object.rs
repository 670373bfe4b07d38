//! The content of trees and commits: entries or fields ↔ the bytes that git hashes.
//!
//! A [`Tree`] knows where its ids lie, so a sibling that differs in some of them is one copy of the bytes and twenty
//! bytes for each ([`Tree::patch_into`]), and its delta is known by construction ([`Tree::id_range`] gives the holes).
//!
//! Never reads or writes a repository; hashing is [`super::hash`]'s.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use super::hash::ObjectId;

/// Bytes of an id in a tree.
const ID_LENGTH: usize = 20;

/// Why a tree could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Git refuses such a name in a tree.
    #[error("{0:?} cannot be the name of a file or folder in git")]
    Name(String),
    /// Two entries have the same name.
    #[error("{0:?} is twice in the same folder")]
    Duplicate(String),
    /// The bytes are no tree.
    #[error("byte {0} of a tree object is not what git writes there")]
    Malformed(usize),
}

/// What a tree entry is, as git writes it: a Unix file mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryMode(pub u32);

impl EntryMode {
    /// A plain file.
    pub const FILE: Self = Self(0o100_644);
    /// A file that may be executed.
    pub const EXECUTABLE: Self = Self(0o100_755);
    /// A symbolic link; the blob is its target.
    pub const LINK: Self = Self(0o120_000);
    /// A folder: the id is a tree's.
    pub const FOLDER: Self = Self(0o040_000);
    /// A submodule: the id is a commit's, of another repository.
    pub const SUBMODULE: Self = Self(0o160_000);
}

/// One file or folder in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// What it is.
    pub mode: EntryMode,
    /// Its name in the folder: bytes, usually UTF-8, without `/`.
    pub name: &'a [u8],
    /// Its blob or tree.
    pub id: ObjectId,
}

/// Git's order: by bytes, where a folder counts as if its name ended with `/`.
fn compare(left: &TreeEntry<'_>, right: &TreeEntry<'_>) -> Ordering {
    let common = left.name.len().min(right.name.len());
    let after = |entry: &TreeEntry<'_>| match entry.name.get(common) {
        Some(byte) => Some(*byte),
        None => (entry.mode == EntryMode::FOLDER).then_some(b'/'),
    };
    left.name[..common]
        .cmp(&right.name[..common])
        .then_with(|| after(left).cmp(&after(right)))
}

/// The content of a tree object, and where its ids lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    bytes: Vec<u8>,
    /// The position of each entry's id, ascending.
    ids: Vec<usize>,
}

impl Tree {
    /// Writes a tree. The entries are put into git's order, and their index there is what [`Tree::entry`],
    /// [`Tree::id_range`] and [`Tree::patch_into`] count by.
    ///
    /// Refused are names that `git fsck` would complain of (empty, `.`, `..`, `.git` in any case, with `/` or NUL) and
    /// names that are there twice, be it once as file and once as folder.
    pub fn new(entries: &mut [TreeEntry<'_>]) -> Result<Self, TreeError> {
        entries.sort_unstable_by(compare);
        check_names(entries)?;
        let length = entries
            .iter()
            .map(|entry| entry.name.len() + 8 + ID_LENGTH)
            .sum();
        let mut tree = Self {
            bytes: Vec::with_capacity(length),
            ids: Vec::with_capacity(entries.len()),
        };
        for entry in entries {
            tree.bytes.extend_from_slice(octal(entry.mode).as_bytes());
            tree.bytes.push(b' ');
            tree.bytes.extend_from_slice(entry.name);
            tree.bytes.push(0);
            tree.ids.push(tree.bytes.len());
            tree.bytes.extend_from_slice(&entry.id.0);
        }
        Ok(tree)
    }

    /// Reads the content of a tree object, whoever wrote it; order and names are taken as they are.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, TreeError> {
        let mut ids = Vec::with_capacity(bytes.len() / 40);
        let mut start = 0;
        while start < bytes.len() {
            let entry_end = read_entry(&bytes[start..]).map(|(_, length)| start + length);
            let end = entry_end.ok_or(TreeError::Malformed(start))?;
            ids.push(end - ID_LENGTH);
            start = end;
        }
        Ok(Self { bytes, ids })
    }

    /// Gives the bytes that git hashes and stores.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the number of entries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Says whether the tree is an empty folder.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Gives the entry at this index, in git's order.
    pub fn entry(&self, index: usize) -> Option<TreeEntry<'_>> {
        let start = index
            .checked_sub(1)
            .map_or(Some(0), |before| Some(self.id_range(before)?.end))?;
        read_entry(self.bytes.get(start..)?).map(|(entry, _)| entry)
    }

    /// Gives all entries in git's order.
    pub fn entries(&self) -> impl Iterator<Item = TreeEntry<'_>> {
        (0..self.len()).filter_map(|index| self.entry(index))
    }

    /// Gives where in the tree's bytes the id of the entry at this index lies: the hole that a sibling's delta fills.
    pub fn id_range(&self, index: usize) -> Option<Range<usize>> {
        self.ids.get(index).map(|start| *start..start + ID_LENGTH)
    }

    /// Appends to `out` the content of the tree that differs from this one in the ids at these indexes. Modes and
    /// names stay.
    ///
    /// # Panics
    /// When an index is not below [`Tree::len`].
    pub fn patch_into(&self, patches: &[(usize, ObjectId)], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for (index, id) in patches {
            let at = start + self.ids[*index];
            out[at..at + ID_LENGTH].copy_from_slice(&id.0);
        }
    }
}

/// Reads the first entry and gives it with its length in bytes.
fn read_entry(bytes: &[u8]) -> Option<(TreeEntry<'_>, usize)> {
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let mode = bytes[..space]
        .iter()
        .try_fold(0, |mode, digit| match digit {
            b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
            _ => None,
        })?;
    let name_length = bytes[space + 1..].iter().position(|byte| *byte == 0)?;
    let name = &bytes[space + 1..][..name_length];
    let id_start = space + 1 + name_length + 1;
    let id = ObjectId(*bytes[id_start..].first_chunk()?);
    if space == 0 || name.is_empty() {
        return None;
    }
    Some((
        TreeEntry {
            mode: EntryMode(mode),
            name,
            id,
        },
        id_start + ID_LENGTH,
    ))
}

/// Refuses what git would; `entries` are sorted.
fn check_names(entries: &[TreeEntry<'_>]) -> Result<(), TreeError> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    for (index, entry) in entries.iter().enumerate() {
        let name = entry.name;
        let reserved = matches!(name, b"" | b"." | b"..") || name.eq_ignore_ascii_case(b".git");
        if reserved || name.contains(&b'/') || name.contains(&0) {
            return Err(TreeError::Name(text(name)));
        }
        let next = entries.get(index + 1);
        let as_file = TreeEntry {
            mode: EntryMode::FILE,
            ..*entry
        };
        let is_folder = entry.mode == EntryMode::FOLDER;
        let twice = next.is_some_and(|next| next.name == name)
            || (is_folder
                && entries
                    .binary_search_by(|other| compare(other, &as_file))
                    .is_ok());
        if twice {
            return Err(TreeError::Duplicate(text(name)));
        }
    }
    Ok(())
}

/// Gives the digits of a mode; those that are written a million times without formatting.
fn octal(mode: EntryMode) -> std::borrow::Cow<'static, str> {
    match mode {
        EntryMode::FILE => "100644".into(),
        EntryMode::FOLDER => "40000".into(),
        EntryMode(other) => format!("{other:o}").into(),
    }
}

/// Who wrote or committed, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person<'a> {
    /// Name; characters that git cannot hold there (`<`, `>`, line breaks, NUL) are left out when written.
    pub name: &'a str,
    /// E-mail address; likewise.
    pub email: &'a str,
    /// Seconds since 1970, UTC; what is before counts as 0, since git refuses it.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub offset_minutes: i32,
}

/// As a commit holds it: `Ada <ada@example.org> 1700000000 +0100`.
impl fmt::Display for Person<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = |text: &str| {
            text.replace(['<', '>', '\n', '\r', '\0'], "")
                .trim()
                .to_owned()
        };
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs().min(99 * 60 + 59);
        let (name, email, seconds) = (clean(self.name), clean(self.email), self.seconds.max(0));
        write!(
            formatter,
            "{name} <{email}> {seconds} {sign}{:02}{:02}",
            minutes / 60,
            minutes % 60
        )
    }
}

/// A commit, before it has an id.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The root folder.
    pub tree: ObjectId,
    /// The commits before; none for the first of a branch.
    pub parents: &'a [ObjectId],
    /// Who wrote it.
    pub author: Person<'a>,
    /// Who committed it.
    pub committer: Person<'a>,
    /// An armoured signature over the same commit encoded without it.
    pub signature: Option<&'a str>,
    /// The message, with the line break at its end; NULs are left out when written.
    pub message: &'a str,
}

impl Commit<'_> {
    /// Gives the bytes that git hashes and stores; without a signature, those that are to be signed.
    pub fn encode(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

/// As git stores it.
impl fmt::Display for Commit<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "tree {}", self.tree)?;
        self.parents
            .iter()
            .try_for_each(|parent| writeln!(formatter, "parent {parent}"))?;
        writeln!(
            formatter,
            "author {}\ncommitter {}",
            self.author, self.committer
        )?;
        if let Some(signature) = self.signature {
            // A header's further lines start with a space.
            writeln!(
                formatter,
                "gpgsig {}",
                signature.trim_end().replace('\n', "\n ")
            )?;
        }
        write!(formatter, "\n{}", self.message.replace('\0', ""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(mode: EntryMode, name: &str, id: u8) -> TreeEntry<'_> {
        TreeEntry {
            mode,
            name: name.as_bytes(),
            id: ObjectId([id; 20]),
        }
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.entries()
            .map(|entry| String::from_utf8_lossy(entry.name).into_owned())
            .collect()
    }

    #[test]
    fn a_folder_stands_where_its_name_with_a_slash_would() {
        let mut files = [
            entry(EntryMode::FILE, "a", 1),
            entry(EntryMode::FILE, "a.b", 2),
            entry(EntryMode::FILE, "a0", 3),
        ];
        assert_eq!(names(&Tree::new(&mut files).unwrap()), ["a", "a.b", "a0"]);
        let mut folder = [
            entry(EntryMode::FILE, "a0", 3),
            entry(EntryMode::FOLDER, "a", 1),
            entry(EntryMode::FILE, "a.b", 2),
        ];
        assert_eq!(names(&Tree::new(&mut folder).unwrap()), ["a.b", "a", "a0"]);
    }

    #[test]
    fn names_that_git_refuses_are_refused_by_name() {
        for name in ["", ".", "..", ".git", ".GIT", "a/b", "a\0b"] {
            let error = Tree::new(&mut [entry(EntryMode::FILE, name, 1)]).unwrap_err();
            assert_eq!(error, TreeError::Name(name.to_owned()));
        }
        for modes in [
            [EntryMode::FILE, EntryMode::FILE],
            [EntryMode::FOLDER, EntryMode::FILE],
        ] {
            let mut entries = [
                entry(modes[0], "a", 1),
                entry(EntryMode::FILE, "a.b", 2),
                entry(modes[1], "a", 3),
            ];
            assert_eq!(
                Tree::new(&mut entries),
                Err(TreeError::Duplicate("a".to_owned()))
            );
        }
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_place() {
        let whole = Tree::new(&mut [
            entry(EntryMode::FILE, "a", 1),
            entry(EntryMode::FOLDER, "b", 2),
        ])
        .unwrap();
        let bytes = whole.as_bytes();
        for end in (1..bytes.len()).filter(|end| *end != 29) {
            assert_eq!(
                Tree::parse(bytes[..end].to_vec()),
                Err(TreeError::Malformed(if end < 29 { 0 } else { 29 }))
            );
        }
        for text in ["x00644 a\0", " a\0", "100644 \0", "100644a\0"] {
            let bytes = [text.as_bytes(), &[7; 20]].concat();
            assert_eq!(Tree::parse(bytes), Err(TreeError::Malformed(0)));
        }
    }

    #[test]
    fn a_commit_folds_its_signature_and_cleans_its_people() {
        let person = Person {
            name: " A<d>a\n",
            email: "ada@example.org",
            seconds: -5,
            offset_minutes: -90,
        };
        let commit = Commit {
            tree: ObjectId([1; 20]),
            parents: &[],
            author: person,
            committer: Person {
                seconds: 1_700_000_000,
                offset_minutes: 60,
                ..person
            },
            signature: Some("-----BEGIN\n\nabc\n-----END\n"),
            message: "render: two\0 WECs\n",
        };
        let wanted = format!(
            "tree {}\nauthor Ada <ada@example.org> 0 -0130\ncommitter Ada <ada@example.org> 1700000000 +0100\n\
             gpgsig -----BEGIN\n \n abc\n -----END\n\nrender: two WECs\n",
            "01".repeat(20)
        );
        assert_eq!(String::from_utf8(commit.encode()).unwrap(), wanted);
    }

    prop_compose! {
        fn any_entries()(
            entries in prop::collection::btree_map("[a-c.0~-]{1,4}", (0..5_usize, any::<u8>()), 0..40)
        ) -> Vec<(String, EntryMode, u8)> {
            let modes = [
                EntryMode::FILE, EntryMode::EXECUTABLE, EntryMode::LINK, EntryMode::FOLDER, EntryMode::SUBMODULE,
            ];
            entries
                .into_iter()
                .filter(|(name, _)| name != "." && name != "..")
                .map(|(name, (mode, id))| (name, modes[mode], id))
                .collect()
        }
    }

    proptest! {
        #[test]
        fn a_tree_is_read_back_as_it_was_written(owned in any_entries()) {
            let mut entries: Vec<_> = owned.iter().map(|(name, mode, id)| entry(*mode, name, *id)).collect();
            let tree = Tree::new(&mut entries).unwrap();
            let read = Tree::parse(tree.as_bytes().to_vec()).unwrap();
            prop_assert_eq!(&read, &tree);
            prop_assert_eq!(read.entries().collect::<Vec<_>>(), entries);
        }

        #[test]
        fn a_patched_tree_is_the_tree_of_the_patched_entries(owned in any_entries(), seed in any::<u64>()) {
            let mut entries: Vec<_> = owned.iter().map(|(name, mode, id)| entry(*mode, name, *id)).collect();
            let tree = Tree::new(&mut entries).unwrap();
            let patched = (0..entries.len()).filter(|index| seed >> (index % 64) & 1 == 1);
            let patches: Vec<_> = patched.map(|index| (index, ObjectId([0xee; 20]))).collect();
            for (index, id) in &patches {
                entries[*index].id = *id;
            }
            let mut bytes = b"before".to_vec();
            tree.patch_into(&patches, &mut bytes);
            let wanted = Tree::new(&mut entries).unwrap();
            prop_assert_eq!(&bytes[6..], wanted.as_bytes());
        }
    }
}
