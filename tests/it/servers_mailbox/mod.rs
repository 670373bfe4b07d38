//! Mailboxes against a real API server and OCM's own work agents: what arrives, what comes back, and how much is written.

mod agents;
mod keeping;
mod late;
mod leaving;
mod writes;
