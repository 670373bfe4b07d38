//! The made-up fleet: how many objects and WECs, which objects are customised, and what each is called.
//!
//! A [`Fleet`] is numbers only; its texts are made by `manifest`, `wec` and `policy` from an object's or a WEC's number.
//! Every object goes to every WEC: 10,000 × 1,000 are ten million files.

/// Objects in one namespace.
pub(crate) const NAMESPACE_SIZE: usize = 100;

/// Where the customised objects lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The same share in every namespace: no namespace is the same on two WECs.
    Spread,
    /// All in the first namespaces: all other namespaces are the same on every WEC.
    Grouped,
}

impl Mode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::Grouped => "grouped",
        }
    }
}

/// A fleet, as numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    /// Workload objects.
    pub(crate) objects: usize,
    /// WECs.
    pub(crate) wecs: usize,
    /// Customised objects of a hundred.
    pub(crate) customised: usize,
    /// Where they lie.
    pub(crate) mode: Mode,
}

/// The kinds that the objects are of: 55, 25 and 20 of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deployment,
    Service,
    ConfigMap,
}

impl Fleet {
    /// A fleet with the usual share of customised objects: 5 of a hundred.
    pub(crate) fn new(objects: usize, wecs: usize, mode: Mode) -> Self {
        Self {
            objects,
            wecs,
            customised: 5,
            mode,
        }
    }

    /// Counts the namespaces.
    pub(crate) fn namespaces(&self) -> usize {
        self.objects.div_ceil(NAMESPACE_SIZE)
    }

    /// Tells whether an object has templates.
    pub(crate) fn is_customised(&self, object: usize) -> bool {
        match self.mode {
            Mode::Spread => (object % 100) * self.customised % 100 < self.customised,
            Mode::Grouped => object * 100 < self.objects * self.customised,
        }
    }

    /// Finds the first object in the last namespace that is a Deployment and customised, or is not.
    pub(crate) fn deployment(&self, customised: bool) -> usize {
        let fits = |object: &usize| {
            kind(*object) == Kind::Deployment && self.is_customised(*object) == customised
        };
        let last = self.objects - self.objects.min(NAMESPACE_SIZE);
        (last..self.objects).chain(0..last).find(fits).unwrap_or(0)
    }
}

/// Gives an object's kind. Within a namespace the kinds lie otherwise than the customised objects.
pub(crate) fn kind(object: usize) -> Kind {
    let position = object % NAMESPACE_SIZE;
    match (position + 9 * (position / 20) + 3 * (object / NAMESPACE_SIZE)) % 20 {
        0..11 => Kind::Deployment,
        11..16 => Kind::Service,
        _ => Kind::ConfigMap,
    }
}

/// Gives the name of an object's namespace.
pub(crate) fn namespace(object: usize) -> String {
    format!("team-{:03}", object / NAMESPACE_SIZE)
}

/// Gives an object's name.
pub(crate) fn name(object: usize) -> String {
    format!("{}-{object:05}", ROLES[object % ROLES.len()])
}

/// Gives the file that holds an object.
pub(crate) fn path(object: usize) -> String {
    let kind = match kind(object) {
        Kind::Deployment => "deployment",
        Kind::Service => "service",
        Kind::ConfigMap => "configmap",
    };
    format!(
        "workloads/{}/{kind}-{}.yaml",
        namespace(object),
        name(object)
    )
}

/// What objects do.
pub(crate) const ROLES: [&str; 7] = [
    "web", "api", "worker", "cache", "billing", "search", "gateway",
];

/// Numbers that look random and are always the same (splitmix64).
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Starts a sequence of its own for each object and purpose.
    pub(crate) fn new(purpose: u64, number: usize) -> Self {
        Self((purpose << 40) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Gives a number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    /// Picks one of these.
    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}
