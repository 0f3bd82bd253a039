//! The body of a request, which may be held back until the consumer has accepted us.
//!
//! A consumer that answers `Expect: 100-continue` has read the head, and so has let our certificate
//! pass (RFC 9110 section 10.1.1). One that knows nothing of it would wait for the body just as we
//! wait for its word; so a timer ends the wait.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

/// How long a consumer that does not answer an expectation is waited for.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// A body until it has left. Boxed: the HTTP client keeps room for 32 requests on each connection.
pub(super) struct Body(Option<Box<Content>>);

/// Some bytes, and what holds them back.
struct Content {
    bytes: Bytes,
    gate: Option<Gate>,
}

impl Body {
    /// * `hold`: what it waits for; without one it follows its head at once.
    pub(super) fn new(bytes: Bytes, hold: Option<Arc<Hold>>) -> Self {
        let gate = hold.map(|hold| Gate { hold, timer: None });
        Self((!bytes.is_empty()).then(|| Box::new(Content { bytes, gate })))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let gate = self.0.as_mut().and_then(|content| content.gate.as_mut());
        gate.map_or(Poll::Ready(()), |gate| gate.poll_open(context))
            .map(|()| self.0.take().map(|content| Ok(Frame::data(content.bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |content| content.bytes.len()) as u64)
    }
}

/// Whether a held body may leave. Shared by the body and by those who hear of the consumer's word.
#[derive(Default)]
pub(super) struct Hold {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    word: Word,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Word {
    #[default]
    Awaited,
    /// 100 (Continue) came.
    Continue,
    /// The timer ran out before.
    Ignored,
    /// A final answer came first: the body is not wanted any more.
    Final,
}

impl Hold {
    /// The consumer said 100 (Continue).
    pub(super) fn release(&self) {
        self.settle(Word::Continue);
    }

    /// The consumer answered: a body that has not left stays here.
    pub(super) fn shut(&self) {
        self.settle(Word::Final);
    }

    /// Whether the consumer spoke before the body left. `None` while the body is here.
    pub(super) fn is_honored(&self) -> Option<bool> {
        match self.state().word {
            Word::Continue => Some(true),
            Word::Ignored => Some(false),
            Word::Awaited | Word::Final => None,
        }
    }

    /// The first word counts.
    fn settle(&self, word: Word) {
        let mut state = self.state();
        if state.word == Word::Awaited {
            state.word = word;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Gate {
    hold: Arc<Hold>,
    /// Starts when the body is first asked for, which is when the head has been written.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Gate {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST_HOLD))).as_mut();
        let expired = timer.poll(context).is_ready();
        let mut state = self.hold.state();
        if state.word == Word::Awaited && expired {
            state.word = Word::Ignored;
        }
        match state.word {
            Word::Continue | Word::Ignored => Poll::Ready(()),
            // Never: the connection is cut with the body still here.
            Word::Final => Poll::Pending,
            Word::Awaited => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
