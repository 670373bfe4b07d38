//! The definitions as an API server judges them.

use serde_json::Value;

use super::crds;
use crate::model::Scope;
use crate::model::kinds::Kinds;

fn definitions() -> Vec<Value> {
    crds()
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .collect()
}

/// Visits every schema of a schema, with its path.
fn visit(path: &str, schema: &Value, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        visit(&format!("{path}.{name}"), inner, see);
    }
    if schema["items"].is_object() {
        visit(&format!("{path}[]"), &schema["items"], see);
    }
    if schema["additionalProperties"].is_object() {
        visit(&format!("{path}.*"), &schema["additionalProperties"], see);
    }
}

#[test]
fn our_definitions_say_what_the_table_of_kinds_says() {
    let mut kinds = Kinds::builtin();
    for definition in definitions() {
        kinds.add_crd(&definition).unwrap();
    }
    assert_eq!(
        kinds
            .get("gitops.kubestellar.io", "Pipeline")
            .unwrap()
            .scope,
        Scope::Cluster
    );
}

#[test]
fn every_schema_is_structural_and_described() {
    for definition in definitions() {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        visit("", &schema["properties"]["spec"], &mut |path, schema| {
            let typed = schema["type"].is_string()
                || schema["x-kubernetes-int-or-string"] == true
                || schema["x-kubernetes-preserve-unknown-fields"] == true;
            assert!(typed, "{path} has no type: {schema}");
            let both =
                schema["properties"].is_object() && !schema["additionalProperties"].is_null();
            assert!(!both, "{path} has properties and additionalProperties");
            assert!(
                schema["$ref"].is_null() && schema["const"].is_null(),
                "{path}: {schema}"
            );
            let item = path.ends_with("[]") || path.ends_with('*');
            assert!(
                item || schema["description"].is_string(),
                "{path} says nothing to people"
            );
        });
    }
}

#[test]
fn a_choice_is_one_of_several_required_members() {
    let pipeline = &definitions()[0];
    let spec = &pipeline["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let source = &spec["properties"]["source"];
    let choices: Vec<_> = source["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| choice["required"][0].as_str().unwrap())
        .collect();
    assert_eq!(choices, ["git", "wds", "folder"]);
    assert_eq!(
        source["properties"]["git"]["required"],
        serde_json::json!(["url"])
    );
}
