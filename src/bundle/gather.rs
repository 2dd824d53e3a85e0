//! The entries of a bundle, read and masked, within its limits.

use super::collect::Source;
use std::path::PathBuf;

/// Most octets of one entry.
pub(super) const ENTRY: usize = 4 << 20;
/// Most octets of all entries together.
pub(super) const WHOLE: usize = 32 << 20;
/// An entry that could have less than this is left out.
pub(super) const LEAST: usize = 64 << 10;

/// An entry of the bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    /// Its name in the bundle's folder.
    pub(super) name: String,
    /// Where it comes from, for people.
    pub(super) origin: String,
    /// Without secrets.
    pub(super) text: String,
    /// Octets of the origin before those that are here.
    pub(super) cut: u64,
}

/// A file that is not here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LeftOut {
    /// Which one.
    pub(super) origin: String,
    /// Why not.
    pub(super) why: String,
}

/// All that goes into a bundle but its manifest.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Gathered {
    /// The most telling first.
    pub(super) items: Vec<Item>,
    /// What could not be read, or had no room.
    pub(super) left_out: Vec<LeftOut>,
}

/// Reads the sources in their order until the room is used up. What cannot be read becomes an entry that says why.
pub(super) fn gather(sources: &[(String, Source)], forbidden: &[PathBuf]) -> Gathered {
    let mut gathered = Gathered::default();
    let mut room = WHOLE;
    for (name, source) in sources {
        let origin = source.origin();
        if room < LEAST {
            let why = format!("the bundle has its {WHOLE} octets");
            gathered.left_out.push(LeftOut { origin, why });
            continue;
        }
        let item = match source.read(ENTRY.min(room), forbidden) {
            Ok(read) => Item { name: name.clone(), origin, text: read.text, cut: read.cut },
            Err(why) => {
                let text = format!("{origin}: {why}\n");
                gathered.left_out.push(LeftOut { origin: origin.clone(), why: why.to_string() });
                Item { name: format!("{name}.unreadable.txt"), origin, text, cut: 0 }
            }
        };
        room = room.saturating_sub(item.text.len());
        gathered.items.push(item);
    }
    gathered
}
