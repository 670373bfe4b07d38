//! The page in a real browser: what people see, hear and can do by keyboard.
//!
//! With `STELLATE_SCREENSHOTS=FOLDER` each test leaves pictures there.

use serde_json::{Value, json};
use stellate::status::{
    Evidence, Health, Progress, Report,
    board::{Activity, PipelineBoard},
    state::Observation,
};

use crate::{
    server_browser::Browser,
    server_fake::{FLEET, HELD, HOSTILE, NEWEST, Service},
    support::need,
};

/// Nothing went wrong in the page, and it asked nobody but the server it came from.
fn assert_quiet(browser: &mut Browser, service: &Service) {
    browser.run("new Promise((resolve) => setTimeout(resolve, 100))");
    assert_eq!(browser.complaints, [""; 0]);
    let foreign: Vec<&String> = browser
        .requests
        .iter()
        .filter(|url| !url.starts_with(&service.url("/")) && !url.starts_with("about:"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(!browser.requests.is_empty());
}

fn grid_of(pipeline: &str) -> String {
    format!("/#/pipelines/{pipeline}")
}

#[test]
fn the_overview_leads_to_each_pipeline() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.open(&service.url("/"));
    browser.until("document.querySelectorAll('.card').length === 2");
    browser.picture("overview");
    let text = browser.run("document.querySelector('main').innerText");
    let text = text.as_str().unwrap();
    assert!(text.contains("1,000 published"), "{text}");
    assert!(
        text.contains("1 degraded, 1 quarantined, 1 published, 2 healthy"),
        "{text}"
    );
    browser.run("document.querySelector('a[href=\"#/pipelines/shop\"]').click()");
    browser.until("document.querySelector('h1').innerText === 'shop'");
    browser.until("document.querySelector('table.grid')");
    assert_eq!(browser.run("document.title"), "shop · Stellate");
    browser.picture("grid");
    browser.prefer("dark");
    browser.picture("grid-dark");
    let ground = browser.run("getComputedStyle(document.body).backgroundColor");
    assert_eq!(ground, "rgb(15, 19, 24)");
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_run_is_offered_only_of_a_pipeline_that_is_there() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    let offered = "[...document.querySelectorAll('button')].some((button) => button.innerText === 'Sync now' && button.checkVisibility())";
    browser.open(&service.url(&grid_of("shop")));
    browser.until(offered);
    browser.open(&service.url(&grid_of("nopp")));
    browser.until("document.querySelector('.failure')?.innerText.includes('nopp')");
    assert_eq!(browser.run(offered), false);
}

#[test]
fn a_pipeline_that_another_replica_serves_says_which() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    service.fake.change(|board| {
        let standby = PipelineBoard {
            source: "https://example.com/bakery".to_owned(),
            activity: Activity::Standby {
                holder: Some(HOSTILE.to_owned()),
            },
            ..PipelineBoard::default()
        };
        board.pipelines.insert("bakery".to_owned(), standby);
    });
    browser.open(&service.url("/"));
    browser.until("document.querySelectorAll('.card').length === 3");
    let card = browser.run("document.querySelector('.card').innerText");
    let said = format!("stands by: {HOSTILE} serves it");
    assert!(card.as_str().unwrap().contains(&said), "{card}");
    browser.open(&service.url(&grid_of("bakery")));
    browser.until(&format!(
        "document.querySelector('main').innerText.includes({said:?})"
    ));
    assert_quiet(&mut browser, &service);
}

#[test]
fn the_grid_is_a_table_with_headers_that_is_walked_by_arrow_keys() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.open(&service.url(&grid_of("shop")));
    browser.until("document.querySelector('table.grid')");
    let spoken = browser.spoken();
    let is_said = |role: &str, name: &str| {
        assert!(
            spoken
                .iter()
                .any(|(known, text)| known == role && text == name),
            "{role} {name:?} is not among {spoken:?}"
        );
    };
    is_said("heading", "shop");
    is_said("main", "");
    is_said("navigation", "Where you are");
    is_said("grid", "Commits by WECs");
    is_said("columnheader", "cologne");
    is_said("link", "berlin: degraded");
    is_said("searchbox", "WECs");
    is_said("button", "Sync now");
    let silent = spoken.iter().filter(|(role, name)| {
        matches!(
            role.as_str(),
            "link" | "button" | "textbox" | "searchbox" | "combobox"
        ) && name.is_empty()
    });
    assert_eq!(
        silent.count(),
        0,
        "something can be used and has no name: {spoken:?}"
    );
    let stops = "document.querySelectorAll('table.grid [data-cell][tabindex=\"0\"]').length";
    assert_eq!(
        browser.run(stops),
        1,
        "the grid is one stop for the Tab key"
    );
    browser.run("document.querySelector('[data-cell=\"0 0\"]').focus()");
    for key in ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"] {
        browser.press(key);
    }
    let label = "document.activeElement.ariaLabel";
    assert_eq!(browser.run(label), "cologne: published");
    assert_eq!(browser.run(stops), 1);
    for (key, expected) in [
        ("End", "zurich: published"),
        ("ArrowRight", "zurich: published"),
        ("Home", "berlin: published"),
        ("ArrowUp", "berlin: degraded"),
    ] {
        browser.press(key);
        assert_eq!(browser.run(label), expected, "{key}");
    }
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(outline), "solid", "the focus is seen");
    browser
        .until("document.querySelector('#tooltip').innerText.includes('Deployment.apps shop/web')");
    browser.press("Enter");
    browser.until("document.querySelector('h1').innerText === 'berlin'");
    assert_eq!(
        browser.run("document.activeElement.id"),
        "main",
        "the focus is on what came"
    );
    let hash = format!("#/pipelines/shop/commits/{NEWEST}/clusters/berlin");
    assert_eq!(browser.run("location.hash"), hash);
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_thousand_wecs_are_few_elements_and_can_be_walked_and_filtered() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    service.fake.change(|board| {
        let commit = board
            .pipelines
            .get_mut("fleet")
            .unwrap()
            .commit_mut(FLEET)
            .unwrap();
        for (number, (name, state)) in commit.clusters.iter_mut().enumerate() {
            if number % 9 > 0 {
                let health = if number % 125 == 7 {
                    Health::Degraded
                } else {
                    Health::Healthy
                };
                let report = Report {
                    cluster: name.clone(),
                    reporter: "Application argocd/fleet".into(),
                    revision: Some("none".into()),
                    progress: Progress::Applied,
                    health,
                    message: "as it says".into(),
                    objects: Vec::new(),
                    evidence: Evidence::Action,
                    at: None,
                };
                let report = Observation::Reported(report);
                state.observe(report, jiff::Timestamp::now());
            }
        }
    });
    browser.open(&service.url(&grid_of("fleet")));
    browser.until("document.querySelectorAll('.picture').length === 20");
    let elements = browser.run("document.querySelectorAll('*').length");
    assert!(
        elements.as_u64().unwrap() < 1000,
        "{elements} elements for 20,000 cells"
    );
    browser.picture("grid-1000");
    let steps = "(() => { const paths = document.querySelector('.picture').querySelectorAll('path'); \
                 return [...paths].map((path) => path.getAttribute('d').split('M').length - 1).reduce((one, other) => one + other); })()";
    assert_eq!(browser.run(steps), 1000, "every WEC of a row is drawn");
    browser.run("document.querySelector('.cursor').focus()");
    browser.press("ArrowRight");
    assert_eq!(
        browser.run("document.activeElement.ariaLabel"),
        "c0001: healthy"
    );
    browser.press("PageDown");
    assert_eq!(
        browser.run("document.activeElement.ariaLabel"),
        "c0001: published"
    );
    let spoken = browser.spoken();
    assert!(
        spoken.contains(&("gridcell".into(), "c0001: published".into())),
        "{spoken:?}"
    );
    browser.run("document.querySelector('.chip.phase-degraded').click()");
    browser.until("document.querySelector('table.grid')");
    let heads =
        browser.run("[...document.querySelectorAll('th.wec')].map((head) => head.innerText)");
    assert_eq!(heads[0], "c0007");
    assert_eq!(
        browser.run("document.querySelector('.chip.phase-degraded').ariaPressed"),
        "true"
    );
    browser.run("document.querySelector('#wec-filter').focus()");
    browser.write("07");
    let heads = "[...document.querySelectorAll('th.wec')].map((head) => head.innerText).join()";
    browser.until(&format!(
        "{heads}.startsWith('c0007') && !{heads}.includes('c0132')"
    ));
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_change_arrives_without_asking_and_the_focus_stays() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.open(&service.url(&format!("/#/pipelines/shop/commits/{NEWEST}")));
    browser.until("document.querySelector('#live').innerText === 'live'");
    browser.until("document.querySelectorAll('tbody tr').length === 5");
    browser.picture("commit");
    browser.run("document.querySelector('[data-key=\"wec-vienna\"]').focus()");
    service.fake.change(|board| {
        let commit = board
            .pipelines
            .get_mut("shop")
            .unwrap()
            .commit_mut(NEWEST)
            .unwrap();
        let failed = Observation::Failed {
            reason: "Refused".into(),
            message: "the WEC is away".into(),
        };
        let state = commit.clusters.get_mut("vienna").unwrap();
        state.observe(failed, jiff::Timestamp::now());
    });
    browser.until("document.querySelector('tbody').innerText.includes('the WEC is away')");
    assert_eq!(
        browser.run("document.activeElement.dataset.key"),
        "wec-vienna"
    );
    browser
        .until("document.querySelector('#announcer').innerText === 'web: the new image: failed'");
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_wec_shows_what_it_got_and_what_changed() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    let wec = service.url(&format!(
        "/#/pipelines/shop/commits/{NEWEST}/clusters/berlin"
    ));
    browser.open(&wec);
    browser.until("document.querySelector('.diff ins')");
    browser.picture("wec");
    let added = browser.run("document.querySelector('.diff ins').innerText.trim()");
    assert_eq!(added, "+      - image: web:2");
    let text = browser.run("document.querySelector('main').innerText");
    assert!(
        text.as_str()
            .unwrap()
            .contains("It is a Secret's, and not shown.")
    );
    assert!(
        text.as_str()
            .unwrap()
            .contains("Kustomization flux-system/shop")
    );
    browser.run("document.querySelector('[data-key=\"object-Deployment.apps shop/web\"]').click()");
    browser.until("document.querySelector('.unfolded pre').innerText.includes('replicas: 2')");
    browser.run("document.querySelector('.explain input').focus()");
    browser.write("Deployment.apps shop/web");
    browser.press("Enter");
    browser.until("document.querySelector('.verdict').innerText.includes('It is placed')");
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_pull_request_shows_each_difference_once_with_its_wecs() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.open(&service.url("/#/pipelines/shop"));
    browser.until("document.querySelector('a[href=\"#/pipelines/shop/pulls/7\"]') !== null");
    browser.open(&service.url("/#/pipelines/shop/pulls/7"));
    browser.until("document.querySelectorAll('.group').length === 3");
    browser.picture("pull");
    let text = browser.run("document.querySelector('main').innerText");
    let text = text.as_str().unwrap();
    for wanted in [
        "Pull request 7",
        "would change: 1 object added, 1 changed, 1 removed, on 3 WECs",
        "apps/shop.yaml:3: no such key",
        "New: 1 WEC: linz",
        "Deployment.apps shop/web on 2 WECs: berlin, zurich +1 −1",
        "It is a Secret's, and not shown.",
        HOSTILE,
    ] {
        assert!(text.contains(wanted), "{wanted} is not in {text}");
    }
    let lines = "[...document.querySelectorAll('.diff del, .diff ins')].map((line) => line.innerText.trim())";
    assert_eq!(
        browser.run(lines),
        json!([
            "+data:",
            "+  a: b",
            "-      - image: web:2",
            "+      - image: web:4"
        ])
    );
    browser.prefer("dark");
    browser.size(375, 800);
    browser.picture("phone-pull");
    assert_eq!(browser.run("document.documentElement.scrollWidth"), 375);
    browser.open(&service.url("/#/pipelines/shop/pulls/8"));
    browser.until("document.querySelector('main').innerText.includes('no such branch')");
    browser.open(&service.url("/#/pipelines/shop/pulls/9"));
    browser.until(
        "document.querySelector('.failure').innerText.includes('pull request 9 has not been rendered')",
    );
    browser
        .complaints
        .retain(|complaint| !complaint.contains("404"));
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_held_commit_is_released_by_keyboard_after_a_question_that_says_what_goes() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.open(&service.url(&format!("/#/pipelines/shop/commits/{NEWEST}")));
    browser.until("document.querySelectorAll('tbody tr').length === 5");
    let button = "document.querySelector('[aria-haspopup=dialog]')";
    assert_eq!(browser.run(&format!("{button}.hidden")), true);
    service.fake.hold();
    browser.until(&format!("!{button}.hidden"));
    browser.picture("held");
    browser.run(&format!("{button}.focus()"));
    browser.press("Enter");
    browser.until("document.querySelector('dialog').open");
    browser.picture("release");
    let focused = "document.activeElement.innerText";
    assert_eq!(
        browser.run(focused),
        "Keep it held",
        "a hasty Enter does no harm"
    );
    let text = browser.run("document.querySelector('dialog').innerText");
    assert!(text.as_str().unwrap().contains(HELD), "{text}");
    let spoken = browser.spoken();
    let named = ("dialog".into(), "Release this commit?".into());
    assert!(spoken.contains(&named), "{spoken:?}");
    browser.press("Escape");
    browser.until("!document.querySelector('dialog').open");
    assert_eq!(browser.run(focused), "Release …", "the focus is back");
    assert!(service.fake.released.lock().unwrap().is_empty());
    browser.press("Enter");
    browser.until("document.querySelector('dialog').open");
    browser.press("Tab");
    assert_eq!(browser.run(focused), "Release");
    browser.press("Enter");
    browser.until("document.querySelector('#announcer').innerText.includes('is released')");
    let released = [("shop".to_owned(), NEWEST.to_owned())];
    assert_eq!(*service.fake.released.lock().unwrap(), released);
    service.fake.change(|board| {
        let shop = board.pipelines.get_mut("shop").unwrap();
        let commit = shop.commit_mut(NEWEST).unwrap();
        commit.observe_all(&Observation::Held(Vec::new()), jiff::Timestamp::now());
    });
    browser.until(&format!("{button}.hidden"));
    assert_eq!(browser.run("document.activeElement.id"), "main");
    assert_quiet(&mut browser, &service);
}

#[test]
fn waves_are_listed_and_a_wec_that_waits_says_for_what() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    service.fake.stage();
    browser.open(&service.url("/#/pipelines/shop"));
    browser.until("document.querySelectorAll('.waves li').length === 3");
    let text = browser.run("document.querySelector('.waves').innerText");
    let text = text.as_str().unwrap();
    assert!(
        text.contains("late") && text.contains("held") && text.contains("1 to come"),
        "{text}"
    );
    browser.picture("waves");
    browser.open(&service.url(&format!("/#/pipelines/shop/commits/{NEWEST}")));
    browser.until("document.querySelectorAll('tbody tr').length === 5");
    let text = browser.run("document.querySelector('tbody').innerText");
    let text = text.as_str().unwrap();
    assert!(
        text.contains("wave late") && text.contains("waiting") && text.contains("rome (degraded)"),
        "{text}"
    );
    assert_quiet(&mut browser, &service);
}

#[test]
fn names_that_look_like_markup_stay_text() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    let commit = format!("/#/pipelines/shop/commits/{NEWEST}");
    for address in [
        "/".to_owned(),
        grid_of("fleet"),
        commit.clone(),
        format!("{commit}/clusters/berlin"),
        format!("/#/pipelines/fleet/commits/{FLEET}"),
    ] {
        browser.open(&service.url(&address));
        let wanted = serde_json::to_string(HOSTILE).unwrap();
        if !address.ends_with("fleet") {
            browser.until(&format!(
                "document.querySelector('main').innerText.includes({wanted})"
            ));
        }
        assert_eq!(
            browser.run("document.querySelectorAll('main img, main script').length"),
            0
        );
        let title = browser.run("document.title");
        assert!(title.as_str().unwrap().ends_with("Stellate"), "{title}");
    }
    browser.open(&service.url("/#/pipelines/<img src=x>"));
    browser.until("document.querySelector('.failure').innerText.includes('<img src=x>')");
    browser
        .complaints
        .retain(|complaint| !complaint.contains("404"));
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_token_is_asked_for_and_kept_in_the_tab() {
    let mut browser = need!(Browser::start());
    let service = Service::closed();
    browser.open(&service.url(&grid_of("shop")));
    browser.until("document.activeElement.id === 'token'");
    browser.picture("token");
    let text = "document.querySelector('main').innerText";
    let asked = browser.run(text);
    assert!(!asked.as_str().unwrap().contains("not one of"), "{asked}");
    browser.write("wrong-token");
    browser.press("Enter");
    browser.until(&format!(
        "{text}.includes('The token given is not one of the service')"
    ));
    browser.until("document.activeElement.id === 'token'");
    browser.write("new-token");
    browser.press("Enter");
    browser.until("document.querySelector('table.grid') && document.querySelector('#live').innerText === 'live'");
    let kept =
        browser.run("[Object.entries(sessionStorage), localStorage.length, document.cookie]");
    assert_eq!(kept, json!([[["stellate-token", "new-token"]], 0, ""]));
    assert!(
        browser
            .requests
            .iter()
            .all(|url| !url.contains("new-token"))
    );
    browser
        .complaints
        .retain(|complaint| !complaint.contains("401"));
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_phone_shows_everything_without_scrolling_sideways() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.size(375, 800);
    let commit = format!("/#/pipelines/shop/commits/{NEWEST}");
    for (name, address) in [
        ("overview", "/".to_owned()),
        ("grid", grid_of("shop")),
        ("grid-1000", grid_of("fleet")),
        ("commit", commit.clone()),
        ("wec", format!("{commit}/clusters/berlin")),
    ] {
        browser.open(&service.url(&address));
        browser.until("document.querySelector('main').innerText.length > 100");
        browser.picture(&format!("phone-{name}"));
        let width = browser.run("document.documentElement.scrollWidth");
        assert_eq!(width, 375, "{name}");
    }
    assert_quiet(&mut browser, &service);
}

#[test]
fn a_service_that_comes_back_is_found_again() {
    let mut browser = need!(Browser::start());
    let service = Service::open();
    browser.open(&service.url("/"));
    browser.until("document.querySelector('#live').innerText === 'live'");
    browser.call("Network.emulateNetworkConditions", &offline(true));
    service.fake.change(|board| {
        board.pipelines.remove("fleet");
    });
    browser.run("dispatchEvent(new Event('hashchange'))");
    browser.until("document.querySelector('.failure')");
    browser.call("Network.emulateNetworkConditions", &offline(false));
    browser.run("dispatchEvent(new Event('hashchange'))");
    browser.until(
        "document.querySelectorAll('.card').length === 1 && !document.querySelector('.failure')",
    );
    browser.until("document.querySelector('#live').innerText === 'live'");
}

fn offline(offline: bool) -> Value {
    json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
}
