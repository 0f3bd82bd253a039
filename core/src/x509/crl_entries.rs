//! The entries of a CRL: a sorted index of their places in its DER.
//!
//! The index has four bytes per entry, so that the memory of a CRL is a small multiple of its size,
//! and a binary search finds a serial number. A hash table with copies of the numbers would take ten
//! times as much.

use super::crl_fault::CrlFault;
use super::der::{self, Reader};

const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];

/// The places of the entries in the DER, in the order of their serial numbers, each number once.
#[derive(Default)]
pub(super) struct Entries(Box<[u32]>);

impl Entries {
    /// Reads the revokedCertificates.
    ///
    /// * `list`: the content of the list, a part of `der`.
    /// * `der`: the whole CRL, of less than 4 GiB.
    pub(super) fn read(list: &[u8], der: &[u8]) -> Result<Self, CrlFault> {
        let mut places = Vec::new();
        let mut entries = Reader::new(list);
        while !entries.is_empty() {
            let mut entry = entries.nested(der::SEQUENCE)?;
            let serial = entry.element(der::INTEGER)?;
            der::time(entry.any()?)?;
            if let Some(extensions) = entry.optional(der::SEQUENCE)? {
                check_extensions(extensions.content)?;
            }
            entry.end()?;
            let place = serial.whole.as_ptr().addr() - der.as_ptr().addr();
            places.push(u32::try_from(place).map_err(|_| der::Malformed("is too large"))?);
        }
        places.sort_unstable_by(|one, other| {
            let by_serial = serial(der, *one).cmp(serial(der, *other));
            by_serial.then_with(|| date(der, *one).cmp(&date(der, *other)))
        });
        // If a serial number occurs several times, the earliest date counts.
        places.dedup_by(|later, earlier| serial(der, *later) == serial(der, *earlier));
        Ok(Self(places.into()))
    }

    /// Returns the revocation date (Unix seconds) of a serial number, or `None` if it is not listed.
    ///
    /// * `der`: the CRL that the entries were read from.
    pub(super) fn date_of(&self, wanted: &[u8], der: &[u8]) -> Option<i64> {
        let found = self.0.binary_search_by(|place| serial(der, *place).cmp(wanted)).ok()?;
        date(der, self.0[found])
    }
}

/// Returns the content of the INTEGER at a place that [`Entries::read`] has checked.
fn serial(der: &[u8], place: u32) -> &[u8] {
    let element = &der[place as usize..];
    let length = usize::from(element[1]);
    if length < 0x80 {
        return &element[2..2 + length];
    }
    Reader::new(element).content(der::INTEGER).unwrap_or_default()
}

/// Returns the date that follows the INTEGER at a checked place.
fn date(der: &[u8], place: u32) -> Option<i64> {
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
        assert_eq!(entries.0.len(), 5);
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
    fn a_search_among_many_entries_finds_each() {
        let serial = |number: u32| (number * 7 + 0x0100_0000).to_be_bytes();
        let list: Vec<u8> = (0..5000).rev().flat_map(|number| entry(&serial(number), 1)).collect();
        let entries = Entries::read(&list, &list).ok().unwrap();
        for number in 0..5000 {
            assert!(entries.date_of(&serial(number), &list).is_some(), "{number}");
            let between = (number * 7 + 0x0100_0001).to_be_bytes();
            assert!(entries.date_of(&between, &list).is_none(), "{number}");
        }
    }
}
