"""The programs of the README and of the guides that no other test runs, as they stand there."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

from webhook_mtls.testing import Lab

ROOT = Path(__file__).parents[2]
LOOPBACK = 'wm.Dispatcher(\n    egress=wm.Egress(allow=["127.0.0.0/8"]),'


def blocks(page: str, language: str) -> list[str]:
    """Returns the programs of a page in one language."""
    text = (ROOT / page).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(program) for _, program in found]


def run(program: str, place: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ten_lines_of_the_readme_deliver(tmp_path: Path) -> None:
    (program,) = blocks("README.md", "python")
    with Lab() as lab:
        lab.write_files(tmp_path)
        acme = lab.consumer("acme")
        given = f"url, pin = {acme.url!r}, {acme.pin!r}\n"
        loopback = program.replace("wm.Dispatcher(", LOOPBACK)
        assert run(given + loopback, tmp_path) == ""
        assert [each.id for each in acme.received] == ["evt_1"]

        other = f"url, pin = {acme.url!r}, {lab.consumer('other').pin!r}\n"
        shown = run(other + loopback, tmp_path)
        assert shown.startswith("pin_mismatch nothing after_repair ")


def test_the_guide_presents_what_the_consumers_ca_has_signed(tmp_path: Path) -> None:
    (request,) = blocks("docs/guides/their-ca.md", "sh")
    subprocess.run(["sh", "-euc", request], cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "tls.csr").exists()
    assert (tmp_path / "tls.key").exists()

    (program,) = blocks("docs/guides/their-ca.md", "python")
    assert "https://hooks.acme.example/in" in program
    with Lab() as lab:
        lab.write_files(tmp_path)
        acme = lab.consumer("acme")
        # The certificate that comes back, with its key.
        signed = lab.authority.issue("signed-by-acme")
        (tmp_path / "acme.crt").write_bytes(signed.cert_pem)
        (tmp_path / "tls.key").write_bytes(signed.key_pem)
        lines = [
            "import webhook_mtls as wm",
            f"pin = {acme.pin!r}",
            f"dispatcher = {LOOPBACK} trust=wm.Trust.from_files('ca.pem'))",
            program.replace("https://hooks.acme.example/in", acme.url),
            "dispatcher.deliver(acme, b'{}', id='evt_1')",
        ]
        run("\n".join(lines), tmp_path)
        assert [each.id for each in acme.received] == ["evt_1"]
        assert "signed-by-acme" in (acme.received[0].tenant or "")
