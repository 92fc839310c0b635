//! Listening sockets that were open before this process was: a service manager
//! holds them while one process ends and the next begins, so no client is ever
//! refused.

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
        match &self.0[..] {
            [] => "a systemd socket unit passes them, or whatever else sets LISTEN_FDS and LISTEN_PID".to_owned(),
            sockets => {
                let names: Vec<String> = sockets.iter().map(|(address, _)| format!("`{address}`")).collect();
                format!("there is {}", names.join(", "))
            }
        }
    }
}
