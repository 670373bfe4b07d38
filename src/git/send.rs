//! Writing to a remote: expected ids and a pack stream in → every ref moved, or an error that says which did not.
//!
//! A push is a compare-and-swap: a ref that is not where the caller saw it last stops everything before a byte is sent,
//! and the ids that go with the update let the remote refuse whoever loses the race after that. Nothing is forced,
//! merged or retried here.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::access::Access;
use super::advertisement::Advertisement;
use super::error::{GitError, PushError, Refusal, plain_text};
use super::pktline::{
    FLUSH, Messages, Packet, RemoteFatal, SideBand, read_packet, trimmed, write_packet,
};
use super::transport::{AGENT, Connection, Service};
use super::url::RemoteUrl;
use crate::model::Revision;

/// A complete pack as a stream, header to trailer; `None` when the remote has all objects already.
pub type PackSource = Option<Box<dyn Read + Send>>;

/// A pack without objects: what goes with an update whose objects the remote has.
const EMPTY_PACK: &[u8] = b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

/// The most bytes of a report that are read.
const MAX_REPORT: u64 = 4 * 1024 * 1024;

/// One ref to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// Full name of the ref, `refs/…`.
    pub name: String,
    /// Where it must be now; `None`: it must not exist.
    pub old: Option<Revision>,
    /// Where it shall be; `None`: it shall not exist.
    pub new: Option<Revision>,
}

impl RefUpdate {
    /// Moves `name` from `old` to `new`.
    pub fn new(name: impl Into<String>, old: Option<Revision>, new: Option<Revision>) -> Self {
        Self {
            name: name.into(),
            old,
            new,
        }
    }
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushOutcome {
    /// The refs that moved, in the order given.
    pub updated: Vec<String>,
    /// The refs that were where they should be before anything was sent: an earlier run came this far.
    pub unchanged: Vec<String>,
    /// Whether the refs moved together. `false`: the remote cannot, so they moved one by one in the order given.
    pub atomic: bool,
    /// What the remote said to people, shortened.
    pub messages: Vec<String>,
}

/// Moves refs on the remote at `url`.
///
/// `pack` is called once, after the compare-and-swap check, with the refs that the remote shows, so that the pack can leave
/// out what they lead to; it is not called when every ref is in place or only deletions are left. Of several updates, the
/// one that others depend on stands first.
///
/// # Errors
/// [`PushError::Moved`] before anything is sent; [`PushError::Rejected`] and [`PushError::Unpack`] from the remote;
/// [`PushError::Pack`] from `pack` or its stream; [`PushError::Unknown`] when the connection broke before the remote's
/// report; [`PushError::Git`] for everything that failed earlier.
pub fn push<F, E>(
    url: &RemoteUrl,
    access: &Access,
    updates: &[RefUpdate],
    pack: F,
) -> Result<PushOutcome, PushError>
where
    F: FnOnce(&BTreeMap<String, Revision>) -> Result<PackSource, E>,
    E: std::fmt::Display,
{
    let (mut connection, remote) = Connection::open(url, access, Service::ReceivePack)?;
    let mut outcome = PushOutcome::default();
    let mut pending = Vec::new();
    for update in updates {
        check_name(&connection, update)?;
        if remote.refs.get(&update.name).copied() == update.new {
            outcome.unchanged.push(update.name.clone());
        } else {
            check_place(update, &remote)?;
            pending.push(update);
        }
    }
    outcome.atomic = pending.len() < 2 || remote.can("atomic");
    if pending.is_empty() {
        farewell(&mut connection);
        return Ok(outcome);
    }
    let source = if pending.iter().any(|update| update.new.is_some()) {
        pack(&remote.refs).map_err(|error| PushError::Pack {
            problem: error.to_string(),
        })?
    } else {
        None
    };
    let together = if outcome.atomic { pending.len() } else { 1 };
    let mut groups = pending.chunks(together);
    let mut messages = Messages::default();
    if let Some(first) = groups.next() {
        send(connection, &remote, first, source, &mut messages)?;
        outcome
            .updated
            .extend(first.iter().map(|update| update.name.clone()));
    }
    // Only a remote without atomic pushes has more: its objects are there, the other refs follow one by one.
    for group in groups {
        let (connection, remote) = Connection::open(url, access, Service::ReceivePack)?;
        group
            .iter()
            .try_for_each(|update| check_place(update, &remote))?;
        send(connection, &remote, group, None, &mut messages)?;
        outcome
            .updated
            .extend(group.iter().map(|update| update.name.clone()));
    }
    outcome.messages = messages.into_lines();
    Ok(outcome)
}

fn check_name(connection: &Connection, update: &RefUpdate) -> Result<(), GitError> {
    if update.name.starts_with("refs/") && git2::Reference::is_valid_name(&update.name) {
        return Ok(());
    }
    Err(connection.unsupported(&format!("{:?} is no full ref name", update.name)))
}

fn check_place(update: &RefUpdate, remote: &Advertisement) -> Result<(), PushError> {
    let found = remote.refs.get(&update.name).copied();
    if found == update.old {
        return Ok(());
    }
    Err(PushError::Moved {
        reference: update.name.clone(),
        expected: update.old,
        found,
    })
}

/// Ends a conversation in which nothing is updated.
fn farewell(connection: &mut Connection) {
    if !connection.is_stateless() {
        drop(connection.request(&mut &FLUSH[..]));
    }
}

/// Sends one group of updates and reads what became of them.
fn send(
    mut connection: Connection,
    remote: &Advertisement,
    updates: &[&RefUpdate],
    pack: PackSource,
    messages: &mut Messages,
) -> Result<(), PushError> {
    let commands = commands(&connection, remote, updates)?;
    let mut body = Body {
        commands: &commands,
        pack: None,
        failure: None,
        is_sent: false,
    };
    if updates.iter().any(|update| update.new.is_some()) {
        body.pack = Some(PackTail::new(pack.unwrap_or_else(|| Box::new(EMPTY_PACK))));
    }
    let sent = connection.request(&mut body);
    let is_sent = body.is_sent;
    if let Some(problem) = body.failure {
        return Err(PushError::Pack { problem });
    }
    // A remote that refuses early stops reading, and its report says why: that is worth more than a broken pipe.
    let error = match (read_report(&mut connection, remote, messages), sent) {
        (Ok(report), _) => {
            judge(&report, updates, messages)?;
            // The refs have moved: a far side that does not end properly changes nothing about that.
            drop(connection.end());
            return Ok(());
        }
        (Err(GitError::Broken { .. } | GitError::Protocol { .. }), Err(error))
        | (Err(error), _) => error,
    };
    let in_doubt = matches!(
        error,
        GitError::Broken { .. } | GitError::Timeout { .. } | GitError::Protocol { .. }
    );
    Err(if is_sent && in_doubt {
        PushError::Unknown(error)
    } else {
        error.into()
    })
}

/// The commands with our capabilities.
fn commands(
    connection: &Connection,
    remote: &Advertisement,
    updates: &[&RefUpdate],
) -> Result<Vec<u8>, GitError> {
    if !remote.can("report-status") {
        return Err(connection.unsupported("it does not report what becomes of a push"));
    }
    if updates.iter().any(|update| update.new.is_none()) && !remote.can("delete-refs") {
        return Err(connection.unsupported("it does not delete refs"));
    }
    let mut capabilities = String::from(if remote.can("report-status-v2") {
        " report-status-v2"
    } else {
        " report-status"
    });
    for name in ["side-band-64k", "quiet"] {
        if remote.can(name) {
            capabilities.push(' ');
            capabilities.push_str(name);
        }
    }
    if updates.len() > 1 {
        capabilities.push_str(" atomic");
    }
    if remote.can("object-format") {
        capabilities.push_str(" object-format=sha1");
    }
    if remote.can("agent") {
        capabilities.push_str(" agent=");
        capabilities.push_str(AGENT);
    }
    let mut lines = Vec::new();
    for (number, update) in updates.iter().enumerate() {
        let id = |id: Option<Revision>| id.unwrap_or(Revision([0; 20]));
        let mut line =
            format!("{} {} {}", id(update.old), id(update.new), update.name).into_bytes();
        if number == 0 {
            line.push(0);
            line.extend_from_slice(capabilities.as_bytes());
        }
        write_packet(&mut lines, &line);
    }
    lines.extend_from_slice(FLUSH);
    Ok(lines)
}

/// Commands, then the pack. Remembers when it was the pack's own stream that failed.
struct Body<'a> {
    commands: &'a [u8],
    pack: Option<PackTail>,
    failure: Option<String>,
    /// The other side may have all of it: what happens from here on may have moved refs.
    is_sent: bool,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.commands.is_empty() {
            return self.commands.read(buffer);
        }
        let Some(pack) = &mut self.pack else {
            self.is_sent = true;
            return Ok(0);
        };
        match pack.read(buffer) {
            Ok(0) if pack.is_whole() => {
                self.is_sent = true;
                Ok(0)
            }
            Ok(0) => {
                self.failure = Some("its stream ended before its trailer".to_owned());
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failure = Some(error.to_string());
                Err(error)
            }
            result => result,
        }
    }
}

/// Counts a pack as it goes by: one shorter than header and trailer is no pack.
struct PackTail {
    stream: Box<dyn Read + Send>,
    length: u64,
}

impl PackTail {
    fn new(stream: Box<dyn Read + Send>) -> Self {
        Self { stream, length: 0 }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.length += count as u64;
        Ok(count)
    }

    fn is_whole(&self) -> bool {
        self.length >= EMPTY_PACK.len() as u64
    }
}

/// What the remote reports: the fate of the pack, and of each ref.
#[derive(Debug, Default)]
struct Report {
    unpack: Option<String>,
    refused: Vec<(String, String)>,
    accepted: Vec<String>,
}

fn read_report(
    connection: &mut Connection,
    remote: &Advertisement,
    messages: &mut Messages,
) -> Result<Report, GitError> {
    let output = connection.output();
    let report = if remote.can("side-band-64k") {
        let mut bytes = Vec::new();
        // The report is a stream of packets of its own inside the first band.
        let read = SideBand::new(output, messages)
            .take(MAX_REPORT)
            .read_to_end(&mut bytes);
        read.and_then(|_| Report::read(&mut &bytes[..]))
    } else {
        Report::read(output)
    };
    report.map_err(|error| connection.explain(&error))
}

impl Report {
    fn read(input: &mut dyn Read) -> io::Result<Self> {
        let (mut report, mut line) = (Self::default(), Vec::new());
        loop {
            match read_packet(input, &mut line)? {
                Packet::End if report.unpack.is_none() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Packet::End | Packet::Flush => return Ok(report),
                Packet::Data if line.starts_with(b"ERR ") => {
                    return Err(RemoteFatal::error(&line[4..]));
                }
                Packet::Data => {}
            }
            let text = String::from_utf8_lossy(trimmed(&line)).into_owned();
            match text.split_once(' ') {
                Some(("unpack", result)) => report.unpack = Some(plain_text(result, 300)),
                Some(("ok", name)) => report.accepted.push(name.to_owned()),
                Some(("ng", rest)) => {
                    let (name, reason) = rest.split_once(' ').unwrap_or((rest, "no reason given"));
                    report
                        .refused
                        .push((name.to_owned(), plain_text(reason, 300)));
                }
                // Options of report-status-v2 describe a ref that a hook renamed; the name we asked for is what counts.
                _ => {}
            }
        }
    }
}

/// Turns a report into the outcome: all moved, or the refusal that explains the others.
fn judge(
    report: &Report,
    updates: &[&RefUpdate],
    messages: &mut Messages,
) -> Result<(), PushError> {
    let unpacked = report.unpack.as_deref() == Some("ok");
    let all_there = updates
        .iter()
        .all(|update| report.accepted.contains(&update.name));
    if unpacked && report.refused.is_empty() && all_there {
        return Ok(());
    }
    let said = std::mem::take(messages).into_lines();
    if !unpacked {
        let detail = report
            .unpack
            .clone()
            .unwrap_or_else(|| "no report on the pack".to_owned());
        return Err(PushError::Unpack {
            detail,
            messages: said,
        });
    }
    // In an atomic push the innocent refs are refused too, with no more than that as reason.
    let own_fault = |reason: &str| !reason.contains("atomic");
    let chosen = report
        .refused
        .iter()
        .find(|(_, reason)| own_fault(reason))
        .or(report.refused.first());
    let (reference, detail) = chosen.cloned().unwrap_or_else(|| {
        let mut silent = updates
            .iter()
            .filter(|update| !report.accepted.contains(&update.name));
        let name = silent.next().map(|update| update.name.clone());
        (
            name.unwrap_or_default(),
            "the remote reports nothing on it".to_owned(),
        )
    });
    let refusal = Refusal::classify(&detail, &said);
    Err(PushError::Rejected {
        reference,
        refusal,
        detail,
        messages: said,
    })
}
