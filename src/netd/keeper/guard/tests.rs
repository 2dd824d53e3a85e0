use super::super::tests::{HOLD, Recording, Stage, kind, plan};
use super::super::{Due, Task};
use super::*;
use crate::ipc::helper::Applied;

const EVERYTHING: Guard = Guard { mode: GuardMode::All, lan: false, always: false };
const OFF: Guard = Guard { mode: GuardMode::Off, lan: false, always: false };

#[tokio::test]
async fn it_stands_before_the_tunnel_and_after_it() {
    let mut stage = Stage::new(Recording::default());
    assert_eq!(stage.ask(1, 7, Task::Guard(EVERYTHING)).await, Answer::Guarded {});
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    stage.ask(1, 7, Task::Revert).await;
    assert!(!stage.keeper.is_idle(), "the helper does not end while it stands");
    assert_eq!(stage.ask(1, 7, Task::Guard(OFF)).await, Answer::Guarded {});
    assert_eq!(
        stage.machine.said(),
        [
            "guard All nothing 0",
            "open",
            "guard All ikeep0 0",
            "apply ikeep0 1400",
            "guard All ikeep0 1400",
            "revert ikeep0",
            "close",
            "guard All nothing 1400",
            "no guard"
        ]
    );
    assert!(stage.keeper.is_idle());
    assert_eq!(stage.ask(1, 7, Task::Guard(OFF)).await, Answer::Guarded {}, "twice does no harm");
}

#[tokio::test(start_paused = true)]
async fn without_its_agent_it_falls_in_time_and_another_agent_of_the_user_takes_it_over() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Guard(EVERYTHING)).await;
    stage.gone(1).await;
    stage.ask(2, 7, Task::Guard(EVERYTHING)).await;
    stage.gone(1).await;
    tokio::select! {
        due = stage.keeper.due() => panic!("{due:?} although the second agent is there"),
        () = sleep(2 * HOLD) => {}
    }
    stage.gone(2).await;
    assert_eq!(stage.wait().await, Due::GuardOver);
    assert_eq!(stage.machine.said(), ["guard All nothing 0", "no guard"]);
}

#[tokio::test(start_paused = true)]
async fn always_stays_longer_without_an_agent_and_falls_when_somebody_else_comes_or_the_helper_is_stopped() {
    let always = Guard { always: true, ..EVERYTHING };
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Guard(always)).await;
    assert_eq!(kind(&stage.ask(2, 8, Task::Guard(EVERYTHING)).await), Some(RefusalKind::Taken));
    assert_eq!(kind(&stage.ask(2, 8, Task::Guard(OFF)).await), Some(RefusalKind::Taken));
    assert_eq!(kind(&stage.ask(2, 8, Task::Tun(None)).await), Some(RefusalKind::Taken));
    stage.gone(1).await;
    tokio::select! {
        due = stage.keeper.due() => panic!("{due:?} although it is to stay"),
        () = sleep(99 * HOLD) => {}
    }
    assert_eq!(stage.wait().await, Due::GuardOver, "not for ever");
    assert!(!stage.machine.walled.get() && stage.keeper.is_idle());
    stage.ask(1, 7, Task::Guard(always)).await;
    stage.gone(1).await;
    stage.machine.said();
    stage.ask(2, 8, Task::Tun(None)).await;
    assert_eq!(stage.machine.said(), ["no guard", "open"], "nobody is locked out by who is gone");
    stage.ask(2, 8, Task::Guard(always)).await;
    stage.keeper.end().await;
    stage.keeper.drop_guard("stopped").await.unwrap();
    assert_eq!(stage.machine.said().last().map(String::as_str), Some("no guard"));
}

#[tokio::test(start_paused = true)]
async fn the_next_helper_goes_on_with_it_and_takes_down_what_is_nobodys() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    stage.ask(1, 7, Task::Guard(Guard { mode: GuardMode::TunnelPrefixes, ..EVERYTHING })).await;
    let walled = stage.machine.walled.clone();
    let place = stage.killed();
    let next = Recording { walled: walled.clone(), ..Recording::default() };
    let mut stage = Stage::at(next, place);
    stage.keeper.begin(None).await;
    assert_eq!(
        stage.machine.said(),
        ["guard TunnelPrefixes nothing 1400"],
        "what the tunnel took is still held"
    );
    // The tunnel's time is over with it, in either order.
    while !stage.keeper.is_idle() {
        stage.wait().await;
    }
    assert!(!walled.get());
    // A table without a record: nobody knows whose it is.
    walled.set(true);
    let place = stage.killed();
    let mut stage = Stage::at(Recording { walled: walled.clone(), ..Recording::default() }, place);
    stage.keeper.begin(None).await;
    assert_eq!(stage.machine.said(), ["revert what is left", "no guard"]);
}

#[tokio::test]
async fn restoring_takes_it_down_also_where_it_was_to_stay() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Guard(Guard { always: true, ..EVERYTHING })).await;
    let walled = stage.machine.walled.clone();
    let place = stage.killed();
    let mut stage = Stage::at(Recording { walled, ..Recording::default() }, place);
    assert!(stage.keeper.restore().await.is_empty());
    assert_eq!(stage.machine.said(), ["revert what is left", "no guard"]);
    assert_eq!(stage.keeper.folder.read_guard(), None);
}

#[tokio::test(start_paused = true)]
async fn pages_and_names_pass_for_a_time_with_or_without_a_tunnel() {
    let mut stage = Stage::new(Recording::default());
    let gap = |seconds| Task::Gap { seconds };
    stage.ask(1, 7, Task::Guard(EVERYTHING)).await;
    assert_eq!(kind(&stage.ask(1, 7, gap(601)).await), Some(RefusalKind::Request));
    assert_eq!(kind(&stage.ask(2, 7, gap(60)).await), Some(RefusalKind::Request), "not this connection's");
    assert_eq!(stage.ask(1, 7, gap(60)).await, Answer::Applied(Applied::default()));
    assert_eq!(stage.wait().await, Due::GapOver);
    assert_eq!(
        stage.machine.said(),
        ["guard All nothing 0", "guard All nothing 0 open", "guard All nothing 0"]
    );
    stage.ask(1, 7, gap(60)).await;
    stage.gone(1).await;
    assert_eq!(stage.machine.said(), ["guard All nothing 0 open", "guard All nothing 0"]);
    stage.ask(3, 7, Task::Guard(EVERYTHING)).await;
    stage.ask(3, 7, Task::Tun(None)).await;
    stage.ask(3, 7, plan(1400)).await;
    stage.machine.said();
    stage.ask(3, 7, gap(60)).await;
    stage.ask(3, 7, gap(0)).await;
    assert_eq!(
        stage.machine.said(),
        [
            "apply ikeep0 1400 with a gap",
            "guard All ikeep0 1400 open",
            "apply ikeep0 1400",
            "guard All ikeep0 1400"
        ]
    );
}

#[tokio::test]
async fn a_kernel_without_nftables_is_a_refusal() {
    let mut stage = Stage::new(Recording { no_walls: true, ..Recording::default() });
    assert_eq!(kind(&stage.ask(1, 7, Task::Guard(EVERYTHING)).await), Some(RefusalKind::Machine));
    assert!(stage.keeper.is_idle());
    assert_eq!(kind(&stage.ask(1, 7, plan(1400)).await), Some(RefusalKind::Request), "and no plan either");
}

/// Its agent restarts, and the tunnel is kept for it: who is refused for the tunnel's sake takes nothing down.
#[tokio::test(start_paused = true)]
async fn whoever_is_refused_the_tunnel_takes_no_kill_switch_down() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Guard(Guard { always: true, ..EVERYTHING })).await;
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    stage.gone(1).await;
    stage.machine.said();
    for task in [Task::Tun(None), Task::Guard(EVERYTHING), Task::Guard(OFF)] {
        assert_eq!(kind(&stage.ask(2, 8, task).await), Some(RefusalKind::Taken));
    }
    assert!(stage.machine.said().is_empty() && stage.machine.walled.get());
}

/// The next helper's time begins anew, but it does end.
#[tokio::test(start_paused = true)]
async fn always_falls_also_behind_a_helper_that_was_killed() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Guard(Guard { always: true, ..EVERYTHING })).await;
    let walled = stage.machine.walled.clone();
    let place = stage.killed();
    let mut stage = Stage::at(Recording { walled: walled.clone(), ..Recording::default() }, place);
    stage.keeper.begin(None).await;
    assert!(walled.get());
    while !stage.keeper.is_idle() {
        stage.wait().await;
    }
    assert!(!walled.get());
}

#[tokio::test(start_paused = true)]
async fn another_user_gets_no_socket_past_a_kill_switch_or_a_tunnel() {
    let mut stage = Stage::new(Recording::default());
    let sockets = || [Task::Udp { ipv6: false }, Task::Tcp { ipv6: true }];
    let refusals = async |stage: &mut Stage, uid| {
        let mut refusals = Vec::new();
        for task in sockets() {
            refusals.push(kind(&stage.ask(u64::from(uid), uid, task).await));
        }
        refusals
    };
    let taken = [Some(RefusalKind::Taken); 2];
    assert_eq!(refusals(&mut stage, 8).await, [None; 2]);
    stage.ask(7, 7, Task::Guard(EVERYTHING)).await;
    assert_eq!(refusals(&mut stage, 8).await, taken);
    assert_eq!(refusals(&mut stage, 7).await, [None; 2], "its own");
    stage.gone(7).await;
    assert_eq!(refusals(&mut stage, 8).await, taken, "it is kept for its agent");
    stage.ask(7, 7, Task::Guard(OFF)).await;
    stage.ask(7, 7, Task::Tun(None)).await;
    assert_eq!(refusals(&mut stage, 8).await, taken);
    stage.ask(7, 7, Task::Revert).await;
    // One that is always on gives way when its agent is gone: the way to the gateway is asked for first.
    stage.ask(7, 7, Task::Guard(Guard { always: true, ..EVERYTHING })).await;
    assert_eq!(refusals(&mut stage, 8).await, taken);
    stage.gone(7).await;
    assert_eq!(refusals(&mut stage, 8).await, [None; 2]);
}

#[tokio::test]
async fn what_stands_is_told_to_who_asks() {
    let mut stage = Stage::new(Recording::default());
    assert_eq!(stage.ask(1, 7, Task::Standing).await, Answer::Standing { guard: OFF, yours: false });
    stage.ask(1, 7, Task::Guard(EVERYTHING)).await;
    for (uid, yours) in [(7, true), (8, false)] {
        assert_eq!(stage.ask(2, uid, Task::Standing).await, Answer::Standing { guard: EVERYTHING, yours });
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_ends_with_the_end_of_its_tunnel_and_with_a_new_one() {
    let mut stage = Stage::new(Recording::default());
    stage.ask(1, 7, Task::Guard(EVERYTHING)).await;
    let open = async |stage: &mut Stage| {
        stage.ask(1, 7, Task::Gap { seconds: 600 }).await;
        assert_eq!(stage.machine.said().last().map(String::as_str), Some("guard All nothing 0 open"));
    };
    // A login behind a portal has failed, before there was any tunnel.
    open(&mut stage).await;
    stage.ask(2, 8, Task::Revert).await;
    assert!(stage.machine.said().is_empty(), "nobody else closes it");
    stage.ask(1, 7, Task::Revert).await;
    assert_eq!(stage.machine.said(), ["guard All nothing 0"]);
    // And one has worked.
    open(&mut stage).await;
    stage.ask(1, 7, Task::Tun(None)).await;
    stage.ask(1, 7, plan(1400)).await;
    assert_eq!(stage.machine.said().last().map(String::as_str), Some("guard All ikeep0 1400"));
}
