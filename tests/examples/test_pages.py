"""The programs of pages that no other test runs, as they stand there.

A page has a fixed address, path or name where the test has a consumer of the lab and a directory.
"""

import asyncio
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import webhook_mtls as wm
from webhook_mtls.testing import Authority, Consumer, Lab

ROOT = Path(__file__).parents[2]
BLOCK = r"^( *)```{language}\n(.*?)^ *```$"
ADDRESS = "https://hooks.acme.example/in"


def block(page: str, part: str, language: str = "python") -> str:
    """Returns the one program of a page in this language that has this part."""
    text = (ROOT / page).read_text()
    found = re.findall(BLOCK.format(language=language), text, re.MULTILINE | re.DOTALL)
    (program,) = (program for _, program in found if part in program)
    return textwrap.dedent(program)


class Scene:
    """A directory with our files, and a consumer. Programs run in the directory."""

    def __init__(self, lab: Lab, place: Path) -> None:
        self.lab, self.place = lab, place
        lab.write_files(place)
        self.acme: Consumer = lab.consumer("acme")

    def run(self, program: str, replaced: dict[str, str] | None = None, **given: Any) -> Any:
        """Runs a program with replaced parts, each of which it must have; returns its names."""
        for part, other in (replaced or {}).items():
            assert part in program, f"the program has no {part}"
            program = program.replace(part, other)
        # The consumers of the lab are on loopback.
        loopback = 'wm.Dispatcher(egress=wm.Egress(allow=["127.0.0.0/8"]), '
        program = program.replace("wm.Dispatcher(", loopback)
        names: dict[str, Any] = {"wm": wm, "pytest": pytest} | given
        exec(program, names)
        return names

    def dispatcher(self) -> wm.Dispatcher:
        return self.lab.dispatcher()

    def arrived(self) -> list[str | None]:
        return [each.id for each in self.acme.received]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.chdir(tmp_path)
    with Lab() as lab:
        yield Scene(lab, tmp_path)


def test_the_ten_lines_of_the_readme(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    program = block("README.md", "wm.Dispatcher(")
    scene.run(program, url=scene.acme.url, pin=scene.acme.pin)
    assert scene.arrived() == ["evt_1"]
    assert capsys.readouterr().out == ""

    scene.run(program, url=scene.acme.url, pin=scene.lab.consumer("other").pin)
    assert scene.arrived() == ["evt_1"]
    assert capsys.readouterr().out.startswith("pin_mismatch nothing after_repair ")


def test_the_readme_of_the_python_package(scene: Scene) -> None:
    page = "bindings-python/README.md"
    scene.run(block(page, "wm.Dispatcher("), {ADDRESS: scene.acme.url}, pin=scene.acme.pin)
    assert scene.arrived() == ["evt_1"]

    dispatcher = scene.dispatcher()
    acme = dispatcher.endpoint("acme", scene.acme.url, pins=None)
    asynchronous = textwrap.indent(block(page, "as_async()"), "    ")
    inside = f"async def main():\n{asynchronous}    return receipt\n"
    names = scene.run(inside, dispatcher=dispatcher, acme=acme)
    assert asyncio.run(names["main"]()).status == 200

    scene.run(block(page, "def test_"))["test_survives_key_rollover"]()


def test_the_guide_presents_what_the_consumers_ca_has_signed(scene: Scene) -> None:
    for name in ("tls.crt", "tls.key"):
        (scene.place / name).unlink()
    request = block("docs/guides/their-ca.md", "webhook-mtls csr", "sh")
    subprocess.run(["sh", "-euc", request], check=True, timeout=300)
    assert Path("tls.csr").exists()
    assert Path("tls.key").exists()

    program = block("docs/guides/their-ca.md", "dispatcher.endpoint(")
    bank = Authority("bank")
    scene.acme.accept_only(bank)
    signed = bank.issue("shop")
    Path("acme.crt").write_bytes(signed.cert_pem)
    Path("tls.key").write_bytes(signed.key_pem)
    dispatcher = scene.dispatcher()
    replaced = {ADDRESS: scene.acme.url}
    endpoint = scene.run(program, replaced, dispatcher=dispatcher, pin=scene.acme.pin)["acme"]
    dispatcher.deliver(endpoint, b"{}")
    assert scene.acme.received[0].tenant == "shop"


def test_an_exact_certificate_is_trusted(scene: Scene) -> None:
    program = block("docs/trust.md", "Trust.exact_from_file(")
    leaf, _, _ = scene.acme.issued.cert_pem.partition(b"-----END CERTIFICATE-----\n")
    Path("consumer.pem").write_bytes(leaf + b"-----END CERTIFICATE-----\n")
    dispatcher = scene.dispatcher()
    program = program.replace("dispatcher.endpoint", "acme = dispatcher.endpoint")
    replaced = {"https://203.0.113.7/hooks": scene.acme.url}
    acme = scene.run(program, replaced, dispatcher=dispatcher)["acme"]
    dispatcher.deliver(acme, b"{}")
    scene.acme.renew(new_key=False)
    with pytest.raises(wm.DeliveryError):
        dispatcher.deliver(acme, b"{}")
    assert len(scene.arrived()) == 1


def test_files_of_spire(scene: Scene) -> None:
    program = block("docs/issue/spire.md", "/run/svid/")
    replaced = {
        "/run/svid/": f"{scene.place}/",
        "spiffe://acme.example/webhooks": "spiffe://lab.test/tenant/acme",
    }
    names = scene.run(program, replaced, url=scene.acme.url)
    names["dispatcher"].deliver(names["endpoint"], b"{}")
    assert len(scene.arrived()) == 1


@pytest.mark.parametrize(
    ("page", "replaced"),
    [
        ("docs/issue/cert-manager.md", {"/tls/": ""}),
        ("docs/issue/vault.md", {"/run/vault/tls.pem": "both.pem"}),
    ],
)
def test_an_identity_of_an_issuer(scene: Scene, page: str, replaced: dict[str, str]) -> None:
    program = block(page, "Identity.from_files(")
    both = Path("tls.crt").read_bytes() + Path("tls.key").read_bytes()
    Path("both.pem").write_bytes(both)
    identity = scene.run(program, replaced)["identity"]
    dispatcher = scene.dispatcher()
    acme = dispatcher.endpoint("acme", scene.acme.url, pins=None, identity=identity)
    dispatcher.deliver(acme, b"{}")
    assert len(scene.arrived()) == 1
