//! Objects that cannot be used: unknown kinds, names that nobody takes, two for one.

use super::*;

#[test]
fn a_kind_that_nobody_defines_is_told_and_not_guessed() {
    let told = after(write(
        "workloads/widget.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: shop}\n",
    ));
    let first = told.told("UnknownKind");
    assert_eq!(
        first.location.as_ref().unwrap().path.as_str(),
        "workloads/widget.yaml"
    );
    assert!(
        format!("{first:?}").contains("Widget") && first.help.is_some(),
        "{first:#?}"
    );
}

#[test]
fn an_object_whose_definition_goes_keeps_its_file_and_its_namespace() {
    let definition = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true}]
";
    let mut files = SMALL.to_vec();
    let policy = SMALL[1]
        .1
        .replace("name: shop", "name: widgets")
        .replace("[shop]", "[gadgets]");
    files.push(("definition.yaml", definition));
    files.push(("policies/widgets.yaml", &policy));
    files.push((
        "workloads/widget.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: gadgets}\n",
    ));
    let told = after_in(&files, |root| {
        fs::remove_file(root.join("definition.yaml")).unwrap();
    });
    told.told("UnknownKind");
    told.kept_on_both("gadgets/widget.example.com-one.yaml");
    told.kept_on_both("_cluster/namespace-gadgets.yaml");
}

#[test]
fn two_files_with_one_object_are_told_with_both_places() {
    let told = after(write(
        "workloads/shop2.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {color: blue}\n",
    ));
    let first = told.told("DuplicateObject");
    let text = format!("{first:?}");
    assert!(
        text.contains("workloads/shop2.yaml") && text.contains(SHOP),
        "{first:#?}"
    );
    told.kept_on_both(SETTINGS);
}

#[test]
fn two_objects_whose_files_would_be_one_are_told_and_neither_is_lost() {
    let definition = |group: &str, kind: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.{group}}}\nspec: {{group: {group}, scope: Namespaced, names: {{kind: {kind}, plural: {plural}}}, versions: [{{name: v1, served: true, storage: true}}]}}\n",
            plural = format!("{}s", kind.to_lowercase()),
        )
    };
    let definitions = format!(
        "{}---\n{}",
        definition("b", "Box"),
        definition("b-c", "Box")
    );
    let mut files = SMALL.to_vec();
    files.push(("definitions.yaml", &definitions));
    files.push((
        "workloads/box.yaml",
        "apiVersion: b-c/v1\nkind: Box\nmetadata: {name: d, namespace: shop}\nspec: {was: first}\n",
    ));
    let told = after_in(
        &files,
        write(
            "workloads/other.yaml",
            "apiVersion: b/v1\nkind: Box\nmetadata: {name: c-d, namespace: shop}\nspec: {was: second}\n",
        ),
    );
    assert!(told.told("PathClash").object.is_some());
    told.kept_on_both("shop/box.b-c-d.yaml");
}

#[test]
fn a_name_that_no_api_server_takes_is_told() {
    let told = after(write(
        "workloads/name.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name, namespace: shop}\n",
    ));
    let first = told.told("InvalidName");
    assert_eq!(
        first.location.as_ref().unwrap().path.as_str(),
        "workloads/name.yaml"
    );
    assert!(first.message.contains("Bad_Name"), "{}", first.message);
}

#[test]
fn a_namespace_that_leads_out_of_the_folder_is_refused() {
    for namespace in ["..", "a/../../b", ".git"] {
        let told = after(write(
            "workloads/name.yaml",
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x, namespace: {namespace:?}}}\n"
            ),
        ));
        told.told("InvalidName");
    }
}
