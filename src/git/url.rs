//! Addresses of repositories: text → a checked [`RemoteUrl`], which never shows who logs in.
//!
//! Reads what git reads (`https://`, `http://`, `ssh://`, `git+ssh://`, `user@host:path`, `file://`, paths). It refuses
//! what git would run as a program (`ext::`, hosts, users and paths that look like options) and never touches the disk.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::credentials::Secret;
use super::error::{GitError, plain_text};

/// The way to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Git's smart protocol over plain HTTP.
    Http,
    /// Git's smart protocol over HTTPS.
    Https,
    /// Through the ssh program.
    Ssh,
    /// A folder on this machine.
    Local,
}

impl Scheme {
    fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Ssh => Some(22),
            Self::Local => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::Local => "file",
        }
    }
}

/// The address of a repository. `Display` and `Debug` leave out user and password, whatever they are.
#[derive(Clone)]
pub struct RemoteUrl {
    scheme: Scheme,
    user: Option<Secret>,
    password: Option<Secret>,
    /// Lower case, without brackets; empty for a local path.
    host: String,
    port: Option<u16>,
    /// As the far side takes it. Absolute paths begin with `/`; an ssh path may be relative to the login's home.
    path: String,
}

/// What addresses of one repository have in common, for tables of repositories: see [`RemoteUrl::same_repository`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Scheme, String, Option<u16>, String);

impl RemoteUrl {
    /// Reads an address; a relative local path stays relative to the working directory.
    ///
    /// # Errors
    /// [`GitError::InvalidUrl`], with the address redacted.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        Self::read(text, None).map_err(|problem| invalid(text, problem))
    }

    /// Reads an address; a relative local path is taken from `base`.
    ///
    /// # Errors
    /// [`GitError::InvalidUrl`], with the address redacted.
    pub fn parse_in(text: &str, base: &Path) -> Result<Self, GitError> {
        Self::read(text, Some(base)).map_err(|problem| invalid(text, problem))
    }

    fn read(text: &str, base: Option<&Path>) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it is empty");
        }
        if text.chars().any(char::is_control) {
            return Err("it holds control characters");
        }
        if let Some((scheme, rest)) = text.split_once("://")
            && is_scheme(scheme)
        {
            return Self::read_url(scheme, rest);
        }
        if names_a_helper(text) {
            return Err("remote helpers (name::address) are not run");
        }
        match split_scp(text) {
            Some((host, path)) => Self::read_scp(host, path),
            None => Self::local(text, base),
        }
    }

    fn read_url(scheme: &str, rest: &str) -> Result<Self, &'static str> {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ssh" | "git+ssh" | "ssh+git" => Scheme::Ssh,
            "file" => return Self::read_file(rest),
            "git" => {
                return Err(
                    "the git:// protocol is neither encrypted nor authenticated: use https://",
                );
            }
            _ => return Err("its scheme is not one of https, http, ssh, file"),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut url = Self::read_authority(scheme, authority)?;
        if scheme != Scheme::Ssh && path.contains(['?', '#']) {
            return Err("it holds a query or fragment");
        }
        let path = if scheme == Scheme::Ssh {
            // `ssh://host/~user/repo` means a home folder, which the far shell sees without the slash.
            let decoded = decode(path)?;
            if decoded.starts_with("/~") {
                decoded[1..].to_owned()
            } else {
                decoded
            }
        } else {
            path.to_owned()
        };
        if path.trim_matches('/').is_empty() {
            return Err("it names no repository");
        }
        if path.starts_with('-') {
            return Err("its path looks like an option");
        }
        url.path = path;
        Ok(url)
    }

    fn read_file(rest: &str) -> Result<Self, &'static str> {
        let path = match rest.strip_prefix("localhost/") {
            Some(path) => format!("/{path}"),
            None if rest.starts_with('/') => rest.to_owned(),
            None => return Err("a file URL needs an absolute path (file:///path)"),
        };
        Self::local(&decode(&path)?, None)
    }

    fn read_scp(authority: &str, path: &str) -> Result<Self, &'static str> {
        if path.trim_matches('/').is_empty() {
            return Err("it names no repository");
        }
        if path.starts_with('-') {
            return Err("its path looks like an option");
        }
        let mut url = Self::read_authority(Scheme::Ssh, authority)?;
        path.clone_into(&mut url.path);
        if url.path.starts_with("/~") {
            url.path.remove(0);
        }
        Ok(url)
    }

    fn read_authority(scheme: Scheme, authority: &str) -> Result<Self, &'static str> {
        let (userinfo, hostport) = match authority.rsplit_once('@') {
            Some((userinfo, hostport)) => (Some(userinfo), hostport),
            None => (None, authority),
        };
        let (user, password) = match userinfo {
            None => (None, None),
            Some(userinfo) => match userinfo.split_once(':') {
                Some((user, password)) => (Some(decode(user)?), Some(decode(password)?)),
                None => (Some(decode(userinfo)?), None),
            },
        };
        let user = user.filter(|user| !user.is_empty());
        if scheme == Scheme::Ssh {
            if user
                .as_deref()
                .is_some_and(|user| user.starts_with('-') || !user.bytes().all(is_user_byte))
            {
                return Err("its user is not acceptable to ssh");
            }
            if password.is_some() {
                return Err("ssh takes no password from an address: use a key");
            }
        }
        let (host, port) = split_port(hostport)?;
        Ok(Self {
            scheme,
            user: user.map(Secret::new),
            password: password.map(Secret::new),
            host: check_host(host)?,
            port: port.filter(|port| scheme.default_port() != Some(*port)),
            path: String::new(),
        })
    }

    fn local(path: &str, base: Option<&Path>) -> Result<Self, &'static str> {
        if path.starts_with('-') {
            return Err("it looks like an option: write ./ before it");
        }
        let path = match base {
            Some(base) => normal(&base.join(path)),
            None => normal(Path::new(path)),
        };
        let mut path = path
            .into_os_string()
            .into_string()
            .map_err(|_| "its path is not UTF-8")?;
        // What became shorter must not turn into an option, or into a host when it is read again.
        if path.starts_with('-') || (!path.starts_with('/') && path.contains(':')) {
            path.insert_str(0, "./");
        }
        Ok(Self {
            scheme: Scheme::Local,
            user: None,
            password: None,
            host: String::new(),
            port: None,
            path,
        })
    }

    /// The way to the repository.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case; empty for a local path.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, when it is not the scheme's own.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path as the far side takes it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The folder, when the repository is on this machine.
    pub fn local_path(&self) -> Option<&Path> {
        (self.scheme == Scheme::Local).then(|| Path::new(&self.path))
    }

    /// The address without user and password: what may be stored, compared and shown. The same as `Display`.
    pub fn redacted(&self) -> String {
        self.to_string()
    }

    /// The user in the address, which may be a token.
    pub(crate) fn user(&self) -> Option<&Secret> {
        self.user.as_ref()
    }

    /// The password in the address.
    pub(crate) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Whether both addresses lead to one repository, as far as the text can tell.
    ///
    /// The login, the case of the host, default ports, `http` against `https` on their default ports, doubled or
    /// trailing slashes, percent-escapes, a `.git` suffix and the scp form against `ssh://` make no difference. `https`
    /// and `ssh` addresses of one host differ: no rule says that they lead to the same place.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// The parts that tell repositories apart: kind of way, host, port, path.
    pub fn identity(&self) -> Identity {
        let scheme = match self.scheme {
            Scheme::Http if self.port.is_none() => Scheme::Https,
            scheme => scheme,
        };
        let path = match self.scheme {
            Scheme::Http | Scheme::Https => {
                decode(&self.path).unwrap_or_else(|_| self.path.clone())
            }
            Scheme::Ssh | Scheme::Local => self.path.clone(),
        };
        let mut parts: Vec<&str> = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        if self.scheme == Scheme::Local && parts.last() == Some(&".git") {
            parts.pop();
        }
        let mut joined = parts.join("/");
        if let Some(stem) = joined.strip_suffix(".git") {
            joined.truncate(stem.len());
        }
        if self.scheme == Scheme::Local && self.path.starts_with('/') {
            joined.insert(0, '/');
        }
        Identity(
            scheme,
            self.host.trim_end_matches('.').to_owned(),
            self.port,
            joined,
        )
    }

    /// Host and port as an address wants them, IPv6 in brackets.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

/// Without user and password.
impl fmt::Display for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Local {
            return formatter.write_str(&self.path);
        }
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        write!(
            formatter,
            "{}://{}{slash}{}",
            self.scheme.name(),
            self.authority(),
            self.path
        )
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RemoteUrl({self})")
    }
}

impl std::str::FromStr for RemoteUrl {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        Self::parse(text)
    }
}

/// The error for a text that did not parse: everything before the last `@` of the authority goes, as do controls.
fn invalid(text: &str, problem: &'static str) -> GitError {
    GitError::InvalidUrl {
        url: redact(text),
        problem: problem.to_owned(),
    }
}

/// Takes the login out of a text that may be an address.
pub(crate) fn redact(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    // Broken text has no reliable authority: whatever stands before any `@` may be a secret.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    plain_text(&format!("{scheme}{rest}"), 200)
}

fn is_scheme(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// `name::anything`: git would run `git-remote-name`.
fn names_a_helper(text: &str) -> bool {
    text.split_once("::").is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
    })
}

/// Splits `[user@]host:path`. A slash before the colon makes it a path, as in git.
fn split_scp(text: &str) -> Option<(&str, &str)> {
    let after_brackets = match (text.find('['), text.find(']')) {
        (Some(open), Some(close)) if open < close && !text[..close].contains('/') => close,
        _ => 0,
    };
    let colon = after_brackets + text[after_brackets..].find(':')?;
    let (host, path) = (&text[..colon], &text[colon + 1..]);
    (!host.is_empty() && !host.contains('/')).then_some((host, path))
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` and scp's `[host:port]`.
fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
        if !after.is_empty() {
            (
                inside,
                after.strip_prefix(':').ok_or("text follows the bracket")?,
            )
        } else if inside.bytes().filter(|byte| *byte == b':').count() == 1 {
            inside.split_once(':').unwrap_or((inside, ""))
        } else {
            (inside, "")
        }
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err("its port is not a number from 1 to 65535"),
    }
}

fn check_host(host: &str) -> Result<String, &'static str> {
    if host.is_empty() {
        return Err("it names no host");
    }
    if host.starts_with('-') {
        return Err("its host looks like an option");
    }
    if !host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte))
    {
        return Err("its host holds a character that no host name has");
    }
    Ok(host.to_ascii_lowercase())
}

fn is_user_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_+\\@".contains(&byte)
}

/// Undoes percent-escapes; what comes out must be UTF-8 without control characters.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = rest
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(value.ok_or("a percent sign is not followed by two hexadecimal digits")?);
        rest = &rest[2..];
    }
    let decoded = String::from_utf8(bytes).map_err(|_| "its percent-escapes are not UTF-8")?;
    if decoded.chars().any(char::is_control) {
        return Err("it holds control characters");
    }
    Ok(decoded)
}

/// Resolves `.` and `..` in the text alone; links are not followed.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(parts.components().next_back(), Some(Component::Normal(_))) =>
            {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parts
    }
}
