//! However requests are delayed, lost or overtaken, and whoever sleeps for how long: never two at a time.

use proptest::prelude::*;

use super::*;

const TERMS: Terms = Terms {
    term: Duration::from_millis(1_500),
    hold: Duration::from_secs(1),
    every: Duration::from_millis(300),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(holder: Option<&str>, version: u32) -> Record {
    Record {
        holder: holder.map(str::to_owned),
        term: seconds(15),
        version: version.to_string(),
    }
}

#[test]
fn a_lease_is_taken_when_its_holder_was_silent_for_its_term_by_our_own_clock() {
    let mut tenant = Tenant::new("b", Terms::default());
    assert_eq!(
        tenant.decide(seconds(100)),
        Verdict::Acquire,
        "there is none"
    );
    tenant.observe(Some(record(Some("a"), 1)), seconds(100));
    assert_eq!(tenant.decide(seconds(100)), Verdict::Yield(seconds(15)));
    tenant.observe(Some(record(Some("a"), 1)), seconds(110));
    assert_eq!(tenant.decide(seconds(110)), Verdict::Yield(seconds(5)));
    tenant.observe(Some(record(Some("a"), 2)), seconds(114));
    assert_eq!(tenant.decide(seconds(115)), Verdict::Yield(seconds(14)));
    assert_eq!(tenant.decide(seconds(129)), Verdict::Acquire);
    tenant.observe(Some(record(None, 3)), seconds(116));
    assert_eq!(tenant.decide(seconds(116)), Verdict::Acquire, "given back");
}

#[test]
fn a_holder_counts_from_before_it_asked_and_stops_when_another_is_named() {
    let mut tenant = Tenant::new("a", Terms::default());
    tenant.written(record(Some("a"), 1), seconds(7));
    assert_eq!(tenant.held_until(), Some(seconds(17)));
    assert_eq!(tenant.decide(seconds(8)), Verdict::Renew);
    tenant.observe(Some(record(Some("b"), 2)), seconds(9));
    assert_eq!(tenant.held_until(), None);
    assert_eq!(tenant.decide(seconds(9)), Verdict::Yield(seconds(15)));
}

/// What a replica is about.
#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Reading,
    Read(Option<Record>),
    Writing {
        began: Duration,
        base: Option<u64>,
    },
    Written {
        began: Duration,
        record: Option<Record>,
    },
}

struct Replica {
    tenant: Tenant,
    phase: Phase,
    /// What its clock shows beyond the simulation's.
    ahead: Duration,
}

struct World {
    now: Duration,
    /// Who holds it, and how often it was written.
    lease: Option<(String, u64)>,
    replicas: Vec<Replica>,
}

impl World {
    fn record(&self) -> Option<Record> {
        self.lease.as_ref().map(|(holder, version)| Record {
            holder: Some(holder.clone()),
            term: TERMS.term,
            version: version.to_string(),
        })
    }

    /// One replica, or its request, gets one step further; or the request is lost on its way.
    fn step(&mut self, which: usize, lost: bool) {
        let (lease, version) = (
            self.record(),
            self.lease.as_ref().map(|(_, version)| *version),
        );
        let replica = &mut self.replicas[which];
        let here = self.now + replica.ahead;
        let phase = match replica.phase.clone() {
            Phase::Idle => Phase::Reading,
            _ if lost => Phase::Idle,
            Phase::Reading => Phase::Read(lease),
            Phase::Read(record) => {
                let base = record
                    .as_ref()
                    .map(|record| record.version.parse().unwrap());
                replica.tenant.observe(record, here);
                match replica.tenant.decide(here) {
                    Verdict::Yield(_) => Phase::Idle,
                    Verdict::Acquire | Verdict::Renew => Phase::Writing { began: here, base },
                }
            }
            // The server takes what was built on what it still holds.
            Phase::Writing { began, base } if base == version => {
                self.lease = Some((format!("r{which}"), version.unwrap_or(0) + 1));
                let record = self.record();
                Phase::Written { began, record }
            }
            Phase::Writing { began, .. } => Phase::Written {
                began,
                record: None,
            },
            Phase::Written { began, record } => {
                if let Some(record) = record {
                    replica.tenant.written(record, began);
                }
                Phase::Idle
            }
        };
        self.replicas[which].phase = phase;
    }

    fn holders(&self) -> usize {
        let held = |replica: &&Replica| {
            let here = self.now + replica.ahead;
            replica
                .tenant
                .held_until()
                .is_some_and(|until| here < until)
        };
        self.replicas.iter().filter(held).count()
    }
}

#[derive(Clone, Debug)]
enum Move {
    Pass(u64),
    Step { which: usize, lost: bool },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = (0..3_usize, prop::bool::weighted(0.1))
        .prop_map(|(which, lost)| Move::Step { which, lost });
    let pass = prop_oneof![9 => 1..400_u64, 1 => 1_000..4_000_u64].prop_map(Move::Pass);
    proptest::collection::vec(prop_oneof![3 => step, 1 => pass], 0..400)
}

fn world(ahead: &[u64]) -> World {
    let replicas = ahead.iter().enumerate().map(|(number, ahead)| Replica {
        tenant: Tenant::new(format!("r{number}"), TERMS),
        phase: Phase::Idle,
        ahead: Duration::from_millis(*ahead),
    });
    World {
        now: Duration::ZERO,
        lease: None,
        replicas: replicas.collect(),
    }
}

proptest! {
    #[test]
    fn never_do_two_hold_it_at_a_time(
        moves in moves(),
        ahead in proptest::collection::vec(0..100_000_u64, 3),
    ) {
        let mut world = world(&ahead);
        for step in moves {
            match step {
                Move::Pass(time) => world.now += Duration::from_millis(time),
                Move::Step { which, lost } => world.step(which, lost),
            }
            prop_assert!(world.holders() <= 1);
        }
    }

    #[test]
    fn whoever_is_left_gets_it(
        moves in moves(),
        ahead in proptest::collection::vec(0..100_000_u64, 3),
        left in 0..3_usize,
    ) {
        let mut world = world(&ahead);
        for step in moves {
            match step {
                Move::Pass(time) => world.now += Duration::from_millis(time),
                Move::Step { which, lost } => world.step(which, lost),
            }
        }
        // Two looks, one term apart, with all the steps that a look has.
        for _ in 0..3 {
            for _ in 0..10 {
                world.step(left, false);
            }
            world.now += TERMS.term;
        }
        for _ in 0..10 {
            world.step(left, false);
        }
        prop_assert_eq!(world.holders(), 1);
    }
}
