//! [`ParsedBlob`] ⇄ bytes, for the disk. Manifests stay packed. Never panics on any bytes: what it cannot read it gives
//! back as nothing.

use std::sync::Arc;

use crate::model::packed::{PackedReader, write_length, write_string};
use crate::model::{Labels, Manifest};
use crate::source::parse::{ParsedBlob, ParsedDocument};

/// The reasons for passing over a file that are worth keeping; their positions are written.
const REASONS: [&str; 2] = ["it is empty", "no apiVersion and kind"];

/// Writes a file's objects; none for what is parsed again each time: files with errors.
pub(super) fn encode(blob: &ParsedBlob) -> Option<Vec<u8>> {
    if !blob.errors.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    let skipped = match blob.skipped {
        Some(reason) => REASONS.iter().position(|known| *known == reason)? + 1,
        None => 0,
    };
    write_length(&mut bytes, skipped);
    write_length(&mut bytes, blob.documents.len());
    for document in &blob.documents {
        write_length(&mut bytes, usize::try_from(document.index).ok()?);
        write_length(&mut bytes, usize::try_from(document.line).ok()?);
        write_length(&mut bytes, usize::from(document.controlled));
        for text in [&document.api_version, &document.kind, &document.name] {
            write_string(&mut bytes, text);
        }
        write_string(
            &mut bytes,
            document.namespace.as_deref().unwrap_or_default(),
        );
        write_labels(&mut bytes, &document.labels);
        write_labels(&mut bytes, &document.annotations);
        let packed = document.manifest.as_bytes();
        write_length(&mut bytes, packed.len());
        bytes.extend_from_slice(packed);
    }
    Some(bytes)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Option<ParsedBlob> {
    let mut reader = PackedReader::new(bytes);
    let skipped = match reader.length()? {
        0 => None,
        position => Some(*REASONS.get(position - 1)?),
    };
    let count = reader.length()?;
    let mut documents = Vec::with_capacity(count.min(reader.rest()));
    for _ in 0..count {
        documents.push(read_document(&mut reader)?);
    }
    reader.is_at_end().then(|| ParsedBlob {
        documents,
        errors: Vec::new(),
        skipped,
    })
}

fn read_document(reader: &mut PackedReader<'_>) -> Option<ParsedDocument> {
    let index = u32::try_from(reader.length()?).ok()?;
    let line = u32::try_from(reader.length()?).ok()?;
    let controlled = reader.length()? != 0;
    let (api_version, kind) = (reader.string()?.into(), reader.string()?.into());
    let (name, namespace) = (reader.string()?.into(), reader.string()?);
    let labels = Arc::new(read_labels(reader)?);
    let annotations = Arc::new(read_labels(reader)?);
    let length = reader.length()?;
    Some(ParsedDocument {
        index,
        line,
        api_version,
        kind,
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        name,
        labels,
        annotations,
        controlled,
        manifest: Manifest::from_bytes(reader.take(length)?)?,
    })
}

fn write_labels(bytes: &mut Vec<u8>, labels: &Labels) {
    write_length(bytes, labels.len());
    for (key, value) in labels {
        write_string(bytes, key);
        write_string(bytes, value);
    }
}

fn read_labels(reader: &mut PackedReader<'_>) -> Option<Labels> {
    let count = reader.length()?;
    let mut labels = Vec::with_capacity(count.min(reader.rest()));
    for _ in 0..count {
        labels.push((reader.string()?.to_owned(), reader.string()?.to_owned()));
    }
    Some(labels.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::parse::parse;

    const POD: &[u8] = b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: b\n  labels: {c: d}\n  annotations: {e: f}\n  ownerReferences: [{controller: true}]\n";

    fn again(text: &[u8]) -> ParsedBlob {
        decode(&encode(&parse(text)).expect("no errors")).expect("what was written")
    }

    #[test]
    fn everything_that_is_known_of_a_file_comes_back() {
        let (first, second) = (parse(POD), again(POD));
        assert_eq!(first.documents, second.documents);
        assert!(second.documents[0].controlled);
    }

    #[test]
    fn a_file_without_objects_is_known_to_have_none() {
        assert_eq!(again(b"a: 1\n").skipped, Some("no apiVersion and kind"));
        assert_eq!(again(b"# nothing\n").skipped, Some("it is empty"));
    }

    #[test]
    fn damaged_bytes_give_nothing_and_no_panic() {
        let whole = encode(&parse(POD)).expect("no errors");
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_none(), "cut at {end}");
        }
        for position in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] ^= flip;
                drop(decode(&damaged));
            }
        }
    }
}
