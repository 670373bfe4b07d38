//! Numbers, strings and lists in one run of bytes, for what is kept packed in memory and on disk.
//!
//! Never panics on any bytes: where they are not what is asked for, reading gives nothing.

/// Appends a string with its length before it.
pub fn write_string(bytes: &mut Vec<u8>, text: &str) {
    write_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Appends a number: seven bits a byte, the lowest first; the eighth says that more follow.
pub fn write_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        bytes.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    bytes.push(length.to_le_bytes()[0]);
}

/// Reads packed bytes from front to back; gives nothing where they are not what is asked for.
#[derive(Debug)]
pub struct PackedReader<'b> {
    bytes: &'b [u8],
}

impl<'b> PackedReader<'b> {
    /// Begins at the front.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Tells whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Counts the bytes that were not read yet: no list is longer.
    pub fn rest(&self) -> usize {
        self.bytes.len()
    }

    /// Reads so many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    /// Reads so many bytes that their number is known beforehand.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Reads what [`write_length`] wrote.
    pub fn length(&mut self) -> Option<usize> {
        let mut length = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = *self.take(1)?.first()?;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(length);
            }
        }
        None
    }

    /// Reads what [`write_string`] wrote.
    pub fn string(&mut self) -> Option<&'b str> {
        let count = self.length()?;
        std::str::from_utf8(self.take(count)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back_and_what_is_cut_does_not() {
        let mut bytes = Vec::new();
        for length in [0, 127, 128, usize::MAX] {
            write_length(&mut bytes, length);
        }
        write_string(&mut bytes, "ü");
        let mut reader = PackedReader::new(&bytes);
        let lengths: Vec<_> = (0..4).map(|_| reader.length()).collect();
        assert_eq!(lengths, [Some(0), Some(127), Some(128), Some(usize::MAX)]);
        assert_eq!(reader.string(), Some("ü"));
        assert!(reader.is_at_end() && reader.length().is_none());
        let mut reader = PackedReader::new(&bytes[bytes.len() - 3..bytes.len() - 1]);
        assert_eq!(reader.string(), None);
    }
}
