//! A DER reader (X.690) that borrows its values and copies nothing.
//!
//! It accepts only definite and minimal lengths, single-byte tags, and no trailing bytes. Every
//! handshake and every verification parses a certificate, so parsing must cost less than hashing it.

/// Why bytes are not the expected DER. The text continues a sentence whose subject is the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;

/// The tag of a context-specific element: `[number]`, constructed or primitive.
pub(crate) const fn context(number: u8, constructed: bool) -> u8 {
    0x80 | number | if constructed { 0x20 } else { 0 }
}

/// A cursor over the elements of DER.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// One element: its tag, its content, and all of its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next element with any tag.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, Malformed> {
        let bytes = self.rest;
        let (&tag, after_tag) =
            bytes.split_first().ok_or(Malformed("ends where an element is expected"))?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed("has a tag of more than one byte"));
        }
        let (&first, after_length) =
            after_tag.split_first().ok_or(Malformed("ends where a length is expected"))?;
        let (length, after_length) = if first < 0x80 {
            (usize::from(first), after_length)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || after_length.len() < count {
                return Err(Malformed("has an indefinite or oversized length"));
            }
            let (digits, after) = after_length.split_at(count);
            let length = digits.iter().fold(0usize, |sum, &digit| sum << 8 | usize::from(digit));
            if digits[0] == 0 || length < 0x80 {
                return Err(Malformed("has a length that is not minimal"));
            }
            (length, after)
        };
        if after_length.len() < length {
            return Err(Malformed("ends within an element"));
        }
        let (content, rest) = after_length.split_at(length);
        let header = bytes.len() - after_length.len();
        self.rest = rest;
        Ok(Element { tag, content, whole: &bytes[..header + length] })
    }

    /// Reads the next element, which must have this tag.
    pub(crate) fn element(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        let element = self.any()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(Malformed("has an element of another type"))
        }
    }

    /// Reads the content of the next element, which must have this tag.
    pub(crate) fn content(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        Ok(self.element(tag)?.content)
    }

    /// Returns a reader of the content of the next element, which must have this tag.
    pub(crate) fn nested(&mut self, tag: u8) -> Result<Reader<'a>, Malformed> {
        Ok(Reader::new(self.content(tag)?))
    }

    /// Reads the next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Reads a BOOLEAN with the default FALSE.
    pub(crate) fn default_false(&mut self) -> Result<bool, Malformed> {
        match self.optional(BOOLEAN)? {
            None => Ok(false),
            Some(Element { content: [0xff], .. }) => Ok(true),
            // DER forbids encoding a default value, but deployed CAs do it, and accepting it is safe.
            Some(Element { content: [0x00], .. }) => Ok(false),
            Some(_) => Err(Malformed("has a BOOLEAN that is neither TRUE nor FALSE")),
        }
    }

    /// Fails if bytes are left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("has trailing bytes")) }
    }
}

/// Reads a non-negative INTEGER of at most 64 bits.
pub(crate) fn unsigned(content: &[u8]) -> Result<u64, Malformed> {
    match content {
        [] => Err(Malformed("has an empty INTEGER")),
        [first, ..] if first & 0x80 != 0 => Err(Malformed("has a negative INTEGER")),
        [0, second, ..] if second & 0x80 == 0 => {
            Err(Malformed("has an INTEGER that is not minimal"))
        }
        digits if digits.len() > 8 + usize::from(digits[0] == 0) => {
            Err(Malformed("has an INTEGER out of range"))
        }
        digits => Ok(digits.iter().fold(0u64, |sum, &digit| sum << 8 | u64::from(digit))),
    }
}

/// Reads a time in a form that RFC 5280 section 4.1.2.5 allows. Returns Unix seconds.
pub(crate) fn time(element: Element<'_>) -> Result<i64, Malformed> {
    const FAULT: Malformed = Malformed("has a date that RFC 5280 does not allow");
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0i64, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, rest) = match (element.tag, element.content.len()) {
        (UTC_TIME, 13) => {
            let (year, rest) = element.content.split_at(2);
            let year = number(year).ok_or(FAULT)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, 15) => {
            let (year, rest) = element.content.split_at(4);
            (number(year).ok_or(FAULT)?, rest)
        }
        _ => return Err(FAULT),
    };
    if rest[10] != b'Z' {
        return Err(FAULT);
    }
    let field = |at: usize, low: i64, high: i64| {
        number(&rest[at..at + 2]).filter(|value| (low..=high).contains(value)).ok_or(FAULT)
    };
    let (month, day) = (field(0, 1, 12)?, field(2, 1, 31)?);
    let (hour, minute, second) = (field(4, 0, 23)?, field(6, 0, 59)?, field(8, 0, 59)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > longest {
        return Err(FAULT);
    }
    // Days since the epoch. A year starts in March here, so that the leap day is its last day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Ok(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// `YYYYMMDDHHMMSSZ` in Unix seconds.
#[cfg(test)]
pub(crate) fn generalized_time(text: &str) -> Result<i64, Malformed> {
    time(Element { tag: GENERALIZED_TIME, content: text.as_bytes(), whole: &[] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Result<i64, Malformed> {
        time(Element { tag: UTC_TIME, content: text.as_bytes(), whole: &[] })
    }

    #[test]
    fn dates_are_unix_seconds() {
        assert_eq!(utc("700101000000Z"), Ok(0));
        assert_eq!(utc("240229123456Z"), Ok(1_709_210_096));
        assert_eq!(generalized_time("20991231235959Z"), Ok(4_102_444_799));
        assert_eq!(generalized_time("19000301000000Z"), Ok(-2_203_891_200));
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in
            ["230229000000Z", "231301000000Z", "230100000000Z", "2301010000Z", "230101000000+"]
        {
            assert!(utc(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_must_be_minimal_and_definite() {
        for bytes in [
            &[0x04, 0x81, 0x01, 0x00][..],
            &[0x30, 0x80, 0, 0],
            &[0x04, 0x82, 0, 0x80],
            &[0x1f, 1, 0],
        ] {
            assert!(Reader::new(bytes).any().is_err(), "{bytes:02x?}");
        }
    }
}
