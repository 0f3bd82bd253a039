"""File rotation in processes that fork or exit."""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import webhook_mtls as wm
from rotation_scene import Scene
from webhook_mtls.testing import Lab

LONG = 20.0


def marks(event: wm.Event) -> tuple[str, object, object]:
    """By these, the rows of several workers in one log are told apart."""
    return event.name, event.fields["pid"], event.fields["generation"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forks with threads on purpose
def test_parent_and_child_rotate_the_same_files_independently(lab: Lab, tmp_path: Path) -> None:
    scene = Scene(lab, tmp_path)
    # Created before the fork, and used in neither process until then.
    dispatcher = lab.dispatcher(identity=scene.identity(), trust=scene.trust(), reload=0.02)
    endpoint = dispatcher.endpoint("acme", scene.acme.url, pins=None)
    heard: queue.Queue[wm.Event] = queue.Queue()
    dispatcher.on_event(heard.put)
    ready, changed = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dispatcher.deliver(endpoint, b"child before")
            os.write(ready[1], b".")
            os.read(changed[0], 1)
            assert marks(heard.get(timeout=LONG)) == ("rotated", os.getpid(), 2)
            dispatcher.deliver(endpoint, b"child after")
            code = 0
        finally:
            os._exit(code)
    dispatcher.deliver(endpoint, b"parent before")
    os.read(ready[0], 1)
    texts = scene.next()
    scene.replace("tls.key", texts["tls.key"])
    scene.replace("tls.crt", texts["tls.crt"])
    os.write(changed[1], b".")
    assert marks(heard.get(timeout=LONG)) == ("rotated", os.getpid(), 2)
    dispatcher.deliver(endpoint, b"parent after")
    watch = threading.Timer(LONG, os.kill, (child, 9))
    watch.start()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    watch.cancel()
    seen = {received.body: received.tenant for received in scene.acme.received}
    assert seen == {
        b"parent before": "dispatcher",
        b"child before": "dispatcher",
        b"parent after": "second",
        b"child after": "second",
    }
    for end in (*ready, *changed):
        os.close(end)
    dispatcher.close()
    scene.dispatcher.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_long_after_the_last_read_reads_first(lab: Lab, tmp_path: Path) -> None:
    scene = Scene(lab, tmp_path)
    dispatcher = lab.dispatcher(identity=scene.identity(), trust=scene.trust(), reload=0.001)
    endpoint = dispatcher.endpoint("acme", scene.acme.url, pins=None)
    texts = scene.next()
    scene.replace("tls.key", texts["tls.key"])
    scene.replace("tls.crt", texts["tls.crt"])
    # More than two intervals and a second count as long. Only the clock can bring this about.
    # A second more covers a read of the parent that ended late.
    time.sleep(2.1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dispatcher.deliver(endpoint, b"{}")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [received.tenant for received in scene.acme.received] == ["second"]
    dispatcher.close()
    scene.dispatcher.close()


AT_EXIT = """
import sys, threading
from pathlib import Path
import webhook_mtls as wm
from webhook_mtls.testing import Authority, Lab
lab = Lab()
files = Path(sys.argv[1])
lab.write_files(files)
acme = lab.consumer("acme")
dispatcher = lab.dispatcher(trust=wm.Trust.from_files(files / "ca.pem"), reload=0.01)
heard = threading.Event()
def listener(event):
    heard.set()
    for _ in range(100_000):
        pass
dispatcher.on_event(listener)
dispatcher.deliver(dispatcher.endpoint("acme", acme.url, pins=None), b"{}")
for number in range(5):
    (files / "ca.pem").write_bytes(lab.trust_pem + Authority("other").root_pem)
    dispatcher.reload()
assert heard.wait(20)
print("leaving")
"""


def test_exiting_while_events_arrive_is_not_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_EXIT, str(tmp_path)]
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr
