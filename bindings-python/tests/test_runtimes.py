"""The event loops that people run. Each program starts its loop in a process of its own."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

import webhook_mtls as wm
from webhook_mtls.testing import Lab

PROGRAMS = Path(__file__).parent / "runtimes"


@pytest.mark.runtime
@pytest.mark.parametrize("program", sorted(PROGRAMS.glob("with_*.py")), ids=lambda path: path.stem)
def test_a_program_of_its_own_loop(program: Path) -> None:
    command = [sys.executable, "-W", "error::ResourceWarning", str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "well\n"), ended.stderr


def test_uvloop_delivers_as_asyncio(lab: Lab) -> None:
    acme = lab.consumer("acme")
    dispatcher = lab.dispatcher()
    endpoint = dispatcher.endpoint("acme", acme.url, pins=wm.Pins([acme.pin]))

    async def deliver() -> list[int]:
        async with dispatcher.as_async() as deliverer:
            tasks = [deliverer.deliver(endpoint, b"{}") for _ in range(20)]
            return [receipt.status for receipt in await asyncio.gather(*tasks)]

    assert uvloop.run(deliver()) == [200] * 20
