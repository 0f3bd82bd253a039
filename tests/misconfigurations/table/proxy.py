"""CONNECT proxies of ours that refuse, fail, or are none."""

from collections.abc import Callable

import consumers
from lab import Delivery, Lab, peer
from said import Said, path

PROXY = "http://127.0.0.1"


def through(port: Callable[[Lab], int], credentials: str = "") -> Delivery:
    """Delivers to a good consumer through a proxy on this port."""
    return Delivery(
        "nginx strict",
        dispatcher={"proxy": lambda lab: f"http://{credentials}127.0.0.1:{port(lab)}"},
    )


def answers(text: bytes) -> Delivery:
    """Delivers through a proxy that answers CONNECT so."""
    handler = consumers.says(text)
    return through(lambda lab: lab.port(text, lambda: handler))


def tinyproxy(name: str, settings: str, credentials: str = "") -> Delivery:
    """Delivers through a tinyproxy with these settings."""
    return through(lambda lab: lab.programs.proxy(f"tinyproxy {name}", settings), credentials)


def wants(schemes: str, status: int = 407) -> bytes:
    """Returns the answer of a proxy that wants credentials of these schemes."""
    lines = "".join(f"proxy-authenticate: {scheme}\r\n" for scheme in schemes.split("; "))
    return f"HTTP/1.1 {status} Authenticate\r\n{lines}content-length: 0\r\n\r\n".encode()


def refused(blame: str, scope: str, retry: str) -> Said:
    """Returns the verdict on a proxy's answer."""
    return Said("proxy_refused", "connect", blame, scope, "nothing", retry)


CREDENTIALS = refused("ours", "process", "after_repair")
HTML = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>Welcome to the captive portal</html>"
)

CASES = [
    peer(
        "proxy wants credentials",
        "the proxy wants credentials and the option has none",
        tinyproxy("closed", "BasicAuth dispatcher secret"),
        CREDENTIALS.naming("407", r"127\.0\.0\.1:\d+", "Basic").curing("user and password"),
    ),
    peer(
        "proxy credentials wrong",
        "the password for the proxy is wrong",
        tinyproxy("closed", "BasicAuth dispatcher secret", "dispatcher:wrong@"),
        CREDENTIALS.naming("401|407").curing("user and password|password").without("wrong@"),
    ),
    peer(
        "proxy wants NTLM",
        "the proxy wants NTLM or Negotiate, which are not supported",
        answers(wants("Negotiate; NTLM")),
        CREDENTIALS.naming("407", "NTLM", "Negotiate").curing("Basic|support|exception|allow"),
    ),
    peer(
        "proxy denies the port",
        "the proxy allows tunnels to another port only",
        tinyproxy("narrow", "ConnectPort 443"),
        refused("path|ours", "endpoint", "after_repair")
        .naming("403", r"127\.0\.0\.1:\d+", "hooks.acme.test")
        .curing("allow", "address and port|by name"),
    ),
    peer(
        "proxy cannot reach the consumer",
        "the proxy works, and nothing listens on the consumer's port",
        tinyproxy("open", "ConnectPort 9").but(to="https://hooks.acme.test:9/in"),
        refused("path|theirs", "endpoint", "later")
        .naming(r"50\d", r"127\.0\.0\.1:9", "reach")
        .curing("consumer", "proxy's log|log of the proxy|port")
        .without("credentials"),
    ),
    peer(
        "proxy gateway timeout",
        "the proxy waits in vain for the consumer",
        answers(b"HTTP/1.1 504 Gateway Timeout\r\n\r\n"),
        refused("path|theirs", "endpoint", "later")
        .naming("504", "reach|answer")
        .curing("consumer", "proxy")
        .without("credentials"),
    ),
    peer(
        "proxy down",
        "no proxy listens at the configured address",
        through(lambda _: 9),
        path("connect_failed", scope="process")
        .naming(r"proxy 127\.0\.0\.1:9", "refused")
        .curing("proxy (runs|listens)|proxy is running|proxy")
        .without("that the consumer listens"),
    ),
    peer(
        "proxy is a web server",
        "the proxy's address is that of a web server",
        through(lambda lab: lab.programs.port("nginx plain")),
        refused("path|ours", "process|endpoint", "later|after_repair")
        .naming("40[05]", "CONNECT")
        .curing("web server|is that a proxy", "option proxy|proxy's address"),
    ),
    peer(
        "proxy is a portal",
        "a captive portal answers CONNECT with a page",
        answers(HTML),
        Said("proxy_refused|tls_failed", "connect|handshake", "", "", "nothing", "")
        .naming("HTML|not TLS|page")
        .curing("proxy|portal"),
    ),
    peer(
        "proxy is no web server",
        "the proxy's address is that of an SSH server",
        answers(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        refused("path|ours", "process|endpoint", "later|after_repair")
        .naming("not HTTP", r"127\.0\.0\.1:\d+")
        .curing("proxy"),
    ),
    peer(
        "proxy closes",
        "the proxy closes the connection",
        through(lambda lab: lab.port("closing proxy", lambda: consumers.close)),
        refused("path", "process|endpoint", "later").naming("closed").curing("proxy"),
    ),
    peer(
        "proxy unknown",
        "the name of the proxy does not exist",
        Delivery("nginx strict", dispatcher={"proxy": "http://typo.proxy.test:3128"}),
        Said("host_not_found", "resolve", "path|ours", "process", "nothing", "later")
        .naming("proxy typo.proxy.test", "not exist|no address|no such")
        .curing("proxy")
        .without("endpoint's URL"),
    ),
    peer(
        "proxy silent",
        "the proxy accepts the connection and says nothing",
        through(lambda lab: lab.port("silent proxy", lambda: consumers.silent)).but(
            dispatcher={
                "proxy": lambda lab: (
                    f"{PROXY}:{lab.port('silent proxy', lambda: consumers.silent)}"
                ),
                "connect_timeout": 0.4,
            }
        ),
        Said(
            "proxy_refused|deadline_exceeded|connect_failed",
            "connect",
            "path|unknown",
            "",
            "nothing",
        )
        .naming("proxy", r"127\.0\.0\.1:\d+")
        .curing("proxy")
        .without("consumer is too slow"),
    ),
]
