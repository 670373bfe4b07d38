//! The OpenAPI document and the server say the same, also about what is not there.

use super::*;

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
