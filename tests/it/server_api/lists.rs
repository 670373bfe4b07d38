//! Lists of a thousand WECs: pages, filters and the grid.

use super::*;

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
fn a_wec_that_is_no_destination_is_listed_with_the_reason() {
    let service = Service::open();
    service.fake.change(|board| {
        let shop = board.pipelines.get_mut("shop").unwrap();
        let newest = shop.commit_mut(NEWEST).unwrap();
        newest.excluded = [("essen".into(), "is not accepted by the hub".to_owned())].into();
    });
    let path = format!("/api/v1/pipelines/shop/commits/{NEWEST}/clusters");
    let list = get(&service, &path).json();
    assert_eq!(list["total"], 6);
    let essen = &list["items"][2];
    assert_eq!(essen["name"], "essen");
    assert_eq!(essen["why"], "gets nothing: it is not accepted by the hub");
    assert_eq!(
        (&list["items"][3]["objects"], &list["items"][3]["kept"]),
        (&json!(1), &json!(1))
    );
    assert!(essen.get("phase").is_none() && essen.get("since").is_none());
    let next = get(&service, &format!("{path}?limit=2&continue=cologne")).json();
    assert_eq!(next["items"][0]["name"], "essen");
    let healthy = get(&service, &format!("{path}?phase=healthy")).json();
    assert_eq!(healthy["total"], 2);
    let alone = get(&service, &format!("{path}/essen"));
    assert_eq!(
        (alone.status, &alone.json()["reason"]),
        (404, &json!("NotADestination"))
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
