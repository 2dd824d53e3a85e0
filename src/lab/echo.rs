//! A hundred pings a second through the tunnel: what a person would notice, counted.

use crate::esp::HEADROOM;
use crate::esp::inner::{echo_request, parse_echo_reply};
use crate::time::Instant;
use std::net::IpAddr;
use std::time::Duration;

/// Between two echoes.
pub const INTERVAL: Duration = Duration::from_millis(10);
/// Octets of payload, as `ping` has.
const PAYLOAD: [u8; 56] = [0x69; 56];
const ID: u16 = 0x1ab;

/// The answer to an echo of ours.
pub(super) fn is_answer(packet: &[u8]) -> bool {
    parse_echo_reply(packet).is_some_and(|echo| echo.id == ID && echo.payload == PAYLOAD)
}

/// Every echo sent and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Echoes {
    /// When sent, and when answered. The index is the sequence number: a scenario is over long before it wraps.
    sent: Vec<(Instant, Option<Instant>)>,
    answers_twice: u32,
    /// Where a pause ended: the silence before these was wanted.
    fresh: Vec<usize>,
}

/// The sum of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Echoes sent.
    pub sent: u32,
    /// Never answered.
    pub lost: u32,
    /// Answered more than once: a replay got through.
    pub twice: u32,
    /// The longest time between two answers, or from the first echo to the first answer.
    pub silence: Duration,
}

impl Echoes {
    /// The next echo as a frame for the driver.
    pub fn next(&mut self, now: Instant, from: IpAddr, to: IpAddr) -> Vec<u8> {
        let sequence = u16::try_from(self.sent.len() % (1 << 16)).unwrap_or_default();
        self.sent.push((now, None));
        let mut frame = vec![0; HEADROOM];
        frame.extend(echo_request(from, to, ID, sequence, &PAYLOAD));
        frame
    }

    /// A packet came out of the tunnel.
    pub fn packet(&mut self, now: Instant, packet: &[u8]) {
        let Some(echo) = parse_echo_reply(packet).filter(|echo| echo.id == ID && echo.payload == PAYLOAD)
        else {
            return;
        };
        match self.sent.get_mut(usize::from(echo.sequence)) {
            Some((_, answered @ None)) => *answered = Some(now),
            Some(_) => self.answers_twice += 1,
            None => {}
        }
    }

    /// A pause that is no silence: the next echo begins anew.
    pub fn pause(&mut self) {
        self.fresh.push(self.sent.len());
    }

    /// Answers so far.
    pub fn answered(&self) -> usize {
        self.sent.iter().filter(|(_, answered)| answered.is_some()).count()
    }

    /// The last answer so far.
    pub fn last_answer(&self) -> Option<Instant> {
        self.sent.iter().filter_map(|(_, answered)| *answered).max()
    }

    /// The first echo sent at or after `since` that was answered: when it was sent, and when answered.
    pub fn first_alive(&self, since: Instant) -> Option<(Instant, Instant)> {
        self.sent
            .iter()
            .filter(|(sent, _)| *sent >= since)
            .find_map(|(sent, answered)| Some((*sent, (*answered)?)))
    }

    /// The longest that an answer took to one of those sent in `from..until`.
    pub fn slowest_between(&self, from: Instant, until: Instant) -> Duration {
        let answered = self.sent.iter().filter(|(sent, _)| *sent >= from && *sent < until);
        answered.filter_map(|(sent, answer)| Some(answer.as_ref()?.since(*sent))).max().unwrap_or_default()
    }

    /// Lost ones of those sent in `from..until`.
    pub fn lost_between(&self, from: Instant, until: Instant) -> u32 {
        let lost = |(sent, answered): &&(Instant, Option<Instant>)| {
            answered.is_none() && *sent >= from && *sent < until
        };
        u32::try_from(self.sent.iter().filter(lost).count()).unwrap_or(u32::MAX)
    }

    /// Sent in `from..until`.
    pub fn sent_between(&self, from: Instant, until: Instant) -> u32 {
        let sent = self.sent.iter().filter(|(sent, _)| *sent >= from && *sent < until);
        u32::try_from(sent.count()).unwrap_or(u32::MAX)
    }

    /// Everything summed up.
    pub fn tally(&self) -> Tally {
        let ends = self.fresh.iter().copied().chain([self.sent.len()]);
        let starts = [0].into_iter().chain(self.fresh.iter().copied());
        let silence = starts.zip(ends).filter_map(|(from, to)| silence(self.sent.get(from..to)?)).max();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Tally {
            sent: count(self.sent.len()),
            lost: count(self.sent.len() - self.answered()),
            twice: self.answers_twice,
            silence: silence.unwrap_or_default(),
        }
    }
}

/// The longest time between two answers, or from the first echo to the first answer.
fn silence(echoes: &[(Instant, Option<Instant>)]) -> Option<Duration> {
    let mut arrivals: Vec<Instant> = echoes.iter().filter_map(|(_, answered)| *answered).collect();
    arrivals.sort_unstable();
    let before = echoes.first().map(|(sent, _)| *sent).into_iter().chain(arrivals.iter().copied());
    before.zip(&arrivals).map(|(a, b)| b.since(a)).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::inner::{echo_reply, parse_echo_request};

    fn answer(frame: &[u8]) -> Vec<u8> {
        let echo = parse_echo_request(&frame[HEADROOM..]).unwrap();
        echo_reply(echo.destination, echo.source, echo.id, echo.sequence, echo.payload)
    }

    #[test]
    fn what_is_not_answered_is_lost_and_the_longest_silence_is_found() {
        let (here, there): (IpAddr, IpAddr) = ([192, 168, 20, 5].into(), [192, 168, 10, 1].into());
        let at = |ms| Instant::default() + Duration::from_millis(ms);
        let mut echoes = Echoes::default();
        let frames: Vec<_> = (0..4).map(|n| echoes.next(at(10 * n), here, there)).collect();
        echoes.packet(at(5), &answer(&frames[0]));
        echoes.packet(at(5), &answer(&frames[0]));
        echoes.packet(at(38), &answer(&frames[3]));
        echoes.packet(at(39), &frames[1][HEADROOM..]);
        let tally = Tally { sent: 4, lost: 2, twice: 1, silence: Duration::from_millis(33) };
        assert_eq!(echoes.tally(), tally);
        assert_eq!(echoes.lost_between(at(10), at(20)), 1);
        assert_eq!(echoes.slowest_between(at(0), at(40)), Duration::from_millis(8));
        assert_eq!(echoes.first_alive(at(10)), Some((at(30), at(38))));
        assert_eq!((echoes.answered(), echoes.last_answer()), (2, Some(at(38))));
    }
}
