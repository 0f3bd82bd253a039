//! Where TLS records begin and end on the wire (RFC 8446 section 5.1).

/// Type, version and length.
const HEADER: usize = 5;

/// Tracks the boundaries of the records in the received bytes.
#[derive(Debug, Default)]
pub(super) struct RecordBoundaries {
    header: [u8; HEADER],
    /// How many bytes of the header have arrived.
    begun: usize,
    /// How many bytes of the record's body have not arrived.
    left: usize,
}

impl RecordBoundaries {
    /// Records that these bytes have arrived.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        self.follow_bodies(bytes, |_, _| {});
    }

    /// The same, and calls `body` with the content type and each part of a record's body.
    pub(super) fn follow_bodies(&mut self, mut bytes: &[u8], mut body: impl FnMut(u8, &[u8])) {
        while !bytes.is_empty() {
            let length = self.bytes_to_boundary().min(bytes.len());
            let (these, rest) = bytes.split_at(length);
            bytes = rest;
            if self.left > 0 {
                self.left -= length;
                body(self.header[0], these);
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

    /// Whether the received bytes end at a record boundary.
    pub(super) fn is_between(&self) -> bool {
        self.begun == 0 && self.left == 0
    }

    /// How many bytes may be read without reaching into the body of another record.
    pub(super) fn bytes_to_boundary(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER - self.begun }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_does_not_depend_on_the_pieces() {
        let empty = [23, 3, 3, 0, 0];
        let text = [&[22, 3, 3, 1, 0][..], &[7; 256], &empty, &[23, 3, 3, 0, 2, 7, 7]].concat();
        let ends = [261, 266, 273];
        for piece in 1..=text.len() {
            let (mut records, mut at) = (RecordBoundaries::default(), 0);
            for bytes in text.chunks(piece) {
                records.follow(bytes);
                at += bytes.len();
                assert_eq!(records.is_between(), ends.contains(&at), "at {at} by {piece}");
            }
        }
    }

    #[test]
    fn bodies_have_the_content_type_of_their_record() {
        let text =
            [&[22, 3, 3, 0, 3][..], &[7; 3], &[23, 3, 3, 0, 0], &[20, 3, 3, 0, 1, 9]].concat();
        for piece in 1..=text.len() {
            let (mut records, mut bodies) = (RecordBoundaries::default(), Vec::new());
            for bytes in text.chunks(piece) {
                records.follow_bodies(bytes, |content_type, part| {
                    bodies.extend(part.iter().map(|byte| (content_type, *byte)));
                });
            }
            assert_eq!(bodies, [(22, 7), (22, 7), (22, 7), (20, 9)], "by {piece}");
        }
    }

    #[test]
    fn bytes_to_boundary_never_reach_beyond_a_record() {
        let text = [&[22, 3, 3, 0, 3][..], &[7; 3], &[23, 3, 3, 0, 1, 7]].concat();
        let (mut records, mut at, mut steps) = (RecordBoundaries::default(), 0, Vec::new());
        while at < text.len() {
            let length = records.bytes_to_boundary();
            records.follow(&text[at..at + length]);
            at += length;
            steps.push(at);
        }
        assert_eq!(steps, [5, 8, 13, 14]);
    }
}
