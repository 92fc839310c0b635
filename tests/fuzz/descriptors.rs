//! A descriptor set of anybody's: refused in words that are bounded and do
//! nothing to a terminal, or loaded so that nothing in it makes the host panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// Twenty faults, each with a few names.
const LONGEST_BYTES: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    if let Err(problem) = ostler::fuzzing::descriptors(bytes) {
        let words = problem.words();
        assert!(!words.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{words:?}");
        assert!(words.len() < LONGEST_BYTES, "{} bytes", words.len());
    }
});
