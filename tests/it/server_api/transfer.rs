//! How answers travel: tags, compression, events, and headers for browsers.

use super::*;

#[test]
fn what_is_known_already_is_not_sent_again() {
    let service = Service::open();
    let path = "/api/v1/pipelines/shop";
    let first = get(&service, path);
    let tag = first.header("etag");
    let again = ask(&service, "GET", path, &[("If-None-Match", tag)]);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    service.fake.change(|board| {
        board.pipelines.get_mut("shop").unwrap().ready = false;
    });
    let changed = ask(&service, "GET", path, &[("If-None-Match", tag)]);
    assert_eq!(changed.status, 200);
    let page = get(&service, "/page/app.js");
    let again = ask(
        &service,
        "GET",
        "/page/app.js",
        &[("If-None-Match", page.header("etag"))],
    );
    assert_eq!(again.status, 304);
}

#[test]
fn long_answers_travel_compressed() {
    let service = Service::open();
    let mut stream = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
    let path = format!("/api/v1/pipelines/fleet/commits/{FLEET}/clusters?limit=1000");
    let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = String::from_utf8_lossy(&answer[..400]).to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(answer.len() < 20_000, "{}", answer.len());
}

#[test]
fn changes_arrive_as_events_and_many_at_once_as_one() {
    let service = Service::open();
    let mut stream = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let head = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // By lines: unlike a bare read, that goes on after a signal.
    let mut lines = BufReader::new(stream);
    let mut text = String::new();
    let mut read_until = |wanted: &str| {
        while !text.contains(wanted) {
            let length = lines.read_line(&mut text).unwrap();
            assert!(length > 0, "the stream ended: {text}");
        }
        text.clone()
    };
    read_until("data: {\"change\":1}");
    for _ in 0..500 {
        service.fake.change(|_| ());
    }
    let text = read_until("data: {\"change\":501}");
    let events = text.matches("event: board").count();
    assert!((2..=4).contains(&events), "{events} events");
    assert!(
        text.to_lowercase()
            .contains("content-type: text/event-stream")
    );
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let service = Service::open();
    for path in [
        "/",
        "/page/app.js",
        "/api/v1/pipelines",
        "/nothing",
        "/healthz",
    ] {
        let answer = get(&service, path);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{path}"
        );
        assert!(policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("set-cookie"), "");
    }
}
