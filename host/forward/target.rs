//! A server that calls are sent on to.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Notify;
use tonic::Status;

use super::address::Address;
use super::call::Call;
use super::connection::Place;
use super::dial::dial;
use super::exchange::exchange;
use super::options::Options;
use super::pool::{Found, Pool};
use super::refused::{Cause, Refused};
use crate::host::mount::Response;

/// How many connections a call waits for that others fill before it, or that
/// close at once.
const MOST_ROUNDS: u32 = 4;

/// One server, and the connections to it, which are made when they are first
/// wanted and close with this.
pub struct Target {
    pub(super) address: Address,
    pub(super) options: Options,
    pub(super) pool: Pool,
    /// Ends the connections there are.
    hung_up: Arc<Notify>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Target {
    /// A server that is not connected to yet.
    pub fn new(address: Address, options: Options) -> Arc<Target> {
        let pool = Pool::new(address.rest());
        Arc::new(Target { address, options, pool, hung_up: Arc::default() })
    }

    /// Where it is: for logs, and not for clients.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a call on, and gives back the head of its answer, with a body that
    /// follows. Dropped, before or after, the call is cancelled there as well.
    pub async fn send(self: &Arc<Self>, call: &mut Call) -> Result<Response, Refused> {
        let looked =
            if call.is_whole() { call.look().await } else { Err(Status::internal("the call was sent before")) };
        looked.map_err(|status| Refused { status, cause: Cause::Request })?;
        let connected = self.connection().await;
        let place = connected.map_err(|status| Refused { status, cause: Cause::Unsent })?;
        exchange(&self.address, place, call).await
    }

    /// Ends every connection, and with them the calls under way.
    pub(super) fn hang_up(&self) {
        self.hung_up.notify_waiters();
    }

    /// A place for a call on a connection of this thread's.
    async fn connection(self: &Arc<Self>) -> Result<(SendRequest<Bytes>, Place), Status> {
        let part = self.pool.part();
        for round in 0..MOST_ROUNDS {
            let mut attempt = match self.pool.find(part, round + 1 == MOST_ROUNDS) {
                Found::Place(sender, place) => return Ok((sender, place)),
                Found::Nothing(why) => return Err(self.unreachable(&why)),
                Found::Soon(attempt) => attempt,
                Found::Make(tell, attempt) => {
                    let target = self.clone();
                    // Not the caller's to cancel: others wait for it as well.
                    tokio::spawn(async move {
                        let made = target.connect(part).await;
                        tell.send_replace(Some(made));
                    });
                    attempt
                }
            };
            let outcome = attempt.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match outcome {
                Some(Ok(())) => {}
                Some(Err(why)) => return Err(self.unreachable(&why)),
                None => return Err(self.unreachable("the host is stopping")),
            }
        }
        Err(self.unreachable("it closes every connection"))
    }

    fn unreachable(&self, why: &str) -> Status {
        Status::unavailable(format!("the server of {} cannot be reached: {why}", self.options.name))
    }

    /// Makes a connection for a part of the pool.
    async fn connect(&self, part: usize) -> Result<(), Arc<str>> {
        let (connection, driver) = dial(&self.address, &self.options).await.map_err(|why| {
            let why: Arc<str> = why.into();
            self.pool.failed(why.clone());
            why
        })?;
        self.pool.reached();
        self.pool.add(part, connection);
        let (hung_up, quiet) = (self.hung_up.clone(), self.options.keepalive);
        tokio::spawn(driver.run(move |alive| async move {
            tokio::select! {
                () = alive.lost(quiet) => {}
                () = hung_up.notified() => {}
            }
        }));
        Ok(())
    }
}
