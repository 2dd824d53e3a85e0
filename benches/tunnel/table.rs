//! What was found, for people.

use crate::measure::{Cost, Figures};
use crate::suite::Cipher;

/// What is measured; the first is the reference of the others' latency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Row {
    Plain,
    Ours(Cipher),
    OursToStrongSwan(Cipher),
    StrongSwan(Cipher),
    WireGuard(crate::boring::Program),
}

impl Row {
    /// In the tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Plain => "no tunnel".to_owned(),
            Self::Ours(cipher) => format!("ikeep to ikeep, {}", cipher.name()),
            Self::OursToStrongSwan(cipher) => format!("ikeep to strongSwan, {}", cipher.name()),
            Self::StrongSwan(cipher) => format!("strongSwan to strongSwan, {}", cipher.name()),
            Self::WireGuard(program) => format!("{0} to {0}", program.name()),
        }
    }
}

/// What was measured, in order.
pub(crate) type Found = [(Row, Figures)];

/// Everything, and then what was promised.
pub(crate) fn print(found: &Found) {
    rates(found);
    latencies(found);
    costs(found);
    ratios(found);
    promises(found);
}

const WIDTH: usize = 45;

fn rates(found: &Found) {
    println!(
        "\none flow of TCP, then UDP of 1200 octets a datagram: the top rate, then at 80 % of that; down is towards the laptop"
    );
    println!(
        "`lost` on the way; `unread`: arrived, but iperf3 was too slow to take it; `late`: overtaken by one sent after it"
    );
    println!(
        "{:WIDTH$} {:>9} {:>6} {:>9} {:>6} | {:>9} {:>6} {:>8} {:>8} {:>5} | {:>9} {:>6} {:>8} {:>8} {:>5}",
        "Mbit/s",
        "TCP down",
        "again",
        "TCP up",
        "again",
        "UDP down",
        "at",
        "lost",
        "unread",
        "late",
        "UDP up",
        "at",
        "lost",
        "unread",
        "late"
    );
    for (row, figures) in found {
        let [down, up] = figures.tcp;
        print!("{:WIDTH$} {:>9.0} {:>6}", row.name(), down.rate / 1e6, down.retransmits);
        print!(" {:>9.0} {:>6}", up.rate / 1e6, up.retransmits);
        for (top, way) in figures.top.iter().zip(figures.udp) {
            let (top, rate, late) = (top / 1e6, way.flow.rate / 1e6, way.flow.overtaken);
            print!(" | {top:>9.0} {rate:>6.0} {:>6.3} % {:>6.3} % {late:>5}", way.lost(), way.unread());
        }
        println!();
    }
}

fn latencies(found: &Found) {
    println!(
        "\npings every 5 ms. `added`: beyond no tunnel, median; then beyond the row's own rest while one TCP flow runs"
    );
    println!(
        "{:WIDTH$} {:>10} {:>10} | {:>12} {:>12} | {:>12} {:>12}",
        "", "rest p50", "added", "down p50", "down p99", "up p50", "up p99"
    );
    for (row, figures) in found {
        print!("{:WIDTH$} {:>7.0} us", row.name(), figures.rest.p50);
        match added(found, figures) {
            Some(added) => print!(" {added:>7.0} us"),
            None => print!(" {:>10}", "-"),
        }
        for way in figures.loaded {
            let queue = |time: f64| (time - figures.rest.p50) / 1e3;
            print!(" | {:>9.2} ms {:>9.2} ms", queue(way.p50), queue(way.p99));
        }
        println!();
    }
}

fn costs(found: &Found) {
    println!("\nthe processes at both ends while TCP runs, and CPU seconds for each GB");
    println!(
        "{:WIDTH$} {:>10} {:>10} {:>8} | {:>10} {:>10} {:>8}",
        "", "client", "peak", "CPU s/GB", "gateway", "peak", "CPU s/GB"
    );
    for (row, figures) in found {
        let show = |cost: Option<Cost>| match cost {
            Some(Cost { resident, peak, cpu }) => format!("{resident:>6.1} MiB {peak:>6.1} MiB {cpu:>8.2}"),
            None => format!("{:>30}", "-"),
        };
        println!("{:WIDTH$} {} | {}", row.name(), show(figures.agent), show(figures.gateway));
    }
}

fn get(found: &Found, row: Row) -> Option<&Figures> {
    found.iter().find(|(other, _)| *other == row).map(|(_, figures)| figures)
}

/// Microseconds beyond no tunnel.
fn added(found: &Found, figures: &Figures) -> Option<f64> {
    Some(figures.rest.p50 - get(found, Row::Plain)?.rest.p50)
}

/// The slower way counts.
fn rate(figures: &Figures) -> f64 {
    figures.tcp[0].rate.min(figures.tcp[1].rate)
}

fn ratios(found: &Found) {
    println!("\nikeep to ikeep, how many times as fast as (TCP, the slower way of each)");
    for cipher in Cipher::ALL {
        let Some(ours) = get(found, Row::Ours(cipher)) else { continue };
        for (row, figures) in found.iter().filter(|(row, _)| !matches!(row, Row::Ours(_))) {
            println!("{:<22} {:WIDTH$} {:>6.2}", cipher.name(), row.name(), rate(ours) / rate(figures));
        }
    }
}

/// What is promised, as `promised, found, kept`; nothing where a figure is missing.
fn promises(found: &Found) {
    println!("\npromised of ikeep to ikeep (the worse way of each)");
    for (cipher, times) in [(Cipher::Cbc, 3.0), (Cipher::Gcm, 5.0)] {
        let (ours, theirs) = (get(found, Row::Ours(cipher)), get(found, Row::StrongSwan(cipher)));
        let Some(ours) = ours else { continue };
        let name = cipher.name();
        if let Some(theirs) = theirs {
            let ratio = rate(ours) / rate(theirs);
            promise(name, &format!("{times} times strongSwan"), &format!("{ratio:.2} times"), ratio >= times);
        }
        if cipher == Cipher::Gcm {
            let rate = rate(ours) / 1e6;
            promise(name, "2000 Mbit/s", &format!("{rate:.0} Mbit/s"), rate >= 2000.0);
        }
        let worst = |figure: &dyn Fn(usize) -> f64| figure(0).max(figure(1));
        let lost = worst(&|way| ours.udp[way].lost());
        promise(name, "UDP lost < 0.01 %", &format!("{lost:.4} %"), lost < 0.01);
        let late = ours.udp[0].flow.overtaken + ours.udp[1].flow.overtaken;
        promise(name, "no datagram overtaken", &late.to_string(), late == 0);
        if let Some(added) = added(found, ours) {
            promise(name, "< 100 us added to a ping", &format!("{added:.0} us"), added < 100.0);
        }
        let queue = worst(&|way| (ours.loaded[way].p99 - ours.rest.p50) / 1e3);
        promise(name, "queues < 20 ms, p99", &format!("{queue:.2} ms"), queue < 20.0);
        for (who, cost) in [("client", ours.agent), ("gateway", ours.gateway)] {
            let Some(cost) = cost else { continue };
            let text = format!("{:.1} MiB", cost.resident);
            promise(name, &format!("{who} < 20 MiB resident"), &text, cost.resident < 20.0);
        }
    }
}

fn promise(cipher: &str, promised: &str, found: &str, kept: bool) {
    let kept = if kept { "yes" } else { "no" };
    println!("{cipher:<22} {promised:<28} {found:>14}  {kept}");
}
