//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;

#[derive(Debug, Default)]
struct Open {
    all: u32,
    by_ip: HashMap<IpAddr, u32>,
}

/// The count; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<Mutex<Open>>);

/// One connection counted, until it drops.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    ip: Option<IpAddr>,
}

impl Admission {
    /// Counts a connection in, unless there are as many as there may be. A
    /// Unix socket has no address, and only the count in all.
    pub(super) fn admit(&self, ip: Option<IpAddr>, limits: &Limits) -> Option<Admitted> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from_ip = ip.map_or(0, |ip| open.by_ip.get(&ip).copied().unwrap_or(0));
        if open.all >= limits.connections.get() || from_ip >= limits.connections_per_ip.get() {
            return None;
        }
        open.all += 1;
        if let Some(ip) = ip {
            *open.by_ip.entry(ip).or_default() += 1;
        }
        Some(Admitted { admission: self.clone(), ip })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(ip) = self.ip
            && let Some(count) = open.by_ip.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                open.by_ip.remove(&ip);
            }
        }
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
        assert!(first.is_some() && second.is_some());
        assert!(admit(Some("10.0.0.1")).is_none(), "two from one address");
        let unix = admit(None);
        assert!(unix.is_some());
        assert!(admit(Some("10.0.0.2")).is_none(), "three in all");
        drop(first);
        let third = admit(Some("10.0.0.1"));
        assert!(third.is_some(), "a place given back is a place");
        drop((second, third, unix));
        assert_eq!(admission.0.lock().unwrap().by_ip.len(), 0, "nothing is remembered of who has gone");
    }
}
