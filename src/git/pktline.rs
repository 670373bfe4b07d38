//! Git's packet lines: four hexadecimal digits of length, then the bytes; and the side band that runs inside them.
//!
//! Bytes in → packets out. Lengths are bounded by the format itself (65,520 bytes); nothing here trusts a remote.

use std::io::{self, Read};

use super::error::plain_text;

/// The most bytes that one packet carries.
pub(crate) const MAX_PAYLOAD: usize = 65_516;

/// The packet that ends a section.
pub(crate) const FLUSH: &[u8] = b"0000";

/// What kind of packet was read; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A line.
    Data,
    /// `0000`: the end of a section.
    Flush,
    /// The stream ended between packets.
    End,
}

/// Reads one packet into `buffer`, replacing what was there.
///
/// # Errors
/// `InvalidData` for a malformed length, `UnexpectedEof` for a stream that ends inside a packet, or the reader's own.
pub(crate) fn read_packet(input: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<Packet> {
    buffer.clear();
    let mut digits = [0; 4];
    let mut filled = 0;
    while filled < 4 {
        match input.read(&mut digits[filled..]) {
            Ok(0) if filled == 0 => return Ok(Packet::End),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = digits
        .iter()
        .try_fold(0, |value, digit| {
            Some(value * 16 + char::from(*digit).to_digit(16)? as usize)
        })
        .ok_or_else(|| malformed(&digits))?;
    match length {
        0 => Ok(Packet::Flush),
        4..=65_520 => {
            buffer.resize(length - 4, 0);
            input.read_exact(buffer)?;
            Ok(Packet::Data)
        }
        _ => Err(malformed(&digits)),
    }
}

fn malformed(digits: &[u8]) -> io::Error {
    let start = plain_text(&String::from_utf8_lossy(digits), 8);
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("expected a packet length, found {start:?}"),
    )
}

/// Appends one packet.
pub(crate) fn write_packet(output: &mut Vec<u8>, payload: &[u8]) {
    debug_assert!(
        payload.len() <= MAX_PAYLOAD,
        "a packet of {} bytes",
        payload.len()
    );
    output.extend_from_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    output.extend_from_slice(payload);
}

/// A line without its newline.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// What the remote says to people: whole lines, without control characters, at most a screenful.
#[derive(Debug, Default, Clone)]
pub(crate) struct Messages {
    lines: Vec<String>,
    rest: Vec<u8>,
}

impl Messages {
    const LINES: usize = 40;
    const WIDTH: usize = 300;

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                // Progress is overwritten in place by a carriage return; only what stays is kept.
                b'\r' => self.rest.clear(),
                byte if self.rest.len() < 4 * Self::WIDTH => self.rest.push(byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = plain_text(&String::from_utf8_lossy(&self.rest), Self::WIDTH);
        self.rest.clear();
        if !says_nothing(&line) && self.lines.len() < Self::LINES {
            self.lines.push(line);
        }
    }

    /// All lines, the unfinished last one too.
    pub(crate) fn into_lines(mut self) -> Vec<String> {
        self.end_line();
        self.lines
    }
}

/// Tells whether a line is empty but for the word that begins it: forges write `error:` as an empty line of theirs.
fn says_nothing(line: &str) -> bool {
    let word = line.trim_end_matches([':', ' ']);
    word.is_empty()
        || (word != line && matches!(word, "error" | "fatal" | "hint" | "remote" | "warning"))
}

/// The data of a side-banded stream as a plain reader, until its flush packet; messages are kept beside.
pub(crate) struct SideBand<'a> {
    input: &'a mut dyn Read,
    messages: &'a mut Messages,
    packet: Vec<u8>,
    position: usize,
    ended: bool,
}

impl<'a> SideBand<'a> {
    pub(crate) fn new(input: &'a mut dyn Read, messages: &'a mut Messages) -> Self {
        Self {
            input,
            messages,
            packet: Vec::new(),
            position: 0,
            ended: false,
        }
    }

    /// Reads on until there is data; `false` at the end.
    fn refill(&mut self) -> io::Result<bool> {
        loop {
            match read_packet(self.input, &mut self.packet)? {
                Packet::Flush => return Ok(false),
                Packet::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Packet::Data => {}
            }
            match self.packet.first() {
                Some(1) => {
                    self.position = 1;
                    if self.packet.len() > 1 {
                        return Ok(true);
                    }
                }
                Some(2) => self.messages.add(&self.packet[1..]),
                Some(3) => return Err(RemoteFatal::error(&self.packet[1..])),
                // An empty packet keeps the connection alive.
                None => {}
                Some(_) if self.packet.starts_with(b"ERR ") => {
                    return Err(RemoteFatal::error(&self.packet[4..]));
                }
                Some(band) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("no such side band: {band}"),
                    ));
                }
            }
        }
    }
}

impl Read for SideBand<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.packet.len() && (self.ended || !self.refill()?) {
            self.ended = true;
            self.packet.clear();
            self.position = 0;
            return Ok(0);
        }
        let count = buffer.len().min(self.packet.len() - self.position);
        buffer[..count].copy_from_slice(&self.packet[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

/// The remote's own reason for ending the conversation, carried inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RemoteFatal(pub(crate) String);

impl RemoteFatal {
    pub(crate) fn error(message: &[u8]) -> io::Error {
        io::Error::other(Self(plain_text(&String::from_utf8_lossy(message), 600)))
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn packets(lines: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            if line.is_empty() {
                bytes.extend_from_slice(FLUSH);
            } else {
                write_packet(&mut bytes, line);
            }
        }
        bytes
    }

    #[test]
    fn packets_survive_the_way() {
        let bytes = packets(&[b"hello\n", b"", b"x"]);
        assert_eq!(bytes, b"000ahello\n00000005x");
        let (mut input, mut buffer) = (&bytes[..], Vec::new());
        assert_eq!(
            read_packet(&mut input, &mut buffer).expect("data"),
            Packet::Data
        );
        assert_eq!(trimmed(&buffer), b"hello");
        assert_eq!(
            read_packet(&mut input, &mut buffer).expect("flush"),
            Packet::Flush
        );
        assert_eq!(
            read_packet(&mut input, &mut buffer).expect("data"),
            Packet::Data
        );
        assert_eq!(
            read_packet(&mut input, &mut buffer).expect("end"),
            Packet::End
        );
    }

    #[test]
    fn broken_lengths_are_errors() {
        for bytes in [&b"00"[..], b"<htm", b"0003", b"fff5x", b"0009abc", b"+00a"] {
            assert!(
                read_packet(&mut &bytes[..], &mut Vec::new()).is_err(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn the_side_band_is_taken_apart() {
        let bytes = packets(&[
            b"\x01PA",
            b"\x02one\r100%\n\x1b[2Jtw",
            b"\x01CK",
            b"\x02o\n",
            b"",
        ]);
        let (mut messages, mut data) = (Messages::default(), String::new());
        SideBand::new(&mut &bytes[..], &mut messages)
            .read_to_string(&mut data)
            .expect("whole");
        assert_eq!(data, "PACK");
        assert_eq!(messages.into_lines(), ["100%", "[2Jtwo"]);
    }

    #[test]
    fn the_remotes_last_words_are_kept_and_a_cut_stream_is_noticed() {
        let fatal = packets(&[b"\x01PA", b"\x03out of memory\n"]);
        let error =
            SideBand::new(&mut &fatal[..], &mut Messages::default()).read_to_end(&mut Vec::new());
        assert_eq!(error.expect_err("fatal").to_string(), "out of memory");
        let cut = packets(&[b"\x01PA"]);
        let error =
            SideBand::new(&mut &cut[..], &mut Messages::default()).read_to_end(&mut Vec::new());
        assert_eq!(error.expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn lines_that_say_nothing_are_left_out() {
        let mut messages = Messages::default();
        messages.add(b"error:\nerror: branch main is protected\n \nremote: \nerror\n");
        let said = ["error: branch main is protected", "error"];
        assert_eq!(messages.into_lines(), said);
    }

    #[test]
    fn endless_messages_stay_small() {
        let mut messages = Messages::default();
        for _ in 0..10_000 {
            messages.add(&[b'x'; 500]);
            messages.add(b"\n");
        }
        let lines = messages.into_lines();
        assert!(lines.len() <= 40 && lines.iter().all(|line| line.len() < 310));
    }
}
