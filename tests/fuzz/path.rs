//! A call's path: a service's full name and a method's, each after a slash,
//! and nothing else. What is taken is put together again from its two names.

#![no_main]

use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use libfuzzer_sys::fuzz_target;

/// Whether a path is canonical, said another way: exactly two slashes, one of
/// them first; words that are letters, digits and underscores; dots only
/// between words of the service.
fn is_canonical(path: &str) -> bool {
    let word = |c: char| matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '_');
    let outside_words: String = path.chars().map(|c| if word(c) { 'w' } else { c }).collect();
    let mut shape = outside_words;
    while shape.contains("ww") {
        shape = shape.replace("ww", "w");
    }
    while shape.contains("w.w") {
        shape = shape.replace("w.w", "w");
    }
    shape == "/w/w" && !path.rsplit('/').next().is_some_and(|method| method.contains('.'))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let found = ostler::fuzzing::canonical(path);
    assert_eq!(found.is_some(), is_canonical(path), "{path:?}");
    if let Some((service, method)) = found {
        assert_eq!(format!("/{service}/{method}"), path);
    }

    // The same in a request, as far as one can hold it.
    let Ok(target) = PathAndQuery::try_from(path) else { return };
    let request = http::Request::post(target.clone()).header(CONTENT_TYPE, "application/grpc").body(());
    let Ok(request) = request else { return };
    let names = ostler::fuzzing::admitted(&request).map(|(service, method, _)| format!("/{service}/{method}"));
    assert_eq!(names.as_deref(), is_canonical(target.as_str()).then_some(target.as_str()), "{path:?}");
});
