//! What a person asks for: runs, and releases of commits and waves.

use super::*;

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
