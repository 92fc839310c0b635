//! A connection of its own, for what the host itself asks of a server, and for
//! the command line's client: whatever speaks over a channel of tonic's does so
//! over this.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use super::address::Address;
use super::call::Call;
use super::connection::{Connection, Driver};
use super::dial::dial;
use super::exchange::exchange;
use super::options::Options;

/// Who is asking.
const OSTLER: HeaderValue = HeaderValue::from_static(concat!("ostler/", env!("CARGO_PKG_VERSION")));

/// The connection; clones are one. It closes with the last of them, and is not
/// made again where it is lost.
#[derive(Clone)]
pub(in crate::host) struct Link {
    address: Address,
    connection: Connection,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Link {
    /// A connection to a server that is known to speak HTTP/2; or why there is
    /// none, without a word of where to.
    pub(in crate::host) async fn open(address: Address, options: &Options) -> Result<Link, String> {
        let (link, driver) = Link::made(address, options).await?;
        let quiet = options.keepalive;
        tokio::spawn(driver.run(move |alive| alive.lost(quiet)));
        Ok(link)
    }

    /// The same, and what drives it.
    pub(super) async fn made(address: Address, options: &Options) -> Result<(Link, Driver), String> {
        let (connection, driver) = dial(&address, options).await?;
        Ok((Link { address, connection }, driver))
    }
}

impl Service<Request<Body>> for Link {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().entry(USER_AGENT).or_insert(OSTLER);
        let Link { address, connection } = self.clone();
        Box::pin(async move {
            let mut call = Call::new(request);
            call.look().await?;
            exchange(&address, connection.place(), &mut call).await.map_err(|refused| refused.status)
        })
    }
}
