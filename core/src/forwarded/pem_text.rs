//! PEM as a proxy forwards it: certificates and nothing else.

use super::decode::{Fault, MOST, one_der};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Returns the DER of each block of the text, at least one.
///
/// * `separator`: what is between the lines.
pub(super) fn blocks(text: &str, separator: char) -> Result<Vec<Vec<u8>>, Fault> {
    let mut ders = Vec::new();
    let mut rest = text.strip_suffix(separator).unwrap_or(text);
    while ders.len() < MOST {
        let body = rest
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_prefix(separator))
            .ok_or(Fault("is not a PEM certificate"))?;
        let (body, after) = body.split_once(END).ok_or(Fault("is PEM without an end"))?;
        let body = body.strip_suffix(separator).ok_or(Fault("is not a PEM certificate"))?;
        if body.split(separator).any(str::is_empty) {
            return Err(Fault("has an empty line in a PEM certificate"));
        }
        ders.push(one_der(&body.replace(separator, ""))?);
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix(separator).ok_or(Fault("has text after a PEM certificate"))?;
    }
    Ok(ders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}\n")
    }

    #[test]
    fn blocks_follow_each_other_without_other_text() {
        let one = pem("MA\nA=");
        assert_eq!(blocks(&one, '\n'), Ok(vec![vec![0x30, 0]]));
        assert_eq!(blocks(one.trim_end(), '\n').map(|ders| ders.len()), Ok(1));
        assert_eq!(blocks(&one.repeat(2), '\n').map(|ders| ders.len()), Ok(2));
        assert_eq!(blocks(&one.repeat(30), '\n').map(|ders| ders.len()), Ok(MOST));
        assert_eq!(blocks(&one.replace('\n', " "), ' ').map(|ders| ders.len()), Ok(1));
        for bad in [
            String::new(),
            "(null)".to_owned(),
            format!("x{one}"),
            format!("{one}x"),
            format!("{one}\n"),
            one.replace('\n', "\r\n"),
            one.replace('\n', " "),
            one.replace("CERTIFICATE", "PRIVATE KEY"),
            one.replace(END, ""),
            pem(""),
        ] {
            assert!(blocks(&bad, '\n').is_err(), "{bad:?}");
        }
    }
}
