//! The entries of a CRL: a hash table of their places in its DER.
//!
//! A slot has four bytes and the table at most four slots per entry, so the memory of a CRL is a small
//! multiple of its size. The hash is keyed: the serial numbers of a hostile CRL cannot make it slow.

use std::hash::{BuildHasher as _, RandomState};

use super::crl_fault::CrlFault;
use super::der::{self, Reader};

const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];

/// The places of the entries in the DER, each serial number once.
#[derive(Default)]
pub(super) struct Entries {
    /// A power of two, more than half of it empty. An empty slot is 0, where no entry can be.
    slots: Box<[u32]>,
    keys: RandomState,
}

/// The slot of a serial number.
enum Slot {
    /// The entry is here.
    Taken(usize),
    /// There is no entry; this slot is free.
    Free(usize),
}

impl Entries {
    /// Reads the revokedCertificates.
    ///
    /// * `list`: the content of the list, a part of `der`.
    /// * `der`: the whole CRL, of less than 4 GiB.
    pub(super) fn read(list: &[u8], der: &[u8]) -> Result<Self, CrlFault> {
        let mut count = 0usize;
        let mut entries = Reader::new(list);
        while !entries.is_empty() {
            entries.element(der::SEQUENCE)?;
            count += 1;
        }
        let slots = vec![0; (2 * count + 1).next_power_of_two()].into();
        let mut table = Self { slots, keys: RandomState::new() };
        let mut entries = Reader::new(list);
        while !entries.is_empty() {
            let mut entry = entries.nested(der::SEQUENCE)?;
            let serial = entry.element(der::INTEGER)?;
            let date = der::time(entry.any()?)?;
            if let Some(extensions) = entry.optional(der::SEQUENCE)? {
                check_extensions(extensions.content)?;
            }
            entry.end()?;
            let place = serial.whole.as_ptr().addr() - der.as_ptr().addr();
            let place = u32::try_from(place).map_err(|_| der::Malformed("is too large"))?;
            match table.slot_of(serial.content, der) {
                // If a serial number occurs several times, the earliest date counts.
                Slot::Taken(slot) if date_at(der, table.slots[slot]) <= Some(date) => {}
                Slot::Taken(slot) | Slot::Free(slot) => table.slots[slot] = place,
            }
        }
        Ok(table)
    }

    /// Returns how many serial numbers are listed.
    pub(super) fn count(&self) -> usize {
        self.slots.iter().filter(|slot| **slot != 0).count()
    }

    /// Returns the revocation date (Unix seconds) of a serial number, or `None` if it is not listed.
    ///
    /// * `der`: the CRL that the entries were read from.
    pub(super) fn date_of(&self, serial: &[u8], der: &[u8]) -> Option<i64> {
        if self.slots.is_empty() {
            return None;
        }
        match self.slot_of(serial, der) {
            Slot::Taken(slot) => date_at(der, self.slots[slot]),
            Slot::Free(_) => None,
        }
    }

    /// Finds the slot of a serial number in the table, which is not empty.
    fn slot_of(&self, serial: &[u8], der: &[u8]) -> Slot {
        let mask = self.slots.len() - 1;
        #[allow(clippy::cast_possible_truncation, reason = "the mask cuts it")]
        let mut slot = self.keys.hash_one(serial) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return Slot::Free(slot),
                place if serial_at(der, place) == serial => return Slot::Taken(slot),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

/// Returns the content of the INTEGER at a place that [`Entries::read`] has checked.
fn serial_at(der: &[u8], place: u32) -> &[u8] {
    let element = &der[place as usize..];
    let length = usize::from(element[1]);
    if length < 0x80 {
        return &element[2..2 + length];
    }
    Reader::new(element).content(der::INTEGER).unwrap_or_default()
}

/// Returns the date that follows the INTEGER at a checked place.
fn date_at(der: &[u8], place: u32) -> Option<i64> {
    let mut entry = Reader::new(&der[place as usize..]);
    entry.any().ok()?;
    der::time(entry.any().ok()?).ok()
}

/// Checks the extensions of one entry.
fn check_extensions(extensions: &[u8]) -> Result<(), CrlFault> {
    let mut extensions = Reader::new(extensions);
    while !extensions.is_empty() {
        let mut extension = extensions.nested(der::SEQUENCE)?;
        let id = extension.content(der::OID)?;
        let critical = extension.default_false()?;
        if id == CERTIFICATE_ISSUER {
            return Err(CrlFault::Unsupported {
                why: "names the issuer of an entry (certificateIssuer), as an indirect CRL does, \
                      which is not supported",
                remedy: "Supply the CRL that each issuer signs itself.",
            });
        }
        if critical {
            return Err(CrlFault::Unsupported {
                why: "has a critical entry extension that is not understood",
                remedy: "Have the CA issue CRLs by the profile of RFC 5280.",
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry: SEQUENCE { INTEGER, UTCTime }.
    fn entry(serial: &[u8], day: u8) -> Vec<u8> {
        let length = match serial.len() {
            short @ 0..0x80 => vec![u8::try_from(short).unwrap()],
            long => vec![0x81, u8::try_from(long).unwrap()],
        };
        let date = format!("2601{day:02}000000Z");
        let content =
            [&[der::INTEGER][..], &length, serial, &[der::UTC_TIME, 13], date.as_bytes()].concat();
        match u8::try_from(content.len()).unwrap() {
            short @ 0..0x80 => [&[der::SEQUENCE, short], &*content].concat(),
            long => [&[der::SEQUENCE, 0x81, long], &*content].concat(),
        }
    }

    fn day(number: i64) -> Option<i64> {
        der::generalized_time("20260101000000Z").ok().map(|first| first + (number - 1) * 86_400)
    }

    #[test]
    fn every_serial_number_is_found_with_its_earliest_date() {
        let long = vec![7; 200];
        let list = [
            entry(&[9], 3),
            entry(&[1, 2, 3], 4),
            entry(&[5], 9),
            entry(&long, 6),
            entry(&[5], 2),
            entry(&[5], 8),
            entry(&[0, 0x80], 7),
        ]
        .concat();
        let entries = Entries::read(&list, &list).ok().unwrap();
        assert_eq!(entries.slots.iter().filter(|place| **place > 0).count(), 5);
        for (serial, number) in
            [(&[9][..], 3), (&[1, 2, 3], 4), (&long, 6), (&[5], 2), (&[0, 0x80], 7)]
        {
            assert_eq!(entries.date_of(serial, &list), day(number), "{serial:?}");
        }
        for absent in [&[][..], &[0], &[1, 2], &[1, 2, 3, 4], &[0x80], &[10], &[7; 199]] {
            assert_eq!(entries.date_of(absent, &list), None, "{absent:?}");
        }
    }

    #[test]
    fn each_of_many_entries_is_found() {
        let serial = |number: u32| (number * 7 + 0x0100_0000).to_be_bytes();
        let list: Vec<u8> = (0..5000).rev().flat_map(|number| entry(&serial(number), 1)).collect();
        let entries = Entries::read(&list, &list).ok().unwrap();
        for number in 0..5000 {
            assert!(entries.date_of(&serial(number), &list).is_some(), "{number}");
            let between = (number * 7 + 0x0100_0001).to_be_bytes();
            assert!(entries.date_of(&between, &list).is_none(), "{number}");
        }
        assert!(entries.slots.len() <= 4 * 5000, "{} slots", entries.slots.len());
    }
}
