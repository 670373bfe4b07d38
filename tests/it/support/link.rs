//! The network between one client and one server on loopback: a port that leads to the server's, and that can be cut.
//!
//! The worst network there is: what was on its way when nothing passed arrives when the link is healed, and that a client has
//! hung up in the meantime is not told to the server.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use super::servers::free_port;

/// How often it is looked for new connections.
const LOOK: Duration = Duration::from_millis(5);

/// A link. It ends with the test process.
pub(crate) struct Link {
    port: u16,
    shared: Arc<Shared>,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// They are ended, and new ones are refused.
    Refused,
    /// They stay, and new ones are taken; nothing passes.
    Silent,
}

struct Shared {
    /// None where everything passes.
    cut: Mutex<Option<Cut>>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// Leads to this port.
    pub(crate) fn to(server: u16) -> Self {
        let port = free_port();
        let shared = Arc::new(Shared {
            cut: Mutex::default(),
            changed: Condvar::new(),
            open: Mutex::default(),
        });
        let listening = Arc::clone(&shared);
        let listener = listen(port);
        thread::spawn(move || accept(listener, port, server, &listening));
        Self { port, shared }
    }

    /// Where it begins.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = Some(cut);
        self.shared.changed.notify_all();
        if cut == Cut::Refused {
            for stream in self.shared.open.lock().unwrap().drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }

    /// Everything passes again, beginning with what was held up.
    pub(crate) fn heal(&self) {
        *self.shared.cut.lock().unwrap() = None;
        self.shared.changed.notify_all();
    }
}

fn listen(port: u16) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Takes connections for ever; while they are refused nobody listens.
fn accept(listener: TcpListener, port: u16, server: u16, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    loop {
        if *shared.cut.lock().unwrap() == Some(Cut::Refused) {
            listener = None;
        } else {
            let listener = listener.get_or_insert_with(|| listen(port));
            while let Ok((client, _)) = listener.accept() {
                // The server may be away: its client hears that the connection ends.
                drop(connect(client, server, shared));
            }
        }
        thread::sleep(LOOK);
    }
}

fn connect(client: TcpStream, server: u16, shared: &Arc<Shared>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(("127.0.0.1", server))?;
    let mut open = shared.open.lock().unwrap();
    open.extend([client.try_clone()?, server.try_clone()?]);
    drop(open);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let shared = Arc::clone(shared);
        thread::spawn(move || pass(from, to, &shared));
    }
    Ok(())
}

/// Passes on what comes, and its end; the end of a connection that was silent for a while is not told.
fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut bytes = [0; 16 << 10];
    let mut was_silent = false;
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut cut = shared.cut.lock().unwrap();
        while *cut == Some(Cut::Silent) {
            was_silent = true;
            cut = shared.changed.wait(cut).unwrap();
        }
        drop(cut);
        if to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
    if !was_silent && *shared.cut.lock().unwrap() != Some(Cut::Silent) {
        drop(to.shutdown(Shutdown::Write));
    }
}

#[test]
fn a_link_that_is_cut_lets_nothing_pass_and_a_healed_one_what_was_held_up() {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let link = Link::to(server.local_addr().unwrap().port());
    let reach = || TcpStream::connect(("127.0.0.1", link.port()));
    let mut client = reach().unwrap();
    let (mut served, _) = server.accept().unwrap();
    let mut byte = [0];

    client.write_all(b"a").unwrap();
    served.read_exact(&mut byte).unwrap();
    link.cut(Cut::Silent);
    client.write_all(b"b").unwrap();
    drop(client);
    served
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(
        served.read(&mut byte).is_err(),
        "nothing comes, no end either"
    );
    link.heal();
    served.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");

    let mut client = reach().unwrap();
    let _served = server.accept().unwrap();
    link.cut(Cut::Refused);
    assert_eq!(client.read(&mut byte).unwrap_or_default(), 0);
    super::wait_for("a refusal", || match reach() {
        Err(_) => Ok(()),
        Ok(_) => Err("somebody listens".to_owned()),
    });
    link.heal();
    super::wait_for("the link", || reach().map_err(|error| error.to_string()));
}
