//! Which line of a response head is invalid, for the error. Runs only after a head was refused.

/// The most bytes of a line that the description shows.
const LONGEST: usize = 60;

/// Returns a description of the first invalid line.
///
/// * `is_valid`: whether the head is valid up to here, complete or not.
pub(super) fn describe(head: &[u8], is_valid: impl Fn(&[u8]) -> bool) -> String {
    let mut end = 0;
    for (at, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        end += line.len();
        if !is_valid(&head[..end]) {
            return format!("line {} of the response head, {}", at + 1, shown(at, line));
        }
    }
    "the response head".to_owned()
}

/// Returns the part of a line that identifies it: of the first line what fits, and of a header its
/// name. A value may be a secret that the consumer sends back.
fn shown(at: usize, line: &[u8]) -> String {
    let line = line.trim_ascii_end();
    let part = if at == 0 {
        // A server that sends our request back shows the path of its URL.
        line.split(|byte| *byte == b'/').next().unwrap_or_default()
    } else if let Some(colon) = line.iter().position(|byte| *byte == b':') {
        &line[..=colon]
    } else {
        return format!("{} bytes without a colon", line.len());
    };
    let part = if at == 0 && line.starts_with(b"HTTP/") { line } else { part };
    let part = &part[..part.len().min(LONGEST)];
    let shown: String =
        String::from_utf8_lossy(part).chars().flat_map(char::escape_default).collect();
    format!("\"{shown}\"")
}
