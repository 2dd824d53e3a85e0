//! `ikeep events`: the event log, with or without an agent.

use super::{Error, Exit, help, output, runtime};
use crate::config::Places;
use crate::journal::{Blocks, Reader, Watch, parse};
use crate::time::UnixTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::io;
use std::path::Path;

/// What `ikeep events` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::EVENTS)]
pub(super) struct Command {
    /// Go on with what happens from now on, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// One JSON document on stdout; with --follow one object a line
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let file = Places::of_user()?.events();
        let mut reader = Reader::new(file.clone());
        let mut form = if self.json { Form::Json(Json::new(self.follow)) } else { Form::Lines };
        if self.follow {
            return runtime::block_on(follow(&file, reader, form));
        }
        let more = form.copy(&mut reader).map_err(|error| error.of(&file))?;
        if !reader.found() {
            eprintln!(
                "There is no event log yet ({}): it begins with the first `ikeep connect`.",
                file.display()
            );
        }
        if more {
            let rest = reader.finish().map(|rest| form.text(&rest)).unwrap_or_default();
            output::print(&(rest + &form.end()))?;
        }
        Ok(Exit::Done)
    }
}

/// Copies what there is and what comes, until nobody reads any more.
async fn follow(file: &Path, mut reader: Reader, mut form: Form) -> Result<Exit, Error> {
    let failed = |source| Error::Read { file: file.to_owned(), source };
    if let Some(folder) = file.parent() {
        // It may be the first thing that this user does.
        Places::make_private(folder).map_err(failed)?;
    }
    let mut watch = Watch::new(file).map_err(failed)?;
    let mut told = false;
    while form.copy(&mut reader).map_err(|error| error.of(file))? && output::write(&form.pause())? {
        if !reader.found() && !told {
            told = true;
            eprintln!("There is no event log yet ({}): waiting for its first event.", file.display());
        }
        tokio::select! {
            changed = watch.changed() => changed.map_err(failed)?,
            () = output::unread() => break,
        }
    }
    Ok(Exit::Done)
}

/// How events are printed.
enum Form {
    /// As they stand in the log.
    Lines,
    /// As objects.
    Json(Json),
}

/// Reading failed, or writing.
enum CopyError {
    Read(io::Error),
    Write(Error),
}

impl CopyError {
    fn of(self, file: &Path) -> Error {
        match self {
            Self::Read(source) => Error::Read { file: file.to_owned(), source },
            Self::Write(error) => error,
        }
    }
}

impl Form {
    /// Prints what can be read now; false where nobody reads it.
    fn copy(&mut self, reader: &mut Reader) -> Result<bool, CopyError> {
        while let Some(lines) = reader.read().map_err(CopyError::Read)? {
            if !output::write(&self.text(&lines)).map_err(CopyError::Write)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn text(&mut self, lines: &str) -> String {
        match self {
            // Damage can be anything, but nothing that moves the cursor.
            Self::Lines => lines.lines().map(|line| output::printable(line) + "\n").collect(),
            Self::Json(json) => {
                let blocks = json.blocks.push(lines);
                blocks.iter().map(|block| json.event(block)).collect()
            }
        }
    }

    /// What is still held back when there is nothing to read for now.
    fn pause(&mut self) -> String {
        match self {
            Self::Lines => String::new(),
            Self::Json(json) => {
                json.blocks.finish_whole().map(|block| json.event(&block)).unwrap_or_default()
            }
        }
    }

    /// What is still held back at the end.
    fn end(&mut self) -> String {
        match self {
            Self::Lines => String::new(),
            Self::Json(json) => json.end(),
        }
    }
}

/// Events as JSON: an array, or a line each.
struct Json {
    blocks: Blocks,
    zone: TimeZone,
    lines: bool,
    begun: bool,
}

/// One event. What cannot be read as one is shown as it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Event<'a> {
    Sound { at: String, r#type: &'a str, source: &'a str, description: &'a str },
    Damaged { damaged: &'a str, text: &'a str },
}

impl Json {
    fn new(lines: bool) -> Self {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self { blocks: Blocks::default(), zone, lines, begun: false }
    }

    fn event(&mut self, block: &str) -> String {
        let read = parse(block, &self.zone);
        let event = match read.as_slice() {
            [Ok(entry)] => Event::Sound {
                at: utc(entry.wall()),
                r#type: entry.kind().as_str(),
                source: entry.source().as_str(),
                description: entry.description(),
            },
            [Err(error), ..] => Event::Damaged { damaged: &error.what, text: block.trim() },
            _ => Event::Damaged { damaged: "expected one event", text: block.trim() },
        };
        let object = serde_json::to_string(&event).unwrap_or_else(|_| "null".to_owned());
        match (self.lines, std::mem::replace(&mut self.begun, true)) {
            (true, _) => object + "\n",
            (false, false) => format!("[\n  {object}"),
            (false, true) => format!(",\n  {object}"),
        }
    }

    fn end(&mut self) -> String {
        let last = self.blocks.finish().map(|block| self.event(&block)).unwrap_or_default();
        let close = match (self.lines, self.begun) {
            (true, _) => "",
            (false, true) => "\n]\n",
            (false, false) => "[]\n",
        };
        last + close
    }
}

fn utc(wall: UnixTime) -> String {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}
