//! What an adapter asks of an API server, as RBAC has it. Each adapter keeps its own list beside its calls. Pure data.

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Where it is asked.
    pub place: Place,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource: `pipelines/status`.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
}

/// Where something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In every namespace, or beside them.
    Everywhere,
    /// In this namespace.
    Namespace(&'static str),
    /// In the namespace that Stellate itself lives in.
    Own,
}
