//! The budget of an evaluation.

use super::failed::Failed;

/// How many more steps an evaluation may take. Whatever it looks at or copies
/// is taken off, so that both its time and what it builds are bounded.
#[derive(Debug)]
pub(super) struct Steps(u64);

/// Bytes that are copied or compared within one step.
const BYTES_A_STEP: usize = 16;

impl Steps {
    pub(super) fn new(steps: u64) -> Steps {
        Steps(steps)
    }

    /// For what is not of an evaluation: state and tables, bounded elsewhere.
    pub(super) fn unlimited() -> Steps {
        Steps(u64::MAX)
    }

    /// Takes one step.
    pub(super) fn one(&mut self) -> Result<(), Failed> {
        self.0 = self.0.checked_sub(1).ok_or(Failed::Budget)?;
        Ok(())
    }

    /// Takes a step for each of so many things.
    pub(super) fn many(&mut self, things: usize) -> Result<(), Failed> {
        match self.0.checked_sub(things as u64) {
            Some(left) => self.0 = left,
            None => {
                // What is spent stays spent, whoever catches the error.
                self.0 = 0;
                return Err(Failed::Budget);
            }
        }
        Ok(())
    }

    /// Takes the steps that going over so many bytes costs.
    pub(super) fn bytes(&mut self, bytes: usize) -> Result<(), Failed> {
        self.many(bytes / BYTES_A_STEP)
    }
}
