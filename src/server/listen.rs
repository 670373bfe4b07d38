//! The listener: plain or TLS, with client certificates where a client CA is given; stops gracefully.
//!
//! A client certificate is asked for, not demanded: probes and webhooks come without one. Who must have one is decided in
//! `access`, by what the handshake found.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::middleware::AddExtension;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use super::{ServerError, TlsFiles};

/// How long a client may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long open requests may go on after the service was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What the handshake found out about the other side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// Whether it showed a certificate of the client CA.
    pub certified: bool,
}

/// Serves until told to stop, then for a few seconds more those who are being served.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    let stopper = handle.clone();
    tokio::spawn(async move {
        shutdown.cancelled().await;
        stopper.graceful_shutdown(Some(GRACE));
    });
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let service = router.into_make_service();
    match tls {
        None => server.serve(service).await,
        Some(config) => {
            let acceptor = PeerAcceptor(RustlsAcceptor::new(config));
            server.acceptor(acceptor).serve(service).await
        }
    }
}

/// Reads the files of TLS. Call it again when they change, and hand the result to [`RustlsConfig::reload_from_config`].
///
/// # Errors
/// [`ServerError::Tls`] names the file.
pub fn tls(files: &TlsFiles) -> Result<Arc<ServerConfig>, ServerError> {
    let certificates = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&files.certificate, &error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates(path)? {
                roots.add(certificate).map_err(|error| bad(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| bad(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| bad(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| bad(path, &error))?;
    if certificates.is_empty() {
        return Err(bad(path, &"it holds no certificate"));
    }
    Ok(certificates)
}

fn bad(path: &Path, why: &dyn std::fmt::Display) -> ServerError {
    ServerError::Tls {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// Does the handshake, and tells the handlers what it found out.
#[derive(Clone)]
struct PeerAcceptor(RustlsAcceptor);

impl<S: Send + 'static> Accept<TcpStream, S> for PeerAcceptor {
    type Stream = tokio_rustls::server::TlsStream<TcpStream>;
    type Service = AddExtension<S, Peer>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let handshake = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = handshake.await?;
            let certified = stream
                .get_ref()
                .1
                .peer_certificates()
                .is_some_and(|chain| !chain.is_empty());
            Ok((stream, Extension(Peer { certified }).layer(service)))
        })
    }
}
