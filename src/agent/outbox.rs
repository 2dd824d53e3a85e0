//! Sealed packets on their way to the socket, collected so that many of one size leave with one call.

/// Octets that are collected: what one call can take (UDP's length field, the headers counted).
const ROOM: usize = 65_000;

/// Datagrams in a row: all as long as the first, but the last, which may be shorter. `K`: where they go.
#[derive(Debug)]
pub(crate) struct Outbox<K> {
    buffer: Vec<u8>,
    /// Octets that are waiting.
    filled: usize,
    /// Of these, already sent.
    sent: usize,
    segment: usize,
    to: Option<K>,
    /// Where [`Outbox::place`] was last.
    placed: usize,
}

impl<K: Copy + PartialEq> Default for Outbox<K> {
    fn default() -> Self {
        Self { buffer: vec![0; 2 * ROOM], filled: 0, sent: 0, segment: 0, to: None, placed: 0 }
    }
}

impl<K: Copy + PartialEq> Outbox<K> {
    /// Where the next datagram is to be written: room for the largest there is.
    pub(crate) fn place(&mut self) -> &mut [u8] {
        self.placed = self.filled;
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// True where a datagram of `length` to `to` cannot join those that wait, `most` datagrams at a time: flush them, then
    /// [`Outbox::take`] it.
    pub(crate) fn is_full_for(&self, to: K, length: usize, most: usize) -> bool {
        if self.filled == 0 {
            return false;
        }
        let count = self.filled.div_ceil(self.segment.max(1));
        self.to != Some(to)
            || length > self.segment
            || !self.filled.is_multiple_of(self.segment.max(1))
            || count >= most.max(1)
            || self.filled + length > ROOM
    }

    /// The datagram of `length` octets that stands at [`Outbox::place`] goes to `to`. What waited before it, where it cannot
    /// join that, has been sent or is lost.
    pub(crate) fn take(&mut self, to: K, length: usize) {
        if self.filled == 0 {
            self.segment = length;
            self.to = Some(to);
        }
        self.filled += length;
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> Option<(K, &[u8], usize)> {
        let to = self.to.filter(|_| self.filled > self.sent)?;
        Some((to, &self.buffer[self.sent..self.filled], self.segment))
    }

    /// So many octets of what waits were sent.
    pub(crate) fn sent(&mut self, octets: usize) {
        self.sent += octets;
        if self.sent >= self.filled {
            self.clear();
        }
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        (self.filled, self.sent, self.segment, self.to) = (0, 0, 0, None);
    }

    /// Takes away what waits or waited, and leaves the datagram of `length` behind it at [`Outbox::place`].
    pub(crate) fn clear_before(&mut self, length: usize) {
        self.clear();
        self.buffer.copy_within(self.placed..self.placed + length, 0);
        self.placed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &mut Outbox<u8>, to: u8, datagram: &[u8]) -> Option<Vec<Vec<u8>>> {
        outbox.place()[..datagram.len()].copy_from_slice(datagram);
        let mut left = None;
        if outbox.is_full_for(to, datagram.len(), 3) {
            left = outbox
                .waiting()
                .map(|(_, octets, segment)| octets.chunks(segment).map(<[u8]>::to_vec).collect());
            outbox.clear_before(datagram.len());
        }
        outbox.take(to, datagram.len());
        left
    }

    #[test]
    fn datagrams_of_one_size_leave_together() {
        let mut outbox = Outbox::default();
        assert_eq!(put(&mut outbox, 1, b"aaaa"), None);
        assert_eq!(put(&mut outbox, 1, b"bbbb"), None);
        assert_eq!(put(&mut outbox, 1, b"cc"), None, "a shorter one may be the last");
        let first = vec![b"aaaa".to_vec(), b"bbbb".to_vec(), b"cc".to_vec()];
        assert_eq!(put(&mut outbox, 1, b"dd"), Some(first));
        assert_eq!(put(&mut outbox, 1, b"eeeee"), Some(vec![b"dd".to_vec()]), "a longer one cannot join");
        assert_eq!(put(&mut outbox, 2, b"fffff"), Some(vec![b"eeeee".to_vec()]), "nor one to somebody else");
        for datagram in [b"ggggg", b"hhhhh"] {
            assert_eq!(put(&mut outbox, 2, datagram), None);
        }
        assert_eq!(put(&mut outbox, 2, b"iiiii").map(|left| left.len()), Some(3), "three at most here");
    }

    #[test]
    fn what_is_sent_in_part_goes_on_where_it_stopped() {
        let mut outbox = Outbox::default();
        put(&mut outbox, 1, b"aaaa");
        put(&mut outbox, 1, b"bbbb");
        outbox.sent(4);
        assert_eq!(outbox.waiting(), Some((1, &b"bbbb"[..], 4)));
        outbox.sent(4);
        assert_eq!(outbox.waiting(), None);
        assert!(!outbox.is_full_for(2, 9, 3));
    }
}
