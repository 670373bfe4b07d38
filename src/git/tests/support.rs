//! Hermetic repositories, a smart HTTP server around `git http-backend`, and a stand-in for the ssh program.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::git::{Access, RemoteUrl};
use crate::model::Revision;

/// A folder with a bare repository `shop.git` in it, and a work tree beside that feeds it.
pub(super) struct Lab {
    pub(super) folder: tempfile::TempDir,
}

impl Lab {
    /// A remote with three commits on `main`, an annotated tag `v1` on the second and a branch `topic`.
    pub(super) fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().expect("folder"),
        };
        lab.git(".", &["init", "-q", "--bare", "-b", "main", "shop.git"]);
        lab.git(".", &["init", "-q", "-b", "main", "work"]);
        lab.commit("a", "one");
        lab.commit("b", "two");
        lab.git("work", &["tag", "-a", "-m", "first", "v1"]);
        lab.git("work", &["branch", "topic"]);
        lab.commit("a", "three");
        lab.publish();
        lab
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn url(&self) -> RemoteUrl {
        RemoteUrl::parse(self.path("shop.git").to_str().expect("UTF-8")).expect("path")
    }

    /// Runs git in `place` and gives its output.
    pub(super) fn git(&self, place: &str, arguments: &[&str]) -> String {
        self.git_with_input(place, arguments, "").trim().to_owned()
    }

    fn git_with_input(&self, place: &str, arguments: &[&str], input: &str) -> String {
        String::from_utf8(self.git_bytes(place, arguments, input)).expect("UTF-8")
    }

    fn git_bytes(&self, place: &str, arguments: &[&str], input: &str) -> Vec<u8> {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.path(place))
            .envs(self.access().environment);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("git");
        child
            .stdin
            .take()
            .expect("stdin")
            .write_all(input.as_bytes())
            .expect("input");
        let output = child.wait_with_output().expect("git");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    pub(super) fn commit(&self, file: &str, text: &str) -> Revision {
        std::fs::write(self.path("work").join(file), text).expect("file");
        self.git("work", &["add", "-A"]);
        self.git(
            "work",
            &["commit", "-q", "-m", text.get(..40).unwrap_or(text)],
        );
        self.id("work", "HEAD")
    }

    /// Pushes all of the work tree's refs with git itself.
    pub(super) fn publish(&self) {
        let remote = self.path("shop.git");
        self.git(
            "work",
            &["push", "-q", remote.to_str().expect("UTF-8"), "--all"],
        );
        self.git(
            "work",
            &["push", "-q", remote.to_str().expect("UTF-8"), "--tags"],
        );
    }

    pub(super) fn id(&self, place: &str, name: &str) -> Revision {
        Revision::from_hex(&self.git(place, &["rev-parse", name])).expect("an id")
    }

    /// Where a ref of the remote is, if it is.
    pub(super) fn remote_ref(&self, name: &str) -> Option<Revision> {
        let shown = self.git(
            "shop.git",
            &["for-each-ref", "--format=%(objectname)", name],
        );
        Revision::from_hex(&shown)
    }

    /// A pack of what `new` has and `old` has not.
    pub(super) fn pack(&self, new: Revision, old: Option<Revision>) -> Box<dyn Read + Send> {
        let old = old.map_or_else(String::new, |old| format!("^{old}\n"));
        let bytes = self.git_bytes(
            "work",
            &["pack-objects", "--stdout", "--revs", "-q"],
            &format!("{new}\n{old}"),
        );
        Box::new(std::io::Cursor::new(bytes))
    }

    pub(super) fn hook(&self, name: &str, script: &str) {
        self.script(&format!("shop.git/hooks/{name}"), script);
    }

    pub(super) fn script(&self, name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
        path
    }

    /// Access that no configuration of this machine influences.
    pub(super) fn access(&self) -> Access {
        let mut access = Access::default();
        let pairs = [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Ann"),
            ("GIT_AUTHOR_EMAIL", "ann@example.com"),
            ("GIT_AUTHOR_DATE", "1700000000 +0000"),
            ("GIT_COMMITTER_NAME", "Ann"),
            ("GIT_COMMITTER_EMAIL", "ann@example.com"),
            ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ];
        access.environment = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        access
            .environment
            .insert("HOME".into(), self.folder.path().into());
        access
    }

    /// An ssh program that runs the far command here and notes how it was called.
    pub(super) fn ssh_access(&self) -> Access {
        let calls = self.path("ssh-calls");
        let script = format!(
            "echo \"$@\" >> '{}'\nwhile [ $# -gt 1 ]; do shift; done\nexec sh -c \"$1\"",
            calls.display()
        );
        let mut access = self.access();
        access
            .environment
            .insert("GIT_SSH_COMMAND".into(), self.script("ssh", &script).into());
        access
    }

    pub(super) fn ssh_url(&self) -> RemoteUrl {
        RemoteUrl::parse(&format!(
            "git@host.example:{}",
            self.path("shop.git").display()
        ))
        .expect("address")
    }

    /// An empty bare repository to fetch into.
    pub(super) fn local(&self, name: &str) -> git2::Repository {
        git2::Repository::init_bare(self.path(name)).expect("repository")
    }

    /// Serves the folder over HTTP; `login` is `user:password`.
    pub(super) fn serve(&self, login: Option<&'static str>) -> Server {
        let mut access = self.access();
        access
            .environment
            .insert("GIT_PROJECT_ROOT".into(), self.folder.path().into());
        Server::start(move |request| {
            if let Some(login) = login
                && request.header("authorization")
                    != format!("Basic {}", crate::model::base64::encode(login.as_bytes()))
            {
                let head = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Type: text/plain";
                return reply(head, b"who are you?");
            }
            backend(request, &access)
        })
    }
}

/// An HTTP request, its body without transfer coding.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut input = BufReader::new(stream);
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = Vec::new();
        if headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            loop {
                let mut line = String::new();
                input.read_line(&mut line).ok()?;
                let length = usize::from_str_radix(line.trim(), 16).ok()?;
                let mut chunk = vec![0; length + 2];
                input.read_exact(&mut chunk).ok()?;
                body.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        } else if let Some(length) = headers.get("content-length") {
            body.resize(length.parse().ok()?, 0);
            input.read_exact(&mut body).ok()?;
        }
        Some(Self {
            method,
            target,
            headers,
            body,
        })
    }
}

/// A server on a port of its own; it ends with the test's process.
pub(super) struct Server {
    pub(super) port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let port = listener.local_addr().expect("address").port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, notes) = (Arc::new(answer), Arc::clone(&log));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (answer, notes) = (Arc::clone(&answer), Arc::clone(&notes));
                std::thread::spawn(move || {
                    let Some(request) = Request::read(&stream) else {
                        return;
                    };
                    let login = if request.header("authorization").is_empty() {
                        "-"
                    } else {
                        "login"
                    };
                    let coding = request.header("transfer-encoding");
                    let note = format!("{} {} {login} {coding}", request.method, request.target);
                    notes.lock().expect("log").push(note.trim().to_owned());
                    // A client that left does not want the answer.
                    drop(stream.write_all(&answer(&request)));
                });
            }
        });
        Self { port, log }
    }

    pub(super) fn url(&self, userinfo: &str) -> RemoteUrl {
        RemoteUrl::parse(&format!(
            "http://{userinfo}127.0.0.1:{}/shop.git",
            self.port
        ))
        .expect("address")
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().expect("log").clone()
    }
}

/// A response with status line and headers in `head`.
pub(super) fn reply(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Runs `git http-backend` as a CGI program.
fn backend(request: &Request, access: &Access) -> Vec<u8> {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .envs(&access.environment)
        .envs([
            ("GIT_HTTP_EXPORT_ALL", "1"),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REQUEST_METHOD", &request.method),
        ])
        .envs([
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("CONTENT_TYPE", request.header("content-type")),
        ])
        .envs([
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "http.receivepack"),
            ("GIT_CONFIG_VALUE_0", "true"),
        ])
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("http-backend");
    let (mut stdin, body) = (child.stdin.take().expect("stdin"), request.body.clone());
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().expect("http-backend").stdout;
    feeder.join().expect("feeder");
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("headers");
    let (mut status, mut head) = ("200 OK".to_owned(), String::new());
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", value)) => value.clone_into(&mut status),
            _ => write!(head, "\r\n{line}").expect("text"),
        }
    }
    reply(&format!("{status}{head}"), &output[end + 4..])
}

/// A port where nobody listens.
pub(super) fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    listener.local_addr().expect("address").port()
}

/// A certificate for `localhost` that signs itself, valid for a century, and its key: good for nothing but these tests.
pub(super) const CERTIFICATE: &[u8] = include_bytes!("localhost.pem");
const KEY: &[u8] = include_bytes!("localhost.key.pem");

/// Serves one advertisement over TLS, to whoever asks; gives the port.
pub(super) fn serve_tls() -> u16 {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("certificate");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::from_pem_slice(KEY).expect("key"),
        )
        .expect("pair");
    let (config, listener) = (
        Arc::new(config),
        TcpListener::bind("localhost:0").expect("port"),
    );
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection =
                rustls::ServerConnection::new(Arc::clone(&config)).expect("connection");
            let mut secure = rustls::Stream::new(&mut connection, &mut stream);
            let mut start = [0; 4096];
            // A client that distrusts us leaves here.
            if secure.read(&mut start).is_ok() {
                let line = format!("{} refs/heads/main\0agent=test\n", "1".repeat(40));
                let body = format!("{:04x}{line}0000", line.len() + 4);
                let head = "200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement";
                drop(secure.write_all(&reply(head, body.as_bytes())));
            }
        }
    });
    port
}

/// Text of `words` times sixteen digits that hardly compresses, the same every time.
pub(super) fn noise(words: usize) -> String {
    let (mut state, mut text) = (1_u64, String::with_capacity(16 * words));
    for _ in 0..words {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        write!(text, "{state:016x}").expect("text");
    }
    text
}
