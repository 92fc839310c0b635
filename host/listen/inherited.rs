//! Listening sockets that were open before this process was: a service manager
//! holds them while one process ends and the next begins, or a predecessor hands
//! them over, so no client is ever refused.

use std::os::fd::OwnedFd;

use listenfd::ListenFd;

use crate::config::Address;

/// What systemd calls a socket that nobody named.
const UNNAMED: &str = "unknown";

/// The sockets, by the address that asks for them. They stay open here, so that
/// a reload may let go of one and take it again.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(Address, OwnedFd)>);

impl Inherited {
    /// What the service manager passed to this process, by LISTEN_FDS,
    /// LISTEN_PID and LISTEN_FDNAMES. To be called once, and before there are
    /// threads: the first two are taken out of the environment.
    pub fn from_service_manager() -> Inherited {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').chain(std::iter::repeat(""));
        let mut passed = ListenFd::from_env();
        let sockets = (0..passed.len()).zip(names).filter_map(|(at, name)| {
            let tcp = passed.take_tcp_listener(at).ok().flatten().map(OwnedFd::from);
            let socket = tcp.or_else(|| passed.take_unix_listener(at).ok().flatten().map(OwnedFd::from))?;
            let name = if name.is_empty() { UNNAMED } else { name };
            Some((Address::Systemd(Some(name.to_owned())), socket))
        });
        Inherited(sockets.collect())
    }

    /// More of them. A service manager's are passed on by a predecessor only
    /// where it did not pass them to this process itself.
    pub(crate) fn extend(&mut self, more: Inherited) {
        let has_managers = self.managers().next().is_some();
        let more = more.0.into_iter().filter(|(address, _)| !(has_managers && matches!(address, Address::Systemd(_))));
        self.0.extend(more);
    }

    /// The service manager's, which outlive this process.
    pub(super) fn managers(&self) -> impl Iterator<Item = &(Address, OwnedFd)> {
        self.0.iter().filter(|(address, _)| matches!(address, Address::Systemd(_)))
    }

    /// Lets go of what a predecessor had for itself: it is adopted by now, or
    /// not asked for.
    pub(super) fn keep_managers(&mut self) {
        self.0.retain(|(address, _)| matches!(address, Address::Systemd(_)));
    }

    /// The sockets that an address asks for.
    pub(super) fn of(&self, asked: &Address) -> impl Iterator<Item = &OwnedFd> {
        let all = matches!(asked, Address::Systemd(None));
        self.0
            .iter()
            .filter(move |(address, _)| if all { matches!(address, Address::Systemd(_)) } else { address == asked })
            .map(|(_, socket)| socket)
    }

    /// What there is to ask for, for those who asked for something else.
    pub(super) fn words(&self) -> String {
        let names: Vec<String> = self.managers().map(|(address, _)| format!("`{address}`")).collect();
        if names.is_empty() {
            return "a systemd socket unit passes them, or whatever else sets LISTEN_FDS and LISTEN_PID".to_owned();
        }
        format!("there is {}", names.join(", "))
    }
}

impl From<Vec<(Address, OwnedFd)>> for Inherited {
    fn from(sockets: Vec<(Address, OwnedFd)>) -> Inherited {
        Inherited(sockets)
    }
}
