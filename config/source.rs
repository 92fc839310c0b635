//! The files a configuration was read from, and when to look again.
//!
//! Every file that anything reads while a configuration is planned or built is
//! remembered with the hash of what was read. [`Sources::changed`] then says
//! whether the world has moved on: it compares contents, so a Kubernetes
//! symlink swap, an editor's rename and a truncate-and-write all look alike,
//! and a touch that changes nothing is nothing.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;

use super::news::News;

/// What the file system says of a file; equal stamps mean equal contents
/// nearly always, and save reading it again.
type Stamp = Option<(u64, u64, Option<SystemTime>)>;

/// Writes within the file system's grain of time may share a stamp, so one
/// that was first seen less than this ago is not trusted yet.
const YOUNG: Duration = Duration::from_secs(3);
/// How often a file that changes while it is read is read again.
const MOST_READS: usize = 5;

/// One file as it was read.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    most_bytes: u64,
    stamp: Stamp,
    /// When this stamp was first seen, by a clock nobody sets.
    seen: Instant,
    hash: u64,
}

/// Everything read: files in the order of reading, and what is no file, each
/// with what it said.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
    news: Vec<(News, u64)>,
}

impl Sources {
    /// Reads a whole file and remembers it. A file replaced or written while
    /// it is read is read again, so the bytes are of one moment.
    pub fn read(&mut self, path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
        let at = self.files.len();
        // Remembered even where reading fails: its coming into being is a change.
        self.files.push(Source { path: path.to_owned(), most_bytes, stamp: None, seen: Instant::now(), hash: 0 });
        for _ in 0..MOST_READS {
            let before = stamp(path);
            let bytes = read(path, most_bytes).inspect_err(|_| self.files[at].hash = unread(before))?;
            if stamp(path) == before {
                let source = &mut self.files[at];
                (source.stamp, source.seen, source.hash) = (before, Instant::now(), hash(&bytes));
                return Ok(bytes);
            }
        }
        Err(io::Error::other("it keeps changing while it is read"))
    }

    /// What is in a folder, which is remembered as it is now: what comes or
    /// goes there is a change.
    pub fn list(&mut self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let stamp = stamp(folder);
        let (path, seen) = (folder.to_owned(), Instant::now());
        self.files.push(Source { path, most_bytes: 0, stamp, seen, hash: unread(stamp) });
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    /// Remembers what another reader read.
    pub fn extend(&mut self, other: Sources) {
        self.files.extend(other.files);
        self.news.extend(other.news);
    }

    /// Remembers what something said that is no file, and will say again
    /// through these news.
    pub fn hear(&mut self, news: &News, what: &impl Hash) {
        news.tell(what);
        self.listen(news);
    }

    /// Remembers what these news said last, where nobody could be asked anew.
    pub fn listen(&mut self, news: &News) {
        self.news.push((news.clone(), news.now()));
    }

    /// Looks at every file once. `Some` is a fingerprint of what is there now,
    /// where that is not what was read: a caller acts on it once it has seen
    /// the same fingerprint for a while, for a writer may be half done. An
    /// emptied file is never a change worth acting on.
    pub fn changed(&mut self) -> Option<u64> {
        let mut now = DefaultHasher::new();
        let mut any = false;
        for source in &mut self.files {
            let found = source.look()?;
            any |= found != source.hash;
            found.hash(&mut now);
        }
        for (news, heard) in &self.news {
            let said = news.now();
            any |= said != *heard;
            said.hash(&mut now);
        }
        any.then(|| now.finish())
    }
}

impl Source {
    /// The hash of what is there now; `None` where that is an emptied file.
    fn look(&mut self) -> Option<u64> {
        let found = stamp(&self.path);
        let known = found.is_some() && found == self.stamp;
        if known && self.seen.elapsed() >= YOUNG {
            return Some(self.hash);
        }
        let hash = match read(&self.path, self.most_bytes) {
            Ok(bytes) if bytes.is_empty() && self.hash != hash(&[]) => return None,
            Ok(bytes) => hash(&bytes),
            // Says nothing of the file.
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => return None,
            // Told once, and not trusted to stay so: what a change of rights mends keeps its stamp.
            Err(_) => return Some(unread(found)),
        };
        if !known && hash == self.hash {
            // The same in another guise: a touch, a copy, a link moved.
            (self.stamp, self.seen) = (found, Instant::now());
        }
        Some(hash)
    }
}

/// Reads a file to its end. What is no regular file might keep its reader
/// waiting for ever, so only those that were opened for this process may be:
/// `/dev/stdin` and its kin.
fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() && !meta.is_dir() && !path.starts_with("/dev") {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_bytes {
        return Err(io::Error::other(format!("it is larger than {most_bytes} bytes")));
    }
    Ok(bytes)
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.modified().ok()))
}

/// Stands for the content of what cannot be read: told apart from what can,
/// and told again when it changes.
fn unread(stamp: Stamp) -> u64 {
    stamp.map_or(0, |stamp| hash(format!("{stamp:?}").as_bytes()))
}

fn hash(bytes: &[u8]) -> u64 {
    super::news::hash(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut sources = Sources::default();
        sources.read(file.path(), 100).unwrap();
        (file, sources)
    }

    fn age(sources: &mut Sources) {
        for source in &mut sources.files {
            source.seen -= YOUNG;
        }
    }

    #[test]
    fn a_touch_is_looked_into_once_and_no_more() {
        let (file, mut sources) = file("a: 1");
        age(&mut sources);
        let touched = SystemTime::now() + Duration::from_secs(86_400);
        file.as_file().set_modified(touched).unwrap();
        assert_eq!(sources.changed(), None);
        assert_eq!(sources.files[0].stamp, stamp(file.path()), "the new stamp is known from now on");
        age(&mut sources);
        // Known by its stamp alone: what it holds is not asked.
        std::fs::write(file.path(), "a: 2").unwrap();
        file.as_file().set_modified(touched).unwrap();
        assert_eq!(sources.changed(), None);
    }

    #[test]
    fn a_change_is_seen_and_an_emptied_file_is_none() {
        let (file, mut sources) = file("a: 1");
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(sources.changed(), None);
        std::fs::write(file.path(), "a: 2").unwrap();
        let two = sources.changed();
        assert!(two.is_some() && two == sources.changed());
        std::fs::write(file.path(), "a: 3").unwrap();
        assert!(sources.changed().is_some_and(|three| Some(three) != two));
        std::fs::write(file.path(), "a: 1").unwrap();
        assert_eq!(sources.changed(), None);
        std::fs::remove_file(file.path()).unwrap();
        assert!(sources.changed().is_some());
    }

    #[test]
    fn what_is_no_file_changes_when_it_says_so_and_back() {
        let (_file, mut sources) = file("a: 1");
        let news = News::default();
        sources.hear(&news, &"one");
        let mut failed = sources.clone();
        assert_eq!(sources.changed(), None);
        news.tell(&"two");
        assert!(sources.changed().is_some());
        // What read it anew and failed otherwise does not read it for ever.
        failed.news.clear();
        failed.hear(&news, &"two");
        news.tell(&"two");
        assert_eq!(failed.changed(), None);
        news.tell(&"one");
        assert!(sources.changed().is_none() && failed.changed().is_some());
    }

    #[test]
    fn what_could_not_be_read_is_no_news_until_it_changes() {
        let (file, mut sources) = file("a: 1");
        let mut again = Sources::default();
        assert!(again.read(file.path(), 3).is_err(), "more than may be read");
        assert!(again.changed().is_none() && again.changed().is_none());
        std::fs::write(file.path(), "a: 22").unwrap();
        assert!(again.changed().is_some(), "still too much, but not the same");
        std::fs::write(file.path(), "a:").unwrap();
        assert!(again.changed().is_some());
        assert!(sources.changed().is_some());
    }

    #[test]
    fn no_more_is_read_than_was_allowed_the_first_time() {
        let (file, mut sources) = file("a: 1");
        file.as_file().set_len(1 << 40).unwrap();
        assert!(sources.changed().is_some(), "a terabyte is a change, and is not read");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = Sources::default().read(&pipe, 100).unwrap_err();
        assert_eq!(error.to_string(), "it is no regular file");
    }
}
