//! The notes tree: which source commit each generated commit stands for by now.
//!
//! Notes lie in folders of two digits, as git spreads them, so that one more note touches two small trees. Pure.

use std::collections::BTreeMap;

use super::hash::{ObjectId, ObjectKind};
use super::object::{EntryMode, Tree, TreeEntry, TreeError};
use super::pack::ObjectWriter;

type Entries = BTreeMap<Vec<u8>, (EntryMode, ObjectId)>;

/// Adds notes to the tree that `root` is (none for the first note); `read` gives its folders.
///
/// Gives the new root; new trees and blobs go to `writer`.
pub fn add_notes<E: From<TreeError>>(
    root: Option<&Tree>,
    notes: &[(ObjectId, Vec<u8>)],
    read: &mut dyn FnMut(ObjectId) -> Result<Tree, E>,
    writer: &mut ObjectWriter,
) -> Result<ObjectId, E> {
    let mut top = root.map(entries).unwrap_or_default();
    let mut folders: BTreeMap<Vec<u8>, Entries> = BTreeMap::new();
    for (commit, text) in notes {
        let name = commit.to_string().into_bytes();
        top.remove(&name);
        let (prefix, rest) = (name[..2].to_vec(), name[2..].to_vec());
        if !folders.contains_key(&prefix) {
            let folder = match top.get(&prefix) {
                Some((EntryMode::FOLDER, id)) => entries(&read(*id)?),
                _ => Entries::new(),
            };
            folders.insert(prefix.clone(), folder);
        }
        let id = writer.add(ObjectKind::Blob, text);
        folders
            .entry(prefix)
            .or_default()
            .insert(rest, (EntryMode::FILE, id));
    }
    for (prefix, folder) in folders {
        let id = write(&folder, writer)?;
        top.insert(prefix, (EntryMode::FOLDER, id));
    }
    Ok(write(&top, writer)?)
}

fn entries(tree: &Tree) -> Entries {
    tree.entries()
        .map(|entry| (entry.name.to_vec(), (entry.mode, entry.id)))
        .collect()
}

fn write(entries: &Entries, writer: &mut ObjectWriter) -> Result<ObjectId, TreeError> {
    let mut list: Vec<TreeEntry<'_>> = entries
        .iter()
        .map(|(name, &(mode, id))| TreeEntry { mode, name, id })
        .collect();
    Ok(writer.add(ObjectKind::Tree, Tree::new(&mut list)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_replaces_the_one_before_and_leaves_others_alone() {
        let mut segment = ObjectWriter::default();
        let (first, second) = (ObjectId([0xaa; 20]), ObjectId([0xbb; 20]));
        let mut none = |_| -> Result<Tree, TreeError> { Err(TreeError::Malformed(0)) };
        let once =
            add_notes(None, &[(first, b"1".to_vec())], &mut none, &mut segment).expect("first");
        let both = add_notes(
            None,
            &[(first, b"1".to_vec()), (second, b"2".to_vec())],
            &mut none,
            &mut segment,
        )
        .expect("both");
        assert_ne!(once, both);
        // A flat note of the same commit, as git writes few notes, gives way to the one in the folder.
        let flat = first.to_string();
        let mut entries = [TreeEntry {
            mode: EntryMode::FILE,
            name: flat.as_bytes(),
            id: ObjectId([1; 20]),
        }];
        let tree = Tree::new(&mut entries).expect("tree");
        let moved = add_notes(
            Some(&tree),
            &[(first, b"1".to_vec())],
            &mut none,
            &mut segment,
        )
        .expect("moved");
        assert_eq!(moved, once);
    }
}
