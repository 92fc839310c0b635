//! What a service manager hears, by a socket of the test's own.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::support::{PATIENCE, Starter, ostler};

struct Manager(UnixDatagram);

impl Manager {
    fn bound(socket: UnixDatagram) -> Manager {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager(socket)
    }

    /// The next thing said that is not a heartbeat.
    fn hears(&self) -> String {
        std::iter::repeat_with(|| self.hears_anything()).find(|words| words != "WATCHDOG=1").unwrap()
    }

    fn hears_anything(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("something is said");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

#[test]
fn it_hears_of_the_start_of_reloads_and_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let manager = Manager::bound(UnixDatagram::bind(&path).unwrap());
    let host = Starter::default().env("NOTIFY_SOCKET", path.to_str().unwrap()).start("reload: { watch: false }\n");
    let serving = |generation: u32, services: &str| {
        format!("READY=1\nSTATUS=serving {services} on {}, generation {generation}", host.address())
    };
    assert_eq!(manager.hears(), serving(1, "1 service"));
    assert_eq!(ostler(&["probe", host.address()]).status.code(), Some(0), "and it is so");

    for (yaml, applied, then) in
        [("services: {}\n", true, serving(2, "0 services")), ("services: 1\n", false, serving(2, "0 services"))]
    {
        assert_eq!(host.reload(yaml), applied);
        let reloading = manager.hears();
        let rest = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        let (since_boot, status) = rest.split_once('\n').unwrap();
        assert!(since_boot.parse::<u64>().unwrap() > 0);
        assert_eq!(status, "STATUS=reading the configuration");
        assert_eq!(manager.hears(), then, "what serves now, whether or not the file was refused");
    }
    assert_eq!(host.stop().code(), Some(0));
    assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=calls in flight have 20s to end");
}

#[test]
fn it_hears_a_heartbeat_as_often_as_it_asked() {
    let name = format!("ostler-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::bound(UnixDatagram::bind_addr(&address).unwrap());
    let _host = Starter::default().env("NOTIFY_SOCKET", &format!("@{name}")).env("WATCHDOG_USEC", "200000").start("");
    let begun = std::time::Instant::now();
    let mut beats = 0;
    while beats < 5 {
        beats += usize::from(manager.hears_anything() == "WATCHDOG=1");
    }
    assert!(begun.elapsed() >= std::time::Duration::from_millis(200), "no more often than that");
}

#[test]
fn a_refused_start_is_never_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, "listen: systemd\n").unwrap();
    let refused = std::process::Command::new(crate::support::binary())
        .arg("run")
        .arg(&file)
        .env("NOTIFY_SOCKET", &path)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(manager.recv(&mut [0; 64]).is_err(), "nothing is said");
}
