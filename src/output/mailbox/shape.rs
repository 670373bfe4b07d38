//! Which work an object belongs to: its key → a slot, and a shape that divides all slots → a part.
//!
//! A part is all slots that begin with the same bits, as in a radix tree. A part that is full is split in two: the half that
//! begins with 0 keeps the work, the other half gets a new one. Nothing else moves, ever: which objects there are is never
//! asked. A work's name tells where its part begins, so the names of the works that stand tell the shape.

use std::collections::BTreeMap;

use crate::model::ObjectKey;

/// The most bits that a part can have: beyond it there are no two objects in one part.
const DEEPEST: u8 = 28;

/// What an object is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What others need first: Namespaces and CRDs.
    First,
    /// Everything else.
    Rest,
}

impl Class {
    /// Gives the class of an object.
    pub fn of(key: &ObjectKey) -> Self {
        match (&*key.group, &*key.kind) {
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::First,
            _ => Self::Rest,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Rest => "rest",
        }
    }
}

/// Where a part begins: what a work is called after.
pub type Place = (Class, u32);

/// A part of all objects of a class: those whose slots begin with the first `bits` of `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The class.
    pub class: Class,
    /// The first slot.
    pub start: u32,
    /// How many of its bits count.
    pub bits: u8,
}

impl Part {
    /// All of a class.
    pub fn whole(class: Class) -> Self {
        Self {
            class,
            start: 0,
            bits: 0,
        }
    }

    /// What tells it from other parts, also when it is split.
    pub fn place(self) -> Place {
        (self.class, self.start)
    }

    /// Tells whether an object with this slot belongs here.
    pub fn contains(self, slot: u32) -> bool {
        self.bits == 0 || (slot ^ self.start) >> (32 - u32::from(self.bits)) == 0
    }

    /// The end of a work's name: the class, and the bits up to the last 1. It does not change when the part is split.
    pub fn suffix(self) -> String {
        match 32 - self.start.trailing_zeros() {
            0 => self.class.word().to_owned(),
            length => format!("{}-{}", self.class.word(), digits(self.start, length)),
        }
    }

    /// Reads the end of a work's name; the least part that may be called so.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        let (word, bits) = suffix.split_once('-').unwrap_or((suffix, ""));
        let class = [Class::First, Class::Rest]
            .into_iter()
            .find(|class| class.word() == word)?;
        let part = Self::from_bits(class, bits)?;
        (part.suffix() == suffix).then_some(part)
    }

    /// All bits, as the annotation has them.
    pub fn written(self) -> String {
        digits(self.start, u32::from(self.bits))
    }

    /// Reads the annotation of a work that [begins](Self::from_suffix) somewhere.
    pub fn from_bits(class: Class, bits: &str) -> Option<Self> {
        let length = u8::try_from(bits.len())
            .ok()
            .filter(|&length| length <= DEEPEST)?;
        let mut start = 0;
        for (digit, place) in bits.bytes().zip((0..32).rev()) {
            match digit {
                b'0' => {}
                b'1' => start |= 1 << place,
                _ => return None,
            }
        }
        Some(Self {
            class,
            start,
            bits: length,
        })
    }
}

fn digits(start: u32, length: u32) -> String {
    let digit = |place: u32| {
        if start >> (31 - place) & 1 == 1 {
            '1'
        } else {
            '0'
        }
    };
    (0..length).map(digit).collect()
}

/// The slot of an object: evenly spread, and the same for all time.
pub fn slot(key: &ObjectKey) -> u32 {
    let text = format!(
        "{}\0{}\0{}\0{}",
        key.group, key.kind, key.namespace, key.name
    );
    let digest = super::sha256(text.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// How all slots are divided: the parts of both classes, which overlap nowhere and leave nothing out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Where each part begins, and its bits.
    parts: BTreeMap<(Class, u32), u8>,
}

impl Default for Shape {
    fn default() -> Self {
        let whole = [Class::First, Class::Rest].map(|class| ((class, 0), 0));
        Self {
            parts: whole.into(),
        }
    }
}

impl Shape {
    /// The coarsest shape with a part that begins where each of these does.
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut shape = Self::default();
        for part in parts {
            loop {
                let found = shape.find(part.class, part.start);
                if found.start == part.start || !shape.split(found) {
                    break;
                }
            }
        }
        shape
    }

    /// Finds the part of a slot.
    pub fn find(&self, class: Class, slot: u32) -> Part {
        let before = self.parts.range(..=(class, slot)).next_back();
        let (start, bits) = before.map_or((0, 0), |(&(_, start), &bits)| (start, bits));
        Part { class, start, bits }
    }

    /// Splits a part in two; tells whether it could.
    pub fn split(&mut self, part: Part) -> bool {
        if part.bits >= DEEPEST {
            return false;
        }
        let bits = part.bits + 1;
        self.parts.insert((part.class, part.start), bits);
        let second = part.start | 1 << (32 - u32::from(bits));
        self.parts.insert((part.class, second), bits);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_split_gives_one_half_a_name_and_leaves_the_other_its_own() {
        let mut shape = Shape::default();
        let names = |shape: &Shape| -> Vec<(String, String)> {
            let parts =
                shape
                    .parts
                    .iter()
                    .map(|(&(class, start), &bits)| Part { class, start, bits });
            parts.map(|part| (part.suffix(), part.written())).collect()
        };
        shape.split(shape.find(Class::Rest, 0));
        shape.split(shape.find(Class::Rest, 0));
        shape.split(shape.find(Class::Rest, u32::MAX));
        let wanted = [
            ("first", ""),
            ("rest", "00"),
            ("rest-01", "01"),
            ("rest-1", "10"),
            ("rest-11", "11"),
        ];
        assert_eq!(
            names(&shape),
            wanted.map(|(name, bits)| (name.to_owned(), bits.to_owned()))
        );
    }

    proptest! {
        #[test]
        fn the_names_of_all_works_tell_the_shape(slots in prop::collection::vec(any::<u32>(), 0..40)) {
            let mut shape = Shape::default();
            for slot in slots {
                let part = shape.find(Class::Rest, slot);
                if part.bits < 6 {
                    shape.split(part);
                }
            }
            let names: Vec<Part> = shape
                .parts
                .iter()
                .map(|(&(class, start), &bits)| Part::from_suffix(&Part { class, start, bits }.suffix()).unwrap())
                .collect();
            prop_assert_eq!(Shape::of(names.clone()), shape.clone());
            prop_assert_eq!(Shape::of(names.into_iter().rev()), shape);
        }

        #[test]
        fn every_slot_is_in_the_part_that_is_found_for_it(slot: u32, others in prop::collection::vec(any::<u32>(), 0..20)) {
            let mut shape = Shape::default();
            for other in others {
                shape.split(shape.find(Class::Rest, other));
            }
            let part = shape.find(Class::Rest, slot);
            prop_assert!(part.contains(slot));
            prop_assert_eq!(Part::from_bits(Class::Rest, &part.written()), Some(part));
        }
    }
}
