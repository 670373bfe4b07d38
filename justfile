# Short names for what one does all day. `just` alone lists them.

_default:
    @just --list

# Everything that CI checks.
ci:
    .ci/run

# All tests; servers are built where they are missing.
test *ARGUMENTS:
    tests/run {{ARGUMENTS}}

# Tests that need no server.
quick *ARGUMENTS:
    tests/run --no-servers {{ARGUMENTS}}

# Formats and lints.
tidy:
    cargo fmt
    cargo clippy --all-targets --locked -- -D warnings

# The main job on the shop of the examples.
demo:
    cargo run --release --locked -- demo

# Renders an example and shows the tree.
render EXAMPLE='shop':
    cargo run --release --locked -- render examples/{{EXAMPLE}}

# Writes the generated files again.
generate:
    examples/edge-fleet/generate > examples/edge-fleet/inventory/clusters.yaml
    cargo run --quiet --locked -- crds --out deploy/crds
    cargo run --quiet --locked -- rbac --inventory its --output mailbox > deploy/rbac/its.yaml
    cargo run --quiet --locked -- rbac --pipelines --leases > deploy/rbac/service.yaml
