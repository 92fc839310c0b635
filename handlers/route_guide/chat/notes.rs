//! Notes by place, and every bound of their retention.
//!
//! | bound | what happens at it |
//! |---|---|
//! | notes of a place | the place's oldest is dropped |
//! | age | forgotten: at once where it is read, within an eighth of the age (a second, at least) elsewhere |
//! | places, in all | a new place is refused; known ones still take notes |
//! | memory, in all | a new place is refused; a known one drops its oldest to make room |

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::super::geo::{Place, place};
use super::super::settings::Keep;
use crate::proto::routeguide::RouteNote;

/// What a note weighs beside its text: its message struct, counters and slot.
const NOTE_OVERHEAD_BYTES: u64 = 128;
/// What a place weighs beside its notes: its hash slot and queue.
const PLACE_OVERHEAD_BYTES: u64 = 128;
/// Looking through all places for old notes costs; this often at the most.
const SHORTEST_SWEEP: Duration = Duration::from_secs(1);

/// What all notes of a service amount to, whoever owns them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    places: AtomicU64,
    bytes: AtomicU64,
}

impl Ledger {
    /// Adds to a count unless that would pass its bound.
    fn charge(count: &AtomicU64, amount: u64, most: u64) -> bool {
        let add = |now: u64| now.checked_add(amount).filter(|then| *then <= most);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn release(count: &AtomicU64, amount: u64) {
        count.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// Which bound refused a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Places,
    Total,
}

#[derive(Debug)]
struct Note {
    note: Arc<RouteNote>,
    at: Instant,
}

impl Note {
    fn weight(&self) -> u64 {
        weight(&self.note)
    }

    fn is_older(&self, than: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= than
    }
}

fn weight(note: &RouteNote) -> u64 {
    note.message.len() as u64 + NOTE_OVERHEAD_BYTES
}

/// One owner's notes.
#[derive(Debug)]
pub(super) struct Notes {
    places: FxHashMap<Place, VecDeque<Note>>,
    ledger: Arc<Ledger>,
    swept: Option<Instant>,
}

impl Notes {
    pub(super) fn new(ledger: Arc<Ledger>) -> Notes {
        Notes { places: FxHashMap::default(), ledger, swept: None }
    }

    /// Keeps a note and returns what its place held before, oldest first, the
    /// note itself last if it is to be sent back.
    pub(super) fn leave(
        &mut self,
        note: RouteNote,
        keep: &Keep,
        send_back: bool,
        now: Instant,
    ) -> Result<Vec<Arc<RouteNote>>, Refused> {
        let at = place(note.location);
        if self.places.contains_key(&at) {
            self.make_room(at, &note, keep, now)?;
        } else if let Err(refused) = self.open(at, &note, keep) {
            // What has grown old elsewhere may be in the way.
            if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SHORTEST_SWEEP) {
                return Err(refused);
            }
            self.sweep(keep, now);
            self.open(at, &note, keep)?;
        }
        let queue = self.places.entry(at).or_default();
        let note = Arc::new(note);
        let mut replies: Vec<_> = queue.iter().map(|kept| kept.note.clone()).collect();
        if send_back {
            replies.push(note.clone());
        }
        queue.push_back(Note { note, at: now });
        // The oldest goes only now: it still was there when the note came.
        while queue.len() > keep.notes_per_place.get() as usize {
            self.ledger.drop_oldest(queue);
        }
        Ok(replies)
    }

    /// Charges a note at a place that has some already.
    fn make_room(&mut self, at: Place, note: &RouteNote, keep: &Keep, now: Instant) -> Result<(), Refused> {
        let Some(queue) = self.places.get_mut(&at) else { return Ok(()) };
        while queue.front().is_some_and(|oldest| oldest.is_older(keep.age.0, now)) {
            self.ledger.drop_oldest(queue);
        }
        while !Ledger::charge(&self.ledger.bytes, weight(note), keep.total.0) {
            // Nothing is dropped for a note that would not fit all the same.
            let free = keep.total.0.saturating_sub(self.ledger.bytes.load(Ordering::Relaxed));
            let own: u64 = queue.iter().map(Note::weight).sum();
            if queue.is_empty() || free.saturating_add(own) < weight(note) {
                return Err(Refused::Total);
            }
            self.ledger.drop_oldest(queue);
        }
        Ok(())
    }

    /// Charges a new place and its first note.
    fn open(&mut self, at: Place, note: &RouteNote, keep: &Keep) -> Result<(), Refused> {
        if !Ledger::charge(&self.ledger.places, 1, keep.places.get().into()) {
            return Err(Refused::Places);
        }
        if !Ledger::charge(&self.ledger.bytes, weight(note) + PLACE_OVERHEAD_BYTES, keep.total.0) {
            Ledger::release(&self.ledger.places, 1);
            return Err(Refused::Total);
        }
        self.places.insert(at, VecDeque::new());
        Ok(())
    }

    /// Forgets everything too old, and every place that is left empty.
    pub(super) fn sweep(&mut self, keep: &Keep, now: Instant) {
        self.swept = Some(now);
        let ledger = &self.ledger;
        self.places.retain(|_, queue| {
            while queue.front().is_some_and(|oldest| oldest.is_older(keep.age.0, now)) {
                ledger.drop_oldest(queue);
            }
            if queue.is_empty() {
                ledger.close_place();
            }
            !queue.is_empty()
        });
    }
}

impl Ledger {
    fn drop_oldest(&self, queue: &mut VecDeque<Note>) {
        if let Some(oldest) = queue.pop_front() {
            Ledger::release(&self.bytes, oldest.weight());
        }
    }

    fn close_place(&self) {
        Ledger::release(&self.places, 1);
        Ledger::release(&self.bytes, PLACE_OVERHEAD_BYTES);
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        for queue in self.places.values_mut() {
            while !queue.is_empty() {
                self.ledger.drop_oldest(queue);
            }
            self.ledger.close_place();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::{Period, Size};
    use crate::proto::routeguide::Point;

    fn keep() -> Keep {
        Keep::default()
    }

    fn count(number: u32) -> std::num::NonZeroU32 {
        std::num::NonZeroU32::new(number).unwrap()
    }

    fn note(at: i32, message: &str) -> RouteNote {
        RouteNote { location: Some(Point { latitude: at, longitude: 0 }), message: message.to_owned() }
    }

    struct Board {
        notes: Notes,
        ledger: Arc<Ledger>,
        now: Instant,
        keep: Keep,
    }

    impl Board {
        fn new(keep: Keep) -> Board {
            let ledger = Arc::new(Ledger::default());
            Board { notes: Notes::new(ledger.clone()), ledger, now: Instant::now(), keep }
        }

        fn leave(&mut self, at: i32, message: &str) -> Result<Vec<String>, Refused> {
            let replies = self.notes.leave(note(at, message), &self.keep, false, self.now)?;
            Ok(replies.iter().map(|note| note.message.clone()).collect())
        }

        fn held(&self) -> (u64, u64) {
            (self.ledger.places.load(Ordering::Relaxed), self.ledger.bytes.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn replies_are_what_was_there_oldest_first() {
        let mut board = Board::new(keep());
        assert_eq!(board.leave(0, "one").unwrap(), Vec::<String>::new());
        assert_eq!(board.leave(1, "elsewhere").unwrap(), Vec::<String>::new());
        assert_eq!(board.leave(0, "two").unwrap(), ["one"]);
        assert_eq!(board.leave(0, "three").unwrap(), ["one", "two"]);
    }

    #[test]
    fn a_note_without_a_place_is_at_zero() {
        let mut board = Board::new(keep());
        let nowhere = RouteNote { location: None, message: "nowhere".to_owned() };
        board.notes.leave(nowhere, &board.keep, false, board.now).unwrap();
        assert_eq!(board.leave(0, "zero").unwrap(), ["nowhere"]);
    }

    #[test]
    fn a_full_place_drops_its_oldest() {
        let mut board = Board::new(Keep { notes_per_place: count(2), ..keep() });
        for message in ["one", "two", "three"] {
            board.leave(0, message).unwrap();
        }
        assert_eq!(board.leave(0, "four").unwrap(), ["two", "three"]);
    }

    #[test]
    fn a_new_place_beyond_the_last_is_refused_and_known_ones_go_on() {
        let mut board = Board::new(Keep { places: count(3), ..keep() });
        for at in 0..3 {
            board.leave(at, "first").unwrap();
        }
        for at in 3..10_000 {
            assert_eq!(board.leave(at, "more"), Err(Refused::Places));
        }
        assert_eq!(board.held().0, 3);
        assert_eq!(board.leave(2, "again").unwrap(), ["first"]);
    }

    #[test]
    fn memory_never_passes_its_bound() {
        let total = 4 * 1024;
        let mut board = Board::new(Keep { total: Size(total), ..keep() });
        let mut refused = 0;
        for turn in 0..10_000 {
            refused += u32::from(board.leave(turn % 97, &"x".repeat((turn % 300) as usize)).is_err());
            assert!(board.held().1 <= total, "{:?}", board.held());
        }
        assert!(refused > 0, "new places were refused");
        let known = *board.notes.places.keys().next().unwrap();
        assert!(board.leave(known.0, "").is_ok(), "known places still take notes");
        let held = board.held();
        assert_eq!(
            board.leave(known.0, &"x".repeat(total as usize)),
            Err(Refused::Total),
            "what can never fit is refused"
        );
        assert_eq!(board.held(), held, "and nothing is dropped for it");
    }

    #[test]
    fn old_notes_are_forgotten_and_make_room() {
        let mut board = Board::new(Keep { age: Period(Duration::from_secs(60)), places: count(1), ..keep() });
        board.leave(0, "old").unwrap();
        board.now += Duration::from_secs(59);
        assert_eq!(board.leave(0, "young").unwrap(), ["old"]);
        board.now += Duration::from_secs(1);
        assert_eq!(board.leave(0, "now").unwrap(), ["young"], "a note is not told past its age");
        board.now += Duration::from_secs(60);
        assert_eq!(board.leave(1, "a new place where an old one was").unwrap(), Vec::<String>::new());
        assert_eq!(board.held().0, 1);
    }

    #[test]
    fn nothing_is_owed_when_the_owner_goes() {
        let mut board = Board::new(keep());
        for at in 0..100 {
            board.leave(at % 7, "note").unwrap();
        }
        assert_ne!(board.held(), (0, 0));
        let ledger = board.ledger.clone();
        drop(board);
        assert_eq!((ledger.places.load(Ordering::Relaxed), ledger.bytes.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn the_note_itself_comes_last_where_it_is_sent_back() {
        let ledger = Arc::new(Ledger::default());
        let mut notes = Notes::new(ledger);
        let now = Instant::now();
        notes.leave(note(0, "one"), &keep(), true, now).unwrap();
        let replies = notes.leave(note(0, "two"), &keep(), true, now).unwrap();
        assert_eq!(replies.iter().map(|note| note.message.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    }
}
