//! What becomes of kubeconfigs that are not as they should be.

use std::fs;

use kube::core::Status;

use super::*;

fn connected(text: &str, context: Option<&str>) -> Result<(), ConnectError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, text).unwrap();
    let connection = Connection {
        kubeconfig: Some(path),
        context: context.map(str::to_owned),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(connect(&connection)).map(drop)
}

const GOOD: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "its1",
    "clusters": [{"name": "its1", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "s3cr3t"}}],
    "contexts": [{"name": "its1", "context": {"cluster": "its1", "user": "u"}}]}"#;

#[test]
fn a_kubeconfig_is_enough() {
    connected(GOOD, None).unwrap();
    connected(GOOD, Some("its1")).unwrap();
}

#[test]
fn what_a_kubeconfig_lacks_is_named_and_its_secrets_are_not() {
    let error = connected(GOOD, Some("its2")).unwrap_err();
    assert_eq!(error.reason(), "InvalidKubeconfig");
    assert!(error.to_string().contains("no context \"its2\""), "{error}");
    assert!(error.help().contains("kubectl --kubeconfig"));

    let broken = format!("{}: [", GOOD.replace('}', ""));
    let error = connected(&broken, None).unwrap_err();
    assert_eq!(error.reason(), "InvalidKubeconfig");
    assert!(
        !format!("{error} {error:?}").contains("s3cr3t"),
        "{error:?}"
    );
}

#[test]
fn a_kubeconfig_that_was_named_must_be_there() {
    let connection = Connection {
        kubeconfig: Some("no/such/file".into()),
        context: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = runtime
        .block_on(connect(&connection))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.reason(), "UnreadableKubeconfig");
    assert!(
        error
            .to_string()
            .starts_with("kubeconfig no/such/file cannot be read")
    );
}

#[test]
fn a_right_that_is_missing_is_named_as_the_server_names_it() {
    let status = Status::failure(
        "managedclusters is forbidden: User \"bot\" cannot watch resource \"managedclusters\"",
        "Forbidden",
    );
    let trouble = Trouble::of(&kube::Error::Api(status.with_code(403).boxed()));
    assert_eq!(trouble.reason, "Forbidden");
    assert!(trouble.message.contains("cannot watch resource"));
    assert!(trouble.help.contains("stellate rbac"));
}
