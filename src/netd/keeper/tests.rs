use super::*;
use crate::ipc::helper::Applied;
use crate::netd::dns::DnsError;
use crate::netd::machine::{MachineError, Standing};
use crate::netd::net::Device;
use crate::tunnel::tun::OpenError;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use tempfile::TempDir;
use tokio::sync::Notify;

/// A machine that writes down what is done to it.
#[derive(Clone, Default)]
pub(super) struct Recording {
    pub(super) done: Rc<RefCell<Vec<String>>>,
    /// Plans with this MTU are refused.
    pub(super) refuses: u16,
    /// There is no nftables.
    pub(super) no_walls: bool,
    /// The kill switch, and what was said of it last.
    pub(super) walled: Rc<Cell<bool>>,
    pub(super) wall: Rc<RefCell<String>>,
    pub(super) changed: Rc<Notify>,
}

impl Recording {
    fn say(&self, what: impl Into<String>) {
        self.done.borrow_mut().push(what.into());
    }

    pub(super) fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.done.borrow_mut())
    }

    fn device(&self) -> Held {
        let (fd, _) = io::pipe().unwrap();
        Held { device: Device { name: "ikeep0".to_owned(), index: 7 }, offload: true, fd: fd.into() }
    }
}

impl Machine for Recording {
    fn open(&mut self) -> Result<Held, OpenError> {
        self.say("open");
        Ok(self.device())
    }

    fn adopt(&mut self, _: OwnedFd) -> Result<Held, OpenError> {
        self.say("adopt");
        Ok(self.device())
    }

    fn close(&mut self, _: Held) {
        self.say("close");
    }

    fn udp(&mut self, _: bool) -> io::Result<OwnedFd> {
        Ok(io::pipe()?.0.into())
    }

    fn tcp(&mut self, _: bool) -> io::Result<OwnedFd> {
        Ok(io::pipe()?.0.into())
    }

    async fn guard(&mut self, standing: Option<&Standing>) -> Result<(), MachineError> {
        if self.no_walls {
            let why = io::ErrorKind::Unsupported.into();
            return Err(crate::netd::net::NetError::Refused { doing: "wall".to_owned(), why }.into());
        }
        let Some(standing) = standing else {
            if self.walled.replace(false) {
                self.say("no guard");
            }
            return Ok(());
        };
        let Standing { guard, device, network, open } = standing;
        let device = device.as_ref().map_or("nothing", |device| &device.name);
        let mtu = network.as_ref().map_or(0, |network| network.mtu);
        let open = if *open { " open" } else { "" };
        let mut last = self.wall.borrow_mut();
        let now = format!("guard {:?} {device} {mtu}{open}", guard.mode);
        if self.walled.replace(true) && *last == now {
            return Ok(());
        }
        last.clone_from(&now);
        self.say(now);
        Ok(())
    }

    async fn apply(&mut self, device: &Device, network: &Network, gap: Gap) -> Result<Applied, MachineError> {
        let gap = if gap == Gap::Open { " with a gap" } else { "" };
        self.say(format!("apply {} {}{gap}", device.name, network.mtu));
        if network.mtu == self.refuses {
            let source = io::ErrorKind::PermissionDenied.into();
            return Err(DnsError::Read { path: "/etc/resolv.conf".into(), source }.into());
        }
        Ok(Applied::default())
    }

    async fn revert(&mut self, device: Option<&Device>) -> Vec<String> {
        self.say(format!("revert {}", device.map_or("what is left", |device| &device.name)));
        Vec::new()
    }

    async fn changed(&mut self) {
        self.changed.notified().await;
    }
}

pub(super) struct Stage {
    pub(super) machine: Recording,
    pub(super) keeper: Keeper<Recording>,
    place: TempDir,
}

pub(super) const HOLD: Duration = Duration::from_millis(50);

impl Stage {
    pub(super) fn new(machine: Recording) -> Self {
        Self::at(machine, tempfile::tempdir().unwrap())
    }

    pub(super) fn at(machine: Recording, place: TempDir) -> Self {
        let folder = Folder::lock(place.path()).unwrap();
        let rules = Rules { hold: HOLD, hold_always: 100 * HOLD, users: place.path().join("passwd") };
        let keeper = Keeper::new(machine.clone(), rules, folder, Store::none());
        Self { machine, keeper, place }
    }

    /// The helper is killed: nothing of it is done any more.
    pub(super) fn killed(self) -> TempDir {
        drop(self.keeper);
        self.place
    }

    pub(super) async fn ask(&mut self, client: u64, uid: u32, task: Task) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.keeper.serve(Request { client, uid, task, reply }).await;
        answer.await.unwrap().0
    }

    pub(super) async fn gone(&mut self, client: u64) {
        let (reply, _answer) = oneshot::channel();
        self.keeper.serve(Request { client, uid: 0, task: Task::Gone, reply }).await;
    }

    pub(super) async fn wait(&mut self) -> Due {
        let due = self.keeper.due().await;
        self.keeper.obey(due).await;
        due
    }
}

pub(super) fn plan(mtu: u16) -> Task {
    Task::Apply(Box::new(Network {
        addresses: vec!["192.168.20.5".parse().unwrap()],
        mtu,
        ..Network::default()
    }))
}

pub(super) fn kind(answer: &Answer) -> Option<RefusalKind> {
    match answer {
        Answer::Refused(refusal) => Some(refusal.kind),
        _ => None,
    }
}

fn kept(answer: &Answer) -> Option<bool> {
    match answer {
        Answer::Tun(tun) => Some(tun.kept),
        _ => None,
    }
}

#[tokio::test]
async fn a_tunnel_from_its_beginning_to_its_end() {
    let mut stage = Stage::new(Recording::default());
    assert_eq!(kind(&stage.ask(1, 7, plan(1400)).await), Some(RefusalKind::Request), "no device yet");
    assert_eq!(kept(&stage.ask(1, 7, Task::Tun(None)).await), Some(false));
    assert_eq!(stage.ask(1, 7, plan(1400)).await, Answer::Applied(Applied::default()));
    assert_eq!(kind(&stage.ask(1, 7, plan(20)).await), Some(RefusalKind::Request), "out of range");
    assert_eq!(stage.ask(1, 7, Task::Revert).await, Answer::Reverted { problems: Vec::new() });
    assert_eq!(stage.machine.said(), ["open", "apply ikeep0 1400", "revert ikeep0", "close"]);
    assert_eq!(stage.ask(1, 7, Task::Revert).await, Answer::Reverted { problems: Vec::new() });
    assert_eq!(stage.machine.said(), [""; 0], "nothing to put back");
}

#[tokio::test]
async fn a_second_user_is_told_who_has_it() {
    let mut stage = Stage::new(Recording::default());
    std::fs::write(stage.place.path().join("passwd"), "anna:x:7:7::/:\n").unwrap();
    stage.ask(1, 7, Task::Tun(None)).await;
    for task in [Task::Tun(None), plan(1400), Task::Revert] {
        let Answer::Refused(refusal) = stage.ask(2, 8, task).await else { panic!("not refused") };
        assert_eq!(refusal.kind, RefusalKind::Taken);
        assert!(refusal.message.contains("anna (7)"), "{}", refusal.message);
    }
    stage.gone(2).await;
    stage.gone(1).await;
    assert_eq!(kind(&stage.ask(2, 8, Task::Tun(None)).await), Some(RefusalKind::Taken), "it is still kept");
    assert_eq!(stage.wait().await, Due::Over);
    assert_eq!(kept(&stage.ask(2, 8, Task::Tun(None)).await), Some(false));
}

#[tokio::test]
async fn the_tunnel_is_kept_for_the_agent_that_comes_back_and_no_longer() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    stage.machine.said();
    stage.gone(1).await;
    assert_eq!(kept(&stage.ask(2, 7, Task::Tun(None)).await), Some(true));
    assert_eq!(stage.machine.said(), [""; 0]);
    assert!(tokio::time::timeout(2 * HOLD, stage.keeper.due()).await.is_err(), "it is held again");
    // A connection that is not the holder's ends nothing, and changes nothing.
    stage.gone(1).await;
    assert_eq!(kind(&stage.ask(1, 7, plan(1300)).await), Some(RefusalKind::Request));
    assert!(tokio::time::timeout(2 * HOLD, stage.keeper.due()).await.is_err());
    stage.gone(2).await;
    assert_eq!(stage.wait().await, Due::Over);
    assert_eq!(stage.machine.said(), ["revert ikeep0", "close"]);
    assert!(stage.keeper.is_idle());
}

#[tokio::test]
async fn a_plan_that_fails_leaves_the_one_before_it() {
    let mut stage = Stage::new(Recording { refuses: 1300, ..Recording::default() });
    stage.ask(1, 7, Task::Tun(None)).await;
    assert_eq!(kind(&stage.ask(1, 7, plan(1300)).await), Some(RefusalKind::Machine));
    assert_eq!(stage.machine.said(), ["open", "apply ikeep0 1300", "revert ikeep0"]);
    stage.ask(1, 7, plan(1400)).await;
    assert_eq!(kind(&stage.ask(1, 7, plan(1300)).await), Some(RefusalKind::Machine));
    assert_eq!(stage.machine.said(), ["apply ikeep0 1400", "apply ikeep0 1300", "apply ikeep0 1400"]);
}

#[tokio::test]
async fn what_others_change_is_mended() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.machine.changed.notify_one();
    assert!(tokio::time::timeout(HOLD, stage.keeper.due()).await.is_err(), "nothing is applied yet");
    stage.ask(1, 7, plan(1400)).await;
    stage.machine.said();
    assert_eq!(stage.wait().await, Due::Changed);
    assert_eq!(stage.machine.said(), ["apply ikeep0 1400"]);
}

#[tokio::test]
async fn a_helper_goes_on_with_what_the_supervisor_kept() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    let place = stage.killed();
    let mut stage = Stage::at(Recording::default(), place);
    stage.keeper.begin(Some(io::pipe().unwrap().0.into())).await;
    assert_eq!(stage.machine.said(), ["adopt", "apply ikeep0 1400"]);
    assert_eq!(kind(&stage.ask(1, 8, Task::Tun(None)).await), Some(RefusalKind::Taken));
    assert_eq!(kept(&stage.ask(2, 7, Task::Tun(None)).await), Some(true));
    // Nobody comes back after the next death.
    let mut stage = Stage::at(Recording::default(), stage.killed());
    stage.keeper.begin(Some(io::pipe().unwrap().0.into())).await;
    stage.machine.said();
    assert_eq!(stage.wait().await, Due::Over);
    assert_eq!(stage.machine.said(), ["revert ikeep0", "close"]);
}

#[tokio::test]
async fn what_is_left_waits_for_the_agent_that_has_the_device() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    let mut stage = Stage::at(Recording::default(), stage.killed());
    stage.keeper.begin(None).await;
    assert_eq!(stage.machine.said(), [""; 0], "nothing leaves in the clear meanwhile");
    assert!(!stage.keeper.is_idle());
    assert_eq!(kept(&stage.ask(1, 7, Task::Tun(Some(io::pipe().unwrap().0.into()))).await), Some(false));
    assert_eq!(stage.machine.said(), ["adopt"]);
    // Nobody comes after the next death.
    let mut stage = Stage::at(Recording::default(), stage.killed());
    stage.keeper.begin(None).await;
    assert_eq!(stage.wait().await, Due::Over);
    assert_eq!(stage.machine.said(), ["revert what is left"]);
    assert!(stage.keeper.is_idle() && stage.keeper.folder.read().is_none());
}

#[tokio::test]
async fn what_is_left_is_put_back_before_somebody_else_has_a_tunnel() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Tun(None)).await;
    let mut stage = Stage::at(Recording::default(), stage.killed());
    stage.keeper.begin(None).await;
    assert_eq!(kept(&stage.ask(1, 8, Task::Tun(None)).await), Some(false));
    assert_eq!(stage.machine.said(), ["open", "revert what is left"]);
}

/// A tunnel of user 7, client 1, with a gap of five minutes, on whose machine nothing was said yet.
async fn with_a_gap() -> Stage {
    let mut stage = Stage::new(Recording::default());
    assert_eq!(kind(&stage.ask(1, 7, gap(300)).await), Some(RefusalKind::Request), "no device yet");
    stage.ask(1, 7, Task::Tun(None)).await;
    assert_eq!(kind(&stage.ask(1, 7, gap(300)).await), Some(RefusalKind::Request), "no plan yet");
    stage.ask(1, 7, plan(1400)).await;
    stage.machine.said();
    assert_eq!(stage.ask(1, 7, gap(300)).await, Answer::Applied(Applied::default()));
    assert_eq!(stage.machine.said(), ["apply ikeep0 1400 with a gap"]);
    stage
}

fn gap(seconds: u16) -> Task {
    Task::Gap { seconds }
}

const CLOSED: [&str; 1] = ["apply ikeep0 1400"];

#[tokio::test(start_paused = true)]
async fn a_gap_is_closed_at_its_end_and_plans_have_it_until_then() {
    let mut stage = with_a_gap().await;
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(299 * second, stage.keeper.due()).await.is_err(), "closed too soon");
    stage.ask(1, 7, plan(1300)).await;
    assert_eq!(stage.machine.said(), ["apply ikeep0 1300 with a gap"]);
    // The time begins anew with each request.
    stage.ask(1, 7, gap(10)).await;
    assert!(tokio::time::timeout(9 * second, stage.keeper.due()).await.is_err(), "closed too soon");
    stage.machine.said();
    assert_eq!(tokio::time::timeout(2 * second, stage.wait()).await, Ok(Due::GapOver));
    assert_eq!(stage.machine.said(), ["apply ikeep0 1300"]);
    assert!(tokio::time::timeout(1000 * second, stage.keeper.due()).await.is_err(), "the tunnel stays");
}

#[tokio::test(start_paused = true)]
async fn a_gap_ends_when_its_agent_wants_it_or_is_gone() {
    let mut stage = with_a_gap().await;
    stage.ask(1, 7, gap(0)).await;
    assert_eq!(stage.machine.said(), CLOSED);
    let mut stage = with_a_gap().await;
    stage.gone(1).await;
    assert_eq!(stage.machine.said(), CLOSED, "at once, whoever may come back");
    let mut stage = with_a_gap().await;
    stage.ask(2, 7, Task::Tun(None)).await;
    assert_eq!(stage.machine.said(), CLOSED, "the next agent knows nothing of it");
    let place = with_a_gap().await.killed();
    let mut stage = Stage::at(Recording::default(), place);
    stage.keeper.begin(Some(io::pipe().unwrap().0.into())).await;
    assert_eq!(stage.machine.said(), ["adopt", "apply ikeep0 1400"], "nor does the next helper");
}

#[tokio::test]
async fn a_gap_is_for_whoever_has_the_tunnel_and_not_for_long() {
    let mut stage = with_a_gap().await;
    assert_eq!(
        kind(&stage.ask(1, 7, gap(crate::ipc::helper::MAX_GAP + 1)).await),
        Some(RefusalKind::Request)
    );
    assert_eq!(kind(&stage.ask(2, 7, gap(0)).await), Some(RefusalKind::Request));
    assert_eq!(kind(&stage.ask(3, 8, gap(300)).await), Some(RefusalKind::Taken));
    assert_eq!(stage.machine.said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_cannot_be_closed_is_tried_until_it_is() {
    let mut stage = with_a_gap().await;
    stage.keeper.machine.refuses = 1400;
    assert_eq!(stage.wait().await, Due::GapOver);
    assert_eq!(stage.wait().await, Due::Changed);
    stage.machine.said();
    stage.keeper.machine.refuses = 0;
    assert_eq!(stage.wait().await, Due::Changed);
    assert_eq!(stage.machine.said(), CLOSED);
}

#[tokio::test]
async fn a_device_without_a_record_is_nobodys() {
    let mut stage = Stage::new(Recording::default());
    stage.keeper.begin(Some(io::pipe().unwrap().0.into())).await;
    assert_eq!(stage.machine.said(), ["adopt", "revert what is left"]);
    assert!(stage.keeper.is_idle());
}
