//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use super::tally::Reason;
use crate::config::Limits;

#[derive(Debug, Default)]
struct Open {
    all: u32,
    by_network: HashMap<IpAddr, Network>,
}

/// What is open from one address.
#[derive(Debug, Default)]
struct Network {
    connections: u32,
    calls: Arc<AtomicUsize>,
}

/// The count; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<Mutex<Open>>);

/// One connection counted, until it drops.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    network: Option<IpAddr>,
    /// The calls in flight from its address, where it has one.
    pub(super) calls: Option<Arc<AtomicUsize>>,
}

impl Admission {
    /// Counts a connection in, unless there are as many as there may be. A
    /// Unix socket has no address, and only the count in all.
    pub(super) fn admit(&self, ip: Option<IpAddr>, limits: &Limits) -> Result<Admitted, Reason> {
        let network = ip.map(network);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= limits.connections.get() {
            return Err(Reason::Full);
        }
        let calls = match network {
            Some(network) => {
                let from_there = open.by_network.entry(network).or_default();
                if from_there.connections >= limits.connections_per_ip.get() {
                    return Err(Reason::FullForAddress);
                }
                from_there.connections += 1;
                Some(from_there.calls.clone())
            }
            None => None,
        };
        open.all += 1;
        Ok(Admitted { admission: self.clone(), network, calls })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(network) = self.network
            && let Some(from_there) = open.by_network.get_mut(&network)
        {
            from_there.connections -= 1;
            if from_there.connections == 0 {
                open.by_network.remove(&network);
            }
        }
    }
}

/// What counts as one address: in IPv6, whoever has one has 2^64 (RFC 6177).
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let count = |number| std::num::NonZeroU32::new(number).unwrap();
        let limits = Limits { connections: count(3), connections_per_ip: count(2), ..Limits::default() };
        let admission = Admission::default();
        let admit = |ip: Option<&str>| admission.admit(ip.map(|ip| ip.parse().unwrap()), &limits);
        let first = admit(Some("10.0.0.1"));
        let second = admit(Some("10.0.0.1"));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(admit(Some("10.0.0.1")).err(), Some(Reason::FullForAddress), "two from one address");
        let unix = admit(None);
        assert!(unix.is_ok());
        assert_eq!(admit(Some("10.0.0.2")).err(), Some(Reason::Full), "three in all");
        drop(first);
        let third = admit(Some("10.0.0.1"));
        assert!(third.is_ok(), "a place given back is a place");
        drop((second, third, unix));
        assert_eq!(admission.0.lock().unwrap().by_network.len(), 0, "nothing is remembered of who has gone");
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_ipv4_is_itself_however_it_is_written() {
        let network = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::4"));
        assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
