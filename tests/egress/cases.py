"""Host names, the name server's answers for them, and the expected result of a delivery."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dns import NO_SUCH_NAME, SERVER_FAILURE, Answer
from network import ALIASES, PORT, PROXY, PUBLIC, SEARCH, SILENT

Fault = Callable[[dict[str, Any]], str | None]
Rule = Callable[[int], Answer | None]


@dataclass(frozen=True)
class Case:
    """One delivery under the egress policy `public`, unless the settings say otherwise."""

    name: str
    rule: Rule
    fault: Fault
    # `{work}` is the directory of the run.
    settings: dict[str, str] = field(default_factory=dict)
    # The number of sequential deliveries; the last one is checked.
    times: int = 1
    # The number of questions per lookup: one for each address family. A second lookup could return
    # another answer.
    asked: int = 2
    # The maximum number of connections in progress to silent addresses.
    most_opening: int | None = None

    @property
    def host(self) -> str:
        """The host name of the case."""
        return f"{self.name.replace(' ', '-').replace(',', '')}.consumer.example"


def to(*addresses: str) -> Rule:
    """Always answers with these addresses."""
    return lambda _: Answer(addresses)


def alias(*names: str, addresses: tuple[str, ...] = ()) -> Callable[[str], Rule]:
    """Makes the host an alias of the first name, that name an alias of the next, and so on."""
    return lambda host: lambda _: Answer(addresses, tuple(zip((host, *names), names, strict=False)))


def delivered(answer: dict[str, Any]) -> str | None:
    """Expects a receipt from the public address."""
    receipt = answer.get("receipt")
    if receipt is None:
        return "expected a receipt"
    address = receipt["connection"]["address"]
    return None if address.startswith(PUBLIC) else f"delivered to {address}"


def failed(kind: str, rule: str = "", stage: str = "resolve") -> Fault:
    """Expects an error of this kind with nothing sent. Its rule contains these words, if given. The
    consumer sees neither the address nor the rule."""

    def fault(answer: dict[str, Any]) -> str | None:
        error = answer.get("error")
        if error is None or error["kind"] != kind:
            return f"{kind} was expected"
        if (error["sent"], error["stage"]) != ("nothing", stage):
            return f"sent is {error['sent']} at stage {error['stage']}"
        if kind != "egress_denied":
            return None
        context = error["context"]
        if rule not in context["rule"]:
            return f"the rule is {context['rule']}, not {rule}"
        if "metadata" in context["rule"]:
            # No customer's endpoint has such an address.
            is_warned = error["remedy"].startswith("Do not allow")
            return None if is_warned else "the remedy does not warn"
        if "allow it" not in error["remedy"] and f"remove {rule} from" not in error["remedy"]:
            return "the remedy does not say how to allow it"
        return None

    return fault


# A record whose address is denied, and a word of the rule that denies it.
DENIED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "10.0.0.1": "private",
    "192.168.0.1": "private",
    "100.64.0.1": "shared",
    "169.254.169.254": "link-local",
    "0.0.0.0": "this network",
    "255.255.255.255": "broadcast",
    "224.0.0.1": "multicast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "2002:7f00:1::": "6to4",
    "2001:0:1::80ff:fffe": "Teredo",
    "2a00:1450:4001:800:0:5efe:7f00:1": "ISATAP",
    "fe80::1": "link-local",
    "fec0::1": "outside",
    "fd00::1": "unique local",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
}


# Variables with which the system's resolver replaces a name, or appends to it.
MISLEADING = {"HOSTALIASES": f"{{work}}/{ALIASES}", "LOCALDOMAIN": SEARCH}

# Cases in which a resolver may repeat a question.
ASKED_AGAIN = ("silence", "broken server", "aliases in a loop")


def rebinding(first: str, later: str) -> Rule:
    """Answers the first lookup with one address, and later ones with another."""
    return lambda asked: Answer((first if asked == 1 else later,))


def cases() -> list[Case]:
    """Returns all cases. One language at a time asks about each host."""
    loopback = failed("egress_denied", "loopback")
    found = [
        Case("public", to(PUBLIC), delivered),
        Case("mixed, private first", to("10.0.0.1", PUBLIC, "::1"), delivered),
        Case("mixed, public first", to(PUBLIC, "127.0.0.1", "fd00::1"), delivered),
        Case("all denied", to("127.0.0.1", "10.0.0.1", "::1"), failed("egress_denied")),
        Case("before it rebinds", rebinding(PUBLIC, "127.0.0.1"), delivered),
        Case("after it rebinds", rebinding(PUBLIC, "127.0.0.1"), loopback, times=2),
        Case("rebinds to public", rebinding("127.0.0.1", PUBLIC), delivered, times=2),
        Case(
            "no such name",
            lambda _: Answer(code=NO_SUCH_NAME),
            failed("host_not_found"),
        ),
        Case("no address", to(), failed("host_not_found")),
        Case(
            "broken server",
            lambda _: Answer(code=SERVER_FAILURE),
            failed("resolve_failed"),
        ),
        Case(
            "silence",
            lambda _: None,
            failed("deadline_exceeded"),
            {"WMTLS_TIMEOUT_MS": "400"},
        ),
        Case("private allowed", to("10.0.0.1"), reached, {"WMTLS_EGRESS": "private"}),
        Case(
            "metadata under private",
            to("169.254.169.254"),
            failed("egress_denied", "link-local"),
            {"WMTLS_EGRESS": "private"},
        ),
        Case(
            "denied public",
            to(PUBLIC),
            failed("egress_denied", "93.184.216.0/24"),
            {"WMTLS_DENY": "93.184.216.0/24"},
        ),
        aliased("alias of loopback", "inner.consumer.example", fault=loopback),
        aliased(
            "chain of aliases",
            *(f"hop-{n}.consumer.example" for n in range(8)),
            fault=loopback,
        ),
        looping("aliases in a loop"),
    ]
    found += [*absolute_names(), *silent_addresses(), *behind_nat64()]
    for number, (address, rule) in enumerate(DENIED.items()):
        found.append(Case(f"record {number}", to(address), failed("egress_denied", rule)))
    return found


def absolute_names() -> list[Case]:
    """No search domain is appended; the entries of the local machine apply."""

    def at(host: str) -> dict[str, str]:
        return {"WMTLS_URL": f"https://{host}:{PORT}/in"}

    return [
        Case("trailing dot", to(PUBLIC), delivered, at("trailing-dot.consumer.example.")),
        Case(
            "single label",
            to(),
            failed("host_not_found"),
            at("hooks"),
            asked=0,
        ),
        *(
            Case(f"{name} {host}", to(PUBLIC), fault, at(host) | {name: value}, asked=0)
            for name, value in MISLEADING.items()
            for host, fault in {
                "hooks": failed("host_not_found"),
                "intranet": failed("name_mismatch", stage="handshake"),
            }.items()
        ),
        Case("in hosts", to("127.0.0.1"), delivered, asked=0),
        Case(
            "in hosts, with a dot",
            to(),
            delivered,
            at("in-hosts.consumer.example."),
            asked=0,
        ),
        Case(
            "single label in hosts",
            to(),
            failed("name_mismatch", stage="handshake"),
            at("intranet"),
            asked=0,
        ),
        Case(
            "metadata in hosts",
            to(PUBLIC),
            failed("egress_denied", "link-local"),
            asked=0,
        ),
        Case(
            "localhost",
            to(),
            failed("egress_denied", "loopback"),
            at("localhost"),
            asked=0,
        ),
    ]


def silent_addresses() -> list[Case]:
    """A silent address hides no other address, and uses few sockets."""

    def gave_up(answer: dict[str, Any]) -> str | None:
        error = answer.get("error", {})
        late = error.get("kind") == "deadline_exceeded" and error["stage"] == "connect"
        return None if late else f"kind is {error.get('kind')}"

    brief = {"WMTLS_TIMEOUT_MS": "2000"}
    proxy = {"WMTLS_PROXY": f"http://{PROXY[0]}:{PROXY[1]}"}
    return [
        Case("silent, then not", to(*SILENT[:3], PUBLIC), delivered),
        Case("silent behind a proxy", to(SILENT[0], PUBLIC), delivered, proxy),
        Case("sixteen silent", to(*SILENT), gave_up, brief, most_opening=3),
        Case("sixteen behind a proxy", to(*SILENT), gave_up, brief | proxy),
    ]


def behind_nat64() -> list[Case]:
    """Addresses with the network's own prefixes are checked by their embedded addresses."""
    own = {"WMTLS_NAT64": "fd64::/96,2a00:1450:64::/96"}
    metadata = failed("egress_denied", "link-local")
    return [
        Case("nat64 of metadata", to("2a00:1450:64::a9fe:a9fe"), metadata, own),
        Case(
            "nat64 of private",
            to("fd64::a00:1"),
            failed("egress_denied", "private"),
            own,
        ),
        # The connection is allowed; there is no gateway.
        Case(
            "nat64 of public",
            to("fd64::5db8:d822"),
            failed("connect_failed", stage="connect"),
            own,
        ),
    ]


def reached(answer: dict[str, Any]) -> str | None:
    """Expects a connection attempt. The trap closes at once, because it is not a consumer."""
    error = answer.get("error")
    if error is None or error["stage"] != "handshake":
        return "expected a connection to the private address"
    return None


def aliased(name: str, *names: str, fault: Fault) -> Case:
    """A host that is an alias of loopback through this many steps."""
    case = Case(name, to(), fault)
    return Case(name, alias(*names, addresses=("127.0.0.1",))(case.host), fault)


def looping(name: str) -> Case:
    """A host and its alias that refer to each other."""
    case = Case(name, to(), delivered)

    def rule(_: int) -> Answer:
        other = "loop.consumer.example"
        return Answer(aliases=((case.host, other), (other, case.host)))

    def fault(answer: dict[str, Any]) -> str | None:
        kind = answer.get("error", {}).get("kind")
        return None if kind in ("host_not_found", "resolve_failed") else f"kind is {kind}"

    return Case(name, rule, fault)
