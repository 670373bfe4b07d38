//! Who may ask: tokens, client certificates, and on loopback no foreign page.

use super::*;

#[test]
fn only_who_has_a_token_is_told_anything() {
    let service = Service::closed();
    for path in ["/api/v1/pipelines", "/api/v1/events", "/metrics"] {
        let refused = get(&service, path);
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"stellate\""
        );
        assert!(!refused.body.contains("fleet"));
    }
    let refused = ask(&service, "POST", "/api/v1/pipelines/shop/sync", &[]);
    assert_eq!(refused.status, 401);
    assert!(service.fake.asked.lock().unwrap().is_empty());
    for (token, status) in [
        ("Bearer new-token", 200),
        ("bearer old-token", 200),
        ("Bearer old-toke", 401),
        ("Bearer ", 401),
        ("Basic old-token", 401),
    ] {
        let headers = [("Authorization", token)];
        let answer = ask(&service, "GET", "/api/v1/pipelines", &headers);
        assert_eq!(answer.status, status, "{token}");
    }
    assert_eq!(get(&service, "/").status, 200, "the page has no secrets");
}

#[test]
fn without_a_token_foreign_pages_get_nothing() {
    let service = Service::open();
    let path = "/api/v1/pipelines";
    let as_host = |host: &str| {
        let host = format!("Host: {host}");
        let mut stream = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(as_host("localhost:8383"), "200");
    assert_eq!(as_host("[::1]:8383"), "200");
    assert_eq!(as_host("evil.example:8383"), "403");
    assert_eq!(as_host("127.0.0.1.evil.example"), "403");
    let sync = |origin: &str| {
        let headers = [("Origin", origin)];
        ask(&service, "POST", "/api/v1/pipelines/shop/sync", &headers).status
    };
    assert_eq!(sync("https://evil.example"), 403);
    assert_eq!(sync("null"), 403);
    assert_eq!(sync(&service.url("")), 202);
    assert_eq!(service.fake.asked.lock().unwrap().len(), 1);
}

#[test]
fn a_client_certificate_is_as_good_as_a_token() {
    let files = need!(certificates());
    let service = Service::start(&ServerOptions {
        tls: Some(TlsFiles {
            certificate: files.join("server.pem"),
            key: files.join("server.key"),
            client_ca: Some(files.join("ca.pem")),
        }),
        ..ServerOptions::default()
    });
    let ask =
        |path: &str, certificate: Option<&str>| tls_status(&service, &files, path, certificate);
    assert_eq!(ask("/healthz", None).as_deref(), Ok("200"));
    assert_eq!(ask("/api/v1/pipelines", None).as_deref(), Ok("401"));
    assert_eq!(
        ask("/api/v1/pipelines", Some("client")).as_deref(),
        Ok("200")
    );
    assert!(ask("/api/v1/pipelines", Some("stranger")).is_err());
}

#[test]
fn a_token_that_is_wrong_is_told_from_none() {
    let service = Service::closed();
    let status = |token: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellate"));
        command.args(["status", "--url", &service.url("/")]);
        if let Some(token) = token {
            command
                .args(["--token-env", "STELLATE_TEST_TOKEN"])
                .env("STELLATE_TEST_TOKEN", token);
        }
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let said = status(None);
    assert!(said.contains("wants a token"), "{said}");
    let said = status(Some("wrong"));
    assert!(
        said.contains("the token is not one of the service's"),
        "{said}"
    );
    let detail = |headers: &[(&str, &str)]| {
        let answer = ask(&service, "GET", "/api/v1/pipelines", headers);
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(detail(&[]), "a bearer token is needed");
    let wrong = [("Authorization", "Bearer wrong")];
    assert_eq!(
        detail(&wrong),
        "the bearer token is not one of the service's"
    );
}

/// A CA, a server and a client certificate of it, and a client of somebody else, in a folder.
fn certificates() -> Result<PathBuf, Missing> {
    let folder = folder("certificates");
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&folder)
            .output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => panic!(
                "openssl {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => Err(Missing {
                server: "a certificate authority",
                why: format!("it needs openssl: {error}"),
                built: false,
            }),
        }
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=ca"
    ))?;
    openssl(&format!(
        "req -x509 {key} -keyout stranger.key -out stranger.pem -subj /CN=stranger"
    ))?;
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!(
            "req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ))?;
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"
        ))?;
    }
    Ok(folder)
}

/// Asks over TLS; gives the status, or why there was none.
fn tls_status(
    service: &Service,
    files: &Path,
    path: &str,
    certificate: Option<&str>,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(files.join("ca.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain =
                vec![CertificateDer::from_pem_file(files.join(format!("{name}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(files.join(format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let text = |error: std::io::Error| error.to_string();
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", service.port)).map_err(text)?;
    let mut stream = StreamOwned::new(connection, stream);
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    match (answer.split(' ').nth(1), read) {
        (Some(status), _) => Ok(status.to_owned()),
        (None, Err(error)) => Err(error.to_string()),
        (None, Ok(_)) => Err("no answer".into()),
    }
}
