//! Until when a call may last. `grpc-timeout` is read strictly: one to eight
//! digits and a unit, as the gRPC over HTTP/2 protocol has it.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// When a call must be over, by its client's word or the host's, whichever is
/// sooner: in the extensions of a request that is sent on, where it has a bound.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Deadline(pub(in crate::host) Instant);

/// The header.
pub(super) const GRPC_TIMEOUT: &str = "grpc-timeout";

/// A header that is no timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// How long the client waits; `None` where it does not say.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => parse(value.as_bytes()).map(Some).ok_or(Malformed),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

/// At most eight digits of hours: 11,000 years fit every clock.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, nanos) in [
            ("1H", 3_600_000_000_000u128),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("4m", 4_000_000),
            ("5u", 5_000),
            ("6n", 6),
            ("0n", 0),
            ("00000001S", 1_000_000_000),
            ("99999999H", 99_999_999 * 3_600_000_000_000),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|duration| duration.as_nanos()), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_malformed() {
        for text in
            ["", "S", "1", "-1S", "+1S", "1 S", " 1S", "1.5S", "123456789S", "1s", "1h", "1SS", "1x", "S1", "\u{661}S"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(GRPC_TIMEOUT, "1S".parse().unwrap());
        assert_eq!(timeout(&twice), Ok(Some(Duration::from_secs(1))));
        twice.append(GRPC_TIMEOUT, "1S".parse().unwrap());
        assert_eq!(timeout(&twice), Err(Malformed));
    }
}
