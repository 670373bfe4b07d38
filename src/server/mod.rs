//! What the service answers over HTTP. Thin: everything that decides is in the modules below, as functions of values.

pub mod webhooks;
