//! A service's rules: refused at places that exist, or taken, and then every
//! method of every kind answers as a call should end.

#![no_main]

mod parser;
mod told;

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use ostler::fuzzing::Behaving;
use tokio::runtime::{Builder, Runtime};

/// What is read of an answer that has no end.
const MOST_BYTES: usize = 4 << 10;

thread_local!(static BEHAVING: LazyCell<(Behaving, Runtime)> = LazyCell::new(|| {
    // Nobody waits for a delay.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    (Behaving::default(), runtime)
}));

/// A whole configuration, or what is to stand below `rules:` in one.
fn configured(text: &str) -> String {
    if text.contains("services:") {
        return text.to_owned();
    }
    let indented: String = text.split_inclusive('\n').map(|line| format!("        {line}")).collect();
    format!("services:\n  fuzz.Kinds:\n    handler:\n      rules:\n{indented}")
}

fuzz_target!(init: parser::may_give_up(), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let text = configured(text);
    BEHAVING.with(|behaving| {
        let (behaving, runtime) = &**behaving;
        if let Err(problems) = runtime.block_on(behaving.try_out(&text, MOST_BYTES)) {
            let told = told::told(&problems, &text);
            assert!(problems.iter().all(|problem| problem.place().is_some()), "without a place: {told}");
            assert!(!told.contains("panicked"), "{told}");
        }
    });
});
