//! Certificates that change while they are in use.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::CertificateDer;

use super::{MUTUAL, TLS, answers, host};
use crate::support::Ostler;
use crate::support::authority::{Authority, HOST, Pair};
use crate::support::client::{Client, point};

/// The certificate that a new connection is shown.
async fn shown(authority: &Authority, host: &Ostler) -> CertificateDer<'static> {
    let shaken = authority.shake(host.address(), &[b"h2"]).await.unwrap();
    shaken.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_rotations_fail_no_handshake_and_a_bad_pair_is_never_shown() {
    const ROTATIONS: u64 = 100;
    let authority = Arc::new(Authority::new("one"));
    let yaml = format!("{TLS}reload: {{ watch: false }}\nlimits: {{ connections_per_ip: 1000 }}\n");
    let host = host(&authority, &yaml);
    let mut kept = Client::connect_tls(host.address(), authority.trusted(None)).await.unwrap();
    let (stop, handshakes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, handshakes, address) = (stop.clone(), handshakes.clone(), host.address().to_owned());
            let trusted = authority.trusted(None);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let client = Client::connect_tls(&address, trusted.clone()).await;
                    client.expect("a handshake").get_feature(point(0, 0)).await.expect("a call");
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut keys = Vec::new();
    let mut last = shown(&authority, &host).await;
    for serial in 2..2 + ROTATIONS {
        let pair = authority.pair(HOST, serial);
        let other = authority.pair(HOST, serial);
        let (written, is_good) = match serial % 5 {
            0 => (Pair { key: other.key, ..pair.clone() }, false),
            1 => (Pair { certificate: pair.certificate[..200].to_owned(), ..pair.clone() }, false),
            2 => (Pair { key: String::new(), ..pair.clone() }, false),
            _ => (pair, true),
        };
        written.write(host.folder(), "server");
        keys.push(written.key.clone());
        assert_eq!(host.reload(&yaml), is_good, "{serial}");
        if is_good {
            assert_ne!(written.der(), last);
            last = written.der();
        }
        assert_eq!(shown(&authority, &host).await, last, "{serial}");
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no handshake and no call failed");
    }
    assert!(kept.get_feature(point(0, 0)).await.is_ok(), "open connections stay");
    let handshakes = handshakes.load(Ordering::Relaxed);
    assert!(handshakes > 100, "{handshakes}");
    let log = host.log();
    assert!(keys.iter().flat_map(|key| key.lines().nth(1)).all(|line| !log.contains(line)), "no key is told");
}

#[tokio::test]
async fn certificates_that_change_by_a_symlink_are_taken_up_by_themselves() {
    // As Kubernetes mounts a secret: each file a link by way of `..data`, which is replaced as a whole.
    let authority = Authority::new("one");
    let host = host(&authority, "reload: { settle: 50ms }\n");
    let volume = host.folder().join("volume");
    let put = |version: &str, pair: &Pair| {
        let folder = volume.join(version);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(folder.join("tls.key"), &pair.key).unwrap();
        link(Path::new(version), &volume.join("..data"));
    };
    let (first, second, third) = (authority.pair(HOST, 2), authority.pair(HOST, 3), authority.pair(HOST, 4));
    put("..first", &first);
    for name in ["tls.crt", "tls.key"] {
        link(&Path::new("..data").join(name), &volume.join(name));
    }
    assert!(host.reload("reload: { settle: 50ms }\ntls: { certificate: volume/tls.crt, key: volume/tls.key }\n"));
    assert_eq!(shown(&authority, &host).await, first.der());
    let mark = host.mark();
    put("..second", &second);
    assert_eq!(host.wait_for(mark, "reloaded")["why"], "changed file");
    assert_eq!(shown(&authority, &host).await, second.der());
    // A pair that does not fit stays out, and what mends it is noticed.
    let mark = host.mark();
    put("..wrong", &Pair { key: first.key.clone(), ..third.clone() });
    host.wait_for(mark, "is not that of the certificate");
    assert_eq!(shown(&authority, &host).await, second.der());
    let mark = host.mark();
    put("..third", &third);
    host.wait_for(mark, "reloaded");
    assert_eq!(shown(&authority, &host).await, third.der());
}

/// Makes a link, or replaces one in one step.
fn link(to: &Path, at: &Path) {
    let next = at.with_file_name("next");
    std::os::unix::fs::symlink(to, &next).unwrap();
    std::fs::rename(next, at).unwrap();
}

#[tokio::test]
async fn clients_of_an_authority_that_is_no_longer_trusted_are_refused() {
    let (first, second) = (Authority::new("one"), Authority::new("two"));
    let host = host(&first, MUTUAL);
    let (old, new) = (first.pair("client", 2), second.pair("client", 3));
    let call = async |pair: &Pair| {
        let mut client = Client::connect_tls(host.address(), first.trusted(Some(pair))).await.ok()?;
        client.get_feature(point(0, 0)).await.ok()
    };
    assert!(call(&old).await.is_some() && call(&new).await.is_none());
    std::fs::write(host.folder().join("clients.pem"), second.pem()).unwrap();
    assert!(host.reload(MUTUAL));
    assert!(call(&old).await.is_none() && call(&new).await.is_some());
    assert!(host.reload(TLS));
    answers(&first, host.address()).await;
}
