"""The CPU and resident memory of a fresh Python process, without those of an idle interpreter.
`import` only imports the client; `first` makes one delivery with it.

    fresh.py <module> <mode> <n> <url> <directory> <pin>

Alternates `n` processes with and without the client.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from measure import Arguments

FIRST = {
    "webhook_mtls": """
import sys, webhook_mtls as wm
url, material, pin = sys.argv[1:]
wm.deliver(
    url, b"x" * 1024, pins=wm.Pins([pin]),
    identity=wm.Identity.from_files(material + "/tls.crt", material + "/tls.key"),
    trust=wm.Trust.from_files(material + "/ca.pem"),
    egress=wm.Egress("public", allow=["127.0.0.0/8"]),
)
""",
    "pycurl": """
import sys, pycurl
url, material, pin = sys.argv[1:]
curl = pycurl.Curl()
curl.setopt(pycurl.URL, url)
curl.setopt(pycurl.SSLCERT, material + "/tls.crt")
curl.setopt(pycurl.SSLKEY, material + "/tls.key")
curl.setopt(pycurl.CAINFO, material + "/ca.pem")
curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json", "expect:"])
curl.setopt(pycurl.POSTFIELDS, b"x" * 1024)
curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
curl.perform()
if curl.getinfo(pycurl.RESPONSE_CODE) != 200:
    sys.exit(1)
""",
}

# The kernel's figure for a child includes its parent's memory, so the child measures itself.
PEAK = """
print(next(l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")))
"""


def main() -> int:
    """Measures the requested module."""
    arguments, module = Arguments(), sys.argv[1]
    code = f"import {module}\n" if arguments.mode == "import" else FIRST[module]
    spent = {"user_s": 0.0, "sys_s": 0.0, "rss_kib": 0}
    for _ in range(arguments.n):
        for sign, source in ((-1, ""), (1, code)):
            for what, amount in used(source + PEAK, arguments).items():
                spent[what] += sign * amount
    line = {"client": module, "mode": arguments.mode, "n": arguments.n, **spent, "errors": 0}
    print(json.dumps(line))
    return 0


def used(source: str, arguments: Arguments) -> dict[str, float]:
    """Runs a process with this source; returns its CPU and peak resident memory."""
    command = [sys.executable, "-c", source, arguments.url, str(arguments.material), arguments.pin]
    # The working directory is not that of the benches, so the process cannot import its files.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path("/"))
    assert child.stdout is not None
    peak = int(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"a fresh process ended with {child.returncode}")
    return {"user_s": usage.ru_utime, "sys_s": usage.ru_stime, "rss_kib": peak}


if __name__ == "__main__":
    sys.exit(main())
