//! Stellate: from a git push to running workloads on many clusters, and the answer back on the commit.
//!
//! ```text
//! trigger ─▶ source ─▶ inventory ─▶ placement ─▶ transform ─▶ output ─▶ status
//! ```
//!
//! Data flows one way; a stage never looks ahead and never reaches back. [`model`] and [`yaml`] serve all stages,
//! [`git`] serves those that touch repositories, [`api_server`] those that touch clusters; only [`reconcile`] and [`cli`] see more than one stage.
//!
//! | module | gives |
//! |---|---|
//! | [`model`] | the vocabulary: objects, keys, selectors, kinds, diagnostics, API types |
//! | [`yaml`] | manifests read as kubectl, Argo CD and Flux read them, written so that they read back the same |
//! | [`git`] | the way to other repositories: transports, credentials, pushes |
//! | [`api_server`] | the way to Kubernetes API servers: connections, and their errors in words |
//! | [`source`] | a [`source::Snapshot`]: every object of one revision, parsed once |
//! | [`inventory`] | an [`inventory::Inventory`]: the WECs with labels and properties |
//! | [`placement`] | a [`placement::Plan`]: which object goes to which WEC, and why |
//! | [`transform`] | prepared objects: cleaned and emitted once, with holes for what differs per WEC |
//! | [`output`] | the tree of the generated branch, and its adapters: folder and git |
//! | [`status`] | where each commit stands on each WEC, and in which words the forge hears of it |
//! | [`config`] | `stellate.yaml`, raw and resolved |
//! | [`reconcile`] | the chain of all stages |
//! | [`server`] | health, metrics, the API, the page and the webhooks of the service |
//! | [`cli`] | one file a verb; the only place that prints |

pub mod api_server;
pub mod cli;
pub mod config;
pub mod git;
pub mod inventory;
pub mod model;
pub mod output;
pub mod placement;
pub mod reconcile;
pub mod server;
pub mod source;
pub mod status;
pub mod transform;
pub mod yaml;
