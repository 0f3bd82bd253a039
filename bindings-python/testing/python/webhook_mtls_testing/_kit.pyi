from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self, final

from webhook_mtls import Dispatcher, Identity, Trust, WebhookMtlsError

__version__: str

@final
class Lab:
    """A temporary private CA, and consumers on loopback that require client certificates.

    Nothing is mocked: certificates, sockets and handshakes are real. No other lab trusts its CA.
    Leaving the `with` block closes every socket and ends the lab's thread.

    >>> from webhook_mtls import Pins
    >>> from webhook_mtls.testing import Lab
    >>> with Lab() as lab:
    ...     acme, dispatcher = lab.consumer("acme"), lab.dispatcher()
    ...     endpoint = dispatcher.endpoint("acme", acme.url, pins=Pins([acme.pin]))
    ...     dispatcher.deliver(endpoint, b"{}").status, len(acme.received)
    (200, 1)
    """

    def __new__(cls) -> Self: ...
    @property
    def identity(self) -> Identity:
        """A client identity of the lab's CA, for the tenant `dispatcher`."""
    @property
    def trust(self) -> Trust:
        """A trust that contains only the lab's root."""
    @property
    def authority(self) -> Authority:
        """The lab's CA, to issue and revoke certificates."""
    @property
    def identity_pem(self) -> tuple[bytes, bytes]:
        """The same identity as PEM: the certificate chain, leaf first, and the private key."""
    @property
    def trust_pem(self) -> bytes:
        """The lab's root as PEM."""
    def consumer(self, name: str) -> Consumer:
        """Returns the consumer of a name. It starts with the first call for that name.

        Args:
            name: the consumer's tenant, 1 to 64 characters of `[A-Za-z0-9._-]`.

        Raises:
            ConfigError: `option_invalid` or `internal`.
        """
    def nginx(self, application: str) -> Nginx:
        """Starts nginx in front of an application: a real proxy that ends mutual TLS, requires a
        certificate of the lab's CA, and forwards it in the dialect `nginx`. A dispatcher of the lab
        can deliver to its URL. The program must be installed: on Debian, the package nginx-light.

        Args:
            application: host and port of the application, which speaks HTTP.

        Raises:
            ConfigError: `option_invalid`, or `internal` if nginx is not installed or does not start.
        """
    def dispatcher(self, **options: Any) -> Dispatcher:
        """Makes a dispatcher with the lab's identity and trust, which may connect to loopback.

        Args:
            options: options of `webhook_mtls.Dispatcher` that replace the lab's.

        Raises:
            ConfigError: `option_invalid`.
        """
    def write_files(self, directory: str | PathLike[str]) -> None:
        """Writes `tls.crt`, `tls.key` (mode 0600) and `ca.pem`, for programs that take paths.

        Args:
            directory: its path; created if it does not exist.

        Raises:
            ConfigError: `option_invalid` if a file cannot be written.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class Consumer:
    """A consumer on 127.0.0.1 that requires a client certificate of its lab's CA.

    Made by `Lab.consumer`. It runs until its lab is closed. Its recorded requests stay readable.
    """

    @property
    def name(self) -> str:
        """The consumer's name in the lab, which is also the tenant in its certificate."""
    @property
    def url(self) -> str:
        """The consumer's URL, `https://127.0.0.1:<port>/webhooks/<name>`. It records requests for
        other paths as well.
        """
    @property
    def pin(self) -> str:
        """The pin of the certificate that it presents on the next connection."""
    @property
    def previous_pin(self) -> str | None:
        """The pin before the last renewal with a new key; None if there was none."""
    @property
    def received(self) -> list[Received]:
        """The complete requests so far, in the order of completion."""
    @property
    def connections(self) -> int:
        """The number of accepted TCP connections."""
    @property
    def handshakes(self) -> int:
        """The number of completed TLS handshakes, including the client certificate."""
    def wait(self, count: int, *, within: float | timedelta) -> bool:
        """Waits until `count` requests are recorded, including requests that it never answers.

        Args:
            count: the number of requests since the start.
            within: the time limit, in seconds or as a timedelta.

        Returns:
            False if the time limit passes first.
        """
    def respond(
        self,
        status: int,
        *,
        retry_after: int | None = None,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: bytes | bytearray | memoryview = b"",
    ) -> None:
        """Answers the next requests with this response. The responses of earlier calls come first.

        Args:
            status: the HTTP status.
            retry_after: the value of the header retry-after, in seconds.
            times: the number of requests; 0 lasts until the next call.
            headers: more headers, sent unchanged.
            body: bytes-like.
        """
    def misbehave(
        self,
        how: Literal[
            "never_ask",
            "reject_certificate",
            "expired",
            "wrong_name",
            "reset_after_body",
            "stall",
            "other_ca",
            "close_after_handshake",
            "reject_by_close",
            "tls_1_2",
        ],
        times: int = 1,
    ) -> None:
        """Makes the consumer misbehave. The misbehaviors of earlier calls come first.

        Args:
            how: `never_ask`, `reject_certificate`, `expired`, `wrong_name`, `other_ca`,
                `close_after_handshake`, `reject_by_close` or `tls_1_2`, which affect connections;
                `reset_after_body` or `stall`, which affect requests.
            times: the number of connections or requests; 0 lasts until the next call for the same
                one of the two.

        Raises:
            ConfigError: `option_invalid`.
        """
    def behave(self) -> None:
        """Discards all pending responses and misbehaviors."""
    def renew(self, *, new_key: bool) -> None:
        """Presents a renewed certificate from the next connection on, and closes idle connections.

        Args:
            new_key: true makes a new key, and so a new pin; false keeps the key.
        """
    @property
    def issued(self) -> Issued:
        """The certificate that it presents on the next connection, with its key, for instance to
        revoke it.
        """
    def show(self, issued: Issued) -> None:
        """Presents a given certificate from the next connection on, and closes idle connections.

        Args:
            issued: a server certificate with its key.
        """
    def certify(self, authority: Authority) -> None:
        """Presents a certificate of another CA for the same key from the next connection on, and
        closes idle connections.

        Args:
            authority: the CA.
        """
    def accept(self, authority: Authority) -> None:
        """Accepts client certificates of one more CA from the next connection on.

        Args:
            authority: the CA.
        """
    def accept_only(self, authority: Authority) -> None:
        """Accepts only client certificates of one CA from the next connection on, and closes idle
        connections.

        Args:
            authority: the CA.
        """

@final
class Authority:
    """A temporary private CA: a root, and an intermediate that issues certificates.

    Args:
        name: part of the subjects of its certificates; use a different name for each CA.
        key_type: the type of its keys and of those of its certificates: `p256`, `ml_dsa_44`,
            `ml_dsa_65` or `ml_dsa_87`.
    """

    def __new__(
        cls,
        name: str,
        *,
        key_type: Literal["p256", "ml_dsa_44", "ml_dsa_65", "ml_dsa_87"] = "p256",
    ) -> Self: ...
    @property
    def root_pem(self) -> bytes:
        """The root certificate as PEM. A peer must trust it."""
    @property
    def intermediate_pem(self) -> bytes:
        """The intermediate certificate as PEM."""
    def issue(
        self,
        tenant: str,
        *,
        role: Literal["client", "server"] = "client",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Issued:
        """Issues a certificate with a new key.

        Args:
            tenant: the tenant in its SAN URI.
            role: `client`, or `server` for a certificate that a consumer presents.
            not_before: the first instant of validity, an aware datetime; by default five minutes
                ago.
            not_after: the last instant of validity; by default one day after the first.
        """
    def crl(self, revoked: Iterable[Issued] = ()) -> bytes:
        """Makes a CRL of the intermediate as PEM, valid for one day. A later CRL replaces it.

        Args:
            revoked: the revoked certificates.
        """

@final
class Issued:
    """A certificate with its chain and private key."""

    @property
    def cert_pem(self) -> bytes:
        """The chain as PEM, leaf first."""
    @property
    def key_pem(self) -> bytes:
        """The private key as PEM, unencrypted PKCS#8."""
    @property
    def pin(self) -> str:
        """The pin of the certificate's key."""
    def forwarded(
        self,
        dialect: str,
        *,
        forgery: Literal[
            "repeated",
            "capitals",
            "underscore",
            "underscore_alone",
            "not_verified",
            "absent",
            "malformed",
            "too_large",
        ]
        | None = None,
    ) -> list[tuple[str, str]]:
        """Returns the header lines that a proxy forwards after this client's handshake, to test a
        receiver without a proxy.

        Args:
            dialect: how the proxy writes them.
            forgery: forges them, so that a receiver must answer 401, also if they come from the hop.
                `repeated`, `capitals`, `underscore`: a client's own line stands before that of the
                proxy; `underscore_alone`: the only line has `_` for `-`; `not_verified`: the verdict
                is negative; `absent`, `malformed`, `too_large`.

        Returns:
            Pairs of name and value.

        Raises:
            ConfigError: `option_invalid` if a word is unknown, or the dialect has no verdict.
        """

@final
class Nginx:
    """nginx in front of an application, on 127.0.0.1.

    Made by `Lab.nginx`. It runs until it or its lab is closed.
    """

    @property
    def url(self) -> str:
        """The URL, `https://127.0.0.1:<port>/`. The application gets requests for every path."""
    @property
    def pin(self) -> str:
        """The pin of its certificate."""
    def close(self) -> None:
        """Ends it."""

@final
class Received:
    """A complete request that a consumer received."""

    @property
    def id(self) -> str | None:
        """The header `webhook-id`; None if the request has none."""
    @property
    def method(self) -> str:
        """The method, such as `POST`."""
    @property
    def path(self) -> str:
        """The request target, such as `/webhooks/acme`."""
    @property
    def headers(self) -> dict[str, str]:
        """The headers with names in lower case; repeated headers are joined by a comma."""
    @property
    def body(self) -> bytes:
        """The body."""
    @property
    def tenant(self) -> str | None:
        """The tenant in the client certificate; None if there is no tenant, or no certificate was
        requested.
        """
    @property
    def server_name(self) -> str | None:
        """The server name that the client sent in its handshake (SNI); None if it sent none, as for a
        URL with an IP address.
        """

def _make_error(kind: str, fields: dict[str, Any]) -> WebhookMtlsError:
    """Makes an exception of a kind, with fields that replace the defaults of the table."""
