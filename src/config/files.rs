//! Reading files with a limit, and listing folders in a fixed order.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Reads a file, but not much more than `limit` bytes of it: what comes back longer than `limit` is too large, and the reader
/// of the format says so.
pub fn read_at_most(file: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(file)?.take(most).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The regular files in `folder` whose names end with `.extension`, in the order of their names, and links that lead nowhere:
/// whoever reads them is told so. Nothing where there is no such folder.
pub fn in_folder(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let wanted = path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
        if wanted && fs::metadata(&path).map_or(true, |found| found.is_file()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_by_name_and_reads_one_byte_past_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.xml", "a.XML", "c.txt"] {
            fs::write(folder.path().join(name), "12345").unwrap();
        }
        fs::create_dir(folder.path().join("d.xml")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("e.xml")).unwrap();
        let names: Vec<_> = in_folder(folder.path(), "xml").unwrap();
        assert_eq!(names, ["a.XML", "b.xml", "e.xml"].map(|name| folder.path().join(name)));
        assert_eq!(in_folder(&folder.path().join("none"), "xml").unwrap(), [] as [PathBuf; 0]);
        assert_eq!(read_at_most(&names[0], 3).unwrap(), b"1234");
        assert_eq!(read_at_most(&names[0], 5).unwrap(), b"12345");
    }
}
