//! A set of WECs as a bitmap over their positions in the sorted inventory.

/// A set of WECs. A WEC is named by its position in [`Inventory::clusters`](crate::inventory::Inventory), which is sorted by name.
///
/// 5,000 WECs are 632 bytes; union, intersection and comparison work on whole words.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterSet {
    /// Bits, least significant first; no trailing zero words, so that equal sets are equal values.
    words: Vec<u64>,
}

impl ClusterSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of the positions `0..count`.
    pub fn all(count: usize) -> Self {
        let mut words = vec![u64::MAX; count / 64];
        if !count.is_multiple_of(64) {
            words.push((1 << (count % 64)) - 1);
        }
        Self { words }
    }

    /// Builds a set from raw words, least significant bit first.
    pub fn from_words(mut words: Vec<u64>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }

    /// Gives the words, least significant bit first, without trailing zeros.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds a WEC; tells whether it was new.
    pub fn insert(&mut self, position: usize) -> bool {
        let (word, bit) = (position / 64, 1 << (position % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// Tells whether a WEC is in the set.
    pub fn contains(&self, position: usize) -> bool {
        self.words
            .get(position / 64)
            .is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    /// Tells whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Counts the WECs.
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Adds all of `other`.
    pub fn union_with(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Gives the WECs that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::from_words(
            self.words
                .iter()
                .zip(&other.words)
                .map(|(a, b)| a & b)
                .collect(),
        )
    }

    /// Gives the WECs that are in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let theirs = other.words.iter().copied().chain(std::iter::repeat(0));
        Self::from_words(self.words.iter().zip(theirs).map(|(a, b)| a & !b).collect())
    }

    /// Walks the positions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

impl FromIterator<usize> for ClusterSet {
    fn from_iter<T: IntoIterator<Item = usize>>(positions: T) -> Self {
        let mut set = Self::new();
        for position in positions {
            set.insert(position);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_what_was_put_in_sorted() {
        let set: ClusterSet = [130, 3, 64, 3].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 130]);
        assert_eq!(set.len(), 3);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(10_000));
    }

    #[test]
    fn equal_sets_are_equal_however_they_came_about() {
        let long: ClusterSet = [1, 200].into_iter().collect();
        let short: ClusterSet = [1].into_iter().collect();
        assert_eq!(long.intersection(&ClusterSet::all(70)), short);
        assert_eq!(long.difference(&short).iter().collect::<Vec<_>>(), [200]);
        assert_eq!(ClusterSet::all(128).len(), 128);
        assert_eq!(ClusterSet::all(65).iter().last(), Some(64));
        assert!(ClusterSet::all(0).is_empty());
    }
}
