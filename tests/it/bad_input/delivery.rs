//! What is held or refused as a whole: Secrets, an unknown inventory, too many removals.

use super::*;

#[test]
fn a_plain_secret_stays_out_and_a_sealed_one_goes_out() {
    let told = after(write(
        "workloads/secrets.yaml",
        "apiVersion: v1
kind: Secret
metadata: {name: plain, namespace: shop}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Secret
metadata: {name: encrypted, namespace: shop}
stringData: {password: \"ENC[AES256_GCM,data:x]\"}
sops: {version: 3.9.0}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sealedsecrets.bitnami.com}
spec: {group: bitnami.com, scope: Namespaced, names: {kind: SealedSecret, plural: sealedsecrets}, versions: [{name: v1alpha1, served: true, storage: true}]}
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: sealed, namespace: shop}
spec: {encryptedData: {password: AgB}}
",
    ));
    let first = told.told("PlainSecret");
    assert_eq!(first.object.as_ref().unwrap().name.as_ref(), "plain");
    assert_eq!(
        first.location.as_ref().unwrap().path.as_str(),
        "workloads/secrets.yaml"
    );
    assert!(!format!("{first:?}").contains("hunter2"));
    assert!(!told.after.contains_key("fra/shop/secret-plain.yaml"));
    assert!(told.after.contains_key("fra/shop/secret-encrypted.yaml"));
    assert!(
        told.after
            .contains_key("fra/shop/sealedsecret.bitnami.com-sealed.yaml")
    );
}

#[test]
fn an_inventory_that_is_empty_or_broken_holds_the_delivery() {
    for text in [
        "# all gone\n",
        "kind: [\n",
        "apiVersion: cluster.open-cluster-management.io/v1\nkind: ManagedCluster\nmetadata: {name: fra}\nspec: none\n",
    ] {
        let mut site = Site::small("inventory");
        let (before, tip) = (site.generated(), site.tip());
        site.change(&[("inventory.yaml", text)]);
        for _ in 0..2 {
            let (rendering, delivery) = site.deliver();
            assert!(rendering.errors() > 0);
            let Outcome::Held(reasons) = &delivery.outcome else {
                panic!("{text}: {:?}", delivery.outcome)
            };
            assert!(reasons[0].contains("iad"), "{reasons:?}");
            assert_eq!(
                (site.generated(), site.tip()),
                (before.clone(), tip.clone())
            );
            site.restart();
        }
        // Not even somebody who allows removals means this.
        site.options.allow_removals = true;
        assert!(matches!(site.deliver().1.outcome, Outcome::Held(_)));
        site.change(&[SMALL[0]]);
        site.deliver();
        assert_eq!(site.generated(), before);
    }
}

#[test]
fn a_change_that_removes_too_much_is_held_until_somebody_means_it() {
    let many = |count: usize| -> String {
        let one = |number| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}, namespace: shop}}\n---\n"
            )
        };
        (0..count).map(one).collect()
    };
    for by_trailer in [false, true] {
        let mut site = Site::small("guard");
        site.change(&[("workloads/many.yaml", &many(20))]);
        site.deliver();
        let tip = site.tip();
        site.change(&[("workloads/many.yaml", &many(1))]);
        let (_, delivery) = site.deliver();
        let Outcome::Held(reasons) = &delivery.outcome else {
            panic!("{:?}", delivery.outcome)
        };
        assert!(
            reasons[0].contains("38 of") && reasons[0].contains("guard"),
            "{reasons:?}"
        );
        assert_eq!(site.tip(), tip);
        if by_trailer {
            site.repository.git(&[
                "commit",
                "--quiet",
                "--amend",
                "--message",
                "Tidy up\n\nStellate-Allow-Removals: yes",
            ]);
        } else {
            site.options.allow_removals = true;
        }
        assert_eq!(site.deliver().1.outcome, Outcome::Written);
        assert!(!site.generated().contains_key("fra/shop/configmap-c7.yaml"));
        assert!(site.generated().contains_key("fra/shop/configmap-c0.yaml"));
        site.expect_sound();
    }
}

#[test]
fn a_revision_or_a_folder_that_is_not_there_is_told_in_words() {
    let mut site = Site::small("absent");
    let request = Request {
        revision: Some("no-such-branch".into()),
        ..site.request()
    };
    let error = site.pipeline.render(&request, &Silent).err().unwrap();
    assert!(error.to_string().contains("no-such-branch"), "{error}");
    assert!(error.help().is_some());
    for committed in [false, true] {
        let location = site.repository.path().join("no/such/folder");
        let location = location.to_str().unwrap().to_owned();
        let request = Request {
            location: location.clone(),
            committed,
            ..Request::default()
        };
        let error = site.pipeline.render(&request, &Silent).err().unwrap();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
        assert!(error.help().is_some());
    }
    let request = Request {
        inventory: InventorySource::Files("/no/such/inventory".into()),
        ..site.request()
    };
    let error = site.pipeline.render(&request, &Silent).err().unwrap();
    assert!(error.to_string().contains("inventory"), "{error}");
}

#[test]
fn a_cache_full_of_rubbish_gives_the_same_result() {
    let mut site = Site::small("cache");
    let cache = support::folder("cache");
    site.pipeline = Pipeline::new(Some(cache.clone()));
    let wanted = site.render().summary();
    let mut spoilt = 0;
    let mut pending = vec![cache.clone()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let mut bytes = fs::read(&path).unwrap();
                let half = bytes.len() / 2;
                bytes.iter_mut().skip(half).for_each(|byte| *byte ^= 0x5a);
                fs::write(
                    &path,
                    if spoilt % 2 == 0 {
                        &bytes
                    } else {
                        &b"rubbish"[..]
                    },
                )
                .unwrap();
                spoilt += 1;
            }
        }
    }
    assert!(spoilt > 0, "the cache was used");
    site.pipeline = Pipeline::new(Some(cache));
    let rendering = site.render();
    assert_eq!(
        (rendering.summary(), rendering.errors()),
        (wanted, 0),
        "{:#?}",
        rendering.diagnostics
    );
    let tip = site.tip();
    site.deliver();
    assert_eq!(site.tip(), tip);
}

#[test]
fn a_broken_file_with_transforms_or_properties_holds_the_delivery() {
    let transform = "apiVersion: control.kubestellar.io/v1alpha1\nkind: CustomTransform\nmetadata: {name: color}\nspec: {apiGroup: \"\", resource: configmaps, remove: [$.data.color]}\n";
    let properties = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fra, namespace: customization-properties}\ndata: {region: from-properties}\n";
    for (text, spoilt) in [
        (transform, transform.replace("color]}", "color}")),
        (
            properties,
            properties.replace("properties}\n", "properties\n"),
        ),
    ] {
        let mut site = Site::small("rules");
        site.change(&[("policies/rules.yaml", text)]);
        site.deliver();
        let (before, tip) = (site.generated(), site.tip());
        assert_ne!(spoilt, text);
        site.change(&[("policies/rules.yaml", &spoilt)]);
        site.restart();
        let (rendering, delivery) = site.deliver();
        assert_eq!(
            found(&rendering, "InvalidYaml").len(),
            1,
            "{:#?}",
            rendering.diagnostics
        );
        let Outcome::Held(reasons) = &delivery.outcome else {
            panic!("{spoilt}: {:?}", delivery.outcome)
        };
        assert!(reasons[0].contains("policies/rules.yaml"), "{reasons:?}");
        assert_eq!(site.tip(), tip);
        site.change(&[("policies/rules.yaml", text)]);
        assert_ne!(site.deliver().1.outcome, Outcome::Held(Vec::new()));
        assert_eq!(site.generated(), before);
    }
}

#[test]
fn what_stays_because_of_an_error_is_counted() {
    let mut site = Site::small("counted");
    site.edit("policies/extra.yaml", "[{matchLabels: {region: us}}]", "us");
    let (rendering, delivery) = site.deliver();
    assert_eq!(rendering.summary().clusters[1].objects, 4);
    let kept: Vec<_> = delivery.kept.into_iter().collect();
    assert_eq!(kept, [("iad".into(), 2)]);
    assert_eq!(
        site.generated()
            .keys()
            .filter(|path| path.starts_with("iad/"))
            .count(),
        6
    );
}

#[test]
fn notes_that_are_none_are_named_with_the_way_out() {
    let mut site = Site::small("no-notes");
    let notes = "refs/notes/hydrator.metadata";
    let blob = site.repository.git(&["rev-parse", "HEAD:inventory.yaml"]);
    site.repository.git(&["update-ref", notes, &blob]);
    site.edit(SHOP, "color: red", "color: blue");
    let (rendering, to) = (site.render(), site.branch());
    let delivered = site
        .pipeline
        .deliver(&rendering, &to, &site.options, &Silent);
    let error = delivered.unwrap_err();
    assert!(error.to_string().contains(notes), "{error}");
    assert!(error.help().unwrap().contains(notes));
    site.repository.git(&["update-ref", "-d", notes]);
    assert_eq!(site.deliver().1.outcome, Outcome::Written);
}
