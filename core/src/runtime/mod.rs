//! The runtime of this process: a few lanes, and the ways for a caller to use them.
//!
//! A lane is a single-threaded tokio runtime that the waiting threads drive. `drive_in` runs a lane
//! on the calling thread, so that a delivery needs no other thread and wakes none. If several threads
//! wait, one of them drives for all, and hands over when its own future has completed. A keeper
//! thread drives while no thread waits: for callers that may not block ([`spawn`]), and for
//! background tasks. All connections of one endpoint live in one lane.
//!
//! Lanes are tagged with the process id. A forked child has the memory of its parent's lanes but not
//! their threads. It makes new lanes on first use and leaks the old ones, because dropping them would
//! deregister the parent's sockets from the epoll instance that both share.

mod drive;
mod event_loop;
mod lane;
mod task;
mod threads;
mod time;

pub use drive::{drive, undriven};
pub(crate) use drive::{drive_for, drive_in, drive_in_for, is_in_lane, is_inside};
pub use event_loop::EventLoop;
pub(crate) use lane::{Driven, Lane, MAX_BLOCKING_THREADS, lane};
pub(crate) use task::{Task, TaskPlace, blocking, handle, ready_here, ready_lane};
pub use task::{afterwards, spawn};
pub(crate) use threads::apart;
pub(crate) use time::{before, poll_due};
