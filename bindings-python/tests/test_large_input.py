"""Input of any size gets a typed error. Too large input is refused by its length, before it is
copied. A failed allocation of a copy is an error too. No input ends the process."""

import subprocess
import sys
from pathlib import Path

import pytest

# The limit beyond the child's current memory, in MiB.
SPARE = 128

PRELUDE = """
import itertools, mmap, resource, sys
import webhook_mtls as wm
from webhook_mtls import testing

PIN = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

def bound(spare):
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * resource.getpagesize() + spare * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

def tell(name, use):
    print(name, end=" ", flush=True)
    try:
        use()
        print("passed", flush=True)
    except wm.WebhookMtlsError as error:
        print(error.kind, flush=True)

lab = testing.Lab()
dispatcher = lab.dispatcher()
endpoint = dispatcher.endpoint("acme", "https://127.0.0.1:1/", pins=None)
verifier = wm.Verifier(role="server", trust=lab.trust)
chain, key = lab.identity_pem
"""

LARGE = """
with open(sys.argv[1], "wb+") as file:
    file.truncate(3 << 30)
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
text = "x" * (256 << 20)
failure = testing.error("internal")
failure.args[0]["message"] = text
many = dict.fromkeys(map(str, range(200_000)), "later")
bound(int(sys.argv[2]))

class Rows(dict):
    def __len__(self): return 1
    def items(self): return ((str(at), text) for at in itertools.count())

endless = itertools.repeat
for name, use in {
    "deliver": lambda: dispatcher.deliver(endpoint, data),
    "deliver_strided": lambda: dispatcher.deliver(endpoint, data[::2]),
    "delivery": lambda: wm.Delivery(endpoint, data),
    "deliver_once": lambda: wm.deliver("https://a.example", data, identity=lab.identity,
                                       trust=lab.trust, pins=None),
    "deliver_many": lambda: list(dispatcher.deliver_many(
        wm.Delivery(endpoint, data) for _ in endless(0))),
    "trust_anchors": lambda: wm.Trust.from_pem(data),
    "trust_intermediates": lambda: wm.Trust.from_pem(lab.trust_pem, intermediates=data),
    "trust_crl": lambda: wm.Trust.from_pem(lab.trust_pem, crls=[data]),
    "trust_crls": lambda: wm.Trust.from_pem(lab.trust_pem, crls=endless(bytes(1 << 20))),
    "trust_distrusted": lambda: wm.Trust.from_pem(lab.trust_pem, distrusted=endless(PIN)),
    "trust_public": lambda: wm.Trust.dangerous_public(data),
    "trust_exact": lambda: wm.Trust.exact(data),
    "identity_cert": lambda: wm.Identity.from_pem(data, key),
    "identity_key": lambda: wm.Identity.from_pem(chain, data),
    "identity_passphrase": lambda: wm.Identity.from_pem(chain, key, passphrase=data),
    "pkcs12": lambda: wm.Identity.from_pkcs12(data, b""),
    "pkcs12_passphrase": lambda: wm.Identity.from_pkcs12(b"", data),
    "pin_of": lambda: wm.pin_of(data),
    "pins": lambda: wm.Pins(endless(PIN)),
    "pins_next": lambda: wm.Pins([PIN], endless(PIN)),
    "pin": lambda: wm.Pins([text]),
    "pins_file": lambda: wm.Pins.from_file(text),
    "egress": lambda: wm.Egress(allow=endless("10.0.0.0/8")),
    "secrets": lambda: wm.StandardWebhooks(endless("whsec_" + "MfKQ" * 8)),
    "uris": lambda: wm.Authorization.san_uris(endless("spiffe://corp/a")),
    "template": lambda: wm.TenantRule.san_uri(text),
    "verify": lambda: verifier.verify(data),
    "verify_one": lambda: verifier.verify([data]),
    "verify_many": lambda: verifier.verify(endless(bytes(1 << 20))),
    "verify_name": lambda: verifier.verify(b"", server_name=text),
    "consumer": lambda: dispatcher.endpoint(text, "https://a.example", pins=None),
    "url": lambda: dispatcher.endpoint("a", text, pins=None),
    "remove": lambda: dispatcher.remove(text),
    "id": lambda: dispatcher.deliver(endpoint, b"", id=text),
    "content_type": lambda: dispatcher.deliver(endpoint, b"", content_type=text),
    "header": lambda: dispatcher.deliver(endpoint, b"", headers={"x-a": text}),
    "header_name": lambda: dispatcher.deliver(endpoint, b"", headers={text: "a"}),
    "headers": lambda: dispatcher.deliver(endpoint, b"", headers=many),
    "headers_that_lie": lambda: dispatcher.deliver(endpoint, b"", headers=Rows()),
    "keyword": lambda: wm.Dispatcher(**{text: 1}),
    "proxy": lambda: wm.Dispatcher(proxy=text),
    "error": lambda: wm.RetryPolicy().decide(failure, attempt=1),
}.items():
    tell(name, use)
"""

EXPECTED = {
    "deliver": "body_too_large",
    "deliver_strided": "body_too_large",
    "delivery": "body_too_large",
    "deliver_once": "body_too_large",
    "deliver_many": "body_too_large",
    "trust_anchors": "pem_invalid",
    "trust_intermediates": "pem_invalid",
    "trust_crl": "pem_invalid",
    "trust_crls": "pem_invalid",
    "trust_distrusted": "pin_invalid",
    "trust_public": "pem_invalid",
    "trust_exact": "pem_invalid",
    "identity_cert": "pem_invalid",
    "identity_key": "pem_invalid",
    "identity_passphrase": "option_invalid",
    "pkcs12": "pem_invalid",
    "pkcs12_passphrase": "option_invalid",
    "pin_of": "pem_invalid",
    "pins": "pin_invalid",
    "pins_next": "pin_invalid",
    "pin": "pin_invalid",
    "pins_file": "option_invalid",
    "egress": "option_invalid",
    "secrets": "option_invalid",
    "uris": "option_invalid",
    "template": "option_invalid",
    "verify": "pem_invalid",
    "verify_one": "pem_invalid",
    "verify_many": "pem_invalid",
    "verify_name": "option_invalid",
    "consumer": "option_invalid",
    "url": "url_invalid",
    "remove": "option_invalid",
    "id": "option_invalid",
    "content_type": "option_invalid",
    "header": "header_invalid",
    "header_name": "header_invalid",
    "headers": "header_invalid",
    "headers_that_lie": "header_invalid",
    "keyword": "option_invalid",
    "proxy": "option_invalid",
    "error": "option_invalid",
}

# The largest allowed size, and no memory for a copy.
TIGHT = """
body, pem = bytearray(30 << 20), bytearray(1 << 20)
bound(int(sys.argv[2]))
tell("body", lambda: dispatcher.deliver(endpoint, body))
tell("delivery", lambda: wm.Delivery(endpoint, memoryview(body)))
"""


def child(tmp_path: Path, program: str, spare: int) -> dict[str, str]:
    """What a process of its own says of each case, with so much memory to spare."""
    command = [sys.executable, "-c", PRELUDE + program, str(tmp_path / "sparse"), str(spare)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-400:], done.stderr[-2000:])
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="the child bounds itself by /proc")
def test_large_input_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    assert child(tmp_path, LARGE, SPARE) == EXPECTED


@pytest.mark.skipif(sys.platform != "linux", reason="the child bounds itself by /proc")
def test_a_copy_without_memory_is_an_error(tmp_path: Path) -> None:
    assert child(tmp_path, TIGHT, 8) == {"body": "body_too_large", "delivery": "body_too_large"}


def test_a_released_buffer_is_not_an_empty_body(tmp_path: Path) -> None:
    program = """
view = memoryview(b"{}")
view.release()
tell("released", lambda: dispatcher.deliver(endpoint, view))
tell("released_pem", lambda: wm.Trust.from_pem(view))
"""
    expected = {"released": "option_invalid", "released_pem": "option_invalid"}
    assert child(tmp_path, program, 0) == expected
