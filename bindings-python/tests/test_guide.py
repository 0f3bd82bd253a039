"""The programs of docs/python.md run as they stand there, against a consumer of the lab."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from webhook_mtls.testing import Lab

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCK = re.compile(r"(<!-- a program of its own -->\n)?```python\n(.*?)```\n", re.DOTALL)

# What only a test needs: calls of the functions that a server or a worker would call.
CALLS = """
import io

started = []
environ = {"wsgi.input": io.BytesIO(b"{}")}
assert app(environ, lambda status, headers: started.append(status)) == []
assert started == ["204 No Content"]
made = deliver.apply(args=("acme", "https://hooks.acme.example/in", "{}", "evt_1"))
assert made.get()["id"] == "evt_1"
dispatcher.close()
"""


def programs() -> list[str]:
    """Returns the program that the page builds up, and those that stand alone."""
    joined, alone = "", []
    for marker, block in BLOCK.findall(PAGE.read_text()):
        if marker:
            alone.append(block)
        else:
            joined += f"{block}\n\n"
    return [joined + CALLS, *alone]


@pytest.mark.slow
@pytest.mark.runtime
@pytest.mark.parametrize("number", range(len(programs())))
def test_a_program_of_the_page_runs(lab: Lab, tmp_path: Path, number: int) -> None:
    lab.write_files(tmp_path)
    acme = lab.consumer("acme")
    program = programs()[number]
    assert "https://hooks.acme.example/in" in program
    program = program.replace("https://hooks.acme.example/in", acme.url)
    # The consumer of the test is on loopback.
    loopback = 'wm.Dispatcher(egress=wm.Egress(allow=["127.0.0.0/8"]), '
    program = program.replace("wm.Dispatcher(", loopback)
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-W", "error::ResourceWarning", "program.py"]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert len(acme.received) >= 4


def test_the_page_has_programs() -> None:
    assert len(programs()) == 3
