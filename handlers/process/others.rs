//! Processes that somebody else starts, before us or after, in any order: one
//! whose socket is named, or those that leave theirs in a folder.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use super::schema;
use super::state::Tell;
use crate::host::forward::{Health, Target, health};

/// How often a folder is looked through.
const LOOK: Duration = Duration::from_millis(250);
/// Sockets of a folder that are looked at together; where there are more, they take turns.
const MOST_SOCKETS: usize = 64;

/// Follows one socket until told to stop.
pub(super) async fn socket(path: PathBuf, service: String, tell: Tell, stop: CancellationToken) {
    let peer = super::at(path, &service);
    let pass_on = |health| match health {
        Health::Nobody(why) => tell.down(&format!("nobody answers on its socket: {why}")),
        Health::Somebody { status, .. } => tell.up(vec![peer.clone()], status),
    };
    tokio::select! {
        never = health::follow(peer.clone(), service, pass_on) => match never {},
        () = stop.cancelled() => {}
    }
}

/// How long a build waits for what is there already.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// What one socket of a folder is good for.
#[derive(Clone)]
enum Use {
    /// Not known yet.
    Unknown,
    Nothing,
    Calls(Arc<Target>, ServingStatus),
}

/// One socket of a folder; its task ends with it.
struct Followed {
    good_for: watch::Receiver<Use>,
    task: AbortHandle,
}

impl Followed {
    /// Whether it is of use, or may turn out to be.
    fn may_be_of_use(&self) -> bool {
        !matches!(&*self.good_for.borrow(), Use::Nothing)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows what is in a folder until told to stop.
pub(super) async fn folder(path: PathBuf, service: String, tell: Tell, stop: CancellationToken) {
    let mut followed: BTreeMap<PathBuf, Followed> = BTreeMap::new();
    let mut last = PathBuf::new();
    let poke = Arc::new(Notify::new());
    let began = Instant::now();
    let told = |followed: &_| told(followed, &tell, began.elapsed() < FIRST_LOOK);
    loop {
        let there = tokio::task::spawn_blocking({
            let path = path.clone();
            move || sockets(&path)
        });
        let there = there.await.unwrap_or_default();
        let stays = |socket: &PathBuf| followed.get(socket).is_some_and(Followed::may_be_of_use);
        let chosen = chosen(there, stays, &mut last);
        followed.retain(|socket, _| chosen.contains(socket));
        for socket in chosen {
            followed.entry(socket.clone()).or_insert_with(|| {
                let (good_for, seen) = watch::channel(Use::Unknown);
                let task = tokio::spawn(judge(socket, service.clone(), good_for, poke.clone()));
                Followed { good_for: seen, task: task.abort_handle() }
            });
        }
        told(&followed);
        let look = sleep(LOOK);
        tokio::pin!(look);
        loop {
            tokio::select! {
                () = &mut look => break,
                () = poke.notified() => told(&followed),
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Those to look at now: what is of use stays, and the rest have the places that
/// are left in turn, from after the last who had one. Processes that were killed
/// leave their sockets behind, and are not to take the place of those that live.
fn chosen(there: Vec<PathBuf>, stays: impl Fn(&PathBuf) -> bool, last: &mut PathBuf) -> Vec<PathBuf> {
    if there.len() <= MOST_SOCKETS {
        return there;
    }
    let (mut chosen, mut others): (Vec<_>, Vec<_>) = there.into_iter().partition(stays);
    let next = others.partition_point(|socket| *socket <= *last);
    others.rotate_left(next);
    others.truncate(MOST_SOCKETS.saturating_sub(chosen.len()));
    if let Some(now_last) = others.last() {
        last.clone_from(now_last);
    }
    chosen.append(&mut others);
    chosen
}

/// Calls go to all that serve; if none does, to those that say they do not. As
/// long as it is `early`, what is not known yet is waited for.
fn told(followed: &BTreeMap<PathBuf, Followed>, tell: &Tell, early: bool) {
    let mut uses = Vec::new();
    for one in followed.values() {
        match &*one.good_for.borrow() {
            Use::Unknown if early => return,
            Use::Unknown | Use::Nothing => {}
            Use::Calls(peer, status) => uses.push((peer.clone(), *status)),
        }
    }
    let serving = |status: &ServingStatus| *status == ServingStatus::Serving;
    let any = uses.iter().any(|(_, status)| serving(status));
    let peers = uses.iter().filter(|(_, status)| !any || serving(status)).map(|(peer, _)| peer.clone()).collect();
    match uses.first() {
        None => tell.down("no socket in its folder has it"),
        Some((_, first)) => tell.up(peers, if any { ServingStatus::Serving } else { *first }),
    }
}

/// Finds out for as long as it may whether a socket has the service: its
/// health knows it by name, or else its reflection lists it.
async fn judge(socket: PathBuf, service: String, good_for: watch::Sender<Use>, poke: Arc<Notify>) {
    let peer = super::at(socket, &service);
    let (tell, mut found) = watch::channel(Health::Nobody("nobody listens there".into()));
    let judging = async {
        while found.changed().await.is_ok() {
            let now = found.borrow_and_update().clone();
            let good = match now {
                Health::Somebody { status, own } if own || schema::ask(peer.address(), &service).await.is_ok() => {
                    Use::Calls(peer.clone(), status)
                }
                Health::Nobody(_) | Health::Somebody { .. } => Use::Nothing,
            };
            good_for.send_replace(good);
            poke.notify_one();
        }
    };
    let tell = move |health| drop(tell.send_replace(health));
    tokio::select! {
        never = health::follow(peer.clone(), service.clone(), tell) => match never {},
        () = judging => {}
    }
}

/// The sockets in a folder, in the order of their names; none where it is not there yet.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let socket = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let mut sockets: Vec<_> = entries.map(|entry| entry.path()).filter(socket).collect();
    sockets.sort();
    sockets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn of_too_many_sockets_those_of_use_stay_and_each_of_the_rest_has_its_turn() {
        let there: Vec<_> = (0..300).map(|number| PathBuf::from(format!("{number:03}"))).collect();
        let of_use: Vec<_> = there.iter().filter(|socket| socket.ends_with("299") || socket.ends_with("007")).collect();
        let (mut last, mut seen) = (PathBuf::new(), BTreeSet::new());
        // With 62 places for 298.
        for _ in 0..5 {
            let chosen = chosen(there.clone(), |socket| of_use.contains(&socket), &mut last);
            assert_eq!(chosen.len(), MOST_SOCKETS);
            assert!(of_use.iter().all(|socket| chosen.contains(socket)));
            seen.extend(chosen);
        }
        assert_eq!(seen.len(), there.len());
    }
}
