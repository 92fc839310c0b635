//! However the host ends, nothing that it started is left.

use std::process::{Command, Stdio};

use super::{host, kill, lives, of_folder, probe, shell, started, until, yaml};
use crate::support::{binary, wait};

/// A family that is hard to end: the command, a child that ignores SIGTERM,
/// and one that has left the group as well.
fn stubborn() -> String {
    shell(
        "sh -c 'trap \"\" TERM HUP INT; echo $$ > ignores; while :; do sleep 1; done' & \
         setsid sh -c 'trap \"\" TERM HUP INT; echo $$ > left; while :; do sleep 1; done' & \
         exec $OSTLER run child.yaml",
    )
}

/// The ones it wrote down, once they have.
fn family(host: &crate::support::Ostler) -> Vec<u32> {
    let mut pids = vec![started(host, 0)];
    for name in ["ignores", "left"] {
        let read = || std::fs::read_to_string(host.folder().join(name)).ok()?.trim().parse::<u32>().ok();
        until(name, || read().is_some());
        pids.extend(read());
    }
    pids
}

#[test]
fn a_host_that_is_killed_leaves_nothing_behind() {
    let host = host(&yaml(&stubborn(), ", stop_within: 500ms"));
    let family = family(&host);
    assert!(family.iter().all(|pid| lives(*pid)), "{family:?}");
    kill("KILL", host.pid());
    let took = until("all of them go", || family.iter().all(|pid| !lives(*pid)) && of_folder(&host).is_empty());
    println!("killed: nothing was left after {} ms", took.as_millis());
    let sockets = format!("ostler-{}-", host.pid());
    until("its folder goes", || {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, Into::into);
        let mut entries = std::fs::read_dir(runtime).unwrap();
        !entries.any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with(&sockets))
    });
}

#[test]
fn a_host_that_is_asked_to_stop_stops_them_first() {
    let host = host(&yaml(&stubborn(), ", stop_within: 500ms"));
    let family = family(&host);
    assert_eq!(probe(&host), Some(0));
    assert_eq!(host.stop().code(), Some(0));
    assert!(family.iter().all(|pid| !lives(*pid)), "{family:?}");
}

#[test]
fn a_host_that_is_stopped_twice_leaves_nothing_behind() {
    let host = host(
        &yaml(&shell("trap '' TERM; $OSTLER run child.yaml & while :; do sleep 1; done"), ", stop_within: 2s")
            .replace("500ms", "1h"),
    );
    let pid = started(&host, 0);
    let mark = host.mark();
    host.signal("TERM");
    host.wait_for(mark, "stopping");
    while !host.log().contains("second signal") {
        host.signal("INT");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(host.exit().code(), Some(1));
    until("all of it goes", || !lives(pid));
}

#[test]
fn what_came_of_a_command_ends_with_it() {
    let host = host(&yaml(&stubborn(), ""));
    let family = family(&host);
    kill("KILL", family[0]);
    until("its family goes", || family.iter().all(|pid| !lives(*pid)));
    until("it comes back", || host.log().matches("the process is ready").count() == 2);
    assert_eq!(probe(&host), Some(0));
}

#[test]
fn a_command_has_its_time_to_stop() {
    let slow =
        shell("$OSTLER run child.yaml & trap 'kill $!; wait; sleep 0.3; echo done > done; exit 0' TERM; wait $!; wait");
    let host = host(&yaml(&slow, ""));
    started(&host, 0);
    let done = host.folder().join("done");
    host.signal("TERM");
    until("it has done what it does at its end", || done.exists());
    assert_eq!(host.exit().code(), Some(0));
}

#[test]
fn a_host_that_is_stopped_while_it_starts_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (file, pid) = (folder.path().join("ostler.yaml"), folder.path().join("pid"));
    std::fs::write(&file, yaml(&shell("echo $$ > pid; while :; do sleep 1; done"), ", start_within: 1h")).unwrap();
    let mut starting = Command::new(binary()).arg("run").arg(file).stderr(Stdio::null()).spawn().unwrap();
    let read = || std::fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok();
    until("it has started its command", || read().is_some());
    kill("TERM", starting.id());
    assert_eq!(wait(&mut starting).code(), Some(0));
    until("the command goes", || !lives(read().unwrap()));
}
