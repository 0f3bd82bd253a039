//! The HTTP client of one connection, driven by the delivery that uses it.
//!
//! With a task for each connection, an answer would wake that task, which would then wake the
//! delivery. Here the delivery polls the HTTP client itself, along with what it waits for. An idle
//! connection is polled by nobody until something happens on it: mostly that its consumer closes it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::coop;
use tokio_rustls::client::TlsStream;

use super::body::Body;
use super::pool::{Home, Permit};
use super::recorder::Recorder;
use super::socket::Socket;

/// The half of the HTTP client that reads and writes.
pub(super) type Http = http1::Connection<TokioIo<Recorder<TlsStream<Socket>>>, Body>;

/// Drives one connection. It says goodbye when it is dropped, unless it was [cut](Driver::cut) or its
/// consumer has; what could still send a request has to be dropped before.
pub(super) struct Driver {
    http: Http,
    ended: bool,
    bell: Arc<Bell>,
    /// Rings for the HTTP client.
    waker: Waker,
    /// Rings for whoever awaits something of it; the HTTP client is not polled for that.
    work_waker: Waker,
    /// After what holds the descriptor: it is given back when that is closed.
    _permit: Permit,
}

impl Driver {
    pub(super) fn new(http: Http, permit: Permit) -> Self {
        let bell = Arc::new(Bell::new());
        let waker = bell.clone().into();
        let work_waker = Arc::new(Other(bell.clone())).into();
        Self { http, ended: false, bell, waker, work_waker, _permit: permit }
    }

    /// Awaits what comes of the connection, and drives it meanwhile.
    pub(super) async fn along<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.bell.attend();
            loop {
                self.go_on();
                self.bell.was_rung(WORK);
                let polled = work.as_mut().poll(&mut Context::from_waker(&self.work_waker));
                if polled.is_ready() {
                    // Attended still: the delivery goes on.
                    return polled;
                }
                self.bell.tell(context.waker());
                if self.bell.leave() {
                    return Poll::Pending;
                }
                // Without a share of the lane left, sockets say that they are not ready and ring at
                // once: nothing goes on until this task has had its next turn.
                if !coop::has_budget_remaining() {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Leaves it to itself: what happens from now on, [`Home::look`] looks at.
    pub(super) fn rest(&self, home: impl FnOnce() -> Home) {
        self.bell.home.get_or_init(home);
        self.bell.state.fetch_or(IDLE, SeqCst);
        self.bell.state.fetch_and(!ATTENDED, SeqCst);
    }

    /// Takes it back into use.
    pub(super) fn resume(&self) {
        self.bell.attend();
        self.bell.state.fetch_and(!IDLE, SeqCst);
    }

    /// Goes on as far as it can at once, while it lies idle. `false` if it has ended.
    pub(super) fn look(&mut self) -> bool {
        self.bell.attend();
        loop {
            self.go_on();
            // Nobody awaits anything of it.
            self.bell.was_rung(WORK);
            if self.ended || self.bell.leave() {
                return !self.ended;
            }
        }
    }

    fn go_on(&mut self) {
        if self.bell.was_rung(HTTP) && !self.ended {
            // Its outcome reaches us through the request and the record.
            let polled = Pin::new(&mut self.http).poll(&mut Context::from_waker(&self.waker));
            self.ended = polled.is_ready();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// It is to end without a word.
    pub(super) fn cut(&mut self) {
        self.ended = true;
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.ended {
            // One look is enough to write a close_notify, unless the consumer has stopped reading.
            let _ = Pin::new(&mut self.http).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Something happened that the HTTP client has not looked at.
const HTTP: u8 = 1;
/// Something happened for whoever awaits something of it.
const WORK: u8 = 2;
/// A delivery is at it, and looks before it waits.
const ATTENDED: u8 = 4;
/// It lies in its pool.
const IDLE: u8 = 8;

/// Rings when something happens on a connection, for the delivery that uses it or, if it is idle, for
/// its pool.
pub(super) struct Bell {
    state: AtomicU8,
    delivery: Mutex<Option<Waker>>,
    home: OnceLock<Home>,
}

impl Bell {
    fn new() -> Self {
        // Nothing has been looked at yet.
        Self { state: AtomicU8::new(HTTP), delivery: Mutex::default(), home: OnceLock::new() }
    }

    pub(super) fn home(&self) -> Option<&Home> {
        self.home.get()
    }

    fn attend(&self) {
        self.state.fetch_or(ATTENDED, SeqCst);
    }

    fn was_rung(&self, by: u8) -> bool {
        self.state.fetch_and(!by, SeqCst) & by != 0
    }

    /// Nobody is at it any more, unless something happened.
    fn leave(&self) -> bool {
        let quiet = |state: u8| (state & (HTTP | WORK) == 0).then_some(state & !ATTENDED);
        self.state.fetch_update(SeqCst, SeqCst, quiet).is_ok()
    }

    fn tell(&self, delivery: &Waker) {
        let mut told = self.delivery();
        if !told.as_ref().is_some_and(|told| told.will_wake(delivery)) {
            *told = Some(delivery.clone());
        }
    }

    fn delivery(&self) -> MutexGuard<'_, Option<Waker>> {
        self.delivery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(self: &Arc<Self>, by: u8) {
        let before = self.state.fetch_or(by, SeqCst);
        if before & ATTENDED != 0 {
            return;
        }
        if before & IDLE != 0 {
            self.home().into_iter().for_each(|home| home.look(self));
        } else if before & (HTTP | WORK) == 0 {
            let told = self.delivery().clone();
            told.into_iter().for_each(Waker::wake);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring(HTTP);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring(HTTP);
    }
}

/// The same bell, rung for whoever awaits something.
struct Other(Arc<Bell>);

impl Wake for Other {
    fn wake(self: Arc<Self>) {
        self.0.ring(WORK);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.ring(WORK);
    }
}
