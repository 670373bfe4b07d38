//! The chain on the examples: what a user sees, without the command line.

use std::sync::Arc;

use super::*;
use crate::inventory::Inventory;
use crate::model::Diagnostic;

#[test]
fn the_shop_is_rendered_for_twelve_wecs_without_an_error() {
    let location = format!("{}/examples/shop", env!("CARGO_MANIFEST_DIR"));
    let request = Request {
        location,
        ..Request::default()
    };
    let rendering = Pipeline::new(None)
        .render(&request, &Silent)
        .expect("rendered");
    let summary = rendering.summary();
    assert_eq!(
        (summary.clusters.len(), summary.files, summary.errors),
        (12, 331, 0)
    );
}

#[test]
fn wecs_that_are_given_stand_in_for_those_in_the_source_and_an_equal_inventory_is_no_news() {
    let location = format!("{}/examples/shop", env!("CARGO_MANIFEST_DIR"));
    let mut request = Request {
        location,
        ..Request::default()
    };
    let mut pipeline = Pipeline::new(None);
    let written = pipeline.render(&request, &Silent).expect("rendered");
    let mut given = Inventory::clone(&written.inventory);
    given.clusters.truncate(3);
    let broken = Diagnostic::error("InvalidName", "a WEC is called so");
    let mut render = |inventory: &Inventory, found: &[Diagnostic]| {
        let again = Arc::new(inventory.clone());
        request.inventory = InventorySource::Given(again, found.into());
        pipeline.render(&request, &Silent).expect("rendered")
    };
    let first = render(&given, &[]);
    assert_eq!(first.inventory.clusters.len(), 3);
    assert!(first.inventory_complete);

    let second = render(&given, &[]);
    assert!(Arc::ptr_eq(&first.rendered, &second.rendered));

    let unsure = render(&given, std::slice::from_ref(&broken));
    assert!(!unsure.inventory_complete && unsure.diagnostics.contains(&broken));
    given.clusters.pop();
    assert_eq!(render(&given, &[]).inventory.clusters.len(), 2);
    let none = render(&Inventory::default(), &[]);
    let empty = |found: &&Diagnostic| found.reason == "EmptyInventory";
    assert_eq!(none.diagnostics.iter().filter(empty).count(), 1);
}
