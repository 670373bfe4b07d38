//! OpenSSH's sshd on loopback, for one user: whoever runs the tests, with a key made for the occasion. It is taken from the
//! system, not built.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Missing, Server, free_port, until_ready};

const SERVER: &str = "sshd";

/// A running sshd. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct SshServer {
    folder: PathBuf,
    port: u16,
    user: String,
    processes: Vec<Server>,
}

impl SshServer {
    /// A server that knows one key.
    pub(crate) fn start() -> Result<Self, Missing> {
        let missing = |why: String| Missing {
            server: SERVER,
            why,
            built: false,
        };
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
        let Some(sshd) = sshd.into_iter().find(|path| Path::new(path).exists()) else {
            return Err(missing(
                "it is not here; for example: apt-get install openssh-server".to_owned(),
            ));
        };
        let (folder, port) = (crate::support::folder("sshd"), free_port());
        for key in ["host", "key", "unknown"] {
            make_key(&folder.join(key)).map_err(missing)?;
        }
        fs::copy(folder.join("key.pub"), folder.join("authorized")).unwrap();
        let host = fs::read_to_string(folder.join("host.pub")).unwrap();
        fs::write(
            folder.join("known_hosts"),
            format!("[127.0.0.1]:{port} {host}"),
        )
        .unwrap();
        let (here, config) = (folder.display(), folder.join("config"));
        let text = format!(
            "ListenAddress 127.0.0.1
Port {port}
HostKey {here}/host
AuthorizedKeysFile {here}/authorized
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
"
        );
        fs::write(&config, text).unwrap();
        // As root, sshd wants this folder, which only its start script makes.
        drop(fs::create_dir("/run/sshd"));
        let mut command = Command::new(sshd);
        command.args(["-D", "-e", "-f"]).arg(&config);
        let mut processes = vec![Server::start("sshd", &folder, &command)];
        until_ready(SERVER, &mut processes, || {
            TcpStream::connect(("127.0.0.1", port))
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .map_err(|error| Missing {
            built: false,
            ..error
        })?;
        let user = Command::new("id").arg("-un").output().expect("id").stdout;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        Ok(Self {
            folder,
            port,
            user,
            processes,
        })
    }

    /// The address of a repository on this machine, through it.
    pub(crate) fn url(&self, repository: &Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            repository.display()
        )
    }

    /// The private key that it knows.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// A private key that it does not know.
    pub(crate) fn unknown_key(&self) -> PathBuf {
        self.folder.join("unknown")
    }

    /// An ssh command that sees no configuration of this machine, and trusts this server.
    pub(crate) fn ssh_command(&self) -> String {
        let known = self.folder.join("known_hosts");
        format!("ssh -F none -o UserKnownHostsFile={}", known.display())
    }
}

fn make_key(file: &Path) -> Result<(), String> {
    let mut keygen = Command::new("ssh-keygen");
    match keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(file)
        .output()
    {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("it needs ssh-keygen: {error}")),
    }
}
