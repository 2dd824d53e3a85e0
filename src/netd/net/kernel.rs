//! Questions to the kernel and their answers: many at once, and never for ever.

use super::NetError;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::export::futures_core::Stream;

/// Entries of one list, at most.
const MAX_LIST: usize = 16_384;

/// Requests under way: their answers have to fit in the socket's buffer (208 KiB, about 1 KiB each).
const WINDOW: usize = 64;

/// Longest wait for one answer. The kernel's lock may be held by others for a while, not so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Times that a list is asked for which changes while it is read; the last one counts.
const TRIES: usize = 5;

type Message = NetlinkMessage<RouteNetlinkMessage>;
type Answers = Pin<Box<dyn Stream<Item = Message> + Send>>;

/// A connection to the kernel's routing. Its task ends with it.
#[derive(Debug)]
pub(super) struct Kernel {
    handle: Handle,
    task: JoinHandle<()>,
}

/// A change that is asked for.
#[derive(Debug)]
pub(super) struct Request {
    /// What it is, for people: `add the route 10.0.0.0/8`.
    pub(super) doing: String,
    /// The request.
    pub(super) message: RouteNetlinkMessage,
    /// `NLM_F_CREATE` and the like.
    pub(super) flags: u16,
}

impl Kernel {
    /// Opens the connection. Needs a tokio runtime.
    ///
    /// # Errors
    /// No netlink here, or no descriptor is left.
    pub(super) fn open() -> io::Result<Self> {
        let (mut connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
        // The end of a list says whether it is whole.
        connection.set_forward_done(true);
        let task = tokio::spawn(connection);
        Ok(Self { handle, task })
    }

    /// Everything that answers `question`; nothing where the kernel has no such table.
    ///
    /// # Errors
    /// It refuses, is silent, or the list is longer than [`MAX_LIST`].
    pub(super) async fn list(
        &self,
        what: &'static str,
        question: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetError> {
        let doing = || format!("list {what}");
        let mut list = Vec::new();
        for _ in 0..TRIES {
            list.clear();
            let mut whole = true;
            let mut answers = self.ask(question.clone(), NLM_F_DUMP).map_err(|_| silent(&doing()))?;
            while let Some(answer) = next(&mut answers, &doing()).await? {
                whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
                let code = match answer.payload {
                    NetlinkPayload::InnerMessage(message) if list.len() < MAX_LIST => {
                        list.push(message);
                        continue;
                    }
                    NetlinkPayload::InnerMessage(_) => {
                        return Err(NetError::TooMany { what, limit: MAX_LIST });
                    }
                    NetlinkPayload::Done(done) => done.code,
                    NetlinkPayload::Error(error) => error.raw_code(),
                    _ => continue,
                };
                let error = io::Error::from_raw_os_error(code.saturating_neg());
                if code != 0 && !is(&error, &[Errno::NOENT]) {
                    return Err(NetError::Refused { doing: doing(), why: error });
                }
            }
            if whole {
                break;
            }
        }
        Ok(list)
    }

    /// The answer to a question that has one; `None` where it cannot be read.
    ///
    /// # Errors
    /// The kernel refuses, or is silent.
    pub(super) async fn get(
        &self,
        doing: &str,
        question: RouteNetlinkMessage,
    ) -> Result<Option<RouteNetlinkMessage>, NetError> {
        let mut answers = self.ask(question, NLM_F_ACK).map_err(|_| silent(doing))?;
        let mut found = None;
        while let Some(answer) = next(&mut answers, doing).await? {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => found = Some(message),
                NetlinkPayload::Error(error) => {
                    return Err(NetError::Refused { doing: doing.to_owned(), why: error.to_io() });
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Asks for changes, in their order, and goes on where one is refused: what was refused, and why.
    ///
    /// # Errors
    /// The kernel is silent.
    pub(super) async fn change(&self, requests: Vec<Request>) -> Result<Vec<(usize, NetError)>, NetError> {
        let mut refused = Vec::new();
        let mut under_way: VecDeque<(usize, String, Answers)> = VecDeque::new();
        let mut requests = requests.into_iter().enumerate();
        loop {
            while under_way.len() < WINDOW
                && let Some((at, Request { doing, message, flags })) = requests.next()
            {
                let answers = self.ask(message, NLM_F_ACK | flags).map_err(|_| silent(&doing))?;
                under_way.push_back((at, doing, answers));
            }
            let Some((at, doing, mut answers)) = under_way.pop_front() else { return Ok(refused) };
            while let Some(answer) = next(&mut answers, &doing).await? {
                if let NetlinkPayload::Error(error) = answer.payload {
                    refused.push((at, NetError::Refused { doing: doing.clone(), why: error.to_io() }));
                }
            }
        }
    }

    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> Result<Answers, rtnetlink::Error> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        Ok(Box::pin(self.handle.clone().request(message)?))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn next(answers: &mut Answers, doing: &str) -> Result<Option<Message>, NetError> {
    timeout(PATIENCE, poll_fn(|context| answers.as_mut().poll_next(context))).await.map_err(|_| silent(doing))
}

fn silent(doing: &str) -> NetError {
    NetError::Silent { doing: doing.to_owned() }
}

/// Whether the kernel's answer is one of these.
pub(super) fn is(error: &io::Error, errnos: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|code| errnos.iter().any(|errno| errno.raw_os_error() == code))
}
