use super::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::io::Read as _;

fn lines(number: usize) -> Lines {
    Lines { table: ESP_TABLE, text: Zeroizing::new(format!("line {number}\n")) }
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody_and_gets_what_there_is_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let log = KeyLog::open(&keys).await.unwrap();
    let table = keys.join(ESP_TABLE);
    mknodat(CWD, &table, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    (0..3 * ROOM).for_each(|number| log.0.push(lines(number)));
    assert!(!log.flush(Duration::from_millis(10)), "there is nobody to read it");
    // The disk is back. One end of the pipe stays open, since each set of lines opens and closes the other.
    let _open = File::options().read(true).write(true).open(&table).unwrap();
    let mut pipe = File::open(&table).unwrap();
    assert!(log.flush(Duration::from_secs(20)));
    let mut text = vec![0; 64 << 10];
    let count = pipe.read(&mut text).unwrap();
    let text = String::from_utf8(text[..count].to_vec()).unwrap();
    let kept = text.lines().count();
    // One more was on its way, and made room for whichever came next.
    assert!((ROOM..=ROOM + 1).contains(&kept), "{kept}");
    assert!(text.lines().take(ROOM).enumerate().all(|(at, line)| line == format!("line {at}")), "{text}");
}

#[tokio::test]
async fn both_tables_are_this_users_alone_and_so_is_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let log = KeyLog::open(&keys).await.unwrap();
    (0..3).for_each(|number| log.0.push(lines(number)));
    assert!(log.flush(Duration::from_secs(20)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys), mode(&keys.join(ESP_TABLE))), (0o700, 0o600));
    assert_eq!(fs::read_to_string(keys.join(ESP_TABLE)).unwrap(), "line 0\nline 1\nline 2\n");
    fs::set_permissions(&keys, Permissions::from_mode(0o750)).unwrap();
    let error = KeyLog::open(&keys).await.unwrap_err().to_string();
    assert!(error.contains("others can read it"), "{error}");
}
