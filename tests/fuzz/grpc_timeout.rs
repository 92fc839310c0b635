//! `grpc-timeout`, held against a second reading of the protocol's words. A
//! line is a header, so that two of them are tried as well.

#![no_main]

use http::header::{CONTENT_TYPE, HeaderValue};
use libfuzzer_sys::fuzz_target;

/// From the protocol's grammar: `TimeoutValue TimeoutUnit`, the value ASCII
/// digits, at most eight. It says a positive integer; zero is a deadline that
/// has passed, as clients send it. In nanoseconds.
fn read(value: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(value).ok()?;
    let unit = text.chars().next_back()?;
    let nanos: u128 = match unit {
        'H' => 3_600_000_000_000,
        'M' => 60_000_000_000,
        'S' => 1_000_000_000,
        'm' => 1_000_000,
        'u' => 1_000,
        'n' => 1,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let is_value = (1..=8).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    is_value.then(|| digits.parse::<u128>().expect("eight digits are a number") * nanos)
}

fuzz_target!(|bytes: &[u8]| {
    let mut request = http::Request::post("/a.B/C").header(CONTENT_TYPE, "application/grpc").body(()).expect("a call");
    let lines: Vec<&[u8]> = if bytes.is_empty() { Vec::new() } else { bytes.split(|byte| *byte == b'\n').collect() };
    for line in &lines {
        // What is no header never comes this far.
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        request.headers_mut().append("grpc-timeout", value);
    }
    let expected = match lines[..] {
        [] => Some(None),
        [value] => read(value).map(Some),
        _ => None,
    };
    let admitted = ostler::fuzzing::admitted(&request);
    let found = admitted.map(|(_, _, timeout)| timeout.map(|timeout| timeout.as_nanos()));
    assert_eq!(found, expected);
});
