//! The API as clients see it: over HTTP, from the real server, with real generated commits behind it.

mod access;
mod contents;
mod document;
mod lists;
mod operation;
mod orders;
mod transfer;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use stellate::{
    server::{Backend as _, ServerOptions, TlsFiles},
    status::state::Observation,
};

use crate::{
    server_fake::{FIRST, FLEET, HELD, HOSTILE, NEWEST, SAME, Service},
    support::{folder, http, need, servers::Missing},
};

/// What came back, with its head.
struct Answer {
    status: u16,
    head: ureq::http::HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.head
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(service.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(()).unwrap()).unwrap();
    Answer {
        status: response.status().as_u16(),
        head: response.headers().clone(),
        body: response.body_mut().read_to_string().unwrap(),
    }
}

fn get(service: &Service, path: &str) -> Answer {
    ask(service, "GET", path, &[])
}

/// The items of a list, all its pages together; `path` has a query already.
fn all(service: &Service, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = get(service, &next).json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(last) = page["continue"].as_str() else {
            assert_eq!(page["total"], items.len());
            return items;
        };
        next = format!("{path}&continue={last}");
    }
}
