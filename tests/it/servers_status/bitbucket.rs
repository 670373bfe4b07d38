//! On doubles of Bitbucket, in the cloud and not, whose statuses have keys.

use super::*;

/// Bitbucket, as far as its build statuses are documented; of both kinds.
fn bitbucket() -> Double {
    let mut builds: BTreeMap<String, Value> = BTreeMap::new();
    Double::start(move |asked: &Asked| {
        let cloud = format!("/repositories/acme/shop/commit/{SHA}/statuses");
        let server = format!("/rest/build-status/1.0/commits/{SHA}");
        if asked.method == "GET" && (asked.path == cloud || asked.path == server) {
            let number = |name: &str| {
                asked
                    .query
                    .split('&')
                    .find_map(|part| part.strip_prefix(name))
                    .map_or(0, |text| text.parse::<usize>().unwrap())
            };
            let start = if asked.path == cloud {
                number("page=")
            } else {
                number("start=")
            };
            let shown: Vec<&Value> = builds.values().skip(start).take(1).collect();
            let host = asked
                .head
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap();
            let mut page = json!({"values": shown, "isLastPage": start + 1 >= builds.len()});
            if start + 1 < builds.len() {
                page["nextPageStart"] = json!(start + 1);
                if asked.path == cloud {
                    page = json!({"values": shown, "next": format!("http://{host}{cloud}?page={}", start + 1)});
                }
            }
            return Reply::json(200, &page);
        }
        let body = &asked.body;
        let key = body["key"].as_str().unwrap_or_default();
        let good = asked.method == "POST"
            && (asked.path == format!("{cloud}/build") || asked.path == server)
            && (1..=40).contains(&key.len())
            && body["url"]
                .as_str()
                .is_some_and(|url| url.starts_with("http"))
            && ["SUCCESSFUL", "FAILED", "INPROGRESS"]
                .contains(&body["state"].as_str().unwrap_or_default());
        if !good {
            return Reply::json(
                400,
                &json!({"type": "error", "error": {"message": "Bad request"}}),
            );
        }
        builds.insert(key.to_owned(), body.clone());
        Reply::json(201, body)
    })
}

#[test]
fn bitbucket_is_told_by_keys_that_fit_and_with_a_url() {
    let runtime = Runtime::new().unwrap();
    let cases = [
        (
            ForgeKind::BitbucketCloud,
            ForgeLogin::Token(token_file(TOKEN)),
            format!("authorization: bearer {TOKEN}"),
        ),
        (
            ForgeKind::BitbucketServer,
            ForgeLogin::User("stella".into(), token_file("secret")),
            "authorization: basic c3rlbgxhonnly3jlda==".into(),
        ),
    ];
    for (kind, login, header) in cases {
        let double = bitbucket();
        let config = config(kind, &double.url(), login);
        let wanted = || {
            vec![
                CommitStatus {
                    target_url: None,
                    ..status("stellate/shop", StatusState::Pending, "waiting for 2")
                },
                status(
                    "stellate/shop/a-wec-whose-name-is-too-long-for-a-key-1",
                    StatusState::Pending,
                    "published",
                ),
                status(
                    "stellate/shop/a-wec-whose-name-is-too-long-for-a-key-2",
                    StatusState::Error,
                    "failed",
                ),
            ]
        };
        let first = sink(&runtime, config.clone());
        first.want(SHA, wanted());
        settle(&runtime, &first);
        assert_eq!(first.problem(), None);
        assert!(
            double
                .asked()
                .iter()
                .all(|asked| asked.head.contains(&header)),
            "{:?}",
            double.asked()
        );
        drop(first);
        let second = sink(&runtime, config.clone());
        second.want(SHA, wanted());
        settle(&runtime, &second);
        assert_eq!(double.asked_to("POST").len(), 3, "read back by their names");
        let posted = runtime.block_on(Forge::new(config).list(SHA)).unwrap();
        let wanted: Vec<String> = wanted().into_iter().map(|status| status.context).collect();
        assert_eq!(shown(&posted).into_keys().collect::<Vec<_>>(), wanted);
    }
}
