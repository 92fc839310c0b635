//! `limits:`: what a peer may ask of the host before it is held back. Each
//! default is what a host that faces a network needs.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::units::{Period, Size};

/// Less room than this is none: a call's own headers take half of it.
const SMALLEST_BYTES: u64 = 1 << 10;

/// Bounds on what peers may take.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections open at one time; one more is closed at once.
    pub connections: NonZeroU32,
    /// Connections open from one IP address; an IPv6 network of 64 bits is one.
    pub connections_per_ip: NonZeroU32,
    /// How long a new connection may take to its first settings, TLS included,
    /// and a call to the end of its headers.
    pub handshake: Period,
    /// Calls open at one time on one connection; clients wait for a place.
    pub calls_per_connection: NonZeroU32,
    /// Calls open at one time in all; one more is answered RESOURCE_EXHAUSTED.
    pub calls: NonZeroU32,
    /// Calls open at one time from one IP address; an IPv6 network of 64 bits is one.
    pub calls_per_ip: NonZeroU32,
    /// Bytes held for all calls together: messages that have come in part, and
    /// answers their clients have not taken yet; a call that needs more is
    /// ended RESOURCE_EXHAUSTED.
    pub buffered: Size,
    /// Headers of one call, metadata included.
    pub headers: Size,
    /// The largest message a service takes that sets no bound of its own.
    pub message: Size,
    /// The largest message a service may send.
    pub answer: Size,
    /// How long a call may take whose client sends one message and names no deadline.
    pub unary: Period,
    /// How long the one message of such a call may take to arrive.
    pub unary_message: Period,
    /// How long a peer may take nothing of what it is sent.
    pub write_stall: Period,
    /// How long a connection may be quiet before it is asked whether it lives.
    pub keepalive: Period,
    /// How long it may take to say so.
    pub keepalive_answer: Period,
    /// How long a connection may be without calls before its client is asked to
    /// open another when it has some.
    pub idle: Period,
    /// How old a connection may get, give or take a tenth, before its client is
    /// asked to open another.
    pub age: Period,
    /// How long its calls may still take then.
    pub age_grace: Period,
}

impl Limits {
    /// What would shut everybody out, by setting and why.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let times = [
            ("handshake", self.handshake),
            ("unary", self.unary),
            ("unary_message", self.unary_message),
            ("write_stall", self.write_stall),
            ("keepalive", self.keepalive),
            ("keepalive_answer", self.keepalive_answer),
            ("idle", self.idle),
            ("age", self.age),
        ];
        let sizes = [
            ("buffered", self.buffered),
            ("headers", self.headers),
            ("message", self.message),
            ("answer", self.answer),
        ];
        let times = times.into_iter().filter(|(_, time)| *time < Period::SHORTEST);
        let sizes = sizes.into_iter().filter(|(_, size)| size.0 < SMALLEST_BYTES);
        let told = |setting: &str, found: String, least: String| {
            let problem = Problem::new(format!("{found} for `{setting}` would shut everybody out"));
            problem.label("too little").help(format!("write {least} or more")).within(setting).within("limits")
        };
        times
            .map(|(setting, time)| told(setting, time.to_string(), Period::SHORTEST.to_string()))
            .chain(sizes.map(|(setting, size)| told(setting, size.to_string(), Size(SMALLEST_BYTES).to_string())))
            .collect()
    }
}

impl Default for Limits {
    fn default() -> Self {
        let count = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let seconds = |seconds| Period(Duration::from_secs(seconds));
        Limits {
            connections: count(1_024),
            connections_per_ip: count(128),
            handshake: seconds(10),
            calls_per_connection: count(100),
            calls: count(4_096),
            calls_per_ip: count(2_048),
            buffered: Size(128 << 20),
            headers: Size(16 << 10),
            message: Size(4 << 20),
            answer: Size(4 << 20),
            unary: seconds(60),
            unary_message: seconds(15),
            write_stall: seconds(30),
            keepalive: seconds(60),
            keepalive_answer: seconds(20),
            idle: seconds(15 * 60),
            age: seconds(30 * 60),
            age_grace: seconds(30),
        }
    }
}
