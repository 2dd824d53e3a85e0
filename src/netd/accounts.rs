//! `/etc/group` and `/etc/passwd`, read directly: a library that asks the network for names has no place in this process.
//! Groups and names that only a directory service knows are therefore not known here.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// What is read of a file, octets.
const MAX_FILE: u64 = 4 << 20;
/// Longest name that is repeated.
const MAX_NAME: usize = 64;

/// The number of a group.
pub(super) fn group_id(file: &Path, group: &str) -> Option<u32> {
    let text = read(file)?;
    text.lines().filter_map(entry).find(|(name, _)| *name == group).map(|(_, gid)| gid)
}

/// A user in words: name and number where the name is known and tame.
pub(super) fn user(file: &Path, uid: u32) -> String {
    let text = read(file).unwrap_or_default();
    let mut names = text.lines().filter_map(entry).filter(|(_, id)| *id == uid).map(|(name, _)| name);
    match names.next().filter(|name| name.len() <= MAX_NAME && name.bytes().all(|o| o.is_ascii_graphic())) {
        Some(name) => format!("the user {name} ({uid})"),
        None => format!("the user with the number {uid}"),
    }
}

/// `name:password:number:...`
fn entry(line: &str) -> Option<(&str, u32)> {
    let mut fields = line.split(':');
    let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
    (!name.is_empty()).then_some((name, id.parse().ok()?))
}

fn read(file: &Path) -> Option<String> {
    let mut octets = Vec::new();
    File::open(file).ok()?.take(MAX_FILE).read_to_end(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_name_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("group");
        let text = "root:x:0:\n# ikeep:x:1:\nbroken\nikeep2:x:7:\nikeep:x:998:anna,ben\nikeep:x:5:\n:x:9:\nbad:x:-1:\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(group_id(&file, "ikeep"), Some(998));
        assert_eq!(group_id(&file, "bad"), None);
        assert_eq!(group_id(&file, ""), None);
        assert_eq!(group_id(&folder.path().join("none"), "ikeep"), None);
        std::fs::write(&file, "anna:x:1000:1000::/home/anna:/bin/sh\nb\u{1b}[1m:x:1001::\n").unwrap();
        assert_eq!(user(&file, 1000), "the user anna (1000)");
        assert_eq!(user(&file, 1001), "the user with the number 1001");
        assert_eq!(user(&file, 1002), "the user with the number 1002");
    }
}
