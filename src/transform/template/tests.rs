use serde_json::Value as Json;

use super::*;

fn properties() -> Properties {
    serde_json::from_str(include_str!(
        "../../../fixtures/parity/go-template.properties.json"
    ))
    .unwrap()
}

/// What a template gives, in the words of the parity tables: the output, or the class of the error.
fn outcome(text: &str, properties: &Properties) -> Result<String, &'static str> {
    let class = |error: TemplateError| if error.is_parse() { "parse" } else { "exec" };
    Template::parse(text)
        .map_err(class)?
        .render(properties)
        .map_err(class)
}

fn agrees_with_go(table: &str) -> usize {
    let properties = properties();
    let mut differences = Vec::new();
    let rows: Vec<Json> = table
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for row in &rows {
        let text = row["template"].as_str().unwrap();
        let wanted = match row["output"].as_str() {
            Some(output) => Ok(output.to_owned()),
            None => Err(row["error"].as_str().unwrap()),
        };
        let got = outcome(text, &properties);
        if got.as_ref().map_err(|class| &**class) != wanted.as_ref().map_err(|class| &**class) {
            differences.push(format!("{text}\n  wanted {wanted:?}\n  got    {got:?}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        rows.len(),
        differences.join("\n")
    );
    rows.len()
}

#[test]
fn every_parity_row_gives_what_go_gives() {
    assert_eq!(
        agrees_with_go(include_str!("../../../fixtures/parity/go-template.jsonl")),
        90
    );
}

#[test]
#[ignore]
fn differential() {
    let path = std::env::var("TEMPLATE_ROWS").unwrap();
    agrees_with_go(&std::fs::read_to_string(path).unwrap());
}
