//! What a WEC got, what a commit or pull request changes, and why an object is where it is.

use super::*;

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
