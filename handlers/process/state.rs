//! What is known of a service's processes, as calls, health and builds read it.

use std::sync::Arc;

use tokio::sync::watch;
use tonic_health::ServingStatus;

use crate::config::Problem;
use crate::host::forward::{Target, Turns};

/// Where calls go now.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Nothing has been up yet.
    Starting,
    /// To these, one after the other.
    Up(Arc<[Arc<Target>]>),
    /// To nobody, for this reason.
    Down(String),
    /// The very first start has failed.
    Failed(Problem),
}

/// The writing end: what calls and what health read change together.
#[derive(Debug)]
pub(super) struct Tell {
    state: watch::Sender<State>,
    health: watch::Sender<ServingStatus>,
}

/// The reading end.
#[derive(Clone, Debug)]
pub(super) struct Known {
    state: watch::Receiver<State>,
    pub(super) health: watch::Receiver<ServingStatus>,
    turns: Arc<Turns>,
}

pub(super) fn channel() -> (Tell, Known) {
    let (state, known) = watch::channel(State::Starting);
    let (tell, health) = watch::channel(ServingStatus::NotServing);
    (Tell { state, health: tell }, Known { state: known, health, turns: Arc::default() })
}

impl Tell {
    pub(super) fn up(&self, peers: Vec<Arc<Target>>, status: ServingStatus) {
        self.state.send_replace(State::Up(peers.into()));
        self.health(status);
    }

    pub(super) fn down(&self, why: &str) {
        self.state.send_replace(State::Down(why.to_owned()));
        self.health(ServingStatus::NotServing);
    }

    pub(super) fn failed(&self, problem: Problem) {
        self.state.send_replace(State::Failed(problem));
    }

    fn health(&self, status: ServingStatus) {
        self.health.send_if_modified(|now| std::mem::replace(now, status) != status);
    }
}

impl Known {
    /// Waits until the first start has come to an end, good or bad. What was up
    /// before and is down now is no failure: it comes back by itself.
    pub(super) async fn settled(&self) -> Result<(), Problem> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.as_deref() {
            Ok(State::Failed(problem)) => Err(problem.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Problem::new("the command was stopped before it was ready")),
        }
    }

    /// Whom the next call goes to, and who after them where they cannot be
    /// reached; or why there is nobody.
    pub(super) fn next(&self) -> Result<Peers, String> {
        match &*self.state.borrow() {
            State::Up(peers) => Ok(Peers { all: peers.clone(), turn: self.turns.take(), left: peers.len() }),
            State::Starting => Err("it is starting".to_owned()),
            State::Down(why) => Err(why.clone()),
            State::Failed(problem) => Err(problem.words()),
        }
    }
}

/// Everybody once, each call from somebody else on.
pub(super) struct Peers {
    all: Arc<[Arc<Target>]>,
    turn: usize,
    left: usize,
}

impl Iterator for Peers {
    type Item = Arc<Target>;

    fn next(&mut self) -> Option<Arc<Target>> {
        self.left = self.left.checked_sub(1)?;
        let at = self.turn.wrapping_add(self.left) % self.all.len();
        self.all.get(at).cloned()
    }
}
