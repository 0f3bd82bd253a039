"""The network of the cases, in a namespace of its own: the names of the consumer, a name server
that can be at fault, and an address that answers no connection attempt."""

from pathlib import Path

from dns import SERVER_FAILURE, Answer, NameServer
from network import PORT, Silent, set_addresses, use_resolver

SILENT = "93.184.216.35"

HOSTS = f"""\
127.0.0.1 localhost hooks.acme.test other.acme.test proxy.acme.test
{SILENT} drop.acme.test
169.254.169.254 metadata.acme.test
10.1.2.3 internal.acme.test
"""

ZONE = {
    "empty.acme.test": lambda _: Answer(),
    "fail.acme.test": lambda _: Answer(code=SERVER_FAILURE),
    "slow.acme.test": lambda _: None,
    "beyond.acme.test": lambda _: Answer(("203.0.114.9",)),
}

__all__ = ["PORT", "SILENT", "Network"]


class Network:
    """What answers, and what does not, until it is closed."""

    def __init__(self, work: Path) -> None:
        interfaces = Path("/proc/net/dev").read_text().splitlines()[2:]
        if [row.split(":")[0].strip() for row in interfaces] != ["lo"]:
            # Elsewhere the files of the machine's resolver would be covered.
            raise RuntimeError("no namespace: run cargo xtask test misconfigurations")
        set_addresses([SILENT])
        use_resolver(work, HOSTS, "options timeout:3 attempts:1\n")
        self._server = NameServer(("127.0.0.1", 53), ZONE, "search.invalid", Answer())
        self._silent = Silent([SILENT])

    def close(self) -> None:
        """Closes the sockets of the silent address."""
        self._silent.close()
