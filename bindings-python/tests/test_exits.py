"""Processes that exit, or fork, while the library has called a function of the program."""

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import atexit, os, sys, threading, time
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
import webhook_mtls as wm
from webhook_mtls.testing import Authority, Lab

lab = Lab()
acme = lab.consumer("acme")
cert, key = lab.identity_pem
owner = load_pem_private_key(key, None)

def signature(digest):
    return owner.sign(digest, ec.ECDSA(utils.Prehashed(SHA256())))

def sender(sign):
    identity = wm.Identity.from_signer(cert, sign)
    dispatcher = lab.dispatcher(identity=identity, handshake_timeout=60, timeout=60)
    return dispatcher, dispatcher.endpoint("acme", acme.url, pins=None)
"""

# The call returns to Python when the interpreter finalizes: it drops the modules then.
RETURNS_LATE = """
asked = threading.Event()
reader, writer = os.pipe()

def sign(scheme, message, digest, deadline):
    asked.set()
    os.read(reader, 1)
    return b""

class Last:
    def __init__(self):
        self.write, self.sleep = os.write, time.sleep

    def __del__(self):
        self.write(writer, b"1")
        self.sleep(0.5)

sys.modules["last"] = Last()
dispatcher, endpoint = sender(sign)
threading.Thread(target=dispatcher.deliver, args=(endpoint, b"{}"), daemon=True).start()
assert asked.wait(60)
print("leaving")
"""

DELIVERS_AT_EXIT = """
@atexit.register
def flush():
    print(dispatcher.deliver(endpoint, b"{}").status)

dispatcher, endpoint = sender(lambda scheme, message, digest, deadline: signature(digest))
"""

# Prints how many of the children did not wait a second for the callback of their parent.
FORKS = """
sender(lambda *_: b"")
busy, go_on = threading.Event(), threading.Event()

def listen(event):
    busy.set()
    assert go_on.wait(60)

ca = sys.argv[1] + "/ca.pem"
with open(ca, "wb") as file:
    file.write(lab.trust_pem)
dispatcher = lab.dispatcher(trust=wm.Trust.from_files(ca), reload=None)
dispatcher.on_event(listen)
with open(ca, "ab") as file:
    file.write(Authority("other").root_pem)
dispatcher.reload()
assert busy.wait(60)
statuses = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        begun = time.monotonic()
        atexit._run_exitfuncs()
        os._exit(int(time.monotonic() - begun >= 1))
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
go_on.set()
print(0 in statuses)
"""


def output_of(program: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", BEGIN + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.runtime
def test_a_call_of_a_signer_may_outlive_the_interpreter() -> None:
    assert output_of(RETURNS_LATE) == "leaving\n"


def test_a_signer_signs_in_a_function_of_atexit() -> None:
    assert output_of(DELIVERS_AT_EXIT) == "200\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_does_not_wait_for_a_callback_of_its_parent(tmp_path: Path) -> None:
    assert output_of(FORKS, tmp_path) == "True\n"
