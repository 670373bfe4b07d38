//! Which repositories a payload speaks of: its addresses → whoever is interested. The index is built once, and an event costs one look-up
//! an address, however many repositories there are.

use std::collections::HashMap;

use crate::git::{RemoteUrl, Scheme, url::Identity};

/// Who is interested in which repository.
#[derive(Clone, Debug)]
pub struct Addresses<T> {
    repositories: HashMap<Identity, Vec<T>>,
}

impl<T> Addresses<T> {
    /// Builds the index. Several may be interested in one repository, however each writes its address.
    pub fn new(interests: impl IntoIterator<Item = (RemoteUrl, T)>) -> Self {
        let mut repositories: HashMap<Identity, Vec<T>> = HashMap::new();
        for (url, interest) in interests {
            repositories
                .entry(url.identity())
                .or_default()
                .push(interest);
        }
        Self { repositories }
    }

    /// Everybody who is interested in the repository that goes by any of these addresses, each once. What is no address of a
    /// repository is passed over, and so is a path: no forge knows this machine's folders.
    pub fn interested<'a>(&'a self, urls: &[String]) -> Vec<&'a T> {
        let mut found: Vec<&Identity> = Vec::new();
        let mut interested = Vec::new();
        for url in urls {
            let Ok(url) = RemoteUrl::parse(url) else {
                continue;
            };
            if url.scheme() == Scheme::Local {
                continue;
            }
            let Some((identity, interests)) = self.repositories.get_key_value(&url.identity())
            else {
                continue;
            };
            if !found.contains(&identity) {
                found.push(identity);
                interested.extend(interests);
            }
        }
        interested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Addresses<&'static str> {
        let url = |text| RemoteUrl::parse(text).unwrap();
        Addresses::new([
            (url("https://git.example.com/acme/shop.git"), "shop"),
            (url("https://git.example.com/acme/shop"), "shop preview"),
            (url("git@git.example.com:acme/bank.git"), "bank"),
            (url("/srv/git/local.git"), "local"),
        ])
    }

    fn interested(urls: &[&str]) -> Vec<&'static str> {
        let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
        index().interested(&urls).into_iter().copied().collect()
    }

    #[test]
    fn a_repository_is_found_however_its_address_is_written() {
        for url in [
            "https://git.example.com/acme/shop.git",
            "http://GIT.example.com:80/acme/shop/",
            "https://token@git.example.com:443//acme/shop",
        ] {
            assert_eq!(interested(&[url]), ["shop", "shop preview"], "{url}");
        }
        let bank = "ssh://git@git.example.com:22/acme/bank";
        assert_eq!(interested(&[bank]), ["bank"]);
    }

    #[test]
    fn several_addresses_of_one_repository_wake_nobody_twice() {
        let urls = [
            "https://git.example.com/acme/shop",
            "https://git.example.com/acme/shop.git",
        ];
        assert_eq!(interested(&urls), ["shop", "shop preview"]);
    }

    #[test]
    fn other_repositories_and_things_that_are_no_address_wake_nobody() {
        for url in [
            "https://git.example.com/acme/shop2",
            "https://git.example.org/acme/shop",
            "https://git.example.com:8443/acme/shop",
            "git://git.example.com/acme/shop",
            "ext::sh -c true",
            "",
            "\u{0}",
        ] {
            assert_eq!(interested(&[url]), [""; 0], "{url}");
        }
    }

    #[test]
    fn a_payload_cannot_name_a_folder_of_this_machine() {
        assert_eq!(interested(&["/srv/git/local.git"]), [""; 0]);
        assert_eq!(interested(&["file:///srv/git/local.git"]), [""; 0]);
    }
}
