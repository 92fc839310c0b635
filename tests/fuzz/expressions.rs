//! A text as an expression of rules, and as a part of an answer: refused, or
//! worked out within its budget to what the check said.

#![no_main]

mod parser;

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use ostler::fuzzing::Language;

thread_local!(static LANGUAGE: LazyCell<Language> = LazyCell::default());

fuzz_target!(init: parser::may_give_up(), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    LANGUAGE.with(|language| language.try_out(text));
});
