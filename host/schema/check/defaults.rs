//! Defaults, which a schema has as text.

use prost_types::field_descriptor_proto::Type;

/// Whether a text is a value of a scalar type.
pub(super) fn is_of(kind: Type, text: &str) -> bool {
    match kind {
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => text.parse::<i32>().is_ok(),
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => text.parse::<i64>().is_ok(),
        Type::Uint32 | Type::Fixed32 => text.parse::<u32>().is_ok(),
        Type::Uint64 | Type::Fixed64 => text.parse::<u64>().is_ok(),
        Type::Float | Type::Double => text.parse::<f64>().is_ok(),
        Type::Bool => matches!(text, "true" | "false"),
        Type::String => true,
        Type::Bytes => is_escaped(text),
        Type::Enum | Type::Message | Type::Group => false,
    }
}

/// Bytes as C writes them.
fn is_escaped(text: &str) -> bool {
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            continue;
        }
        let digits = |bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>, most: usize, is: fn(&u8) -> bool| {
            (0..most).map_while(|_| bytes.next_if(is)).fold((0, 0_u32), |(count, value), digit| {
                (count + 1, value * 8 + u32::from(digit.wrapping_sub(b'0') & 7))
            })
        };
        let is_good = match bytes.peek() {
            Some(b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'?' | b'\\' | b'\'' | b'"') => {
                bytes.next().is_some()
            }
            Some(b'x' | b'X') => bytes.next().is_some() && digits(&mut bytes, 2, u8::is_ascii_hexdigit).0 > 0,
            Some(b'0'..=b'7') => digits(&mut bytes, 3, |byte| (b'0'..=b'7').contains(byte)).1 <= 0xff,
            _ => false,
        };
        if !is_good {
            return false;
        }
    }
    true
}

#[test]
fn bytes_are_escaped_as_c_has_them() {
    for good in ["", "abc", r#"\n\\\'\""#, r"\x0fg", r"\0\12\377", r"\001"] {
        assert!(is_escaped(good), "{good}");
    }
    for bad in ["a\\", r"\q", r"\x", r"\xg", r"\400", r"a\9"] {
        assert!(!is_escaped(bad), "{bad}");
    }
}
