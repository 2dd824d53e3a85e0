//! The event log, read as it grows.

use super::model::Model;
use crate::journal::{Blocks, Reader, Watch, parse};
use jiff::tz::TimeZone;
use std::collections::VecDeque;
use std::path::PathBuf;

/// Of a long log only the last blocks are looked at.
const BLOCKS: usize = 500;

/// See the module. A log that cannot be read or watched is no reason to end the picture: it is tried again.
#[derive(Debug)]
pub(super) struct Log {
    file: PathBuf,
    reader: Reader,
    blocks: Blocks,
    watch: Option<Watch>,
    zone: TimeZone,
}

impl Log {
    pub(super) fn new(file: PathBuf) -> Self {
        // As it was written (`journal::Renderer::local`).
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self { reader: Reader::new(file.clone()), blocks: Blocks::default(), watch: None, zone, file }
    }

    /// What came since the last time.
    pub(super) fn read(&mut self, model: &mut Model) {
        if self.watch.is_none() {
            self.watch = Watch::new(&self.file).ok();
        }
        let mut new = VecDeque::new();
        while let Ok(Some(lines)) = self.reader.read() {
            new.extend(self.blocks.push(&lines));
            new.drain(..new.len().saturating_sub(BLOCKS));
        }
        new.extend(self.blocks.finish_whole());
        for block in &new {
            parse(block, &self.zone).iter().flatten().for_each(|entry| model.event(entry));
        }
    }

    /// Returns when there is something to read.
    pub(super) async fn changed(&mut self) {
        if let Some(watch) = &mut self.watch {
            if watch.changed().await.is_ok() {
                return;
            }
            self.watch = None;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Entry, Journal, Kind, Renderer, Rotation, Source};
    use crate::time::{Now, UnixTime};

    #[tokio::test]
    async fn events_come_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logs/events.log");
        let mut log = Log::new(file.clone());
        let mut model = Model::new(Now::default(), TimeZone::UTC);
        // Neither log nor folder is there yet.
        log.read(&mut model);
        let rotation = Rotation { max_bytes: 1 << 20, keep: 2 };
        let mut journal = Journal::new(file, rotation, Renderer::local());
        let mut write = |number: u64| {
            let at = UnixTime::from_secs(1_767_355_200 + number);
            journal
                .write(&Entry::new(at, Kind::Information, Source::Agent, &format!("event {number}")))
                .unwrap();
        };
        (0..1200).for_each(&mut write);
        log.read(&mut model);
        assert_eq!(model.events(usize::MAX).0.count(), BLOCKS);
        write(1200);
        log.changed().await;
        log.read(&mut model);
        let last = model.events(1).0.next().map(|event| event.text.clone());
        assert_eq!(last.as_deref(), Some("event 1200"));
    }
}
