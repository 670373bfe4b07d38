//! A client that outlives its credentials: whoever is refused, or cut off, goes on with what the kubeconfig says by then.
//!
//! Tokens, certificates and whole kubeconfigs are rotated on disk. Nobody watches the files: the server says when what was
//! read is no longer good, and a server that is moved says so by being out of reach.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tower::service_fn;

use super::patience::{Patience, copy};
use super::{ConnectError, Connection, make};

/// The least age of credentials that are read anew: those that are wrong stay wrong for a while.
const LEAST_AGE: Duration = Duration::from_secs(2);

/// Makes a client that renews itself. `silence` is how long a connection may be silent before it counts as dead.
pub(super) async fn client(
    connection: &Connection,
    silence: Duration,
) -> Result<Client, ConnectError> {
    let first = make(connection, silence).await?;
    let namespace = first.default_namespace().to_owned();
    let renewal = Arc::new(Renewal {
        connection: connection.clone(),
        silence,
        current: Mutex::new(Current {
            client: first,
            number: 0,
            tried: Instant::now(),
        }),
    });
    let service = service_fn(move |request| {
        let renewal = Arc::clone(&renewal);
        async move { renewal.answer(request).await }
    });
    Ok(Client::new(service, namespace))
}

struct Renewal {
    connection: Connection,
    silence: Duration,
    current: Mutex<Current>,
}

struct Current {
    client: Client,
    /// Which one it is.
    number: u64,
    /// When it was made, or was last tried to be.
    tried: Instant,
}

impl Renewal {
    /// Sends a request until the server does not ask to come back later.
    async fn answer(&self, mut request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let patience = Patience::new();
        loop {
            let again = copy(&request);
            let answer = self.send(request).await?;
            match (patience.wait(&answer), again) {
                (Some(wait), Some(again)) => {
                    sleep(wait).await;
                    request = again;
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Sends a request; once more when it was refused and there are newer credentials.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (client, number) = {
            let current = self.current.lock().await;
            (current.client.clone(), current.number)
        };
        let again = copy(&request);
        let answer = client.send(request).await;
        match &answer {
            Ok(answer) if answer.status() != StatusCode::UNAUTHORIZED => {}
            // What became of a request that was not answered is not known: whoever sent it decides.
            Err(_) => drop(self.renew(number).await),
            Ok(_) => {
                if let (Some(client), Some(again)) = (self.renew(number).await, again) {
                    return client.send(again).await;
                }
            }
        }
        answer
    }

    /// Gives the client that takes the place of this one; none while there is no other.
    async fn renew(&self, number: u64) -> Option<Client> {
        let mut current = self.current.lock().await;
        if current.number == number {
            if current.tried.elapsed() < LEAST_AGE {
                return None;
            }
            current.tried = Instant::now();
            match make(&self.connection, self.silence).await {
                Ok(client) => current.client = client,
                Err(error) => {
                    tracing::debug!(reason = error.reason(), "not renewed: {error}");
                    return None;
                }
            }
            current.number += 1;
        }
        Some(current.client.clone())
    }
}
