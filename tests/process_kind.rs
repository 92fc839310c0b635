//! The kind `process`: a command that we start behaves for a service, or
//! whoever listens on a socket does. Its calls, its health, its end, and ours.

mod ends;
mod logs;
mod others;
mod python;
mod refused;
mod restarts;
mod swaps;

use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::{Ostler, PATIENCE, Starter, binary, ostler};

pub const SERVICE: &str = "routeguide.RouteGuide";
/// Our own binary as a command: it serves where it is told to.
pub const CHILD: &str = "listen: \"${OSTLER_LISTEN}\"\nservices: { routeguide.RouteGuide: { handler: { route_guide: { chat: { send_back: true } } } } }\nshutdown: { drain: 500ms }\n";
/// Stops at once what does not end by itself.
pub const DRAIN: &str = "shutdown: { drain: 500ms }\n";

/// A configuration whose RouteGuide is a command's, with more settings.
pub fn yaml(command: &str, more: &str) -> String {
    format!("services:\n  {SERVICE}:\n    handler:\n      process: {{ command: {command}{more} }}\n{DRAIN}")
}

/// The command that serves RouteGuide.
pub fn itself() -> String {
    format!("[{}, run, child.yaml]", binary())
}

/// A shell's lines as a command; `$OSTLER` is our own binary.
pub fn shell(lines: &str) -> String {
    serde_json::to_string(&["sh", "-c", &lines.replace("$OSTLER", binary())]).unwrap()
}

/// A host over such a configuration, with what the command needs beside it.
pub fn host(yaml: &str) -> Ostler {
    Starter::default().file("child.yaml", CHILD).start(yaml)
}

/// The process id of the command that was started after a mark.
pub fn started(host: &Ostler, mark: usize) -> u32 {
    u32::try_from(host.wait_for(mark, "the process has started")["pid"].as_u64().unwrap()).unwrap()
}

/// Whether a process is there and has not ended.
pub fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

/// Sends a signal.
pub fn kill(signal: &str, pid: u32) {
    let sent = std::process::Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success(), "kill -{signal} {pid}");
}

/// The parent of a process: of a command, its guard.
pub fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until something is so, and says how long that took.
pub fn until(what: &str, so: impl Fn() -> bool) -> Duration {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    since.elapsed()
}

/// What `ostler probe` says of the service: 0 is SERVING, 4 is not.
pub fn probe(host: &Ostler) -> Option<i32> {
    ostler(&["probe", host.address(), "--service", SERVICE]).status.code()
}

/// Every process whose environment or arguments name a folder: all that a host
/// in it has started.
pub fn of_folder(host: &Ostler) -> Vec<u32> {
    let folder = host.folder().to_str().unwrap().to_owned();
    let own = host.pid();
    let named = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&folder)) && *pid != own
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()))
        .filter(|pid| named(pid) && lives(*pid))
        .collect()
}

/// Waits until a call is answered.
pub async fn answers(client: &mut Client) {
    let since = Instant::now();
    while let Err(status) = client.get_feature(crate::support::client::point(0, 0)).await {
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
        assert!(since.elapsed() < PATIENCE, "{status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
