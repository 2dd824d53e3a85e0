//! What names this installation to a gateway.

use super::error::{Damage, FileError, Note};
use super::file::Folder;
use crate::config::Places;
use crate::crypto::Random;

/// In [`Places::state`].
const NAME: &str = "device-id";
/// Octets of the value; it is written as twice as many hex digits.
const LENGTH: usize = 16;

/// A stable random value, 32 hex digits, made when it is first asked for; it is no serial number of anything. Beside it why it
/// will be another one the next time, if it cannot be kept. Blocks for one small file.
pub fn device_id(places: &Places, random: &mut dyn Random) -> (String, Vec<Note>) {
    let mut notes = Vec::new();
    match read(places) {
        Ok(Some(id)) => return (id, notes),
        Ok(None) => {}
        Err(error) => notes.push(Note::File(error)),
    }
    let mut octets = [0; LENGTH];
    random.fill(&mut octets);
    let id: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let written =
        Folder::make(&places.state).and_then(|folder| folder.write(NAME, format!("{id}\n").as_bytes()));
    notes.extend(written.err().map(Note::File));
    (id, notes)
}

fn read(places: &Places) -> Result<Option<String>, FileError> {
    let Some(folder) = Folder::existing(&places.state)? else { return Ok(None) };
    let Some(content) = folder.read(NAME, 2 * LENGTH + 1)? else { return Ok(None) };
    let text = content.strip_suffix(b"\n").unwrap_or(&content);
    let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    match std::str::from_utf8(text) {
        Ok(id) if text.len() == 2 * LENGTH && text.iter().all(digit) => Ok(Some(id.to_owned())),
        _ => {
            let aside = folder.move_aside(NAME);
            Err(FileError::Damaged { file: folder.path(NAME), why: Damage::Hex, aside })
        }
    }
}
