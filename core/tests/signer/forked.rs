//! A process that forks while its signer is busy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::scene::{Door, LONG, Scene, Slow};

#[test]
fn a_child_has_the_places_that_calls_of_its_parent_hold() {
    let scene = Scene::new();
    let door = Door::default();
    let sender = scene.of(Slow::new(&scene, &door, 1));
    let delivery = sender.start();
    door.await_waiting(1);
    // The fork waits for critical sections. A call of the signer is none.
    let child = fork_and(|| {
        door.open();
        assert_eq!(sender.deliver().unwrap().status(), 200);
    });
    assert_eq!(end_of(child), Some(0), "the child could not deliver");
    assert!(!delivery.is_finished());
    door.open();
    assert_eq!(delivery.join().unwrap().unwrap().status(), 200);
    assert_eq!(scene.acme.received().len(), 2);
}

fn fork_and(work: impl FnOnce()) -> Pid {
    #[expect(unsafe_code, reason = "forking beside a busy signer is the subject of this test")]
    // SAFETY: the child has only this thread. The code that it runs is made for that, and it exits
    // without the parent's cleanup.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let failed = catch_unwind(AssertUnwindSafe(work)).is_err();
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: it does not return.
            unsafe {
                nix::libc::_exit(i32::from(failed))
            }
        }
    }
}

/// Returns the status with which a child has exited, or `None` if it hangs.
fn end_of(child: Pid) -> Option<i32> {
    let until = std::time::Instant::now() + LONG;
    while std::time::Instant::now() < until {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
            WaitStatus::StillAlive => std::thread::sleep(Duration::from_millis(5)),
            WaitStatus::Exited(_, status) => return Some(status),
            other => panic!("{other:?}"),
        }
    }
    kill(child, Signal::SIGKILL).unwrap();
    waitpid(child, None).unwrap();
    None
}
