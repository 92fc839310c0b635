//! What a command writes is in our log, line by line, and never too much of it.

use super::{host, probe, shell, started, until, yaml};

#[test]
fn its_lines_are_ours_with_whose_they_are() {
    let command = shell(
        "echo to stdout; echo to stderr >&2; printf 'no end'; head -c 20000 /dev/zero | tr '\\0' x >&2; echo >&2; \
         printf '\\033[31mred\\n' >&2; exec $OSTLER run child.yaml",
    );
    let host = host(&yaml(&command, ""));
    let pid = u64::from(started(&host, 0));
    for (words, stream) in [("to stdout", "stdout"), ("to stderr", "stderr"), ("[31mred", "stderr")] {
        let line = host.wait_for(0, words);
        assert_eq!(line["stream"], stream);
        assert_eq!(line["service"], super::SERVICE);
        assert_eq!(line["pid"].as_u64(), Some(pid));
        assert!(!line["message"].as_str().unwrap().contains('\u{1b}'));
    }
    let long = host.wait_for(0, "xxxxxxxxxx");
    assert_eq!(long["message"].as_str().unwrap().len(), 8 << 10);
    assert_eq!(long["cut"], true);
    let mark = host.mark();
    super::kill("KILL", u32::try_from(pid).unwrap());
    host.wait_for(0, "no end");
    host.wait_for(mark, "it is started again");
}

#[test]
fn a_flood_is_counted_and_holds_up_neither_side() {
    let command = shell("yes & yes no-newline | tr -d '\\n' >&2 & exec $OSTLER run child.yaml");
    let host = host(&yaml(&command, ", logs: { lines_per_second: 100 }"));
    let dropped = host.wait_for(0, "lines dropped");
    assert!(dropped["lines"].as_u64().unwrap() > 1_000, "{dropped}");
    let mark = host.wait_for_line(0, "lines dropped");
    let next = host.wait_for_line(mark + 1, "lines dropped");
    let told = host.log().lines().take(next).skip(mark).filter(|line| line.contains("\"message\":\"y\"")).count();
    assert!(told <= 100, "{told} lines in a second");
    assert_eq!(probe(&host), Some(0), "it serves meanwhile");
    let held = host.peak_bytes();
    assert!(held < 128 << 20, "{held} bytes");
    println!("a flood: {told} lines told in a second, {} MiB held", held >> 20);
    let pids = super::of_folder(&host);
    assert_eq!(host.stop().code(), Some(0));
    until("the flood ends", || pids.iter().all(|pid| !super::lives(*pid)));
}
