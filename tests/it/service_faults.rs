//! Whatever the forge does wrong with statuses: the branch moves all the same, and the statuses arrive when the forge is well.

use crate::support::{
    forge::Reply,
    git::{Repository, git},
    service::{Home, Service, commit_shop},
    service_forge::{Fault, StatusForge},
    wait_for,
};

use serde_json::json;

#[test]
fn a_forge_that_refuses_statuses_holds_nothing_up_and_is_told_when_it_is_well() {
    let faults: [(&str, Fault); 9] = [
        ("401", || refuse(401, &[])),
        ("403", || refuse(403, &["Retry-After: 1"])),
        ("404", || refuse(404, &[])),
        ("409", || refuse(409, &[])),
        ("429", || refuse(429, &["Retry-After: 1"])),
        ("500", || refuse(500, &[])),
        ("503", || refuse(503, &["Retry-After: 1"])),
        ("a cut connection", || Reply::Cut),
        ("no JSON", || {
            Reply::Answer(200, Vec::new(), "<html>".to_owned())
        }),
    ];
    let world = World::start("faults");
    for (name, fault) in faults {
        let commit = world.publish_under(name, fault);
        world.forge.fail(None);
        world.expect_told(&commit);
    }
    assert!(world.service.stop().success());
}

#[test]
fn a_forge_that_says_nothing_at_all_holds_nothing_up() {
    let world = World::start("silence");
    let commit = world.publish_under("silence", || Reply::Silence);
    // A second one does not wait until the first one's statuses are given up.
    let next = commit_shop(&world.source, 2, "silence again");
    world.service.sync();
    world.service.expect(&next, "published");
    world.forge.fail(None);
    world.expect_told(&commit);
    world.expect_told(&next);
}

#[test]
fn a_status_that_the_forge_calls_invalid_is_not_sent_again_and_keeps_no_other_back() {
    let world = World::start("invalid");
    let refused = world.publish_under("422", || refuse(422, &[]));
    wait_for("an end of the attempts", || {
        let before = world.forge.requests();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        match world.forge.requests() - before {
            0 => Ok(()),
            more => Err(format!("{more} more requests")),
        }
    });
    world.forge.fail(None);
    let next = commit_shop(&world.source, 2, "well again");
    world.service.sync();
    world.expect_told(&next);
    assert_eq!(world.forge.all(&refused), []);
}

#[test]
fn a_pipeline_that_gets_another_context_leaves_nothing_pending_on_the_forge() {
    let forge = StatusForge::start();
    let source = Repository::new("renamed");
    let commit = commit_shop(&source, 2, "hello");
    let home = Home::new("renamed");
    home.write("token", "a-token");
    let configure = |context: &str| {
        let status = forge.status("token");
        home.configure(&format!(
            "  source: {{git: {{url: {}, ref: main, interval: 1h}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n{status}    reports: required\n    context: {context}\n",
            source.path().display()
        ));
    };
    configure("stellate");
    let service = home.start();
    let expect = |state: &str, contexts: [&str; 3]| {
        wait_for(&format!("{contexts:?} are {state}"), || {
            let shown = forge.shown(&commit);
            let found = |context: &&str| shown.get(*context).is_some_and(|shown| shown.0 == state);
            if contexts.iter().all(found) {
                Ok(())
            } else {
                Err(format!("{shown:?}"))
            }
        });
    };
    let former = [
        "stellate/shop",
        "stellate/shop/wec-1",
        "stellate/shop/wec-2",
    ];
    expect("pending", former);
    configure("other");
    service.signal("HUP");
    expect("success", former);
    expect(
        "pending",
        ["other/shop", "other/shop/wec-1", "other/shop/wec-2"],
    );
    assert!(service.stop().success());
}

/// A service on a repository of this machine, and the forge that it tells.
struct World {
    forge: StatusForge,
    source: Repository,
    service: Service,
}

impl World {
    fn start(name: &str) -> Self {
        let forge = StatusForge::start();
        let source = Repository::new(name);
        let first = commit_shop(&source, 2, "hello");
        let home = Home::new(name);
        home.write("token", "a-token");
        let status = forge.status("token");
        home.configure(&format!(
            "  source: {{git: {{url: {}, ref: main, interval: 1h}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n{status}",
            source.path().display()
        ));
        let service = home.start();
        let world = Self {
            forge,
            source,
            service,
        };
        world.expect_told(&first);
        world
    }

    /// Lets the forge fail like this, publishes a commit, and sees that the forge was asked in vain.
    fn publish_under(&self, name: &str, fault: Fault) -> String {
        self.forge.fail(Some(fault));
        let (asked, before) = (self.forge.requests(), self.generated());
        let commit = commit_shop(&self.source, 2, name);
        self.service.sync();
        self.service.expect(&commit, "published");
        assert_ne!(self.generated(), before, "{name}");
        wait_for(&format!("a request, under {name}"), || {
            match self.forge.requests() - asked {
                0 => Err("none".to_owned()),
                _ => Ok(()),
            }
        });
        assert_eq!(self.forge.all(&commit), [], "{name}");
        wait_for(&format!("words of it, under {name}"), || {
            let shop = self.service.get("/pipelines/shop")?;
            let said = shop["problem"]["message"].as_str().unwrap_or_default();
            if said.starts_with("commit statuses are not posted: ") {
                Ok(())
            } else {
                Err(shop.to_string())
            }
        });
        commit
    }

    fn generated(&self) -> String {
        git(self.source.path(), &["rev-parse", "generated"])
    }

    /// Waits until a commit has its three statuses, each of them good, and each told once.
    fn expect_told(&self, commit: &str) {
        wait_for(&format!("the statuses of {commit}"), || {
            let shown = self.forge.shown(commit);
            let good = shown.values().filter(|(state, _)| state == "success");
            if good.count() == 3 {
                Ok(())
            } else {
                Err(format!("{shown:?}"))
            }
        });
        self.service.expect_well();
    }
}

fn refuse(status: u16, headers: &[&str]) -> Reply {
    let headers = headers.iter().map(|header| (*header).to_owned()).collect();
    Reply::Answer(status, headers, json!({"message": "no"}).to_string())
}
