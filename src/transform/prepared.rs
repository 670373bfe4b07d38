//! A text that was emitted once: literal bytes with holes between them, and what goes into the holes.

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

/// A piece of a filled text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Bytes that all fillings share.
    Literal(&'a [u8]),
    /// The bytes of one filling in the hole of this number.
    Filled(usize, &'a [u8]),
}

impl Prepared {
    /// Walks the pieces of the text filled with the filling of this number.
    pub fn segments<'a>(
        &'a self,
        fillings: &'a Fillings,
        number: usize,
    ) -> impl Iterator<Item = Segment<'a>> {
        let mut from = 0;
        let filled = self.holes.iter().enumerate().flat_map(move |(hole, &at)| {
            let literal = &self.text[from..at as usize];
            from = at as usize;
            [
                Segment::Literal(literal),
                Segment::Filled(hole, fillings.get(number, hole)),
            ]
        });
        let tail = self.holes.last().map_or(0, |&at| at as usize);
        filled.chain(std::iter::once(Segment::Literal(&self.text[tail..])))
    }

    /// Appends the text filled with the filling of this number to `out`.
    pub fn fill_into(&self, fillings: &Fillings, number: usize, out: &mut Vec<u8>) {
        for segment in self.segments(fillings, number) {
            match segment {
                Segment::Literal(bytes) | Segment::Filled(_, bytes) => out.extend_from_slice(bytes),
            }
        }
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

    /// Appends the scalar for the next hole, written by `write`; after the last hole the next filling begins.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    /// Counts the complete fillings.
    pub fn len(&self) -> usize {
        self.ends.len().checked_div(self.holes).unwrap_or(0)
    }

    /// Tells whether there is no filling.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Gives all emitted scalars of one filling, in the order of the holes.
    pub fn scalars(&self, number: usize) -> Box<[&[u8]]> {
        (0..self.holes).map(|hole| self.get(number, hole)).collect()
    }

    /// Gives the emitted scalar of one filling for one hole; empty when there is none.
    pub fn get(&self, number: usize, hole: usize) -> &[u8] {
        let index = number * self.holes + hole;
        let from = if index == 0 {
            0
        } else {
            self.ends.get(index - 1).map_or(0, |&at| at as usize)
        };
        self.ends
            .get(index)
            .map_or(&[], |&end| &self.bytes[from..end as usize])
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
