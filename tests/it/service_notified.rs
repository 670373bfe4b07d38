//! Flux's notification-controller with each of the two Providers that the service takes, and one that was given another secret.

use std::sync::Arc;

use crate::{
    servers::start_wec,
    servers_pipeline::{Pipeline, Web},
    service_gitea::{home, hook, shown},
    support::{
        applied::expect_applied,
        example, need,
        servers::{Flux, FluxNotifier},
        service::{SECRET, a_while},
        wait_for,
    },
};

#[test]
fn both_of_fluxs_generic_providers_are_heard_and_a_forged_signature_is_not() {
    need!(Flux::available());
    let shop = need!(Pipeline::new("notified"));
    let home = home(&shop, "    reports: required\n");
    shop.write(&Web::BLUE);
    let mut commit = shop.commit("open the shop");
    let service = home.start();
    hook(&shop, &home);
    service.expect(&commit, "published");
    let wec = Arc::new(need!(start_wec("fra1")));
    let notifier = need!(FluxNotifier::start(&wec));
    let flux = need!(Flux::start(&wec, Some(&notifier.url())));

    let address = format!("http://127.0.0.1:{}/hooks/flux/shop/fra1", home.port());
    let headers = format!("headers: \"Authorization: Bearer {SECRET}\"");
    let providers = [
        ("generic-hmac", format!("token: {SECRET}")),
        ("generic", headers),
        ("generic-hmac", "token: another-secret".to_owned()),
    ];
    for (number, (kind, secret)) in providers.iter().enumerate() {
        wec.apply(&notifications(&shop, kind, secret, &address));
        if number == 0 {
            let soon = [shop.in_examples(), vec![("timeout: 5m", "timeout: 10s")]].concat();
            wec.apply(&example("flux/directories.yaml", &soon));
        } else {
            let (old, new) = (format!("web:{number}"), format!("web:{}", number + 1));
            shop.edit("web.yaml", &old, &new);
            commit = shop.commit(&new);
            service.expect(&commit, "published");
            flux.look_now("gitrepository", shop.name);
        }
        expect_applied(&wec, &shop.of("fra1"));
        wec.roll_out(shop.name, "web");
        if number < 2 {
            wait_for(&format!("word of {kind}"), || {
                match shown(&shop, &commit).get("stellate/shop/fra1") {
                    Some((state, words)) if state == "success" && words == "healthy" => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
        }
    }
    let refused = r#"stellate_webhooks_total{forge="flux",outcome="unauthenticated"}"#;
    wait_for("the forged post", || match service.metric(refused) {
        0.0 => Err("nothing came".to_owned()),
        _ => Ok(()),
    });
    a_while();
    let status = &shown(&shop, &commit)["stellate/shop/fra1"];
    assert_eq!(status.0, "pending", "{status:?}");
    assert!(service.stop().success());
}

/// `flux/notifications.yaml` with another kind of Provider, and the secret as that wants it.
fn notifications(shop: &Pipeline, kind: &str, secret: &str, address: &str) -> String {
    example(
        "flux/notifications.yaml",
        &[
            ("https://stellate.example.com/hooks/flux/shop", address),
            ("generic-hmac", kind),
            ("name: shop", &format!("name: {}", shop.name)),
            ("wec1", "fra1"),
            ("token: CHANGE-ME", secret),
        ],
    )
}
