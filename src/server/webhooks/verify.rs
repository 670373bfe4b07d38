//! Who sent this: headers, body and live secrets → proven or refused. Over the raw bytes, in constant time, before anything is parsed.
//!
//! In two steps, so that a request which cannot be genuine costs no body: [`Guard::proof`] looks at the headers alone, [`Guard::holds`]
//! at the body. Several secrets may live at a time, for rotation. Reads no clock: the time comes in as a value.

use aws_lc_rs::{constant_time, digest, hmac};
use axum::http::HeaderMap;
use jiff::Timestamp;

use crate::git::Secret;
use crate::model::base64;

/// How far a signed time may be from ours, either way; the Standard Webhooks say five minutes.
const TOLERANCE: i64 = 300;

/// The most signatures that one header may hold. Senders write one for each of their keys.
const SIGNATURES: usize = 8;

/// The beginning of a Standard Webhooks key; the rest is base64.
const STANDARD: &str = "whsec_";

/// A forge, told by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forge {
    /// GitHub, and GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea, and Forgejo, which is compatible.
    Gitea,
    /// Bitbucket Cloud and Data Center.
    Bitbucket,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// A forge.
    Forge(Forge),
    /// Flux: notification-controller's providers, or a controller itself.
    Flux,
    /// Argo CD's notifications.
    ArgoCd,
}

impl Forge {
    /// Tells the forge. Gitea and Forgejo also send GitHub's headers, so they are looked for first.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let has = |name: &str| headers.contains_key(name);
        if has("x-gitea-event") || has("x-forgejo-event") {
            Some(Self::Gitea)
        } else if has("x-gitlab-event") {
            Some(Self::GitLab)
        } else if has("x-event-key") {
            Some(Self::Bitbucket)
        } else if has("x-github-event") {
            Some(Self::GitHub)
        } else {
            None
        }
    }
}

impl Sender {
    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Forge(Forge::GitHub) => "github",
            Self::Forge(Forge::GitLab) => "gitlab",
            Self::Forge(Forge::Gitea) => "gitea",
            Self::Forge(Forge::Bitbucket) => "bitbucket",
            Self::Flux => "flux",
            Self::ArgoCd => "argocd",
        }
    }
}

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An empty secret proves nothing.
    #[error("a webhook secret is empty")]
    Empty,
    /// It begins as a Standard Webhooks key, and is none.
    #[error("a webhook secret that begins with `whsec_` must go on with a key in base64")]
    NoStandardKey,
}

impl SecretError {
    /// A fixed word for programs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "EmptySecret",
            Self::NoStandardKey => "InvalidSecret",
        }
    }

    /// The way out.
    pub fn help(self) -> &'static str {
        match self {
            Self::Empty => "put the secret that the forge was given into the file or variable",
            Self::NoStandardKey => "copy the signing token again from GitLab, whole",
        }
    }
}

/// The live secrets of one door. `Debug` shows none of them.
pub struct Guard {
    /// None: everything is let in, because the configuration says so.
    secrets: Option<Vec<LiveSecret>>,
}

enum LiveSecret {
    /// A text that both sides know: a key of signatures, or sent as it is.
    Plain { key: hmac::Key, digest: [u8; 32] },
    /// A Standard Webhooks key: only ever signs.
    Standard(hmac::Key),
}

/// What the headers prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Everything: the secret itself was sent, or none is asked for.
    Given,
    /// Nothing yet: a signature that the body must bear out.
    Signed {
        /// Whether Standard Webhooks keys sign, rather than plain ones.
        standard: bool,
        /// What is signed before the body.
        prefix: String,
        /// One of them must be right.
        signatures: Vec<[u8; 32]>,
    },
}

impl Guard {
    /// Lets in whoever proves to know one of these.
    pub fn new(secrets: &[Secret]) -> Result<Self, SecretError> {
        let secrets: Result<Vec<_>, _> = secrets.iter().map(LiveSecret::new).collect();
        Ok(Self {
            secrets: Some(secrets?),
        })
    }

    /// Lets everybody in.
    pub fn open() -> Self {
        Self { secrets: None }
    }

    /// Looks at the headers alone; none when no body can make the request genuine.
    pub fn proof(&self, sender: Sender, headers: &HeaderMap, now: Timestamp) -> Option<Proof> {
        if self.secrets.is_none() {
            return Some(Proof::Given);
        }
        match sender {
            Sender::Forge(Forge::GitHub) => prefixed(headers, "x-hub-signature-256"),
            Sender::Forge(Forge::Bitbucket) => prefixed(headers, "x-hub-signature"),
            Sender::Forge(Forge::Gitea) => gitea(headers),
            Sender::Forge(Forge::GitLab) => match headers.get("webhook-signature") {
                Some(_) if self.signs_standard() => standard(headers, now),
                _ => self.sent(text(headers, "x-gitlab-token")?.as_bytes()),
            },
            Sender::Flux => match headers.get("x-signature") {
                Some(_) => prefixed(headers, "x-signature"),
                None => self.sent(&authorization(headers)?),
            },
            Sender::ArgoCd => self.sent(&authorization(headers)?),
        }
    }

    /// Tells whether the body bears the proof out.
    pub fn holds(&self, proof: &Proof, body: &[u8]) -> bool {
        match proof {
            Proof::Given => true,
            Proof::Signed {
                standard,
                prefix,
                signatures,
            } => {
                let keys = self.secrets.iter().flatten();
                let keys = keys.filter_map(|secret| secret.key(*standard));
                // No way out early: how long it takes says nothing about which key it was.
                keys.fold(false, |held, key| {
                    let mut context = hmac::Context::with_key(key);
                    context.update(prefix.as_bytes());
                    context.update(body);
                    let tag = context.sign();
                    signatures
                        .iter()
                        .fold(held, |held, given| held | equal(tag.as_ref(), given))
                })
            }
        }
    }

    /// The secret itself was sent. Digests are compared, so that not even its length shows.
    fn sent(&self, given: &[u8]) -> Option<Proof> {
        let given = sha256(given);
        let secrets = self.secrets.iter().flatten();
        let known = secrets.fold(false, |known, secret| match secret {
            LiveSecret::Plain { digest, .. } => known | equal(digest, &given),
            LiveSecret::Standard(_) => known,
        });
        known.then_some(Proof::Given)
    }

    fn signs_standard(&self) -> bool {
        let mut secrets = self.secrets.iter().flatten();
        secrets.any(|secret| matches!(secret, LiveSecret::Standard(_)))
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.secrets {
            Some(secrets) => write!(formatter, "Guard({} secrets)", secrets.len()),
            None => formatter.write_str("Guard(open)"),
        }
    }
}

impl LiveSecret {
    fn new(secret: &Secret) -> Result<Self, SecretError> {
        let text = secret.expose();
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if let Some(coded) = text.strip_prefix(STANDARD) {
            let key = base64(coded).filter(|key| !key.is_empty());
            let key = key.ok_or(SecretError::NoStandardKey)?;
            return Ok(Self::Standard(hmac::Key::new(hmac::HMAC_SHA256, &key)));
        }
        Ok(Self::Plain {
            key: hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()),
            digest: sha256(text.as_bytes()),
        })
    }

    fn key(&self, wants_standard: bool) -> Option<&hmac::Key> {
        match self {
            Self::Plain { key, .. } => (!wants_standard).then_some(key),
            Self::Standard(key) => wants_standard.then_some(key),
        }
    }
}

/// `sha256=` and the signature in hexadecimal digits.
fn prefixed(headers: &HeaderMap, name: &str) -> Option<Proof> {
    let digits = text(headers, name)?.strip_prefix("sha256=")?;
    hex(digits).map(signed)
}

/// Digits alone in Gitea's own header and in Forgejo's; GitHub's header is sent as well.
fn gitea(headers: &HeaderMap) -> Option<Proof> {
    let own = ["x-forgejo-signature", "x-gitea-signature"]
        .into_iter()
        .find_map(|name| text(headers, name));
    match own {
        Some(digits) => hex(digits).map(signed),
        None => prefixed(headers, "x-hub-signature-256"),
    }
}

/// Standard Webhooks: `v1,` and base64, over id, time and body.
fn standard(headers: &HeaderMap, now: Timestamp) -> Option<Proof> {
    let (id, time) = (
        text(headers, "webhook-id")?,
        text(headers, "webhook-timestamp")?,
    );
    let seconds: i64 = time.parse().ok()?;
    if seconds.checked_sub(now.as_second())?.checked_abs()? > TOLERANCE {
        return None;
    }
    let signatures: Vec<[u8; 32]> = text(headers, "webhook-signature")?
        .split(' ')
        .filter_map(|one| base64(one.strip_prefix("v1,")?)?.try_into().ok())
        .take(SIGNATURES)
        .collect();
    (!signatures.is_empty()).then(|| Proof::Signed {
        standard: true,
        prefix: format!("{id}.{time}."),
        signatures,
    })
}

/// A bearer token, or the password of a login: what Go's HTTP client makes of `https://any:TOKEN@host/`.
fn authorization(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, rest) = text(headers, "authorization")?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let login = base64(rest.trim())?;
    let colon = login.iter().position(|byte| *byte == b':')?;
    Some(login[colon + 1..].to_vec())
}

fn signed(signature: [u8; 32]) -> Proof {
    Proof::Signed {
        standard: false,
        prefix: String::new(),
        signatures: vec![signature],
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

/// Sixty-four hexadecimal digits.
fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

/// Standard base64; the padding may be missing.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = digits.len().next_multiple_of(4) - digits.len();
    let is_odd = text.len() - digits.len() > 2;
    let padded = format!("{digits}{}", "=".repeat(padding));
    base64::decode(&padded).filter(|_| !is_odd)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
