//! The fetch protocol between advertisement and refs: wants and haves out → acknowledgements, then the pack.
//!
//! Version 0 with `multi_ack_detailed`; a remote without it is asked for everything that is wanted, whole.

use git2::{Oid, Repository};

use super::advertisement::Advertisement;
use super::error::GitError;
use super::fetch::{FetchProgress, Plan};
use super::negotiation::Haves;
use super::pktline::{
    FLUSH, Messages, Packet, RemoteFatal, SideBand, read_packet, trimmed, write_packet,
};
use super::shallow::Boundary;
use super::store::{StoreError, store_pack};
use super::transport::{AGENT, Connection};

/// Offers that lead nowhere before the negotiation is given up: git's own number.
const MAX_IN_VAIN: usize = 256;

/// The same, while nothing in common was found at all.
const MAX_UNRELATED: usize = 4096;

/// One run of the fetch protocol, between advertisement and refs.
pub(crate) struct Transfer<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) connection: &'a mut Connection,
    pub(crate) remote: &'a Advertisement,
    pub(crate) plan: &'a Plan,
}

/// What the answer to one round of offers said.
#[derive(Default)]
struct Answer {
    common: Vec<Oid>,
    /// The remote has heard enough.
    ready: bool,
    /// The pack follows at once.
    pack: bool,
}

impl Transfer<'_> {
    /// Says what is wanted and what is here, until the remote begins to send the pack.
    pub(crate) fn negotiate(&mut self) -> Result<Boundary, GitError> {
        let stateless = self.connection.is_stateless();
        let mut boundary = Boundary::load(self.repository)?;
        let opening = self.opening(&boundary)?;
        let mut haves = Haves::new(self.repository)?;
        let (mut common, mut in_vain, mut size) = (Vec::new(), 0, 32);
        let mut ready = !self.remote.can("multi_ack_detailed");
        if !stateless {
            self.send(&opening)?;
            self.read_boundary(&mut boundary)?;
        }
        while !ready {
            let batch: Vec<Oid> = std::iter::from_fn(|| haves.next()).take(size).collect();
            if batch.is_empty() {
                break;
            }
            in_vain += batch.len();
            size = (size * 2).min(1024);
            let mut request = if stateless {
                opening.clone()
            } else {
                Vec::new()
            };
            offer(&mut request, if stateless { &common } else { &[] });
            offer(&mut request, &batch);
            request.extend_from_slice(FLUSH);
            self.send(&request)?;
            if stateless {
                self.read_boundary(&mut boundary)?;
            }
            let answer = self.read_answer(false)?;
            // A stateless remote repeats what is known to be common.
            for id in answer.common {
                haves.mark(id);
                if !common.contains(&id) {
                    common.push(id);
                    in_vain = 0;
                }
            }
            if answer.pack {
                return Ok(boundary);
            }
            let limit = if common.is_empty() {
                MAX_UNRELATED
            } else {
                MAX_IN_VAIN
            };
            ready = answer.ready || in_vain >= limit;
        }
        let mut request = if stateless { opening } else { Vec::new() };
        offer(&mut request, if stateless { &common } else { &[] });
        write_packet(&mut request, b"done\n");
        self.send(&request)?;
        if stateless {
            self.read_boundary(&mut boundary)?;
        }
        self.read_answer(true)?;
        Ok(boundary)
    }

    /// Wants with capabilities, the shallow boundary, the depth.
    fn opening(&self, boundary: &Boundary) -> Result<Vec<u8>, GitError> {
        let shallow = self.plan.depth.is_some() || !boundary.commits.is_empty();
        if shallow && !self.remote.can("shallow") {
            return Err(self
                .connection
                .unsupported("it does not give shallow histories"));
        }
        let mut capabilities = String::new();
        let offered = [
            "multi_ack_detailed",
            "side-band-64k",
            "thin-pack",
            "no-progress",
            "ofs-delta",
        ];
        for name in offered.into_iter().filter(|name| self.remote.can(name)) {
            capabilities.push(' ');
            capabilities.push_str(name);
        }
        if self.connection.is_stateless()
            && self.remote.can("no-done")
            && self.remote.can("multi_ack_detailed")
        {
            capabilities.push_str(" no-done");
        }
        if self.remote.can("agent") {
            capabilities.push_str(" agent=");
            capabilities.push_str(AGENT);
        }
        let mut opening = Vec::new();
        for (number, id) in self.plan.wants.iter().enumerate() {
            let capabilities = if number == 0 {
                capabilities.as_str()
            } else {
                ""
            };
            write_packet(
                &mut opening,
                format!("want {id}{capabilities}\n").as_bytes(),
            );
        }
        for id in &boundary.commits {
            write_packet(&mut opening, format!("shallow {id}\n").as_bytes());
        }
        if let Some(depth) = self.plan.depth {
            write_packet(
                &mut opening,
                format!("deepen {}\n", depth.clamp(1, i32::MAX as u32)).as_bytes(),
            );
        }
        opening.extend_from_slice(FLUSH);
        Ok(opening)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), GitError> {
        match self.connection.request(&mut bytes) {
            // A remote that hangs up has usually said why.
            Err(error @ GitError::Broken { .. }) => match self.read_answer(false) {
                Err(said @ (GitError::Remote { .. } | GitError::ReferenceNotFound { .. })) => {
                    Err(said)
                }
                _ => Err(error),
            },
            result => result,
        }
    }

    /// Reads where the history is to end, which the remote tells only when a depth was asked for.
    fn read_boundary(&mut self, boundary: &mut Boundary) -> Result<(), GitError> {
        if self.plan.depth.is_none() {
            return Ok(());
        }
        let mut line = Vec::new();
        while self.read_line(&mut line)? == Packet::Data {
            let text = String::from_utf8_lossy(trimmed(&line)).into_owned();
            match text
                .split_once(' ')
                .map(|(verb, id)| (verb, Oid::from_str(id)))
            {
                Some(("shallow", Ok(id))) => boundary.commits.insert(id),
                Some(("unshallow", Ok(id))) => boundary.commits.remove(&id),
                _ => return Err(self.connection.protocol("it sent no shallow boundary")),
            };
        }
        Ok(())
    }

    /// Reads acknowledgements: of a round up to its `NAK`, of the last one (`finally`) up to the pack.
    fn read_answer(&mut self, finally: bool) -> Result<Answer, GitError> {
        let (mut answer, mut line) = (Answer::default(), Vec::new());
        let drain = self.connection.is_stateless() && !finally;
        loop {
            match self.read_line(&mut line)? {
                Packet::Data => {}
                Packet::End if drain => return Ok(answer),
                _ => return Err(self.connection.protocol("the negotiation ended early")),
            }
            let text = String::from_utf8_lossy(trimmed(&line)).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            match words[..] {
                // Over HTTP the answer goes on to its end, or to the pack.
                ["NAK"] if drain => {}
                ["NAK"] => return Ok(answer),
                ["ACK", _] => {
                    answer.pack = true;
                    return Ok(answer);
                }
                ["ACK", id, status] => {
                    answer.ready |= status == "ready";
                    answer.common.extend(Oid::from_str(id));
                }
                _ => return Err(self.connection.protocol("it sent no acknowledgement")),
            }
        }
    }

    /// Reads one packet; an `ERR` line is the remote's reason to stop.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<Packet, GitError> {
        let read = read_packet(self.connection.output(), line);
        let read = match read {
            Ok(Packet::Data) if line.starts_with(b"ERR ") => Err(RemoteFatal::error(&line[4..])),
            other => other,
        };
        read.map_err(|error| self.connection.explain(&error))
    }

    /// Stores the pack.
    pub(crate) fn receive(
        &mut self,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<FetchProgress, GitError> {
        let banded = self.remote.can("side-band-64k");
        let mut messages = Messages::default();
        let output = self.connection.output();
        let stored = if banded {
            store_pack(
                self.repository,
                &mut SideBand::new(output, &mut messages),
                progress,
            )
        } else {
            store_pack(self.repository, output, progress)
        };
        stored.map_err(|error| match error {
            StoreError::Stream(error) => self.connection.explain(&error),
            StoreError::Local(error) => error,
        })
    }
}

/// Appends `have` lines.
fn offer(request: &mut Vec<u8>, commits: &[Oid]) {
    for id in commits {
        write_packet(request, format!("have {id}\n").as_bytes());
    }
}
