//! Reads files on threads apart, for as long as the caller is willing to wait: a network file system
//! that hangs holds a thread in the kernel, and nothing can call it back.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::{Snapshot, Source, file};
use crate::error::{Error, Kind, Stage};
use crate::process::{self, own};
use crate::runtime;

/// How many threads may hang in the kernel at once. Beyond it no file is read any more.
const MOST_HUNG: usize = 64;

/// After a file that hangs, the others get half as much time each, but no less than this.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);

/// What reads a source, and waits for a lease until the instant.
type Read = dyn Fn(&Source, Instant) -> Result<Snapshot, Error> + Send + Sync;

/// What came of waiting for a reading.
enum Waited {
    Read(Result<Snapshot, Error>),
    Hangs,
    /// The thread has ended before it.
    Ended,
}

/// How long to wait for the files of a source.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// For the file system.
    pub(crate) reading: Duration,
    /// Of that, for another process that holds a lease on a file.
    pub(crate) lease: Duration,
}

impl Patience {
    /// For a caller who has no material yet.
    pub(crate) const FIRST: Self =
        Self { reading: Duration::from_secs(5), lease: Duration::from_millis(4500) };
    /// For files whose former material stays in use meanwhile.
    pub(crate) const AGAIN: Self =
        Self { reading: Duration::from_secs(2), lease: Duration::from_millis(250) };
}

/// Reads sources one after the other, and hands what came of each to `done`.
///
/// Fails, for each, as reading it does; with `pem_invalid` if it took too long, and at once if an
/// earlier reading of the same files still hangs.
pub(crate) fn read_each(
    sources: &[Arc<Source>],
    patience: Patience,
    done: impl FnMut(&Arc<Source>, Result<Snapshot, Error>),
) {
    Reader::of_this_process().read_each(sources, patience, done);
}

/// The readings of one process.
struct Reader {
    process: u32,
    read: Box<Read>,
    /// What was waited for in vain and is still being read.
    hung: own::Mutex<HashSet<Arc<Source>>>,
}

/// A forked child has none of the threads of its parent.
static READER: ArcSwapOption<Reader> = ArcSwapOption::const_empty();

impl Reader {
    fn new(read: Box<Read>) -> Arc<Self> {
        Arc::new(Self { process: process::id(), read, hung: own::Mutex::default() })
    }

    fn of_this_process() -> Arc<Self> {
        let current = READER.load_full();
        if let Some(reader) = current.as_ref().filter(|known| known.process == process::id()) {
            return reader.clone();
        }
        let made = Self::new(Box::new(Source::read_here));
        let before = READER.compare_and_swap(&current, Some(made.clone()));
        match &*before {
            Some(theirs) if theirs.process == made.process => theirs.clone(),
            _ => made,
        }
    }

    fn read_each(
        self: &Arc<Self>,
        sources: &[Arc<Source>],
        patience: Patience,
        mut done: impl FnMut(&Arc<Source>, Result<Snapshot, Error>),
    ) {
        let Patience { mut reading, lease } = patience;
        let mut rest = sources;
        while let Some((first, others)) = rest.split_first() {
            if let Err(error) = self.admit(first) {
                done(first, Err(error));
                rest = others;
                continue;
            }
            let readings = match self.start(rest, lease) {
                Ok(readings) => readings,
                Err(error) => return rest.iter().for_each(|it| done(it, Err(error.clone()))),
            };
            while let Some((source, others)) = rest.split_first() {
                match self.wait(source, &readings, reading) {
                    Waited::Read(read) => done(source, read),
                    Waited::Hangs => {
                        done(source, Err(hung(source)));
                        rest = others;
                        reading = (reading / 2).max(LEAST_PATIENCE);
                        break;
                    }
                    // The thread leaves out what hangs already, and ends.
                    Waited::Ended => break,
                }
                rest = others;
            }
        }
    }

    /// Fails if the files hang, or too many others do.
    fn admit(&self, source: &Arc<Source>) -> Result<(), Error> {
        let hung_ones = self.hung();
        if hung_ones.contains(source) {
            return Err(hung(source));
        }
        if hung_ones.len() >= MOST_HUNG {
            return Err(Error::new(
                Kind::Overloaded,
                format!("{MOST_HUNG} threads wait for files that do not answer"),
            )
            .at(Stage::Config)
            .advising("Look at the file systems that the files of identities and trust lie on."));
        }
        Ok(())
    }

    /// Starts a thread that reads them, up to the first one that hangs already.
    fn start(
        self: &Arc<Self>,
        sources: &[Arc<Source>],
        lease: Duration,
    ) -> Result<own::Receiver<Result<Snapshot, Error>>, Error> {
        let (sender, readings) = channel();
        let (reader, sources) = (self.clone(), sources.to_vec());
        runtime::apart(move || reader.run(&sources, lease, &sender))
            .map_err(|error| error.at(Stage::Config))?;
        Ok(readings)
    }

    fn run(
        &self,
        sources: &[Arc<Source>],
        lease: Duration,
        readings: &own::Sender<Result<Snapshot, Error>>,
    ) {
        for (place, source) in sources.iter().enumerate() {
            if place > 0 && self.admit(source).is_err() {
                return;
            }
            let read = || (self.read)(source, Instant::now() + lease);
            let read = catch_unwind(AssertUnwindSafe(read));
            let read = read.unwrap_or_else(|_| Err(Error::caught_panic()));
            let given_up = readings.send(read).is_err();
            self.hung().remove(source);
            if given_up {
                return;
            }
        }
    }

    fn wait(
        &self,
        source: &Arc<Source>,
        readings: &own::Receiver<Result<Snapshot, Error>>,
        limit: Duration,
    ) -> Waited {
        match readings.recv_timeout(limit) {
            Ok(read) => return Waited::Read(read),
            Err(RecvTimeoutError::Disconnected) => return Waited::Ended,
            Err(RecvTimeoutError::Timeout) => {}
        }
        self.hung().insert(source.clone());
        // The thread sends first and takes the source out afterwards. What it sent in between would
        // stay in the set for ever.
        match readings.try_recv() {
            Ok(read) => {
                self.hung().remove(source);
                Waited::Read(read)
            }
            Err(_) => Waited::Hangs,
        }
    }

    fn hung(&self) -> own::MutexGuard<'_, HashSet<Arc<Source>>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hung(source: &Source) -> Error {
    let (path, what) = source.files()[0];
    file::fault(path, what, "it or a file beside it could not be read in time")
        .noting("files", source.shown())
        .advising("Look at the file system that the files lie on: it does not answer.")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::sync::mpsc::SyncSender;
    use std::thread;

    use super::*;

    const BRIEF: Patience =
        Patience { reading: Duration::from_millis(200), lease: Duration::from_millis(0) };

    fn source(name: &str) -> Arc<Source> {
        Arc::new(Source::Pins { file: PathBuf::from(name) })
    }

    /// A reader whose files named `hung` are not read until something is received, and that says of
    /// each when it has been read.
    fn reader() -> (Arc<Reader>, SyncSender<()>) {
        let (release, released) = mpsc::sync_channel::<()>(0);
        let released = own::Mutex::new(released);
        let read = move |source: &Source, _| {
            if source.shown()[0].contains("hung") {
                released.lock().unwrap().recv().unwrap();
            }
            Err(Error::new(Kind::PemInvalid, format!("read {}", source.shown()[0])))
        };
        (Reader::new(Box::new(read)), release)
    }

    fn read(reader: &Arc<Reader>, names: &[&str]) -> Vec<(String, String)> {
        let sources: Vec<Arc<Source>> = names.iter().map(|name| source(name)).collect();
        let mut outcomes = Vec::new();
        reader.read_each(&sources, BRIEF, |source, read| {
            let message = read.err().unwrap().message().to_owned();
            outcomes.push((source.shown()[0].clone(), message));
        });
        outcomes
    }

    #[test]
    fn a_file_that_hangs_is_given_up_and_the_others_are_read() {
        let (reader, release) = reader();
        let outcomes = read(&reader, &["a", "hung", "b", "c"]);
        let names: Vec<&str> = outcomes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "hung", "b", "c"]);
        for (name, message) in &outcomes {
            let hung = message == "pin file hung: it or a file beside it could not be read in time";
            assert!(if name == "hung" { hung } else { *message == format!("read {name}") });
        }
        // While it hangs, no further thread is sent after it.
        let started = Instant::now();
        assert_eq!(read(&reader, &["hung", "a", "hung"]).len(), 3);
        assert!(started.elapsed() < BRIEF.reading, "it was waited for once more");
        release.send(()).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !reader.hung().is_empty() {
            assert!(Instant::now() < until, "it is taken for hung although it was read");
            thread::yield_now();
        }
        thread::spawn(move || release.send(()));
        assert_eq!(read(&reader, &["hung"])[0].1, "read hung");
    }

    #[test]
    fn no_more_threads_hang_than_a_bounded_number() {
        let (reader, release) = reader();
        let names: Vec<String> = (0..MOST_HUNG + 5).map(|n| format!("hung-{n}")).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let outcomes = read(&reader, &names);
        assert_eq!(reader.hung().len(), MOST_HUNG);
        let refused = outcomes.iter().filter(|(_, why)| why.contains("threads wait for files"));
        assert_eq!(refused.count(), 5);
        (0..MOST_HUNG).for_each(|_| release.send(()).unwrap());
    }
}
