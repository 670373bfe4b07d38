//! As much of HTTP as the tests need: one request to a server on loopback, one answer. No TLS, no redirects.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// What a server answered.
pub(crate) struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Asks `127.0.0.1:port`; `headers` are whole lines without their line ends. An error says why there was no answer.
pub(crate) fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Result<Answer, String> {
    let text = |error: std::io::Error| format!("{method} http://127.0.0.1:{port}{path}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .map_err(text)?;
    // HTTP/1.0: the answer comes unchunked and ends with the connection.
    let mut message = format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n");
    let length = format!("Content-Length: {}", body.len());
    for header in headers.iter().chain([&length.as_str(), &""]) {
        message.push_str(header);
        message.push_str("\r\n");
    }
    message.push_str(body);
    stream.write_all(message.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(text)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("an answer without an end of its head")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or("an answer without a status")?,
        body: body.to_owned(),
    })
}

/// `Ok` when a GET is answered with 200.
pub(crate) fn ready(port: u16, path: &str) -> Result<(), String> {
    match request(port, "GET", path, &[], "")? {
        Answer { status: 200, .. } => Ok(()),
        Answer { status, body } => Err(format!("{path} answers {status}: {body}")),
    }
}
