//! Writes the log's lines from a thread of its own, so that nobody who logs ever waits for whoever reads the log.
//!
//! A pipe that nobody empties would otherwise stop every request that has something to tell, and one that is closed would
//! fail them. At most [`LINES_MAX`] lines of [`BYTES_MAX`] in all wait; one more is dropped and counted. Does not know what a
//! line says.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Where lines are left to be written.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    /// Bytes of the lines that wait.
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

/// Waits, when it is dropped, for the lines so far to be written, for `FLUSH_MAX` at the longest.
#[derive(Debug)]
#[must_use = "dropped at once, it waits for nothing that comes later"]
pub struct Flush(SyncSender<Entry>);

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Starts the thread that writes to `sink`; it ends with the last [`Lines`] and [`Flush`]. `dropped` counts lines that found
/// no room.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn start(
    sink: impl Write + Send + 'static,
    dropped: IntCounter,
) -> io::Result<(Lines, Flush)> {
    let (queue, entries) = sync_channel(LINES_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&waiting);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write(sink, &entries, &written))?;
    let flush = Flush(queue.clone());
    let lines = Lines {
        queue,
        waiting,
        dropped,
    };
    Ok((lines, flush))
}

fn write(mut sink: impl Write, entries: &Receiver<Entry>, waiting: &AtomicUsize) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                // A reader that is gone is no reason to stop: there is nobody to tell, and another may be put in its place.
                sink.write_all(&line)
                    .and_then(|()| sink.flush())
                    .unwrap_or_default();
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Entry::Flush(done) => done.send(()).unwrap_or_default(),
        }
    }
}

impl Write for Lines {
    /// Takes a whole line, which is how events come. Never fails and never waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let bytes = line.len();
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let has_room = waiting + bytes <= BYTES_MAX;
        if !has_room || self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.inc();
        }
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, written) = channel();
        // A full queue is not waited for: whoever should empty it has not done so for a long time.
        if self.0.try_send(Entry::Flush(done)).is_ok() {
            written.recv_timeout(FLUSH_MAX).unwrap_or_default();
        }
    }
}

/// Some seconds of a busy sidecar that tells of every request; one line more is dropped and counted.
const LINES_MAX: usize = 4096;

/// A line has a few hundred bytes, so only long ones come to this: requests with dozens of attempts, or what `RUST_LOG=trace`
/// brings up. One line more is dropped and counted.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long the process waits for its last words to be taken.
const FLUSH_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes a line only when it is told to.
    struct Stuck(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn dropped() -> IntCounter {
        IntCounter::new("dropped", "dropped").unwrap()
    }

    #[test]
    fn lines_that_nobody_takes_are_dropped_and_counted_and_keep_nobody_waiting() {
        let (_go_on, told) = channel();
        let dropped = dropped();
        let (mut lines, flush) =
            start(Stuck(told, Arc::default()), dropped.clone()).expect("a thread");

        for _ in 0..LINES_MAX + 10 {
            lines.write_all(b"line\n").unwrap();
        }

        // One may be on its way out of the queue already.
        assert!((9..=10).contains(&dropped.get()), "{}", dropped.get());
        std::mem::forget(flush);
    }

    #[test]
    fn long_lines_fill_the_queue_before_their_number_does() {
        let (go_on, told) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let dropped = dropped();
        let (mut lines, flush) =
            start(Stuck(told, Arc::clone(&written)), dropped.clone()).expect("a thread");
        let half = vec![b'x'; BYTES_MAX / 2];

        for _ in 0..5 {
            lines.write_all(&half).unwrap();
        }
        assert_eq!(dropped.get(), 3);
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        drop(flush);
        lines.write_all(&half).unwrap();

        assert_eq!(dropped.get(), 3, "what was written makes room");
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (go_on, told) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut lines, flush) =
            start(Stuck(told, Arc::clone(&written)), dropped()).expect("a thread");
        lines.write_all(b"one\n").unwrap();
        lines.write_all(b"two\n").unwrap();

        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        drop(flush);

        assert_eq!(*written.lock().unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_reader_that_is_gone_costs_nothing_but_the_lines() {
        let (go_on, told) = channel();
        drop(go_on);
        let (mut lines, flush) = start(Stuck(told, Arc::default()), dropped()).expect("a thread");

        for _ in 0..10 {
            lines.write_all(b"line\n").expect("never an error");
        }

        drop(flush);
    }
}
