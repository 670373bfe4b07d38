//! KubeStellar's first API (`edge.kubestellar.io/v2alpha1`), read as policies, WECs and customisations.

mod customizer;
mod edge_placement;
mod location;
mod sync_target;

pub use customizer::{Customizer, Replacement};
pub use edge_placement::{EdgePlacement, EdgePlacementSpec, ObjectTest, UpsyncSet};
pub use location::{Location, LocationSpec, ResourceReference};
pub use sync_target::SyncTarget;

/// The group of all of them.
const GROUP: &str = "edge.kubestellar.io";

/// The version of all of them.
const VERSION: &str = "v2alpha1";
