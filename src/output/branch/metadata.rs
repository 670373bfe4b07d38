//! What a generated commit says of itself: message, trailers, `hydrator.metadata` and its note; written here and read back.
//!
//! Pure. The shapes of `hydrator.metadata` and of the note are those that Argo CD's source hydrator and gitops-promoter
//! write and read; the trailers are what `stellate verify` renders the commit again from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lock::LockedFolder;
use crate::model::Revision;

/// The file at the root of the generated tree that Argo CD and gitops-promoter read.
pub const HYDRATOR_METADATA: &str = "hydrator.metadata";
/// The reference that holds a note for each generated commit.
pub const NOTES_REFERENCE: &str = "refs/notes/hydrator.metadata";
/// The trailer that names a wave whose WECs keep what they have.
pub const HELD_WAVE: &str = "Held-Wave";
/// The most WECs that a message names with one source commit; `stellate.lock` has all of them.
const NAMED: usize = 5;
/// What a commit by Stellate says in its `Rendered-By` trailer, before the version.
const RENDERED_BY: &str = "stellate";

/// The commit that people wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCommit {
    /// Its id.
    pub id: Revision,
    /// Author's name.
    pub author_name: String,
    /// Author's e-mail address.
    pub author_email: String,
    /// Author date, in seconds since 1970 UTC.
    pub seconds: i64,
    /// Author date's minutes east of UTC.
    pub offset_minutes: i32,
    /// First line of the message.
    pub subject: String,
    /// The rest of the message.
    pub body: String,
}

/// Where a generated commit came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The source repository, without credentials.
    pub repository: String,
    /// The branch, tag or revision that was asked for.
    pub reference: String,
    /// The commit that was rendered.
    pub commit: SourceCommit,
    /// Digest of the inventory facts that were used: `sha256:` and hexadecimal digits.
    pub inventory_digest: String,
}

/// What the trailers of a generated commit say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailers {
    /// `Source-Repository`.
    pub repository: String,
    /// `Source-Ref`.
    pub reference: String,
    /// `Source-Commit`.
    pub commit: Revision,
    /// `Inventory-Digest`.
    pub inventory_digest: String,
    /// `Rendered-By`: program and version.
    pub rendered_by: String,
}

/// The contents of `hydrator.metadata`; in a note only `dry_sha` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HydratorMetadata {
    #[serde(rename = "repoURL", skip_serializing_if = "String::is_empty")]
    repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dry_sha: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    date: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
}

/// Gives the message of a generated commit: the source's subject, which WECs keep what they have, then the trailers.
pub fn message(provenance: &Provenance, held: &[LockedFolder]) -> String {
    let commit = &provenance.commit;
    let id = commit.id.to_string();
    let subject = one_line(&commit.subject);
    let (body, trailers) = waves(held);
    format!(
        "Render {}{}{subject}\n\n{body}Source-Repository: {}\nSource-Ref: {}\nSource-Commit: {id}\nInventory-Digest: {}\n\
         {trailers}Rendered-By: {RENDERED_BY}/{}\n",
        &id[..12],
        if subject.is_empty() { "" } else { ": " },
        one_line(&provenance.repository),
        one_line(&provenance.reference),
        provenance.inventory_digest,
        env!("CARGO_PKG_VERSION"),
    )
}

/// Says which waves are not open, and which source commit their WECs still have: a paragraph, and a trailer for each wave.
fn waves(held: &[LockedFolder]) -> (String, String) {
    let mut waves: BTreeMap<&str, BTreeMap<Option<Revision>, Vec<&str>>> = BTreeMap::new();
    for folder in held {
        let sources = waves.entry(&folder.wave).or_default();
        let names = sources.entry(folder.source).or_default();
        names.push(&folder.cluster);
    }
    let (mut body, mut trailers) = (String::new(), String::new());
    for (wave, sources) in waves {
        for (source, names) in sources {
            let first = names[..names.len().min(NAMED)].join(", ");
            let more = match names.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let what = match source {
                Some(source) => format!("keep {}", &source.to_string()[..12]),
                None => "keep what they have".to_owned(),
            };
            body.push_str(&format!("Wave {wave} is not open: {first}{more} {what}\n"));
        }
        trailers.push_str(&format!("{HELD_WAVE}: {wave}\n"));
    }
    if !body.is_empty() {
        body.push('\n');
    }
    (body, trailers)
}

/// Reads the trailers of a commit; `None` when Stellate did not write it.
pub fn trailers(message: &str) -> Option<Trailers> {
    let last_paragraph = message.trim_end().rsplit("\n\n").next()?;
    let value = |name: &str| {
        last_paragraph
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    let rendered_by = value("Rendered-By")?;
    if !rendered_by.starts_with(RENDERED_BY) {
        return None;
    }
    Some(Trailers {
        repository: value("Source-Repository")?,
        reference: value("Source-Ref")?,
        commit: Revision::from_hex(&value("Source-Commit")?)?,
        inventory_digest: value("Inventory-Digest")?,
        rendered_by,
    })
}

/// Gives the bytes of `hydrator.metadata`.
pub fn hydrator_metadata(provenance: &Provenance) -> Vec<u8> {
    let commit = &provenance.commit;
    to_json(&HydratorMetadata {
        repository: provenance.repository.clone(),
        dry_sha: commit.id.to_string(),
        author: format!("{} <{}>", commit.author_name, commit.author_email),
        date: rfc3339(commit.seconds, commit.offset_minutes),
        subject: commit.subject.clone(),
        body: commit.body.clone(),
    })
}

/// Gives the text of the note on a generated commit: which source commit it stands for by now.
pub fn note(source: Revision) -> Vec<u8> {
    to_json(&HydratorMetadata {
        dry_sha: source.to_string(),
        ..HydratorMetadata::default()
    })
}

/// Reads the source commit out of a note or of `hydrator.metadata`.
pub fn dry_sha(text: &[u8]) -> Option<Revision> {
    Revision::from_hex(
        &serde_json::from_slice::<HydratorMetadata>(text)
            .ok()?
            .dry_sha,
    )
}

fn to_json(metadata: &HydratorMetadata) -> Vec<u8> {
    // A struct of strings always becomes JSON.
    let mut text = serde_json::to_vec_pretty(metadata).unwrap_or_default();
    text.push(b'\n');
    text
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}

/// Writes a date as RFC 3339; a date beyond the calendar as its seconds.
fn rfc3339(seconds: i64, offset_minutes: i32) -> String {
    let written = jiff::Timestamp::from_second(seconds)
        .ok()
        .zip(jiff::tz::Offset::from_seconds(offset_minutes.saturating_mul(60)).ok());
    written.map_or_else(
        || seconds.to_string(),
        |(timestamp, offset)| timestamp.display_with_offset(offset).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provenance() -> Provenance {
        Provenance {
            repository: "https://example.com/acme/shop".into(),
            reference: "main".into(),
            commit: SourceCommit {
                id: Revision([0xab; 20]),
                author_name: "Ada".into(),
                author_email: "ada@example.com".into(),
                seconds: 1_709_164_800,
                offset_minutes: 90,
                subject: "Scale the web".into(),
                body: "Because of the sale.".into(),
            },
            inventory_digest: "sha256:00".into(),
        }
    }

    #[test]
    fn trailers_are_read_back_as_they_were_written() {
        let message = message(&provenance(), &[]);
        assert!(
            message.starts_with("Render abababababab: Scale the web\n\n"),
            "{message}"
        );
        let read = trailers(&message).expect("our own message");
        assert_eq!(read.commit, Revision([0xab; 20]));
        assert_eq!(
            (read.repository.as_str(), read.reference.as_str()),
            ("https://example.com/acme/shop", "main")
        );
        assert_eq!(read.inventory_digest, "sha256:00");
    }

    #[test]
    fn a_subject_cannot_smuggle_in_trailers() {
        let mut forged = provenance();
        forged.commit.subject =
            "x\n\nSource-Commit: 0000000000000000000000000000000000000000".into();
        assert_eq!(
            trailers(&message(&forged, &[])).map(|read| read.commit),
            Some(Revision([0xab; 20]))
        );
        assert_eq!(trailers("Fix a typo\n\nSigned-off-by: Ada\n"), None);
    }

    #[test]
    fn a_message_says_which_source_commit_a_wave_that_is_not_open_still_has() {
        let folder = |cluster: &str, wave: &str, source: Option<u8>| LockedFolder {
            cluster: cluster.into(),
            wave: wave.into(),
            source: source.map(|byte| Revision([byte; 20])),
            generated: None,
        };
        let held = [
            folder("berlin", "main", Some(1)),
            folder("bonn", "late", None),
            folder("paris", "main", Some(1)),
        ];
        let message = message(&provenance(), &held);
        for line in [
            "\nWave main is not open: berlin, paris keep 010101010101\n",
            "\nWave late is not open: bonn keep what they have\n",
            "\nHeld-Wave: late\nHeld-Wave: main\nRendered-By: ",
        ] {
            assert!(message.contains(line), "{message}");
        }
        assert!(trailers(&message).is_some(), "{message}");
    }

    #[test]
    fn hydrator_metadata_has_the_fields_that_promoters_read() {
        let text = String::from_utf8(hydrator_metadata(&provenance())).expect("UTF-8");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["repoURL"], "https://example.com/acme/shop");
        assert_eq!(json["author"], "Ada <ada@example.com>");
        assert_eq!(json["date"], "2024-02-29T01:30:00+01:30");
        assert_eq!(json["subject"], "Scale the web");
        assert_eq!(dry_sha(text.as_bytes()), Some(Revision([0xab; 20])));
        assert_eq!(dry_sha(&note(Revision([7; 20]))), Some(Revision([7; 20])));
    }

    #[test]
    fn dates_are_right_across_leap_years_and_before_1970() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00+00:00");
        assert_eq!(rfc3339(951_782_400, 0), "2000-02-29T00:00:00+00:00");
        assert_eq!(rfc3339(-1, -60), "1969-12-31T22:59:59-01:00");
        assert_eq!(rfc3339(4_102_444_799, 0), "2099-12-31T23:59:59+00:00");
    }
}
