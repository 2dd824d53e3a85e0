//! A thousand clients at once.

use super::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CROWD: usize = 1000;

/// Both ends of each client's connection are in this process.
fn descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// What a client sends, and gets back.
fn words(client: usize, length: usize) -> Vec<u8> {
    octets(1_000_003 * client as u64, length)
}

/// One in ten floods and reads nothing, one in ten breaks off, the others close one way and read the echo to its end. Nobody waits
/// for those who do not read.
#[tokio::test]
async fn a_crowd_is_served_though_some_read_nothing_and_some_break_off() {
    descriptors();
    let stand = stand(Some(plan()), Far::Echo).await;
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        clients.push(connected(&stand).await);
    }
    let (mut stalled, mut others) = (Vec::new(), Vec::new());
    for (number, mut client) in clients.into_iter().enumerate() {
        match number % 10 {
            0 => {
                let (read, mut write) = client.into_split();
                let flood = words(number, 500_000);
                stalled.push(read);
                others.push(tokio::spawn(async move {
                    // What the kernel does not take for it stays where it is, for as long as nobody reads.
                    write.write_all(&flood).await.unwrap();
                }));
            }
            1 => {
                client.write_all(&words(number, 3000)).await.unwrap();
                client.set_zero_linger().unwrap();
            }
            _ => others.push(tokio::spawn(async move {
                client.write_all(&words(number, 8_000)).await.unwrap();
                client.shutdown().await.unwrap();
                let mut got = Vec::new();
                timeout(3 * PATIENCE, client.read_to_end(&mut got)).await.expect("an end").unwrap();
                assert!(got == words(number, 8_000), "{number}: {} octets", got.len());
            })),
        }
    }
    let (floods, whole): (Vec<_>, Vec<_>) = {
        let mut number = 0..;
        others.into_iter().partition(|_| number.next().is_some_and(|number: usize| number.is_multiple_of(9)))
    };
    for task in whole {
        timeout(3 * PATIENCE, task).await.expect("nobody waits for those who do not read").unwrap();
    }
    drop(stalled);
    floods.iter().for_each(JoinHandle::abort);
}
