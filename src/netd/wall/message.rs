//! Messages of nfnetlink, as far as one table needs them (linux/netfilter/nfnetlink.h, nf_tables.h).
//!
//! Numbers are big-endian in attributes, but for what is compared with a register that the kernel fills in its own order.

use std::io;

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`, `_END`: what stands between them is done whole, or not at all.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NFT_MSG_NEWGEN`: something was changed, by whom.
const NEW_GENERATION: u16 = 15;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// `NLM_F_REQUEST`, `_ACK`, `_CREATE`, `_APPEND`.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `struct nlmsghdr`, octets.
const HEADER: usize = 16;

/// `NFT_MSG_*`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    NewRule = 6,
    DelRule = 8,
    NewSet = 9,
    DelSet = 11,
    NewElements = 12,
}

/// Messages that are done together. Each asks for an answer.
#[derive(Debug)]
pub(super) struct Batch {
    octets: Vec<u8>,
    sequence: u32,
}

impl Batch {
    pub(super) fn new() -> Self {
        let mut batch = Self { octets: Vec::new(), sequence: 0 };
        batch.message(BATCH_BEGIN, REQUEST, 0, SUBSYSTEM, |_| {});
        batch
    }

    /// Something new.
    pub(super) fn make(&mut self, kind: Kind, fill: impl FnOnce(&mut Attributes<'_>)) {
        let append = if matches!(kind, Kind::NewRule) { APPEND } else { 0 };
        self.message(number(kind), REQUEST | ACK | CREATE | append, INET, 0, fill);
    }

    /// Takes something away.
    pub(super) fn take(&mut self, kind: Kind, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.message(number(kind), REQUEST | ACK, INET, 0, fill);
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.message(BATCH_END, REQUEST, 0, SUBSYSTEM, |_| {});
        self.octets
    }

    fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.octets.len();
        self.octets.extend([0; 4]);
        self.octets.extend(kind.to_ne_bytes());
        self.octets.extend(flags.to_ne_bytes());
        self.octets.extend(self.sequence.to_ne_bytes());
        self.octets.extend([0; 4]);
        // `struct nfgenmsg`.
        self.octets.extend([family, 0]);
        self.octets.extend(resource.to_be_bytes());
        self.sequence += 1;
        fill(&mut Attributes(&mut self.octets));
        let length = u32::try_from(self.octets.len() - start).unwrap_or(u32::MAX);
        if let Some(field) = self.octets.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

fn number(kind: Kind) -> u16 {
    SUBSYSTEM << 8 | kind as u16
}

/// Asks whether there is a table of this name: an error, where there is none.
pub(super) fn get_table(name: &str) -> Vec<u8> {
    let mut batch = Batch { octets: Vec::new(), sequence: 0 };
    batch.message(number(Kind::GetTable), REQUEST | ACK, INET, 0, |attributes| {
        attributes.text(1, name);
    });
    batch.octets
}

/// Where attributes are written.
#[derive(Debug)]
pub(super) struct Attributes<'o>(&'o mut Vec<u8>);

impl Attributes<'_> {
    pub(super) fn octets(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.within(kind, |inner| inner.0.extend(value))
    }

    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.within(kind, |inner| {
            inner.0.extend(value.as_bytes());
            inner.0.push(0);
        })
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.octets(kind, &value.to_be_bytes())
    }

    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.within(kind | NESTED, fill)
    }

    /// `struct nlattr`: its length, kind, and what `fill` writes, made up to four octets.
    fn within(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        fill(&mut Attributes(self.0));
        let length = self.0.len() - start;
        debug_assert!(length <= usize::from(u16::MAX), "an attribute of {length} octets");
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        if let Some(field) = self.0.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// What the kernel answers to one transaction.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The first error, `errno`.
    error: Option<i32>,
    answered: bool,
}

impl Verdict {
    /// Reads a datagram of answers. What makes no sense counts as no answer.
    pub(super) fn read(&mut self, mut octets: &[u8]) {
        while let Some((length, kind)) = head(octets) {
            if kind == ERROR
                && let Some(code) = octets.get(HEADER..HEADER + 4).and_then(|code| code.try_into().ok())
            {
                self.answered = true;
                let code = i32::from_ne_bytes(code);
                if code != 0 {
                    self.error.get_or_insert(code.saturating_neg());
                }
            }
            octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    pub(super) fn result(self) -> io::Result<()> {
        match self {
            Self { error: Some(code), .. } => Err(io::Error::from_raw_os_error(code)),
            Self { answered: true, .. } => Ok(()),
            Self { .. } => Err(io::Error::other("the kernel's nftables does not answer")),
        }
    }
}

/// Whether these notices tell of a change of this table by somebody else than the socket with this number. What makes no sense
/// tells of nothing.
pub(super) fn by_others(mut octets: &[u8], own: u32, table: &str) -> bool {
    while let Some((length, kind)) = head(octets) {
        let (message, rest) = octets.split_at(length);
        let sender =
            message.get(12..HEADER).and_then(|sender| sender.try_into().ok()).map(u32::from_ne_bytes);
        let about = || {
            // Behind `struct nfgenmsg`; the first attribute of each names the table.
            let (family, attribute) = (message.get(HEADER)?, message.get(HEADER + 4..)?);
            let size = usize::from(u16::from_ne_bytes(attribute.get(..2)?.try_into().ok()?));
            let named = u16::from_ne_bytes(attribute.get(2..4)?.try_into().ok()?) & !NESTED == 1;
            let name = attribute.get(4..size)?.strip_suffix(&[0])?;
            (*family == INET && named).then_some(name)
        };
        if kind >> 8 == SUBSYSTEM && kind & 0xff != NEW_GENERATION && sender != Some(own) {
            let is_ours = about().is_some_and(|name| name == table.as_bytes());
            if is_ours {
                return true;
            }
        }
        octets = rest.get(length.next_multiple_of(4) - length..).unwrap_or_default();
    }
    false
}

/// Length and kind of the message that these octets begin with, all of which is there.
pub(super) fn head(octets: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(octets.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(octets.get(4..6)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    (HEADER..=octets.len()).contains(&length).then_some((length, kind))
}
