//! Behaviour written in YAML: what a method answers, by expressions over its request.

pub(super) mod expr;
