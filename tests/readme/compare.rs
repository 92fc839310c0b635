//! Whether what was printed is what a document shows.

/// What was printed is what the document shows.
pub fn compare(place: &str, shown: &str, printed: &str) {
    let lines = |text: &str| text.trim_end().lines().map(str::to_owned).collect::<Vec<_>>();
    let same = fit(&lines(shown), &lines(printed));
    assert!(same, "{place}: what was printed is\n{printed}");
}

/// Whether lines fit, where a line of `...` is any lines.
fn fit(shown: &[String], printed: &[String]) -> bool {
    match (shown, printed) {
        ([], printed) => printed.is_empty(),
        ([any, rest @ ..], printed) if any == "..." => {
            (0..=printed.len()).any(|skipped| fit(rest, &printed[skipped..]))
        }
        ([line, shown @ ..], [found, printed @ ..]) => fits(line, found) && fit(shown, printed),
        _ => false,
    }
}

/// Whether a line fits, where `...` in it is any text.
pub fn fits(shown: &str, printed: &str) -> bool {
    match shown.split_once("...") {
        None => shown == printed,
        Some((start, rest)) => printed.strip_prefix(start).is_some_and(|left| {
            left.char_indices().map(|(at, _)| at).chain([left.len()]).any(|at| fits(rest, &left[at..]))
        }),
    }
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    assert!(fits("a...c", "abbc") && fits("...", "") && fits("a", "a"));
    assert!(!fits("a...c", "abcd") && !fits("a", "ab") && !fits("", "a"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fit(&lines("a\n...\nd"), &lines("a\nb\nc\nd")));
    assert!(!fit(&lines("a\n...\nd"), &lines("a\nb\nc")) && !fit(&lines("a"), &lines("a\nb")));
}
