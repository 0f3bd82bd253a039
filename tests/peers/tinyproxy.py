"""tinyproxy, a CONNECT proxy from Debian, with Basic authentication."""

import shutil
import subprocess
from pathlib import Path

from server import Server, free_port

CREDENTIALS = "dispatcher:correct-horse"

CONFIG = """\
Port {port}
Listen 127.0.0.1
Timeout 30
MaxClients 32
LogLevel Info
LogFile "{work}/log"
PidFile "{work}/pid"
Allow 127.0.0.1
{settings}
"""


def start(allowed: int, work: Path) -> Server:
    """Starts a proxy that allows tunnels to one port, with all its files below `work`."""
    work.mkdir(parents=True)
    port = free_port()
    user, password = CREDENTIALS.split(":")
    settings = f"BasicAuth {user} {password}\nConnectPort {allowed}"
    config, log = work / "tinyproxy.conf", work / "log"
    config.write_text(CONFIG.format(port=port, work=work, settings=settings))
    log.touch()
    program = shutil.which("tinyproxy") or "/usr/bin/tinyproxy"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program, "-d", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return Server("tinyproxy", port, process, log)
