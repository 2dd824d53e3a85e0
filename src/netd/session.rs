//! One client: let in or not, and what it asks, one request at a time.

use super::access::{Access, Because};
use super::keeper::{Reply, Request, Task};
use super::limit::{Bucket, PerUser};
use crate::ipc::helper::{Answer, Ask, Channel, ChannelError, PROTOCOL, Peer, Refusal, RefusalKind};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Clients that may be let in at a time.
const MAX_CLIENTS: usize = 8;
/// Connections of one user at a time.
const MAX_PER_USER: usize = 2;
/// A client says hello within this time, and takes each answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests of one client: as many at once, and one more after each such time.
const REQUESTS: (u32, Duration) = (100, Duration::from_millis(20));
/// Connections of one user: as many at once, and one more after each such time.
const CONNECTIONS: (u32, Duration) = (20, Duration::from_millis(100));
/// Lines of the log about one user: as many at once, and one more after each such time.
const COMPLAINTS: (u32, Duration) = (20, Duration::from_secs(1));

/// The clock, from outside.
pub(super) type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What all clients of a helper share.
#[derive(Clone)]
pub(super) struct House {
    pub(super) access: Arc<Access>,
    pub(super) keeper: mpsc::Sender<Request>,
    pub(super) clock: Clock,
    desk: Arc<Mutex<Desk>>,
}

/// Who is there.
struct Desk {
    present: BTreeMap<u32, usize>,
    admitted: usize,
    connections: PerUser,
    complaints: PerUser,
    /// Users of whom something stands.
    holders: BTreeSet<u32>,
}

impl House {
    pub(super) fn new(access: Access, keeper: mpsc::Sender<Request>, clock: Clock) -> Self {
        let desk = Desk {
            present: BTreeMap::new(),
            admitted: 0,
            connections: PerUser::new(CONNECTIONS.0, CONNECTIONS.1),
            complaints: PerUser::new(COMPLAINTS.0, COMPLAINTS.1),
            holders: BTreeSet::new(),
        };
        Self { access: Arc::new(access), keeper, clock, desk: Arc::new(Mutex::new(desk)) }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Numbers only: they are right after each line.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose tunnel or kill switch stands now.
    pub(super) fn set_holders(&self, holders: BTreeSet<u32>) {
        self.desk().holders = holders;
    }

    fn has_something(&self, uid: u32) -> bool {
        self.desk().holders.contains(&uid)
    }

    /// Says in the log whom something was refused, and why; not more often than anybody could read.
    fn complain(&self, peer: Peer, reason: &str) {
        let Peer { uid, pid, .. } = peer;
        let spoken = self.desk().complaints.take((self.clock)(), uid);
        match spoken {
            Some(0) => tracing::warn!(uid, pid, reason, "refused"),
            Some(unsaid) => tracing::warn!(uid, pid, reason, unsaid, "refused, and more before that"),
            None => {}
        }
    }
}

/// A connection that is counted as long as this lives.
struct Place<'h> {
    house: &'h House,
    uid: u32,
    admitted: bool,
}

impl<'h> Place<'h> {
    /// A place, unless this user has too many.
    fn take(house: &'h House, uid: u32) -> Result<Self, &'static str> {
        let now = (house.clock)();
        let mut desk = house.desk();
        if desk.connections.take(now, uid).is_none() {
            return Err("too many connections in a short time: wait a little");
        }
        let present = desk.present.entry(uid).or_default();
        if *present >= MAX_PER_USER {
            return Err("too many connections of yours: end some");
        }
        *present += 1;
        drop(desk);
        Ok(Self { house, uid, admitted: false })
    }

    fn admit(&mut self) -> Result<(), &'static str> {
        let mut desk = self.house.desk();
        if desk.admitted >= MAX_CLIENTS {
            return Err("too many clients: end some");
        }
        desk.admitted += 1;
        self.admitted = true;
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut desk = self.house.desk();
        if let Some(present) = desk.present.get_mut(&self.uid) {
            *present = present.saturating_sub(1);
            if *present == 0 {
                desk.present.remove(&self.uid);
            }
        }
        if self.admitted {
            desk.admitted = desk.admitted.saturating_sub(1);
        }
    }
}

/// Why a client is sent away.
enum End {
    /// It has gone by itself.
    Gone,
    /// It is told this.
    Told(Refusal),
    /// It takes no answers, or says nothing.
    Silent(&'static str),
}

/// Serves the client with this number until it goes or is sent away.
pub(super) async fn serve(house: House, client: u64, socket: OwnedFd) {
    let asked = Peer::of(&socket).and_then(|peer| Ok((peer, Peer::groups(&socket)?)));
    let (peer, groups, channel) = match asked
        .and_then(|(peer, groups)| Ok((peer, groups, Channel::new(socket)?)))
    {
        Ok(known) => known,
        Err(error) => return tracing::warn!(%error, "a client whom the kernel does not know is sent away"),
    };
    let end = attend(&house, client, peer, &groups, &channel).await;
    match end {
        End::Gone => {}
        End::Told(refusal) => {
            house.complain(peer, &refusal.message);
            let _ = timeout(PATIENCE, channel.send(&Answer::Refused(refusal), None)).await;
        }
        End::Silent(why) => house.complain(peer, why),
    }
}

async fn attend(house: &House, client: u64, peer: Peer, groups: &[u32], channel: &Channel) -> End {
    let mut place = match Place::take(house, peer.uid) {
        Ok(place) => place,
        Err(why) => return told(RefusalKind::Request, why),
    };
    // Whoever has something here can always give it back, and go on with it: their screen may be locked by now.
    let allowed = match house.has_something(peer.uid) {
        true => Ok(Because::Holder),
        false => house.access.check(peer, groups).await,
    };
    let because = match allowed {
        Ok(because) => because,
        Err(why) => {
            let group = &house.access.group;
            let message = format!(
                "you may not change this machine's network ({why}): let an administrator add you to the group {group} \
                 (`sudo usermod -aG {group} NAME`, then log in anew), or do without (`--tunnel proxy`)"
            );
            return told(RefusalKind::NotAllowed, &message);
        }
    };
    if let Err(why) = place.admit() {
        return told(RefusalKind::Request, why);
    }
    if let Err(end) = greet(channel).await {
        return end;
    }
    tracing::debug!(uid = peer.uid, pid = peer.pid, ?because, "a client was let in");
    let end = requests(house, client, peer, channel).await;
    // Heard before the place is free: whoever comes next finds the tunnel as this one left it.
    ask(house, client, peer.uid, Task::Gone).await;
    end
}

/// The first message.
async fn greet(channel: &Channel) -> Result<(), End> {
    let version = env!("CARGO_PKG_VERSION");
    match timeout(PATIENCE, channel.receive::<Ask>()).await {
        Err(_) => Err(End::Silent("no hello came")),
        Ok(Err(error)) => Err(misread(&error)),
        Ok(Ok((Ask::Hello { protocol: PROTOCOL, .. }, None))) => {
            let welcome = Answer::Welcome { protocol: PROTOCOL, version: version.to_owned() };
            send(channel, (welcome, None)).await
        }
        Ok(Ok((Ask::Hello { protocol, .. }, None))) => {
            let message = format!(
                "this helper (ikeep-netd {version}) speaks protocol {PROTOCOL}, you {protocol}: install the same version \
                 of both, then `sudo systemctl restart ikeep-netd`"
            );
            Err(told(RefusalKind::Version, &message))
        }
        Ok(Ok(_)) => Err(told(RefusalKind::Request, "the first message has to be a hello")),
    }
}

async fn requests(house: &House, client: u64, peer: Peer, channel: &Channel) -> End {
    let mut bucket = Bucket::new((house.clock)(), REQUESTS.0, REQUESTS.1);
    loop {
        let received = channel.receive::<Ask>().await;
        if !bucket.take((house.clock)()) {
            return told(RefusalKind::Request, "too many requests in a short time");
        }
        let task = match received {
            Ok((Ask::Tun {}, device)) => Task::Tun(device),
            Ok((Ask::Udp { ipv6 }, None)) => Task::Udp { ipv6 },
            Ok((Ask::Tcp { ipv6 }, None)) => Task::Tcp { ipv6 },
            Ok((Ask::Guard { guard }, None)) => Task::Guard(guard),
            Ok((Ask::Standing {}, None)) => Task::Standing,
            Ok((Ask::Apply { network }, None)) => Task::Apply(Box::new(network)),
            Ok((Ask::Gap { seconds }, None)) => Task::Gap { seconds },
            Ok((Ask::Revert {}, None)) => Task::Revert,
            Ok((Ask::Hello { .. }, _)) => return told(RefusalKind::Request, "a second hello"),
            Ok((_, Some(_))) => return told(RefusalKind::Request, "a descriptor where none belongs"),
            Err(error) => return misread(&error),
        };
        let Some(reply) = ask(house, client, peer.uid, task).await else { return End::Gone };
        if let (Answer::Refused(refusal), _) = &reply {
            house.complain(peer, &refusal.message);
        }
        if let Err(end) = send(channel, reply).await {
            return end;
        }
    }
}

/// Hands a request to the keeper and waits; `None`: the helper ends, or there is no answer to this.
async fn ask(house: &House, client: u64, uid: u32, task: Task) -> Option<Reply> {
    let (reply, answer) = oneshot::channel();
    house.keeper.send(Request { client, uid, task, reply }).await.ok()?;
    answer.await.ok()
}

async fn send(channel: &Channel, (answer, beside): Reply) -> Result<(), End> {
    use std::os::fd::AsFd as _;
    match timeout(PATIENCE, channel.send(&answer, beside.as_ref().map(|fd| fd.as_fd()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ChannelError::TooLong)) => {
            Err(told(RefusalKind::Machine, "the answer is too long to be sent"))
        }
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Silent("an answer was not taken")),
    }
}

fn misread(error: &ChannelError) -> End {
    match error {
        ChannelError::Closed | ChannelError::Io(_) => End::Gone,
        error => told(RefusalKind::Request, &error.to_string()),
    }
}

fn told(kind: RefusalKind, message: &str) -> End {
    End::Told(Refusal { kind, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    /// More than any socket's buffer holds.
    const MANY: usize = 100_000;

    #[tokio::test]
    async fn who_takes_no_answers_is_given_up() {
        let (ours, _theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let channel = Channel::new(ours).unwrap();
        for _ in 0..MANY {
            match send(&channel, (Answer::Udp {}, None)).await {
                Ok(()) => {}
                Err(End::Silent(why)) => return assert_eq!(why, "an answer was not taken"),
                Err(_) => panic!("given up for another reason"),
            }
        }
        panic!("the client was never given up");
    }
}
