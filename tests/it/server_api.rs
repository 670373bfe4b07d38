//! The API as clients see it: over HTTP, from the real server, with real generated commits behind it.

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

#[test]
fn readiness_names_the_pipelines_that_are_not_ready() {
    let service = Service::closed();
    assert_eq!(get(&service, "/healthz").status, 200);
    assert_eq!(get(&service, "/readyz").status, 200);
    service.fake.change(|board| {
        board.pipelines.get_mut("fleet").unwrap().ready = false;
    });
    assert_eq!(get(&service, "/healthz").status, 200);
    let answer = get(&service, "/readyz");
    assert_eq!(answer.status, 503);
    let of = service.fake.board().pipelines.len();
    let count = format!("not ready: 1 of {of}");
    assert_eq!(answer.json()["detail"], count, "no names for everybody");
    let token = ("Authorization", "Bearer new-token");
    let answer = ask(&service, "GET", "/readyz", &[token]);
    assert_eq!(answer.json()["detail"], "not ready: fleet");
}

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
fn the_document_and_the_server_say_the_same() {
    let service = Service::open();
    service.fake.hold();
    let document = get(&service, "/api/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let address = filled(path);
            let operation = &operations[method.to_lowercase()];
            if operation.is_null() {
                let answer = ask(&service, method, &address, &[]);
                assert_eq!(answer.status, 405, "{method} {path} is not in the document");
                assert_eq!(answer.json()["reason"], "WrongMethod");
                continue;
            }
            seen += 1;
            if path.ends_with("/events") {
                continue;
            }
            let answer = ask(&service, method, &address, &[]);
            let expected = &operation["responses"][answer.status.to_string()];
            let (media, content) = expected["content"]
                .as_object()
                .unwrap_or_else(|| panic!("{method} {address}: {}", answer.body))
                .iter()
                .next()
                .unwrap();
            assert_eq!(answer.header("content-type"), media, "{method} {path}");
            assert_valid(&document, &content["schema"], &answer.json(), path);
        }
    }
    assert!(seen >= 17, "{seen}");
    let nowhere = get(&service, "/api/v1/nothing");
    assert_eq!(
        (nowhere.status, nowhere.json()["reason"].as_str()),
        (404, Some("NoSuchPath"))
    );
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    assert_valid(&document, &problem, &nowhere.json(), "/api/v1/nothing");
}

/// A path of the document with values that are there.
fn filled(path: &str) -> String {
    let path = path
        .replace("{pipeline}", "shop")
        .replace("{commit}", NEWEST)
        .replace("{number}", "7")
        .replace("{cluster}", "berlin");
    match path.rsplit('/').next().unwrap() {
        "explain" => path + "?object=Deployment.apps%20shop/web&cluster=berlin",
        "file" => path + "?path=shop/deployment.apps-web.yaml",
        _ => path,
    }
}

fn assert_valid(document: &Value, schema: &Value, body: &Value, path: &str) {
    let whole = json!({"allOf": [schema], "components": document["components"]});
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{path}: {}", errors.join("\n"));
}

#[test]
fn a_list_of_a_thousand_wecs_comes_in_pages_and_by_filter() {
    let service = Service::open();
    service.fake.change(|board| {
        let fleet = board.pipelines.get_mut("fleet").unwrap();
        for name in ["c0007", "c0700"] {
            let commit = fleet.commit_mut(FLEET).unwrap();
            let state = commit.clusters.get_mut(name).unwrap();
            let reason = "Refused".into();
            let failed = Observation::Failed {
                reason,
                message: "the forge is away".into(),
            };
            state.observe(failed, jiff::Timestamp::now());
        }
    });
    let path = format!("/api/v1/pipelines/fleet/commits/{FLEET}/clusters");
    let names: Vec<Value> = all(&service, &format!("{path}?limit=300"));
    let names: BTreeSet<&str> = names
        .iter()
        .map(|wec| wec["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 1000);
    let page = get(&service, &format!("{path}?limit=100000")).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1000);
    let failed = get(&service, &format!("{path}?phase=held,failed")).json();
    assert_eq!(failed["total"], 2);
    assert_eq!(failed["items"][0]["name"], "c0007");
    assert_eq!(failed["items"][0]["why"], "the forge is away");
    let both = get(&service, &format!("{path}?phase=failed&name=70")).json();
    assert_eq!(both["items"][0]["name"], "c0700");
    assert_eq!(both["total"], 1);
    assert_eq!(get(&service, &format!("{path}?limit=few")).status, 400);
    let refused = get(&service, &format!("{path}?phase=failed,bogus"));
    assert_eq!(refused.status, 400);
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("no phase `bogus`"), "{said}");
    assert!(
        said.contains("published, delivered, applied, healthy"),
        "{said}"
    );
}

#[test]
fn the_grid_is_small_and_says_where_each_wec_stands() {
    let service = Service::open();
    let grid = get(&service, "/api/v1/pipelines/shop/grid").json();
    let phase = |row: usize, column: usize| {
        let cell = grid["rows"][row]["cells"].as_str().unwrap().as_bytes()[column];
        let place = usize::try_from(char::from(cell).to_digit(36).unwrap()).unwrap();
        grid["phases"][place].as_str().unwrap().to_owned()
    };
    assert_eq!(
        grid["clusters"],
        json!(["berlin", "cologne", "graz", "vienna", "zurich"])
    );
    let newest: Vec<String> = (0..5).map(|column| phase(0, column)).collect();
    assert_eq!(
        newest,
        ["degraded", "healthy", "quarantined", "published", "healthy"]
    );
    assert_eq!(phase(2, 0), "published");
    let fleet = get(&service, "/api/v1/pipelines/fleet/grid");
    assert!(fleet.body.len() < 60_000, "{}", fleet.body.len());
}

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
fn a_wecs_objects_are_those_of_its_generated_commit_with_what_is_said_of_them() {
    let service = Service::open();
    let path = format!("/api/v1/pipelines/shop/commits/{NEWEST}/clusters/berlin");
    let objects = get(&service, &format!("{path}/objects")).json();
    let deployment = &objects["items"][0];
    assert_eq!(deployment["object"]["kind"], "Deployment");
    assert_eq!(deployment["path"], "shop/deployment.apps-web.yaml");
    assert_eq!(deployment["health"], "degraded");
    assert_eq!(deployment["message"], HOSTILE);
    assert_eq!(objects["items"][1]["object"]["kind"], "Secret");
    assert!(objects["items"][1].get("health").is_none());
    let file = |name: &str| get(&service, &format!("{path}/file?path=shop/{name}"));
    assert!(
        file("deployment.apps-web.yaml")
            .body
            .contains("image: web:2")
    );
    let secret = file("secret-till.yaml");
    assert_eq!(secret.json()["withheld"], true);
    assert!(!secret.body.contains("5678"));
    assert_eq!(
        file("..%2f..%2fgraz%2fshop%2fdeployment.apps-web.yaml").status,
        404
    );
    assert_eq!(file("none.yaml").json()["reason"], "NoSuchFile");
    let empty = format!("/api/v1/pipelines/shop/commits/{NEWEST}/clusters/vienna/objects");
    assert_eq!(get(&service, &empty).json()["total"], 0);
    let reports_only = format!("/api/v1/pipelines/fleet/commits/{FLEET}/clusters/c0000/objects");
    assert_eq!(get(&service, &reports_only).json()["total"], 0);
    let old = format!("/api/v1/pipelines/shop/commits/{FIRST}/clusters/graz/objects");
    assert_eq!(get(&service, &old).json()["total"], 2);
}

#[test]
fn a_wecs_diff_is_what_its_commit_changed() {
    let service = Service::open();
    let diff = |commit: &str, wec: &str| {
        let path = format!("/api/v1/pipelines/shop/commits/{commit}/clusters/{wec}/diff");
        get(&service, &path).json()
    };
    let berlin = diff(NEWEST, "berlin");
    let text = berlin["items"][0]["text"].as_str().unwrap();
    assert_eq!(berlin["items"][0]["change"], "changed");
    assert!(
        text.contains("-      - image: web:1\n+      - image: web:2\n"),
        "{text}"
    );
    assert_eq!(berlin["items"][1]["withheld"], true);
    assert!(!berlin.to_string().contains("5678"));
    let graz = diff(NEWEST, "graz");
    let changes: Vec<&Value> = graz["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["change"])
        .collect();
    assert_eq!(changes, ["changed", "removed"]);
    assert_eq!(
        diff(SAME, "berlin")["total"],
        0,
        "the same generated commit"
    );
    assert_eq!(diff(FIRST, "berlin")["items"][0]["change"], "added");
}

#[test]
fn equal_changes_of_several_wecs_are_told_once() {
    let service = Service::open();
    service.fake.change(|board| {
        let shop = board.pipelines.get_mut("shop").unwrap();
        shop.commits.retain(|commit| commit.id != SAME);
    });
    let diff = |commit: &str| {
        get(
            &service,
            &format!("/api/v1/pipelines/shop/commits/{commit}/diff"),
        )
        .json()
    };
    let first = diff(FIRST);
    let groups: Vec<String> = first["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["clusters"].to_string())
        .collect();
    assert_eq!(
        groups,
        ["[\"berlin\"]", "[\"cologne\",\"zurich\"]", "[\"graz\"]"]
    );
    let path = "/api/v1/pipelines/fleet/commits/";
    let none = get(&service, &format!("{path}{FLEET}/diff"));
    assert_eq!(
        (none.status, none.json()["reason"].as_str()),
        (404, Some("NoGeneratedCommits"))
    );
}

#[test]
fn what_is_not_there_is_said_in_words() {
    let service = Service::open();
    for (path, reason, detail) in [
        (
            "/api/v1/pipelines/none",
            "NoSuchPipeline",
            "there is no pipeline none",
        ),
        (
            "/api/v1/pipelines/shop/commits/abcdefa",
            "NoSuchCommit",
            "commit abcdefa is not remembered",
        ),
        (
            "/api/v1/pipelines/shop/commits/c3c3c3c/clusters/oslo",
            "NoSuchCluster",
            "the commit knows no WEC oslo",
        ),
    ] {
        let answer = get(&service, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["reason"], reason);
        assert_eq!(answer.json()["detail"], detail);
    }
}

#[test]
fn an_object_is_explained_and_nonsense_is_not() {
    let service = Service::open();
    let explain = |pipeline: &str, query: &str| {
        get(
            &service,
            &format!("/api/v1/pipelines/{pipeline}/explain{query}"),
        )
    };
    let placed = explain("shop", "?object=Deployment.apps%20shop/web&cluster=berlin").json();
    assert_eq!(placed["verdict"], "placed");
    assert_eq!(
        placed["object"],
        json!({"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web"})
    );
    assert_eq!(placed["cluster"], "berlin");
    assert_eq!(explain("shop", "?object=web").status, 400);
    assert_eq!(explain("shop", "").status, 400);
    assert_eq!(explain("fleet", "?object=Namespace%20x").status, 503);
}

#[test]
fn a_run_is_asked_for() {
    let service = Service::open();
    let sync = |path: &str| ask(&service, "POST", &format!("/api/v1/pipelines/{path}"), &[]).status;
    assert_eq!(sync("shop/sync"), 202);
    assert_eq!(sync("shop/sync?full=true"), 202);
    assert_eq!(sync("none/sync"), 404);
    assert_eq!(sync("shop/sync?full=very"), 400);
    let asked = service.fake.asked.lock().unwrap();
    assert_eq!(
        *asked,
        [("shop".to_owned(), false), ("shop".to_owned(), true)]
    );
}

#[test]
fn a_pull_request_says_what_it_would_change_and_nothing_of_a_secret() {
    let service = Service::open();
    let pull = |place: &str| get(&service, &format!("/api/v1/pipelines/{place}"));
    let seven = pull("shop/pulls/7");
    assert!(!seven.body.contains("1234"), "{}", seven.body);
    let seven = seven.json();
    assert_eq!(seven["errors"], json!(["apps/shop.yaml:3: no such key"]));
    let changes = &seven["changes"];
    assert_eq!(changes["addedClusters"], json!(["linz"]));
    let fates: Vec<&Value> = changes["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| &object["change"])
        .collect();
    assert_eq!(fates, ["added", "changed", "removed"]);
    let web = &changes["objects"][1];
    assert_eq!(web["clusters"], json!(["berlin", "zurich"]));
    let text = web["text"].as_str().unwrap();
    assert!(text.contains("+      - image: web:4\n"), "{text}");
    assert_eq!(changes["objects"][2]["withheld"], true);
    let all = pull("shop/pulls").json();
    let numbers = [&all["items"][0]["number"], &all["items"][1]["number"]];
    assert_eq!(numbers, [8, 7], "the newest first");
    assert_eq!(all["items"][1]["summary"], seven["summary"]);
    assert_eq!(pull("fleet/pulls").json()["total"], 0);
    let eight = pull("shop/pulls/8").json();
    assert_eq!(eight["summary"], "cannot be rendered: no such branch");
    assert!(eight.get("changes").is_none());
    for (place, reason) in [
        ("shop/pulls/9", "NoSuchPull"),
        ("shop/pulls/seven", "NoSuchPull"),
        ("none/pulls/7", "NoSuchPipeline"),
    ] {
        let answer = pull(place);
        assert_eq!(answer.status, 404, "{place}");
        assert_eq!(answer.json()["reason"], reason);
    }
}

#[test]
fn only_the_newest_commit_is_released_and_only_when_it_is_held() {
    let service = Service::open();
    let release = |commit: &str| {
        let path = format!("/api/v1/pipelines/shop/commits/{commit}/release");
        let answer = ask(&service, "POST", &path, &[]);
        let reason = answer.json()["reason"].as_str().map(ToOwned::to_owned);
        (answer.status, reason.unwrap_or_default())
    };
    let is_releasable = || {
        let path = format!("/api/v1/pipelines/shop/commits/{NEWEST}");
        get(&service, &path).json()["releasable"].clone()
    };
    assert_eq!(is_releasable(), false);
    assert_eq!(release(NEWEST), (409, "NotHeld".into()));
    assert_eq!(release("abcdefa"), (404, "NoSuchCommit".into()));
    assert!(service.fake.released.lock().unwrap().is_empty());
    service.fake.hold();
    assert_eq!(is_releasable(), true);
    let what_holds = |reasons: Vec<String>| {
        service.fake.change(|board| {
            let shop = board.pipelines.get_mut("shop").unwrap();
            shop.commit_mut(NEWEST).unwrap().releasable = reasons;
        });
    };
    what_holds(Vec::new());
    assert_eq!(is_releasable(), false);
    assert_eq!(release(NEWEST), (409, "NotReleasable".into()));
    what_holds(vec![HELD.into()]);
    let path = "/api/v1/pipelines/shop/commits/c3c3c3c/release";
    let answer = ask(&service, "POST", path, &[]);
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({"pipeline": "shop", "commit": NEWEST, "why": HELD})
    );
    let released = [("shop".to_owned(), NEWEST.to_owned())];
    assert_eq!(*service.fake.released.lock().unwrap(), released);
    service.fake.change(|board| {
        let shop = board.pipelines.get_mut("shop").unwrap();
        let mut newer = shop.commit(SAME).unwrap().clone();
        newer.id = "e5".repeat(20);
        shop.push(newer);
    });
    assert_eq!(is_releasable(), false);
    assert_eq!(release(NEWEST), (409, "NotNewest".into()));
}

#[test]
fn waves_are_shown_and_only_one_that_waits_and_is_not_paused_is_opened() {
    let service = Service::open();
    let shop = get(&service, "/api/v1/pipelines/shop").json();
    assert!(shop["waves"].is_null(), "{shop}");
    let release = |wave: &str| {
        let path = format!("/api/v1/pipelines/shop/commits/{NEWEST}/release?wave={wave}");
        let answer = ask(&service, "POST", &path, &[]);
        (answer.status, answer.json())
    };
    assert_eq!(release("late").0, 409);
    service.fake.stage();
    let shop = get(&service, "/api/v1/pipelines/shop").json();
    let waves: Vec<(&str, &str)> = shop["waves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wave| {
            (
                wave["name"].as_str().unwrap(),
                wave["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        waves,
        [("early", "open"), ("late", "held"), ("last", "paused")]
    );
    let path = format!("/api/v1/pipelines/shop/commits/{NEWEST}/clusters?phase=waiting");
    let found = get(&service, &path).json();
    assert_eq!(
        (&found["total"], &found["items"][0]["wave"]),
        (&json!(1), &json!("late")),
        "{found}"
    );
    for (wave, why) in [
        ("never", "there is no wave never with WECs"),
        ("early", "no WEC of wave early waits for the commit"),
        (
            "last",
            "wave last is paused by the configuration, and goes on there",
        ),
    ] {
        let (status, said) = release(wave);
        assert_eq!((status, &said["detail"]), (409, &json!(why)));
    }
    let (status, said) = release("late");
    assert_eq!((status, &said["wave"]), (202, &json!("late")), "{said}");
    let opened = [["shop", NEWEST, "late"].map(str::to_owned)];
    assert_eq!(*service.fake.opened.lock().unwrap(), opened);
    assert!(service.fake.released.lock().unwrap().is_empty());
}

#[test]
fn the_command_line_releases_what_is_held_and_says_why_it_cannot() {
    let service = Service::closed();
    let release = |commit: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_stellate"))
            .args(["release", "shop", commit, "--url", &service.url("/")])
            .args(["--token-env", "STELLATE_TEST_TOKEN"])
            .env("STELLATE_TEST_TOKEN", "new-token")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = release("latest");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("not held"), "{said}");
    assert!(said.contains("there is nothing to release"), "{said}");
    service.fake.hold();
    let (code, said) = release("latest");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(HELD), "{said}");
    let released = [("shop".to_owned(), NEWEST.to_owned())];
    assert_eq!(*service.fake.released.lock().unwrap(), released);
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

#[test]
fn metrics_are_told_in_the_format_that_prometheus_reads() {
    let service = Service::open();
    let answer = get(&service, "/metrics");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(
        answer
            .body
            .contains("stellate_pipeline_ready{pipeline=\"shop\"} 1")
    );
    assert!(
        answer
            .body
            .contains("stellate_clusters{pipeline=\"shop\",phase=\"degraded\"} 1")
    );
}

#[test]
fn profiles_are_there_only_when_asked_for() {
    let service = Service::open();
    assert_eq!(get(&service, "/debug/memory").status, 404);
    let service = Service::start(&ServerOptions {
        profiling: true,
        ..ServerOptions::default()
    });
    let memory = get(&service, "/debug/memory").json();
    assert!(memory["resident"].as_u64().unwrap() > 1 << 20);
    let profile = get(&service, "/debug/pprof/profile?seconds=1");
    assert_eq!(
        profile.status,
        if cfg!(feature = "profiling") {
            200
        } else {
            501
        }
    );
}

#[test]
fn a_service_that_stops_lets_go_of_who_listens() {
    let service = Service::open();
    let start = std::time::Instant::now();
    assert_eq!(http::ready(service.port, "/healthz"), Ok(()));
    drop(service);
    assert!(start.elapsed() < Duration::from_secs(8));
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
