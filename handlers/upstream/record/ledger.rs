//! The rules recorded so far: one for each request, the oldest of which go where
//! they become too many, and the file they are written to.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::rule::Rule;

/// What the rules may take together: a configuration is of 1 MiB at the most,
/// and has them further in than the file has.
const MOST_BYTES: usize = 640 << 10;
/// The same of values, of which a configuration has 50,000 at the most.
const MOST_VALUES: usize = 40_000;

/// What a recording begins with.
pub(super) const HEAD: &str = "# What the server of ";

/// What is recorded.
#[derive(Debug)]
pub(super) struct Ledger {
    service: String,
    /// By when they were put in, counted up.
    rules: BTreeMap<u64, Rule>,
    /// By method and request, so that the same request has one rule.
    known: BTreeMap<(String, String), u64>,
    next: u64,
    bytes: usize,
    values: usize,
}

impl Ledger {
    pub(super) fn new(service: &str) -> Ledger {
        let (rules, known) = (BTreeMap::new(), BTreeMap::new());
        Ledger { service: service.to_owned(), rules, known, next: 0, bytes: 0, values: 0 }
    }

    /// Puts a rule in, in place of the one that is for the same request, where
    /// there may be `most` of them; false where it is larger than all may be.
    pub(super) fn put(&mut self, rule: Rule, most: usize) -> bool {
        if rule.text.len() > MOST_BYTES || rule.values > MOST_VALUES {
            return false;
        }
        let old = self.known.insert((rule.method.clone(), rule.key.clone()), self.next);
        if let Some(old) = old.and_then(|old| self.rules.remove(&old)) {
            self.let_go(&old);
        }
        self.bytes += rule.text.len();
        self.values += rule.values;
        self.rules.insert(self.next, rule);
        self.next += 1;
        while self.rules.len() > most || self.bytes > MOST_BYTES || self.values > MOST_VALUES {
            let Some((_, oldest)) = self.rules.pop_first() else { break };
            self.let_go(&oldest);
            self.known.remove(&(oldest.method, oldest.key));
        }
        true
    }

    fn let_go(&mut self, rule: &Rule) {
        self.bytes -= rule.text.len();
        self.values -= rule.values;
    }

    /// All of it, as the kind `rules` takes it.
    pub(super) fn text(&self) -> String {
        let mut methods: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for rule in self.rules.values() {
            methods.entry(&rule.method).or_default().push(&rule.text);
        }
        let mut text = format!("{HEAD}{} answered, to be put below `rules:`.\n", self.service);
        for (method, rules) in methods {
            text.push_str(&format!("{method}:\n"));
            rules.iter().for_each(|rule| text.push_str(rule));
        }
        text
    }

    /// Writes the file whole: whoever reads it finds all of the old one or of
    /// the new one. What servers say is for the operator alone.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut next = path.as_os_str().to_owned();
        next.push(".next");
        let next = Path::new(&next);
        match std::fs::remove_file(next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(next)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_data()?;
        std::fs::rename(next, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(method: &str, key: &str, text: &str) -> Rule {
        Rule { method: method.to_owned(), key: key.to_owned(), text: text.to_owned(), values: 3 }
    }

    #[test]
    fn the_same_request_has_one_rule_and_the_last_answer_wins() {
        let mut ledger = Ledger::new("a.Service");
        for (method, key, text) in [("B", "1", "b1\n"), ("A", "1", "a1\n"), ("B", "1", "again\n")] {
            assert!(ledger.put(rule(method, key, text), 2));
        }
        assert!(ledger.text().ends_with("A:\na1\nB:\nagain\n"), "{}", ledger.text());
        assert!(ledger.put(rule("A", "2", "a2\n"), 2));
        assert!(ledger.text().ends_with("A:\na2\nB:\nagain\n"), "the oldest goes: {}", ledger.text());
        assert_eq!((ledger.known.len(), ledger.bytes, ledger.values), (2, 9, 6));
    }

    #[test]
    fn rules_together_are_no_larger_than_a_configuration_takes() {
        let mut ledger = Ledger::new("a.Service");
        assert!(!ledger.put(rule("A", "0", &"x".repeat(MOST_BYTES + 1)), 9));
        for number in 0..5 {
            assert!(ledger.put(rule("A", &number.to_string(), &"x".repeat(MOST_BYTES / 2)), 9));
        }
        assert_eq!((ledger.rules.len(), ledger.known.len()), (2, 2));
    }
}
