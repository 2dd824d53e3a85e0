//! What the user wants (law 1): it outlives the agent.

use super::error::{Damage, FileError, Note, StoreError};
use super::file::Folder;
use crate::config::Places;
use crate::ipc::Connect;
use serde::{Deserialize, Serialize};

/// In [`Places::state`].
const NAME: &str = "intent.json";
/// The format written; older ones are read, newer ones are not.
const VERSION: u32 = 1;
/// Longest file that is read, octets.
const LIMIT: usize = 65_536;

/// What the user asked for last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Intent {
    /// A connection is wanted. An agent that starts and finds this brings it back by itself.
    pub wanted: bool,
    /// With what, also after a disconnect. It holds no secret.
    pub last: Option<Connect>,
}

/// Read first: what the other members mean depends on it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    wanted: bool,
    last: Option<Connect>,
}

impl Intent {
    /// What was asked for last, and what is wrong with the file. What cannot be read counts as: no connection is wanted. Blocks
    /// for one small file.
    pub fn load(places: &Places) -> (Self, Vec<Note>) {
        match read(places) {
            Ok(intent) => (intent.unwrap_or_default(), Vec::new()),
            Err(error) => (Self::default(), vec![Note::File(error)]),
        }
    }

    /// Keeps it: on the disk when this returns. Not to be dropped halfway where the order of two saves matters.
    ///
    /// # Errors
    /// The file cannot be written; the old one is as it was.
    pub async fn save(&self, places: &Places) -> Result<(), StoreError> {
        let record = Record { version: VERSION, wanted: self.wanted, last: self.last.clone() };
        let places = places.clone();
        let done = tokio::task::spawn_blocking(move || write(&places, &record));
        done.await.map_err(|_| StoreError::Stopped)?.map_err(StoreError::Setting)
    }
}

fn read(places: &Places) -> Result<Option<Intent>, FileError> {
    let Some(folder) = Folder::existing(&places.state)? else { return Ok(None) };
    let Some(content) = folder.read(NAME, LIMIT)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| {
        let (file, why) = (folder.path(NAME), Damage::Json { line: error.line(), column: error.column() });
        FileError::Damaged { file, why, aside: folder.move_aside(NAME) }
    };
    let Versioned { version } = serde_json::from_slice(&content).map_err(damaged)?;
    if version > VERSION {
        return Err(FileError::Newer { file: folder.path(NAME), found: version });
    }
    let record: Record = serde_json::from_slice(&content).map_err(damaged)?;
    Ok(Some(Intent { wanted: record.wanted, last: record.last }))
}

fn write(places: &Places, record: &Record) -> Result<(), FileError> {
    let folder = Folder::make(&places.state)?;
    let mut content = serde_json::to_vec_pretty(record)
        .map_err(|error| FileError::io(&folder.path(NAME), "written", error))?;
    content.push(b'\n');
    folder.write(NAME, &content)
}
