//! The HTTP client of one connection, driven by the delivery that uses it.
//!
//! With a task for each connection, an answer would wake that task, which would then wake the
//! delivery. Here the delivery polls the HTTP client itself, along with what it waits for. An idle
//! connection is polled by nobody until something happens on it: mostly that its consumer closes it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::ptr;
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
    /// The waker that the bell was told last.
    told: Option<(usize, usize)>,
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
        Self { http, ended: false, told: None, bell, waker, work_waker, _permit: permit }
    }

    /// Polls what is to come of the connection, and drives it meanwhile.
    pub(super) fn along<T>(
        &mut self,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> impl Future<Output = T> {
        poll_fn(move |context| {
            loop {
                if self.bell.attend() & HTTP != 0 {
                    self.go_on();
                }
                let polled = work(&mut Context::from_waker(&self.work_waker));
                if polled.is_ready() {
                    // Attended still: the delivery goes on.
                    return polled;
                }
                self.tell(context.waker());
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
    }

    /// Leaves it to itself: what happens from now on, [`Home::look`] looks at.
    pub(super) fn rest(&mut self, home: impl FnOnce() -> Home) {
        // The delivery is over: its waker would keep its task's memory.
        self.told = None;
        *self.bell.delivery() = None;
        self.bell.home.get_or_init(home);
        self.bell.change(|state| state & !ATTENDED | IDLE);
    }

    /// Takes it back into use.
    pub(super) fn resume(&self) {
        self.bell.change(|state| state & !IDLE | ATTENDED);
    }

    /// Goes on as far as it can at once, while it lies idle. `false` if it has ended.
    pub(super) fn look(&mut self) -> bool {
        loop {
            if self.bell.attend() & HTTP != 0 {
                self.go_on();
            }
            if self.ended || self.bell.leave() {
                return !self.ended;
            }
        }
    }

    fn go_on(&mut self) {
        if !self.ended {
            // Its outcome reaches us through the request and the record.
            let polled = Pin::new(&mut self.http).poll(&mut Context::from_waker(&self.waker));
            self.ended = polled.is_ready();
        }
    }

    /// Whom to wake when the bell rings and nobody is at it.
    fn tell(&mut self, delivery: &Waker) {
        // By address: the bell keeps the waker itself, and so no other can be in its place.
        let address = (delivery.data().addr(), ptr::from_ref(delivery.vtable()).addr());
        if self.told != Some(address) {
            *self.bell.delivery() = Some(delivery.clone());
            self.told = Some(address);
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

    /// Somebody is at it, and looks at what happened since somebody last was: what, is returned.
    fn attend(&self) -> u8 {
        self.change(|state| state & !(HTTP | WORK) | ATTENDED)
    }

    /// Nobody is at it any more, unless something happened.
    fn leave(&self) -> bool {
        let quiet = |state: u8| (state & (HTTP | WORK) == 0).then_some(state & !ATTENDED);
        self.state.fetch_update(SeqCst, SeqCst, quiet).is_ok()
    }

    fn change(&self, change: impl Fn(u8) -> u8) -> u8 {
        let changed = self.state.fetch_update(SeqCst, SeqCst, |state| Some(change(state)));
        changed.unwrap_or_else(|state| state)
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
            self.delivery().iter().for_each(Waker::wake_by_ref);
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
