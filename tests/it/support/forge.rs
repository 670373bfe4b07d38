//! A forge of a few lines, for what a real one cannot be made to do: answers by a function, hangs, and cut connections.
//!
//! One thread for each connection, one request for each connection.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET`, `POST` …
    pub method: String,
    /// The path without its query, as it was sent.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// All header lines, in lower case.
    pub head: String,
    /// The body; null when it is none or no JSON.
    pub body: Value,
}

/// What comes back.
pub(crate) enum Reply {
    /// Status, header lines, body.
    Answer(u16, Vec<String>, String),
    /// Nothing, for a long time.
    Silence,
    /// Half an answer, and the end of the connection.
    Cut,
}

/// The forge.
pub(crate) struct Double {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Reply {
    /// JSON without more headers.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }
}

impl Double {
    /// Starts answering; it ends with the test process.
    pub(crate) fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(answer));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some(asked) = read(&stream) else { return };
                    log.lock().unwrap().push(asked.clone());
                    let reply = answer.lock().unwrap()(&asked);
                    write(stream, reply);
                });
            }
        });
        Self { port, asked }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked with this method.
    pub(crate) fn asked_to(&self, method: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.method == method);
        asked
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        head,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

fn write(mut stream: TcpStream, reply: Reply) {
    // A client that has gone is no failure of the test.
    match reply {
        Reply::Silence => thread::sleep(Duration::from_secs(60)),
        Reply::Cut => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")),
        Reply::Answer(status, headers, body) => {
            let mut text = format!("HTTP/1.1 {status} Some reason\r\nConnection: close\r\n");
            for header in headers {
                text.push_str(&format!("{header}\r\n"));
            }
            text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
            drop(stream.write_all(text.as_bytes()));
        }
    }
}
