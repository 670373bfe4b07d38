//! Hermetic tests of the source stage.
