//! Lines on a socket: one JSON document each, ended by a newline. What a person typed passes through these buffers, so they
//! are zeroized: a line when the next one is asked for, everything at the end.

use super::message::MAX_LINE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::{Zeroize as _, Zeroizing};

/// Room at the beginning; it doubles as lines need it.
const ROOM: usize = 4096;

/// No line can be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than [`MAX_LINE`].
    #[error("a line longer than {MAX_LINE} octets")]
    TooLong,
    /// The rest of it did not come in time.
    #[error("a line that was begun and not ended")]
    Slow,
    /// The other side closed within it.
    #[error("a line that was cut off")]
    Torn,
    /// Not JSON, or not what is expected here. What stood there is not told: it may be a password.
    #[error("a line that makes no sense from octet {at} on")]
    Senseless {
        /// Where, counted from 1; 0 where the end is missing.
        at: usize,
    },
    /// The socket.
    #[error("the socket fails: {0}")]
    Io(#[from] io::Error),
}

/// Reads lines.
pub(super) struct Reader<R> {
    inner: R,
    /// All of it is room; `held` is what was read and not yet given out.
    buffer: Zeroizing<Vec<u8>>,
    held: Range<usize>,
    /// The rest of a line must come within this time after its first octets.
    limit: Duration,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(inner: R, limit: Duration) -> Self {
        Self { inner, buffer: Zeroizing::new(vec![0; ROOM]), held: 0..0, limit }
    }

    /// The next line as a `T`; `None` where the other side closed after a whole line. Nothing is lost when this is cancelled.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        // What was given out before, and whatever stands behind what is held, goes.
        self.buffer.copy_within(self.held.clone(), 0);
        let held = self.held.len();
        self.buffer[held..self.held.end].zeroize();
        if self.held.start > held {
            self.buffer[held..self.held.start].zeroize();
        }
        self.held = 0..held;
        if self.held.is_empty() && self.read().await? == 0 {
            return Ok(None);
        }
        let end = tokio::time::timeout(self.limit, self.complete()).await.map_err(|_| LineError::Slow)??;
        let document = decode(&self.buffer[self.held.start..end]);
        self.held.start = end + 1;
        document.map(Some)
    }

    /// Reads until a newline is held; where it is.
    async fn complete(&mut self) -> Result<usize, LineError> {
        let mut searched = self.held.start;
        loop {
            if let Some(at) = self.buffer[searched..self.held.end].iter().position(|octet| *octet == b'\n') {
                return Ok(searched + at);
            }
            searched = self.held.end;
            if self.held.len() >= MAX_LINE {
                return Err(LineError::TooLong);
            }
            if self.read().await? == 0 {
                return Err(LineError::Torn);
            }
        }
    }

    /// Reads once; 0 at the end.
    async fn read(&mut self) -> io::Result<usize> {
        if self.held.end == self.buffer.len() {
            // Grown by hand: `Vec` would leave the old octets behind.
            let mut larger = Zeroizing::new(vec![0; self.buffer.len() * 2]);
            larger[..self.buffer.len()].copy_from_slice(&self.buffer);
            self.buffer = larger;
        }
        let count = self.inner.read(&mut self.buffer[self.held.end..]).await?;
        self.held.end += count;
        Ok(count)
    }
}

/// Writes lines.
pub(super) struct Writer<W> {
    inner: W,
    pending: Zeroizing<Vec<u8>>,
    written: usize,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, pending: Zeroizing::default(), written: 0 }
    }

    /// Takes a document behind what is not written yet.
    pub(super) fn queue(&mut self, document: &impl Serialize) -> Result<(), LineError> {
        let mut whole = encode(document)?;
        if self.written < self.pending.len() {
            let rest = &self.pending[self.written..];
            // With capacity for both: a `Vec` that grows would leave the old octets behind.
            let mut both = Zeroizing::new(Vec::with_capacity(rest.len() + whole.len()));
            both.extend_from_slice(rest);
            both.extend_from_slice(&whole);
            whole = both;
        }
        (self.pending, self.written) = (whole, 0);
        Ok(())
    }

    /// Writes what was queued. When this is cancelled, the next call goes on where it stood.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while self.written < self.pending.len() {
            match self.inner.write(&self.pending[self.written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
        }
        (self.pending, self.written) = (Zeroizing::default(), 0);
        Ok(())
    }
}

/// What stands in a line.
///
/// # Errors
/// [`LineError::Senseless`].
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineError> {
    serde_json::from_slice(line).map_err(|error| LineError::Senseless { at: error.column() })
}

/// A document as a line, its newline included, in a buffer that never moved.
///
/// # Errors
/// The line would be longer than [`MAX_LINE`], or the document cannot be written as JSON.
pub fn encode(document: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, LineError> {
    let wrong = |error: serde_json::Error| LineError::Io(error.into());
    let mut length = Length(0);
    serde_json::to_writer(&mut length, document).map_err(wrong)?;
    if length.0 >= MAX_LINE {
        return Err(LineError::TooLong);
    }
    let mut line = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer(&mut *line, document).map_err(wrong)?;
    line.push(b'\n');
    Ok(line)
}

/// Counts what is written into it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0 += octets.len();
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::ipc::Request;
    use crate::ipc::message::{Answer, Typed};
    use std::collections::BTreeMap;

    const LIMIT: Duration = Duration::from_secs(5);

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn answer(password: &str) -> Request {
        let values = BTreeMap::from([("password".to_owned(), Typed(Secret::from(password.as_bytes())))]);
        Request::Answer(Answer { id: 7, values })
    }

    #[test]
    fn a_line_is_wiped_when_the_next_one_is_asked_for() {
        block_on(async {
            let lines = [&encode(&answer("hunter2")).unwrap()[..], b"\"after\"\n"].concat();
            let hidden = b"hunter2".map(|octet| format!("{octet:02x}")).concat();
            let holds = |reader: &Reader<&[u8]>| {
                reader.buffer.windows(hidden.len()).any(|window| window == hidden.as_bytes())
            };
            let mut reader = Reader::new(&lines[..], LIMIT);
            assert_eq!(reader.next::<Request>().await.unwrap(), Some(answer("hunter2")));
            assert!(holds(&reader), "else the next line proves nothing");
            assert_eq!(reader.next::<String>().await.unwrap().as_deref(), Some("after"));
            assert!(!holds(&reader));
        });
    }

    #[test]
    fn a_line_of_many_reads_and_many_lines_of_one_read() {
        block_on(async {
            let long = "x".repeat(3 * ROOM);
            let lines = [&long, "a", "b"].map(|text| encode(&text).unwrap().to_vec()).concat();
            let mut reader = Reader::new(&lines[..], LIMIT);
            for expected in [long.as_str(), "a", "b"] {
                assert_eq!(reader.next::<String>().await.unwrap().as_deref(), Some(expected));
            }
            assert_eq!(reader.next::<String>().await.unwrap(), None);
        });
    }

    #[test]
    fn the_longest_line_passes_and_one_octet_more_does_not() {
        block_on(async {
            let fits = "x".repeat(MAX_LINE - 3);
            let whole = encode(&fits).unwrap();
            assert_eq!(whole.len(), MAX_LINE);
            let mut reader = Reader::new(&whole[..], LIMIT);
            assert_eq!(reader.next::<String>().await.unwrap().as_deref(), Some(fits.as_str()));
            assert!(matches!(encode(&format!("{fits}x")), Err(LineError::TooLong)));
            let endless = vec![b'x'; MAX_LINE + 1];
            let mut reader = Reader::new(&endless[..], LIMIT);
            assert!(matches!(reader.next::<String>().await, Err(LineError::TooLong)));
        });
    }

    #[test]
    fn an_error_tells_where_and_not_what() {
        block_on(async {
            let line = b"{\"request\":\"answer\",\"id\":1,\"values\":{\"password\":\"hunter2\"}}\n";
            let error = Reader::new(&line[..], LIMIT).next::<Request>().await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        });
    }

    #[test]
    fn what_is_queued_twice_is_written_once_each_and_in_order() {
        block_on(async {
            let (near, far) = tokio::io::duplex(16);
            let (mut writer, mut reader) = (Writer::new(near), Reader::new(far, LIMIT));
            let texts = ["first, longer than the pipe", "second"];
            writer.queue(&texts[0]).unwrap();
            // Cancelled in the middle: the pipe is full and nobody reads.
            assert!(tokio::time::timeout(Duration::from_millis(1), writer.flush()).await.is_err());
            writer.queue(&texts[1]).unwrap();
            let write = async { writer.flush().await.unwrap() };
            let read = async { [reader.next::<String>().await.unwrap(), reader.next().await.unwrap()] };
            let ((), read) = tokio::join!(write, read);
            assert_eq!(read.map(Option::unwrap), texts);
        });
    }
}
