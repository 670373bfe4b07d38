//! A text that was emitted once: literal bytes with holes between them, and what goes into the holes.

use std::ops::Range;

/// An object's text, emitted once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// All literal bytes, in order, without what goes into the holes.
    pub text: Box<[u8]>,
    /// Byte offsets in `text` where fillings go, ascending; empty for a text without holes.
    pub holes: Box<[u32]>,
}

/// What goes into the holes of one prepared text, for each group of WECs with equal properties.
///
/// One buffer for all: 1,000 groups of three short scalars are some 70 KB, not 4,000 allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fillings {
    holes: usize,
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Prepared {
    /// Appends the text filled with the filling of this number to `out`.
    pub fn fill_into(&self, fillings: &Fillings, number: usize, out: &mut Vec<u8>) {
        let mut from = 0;
        for (hole, &at) in self.holes.iter().enumerate() {
            out.extend_from_slice(&self.text[from..at as usize]);
            out.extend_from_slice(fillings.get(number, hole));
            from = at as usize;
        }
        out.extend_from_slice(&self.text[from..]);
    }
}

impl Fillings {
    /// Starts an empty list for a text with this many holes.
    pub fn new(holes: usize) -> Self {
        Self {
            holes,
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Puts a list together from what [`Fillings::parts`] gave; none when the parts do not fit.
    pub fn from_parts(holes: usize, bytes: Vec<u8>, ends: Vec<u32>) -> Option<Self> {
        let whole = ends.last().map_or(0, |&end| end as usize) == bytes.len();
        let fits = ends.is_sorted() && whole && ends.len().is_multiple_of(holes);
        fits.then_some(Self { holes, bytes, ends })
    }

    /// Gives all emitted scalars, and where each ends.
    pub fn parts(&self) -> (&[u8], &[u32]) {
        (&self.bytes, &self.ends)
    }

    /// Appends the scalar for the next hole, written by `write`; after the last hole the next filling begins.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    /// Appends whole fillings of another list for the same text: those of these numbers.
    ///
    /// # Panics
    /// When the other list is shorter.
    pub fn extend_from(&mut self, other: &Self, numbers: Range<usize>) {
        let indexes = numbers.start * self.holes..numbers.end * self.holes;
        let (from, to) = (other.start(indexes.start), other.start(indexes.end));
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes[from..to]);
        let moved = |end: &u32| u32::try_from(*end as usize - from + base).unwrap_or(u32::MAX);
        self.ends.extend(other.ends[indexes].iter().map(moved));
    }

    /// Counts the complete fillings.
    pub fn len(&self) -> usize {
        self.ends.len().checked_div(self.holes).unwrap_or(0)
    }

    /// Tells whether there is no filling.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Gives all emitted scalars of one filling, one after the other: where each ends is not seen.
    pub fn bytes(&self, number: usize) -> &[u8] {
        let (from, to) = (
            self.start(number * self.holes),
            self.start((number + 1) * self.holes),
        );
        &self.bytes[from..to]
    }

    /// Tells whether a filling is the one of number `other_number` in `other`.
    pub fn is_same(&self, number: usize, other: &Self, other_number: usize) -> bool {
        number < self.len()
            && other_number < other.len()
            && self.holes == other.holes
            && self.bytes(number) == other.bytes(other_number)
            && (0..self.holes)
                .all(|hole| self.get(number, hole).len() == other.get(other_number, hole).len())
    }

    /// Gives the emitted scalar of one filling for one hole; empty when there is none.
    pub fn get(&self, number: usize, hole: usize) -> &[u8] {
        let index = number * self.holes + hole;
        &self.bytes[self.start(index)..self.start(index + 1)]
    }

    /// Where the scalar of this number, counted over all fillings, begins; behind the last one the end.
    fn start(&self, index: usize) -> usize {
        let before = index.min(self.ends.len()).checked_sub(1);
        before.map_or(0, |before| self.ends[before] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_puts_each_scalar_into_its_hole() {
        let prepared = Prepared {
            text: (*b"a: \nb: \n").into(),
            holes: [3, 7].into(),
        };
        let mut fillings = Fillings::new(2);
        for scalar in ["one", "two", "three", "four"] {
            fillings.push(|out| out.extend_from_slice(scalar.as_bytes()));
        }
        assert_eq!(fillings.len(), 2);
        let mut out = Vec::new();
        prepared.fill_into(&fillings, 1, &mut out);
        assert_eq!(out, b"a: three\nb: four\n");
    }

    #[test]
    fn fillings_of_another_list_follow_those_that_are_there() {
        let mut first = Fillings::new(2);
        for scalar in ["a", "", "bc", "d", "e", "fgh"] {
            first.push(|out| out.extend_from_slice(scalar.as_bytes()));
        }
        let mut second = Fillings::new(2);
        second.extend_from(&first, 2..3);
        second.extend_from(&first, 0..2);
        for (number, origin) in [(0, 2), (1, 0), (2, 1)] {
            assert!(second.is_same(number, &first, origin), "{number}");
        }
        assert_eq!(second.len(), 3);
    }

    #[test]
    fn a_text_without_holes_is_itself() {
        let plain = Prepared {
            text: (*b"a: 1\n").into(),
            holes: [].into(),
        };
        let mut out = Vec::new();
        plain.fill_into(&Fillings::default(), 0, &mut out);
        assert_eq!(out, b"a: 1\n");
    }
}
