use axum::http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// GitHub's own example of a signature, from its documentation on validating deliveries.
const GITHUB: (&str, &str, &str) = (
    "It's a Secret to Everybody",
    "Hello, World!",
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
);

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        )
    };
    lines.iter().map(line).collect()
}

fn guard(secrets: &[&str]) -> Guard {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    Guard::new(&secrets).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn genuine(guard: &Guard, sender: Sender, lines: &[(&str, &str)], body: &str) -> bool {
    guard
        .proof(sender, &headers(lines), now())
        .is_some_and(|proof| guard.holds(&proof, body.as_bytes()))
}

fn sign(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, text).as_ref().to_vec()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn coded(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

#[test]
fn what_github_says_is_right_is_right() {
    let (secret, body, signature) = GITHUB;
    let sender = Sender::Forge(Forge::GitHub);
    let lines = [("x-hub-signature-256", signature)];
    assert!(genuine(&guard(&[secret]), sender, &lines, body));
    assert!(!genuine(&guard(&[secret]), sender, &lines, "Hello, World?"));
    assert!(!genuine(&guard(&["another"]), sender, &lines, body));
}

#[test]
fn both_secrets_are_good_while_they_are_exchanged() {
    let (secret, body, signature) = GITHUB;
    let lines = [("x-hub-signature-256", signature)];
    for secrets in [["the next one", secret], [secret, "the next one"]] {
        let guard = guard(&secrets);
        assert!(genuine(&guard, Sender::Forge(Forge::GitHub), &lines, body));
    }
}

#[test]
fn a_signature_that_is_none_never_costs_a_body() {
    let (secret, _, signature) = GITHUB;
    let guard = guard(&[secret]);
    let long = format!("{signature}00");
    let sha1 = "sha1=757107ea0eb2509fc211221cce984b8a37570b6d";
    let bare = &signature[7..];
    for wrong in ["", "sha256=", sha1, bare, &long, "sha256=zz", "sha256=é"] {
        let lines = [("x-hub-signature-256", wrong)];
        for forge in [Forge::GitHub, Forge::Gitea] {
            let proof = guard.proof(Sender::Forge(forge), &headers(&lines), now());
            assert_eq!(proof, None, "{wrong}");
        }
    }
    for sender in [Sender::Forge(Forge::GitLab), Sender::Flux, Sender::ArgoCd] {
        assert_eq!(guard.proof(sender, &HeaderMap::new(), now()), None);
    }
}

#[test]
fn gitea_and_forgejo_sign_with_digits_alone() {
    let guard = guard(&["secret"]);
    let signature = digits(&sign(b"secret", b"{}"));
    let sender = Sender::Forge(Forge::Gitea);
    for name in ["x-gitea-signature", "x-forgejo-signature"] {
        assert!(genuine(&guard, sender, &[(name, &signature)], "{}"));
        assert!(!genuine(&guard, sender, &[(name, &signature)], "{ }"));
    }
    let prefixed = format!("sha256={signature}");
    assert!(genuine(
        &guard,
        sender,
        &[("x-hub-signature-256", &prefixed)],
        "{}"
    ));
}

#[test]
fn gitlab_sends_the_secret_itself() {
    let guard = guard(&["secret", "whsec_c2VjcmV0"]);
    let sender = Sender::Forge(Forge::GitLab);
    let token = |token| genuine(&guard, sender, &[("x-gitlab-token", token)], "{}");
    assert!(token("secret"));
    for wrong in [
        "",
        "secre",
        "secrets",
        "SECRET",
        "whsec_c2VjcmV0",
        "c2VjcmV0",
    ] {
        assert!(!token(wrong), "{wrong}");
    }
}

#[test]
fn gitlab_signs_as_the_standard_webhooks_say() {
    // From the specification's own examples: key, id, time, body and what it signs to.
    let guard = guard(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    let sent = Timestamp::from_second(1_614_265_330).unwrap();
    let body = br#"{"test": 2432232314}"#;
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let verify = |signature: &str, id: &str, now: Timestamp, body: &[u8]| {
        let lines = [
            ("webhook-id", id),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        guard
            .proof(Sender::Forge(Forge::GitLab), &headers(&lines), now)
            .is_some_and(|proof| guard.holds(&proof, body))
    };
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    assert!(verify(signature, id, sent, body));
    let several = format!("v1,bm90aGluZw== v2,x {signature}");
    assert!(verify(&several, id, sent, body));
    assert!(!verify(signature, "msg_other", sent, body));
    assert!(!verify(signature, id, sent, b"{}"));
    let later = |seconds: i64| Timestamp::from_second(1_614_265_330 + seconds).unwrap();
    for (seconds, wanted) in [(300, true), (301, false), (-300, true), (-301, false)] {
        let found = verify(signature, id, later(seconds), body);
        assert_eq!(found, wanted, "{seconds} s later");
    }
}

#[test]
fn a_time_that_is_no_time_proves_nothing() {
    let guard = guard(&["whsec_c2VjcmV0"]);
    let signature = format!("v1,{}", coded(&[0; 32]));
    for time in [
        "",
        "now",
        "-9223372036854775808",
        "9223372036854775807",
        "99999999999999999999",
    ] {
        let lines = [
            ("webhook-id", "1"),
            ("webhook-timestamp", time),
            ("webhook-signature", signature.as_str()),
        ];
        let proof = guard.proof(Sender::Forge(Forge::GitLab), &headers(&lines), now());
        assert_eq!(proof, None, "{time}");
    }
}

#[test]
fn bitbucket_signs_with_sha256_under_the_old_name() {
    let guard = guard(&["secret"]);
    let signature = format!("sha256={}", digits(&sign(b"secret", b"{}")));
    let sender = Sender::Forge(Forge::Bitbucket);
    assert!(genuine(
        &guard,
        sender,
        &[("x-hub-signature", &signature)],
        "{}"
    ));
    assert!(!genuine(
        &guard,
        sender,
        &[("x-hub-signature", &signature)],
        "[]"
    ));
}

#[test]
fn flux_signs_or_brings_the_token() {
    let guard = guard(&["secret"]);
    let signature = format!("sha256={}", digits(&sign(b"secret", b"{}")));
    let flux = |lines: &[(&str, &str)]| genuine(&guard, Sender::Flux, lines, "{}");
    assert!(flux(&[("x-signature", &signature)]));
    assert!(flux(&[("authorization", "Bearer secret")]));
    // https://any:secret@host/ in --events-addr.
    assert!(flux(&[("authorization", "Basic YW55OnNlY3JldA==")]));
    for wrong in [
        "Bearer other",
        "Bearer",
        "secret",
        "Basic c2VjcmV0",
        "Basic ?",
        "Digest secret",
    ] {
        assert!(!flux(&[("authorization", wrong)]), "{wrong}");
    }
    // Who signs is held to the signature.
    let forged = format!("sha256={}", digits(&[0; 32]));
    assert!(!flux(&[
        ("x-signature", &forged),
        ("authorization", "Bearer secret")
    ]));
}

#[test]
fn argo_cd_brings_the_token() {
    let guard = guard(&["old", "new"]);
    let argocd = |value| genuine(&guard, Sender::ArgoCd, &[("authorization", value)], "{}");
    assert!(argocd("Bearer old") && argocd("bearer new"));
    assert!(!argocd("Bearer olde"));
}

#[test]
fn an_open_door_lets_everybody_in_and_only_that() {
    let lines = [("x-hub-signature-256", "nonsense")];
    assert!(genuine(
        &Guard::open(),
        Sender::Forge(Forge::GitHub),
        &lines,
        ""
    ));
    assert!(genuine(&Guard::open(), Sender::Flux, &[], ""));
    assert!(!genuine(
        &guard(&[]),
        Sender::ArgoCd,
        &[("authorization", "Bearer ")],
        ""
    ));
}

#[test]
fn gitea_is_told_from_github_whose_headers_it_also_sends() {
    let forge = |names: &[&str]| {
        let lines: Vec<(&str, &str)> = names.iter().map(|name| (*name, "push")).collect();
        Forge::of(&headers(&lines))
    };
    assert_eq!(
        forge(&["x-github-event", "x-gogs-event", "x-gitea-event"]),
        Some(Forge::Gitea)
    );
    assert_eq!(
        forge(&["x-github-event", "x-forgejo-event"]),
        Some(Forge::Gitea)
    );
    assert_eq!(forge(&["x-github-event"]), Some(Forge::GitHub));
    assert_eq!(forge(&["x-gitlab-event"]), Some(Forge::GitLab));
    assert_eq!(forge(&["x-event-key"]), Some(Forge::Bitbucket));
    assert_eq!(forge(&["user-agent"]), None);
}

#[test]
fn secrets_do_not_print() {
    let shown = format!("{:?} {:?}", guard(&["hunter2"]), Guard::open());
    assert_eq!(shown, "Guard(1 secrets) Guard(open)");
}

proptest! {
    #[test]
    fn base64_reads_what_was_coded(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let text = coded(&bytes);
        prop_assert_eq!(base64(&text), Some(bytes.clone()));
        prop_assert_eq!(base64(text.trim_end_matches('=')), Some(bytes));
    }

    #[test]
    fn no_header_makes_it_panic_or_lets_anybody_in(
        value in "[ -~]{0,100}",
        id in "[ -~]{0,40}",
        time in "-?[0-9]{0,22}",
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let guard = guard(&["a long and unguessable secret", "whsec_YSBsb25nIGFuZCB1bmd1ZXNzYWJsZSBzZWNyZXQ="]);
        let names = ["x-hub-signature-256", "x-hub-signature", "x-gitea-signature", "x-gitlab-token",
            "webhook-signature", "x-signature", "authorization"];
        for name in names {
            let lines = [(name, value.as_str()), ("webhook-id", &id), ("webhook-timestamp", &time)];
            for sender in [Sender::Flux, Sender::ArgoCd, Sender::Forge(Forge::GitHub), Sender::Forge(Forge::GitLab),
                Sender::Forge(Forge::Gitea), Sender::Forge(Forge::Bitbucket)]
            {
                let proof = guard.proof(sender, &headers(&lines), now());
                prop_assert!(!proof.is_some_and(|proof| guard.holds(&proof, &body)));
            }
        }
    }

    #[test]
    fn one_bit_makes_the_difference(body in prop::collection::vec(any::<u8>(), 1..200), bit in any::<prop::sample::Index>()) {
        let guard = guard(&["secret"]);
        let signature = digits(&sign(b"secret", &body));
        let proof = guard.proof(Sender::Forge(Forge::Gitea), &headers(&[("x-gitea-signature", &signature)]), now());
        let proof = proof.unwrap();
        prop_assert!(guard.holds(&proof, &body));
        let mut changed = body.clone();
        let bit = bit.index(body.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!guard.holds(&proof, &changed));
    }
}
