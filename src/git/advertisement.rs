//! What a remote says first: its refs and what it can do.
//!
//! Packet lines in → [`Advertisement`]. Ref names that git would not accept are left out, so that no later step meets one.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::pktline::{Packet, RemoteFatal, read_packet, trimmed};
use crate::model::Revision;

/// More than the largest repositories have; an endless list must end somewhere.
const MAX_LINES: usize = 5_000_000;

/// The same in bytes.
const MAX_BYTES: usize = 512 * 1024 * 1024;

/// The first message of a remote.
#[derive(Debug, Default, Clone)]
pub(crate) struct Advertisement {
    /// Every ref with the object it points to, `HEAD` included.
    pub(crate) refs: BTreeMap<String, Revision>,
    /// The commits that annotated tags lead to, by the tag's full name.
    pub(crate) peeled: BTreeMap<String, Revision>,
    /// The branch that `HEAD` stands for.
    pub(crate) head: Option<String>,
    capabilities: Vec<String>,
}

impl Advertisement {
    /// Reads to the flush packet. `None` when the stream ends before the first packet.
    ///
    /// # Errors
    /// [`RemoteFatal`] inside the error for an `ERR` line, `InvalidData` for what is no advertisement.
    pub(crate) fn read(input: &mut dyn Read) -> io::Result<Option<Self>> {
        let (mut found, mut line, mut first) = (Self::default(), Vec::new(), true);
        let mut bytes = 0;
        for count in 0..MAX_LINES {
            match read_packet(input, &mut line)? {
                Packet::End if count == 0 => return Ok(None),
                Packet::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                // Over HTTP the service's name stands in a section of its own.
                Packet::Flush if first && count > 0 => {}
                Packet::Flush => return Ok(Some(found)),
                Packet::Data if line.starts_with(b"ERR ") => {
                    return Err(RemoteFatal::error(&line[4..]));
                }
                Packet::Data
                    if line.starts_with(b"# service=") || line.starts_with(b"version ") => {}
                Packet::Data if bytes > MAX_BYTES => break,
                Packet::Data => {
                    bytes += line.len();
                    found.take_line(trimmed(&line), first)?;
                    first = false;
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the list of refs does not end",
        ))
    }

    fn take_line(&mut self, line: &[u8], first: bool) -> io::Result<()> {
        let line = match (first, line.iter().position(|byte| *byte == 0)) {
            (true, Some(end)) => {
                self.take_capabilities(&String::from_utf8_lossy(&line[end + 1..]));
                &line[..end]
            }
            _ => line,
        };
        let text = String::from_utf8_lossy(line);
        let Some((id, name)) = text.split_once(' ') else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line that is no ref",
            ));
        };
        if id == "shallow" || name == ".have" || name == "capabilities^{}" {
            return Ok(());
        }
        let Some(id) = Revision::from_hex(id) else {
            let problem = if id.len() == 64 {
                "its objects are named by SHA-256"
            } else {
                "a ref without an id"
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        };
        if let Some(tag) = name.strip_suffix("^{}") {
            self.peeled.insert(tag.to_owned(), id);
        } else if name == "HEAD" || git2::Reference::is_valid_name(name) {
            self.refs.insert(name.to_owned(), id);
        }
        Ok(())
    }

    fn take_capabilities(&mut self, text: &str) {
        self.capabilities = text.split_ascii_whitespace().map(str::to_owned).collect();
        let target = self
            .value("symref")
            .and_then(|pair| pair.strip_prefix("HEAD:"));
        self.head = target
            .filter(|name| git2::Reference::is_valid_name(name))
            .map(str::to_owned);
    }

    /// Whether the remote has a capability of this name, with or without a value.
    pub(crate) fn can(&self, name: &str) -> bool {
        self.capabilities
            .iter()
            .any(|capability| capability.split('=').next() == Some(name))
    }

    /// The value of a capability.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.capabilities
            .iter()
            .filter_map(|capability| capability.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod unit {
    use super::super::pktline::{FLUSH, write_packet};
    use super::*;

    fn read(lines: &[&str]) -> io::Result<Option<Advertisement>> {
        let mut bytes = Vec::new();
        for line in lines {
            if line.is_empty() {
                bytes.extend_from_slice(FLUSH);
            } else {
                write_packet(&mut bytes, line.as_bytes());
            }
        }
        Advertisement::read(&mut &bytes[..])
    }

    #[test]
    fn refs_tags_head_and_capabilities_are_read() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let found = read(&[
            "# service=git-upload-pack\n",
            "",
            &format!("{a} HEAD\0multi_ack side-band-64k symref=HEAD:refs/heads/main agent=git/2\n"),
            &format!("{a} refs/heads/main\n"),
            &format!("{a} refs/heads/../../etc\n"),
            &format!("{b} refs/tags/v1\n"),
            &format!("{a} refs/tags/v1^{{}}\n"),
            "",
        ]);
        let found = found.expect("well-formed").expect("not empty");
        assert_eq!(
            found.refs.keys().collect::<Vec<_>>(),
            ["HEAD", "refs/heads/main", "refs/tags/v1"]
        );
        assert_eq!(found.head.as_deref(), Some("refs/heads/main"));
        assert_eq!(
            found.peeled.get("refs/tags/v1").copied(),
            Revision::from_hex(&a)
        );
        assert!(found.can("agent") && found.can("multi_ack") && !found.can("multi"));
    }

    #[test]
    fn what_is_no_advertisement_is_refused() {
        assert!(read(&[]).expect("empty").is_none());
        let zero = "0".repeat(40);
        let empty = read(&[&format!("{zero} capabilities^{{}}\0report-status"), ""]);
        assert!(
            empty
                .expect("well-formed")
                .expect("not empty")
                .refs
                .is_empty()
        );
        assert!(
            read(&["ERR no such repository"])
                .expect_err("ERR")
                .to_string()
                .contains("no such repository")
        );
        assert!(read(&["hello"]).is_err());
        assert!(read(&[&format!("{zero}x refs/heads/a")]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, id in "[0-9a-f]{40}", name in "[a-z/^{}. \0=:-]{0,20}") {
            drop(Advertisement::read(&mut &bytes[..]));
            if let Ok(Some(found)) = read(&[&format!("{id} {name}"), &format!("{id} refs/{name}"), ""]) {
                proptest::prop_assert!(found.refs.keys().all(|name| name == "HEAD" || git2::Reference::is_valid_name(name)));
            }
        }
    }
}
