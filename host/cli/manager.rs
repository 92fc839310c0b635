//! What the service manager is told, by systemd's notification protocol: that
//! the host serves, reads its file anew, stops, and is alive. Without a
//! NOTIFY_SOCKET nobody asks, and nothing is said.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager, where there is one.
#[derive(Debug, Default)]
pub(super) struct Manager(Option<(UnixDatagram, SocketAddr)>);

impl Manager {
    /// The one that started this process.
    pub(super) fn from_env() -> Manager {
        let to = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not listen stalls nothing.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address.ok()?))
        });
        Manager(to)
    }

    /// It serves; again, after a reload.
    pub(super) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// A reload begins.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading the configuration"));
    }

    /// The end begins.
    pub(super) fn stopping(&self, status: &str) {
        self.say(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Says that the process is alive, as often as it is asked to: twice in the
    /// time that the manager waits.
    pub(super) async fn beat(self) {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let Some(within) = number("WATCHDOG_USEC").filter(|within| *within > 0 && is_meant) else { return };
        let mut beat = tokio::time::interval(Duration::from_micros(within.div_ceil(2)));
        loop {
            beat.tick().await;
            self.say("WATCHDOG=1");
        }
    }

    /// A status is one line.
    fn say(&self, state: &str) {
        let Some((socket, to)) = &self.0 else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), to) {
            tracing::debug!(%error, "the service manager is not to be reached");
        }
    }
}
