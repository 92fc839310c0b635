//! A part of a scalar: where in the file it stands, and what to say where that
//! cannot be told.

use std::ops::Range;

use super::Text;
use super::outline::{Content, Mark, Node};
use super::place::Place;
use super::problem::Problem;

impl Text {
    /// Gives a problem with a part of a text its place, or says where in the
    /// text it is: one with escapes or over several lines is not in the file as
    /// it was read.
    pub(super) fn place_part(&self, problem: Problem) -> Problem {
        let Some(from) = problem.part_start() else { return problem };
        // What a variable put in stands nowhere in the file.
        let node = self.outline.find(problem.path()).filter(|_| self.variables.written(problem.path()).is_none());
        let Some((node, text, plain)) = node.and_then(|node| match &*node.content {
            Content::Scalar { text, plain } => Some((node, text.as_str(), *plain)),
            _ => None,
        }) else {
            return problem;
        };
        let (to, problem) = match problem.mark() {
            Mark::Part { to, .. } => (to as usize, problem),
            _ => (text.len(), if plain { self.cut_short(problem, node) } else { problem }),
        };
        match self.in_file(node, text, from..to) {
            Some(range) => problem.at(Place::of(&self.file, &self.text, range)),
            None => {
                let before = text.get(..from).unwrap_or(text);
                let line = before.rsplit('\n').next().unwrap_or_default();
                let column = line.chars().count() + 1;
                problem.help(match before.matches('\n').count() {
                    0 => format!("it is at column {column} of the text"),
                    lines => format!("it is at line {}, column {column} of the text", lines + 1),
                })
            }
        }
    }

    /// Where some bytes of a scalar stand. Without escapes it is written as it is
    /// read, but for breaks and indentation, and quotes within quotes.
    fn in_file(&self, node: &Node, text: &str, part: Range<usize>) -> Option<Range<usize>> {
        let written = &self.text[node.range.clone()];
        let is_quoted = written.starts_with(['"', '\'']);
        let inside = &written[usize::from(is_quoted)..];
        let first = node.range.end - inside.len();
        let is_seen = |(_, c): &(usize, char)| !c.is_whitespace();
        let mut there = inside.char_indices().filter(is_seen);
        let (mut start, mut end) = (None, 0);
        for (at, c) in text.char_indices().filter(is_seen).take_while(|(at, _)| *at < part.end) {
            let (from, written_as) = there.next()?;
            if written_as != c || (c == '\'' && written.starts_with('\'') && there.next()?.1 != c) {
                return None;
            }
            if at >= part.start {
                start.get_or_insert(from);
            }
            end = from + c.len_utf8();
        }
        Some(first + start.unwrap_or(end)..first + end)
    }

    /// Says what made YAML begin a text without quotes late or end it early.
    fn cut_short(&self, problem: Problem, node: &Node) -> Problem {
        let (before, after) = (&self.text[..node.range.start], &self.text[node.range.end..]);
        let word = before.trim_end_matches(' ').rsplit([' ', '\n']).next().unwrap_or_default();
        if word.starts_with('&') {
            return problem.help("`&` names what follows it: a text that begins with one goes in quotes");
        }
        let line = after.lines().next().unwrap_or_default();
        let next = line.trim_start();
        if next.starts_with('#') && next.len() < line.len() {
            return problem.help("` #` starts a remark: a text with one in it goes in quotes");
        }
        if next.starts_with(',') {
            return problem.help("within `{ }` and `[ ]` a `,` ends it: a text with one in it goes in quotes");
        }
        problem
    }
}
