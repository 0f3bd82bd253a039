//! HTTP/1.1 on the wire: the head of an answer, where its body ends, and what both may cost. Knows
//! no TLS and no sockets.

mod body;
mod limits;
mod response_head;

pub(crate) use body::BodyFraming;
pub(crate) use limits::{MAX_HEAD, MAX_HEADERS, MOST_INTERIM};
pub(crate) use response_head::{Fault, Head, HeadText, Heads};
