"""A name server for tests: answers over UDP as a case defines."""

import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

A, CNAME, AAAA = 1, 5, 28
OK, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3


@dataclass(frozen=True)
class Answer:
    """Addresses, aliases (name and target), and the response code."""

    addresses: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    code: int = OK


# The answer to the n-th question of a type about a name. None: no answer.
Zone = dict[str, Callable[[int], Answer | None]]


class NameServer:
    """Listens on one address and port until it is closed."""

    def __init__(self, address: tuple[str, int], zone: Zone, search: str, found: Answer) -> None:
        """Creates a server. All names below the domain `search` exist."""
        self._zone = zone
        self._search, self._found = "." + search, found
        self._asked: Counter[tuple[str, int]] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def asked(self, name: str) -> int:
        """Returns the number of questions about a name."""
        return sum(count for (asked, _), count in self._asked.items() if asked == name)

    def searched(self) -> list[str]:
        """Returns the names below the search domain in questions."""
        return sorted({name for name, _ in self._asked if name.endswith(self._search)})

    def forget(self) -> None:
        """Resets the counts."""
        self._asked.clear()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            reply = self._reply(question)
            if reply is not None:
                self._socket.sendto(reply, client)

    def _reply(self, query: bytes) -> bytes | None:
        name, kind, end = read_question(query)
        self._asked[name, kind] += 1
        unknown = self._found if name.endswith(self._search) else Answer(code=NO_SUCH_NAME)
        rule = self._zone.get(name, lambda _: unknown)
        answer = rule(self._asked[name, kind])
        if answer is None:
            return None
        owner = name
        records = []
        for alias, target in answer.aliases:
            records.append(record(alias, CNAME, encoded(target)))
            owner = target
        for text in answer.addresses:
            address = ipaddress.ip_address(text)
            if kind == (A if address.version == 4 else AAAA):
                records.append(record(owner, kind, address.packed))
        # Response, recursion desired and available.
        flags = 0x8180 | answer.code
        header = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
        return header + query[12:end] + b"".join(records)


def read_question(query: bytes) -> tuple[str, int, int]:
    """Returns the name in lower case, the type, and the end of the question."""
    labels = []
    at = 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    (kind,) = struct.unpack_from(">H", query, at + 1)
    return ".".join(labels), kind, at + 5


def encoded(name: str) -> bytes:
    """Encodes a name as labels."""
    labels = (bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"".join(labels) + b"\0"


def record(owner: str, kind: int, data: bytes) -> bytes:
    """Encodes a record with TTL 0, so that each lookup asks again."""
    return encoded(owner) + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
