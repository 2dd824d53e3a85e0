//! The form of the log: a block an event, between lines of asterisks (seed). [`Renderer`] writes it, [`parse`] reads it.

use super::entry::{Entry, Kind, Source, is_separator};
use crate::time::UnixTime;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

const SEPARATOR: &str = "******************************************";

/// Writes blocks in the local time of one zone.
#[derive(Clone, Debug)]
pub struct Renderer {
    zone: TimeZone,
}

impl Renderer {
    /// The machine's zone; UTC where it has none.
    pub fn local() -> Self {
        Self { zone: TimeZone::try_system().unwrap_or(TimeZone::UTC) }
    }

    /// A zone of its own.
    pub fn with_zone(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// The block of one event. The next block's line of asterisks closes it.
    pub fn render(&self, entry: &Entry) -> String {
        let at = civil(entry.wall(), &self.zone);
        let (date, time) = (at.date(), at.time());
        format!(
            "{SEPARATOR}\n\nDate        : {:02}/{:02}/{:04}\nTime        : {:02}:{:02}:{:02}\nType        : {}\n\
             Source      : {}\n\nDescription : {}\n\n",
            date.month(),
            date.day(),
            date.year(),
            time.hour(),
            time.minute(),
            time.second(),
            entry.kind(),
            entry.source(),
            entry.description(),
        )
    }
}

/// Times after the year 9999 are shown as its end: the form has four digits for the year.
fn civil(wall: UnixTime, zone: &TimeZone) -> DateTime {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    at.to_zoned(zone.clone()).datetime()
}

/// A block that is not an event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BlockError {
    /// The line of the file, from 1, where the block goes wrong.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub what: String,
}

/// Reads a log: each block is an event or says why it is none. Times are read as local time of `zone`; where the clock was
/// put back, an hour that was there twice is the first one.
pub fn parse(text: &str, zone: &TimeZone) -> Vec<Result<Entry, BlockError>> {
    let mut blocks: Vec<Vec<(usize, &str)>> = vec![Vec::new()];
    for (at, line) in text.lines().enumerate() {
        match blocks.last_mut() {
            Some(block) if !is_separator(line) => block.push((at + 1, line)),
            _ => blocks.push(Vec::new()),
        }
    }
    let told = blocks.into_iter().filter(|block| block.iter().any(|(_, line)| !line.trim().is_empty()));
    told.map(|block| read_block(&block, zone)).collect()
}

fn read_block(block: &[(usize, &str)], zone: &TimeZone) -> Result<Entry, BlockError> {
    let first = block.first().map_or(1, |(at, _)| *at);
    let wrong = |line, what: String| BlockError { line, what };
    let mut fields: [Option<&str>; 4] = [None; 4];
    let mut lines = block.iter();
    let mut description = None;
    for (at, line) in lines.by_ref() {
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .map(|(name, value)| (name.trim(), value.trim()))
            .ok_or_else(|| wrong(*at, "expected NAME : VALUE".into()))?;
        if name == "Description" {
            description = Some(value);
            break;
        }
        let index = ["Date", "Time", "Type", "Source"].iter().position(|known| *known == name);
        let field = index.and_then(|index| fields.get_mut(index));
        match field {
            Some(field @ None) => *field = Some(value),
            Some(_) => return Err(wrong(*at, format!("{name} stands twice"))),
            None => {
                let what = "expected Date, Time, Type, Source or Description";
                return Err(wrong(*at, what.into()));
            }
        }
    }
    let [Some(date), Some(time), Some(kind), Some(source)] = fields else {
        return Err(wrong(first, "Date, Time, Type or Source is missing".into()));
    };
    let description = description.ok_or_else(|| wrong(first, "Description is missing".into()))?;
    let at = read_date(date).zip(read_time(time)).map(|(date, time)| date.to_datetime(time));
    let at = at.ok_or_else(|| wrong(first, "expected Date MM/DD/YYYY and Time HH:MM:SS".into()))?;
    let wall = zone.to_timestamp(at).ok().and_then(|at| u64::try_from(at.as_second()).ok());
    let wall = wall.ok_or_else(|| wrong(first, "expected a time after 1970".into()))?;
    let kind =
        Kind::read(kind).ok_or_else(|| wrong(first, "expected Type Information, Warning or Error".into()))?;
    let source = Source::read(source).ok_or_else(|| wrong(first, "the Source is unknown".into()))?;
    let text: Vec<&str> = std::iter::once(description).chain(lines.map(|(_, line)| *line)).collect();
    Ok(Entry::from_log(UnixTime::from_secs(wall), kind, source, &text.join("\n")))
}

/// Exactly the digits asked for, between single separators.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i16; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn read_date(text: &str) -> Option<Date> {
    let [month, day, year] = numbers(text, '/', [2, 2, 4])?;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn read_time(text: &str) -> Option<Time> {
    let [hour, minute, second] = numbers(text, ':', [2, 2, 2])?;
    let part = |number| i8::try_from(number).ok();
    Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()
}
