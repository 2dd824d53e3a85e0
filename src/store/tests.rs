use super::*;
use crate::crypto::{Random, Secret};
use crate::ipc::Connect;
use crate::time::UnixTime;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const HOST: &str = "flexvpn-c8kv.example.com";
const TOKEN: &[u8] = b"canary token of the store";

fn session(host: &str, last_contact: u64) -> Session {
    Session {
        host_name: "FlexVPN C8KV".into(),
        host_address: host.into(),
        id: b"rIUHKccDRiUtFTATwq".to_vec(),
        token: Secret::from(TOKEN),
        ticket: None,
        user: "user1".into(),
        peer: "10.9.0.1:4500".parse().unwrap(),
        addresses: vec!["192.168.20.5".parse().unwrap()],
        group: 19,
        root_key: Some([7; 20]),
        window: Duration::from_secs(900),
        issued: UnixTime::from_secs(1_796_000_000),
        last_contact: UnixTime::from_secs(last_contact),
    }
}

fn places() -> (TempDir, Places) {
    let temp = tempfile::tempdir().unwrap();
    let places = Places::inside(temp.path());
    (temp, places)
}

/// Every file below `folder`, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    paths.sort();
    paths
}

fn only_file(places: &Places, extension: &str) -> PathBuf {
    let with = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    let found: Vec<PathBuf> = files(&places.state).into_iter().filter(with).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn texts(notes: &[Note]) -> String {
    notes.iter().map(|note| format!("{note}\n")).collect()
}

/// Puts a file there as an earlier save would have, whatever is in it.
fn plant(file: &Path, content: impl AsRef<[u8]>) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// A folder in which no key can be kept.
fn no_keys(places: &Places) {
    fs::write(&places.keys, "in the way").unwrap();
}

#[tokio::test]
async fn a_session_is_sealed_and_comes_back_from_a_new_store() {
    let (temp, places) = places();
    let mut store = Store::in_files(&places);
    assert!(store.load(HOST).await.session.is_none());
    assert_eq!(files(temp.path()), [] as [PathBuf; 0], "nothing is made by looking");

    let saved = store.save(&session(HOST, 1)).await.unwrap();
    assert!(saved.kept == Kept::Sealed && saved.changed && saved.notes.is_empty(), "{saved:?}");
    let again = store.save(&session(HOST, 2)).await.unwrap();
    assert!(again.kept == Kept::Sealed && !again.changed);

    let loaded = Store::in_files(&places).load("FlexVPN-C8KV.example.com.").await;
    assert_eq!(loaded.session, Some(session(HOST, 2)));
    assert!(loaded.notes.is_empty());
    assert!(Store::in_files(&places).load("other.example.com").await.session.is_none());

    let all = files(temp.path());
    assert_eq!(all.len(), 2, "one session, one key: {all:?}");
    for file in &all {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let content = fs::read(file).unwrap();
        assert!(!content.windows(9).any(|part| part == &TOKEN[..9] || part == b"flexvpn-c"), "{file:?}");
        assert!(!file.to_string_lossy().contains("flexvpn"));
    }
}

#[tokio::test]
async fn two_gateways_have_a_session_each() {
    let (_temp, places) = places();
    let mut store = Store::in_files(&places);
    store.save(&session(HOST, 1)).await.unwrap();
    store.save(&session("other.example.com", 2)).await.unwrap();
    store.erase(HOST).await.unwrap();
    assert!(store.load(HOST).await.session.is_none());
    assert_eq!(store.load("other.example.com").await.session.unwrap().last_contact, UnixTime::from_secs(2));
    store.erase("other.example.com").await.unwrap();
    assert_eq!(files(&places.state), [] as [PathBuf; 0]);
    // There is nothing to erase any more, and that is fine.
    store.erase(HOST).await.unwrap();
}

#[tokio::test]
async fn without_a_place_for_the_key_it_is_plain_and_said_once() {
    let (_temp, places) = places();
    no_keys(&places);
    let mut store = Store::in_files(&places);
    let saved = store.save(&session(HOST, 1)).await.unwrap();
    assert!(saved.kept == Kept::Plain && saved.changed);
    let told = texts(&saved.notes);
    let plain = only_file(&places, "plain");
    assert!(told.starts_with(&format!("the session is kept unsealed in {}", plain.display())), "{told}");
    assert!(told.contains(&places.keys.display().to_string()), "{told}");
    assert!(!store.save(&session(HOST, 2)).await.unwrap().changed);
    assert_eq!(store.load(HOST).await.session, Some(session(HOST, 2)));

    // The key can be kept again: sealed, and the plain copy is gone.
    fs::remove_file(&places.keys).unwrap();
    let saved = store.save(&session(HOST, 3)).await.unwrap();
    assert!(saved.kept == Kept::Sealed && saved.changed && saved.notes.is_empty());
    assert!(!plain.exists());

    // And the other way round: only the last one is there.
    fs::remove_dir_all(&places.keys).unwrap();
    no_keys(&places);
    assert_eq!(store.save(&session(HOST, 4)).await.unwrap().kept, Kept::Plain);
    assert_eq!(files(&places.state), [plain]);
}

#[tokio::test]
async fn the_newest_of_two_copies_counts() {
    let (_temp, places) = places();
    for (sealed, plain) in [(5, 6), (6, 5)] {
        let mut store = Store::in_files(&places);
        store.save(&session(HOST, sealed)).await.unwrap();
        // A writer killed before it removed the other copy.
        let file = only_file(&places, "sealed").with_extension("plain");
        plant(&file, session(HOST, plain).encode().expose());
        let loaded = store.load(HOST).await;
        assert_eq!(loaded.session, Some(session(HOST, 6)), "sealed {sealed}, plain {plain}");
        assert!(loaded.notes.is_empty());
        store.erase(HOST).await.unwrap();
    }
}

#[tokio::test]
async fn a_torn_or_foreign_sealed_file_is_put_aside_and_told() {
    let (_temp, places) = places();
    let mut store = Store::in_files(&places);
    store.save(&session(HOST, 1)).await.unwrap();
    let file = only_file(&places, "sealed");
    let sound = fs::read(&file).unwrap();
    store.save(&session("other.example.com", 1)).await.unwrap();
    let other = files(&places.state.join("sessions")).into_iter().find(|path| *path != file).unwrap();
    let foreign = fs::read(&other).unwrap();

    for content in [&sound[..sound.len() - 1], &sound[..4], b"", b"something else", &foreign] {
        plant(&file, content);
        let loaded = store.load(HOST).await;
        assert_eq!(loaded.session, None);
        let told = texts(&loaded.notes);
        assert!(told.contains(&format!("{} is damaged", file.display())), "{told}");
        let aside = file.with_extension("sealed.damaged");
        assert!(told.contains(&format!("it is now {}", aside.display())), "{told}");
        assert_eq!(fs::read(&aside).unwrap(), content, "moved, not lost");
        assert!(store.load(HOST).await.notes.is_empty(), "told once");
    }
    assert!(other.exists() && store.load("other.example.com").await.session.is_some());
    store.erase(HOST).await.unwrap();
    assert_eq!(files(&places.state), [other], "what was put aside is erased too");
}

#[tokio::test]
async fn a_plain_file_of_another_gateway_or_no_session_is_put_aside() {
    let (_temp, places) = places();
    no_keys(&places);
    let mut store = Store::in_files(&places);
    store.save(&session(HOST, 1)).await.unwrap();
    let file = only_file(&places, "plain");
    plant(&file, session("other.example.com", 2).encode().expose());
    let loaded = store.load(HOST).await;
    assert_eq!(loaded.session, None, "law 5");
    assert!(texts(&loaded.notes).contains("a session with another gateway"));

    store.save(&session(HOST, 1)).await.unwrap();
    plant(&file, "{");
    let loaded = store.load(HOST).await;
    assert!(loaded.session.is_none() && file.with_extension("plain.damaged").exists());

    // A newer program's stays where it is.
    store.save(&session(HOST, 1)).await.unwrap();
    plant(&file, r#"{"version":7}"#);
    let loaded = store.load(HOST).await;
    assert!(loaded.session.is_none() && file.exists());
    assert!(texts(&loaded.notes).contains("has format 7"), "{}", texts(&loaded.notes));
}

#[tokio::test]
async fn a_file_that_others_can_read_is_not_believed_but_replaced() {
    let (_temp, places) = places();
    let mut store = Store::in_files(&places);
    store.save(&session(HOST, 1)).await.unwrap();
    let file = only_file(&places, "sealed");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let loaded = store.load(HOST).await;
    assert!(loaded.session.is_none() && file.exists());
    assert!(texts(&loaded.notes).contains("its mode 0644 lets others in"), "{}", texts(&loaded.notes));
    store.save(&session(HOST, 2)).await.unwrap();
    assert_eq!(store.load(HOST).await.session, Some(session(HOST, 2)));
}

#[tokio::test]
async fn keys_that_are_lost_damaged_or_known_to_others() {
    let (_temp, places) = places();
    let key = places.keys.join("session.key");
    let mut store = Store::in_files(&places);
    store.save(&session(HOST, 1)).await.unwrap();

    // Lost: the sealed file may be of use once the key is back.
    let content = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let loaded = store.load(HOST).await;
    assert!(loaded.session.is_none());
    assert!(texts(&loaded.notes).contains("cannot be opened without its key"), "{}", texts(&loaded.notes));
    plant(&key, &content);
    assert_eq!(store.load(HOST).await.session, Some(session(HOST, 1)));

    // Torn: put aside, a new one is made.
    plant(&key, &content[..31]);
    let loaded = store.load(HOST).await;
    assert!(loaded.session.is_none() && texts(&loaded.notes).contains("a key of 31 octets"));
    assert_eq!(fs::read(key.with_extension("key.damaged")).unwrap().len(), 31);
    assert_eq!(store.save(&session(HOST, 2)).await.unwrap().kept, Kept::Sealed);
    assert_eq!(store.load(HOST).await.session, Some(session(HOST, 2)));
    assert_ne!(fs::read(&key).unwrap(), content);

    // Known to others: a seal made with it would promise what it does not keep.
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let saved = store.save(&session(HOST, 3)).await.unwrap();
    assert_eq!(saved.kept, Kept::Plain);
    assert!(texts(&saved.notes).contains("lets others in"), "{}", texts(&saved.notes));
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_is_said_with_the_way_out() {
    let (_temp, places) = places();
    fs::write(&places.state, "in the way").unwrap();
    let mut store = Store::in_files(&places);
    let error = store.save(&session(HOST, 1)).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, StoreError::NotKept(_)));
    assert!(told.contains(&places.state.display().to_string()), "{told}");
    assert!(told.ends_with("a new login is needed once the agent has ended"), "{told}");
    let loaded = store.load(HOST).await;
    assert!(loaded.session.is_none() && !loaded.notes.is_empty());
}

/// Law 10, for the store: after any step of a save at which the agent is killed, the old session is there or the new one.
#[tokio::test]
async fn a_save_killed_at_any_step_leaves_a_session() {
    let (_temp, places) = places();
    let mut store = Store::in_files(&places);
    store.save(&session(HOST, 1)).await.unwrap();
    let folder = places.state.join("sessions");
    let sealed = fs::read(only_file(&places, "sealed")).unwrap();
    for length in [0, 1, sealed.len()] {
        let rest = folder.join(".ikeep-0123456789abcdef.tmp");
        plant(&rest, &sealed[..length]);
        let loaded = Store::in_files(&places).load(HOST).await;
        assert_eq!(loaded.session, Some(session(HOST, 1)));
        assert!(loaded.notes.is_empty());
        assert!(rest.exists(), "looking changes nothing");
    }
    store.save(&session(HOST, 2)).await.unwrap();
    assert_eq!(files(&folder).len(), 1, "what the killed ones left is gone");
    assert_eq!(store.load(HOST).await.session, Some(session(HOST, 2)));
}

/// What is begun is finished in its order, even where nobody waits for it.
#[tokio::test]
async fn a_dropped_save_does_not_overtake_the_next() {
    let (_temp, places) = places();
    let mut store = Store::in_files(&places);
    for last_contact in 1..20 {
        let late = session(HOST, last_contact);
        {
            // Polled once, which gives the work to its thread, and dropped.
            let mut save = std::pin::pin!(store.save(&late));
            assert!(
                std::future::poll_fn(|context| {
                    std::task::Poll::Ready(save.as_mut().poll(context).is_pending())
                })
                .await
            );
        }
        store.erase(HOST).await.unwrap();
        assert!(store.load(HOST).await.session.is_none(), "{last_contact}");
    }
}

#[tokio::test]
async fn the_intent_outlives_the_agent() {
    let (_temp, places) = places();
    let nothing = Intent::load(&places);
    assert!(nothing.0 == Intent::default() && nothing.1.is_empty() && !places.state.exists());
    let last = Connect { host: Some(HOST.into()), user: Some("test".into()), ..Connect::default() };
    let wanted = Intent { wanted: true, last: Some(last) };
    wanted.save(&places).await.unwrap();
    assert_eq!(Intent::load(&places).0, wanted);
    Intent { wanted: false, ..wanted.clone() }.save(&places).await.unwrap();
    assert_eq!(Intent::load(&places).0, Intent { wanted: false, ..wanted });
    let file = places.state.join("intent.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // Law 1: what cannot be read sends nothing.
    for (content, aside) in [
        (r#"{"version":1,"wanted":"#, true),
        (r#"{"version":1}"#, true),
        (r#"{"version":2,"wanted":true}"#, false),
    ] {
        plant(&file, content);
        let (intent, notes) = Intent::load(&places);
        assert_eq!((intent, notes.len(), !file.exists()), (Intent::default(), 1, aside), "{content}");
    }
    // Members of a later program of the same format do no harm.
    plant(&file, r#"{"version":1,"wanted":true,"last":{"host":"a","new":1},"more":[]}"#);
    assert!(Intent::load(&places).0.wanted);

    fs::remove_dir_all(&places.state).unwrap();
    fs::write(&places.state, "in the way").unwrap();
    let error = Intent::default().save(&places).await.unwrap_err().to_string();
    assert!(error.contains(&places.state.display().to_string()), "{error}");
}

struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        self.0 += 1;
        out.fill(self.0);
    }
}

#[test]
fn the_device_id_is_made_once() {
    let (_temp, places) = places();
    let mut random = Counter(0);
    let (id, notes) = device_id(&places, &mut random);
    assert_eq!((id.as_str(), notes.len()), ("01010101010101010101010101010101", 0));
    assert_eq!(device_id(&places, &mut random).0, id);
    let file = places.state.join("device-id");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for content in ["", "01", "0101010101010101010101010101010g", "ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿ"] {
        plant(&file, content);
        let (new, notes) = device_id(&places, &mut random);
        assert!(new != id && notes.len() == 1, "{content}");
        assert_eq!(device_id(&places, &mut random).0, new);
    }
    fs::remove_dir_all(&places.state).unwrap();
    fs::write(&places.state, "in the way").unwrap();
    let (id, notes) = device_id(&places, &mut random);
    assert!(id.len() == 32 && !notes.is_empty(), "{notes:?}");
}
