//! An address and how remotes are reached → the HTTP client: timeouts, whom it trusts, and its proxy.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::git::access::Access;
use crate::git::error::GitError;
use crate::git::transport::AGENT;
use crate::git::url::{RemoteUrl, Scheme, redact};

/// The client: timeouts, trust and proxy for one address.
pub(super) fn agent(url: &RemoteUrl, access: &Access) -> Result<Agent, GitError> {
    let tls = trust(access.ca_file.as_deref())?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_resolve(Some(access.connect_timeout))
        .timeout_connect(Some(access.connect_timeout))
        .timeout_per_read(Some(access.idle_timeout))
        .timeout_per_write(Some(access.idle_timeout))
        // Some hosts and proxies let only what begins with `git/` reach the git service.
        .user_agent(format!("git/2.0 ({AGENT})"))
        .tls_config(tls)
        .proxy(proxy(url, access)?)
        .build();
    Ok(config.new_agent())
}

/// Whom to trust: those whom the platform trusts, or the certificates of a CA file.
///
/// # Errors
/// [`GitError::Credential`] when the file cannot be read or holds no certificate.
pub(crate) fn trust(ca_file: Option<&Path>) -> Result<TlsConfig, GitError> {
    let provider = match rustls::crypto::CryptoProvider::get_default() {
        Some(provider) => Arc::clone(provider),
        None => Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
    };
    let roots = match ca_file {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let failed = |problem: String| GitError::Credential {
                origin: format!("CA file {}", path.display()),
                problem,
            };
            let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates: Vec<_> = parse_pem(&bytes)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(failed("it holds no certificate in PEM form".to_owned()));
            }
            RootCerts::new_with_certs(&certificates)
        }
    };
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots)
        .build())
}

/// The proxy that the environment names for this address. As in other tools, this machine is never reached by proxy.
fn proxy(url: &RemoteUrl, access: &Access) -> Result<Option<Proxy>, GitError> {
    let first = |names: &[&str]| {
        let mut values = names
            .iter()
            .filter_map(|name| access.variable(name)?.into_string().ok());
        values.find(|value| !value.is_empty())
    };
    let address = match url.scheme() {
        Scheme::Https => first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        // Upper case would let a request header of a CGI program choose the proxy.
        _ => first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
    };
    let (Some(address), false) = (address, is_loopback(url.host())) else {
        return Ok(None);
    };
    let exempt = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    if exempt
        .split(',')
        .any(|rule| is_exempt(url.host(), rule.trim()))
    {
        return Ok(None);
    }
    Proxy::new(&address)
        .map(Some)
        .map_err(|_| GitError::Unreachable {
            url: url.redacted(),
            problem: format!(
                "the environment names a proxy that is no address: {}",
                redact(&address)
            ),
        })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// One entry of `no_proxy`: `*`, a host, or a domain with or without a leading dot or `*.`.
fn is_exempt(host: &str, rule: &str) -> bool {
    let rule = rule.to_ascii_lowercase();
    let domain = rule.trim_start_matches('*').trim_start_matches('.');
    if domain.is_empty() {
        return rule == "*";
    }
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|start| start.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exempt_hosts_are_not_proxied() {
        assert!(is_exempt("git.corp.example", ".corp.example"));
        assert!(
            is_exempt("git.corp.example", "*.corp.example")
                && is_exempt("corp.example", "corp.example")
        );
        assert!(
            is_exempt("anything", "*")
                && !is_exempt("evilcorp.example", "corp.example")
                && !is_exempt("a", "")
        );
        let mut access = Access::default();
        access
            .environment
            .insert("https_proxy".into(), "http://proxy.example:3128".into());
        access
            .environment
            .insert("no_proxy".into(), "corp.example".into());
        let proxied = |text| {
            proxy(&RemoteUrl::parse(text).expect("url"), &access)
                .expect("proxy")
                .is_some()
        };
        assert!(proxied("https://github.com/a/b"));
        assert!(!proxied("https://git.corp.example/a/b") && !proxied("https://127.0.0.1/a"));
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let access = Access {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..Access::default()
        };
        let error =
            agent(&RemoteUrl::parse("https://h/r").expect("url"), &access).expect_err("missing");
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }
}
