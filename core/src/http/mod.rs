//! HTTP/1.1 on the wire: response heads, body framing, and the limits of both. Imports no TLS and no
//! sockets.

mod body;
mod invalid_line;
mod limits;
mod response_head;

pub(crate) use body::BodyFraming;
pub(crate) use limits::{MAX_HEAD, MAX_HEADERS, MAX_INTERIM};
pub(crate) use response_head::{HeadReader, HeadText, ResponseFault, ResponseHead};
