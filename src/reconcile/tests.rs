//! The chain on the examples: what a user sees, without the command line.

use super::*;

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
