//! Sets of small numbers: dense bitmaps to compute with, and posting lists that stay small when few are in.
//!
//! Inside placement only; what leaves it is a [`ClusterSet`].

use crate::model::ClusterSet;
use crate::model::selector::Answer;

/// A set of numbers as bits. Unlike [`ClusterSet`] it may end in zero words, can forget members, and can make room
/// in its middle.
#[derive(Clone, Debug, Default)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

/// The members of an index entry: a list while they are few, because most labels' values belong to few.
#[derive(Clone, Debug)]
pub(super) enum Posting {
    /// Sorted.
    Few(Vec<u32>),
    Many(Bitmap),
}

impl Bitmap {
    /// Adds a number; tells whether it was new.
    pub(super) fn insert(&mut self, member: u32) -> bool {
        let (word, bit) = place(member);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// Takes a number out; tells whether it was in.
    pub(super) fn remove(&mut self, member: u32) -> bool {
        let (word, bit) = place(member);
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// Puts a number in or out; tells whether that changed anything.
    pub(super) fn set(&mut self, member: u32, value: bool) -> bool {
        if value {
            self.insert(member)
        } else {
            self.remove(member)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub(super) fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Takes out all of `other`.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }

    /// Gives what is in exactly one of the two.
    pub(super) fn difference(&self, other: &Self) -> Self {
        let (long, short) = if self.words.len() >= other.words.len() {
            (self, other)
        } else {
            (other, self)
        };
        let mut words = long.words.clone();
        for (mine, theirs) in words.iter_mut().zip(&short.words) {
            *mine ^= theirs;
        }
        Self { words }
    }

    /// Tells whether both hold the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    /// Makes room for a new member: everything from `position` on moves up by one.
    pub(super) fn open_gap(&mut self, position: u32) {
        let (index, bit) = place(position);
        if index >= self.words.len() {
            return;
        }
        let below = bit - 1;
        let word = self.words[index];
        let mut carry = word >> 63;
        self.words[index] = (word & below) | ((word & !below) << 1);
        for word in &mut self.words[index + 1..] {
            let next = *word >> 63;
            *word = *word << 1 | carry;
            carry = next;
        }
        if carry > 0 {
            self.words.push(carry);
        }
    }

    /// Forgets a member and its place: everything after `position` moves down by one.
    pub(super) fn close_gap(&mut self, position: u32) {
        let (index, bit) = place(position);
        if index >= self.words.len() {
            return;
        }
        let below = bit - 1;
        let word = self.words[index];
        self.words[index] = (word & below) | ((word >> 1) & !below);
        for index in index + 1..self.words.len() {
            let first = self.words[index] & 1;
            self.words[index - 1] |= first << 63;
            self.words[index] >>= 1;
        }
    }

    /// Walks the members in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.blocks()).flat_map(|block| self.block(block))
    }

    /// Gives the number of blocks of 64 numbers in which members can be.
    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.words.len()).unwrap_or(u32::MAX)
    }

    /// Walks the members in one block, in ascending order.
    pub(super) fn block(&self, block: u32) -> impl Iterator<Item = u32> + use<> {
        let mut rest = self.words.get(block as usize).copied().unwrap_or(0);
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                block * 64 + bit
            })
        })
    }

    pub(super) fn into_cluster_set(self) -> ClusterSet {
        ClusterSet::from_words(self.words)
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<T: IntoIterator<Item = u32>>(members: T) -> Self {
        let mut bitmap = Self::default();
        for member in members {
            bitmap.insert(member);
        }
        bitmap
    }
}

impl Answer for Bitmap {
    fn and(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
    }

    fn or(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl Posting {
    /// More than this many members are kept as bits.
    const FEW: usize = 64;

    pub(super) fn insert(&mut self, member: u32) {
        match self {
            Self::Many(bitmap) => {
                bitmap.insert(member);
            }
            Self::Few(list) => {
                if let Err(place) = list.binary_search(&member) {
                    list.insert(place, member);
                }
                if list.len() > Self::FEW {
                    *self = Self::Many(list.iter().copied().collect());
                }
            }
        }
    }

    pub(super) fn remove(&mut self, member: u32) {
        match self {
            Self::Many(bitmap) => {
                bitmap.remove(member);
            }
            Self::Few(list) => {
                if let Ok(place) = list.binary_search(&member) {
                    list.remove(place);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(list) => list.is_empty(),
            Self::Many(bitmap) => bitmap.is_empty(),
        }
    }

    /// Adds all members to `bitmap`.
    pub(super) fn add_to(&self, bitmap: &mut Bitmap) {
        match self {
            Self::Many(members) => bitmap.or(members),
            Self::Few(list) => {
                for &member in list {
                    bitmap.insert(member);
                }
            }
        }
    }

    /// As [`Bitmap::open_gap`].
    pub(super) fn open_gap(&mut self, position: u32) {
        match self {
            Self::Many(bitmap) => bitmap.open_gap(position),
            Self::Few(list) => {
                let start = list.partition_point(|&member| member < position);
                list[start..].iter_mut().for_each(|member| *member += 1);
            }
        }
    }

    /// As [`Bitmap::close_gap`].
    pub(super) fn close_gap(&mut self, position: u32) {
        self.remove(position);
        match self {
            Self::Many(bitmap) => bitmap.close_gap(position),
            Self::Few(list) => {
                let start = list.partition_point(|&member| member < position);
                list[start..].iter_mut().for_each(|member| *member -= 1);
            }
        }
    }
}

impl Default for Posting {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// Gives the word and the bit of a number.
fn place(member: u32) -> (usize, u64) {
    (member as usize / 64, 1 << (member % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members(bitmap: &Bitmap) -> Vec<u32> {
        bitmap.iter().collect()
    }

    proptest! {
        #[test]
        fn a_gap_moves_exactly_what_comes_after_it(
            set in proptest::collection::btree_set(0u32..300, 0..120),
            position in 0u32..310,
        ) {
            let bitmap: Bitmap = set.iter().copied().collect();
            let mut posting = Posting::default();
            for &member in &set {
                posting.insert(member);
            }

            let opened: Vec<u32> = set.iter().map(|&m| if m >= position { m + 1 } else { m }).collect();
            let mut wide = bitmap.clone();
            wide.open_gap(position);
            prop_assert_eq!(members(&wide), opened.clone());
            let mut wide_posting = posting.clone();
            wide_posting.open_gap(position);
            let mut from_posting = Bitmap::default();
            wide_posting.add_to(&mut from_posting);
            prop_assert_eq!(members(&from_posting), opened);

            let closed: Vec<u32> = set
                .iter()
                .filter(|&&m| m != position)
                .map(|&m| if m > position { m - 1 } else { m })
                .collect();
            let mut narrow = bitmap;
            narrow.close_gap(position);
            prop_assert_eq!(members(&narrow), closed.clone());
            posting.close_gap(position);
            let mut from_posting = Bitmap::default();
            posting.add_to(&mut from_posting);
            prop_assert_eq!(members(&from_posting), closed);
        }

        #[test]
        fn the_algebra_is_that_of_sets(
            a in proptest::collection::btree_set(0u32..200, 0..60),
            b in proptest::collection::btree_set(0u32..300, 0..60),
        ) {
            let (left, right): (Bitmap, Bitmap) = (a.iter().copied().collect(), b.iter().copied().collect());
            let check = |result: Bitmap, wanted: BTreeSet<u32>| {
                prop_assert_eq!(members(&result), wanted.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(result.len(), wanted.len());
                prop_assert_eq!(result.is_empty(), wanted.is_empty());
                Ok(())
            };
            let apply = |change: &dyn Fn(&mut Bitmap)| {
                let mut result = left.clone();
                change(&mut result);
                result
            };
            check(apply(&|set| set.and(&right)), &a & &b)?;
            check(apply(&|set| set.or(&right)), &a | &b)?;
            check(apply(&|set| set.subtract(&right)), &a - &b)?;
            check(left.difference(&right), &a ^ &b)?;
            prop_assert_eq!(left.same(&right), a == b);
        }
    }
}
