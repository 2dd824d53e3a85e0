use super::*;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use tokio::net::UnixListener;

#[tokio::test]
async fn an_agent_that_hangs_up_is_asked_again_when_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    let places = Places { state: inside("state"), keys: inside("keys"), runtime: inside("run") };
    fs::create_dir(&places.runtime).unwrap();
    let listener = UnixListener::bind(places.socket()).unwrap();
    let hangs_up = tokio::spawn(async move {
        while let Ok((call, _)) = listener.accept().await {
            drop(call);
        }
    });
    let lock = File::create(places.lock()).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let patience = Duration::from_millis(20);
    let error = wanted_now(&places, patience).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(failure) if failure.message.contains("does not end")), "{error}");
    drop(lock);
    // It has ended, and another one hangs up too: nobody knows what that one keeps.
    assert!(matches!(wanted_now(&places, ENDING).await, Err(Error::Agent(ClientError::Gone))));
    hangs_up.abort();
    fs::remove_file(places.socket()).unwrap();
    assert_eq!(wanted_now(&places, patience).await.ok(), Some(None));
}
