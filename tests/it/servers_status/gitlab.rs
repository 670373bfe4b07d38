//! On a double of GitLab, whose statuses are jobs with states of their own.

use super::*;

/// GitLab, as far as its commit statuses are documented: jobs with a state machine, in pages of two.
fn gitlab() -> Double {
    let mut jobs: Vec<Value> = Vec::new();
    Double::start(move |asked: &Asked| {
        let statuses = format!("/api/v4/projects/acme%2Fshop/statuses/{SHA}");
        let list = format!("/api/v4/projects/acme%2Fshop/repository/commits/{SHA}/statuses");
        if asked.method == "GET" && asked.path == list {
            let page: usize = asked
                .query
                .split('&')
                .find_map(|part| part.strip_prefix("page="))
                .map_or(1, |page| page.parse().unwrap());
            assert!(asked.query.contains("ref=main"), "{}", asked.query);
            let shown: Vec<&Value> = jobs.iter().skip((page - 1) * 2).take(2).collect();
            let mut headers = Vec::new();
            if page * 2 < jobs.len() {
                headers.push(format!("Link: <https://gitlab.example.com/wrong?ref=main&per_page=2&page={}>; rel=\"next\"", page + 1));
            }
            return Reply::Answer(200, headers, json!(shown).to_string());
        }
        if asked.method != "POST" || asked.path != statuses {
            return Reply::json(404, &json!({"message": "404 Project Not Found"}));
        }
        let (name, state) = (&asked.body["name"], asked.body["state"].as_str().unwrap());
        assert!(
            ["pending", "running", "success", "failed", "canceled"].contains(&state),
            "{state}"
        );
        assert_eq!(asked.body["ref"], "main");
        let open = jobs
            .iter_mut()
            .rev()
            .find(|job| job["name"] == *name && job["status"] == "pending");
        match open {
            Some(_) if state == "pending" => {
                let text = "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via \"enqueue\")";
                return Reply::json(400, &json!({"message": text}));
            }
            Some(job) => {
                job["status"] = json!(state);
                job["description"] = asked.body["description"].clone();
            }
            None => {
                let id = jobs.len() + 1;
                jobs.push(json!({"id": id, "name": name, "status": state, "description": asked.body["description"], "target_url": asked.body["target_url"]}));
            }
        }
        Reply::json(201, &json!({}))
    })
}

#[test]
fn gitlab_is_told_in_its_own_states_and_its_state_machine_is_no_failure() {
    let runtime = Runtime::new().unwrap();
    let double = gitlab();
    let config = config(
        ForgeKind::GitLab,
        &double.url(),
        ForgeLogin::Token(token_file(TOKEN)),
    );
    let first = sink(&runtime, config.clone());
    for text in ["waiting for 3", "waiting for 2"] {
        first.want(
            SHA,
            vec![
                status("stellate/shop", StatusState::Pending, text),
                status("stellate/shop/a", StatusState::Success, "healthy"),
                status(
                    "stellate/shop/b",
                    StatusState::Error,
                    "failed: no such chart",
                ),
            ],
        );
        settle(&runtime, &first);
    }
    assert_eq!(first.problem(), None);
    let posted = runtime
        .block_on(Forge::new(config.clone()).list(SHA))
        .unwrap();
    let shown = shown(&posted);
    let states: Vec<StatusState> = shown.values().map(|(state, _)| *state).collect();
    assert_eq!(
        states,
        [
            StatusState::Pending,
            StatusState::Success,
            StatusState::Failure
        ],
        "all pages are read"
    );
    let before = double.asked_to("POST").len();
    drop(first);
    let second = sink(&runtime, config);
    second.want(
        SHA,
        vec![
            status("stellate/shop", StatusState::Failure, "1/3 failing"),
            status("stellate/shop/a", StatusState::Success, "healthy"),
            status(
                "stellate/shop/b",
                StatusState::Error,
                "failed: no such chart",
            ),
        ],
    );
    settle(&runtime, &second);
    assert_eq!(
        double.asked_to("POST").len(),
        before + 1,
        "an error is a failure there, and not told again"
    );
}
