"""The configuration and the commands of docs/receive/README.md, as they stand there."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from certificates import Pki
from proxies import start_nginx, written

from server import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs" / "receive" / "README.md"
SECONDS = 60


def checks(
    pki: Pki, command: str, application: int, work: Path
) -> Iterator[tuple[str, bool, object]]:
    """Yields what was checked, whether it holds, and what was seen."""
    text = PAGE.read_text()
    [shown] = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    [run] = re.findall(r"```sh\nwebhook-mtls proxy-config (.*?)```", text, re.DOTALL)
    seen = written(command, *shlex.split(run.replace("\\\n", "")))
    yield "the page shows what its command writes", shown == seen, seen
    folder = "/etc/webhook-mtls"
    port = free_port()
    for theirs, ours in {
        "0.0.0.0:443 ": f"127.0.0.1:{port} ",
        "10.0.0.5:8000;": f"127.0.0.1:{application};",
        f"{folder}/clients-ca.pem": str(pki.path("root.pem")),
        f"{folder}/server.crt": str(pki.path("server.crt")),
        f"{folder}/server.key": str(pki.path("server.key")),
    }.items():
        yield f"the page has {theirs}", theirs in shown, shown
        shown = shown.replace(theirs, ours)
    nginx = start_nginx(shown, port, work)
    try:
        lines = re.findall(r"^curl .*$", text, re.MULTILINE)
        yield "two commands", len(lines) == 2, lines
        for line, is_served in zip(lines, (True, False), strict=True):
            answer = subprocess.run(
                replaced(shlex.split(line), pki, port),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            seen = answer.stdout + answer.stderr
            yield line, ('"cn":"good"' in seen.replace(" ", "")) == is_served, seen
    finally:
        nginx.stop()


def replaced(command: list[str], pki: Pki, port: int) -> list[str]:
    """Returns the command with our files and our port."""
    files = {"server-ca.pem": "root.pem", "client.pem": "good.crt", "client.key": "good.key"}
    words = [str(pki.path(files[word])) if word in files else word for word in command]
    words = [word.replace("hooks.example", f"localhost:{port}") for word in words]
    return [words[0], "--silent", "--show-error", *words[1:]]
