//! Where the records of TLS begin and end on the wire (RFC 8446 section 5.1).

/// Type, version and length.
const HEADER: usize = 5;

/// Follows the records in what has come.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; HEADER],
    /// How much of the header has come.
    begun: usize,
    /// How much of the record behind its header has not come.
    left: usize,
}

impl Records {
    /// These bytes have come.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = self.ahead().min(bytes.len());
            let (these, rest) = bytes.split_at(length);
            bytes = rest;
            if self.left > 0 {
                self.left -= length;
                continue;
            }
            self.header[self.begun..self.begun + length].copy_from_slice(these);
            self.begun += length;
            if self.begun == HEADER {
                self.begun = 0;
                self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            }
        }
    }

    /// Whether all records that have begun have ended.
    pub(super) fn is_between(&self) -> bool {
        self.begun == 0 && self.left == 0
    }

    /// How many bytes belong to what is under way, or to the next header: to read more could read of
    /// another record.
    pub(super) fn ahead(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER - self.begun }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_the_same_in_any_pieces() {
        let empty = [23, 3, 3, 0, 0];
        let text = [&[22, 3, 3, 1, 0][..], &[7; 256], &empty, &[23, 3, 3, 0, 2, 7, 7]].concat();
        let ends = [261, 266, 273];
        for piece in 1..=text.len() {
            let (mut records, mut at) = (Records::default(), 0);
            for bytes in text.chunks(piece) {
                records.follow(bytes);
                at += bytes.len();
                assert_eq!(records.is_between(), ends.contains(&at), "at {at} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_ahead_never_goes_beyond_a_record() {
        let text = [&[22, 3, 3, 0, 3][..], &[7; 3], &[23, 3, 3, 0, 1, 7]].concat();
        let (mut records, mut at, mut steps) = (Records::default(), 0, Vec::new());
        while at < text.len() {
            let length = records.ahead();
            records.follow(&text[at..at + length]);
            at += length;
            steps.push(at);
        }
        assert_eq!(steps, [5, 8, 13, 14]);
    }
}
