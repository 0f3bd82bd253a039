//! Whether an answer says in one way only where it ends (RFC 9112 section 6.3).
//!
//! Where two readers could disagree about the end of an answer, what follows on the connection
//! could be anybody's words. Such an answer counts, and its connection is not used again.

use http::{HeaderMap, Response, Version, header};

/// Whether another request may follow an answer with this head, once its body was read.
pub(super) fn is_plain<B>(head: &Response<B>) -> bool {
    head.version() == Version::HTTP_11 && ends_in_one_way_and_stays(head.headers())
}

/// Whether the end is said in one way, and the consumer keeps the connection (RFC 9112 section 9.3).
fn ends_in_one_way_and_stays(headers: &HeaderMap) -> bool {
    let (mut length, mut encoding) = (None, None);
    for (name, value) in headers {
        let value = value.as_bytes();
        let known = match *name {
            header::CONTENT_LENGTH => &mut length,
            header::TRANSFER_ENCODING => &mut encoding,
            header::CONNECTION if says_close(value) => return false,
            _ => continue,
        };
        if known.replace(value).is_some() {
            return false;
        }
    }
    match (length, encoding) {
        (None, None) => true,
        (Some(length), None) => length.iter().all(u8::is_ascii_digit),
        (None, Some(encoding)) => encoding.eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

fn says_close(words: &[u8]) -> bool {
    words.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(headers: &[(&str, &str)]) -> bool {
        let made = headers
            .iter()
            .fold(Response::builder(), |made, (name, value)| made.header(*name, *value));
        is_plain(&made.body(()).unwrap())
    }

    #[test]
    fn only_one_way_to_end_is_plain() {
        assert!(plain(&[]));
        assert!(plain(&[("content-length", "2")]));
        assert!(plain(&[("transfer-encoding", "Chunked")]));
        for contradictory in [
            &[("content-length", "2"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "2"), ("content-length", "2")],
            &[("content-length", "2, 2")],
            &[("content-length", "+2")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "identity")],
            &[("connection", "close")],
            &[("connection", "x, Close")],
        ] {
            assert!(!plain(contradictory), "{contradictory:?}");
        }
    }

    #[test]
    fn http_1_0_is_not_used_again() {
        let head = Response::builder().version(Version::HTTP_10).header("connection", "keep-alive");
        assert!(!is_plain(&head.body(()).unwrap()));
    }
}
