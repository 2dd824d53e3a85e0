use super::super::error::FileError;
use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tempfile::TempDir;

fn folder() -> (TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::make(&temp.path().join("a/b")).unwrap();
    (temp, folder)
}

fn names(folder: &Folder) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(&folder.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn refusal(folder: &Folder, name: &str) -> Refused {
    match folder.read(name, 100) {
        Err(FileError::Refused { why, file }) => {
            assert_eq!(file, folder.path(name));
            why
        }
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn what_is_written_is_read_and_is_for_this_user_alone() {
    let (_temp, folder) = folder();
    assert_eq!(folder.read("x", 10).unwrap(), None);
    folder.write("x", b"one").unwrap();
    folder.write("x", b"two").unwrap();
    assert_eq!(*folder.read("x", 3).unwrap().unwrap(), b"two");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&folder.path("x")), mode(&folder.path)), (0o600, 0o700));
    assert_eq!(names(&folder), ["x"]);
    assert!(folder.remove("x").unwrap() && !folder.remove("x").unwrap());
    assert!(Folder::existing(&folder.path("none")).unwrap().is_none());
}

#[test]
fn files_that_others_may_have_touched_are_refused_and_stay() {
    let (_temp, folder) = folder();
    fs::write(folder.path("wide"), "x").unwrap();
    for mode in [0o640, 0o602, 0o610, 0o4604] {
        fs::set_permissions(folder.path("wide"), Permissions::from_mode(mode)).unwrap();
        assert_eq!(refusal(&folder, "wide"), Refused::Mode(mode));
    }
    folder.write("target", b"x").unwrap();
    symlink("target", folder.path("link")).unwrap();
    symlink("nowhere", folder.path("dangling")).unwrap();
    assert_eq!(refusal(&folder, "link"), Refused::Link);
    assert_eq!(refusal(&folder, "dangling"), Refused::Link);
    fs::create_dir(folder.path("folder")).unwrap();
    assert_eq!(refusal(&folder, "folder"), Refused::NotAFile);
    // Nobody writes to this pipe: it must not be waited for.
    rustix::fs::mkfifoat(&folder.open, "pipe", Mode::RUSR | Mode::WUSR).unwrap();
    assert_eq!(refusal(&folder, "pipe"), Refused::NotAFile);
    folder.write("long", &[0; 101]).unwrap();
    assert_eq!(refusal(&folder, "long"), Refused::TooLong(100));
    assert_eq!(names(&folder), ["dangling", "folder", "link", "long", "pipe", "target", "wide"]);
}

#[test]
fn another_users_file_is_refused() {
    let (_temp, folder) = folder();
    folder.write("x", b"x").unwrap();
    if std::os::unix::fs::chown(folder.path("x"), Some(4711), None).is_err() {
        let _ = writeln!(
            io::stderr(),
            "left out: another_users_file_is_refused (only root can give a file away)"
        );
        return;
    }
    assert_eq!(refusal(&folder, "x"), Refused::Owner(4711));
}

#[test]
fn writing_replaces_a_link_and_not_what_it_points_to() {
    let (temp, folder) = folder();
    let victim = temp.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path("x")).unwrap();
    folder.write("x", b"new").unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(*folder.read("x", 10).unwrap().unwrap(), b"new");
}

/// A writer killed at each of its steps leaves the old content, and what it left is gone after the next write.
#[test]
fn a_killed_writer_tears_nothing() {
    let (_temp, folder) = folder();
    folder.write("x", b"old").unwrap();
    let temporary = temporary_name().unwrap();
    for content in [&b""[..], b"n", b"new"] {
        folder.write_temporary(&temporary, content).unwrap();
        assert_eq!(*folder.read("x", 10).unwrap().unwrap(), b"old");
        fs::remove_file(folder.path(&temporary)).unwrap();
    }
    // The same twice over, and two that only look like it.
    folder.write_temporary(&temporary, b"ne").unwrap();
    folder.write_temporary(&temporary_name().unwrap(), b"new").unwrap();
    for name in [".ikeep-notes.tmp", ".ikeep-0123456789abcdef.tmp.txt"] {
        fs::write(folder.path(name), "mine").unwrap();
    }
    folder.write("y", b"y").unwrap();
    assert_eq!(names(&folder), [".ikeep-0123456789abcdef.tmp.txt", ".ikeep-notes.tmp", "x", "y"]);
}

#[test]
fn a_write_that_fails_leaves_the_old_content_and_no_rest() {
    let (_temp, folder) = folder();
    folder.write("x", b"old").unwrap();
    fs::create_dir_all(folder.path("d/full")).unwrap();
    let error = folder.write("d", b"new").unwrap_err().to_string();
    assert!(error.starts_with(&format!("{} cannot be written: ", folder.path("d").display())), "{error}");
    assert_eq!(names(&folder), ["d", "x"]);
    // The folder went away under its open descriptor.
    fs::remove_dir_all(&folder.path).unwrap();
    assert!(folder.write("x", b"new").is_err());
    assert!(!folder.path.exists());
}

#[test]
fn damaged_files_are_moved_aside_and_not_lost() {
    let (_temp, folder) = folder();
    folder.write("x", b"first").unwrap();
    assert_eq!(folder.move_aside("x"), Some(folder.path("x.damaged")));
    folder.write("x", b"second").unwrap();
    folder.move_aside("x");
    assert_eq!(names(&folder), ["x.damaged"]);
    assert_eq!(*folder.read("x.damaged", 10).unwrap().unwrap(), b"second");
    assert_eq!(folder.move_aside("x"), None);
}
