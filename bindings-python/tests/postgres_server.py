"""A PostgreSQL server of a test's own."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barrier import LONG, eventually, running


@contextmanager
def postgres_server() -> Iterator[str]:
    """Runs PostgreSQL until the end; yields the parameters of a connection."""
    programs = _programs()
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as directory:
        if user:
            shutil.chown(directory, "postgres")
        data = Path(directory) / "data"
        make = [f"{programs}/initdb", f"--pgdata={data}", "--username=postgres", "--auth=trust"]
        subprocess.run([*make, "--no-sync"], check=True, capture_output=True, user=user)
        serve = [f"{programs}/postgres", "-D", str(data), "-k", directory]
        serve += ["-c", "listen_addresses=", "-c", "fsync=off"]
        with running(serve, Path(directory) / "log", {}, user=user) as server:

            def answers() -> bool:
                assert server.poll() is None, (Path(directory) / "log").read_text()
                ready = [f"{programs}/pg_isready", "--quiet", "--host", directory]
                return subprocess.run(ready, check=False).returncode == 0

            eventually("PostgreSQL answers", answers)
            try:
                yield f"host={directory} user=postgres dbname=postgres"
            finally:
                # It ends without waiting for its clients.
                server.send_signal(signal.SIGINT)
                server.wait(LONG)


def _programs() -> Path:
    """Returns the directory of the server's programs, which Debian keeps out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = str(found[-1]) if found else shutil.which("postgres")
    assert program, "postgres is missing: cargo xtask install, or apt-get install postgresql"
    return Path(program).parent
