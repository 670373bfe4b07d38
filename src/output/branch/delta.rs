//! Differences that are known by construction: a base object and its sibling → git's copy and insert instructions.
//!
//! The renderings of one template for two WECs agree outside the template's holes, and two trees that differ in some
//! ids agree outside those ids. Where the holes lie is known to whoever filled them, so nothing is searched for: one
//! comparison of what lies between confirms it, and a delta is never wrong.
//!
//! The format is git's (`Documentation/gitformat-pack.txt`, "Deltified representation"). Never decides whether a delta
//! is worth it: [`super::pack::PackSegment::add_sibling`] does.

use std::ops::Range;

/// The longest insert that one instruction holds.
const INSERT_LIMIT: usize = 127;
/// The longest copy that one instruction holds: three bytes of length.
const COPY_LIMIT: usize = 0x00ff_ffff;

/// A text with holes: where the parts lie in it that may differ from its siblings'.
#[derive(Clone, Copy, Debug)]
pub struct Filled<'a> {
    /// The whole text, holes filled.
    pub text: &'a [u8],
    /// The ranges of `text` that are fillings, ascending, not overlapping.
    pub holes: &'a [Range<usize>],
}

/// The instructions that make one object out of another, as they stand in a pack.
///
/// One value serves any number of deltas, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    bytes: Vec<u8>,
}

impl Delta {
    /// Gives a delta without any instruction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the former instructions and begins with those for a base and a result of these lengths.
    pub fn start(&mut self, base_length: usize, result_length: usize) {
        self.bytes.clear();
        push_length(&mut self.bytes, base_length);
        push_length(&mut self.bytes, result_length);
    }

    /// Appends `length` bytes of the base, from `offset` on, to the result.
    ///
    /// # Panics
    /// When the bytes do not lie within the first 4 GiB of the base: the format has no way to say so.
    pub fn copy(&mut self, offset: usize, length: usize) {
        let end = offset + length;
        let mut offset = offset;
        while offset < end {
            let taken = (end - offset).min(COPY_LIMIT);
            let start =
                u32::try_from(offset).expect("a delta copies from the first 4 GiB of its base");
            push_copy(&mut self.bytes, start, taken);
            offset += taken;
        }
    }

    /// Appends `bytes` to the result.
    pub fn insert(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(INSERT_LIMIT) {
            self.bytes.push(low_byte(piece.len()));
            self.bytes.extend_from_slice(piece);
        }
    }

    /// Writes the delta from `base` to `this`: fillings of the same template.
    ///
    /// What lies between the holes is copied, as are fillings that agree, wholly or at their ends; the rest is
    /// inserted. Should the texts differ between the holes after all, then everything behind the first such place is
    /// inserted: the result is `this` in any case.
    pub fn sibling(&mut self, base: Filled<'_>, this: Filled<'_>) {
        self.start(base.text.len(), this.text.len());
        if u32::try_from(base.text.len()).is_err() {
            return self.insert(this.text);
        }
        let mut run = Run {
            delta: self,
            this: this.text,
            base_start: 0,
            start: 0,
            waiting: 0,
        };
        let (mut base_end, mut end) = (0, 0);
        for (base_hole, hole) in base.holes.iter().zip(this.holes) {
            let literal = base.text.get(base_end..base_hole.start);
            let fillings = (
                base.text.get(base_hole.clone()),
                this.text.get(hole.clone()),
            );
            let (Some(old), Some(new)) = fillings else {
                break;
            };
            if literal.is_none() || literal != this.text.get(end..hole.start) {
                break;
            }
            if old != new {
                let head = common_prefix(old, new);
                let tail = common_suffix(&old[head..], &new[head..]);
                run.replace(
                    base_hole.start + head..base_hole.end - tail,
                    hole.start + head..hole.end - tail,
                );
            }
            (base_end, end) = (base_hole.end, hole.end);
        }
        if base.text[base_end..] != this.text[end..] {
            run.replace(base_end..base.text.len(), end..this.text.len());
        }
        run.replace(
            base.text.len()..base.text.len(),
            this.text.len()..this.text.len(),
        );
        run.delta.insert(&run.this[run.waiting..]);
    }

    /// Gives the instructions, preceded by the two lengths: the payload of a delta entry in a pack.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The run of equal bytes under way, and what waits to be inserted before it: only a run's length tells whether
/// copying it pays.
struct Run<'a> {
    delta: &'a mut Delta,
    this: &'a [u8],
    /// Where the run starts in the base.
    base_start: usize,
    /// Where the run starts in the text.
    start: usize,
    /// From here to the run's start the text waits to be inserted.
    waiting: usize,
}

impl Run<'_> {
    /// Ends the run where `base` is replaced by `this`, and starts the next one behind.
    fn replace(&mut self, base: Range<usize>, this: Range<usize>) {
        let length = this.start - self.start;
        // A run that is shorter than the instruction to copy it joins the inserts around it.
        if length > copy_cost(self.base_start, length) {
            self.delta.insert(&self.this[self.waiting..self.start]);
            self.delta.copy(self.base_start, length);
            self.waiting = this.start;
        }
        self.base_start = base.end;
        self.start = this.end;
    }
}

/// Gives the length of one copy instruction; zero bytes inside a number, which are left out, are not looked for.
fn copy_cost(offset: usize, length: usize) -> usize {
    let bytes = |number: usize| (usize::BITS - number.leading_zeros()).div_ceil(8) as usize;
    1 + bytes(offset) + bytes(length)
}

/// Writes one copy instruction: a byte that says which bytes of offset and length follow, then those that are not 0.
fn push_copy(bytes: &mut Vec<u8>, offset: u32, length: usize) {
    let opcode = bytes.len();
    bytes.push(0x80);
    // The length 0x10000 is what no length at all means.
    let length = if length == 0x1_0000 { 0 } else { length };
    let offset_bytes = offset.to_le_bytes();
    let length_bytes = length.to_le_bytes();
    for (bit, byte) in offset_bytes.iter().chain(&length_bytes[..3]).enumerate() {
        if *byte != 0 {
            bytes[opcode] |= 1 << bit;
            bytes.push(*byte);
        }
    }
}

/// Writes a length in groups of seven bits, the lowest first.
fn push_length(bytes: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    while rest >= 0x80 {
        bytes.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    bytes.push(low_byte(rest));
}

/// Gives the lowest eight bits.
pub(super) const fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

fn common_suffix(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(left, right)| left == right)
        .count()
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "one hole is a list of one range"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies a delta as git does; panics where git would refuse.
    fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut next = || {
            at += 1;
            delta.get(at - 1).copied()
        };
        let mut lengths = [0_usize; 2];
        for length in &mut lengths {
            for shift in (0..).step_by(7) {
                let byte = next().unwrap();
                *length |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        assert_eq!(lengths[0], base.len());
        let mut result = Vec::new();
        while let Some(opcode) = next() {
            if opcode & 0x80 == 0 {
                assert_ne!(opcode, 0, "opcode 0 is reserved");
                result.extend((0..opcode).map(|_| next().unwrap()));
                continue;
            }
            let mut numbers = [0_usize; 7];
            for (bit, number) in numbers.iter_mut().enumerate() {
                if opcode & (1 << bit) != 0 {
                    *number = usize::from(next().unwrap());
                }
            }
            let offset = numbers[0] | numbers[1] << 8 | numbers[2] << 16 | numbers[3] << 24;
            let length = numbers[4] | numbers[5] << 8 | numbers[6] << 16;
            let length = if length == 0 { 0x1_0000 } else { length };
            result.extend_from_slice(&base[offset..offset + length]);
        }
        assert_eq!(lengths[1], result.len());
        result
    }

    /// Fills the holes between literals.
    fn fill(literals: &[Vec<u8>], fillings: &[Vec<u8>]) -> (Vec<u8>, Vec<Range<usize>>) {
        let mut text = literals[0].clone();
        let mut holes = Vec::new();
        for (filling, literal) in fillings.iter().zip(&literals[1..]) {
            let start = text.len();
            text.extend_from_slice(filling);
            holes.push(start..text.len());
            text.extend_from_slice(literal);
        }
        (text, holes)
    }

    #[test]
    fn a_sibling_costs_its_own_bytes_and_a_few_more() {
        let literals = [vec![b'a'; 700], vec![b'b'; 2], vec![b'c'; 700]];
        let (base, base_holes) = fill(&literals, &[b"wec-0001".to_vec(), b"east".to_vec()]);
        let (this, holes) = fill(&literals, &[b"wec-0002".to_vec(), b"northern".to_vec()]);
        let mut delta = Delta::new();
        delta.sibling(
            Filled {
                text: &base,
                holes: &base_holes,
            },
            Filled {
                text: &this,
                holes: &holes,
            },
        );
        assert_eq!(apply(&base, delta.as_bytes()), this);
        // Two lengths; copy; insert `2`, the two bytes between and `northern`; copy.
        assert_eq!(delta.as_bytes().len(), 4 + 3 + (1 + 11) + 5);
    }

    #[test]
    fn holes_that_tell_a_lie_cost_bytes_but_never_correctness() {
        let base = b"one two three four".repeat(5);
        let this = b"one TWO three five".repeat(4);
        let outside = [3..5, 200..300];
        let backwards = [20..30, 5..9];
        for holes in [&[][..], &[0..1][..], &outside[..], &backwards[..]] {
            let mut delta = Delta::new();
            delta.sibling(
                Filled { text: &base, holes },
                Filled {
                    text: &this,
                    holes: &[4..7, 8..9],
                },
            );
            assert_eq!(apply(&base, delta.as_bytes()), this);
            delta.sibling(
                Filled {
                    text: &base,
                    holes: &[4..7, 8..9],
                },
                Filled { text: &this, holes },
            );
            assert_eq!(apply(&base, delta.as_bytes()), this);
        }
    }

    #[test]
    fn copies_and_inserts_of_every_length_are_split_as_git_wants() {
        let base: Vec<u8> = (0..17_000_000_u32)
            .map(|number| low_byte(number as usize * 7 / 5))
            .collect();
        let copies = [
            (0, 1),
            (255, 256),
            (256, 0xffff),
            (1, 0x1_0000),
            (0x1_0000, 0x1_0001),
            (3, 0xff_ffff),
            (5, 0x100_0000),
            (0xf000, 0x100_0001),
            (0x100_0000, 1_000),
            (9, 0),
        ];
        for (offset, length) in copies {
            let mut delta = Delta::new();
            let inserted = &base[..length % 1_000];
            delta.start(base.len(), length + inserted.len());
            delta.copy(offset, length);
            delta.insert(inserted);
            let wanted = [&base[offset..offset + length], inserted].concat();
            assert!(
                apply(&base, delta.as_bytes()) == wanted,
                "copy of {length} bytes from {offset}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_sibling_is_always_restored_from_its_base(
            literals in prop::collection::vec(prop::collection::vec(0..3_u8, 0..300), 1..8),
            fillings in prop::collection::vec((prop::collection::vec(0..3_u8, 0..9), prop::collection::vec(0..3_u8, 0..200)), 7),
        ) {
            let (old, new): (Vec<_>, Vec<_>) = fillings.into_iter().unzip();
            let (base, base_holes) = fill(&literals, &old);
            let (this, holes) = fill(&literals, &new);
            let mut delta = Delta::new();
            delta.sibling(Filled { text: &base, holes: &base_holes }, Filled { text: &this, holes: &holes });
            prop_assert_eq!(apply(&base, delta.as_bytes()), this);
        }
    }
}
