//! Reads files on separate threads with a timeout. If a network file system hangs, the thread blocks in
//! the kernel and cannot be interrupted.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::{Snapshot, Source, file};
use crate::error::{Error, Kind, Stage, cause, key};
use crate::process::{self, own};
use crate::runtime;

/// The most threads that may hang in the kernel at once. Above it, reads fail.
const MAX_HUNG: usize = 64;

/// After a file that hangs, the timeout of the others is halved, down to this minimum.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// Reads a source. Waits for a lease until the instant.
type ReadSource = dyn Fn(&Source, Instant) -> Result<Snapshot, Error> + Send + Sync;

/// The outcome of waiting for a read.
enum WaitOutcome {
    Read(Result<Snapshot, Error>),
    Hangs,
    /// The thread has ended before this source.
    Ended,
}

/// The timeouts for the files of a source.
#[derive(Clone, Copy)]
pub(crate) struct ReadTimeouts {
    /// The longest time in all.
    pub(crate) reading: Duration,
    /// The part of it to wait for another process that holds a lease on a file.
    pub(crate) lease: Duration,
}

impl ReadTimeouts {
    /// For a caller without material.
    pub(crate) const INITIAL: Self =
        Self { reading: Duration::from_secs(5), lease: Duration::from_millis(4500) };
    /// For a reload, during which the former material stays in use.
    pub(crate) const RELOAD: Self =
        Self { reading: Duration::from_secs(2), lease: Duration::from_millis(250) };
}

/// Reads sources one after the other, and passes the result of each to `done`.
///
/// A result is `pem_invalid` if the read takes too long, and at once if an earlier read of the same files
/// still hangs.
pub(crate) fn read_each(
    sources: &[Arc<Source>],
    timeouts: ReadTimeouts,
    done: impl FnMut(&Arc<Source>, Result<Snapshot, Error>),
) {
    FileReader::of_this_process().read_each(sources, timeouts, done);
}

/// The reads of one process.
struct FileReader {
    process: u32,
    read: Box<ReadSource>,
    /// The sources whose read has timed out and has not ended.
    hung: own::Mutex<HashSet<Arc<Source>>>,
}

/// Belongs to one process, because a forked child has none of the threads of its parent.
static READER: ArcSwapOption<FileReader> = ArcSwapOption::const_empty();

impl FileReader {
    fn new(read: Box<ReadSource>) -> Arc<Self> {
        Arc::new(Self { process: process::id(), read, hung: own::Mutex::default() })
    }

    fn of_this_process() -> Arc<Self> {
        let current = READER.load_full();
        if let Some(reader) = current.as_ref().filter(|known| known.process == process::id()) {
            return reader.clone();
        }
        let own = Self::new(Box::new(Source::read_blocking));
        let before = READER.compare_and_swap(&current, Some(own.clone()));
        match &*before {
            Some(theirs) if theirs.process == own.process => theirs.clone(),
            _ => own,
        }
    }

    fn read_each(
        self: &Arc<Self>,
        sources: &[Arc<Source>],
        timeouts: ReadTimeouts,
        mut done: impl FnMut(&Arc<Source>, Result<Snapshot, Error>),
    ) {
        let ReadTimeouts { mut reading, lease } = timeouts;
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
                    WaitOutcome::Read(read) => done(source, read),
                    WaitOutcome::Hangs => {
                        done(source, Err(hung(source)));
                        rest = others;
                        reading = (reading / 2).max(MIN_TIMEOUT);
                        break;
                    }
                    // The thread has stopped before a source that hangs already.
                    WaitOutcome::Ended => break,
                }
                rest = others;
            }
        }
    }

    /// Fails if a read of the source hangs, or if too many other reads hang.
    fn admit(&self, source: &Arc<Source>) -> Result<(), Error> {
        let hung_ones = self.hung();
        if hung_ones.contains(source) {
            return Err(hung(source));
        }
        if hung_ones.len() >= MAX_HUNG {
            return Err(Error::new(
                Kind::Overloaded,
                format!("{MAX_HUNG} threads hang in reads of files"),
            )
            .at(Stage::Config)
            .advising("Check the file systems with the files of identities and trust."));
        }
        Ok(())
    }

    /// Starts a thread that reads the sources, up to the first one that hangs already.
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
        for (index, source) in sources.iter().enumerate() {
            if index > 0 && self.admit(source).is_err() {
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
    ) -> WaitOutcome {
        match readings.recv_timeout(limit) {
            Ok(read) => return WaitOutcome::Read(read),
            Err(RecvTimeoutError::Disconnected) => return WaitOutcome::Ended,
            Err(RecvTimeoutError::Timeout) => {}
        }
        self.hung().insert(source.clone());
        // The thread sends the result and then removes the source from the set. If it did both just
        // before the insert, the source would stay in the set forever.
        match readings.try_recv() {
            Ok(read) => {
                self.hung().remove(source);
                WaitOutcome::Read(read)
            }
            Err(_) => WaitOutcome::Hangs,
        }
    }

    fn hung(&self) -> own::MutexGuard<'_, HashSet<Arc<Source>>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hung(source: &Source) -> Error {
    let (path, what) = source.files()[0];
    file::fault(path, what, "the read of this file or of one that belongs to it timed out")
        .noting(key::FILES, source.shown())
        .caused(&cause::FILE_HANGS, &[("file", &path.display())])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::sync::mpsc::SyncSender;
    use std::thread;

    use super::*;

    /// The other files are read within this time, also by a machine that stands still for a moment.
    const ENOUGH: ReadTimeouts =
        ReadTimeouts { reading: Duration::from_secs(3), lease: Duration::from_millis(0) };
    const BRIEF: ReadTimeouts = ReadTimeouts { reading: Duration::from_millis(200), ..ENOUGH };

    fn source(name: &str) -> Arc<Source> {
        Arc::new(Source::Pins { file: PathBuf::from(name) })
    }

    /// A reader whose reads of files named `hung` block until the sender sends. The result of each read is
    /// an error with the file's name.
    fn reader() -> (Arc<FileReader>, SyncSender<()>) {
        let (release, released) = mpsc::sync_channel::<()>(0);
        let released = own::Mutex::new(released);
        let read = move |source: &Source, _| {
            if source.shown()[0].contains("hung") {
                released.lock().unwrap().recv().unwrap();
            }
            Err(Error::new(Kind::PemInvalid, format!("read {}", source.shown()[0])))
        };
        (FileReader::new(Box::new(read)), release)
    }

    fn read(
        reader: &Arc<FileReader>,
        names: &[&str],
        timeouts: ReadTimeouts,
    ) -> Vec<(String, String)> {
        let sources: Vec<Arc<Source>> = names.iter().map(|name| source(name)).collect();
        let mut outcomes = Vec::new();
        reader.read_each(&sources, timeouts, |source, read| {
            let message = read.err().unwrap().message().to_owned();
            outcomes.push((source.shown()[0].clone(), message));
        });
        outcomes
    }

    #[test]
    fn a_read_that_hangs_is_abandoned_and_the_other_files_are_read() {
        let (reader, release) = reader();
        let outcomes = read(&reader, &["a", "hung", "b", "c"], ENOUGH);
        let names: Vec<&str> = outcomes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "hung", "b", "c"]);
        for (name, message) in &outcomes {
            let hung = message
                == "pin file hung: the read of this file or of one that belongs to it timed out";
            assert!(if name == "hung" { hung } else { *message == format!("read {name}") });
        }
        // While a read hangs, no other thread reads the same file.
        let started = Instant::now();
        assert_eq!(read(&reader, &["hung", "a", "hung"], ENOUGH).len(), 3);
        assert!(started.elapsed() < ENOUGH.reading, "a second thread waited for the file");
        release.send(()).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !reader.hung().is_empty() {
            assert!(
                Instant::now() < until,
                "the source stays in the set although its read has ended"
            );
            thread::yield_now();
        }
        thread::spawn(move || release.send(()));
        assert_eq!(read(&reader, &["hung"], ENOUGH)[0].1, "read hung");
    }

    #[test]
    fn the_number_of_threads_that_hang_is_limited() {
        let (reader, release) = reader();
        let names: Vec<String> = (0..MAX_HUNG + 5).map(|n| format!("hung-{n}")).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let outcomes = read(&reader, &names, BRIEF);
        assert_eq!(reader.hung().len(), MAX_HUNG);
        let refused = outcomes.iter().filter(|(_, why)| why.contains("threads hang in reads"));
        assert_eq!(refused.count(), 5);
        (0..MAX_HUNG).for_each(|_| release.send(()).unwrap());
    }
}
