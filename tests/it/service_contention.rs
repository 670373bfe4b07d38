//! Two services and a person write to one branch: nothing is lost, nothing is merged, and it comes to rest.
//!
//! `STELLATE_CONTENTIONS=300` for more rounds.

use std::path::Path;

use crate::support::{
    folder,
    git::{Repository, git, output},
    number,
    service::{Home, Service, a_while, commit_shop, tree},
    wait_for,
};

const MANIFESTS: &str = "generated:clusters";

#[test]
fn two_services_and_a_person_on_one_branch_lose_nothing_and_come_to_rest() {
    let rounds = number("STELLATE_CONTENTIONS").unwrap_or(60);
    let origin = folder("contention");
    git(
        &origin,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    let url = origin.display().to_string();
    let source = Repository::new("contention-source");
    source.git(&["remote", "add", "origin", &url]);
    let mut newest = push(&source, "hello");
    let services = ["one", "two"].map(|name| start(name, &origin));
    wait_for("a generated branch", || match generated(&origin) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    let person = Repository::new("contention-person");
    person.git(&["remote", "add", "origin", &url]);
    let mut by_hand = Vec::new();
    for round in 0..rounds {
        newest = push(&source, &format!("round {round}"));
        services[round % 2].sync();
        if round % 3 > 0 {
            by_hand.push(push_by_hand(&person, round));
        }
        if round % 2 == 0 {
            services[1].sync();
        }
    }

    let wanted = rendered(&source, &newest);
    for service in &services {
        service.sync();
        service.expect(&newest, "published");
    }
    wait_for("the newest commit's tree", || {
        let found = tree(&origin, MANIFESTS);
        if found == wanted { Ok(()) } else { Err(found) }
    });
    let count = generated(&origin);
    for _ in 0..3 {
        services.iter().for_each(Service::sync);
        a_while();
    }
    assert_eq!(generated(&origin), count, "it has come to rest");
    let merges = git(&origin, &["rev-list", "--merges", "--count", "generated"]);
    assert_eq!(merges, "0");
    for commit in &by_hand {
        let kept = output(
            &origin,
            &["merge-base", "--is-ancestor", commit, "generated"],
        );
        assert!(kept.status.success(), "{commit} was lost");
    }
    // One for each source commit, one after each commit by hand, and those by hand themselves.
    let most = (rounds + 1) + 2 * by_hand.len();
    assert!(
        count <= most,
        "{count} commits on the branch, at most {most} were wanted"
    );
    for service in services {
        assert!(service.stop().success());
    }
    let checked = output(&origin, &["fsck", "--no-dangling"]);
    assert!(checked.status.success(), "{checked:?}");
}

fn start(name: &str, origin: &Path) -> Service {
    let home = Home::new(name);
    home.configure(&format!(
        "  source: {{git: {{url: {}, ref: main, interval: 1s}}}}\n  outputs: [{{branch: {{name: generated}}}}]\n",
        origin.display()
    ));
    home.start()
}

fn push(source: &Repository, greeting: &str) -> String {
    let commit = commit_shop(source, 2, greeting);
    source.git(&["push", "--quiet", "origin", "HEAD:main"]);
    commit
}

/// What somebody does who means well: a commit on top of the branch, again when another was faster.
fn push_by_hand(person: &Repository, round: usize) -> String {
    wait_for("the person's push", || {
        person.git(&["fetch", "--quiet", "origin", "generated"]);
        person.git(&["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"]);
        let path = person.path().join(format!("by-hand-{round}.yaml"));
        std::fs::write(path, "kind: Hotfix\n").unwrap();
        let commit = person.commit_all("A hotfix");
        let pushed = output(
            person.path(),
            &["push", "--quiet", "origin", "HEAD:generated"],
        );
        if pushed.status.success() {
            Ok(commit)
        } else {
            Err(String::from_utf8_lossy(&pushed.stderr).into_owned())
        }
    })
}

/// How many commits the generated branch has.
fn generated(origin: &Path) -> usize {
    let counted = output(origin, &["rev-list", "--count", "generated"]);
    let text = String::from_utf8_lossy(&counted.stdout).trim().to_owned();
    text.parse().unwrap_or_default()
}

/// What a service alone makes of a commit.
fn rendered(source: &Repository, commit: &str) -> String {
    let alone = Repository::new("contention-alone");
    let other = source.path().display().to_string();
    alone.git(&["fetch", "--quiet", &other, "HEAD"]);
    alone.git(&["reset", "--hard", "--quiet", commit]);
    let service = start("alone", alone.path());
    service.expect(commit, "published");
    tree(alone.path(), MANIFESTS)
}
