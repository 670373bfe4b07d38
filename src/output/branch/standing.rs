//! What stands on a generated branch or in a folder, looked up file by file; each tree is read once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::hash::ObjectId;
use super::object::{EntryMode, Tree};
use crate::output::path::KEEP;

type Names = Arc<BTreeMap<String, ObjectId>>;

/// A `clusters/` tree that stands, read as far as it is asked for.
pub struct StandingTree<'a, E> {
    root: Option<ObjectId>,
    read: &'a mut dyn FnMut(ObjectId) -> Result<Tree, E>,
    folders: HashMap<ObjectId, Names>,
    files: HashMap<ObjectId, Names>,
}

impl<'a, E> StandingTree<'a, E> {
    /// Starts at the `clusters/` tree; none when nothing stands.
    pub fn new(
        root: Option<ObjectId>,
        read: &'a mut dyn FnMut(ObjectId) -> Result<Tree, E>,
    ) -> Self {
        Self {
            root,
            read,
            folders: HashMap::new(),
            files: HashMap::new(),
        }
    }

    /// Gives each WEC's folder.
    pub fn clusters(&mut self) -> Result<Names, E> {
        self.root
            .map_or_else(|| Ok(Names::default()), |root| self.folders(root))
    }

    /// Gives the folders in a folder.
    pub fn folders(&mut self, tree: ObjectId) -> Result<Names, E> {
        if let Some(names) = self.folders.get(&tree) {
            return Ok(Arc::clone(names));
        }
        let names = names((self.read)(tree)?, |mode, _| mode == EntryMode::FOLDER);
        self.folders.insert(tree, Arc::clone(&names));
        Ok(names)
    }

    /// Gives the files of objects in a folder.
    pub fn files(&mut self, tree: ObjectId) -> Result<Names, E> {
        if let Some(names) = self.files.get(&tree) {
            return Ok(Arc::clone(names));
        }
        let names = names((self.read)(tree)?, |mode, name| {
            mode != EntryMode::FOLDER && name != KEEP.as_bytes()
        });
        self.files.insert(tree, Arc::clone(&names));
        Ok(names)
    }

    /// Finds a file.
    pub fn file(&mut self, cluster: &str, folder: &str, file: &str) -> Result<Option<ObjectId>, E> {
        let Some(&root) = self.clusters()?.get(cluster) else {
            return Ok(None);
        };
        let Some(&folder) = self.folders(root)?.get(folder) else {
            return Ok(None);
        };
        Ok(self.files(folder)?.get(file).copied())
    }

    /// Counts the files of objects in a WEC's folder; folders that are counted in `known` are not read.
    pub fn count(&mut self, root: ObjectId, known: &HashMap<ObjectId, u64>) -> Result<u64, E> {
        let mut count = 0;
        for tree in self.folders(root)?.values() {
            count += match known.get(tree) {
                Some(&files) => files,
                None => self.files(*tree)?.len() as u64,
            };
        }
        Ok(count)
    }
}

fn names(tree: Tree, wanted: impl Fn(EntryMode, &[u8]) -> bool) -> Names {
    let entries = tree
        .entries()
        .filter(|entry| wanted(entry.mode, entry.name));
    let names = entries.map(|entry| (String::from_utf8_lossy(entry.name).into_owned(), entry.id));
    Arc::new(names.collect())
}
