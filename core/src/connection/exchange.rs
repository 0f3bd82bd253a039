//! One exchange: writes a request and reads its response.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

use super::fault::ExchangeFault;
use super::request_writer::{MayStart, Request, RequestWriter};
use super::response::Response;
use super::tls_stream::TlsStream;
use super::{Connection, Deadlines, Progress};
use crate::error::{Error, Kind, Sent, Stage, key};
use crate::http::{HeadReader, ResponseHead};
use crate::runtime::poll_due;

impl Connection {
    /// Sends a request and returns its response. The connection stays open only if the request was sent
    /// completely and the response permits reuse.
    ///
    /// * `request`: builds the request. If it fails, nothing is sent.
    /// * `may_start`: called right before the first byte. If it returns `None`, nothing is sent, and
    ///   the error is `handle_closed`.
    pub(crate) async fn exchange<'a>(
        &mut self,
        request: impl FnOnce() -> Result<Request, Error>,
        may_start: MayStart<'a>,
        deadlines: &Deadlines,
        progress: &'a Progress,
    ) -> Result<Response, Error> {
        (self.hold, self.status) = (None, None);
        let by = progress.by();
        let request = request()?;
        let started = progress.enter(Stage::Request);
        self.in_flight = true;
        if !self.stream.begin() {
            return Err(self.fault(ExchangeFault::Lost, Sent::Nothing));
        }
        let mut writer = RequestWriter::new(request, may_start, started, progress);
        let mut heads = HeadReader::default();
        // One timer for the whole exchange. If it expires early, it is set again.
        let first = writer.first_due(deadlines).min(by);
        let mut timer = pin!(tokio::time::sleep_until(first.into()));
        let stream = &mut self.stream;
        // The two loops below are polled by reference. Each async function that a future passes
        // through would reserve space for it once more.
        let head = poll_fn(|context| {
            let due = (deadlines, by);
            poll_head_in_time(stream, &mut writer, &mut heads, timer.as_mut(), due, context)
        })
        .await;
        writer.shut();
        self.hold = writer.hold();
        let sent = progress.sent_now();
        let Some(head) = head else {
            let due = writer.due(deadlines);
            return Err(progress.deadline_exceeded(writer.part(), due, deadlines));
        };
        let head = self.accept_head(head, sent, heads.is_early())?;
        progress.decide();
        let (mut response, mut framing) = Response::new(head);
        let mut due = None;
        let stream = &mut self.stream;
        poll_fn(|context| {
            stream.begin_poll();
            // A consumer may read the rest of a request that it has refused. A failure to write has
            // no further consequence. If nothing was sent so far, nothing is sent now.
            if sent != Sent::Nothing {
                let _ = writer.go_on(stream, context);
            }
            let read = response.poll_body(&mut framing, stream, context);
            if read.is_ready() || progress.is_enough() {
                return Poll::Ready(());
            }
            // The body mostly arrives with the head, and then needs no deadline of its own.
            let due = *due.get_or_insert_with(|| by.min(Instant::now() + deadlines.response));
            poll_due(timer.as_mut(), || due, context)
        })
        .await;
        // An incomplete request, or a response whose end is ambiguous, prevents reuse.
        self.in_flight = !(sent == Sent::All && framing.is_reusable() && response.is_complete());
        self.idle_since = Instant::now();
        progress.finish(self.idle_since);
        Ok(response)
    }

    /// Returns the head of the final response if it can answer the request.
    ///
    /// * `early`: part of the head arrived before the request had left.
    fn accept_head(
        &mut self,
        head: Result<ResponseHead, ExchangeFault>,
        sent: Sent,
        early: bool,
    ) -> Result<ResponseHead, Error> {
        let head = head.map_err(|fault| self.fault(fault, sent))?;
        self.status = Some(head.status);
        check_status(head.status, sent, early)?;
        Ok(head)
    }
}

/// Polls up to the head of the final response. Returns `None` if a deadline passed first.
///
/// * `deadlines`: of the parts, and the end of the whole delivery.
fn poll_head_in_time(
    stream: &mut TlsStream,
    writer: &mut RequestWriter<'_>,
    heads: &mut HeadReader,
    mut timer: Pin<&mut Sleep>,
    (deadlines, by): (&Deadlines, Instant),
    context: &mut Context<'_>,
) -> Poll<Option<Result<ResponseHead, ExchangeFault>>> {
    stream.begin_poll();
    loop {
        let polled = poll_head(stream, writer, heads, context);
        if polled.is_ready() {
            return polled.map(Some);
        }
        let due = || writer.due(deadlines).min(by);
        ready!(poll_due(timer.as_mut(), due, context));
        if due() == by || !writer.lapse() {
            return Poll::Ready(None);
        }
    }
}

/// Writes as much of the request as the stream takes, and reads up to the head of the final response.
/// A response, and a TLS alert too, may arrive before the whole request was written.
fn poll_head(
    stream: &mut TlsStream,
    writer: &mut RequestWriter<'_>,
    heads: &mut HeadReader,
    context: &mut Context<'_>,
) -> Poll<Result<ResponseHead, ExchangeFault>> {
    loop {
        // Plaintext that has arrived is read before more is written.
        if !stream.has_plaintext() {
            writer.go_on(stream, context)?;
        }
        let Some(bytes) = ready!(stream.poll_read(context)) else {
            return Poll::Ready(Err(ExchangeFault::Lost));
        };
        let (taken, head) = heads.take(bytes)?;
        stream.consume(taken);
        if stream.is_early() || !writer.has_left() {
            heads.note_early(head.is_some());
        }
        if let Some(head) = head {
            return Poll::Ready(Ok(head));
        }
        if heads.is_continued() {
            writer.release();
        }
    }
}

/// Fails with `http_invalid` for a final status that cannot answer this request.
///
/// * `early`: part of the head arrived before the request had left.
fn check_status(status: u16, sent: Sent, early: bool) -> Result<(), Error> {
    let invalid = |why: &str| {
        Error::new(Kind::HttpInvalid, format!("the consumer answered {status} {why}"))
            .having_sent(sent)
            .noting(key::STATUS, status)
    };
    // A 2xx that precedes the end of the request answers something else. An early refusal is valid.
    if (200..=299).contains(&status) && (sent != Sent::All || early) {
        return Err(invalid("before the request had left")
            .advising("The consumer must read the whole request before it answers 2xx."));
    }
    if status < 200 {
        return Err(invalid("although the request asked for no other protocol"));
    }
    Ok(())
}
