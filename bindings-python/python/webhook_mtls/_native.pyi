from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from ssl import SSLObject, SSLSocket
from types import TracebackType
from typing import Any, Literal, Never, Self, TypeAlias, final

from ._asyncio import AsyncDispatcher
from ._errors import Response, WebhookMtlsError

__version__: str

_Path: TypeAlias = str | PathLike[str]
_Bytes: TypeAlias = bytes | bytearray | memoryview
_Seconds: TypeAlias = float | timedelta
# generated: begin aliases retry action pin role evidence note min_tls crl_policy preset expiring
_Retry: TypeAlias = Literal["later", "after_repair", "never"]
_Action: TypeAlias = Literal["retry", "park", "drop"]
_Pin: TypeAlias = Literal["current", "next"]
_Role: TypeAlias = Literal["client", "server"]
_Evidence: TypeAlias = Literal["socket", "asserted"]
_Note: TypeAlias = Literal[
    "purpose_absent",
    "key_id_mismatch",
    "anchor_is_intermediate",
    "crl_unused",
    "revocation_unchecked",
    "serial_unusual",
]
_MinTls: TypeAlias = Literal["1.2", "1.3"]
_CrlPolicy: TypeAlias = Literal["if_present", "require", "require_leaf"]
_Preset: TypeAlias = Literal["public", "private"]
_Expiring: TypeAlias = Literal["identity", "anchor", "intermediate", "crl", "consumer"]
# generated: end

@final
class Identity:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def from_files(cls, cert: _Path, key: _Path, *, passphrase: _Bytes | None = None) -> Self: ...
    @classmethod
    def from_pem(cls, cert: _Bytes, key: _Bytes, *, passphrase: _Bytes | None = None) -> Self: ...
    @classmethod
    def from_pkcs12(cls, data: _Bytes, passphrase: _Bytes) -> Self: ...
    @property
    def notes(self) -> list[str]: ...

@final
class Trust:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def from_files(
        cls,
        anchors: _Path,
        *,
        intermediates: _Path | None = None,
        crls: _Path | None = None,
        distrusted: Iterable[str] = (),
    ) -> Self: ...
    @classmethod
    def from_pem(
        cls,
        anchors: _Bytes,
        *,
        intermediates: _Bytes | None = None,
        crls: Iterable[_Bytes] = (),
        distrusted: Iterable[str] = (),
    ) -> Self: ...
    @classmethod
    def dangerous_public(
        cls,
        anchors: _Bytes,
        *,
        intermediates: _Bytes | None = None,
        crls: Iterable[_Bytes] = (),
        distrusted: Iterable[str] = (),
    ) -> Self: ...
    @classmethod
    def exact(cls, certificate: _Bytes) -> Self: ...
    @classmethod
    def exact_from_file(cls, path: _Path) -> Self: ...
    @property
    def notes(self) -> list[str]: ...

@final
class Pins:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __new__(cls, current: Iterable[str], next: Iterable[str] = ()) -> Self: ...
    @classmethod
    def from_file(cls, path: _Path) -> Self: ...

def pin_of(cert: _Bytes) -> str: ...

@final
class StandardWebhooks:
    def __new__(cls, secrets: Iterable[str]) -> Self: ...

@final
class Egress:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __new__(
        cls,
        preset: _Preset | None = None,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        nat64: Iterable[str] = (),
    ) -> Self: ...

@final
class Endpoint:
    @property
    def consumer(self) -> str: ...
    @property
    def url(self) -> str: ...
    def status(self) -> EndpointStatus: ...
    def __hash__(self) -> int: ...

@final
class EndpointStatus:
    @property
    def pin_seen(self) -> str | None: ...
    @property
    def pins_never_seen(self) -> list[str]: ...
    @property
    def peer_not_after(self) -> datetime | None: ...
    @property
    def identity_accepted(self) -> str | None: ...

@final
class Dispatcher:
    def __new__(
        cls,
        *,
        # generated: begin keywords dispatcher
        # The identity to present to consumers, unless the endpoint sets its own.
        identity: Identity | None = None,
        # The default trust, used if the endpoint sets none.
        trust: Trust | None = None,
        # The certificates of a consumer that a CRL must cover: if_present (none), require (all but
        # the anchor) or require_leaf. By default `if_present`.
        crl_policy: _CrlPolicy | None = None,
        # The addresses that the dispatcher may connect to: a preset, or a policy. By default
        # `public`.
        egress: _Preset | Egress | None = None,
        # The CONNECT proxy for all connections: http://host:port, or
        # http://user:password@host:port. Environment variables are not read.
        proxy: str | None = None,
        # user:password for the proxy, if its URL must not contain them.
        proxy_credentials: str | None = None,
        # Whether CONNECT asks the proxy for the consumer's name instead of a checked address, for a
        # proxy whose rules are written by name. The proxy then resolves the name, and the egress
        # policy does not apply to it: the proxy's rules must keep deliveries away from internal
        # addresses. By default False.
        proxy_by_name: bool | None = None,
        # The time limit of a whole delivery. It bounds the other four timeouts. In seconds, or a
        # timedelta; by default 30.
        timeout: _Seconds | None = None,
        # The time limit to resolve the host and open a TCP connection. In seconds, or a timedelta;
        # by default 5.
        connect_timeout: _Seconds | None = None,
        # The time limit of the TLS handshake. In seconds, or a timedelta; by default 5.
        handshake_timeout: _Seconds | None = None,
        # The time limit to write the request to the kernel. In seconds, or a timedelta; by default
        # 10.
        write_timeout: _Seconds | None = None,
        # The time limit from the last byte of the request to the response head. In seconds, or a
        # timedelta; by default 15.
        response_timeout: _Seconds | None = None,
        # The most open connections, including idle ones. By default 256.
        max_connections: int | None = None,
        # The most deliveries that may wait for a turn or a connection. One owner has at most a
        # quarter of them. Further deliveries fail with overloaded. By default 4096.
        max_waiting: int | None = None,
        # The retry verdict for a status or status class other than 2xx: later, after_repair or
        # never.
        status_retry: Mapping[str, _Retry] | None = None,
        # The interval at which the files of the material are checked for changes. 0 checks only in
        # reload(). In seconds, or a timedelta; by default 10.
        reload: _Seconds | None = None,
        # The remaining fraction of a lifetime at which the first expiry event is raised. More
        # follow at 0.1, 0.05 and 0. By default 0.2.
        expiry_warning: float | None = None,
        # generated: end
    ) -> Self: ...
    def endpoint(
        self,
        consumer: str,
        url: str,
        *,
        # generated: begin keywords endpoint
        # The keys that the consumer may have. There is no default: to rely on the CA alone, say so
        # explicitly.
        pins: Pins | None,
        # The identity to present to this consumer. By default the dispatcher's.
        identity: Identity | None = None,
        # The trust for this consumer's certificate. By default the dispatcher's.
        trust: Trust | None = None,
        # The certificates of this consumer that a CRL must cover: if_present (none), require (all
        # but the anchor) or require_leaf. By default the dispatcher's.
        crl_policy: _CrlPolicy | None = None,
        # The oldest TLS version to accept: 1.3 or 1.2. By default `1.3`.
        min_tls: _MinTls | None = None,
        # Whether to offer the key exchange X25519MLKEM768. Without it, the first message of the
        # handshake fits into one packet, for a firewall that drops or resets connections with a
        # larger one. By default true.
        post_quantum: bool | None = None,
        # The name that the handshake asks for (SNI) and that the consumer's certificate must
        # contain: a DNS name or an IP address. The URL's host is still looked up and connected to.
        # By default the URL's host.
        server_name: str | None = None,
        # The SAN URI that the consumer's certificate must contain, instead of the URL's host name.
        server_uri: str | None = None,
        # Whether to hold the payload until the consumer answers the request head with 100 Continue,
        # for at most one second. By default False.
        hold_payload: bool | None = None,
        # The secrets that sign each delivery by Standard Webhooks. Each delivery then requires an
        # id.
        signing: StandardWebhooks | None = None,
        # The most deliveries to this consumer at once. By default 8.
        concurrency: int | None = None,
        # The customer that owns this endpoint. While others wait, the endpoints of one owner use at
        # most a quarter of max_connections and of the DNS lookups. By default the consumer id.
        owner: str | None = None,
        # The same for this consumer. A status that it does not name uses the dispatcher's verdict.
        # By default the dispatcher's.
        status_retry: Mapping[str, _Retry] | None = None,
        # generated: end
    ) -> Endpoint: ...
    def remove(self, consumer: str) -> bool: ...
    def deliver(
        self,
        endpoint: Endpoint,
        body: _Bytes,
        *,
        # generated: begin keywords deliver
        # The event's id, sent as webhook-id. Use the same id for every attempt.
        id: str | None = None,
        # The content type of the payload. By default `application/json`.
        content_type: str | None = None,
        # Additional request headers.
        headers: Mapping[str, str] | None = None,
        # The time limit of this whole delivery. In seconds, or a timedelta; by default the
        # dispatcher's.
        timeout: _Seconds | None = None,
        # generated: end
    ) -> Receipt: ...
    def probe(
        self,
        endpoint: Endpoint,
        *,
        # generated: begin keywords probe
        # The time limit of the whole probe. In seconds, or a timedelta; by default the
        # dispatcher's.
        timeout: _Seconds | None = None,
        # generated: end
    ) -> Probe: ...
    def reload(self) -> list[Event]: ...
    def expiries(self) -> list[Expiry]: ...
    def on_event(self, callback: Callable[[Event], object]) -> None: ...
    def deliver_many(
        self, deliveries: Iterable[Delivery], *, concurrency: int | None = None
    ) -> Outcomes: ...
    def rotation_status(self) -> dict[str, Any]: ...
    def retire(self, identity: Identity, *, force: bool = False) -> list[str]: ...
    def as_async(self) -> AsyncDispatcher: ...
    def close(self, drain: _Seconds = 0.0) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def _run(self, deliveries: object, concurrency: int | None, **unknown: Never) -> _Run: ...
    def _start(
        self,
        completions: Completions,
        ticket: int,
        endpoint: Endpoint,
        body: _Bytes,
        options: dict[str, Any],
    ) -> CancelToken: ...
    def _start_probe(
        self,
        completions: Completions,
        ticket: int,
        endpoint: Endpoint,
        *,
        timeout: _Seconds | None = None,
        **unknown: Never,
    ) -> CancelToken: ...
    def _start_reload(self, completions: Completions, ticket: int) -> None: ...
    def _start_close(self, completions: Completions, ticket: int, drain: _Seconds) -> None: ...

def deliver(
    url: str,
    body: _Bytes,
    *,
    # generated: begin keywords one_shot brief
    pins: Pins | None,
    identity: Identity,
    trust: Trust,
    id: str | None = None,
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: _Seconds | None = None,
    crl_policy: _CrlPolicy | None = None,
    min_tls: _MinTls | None = None,
    post_quantum: bool | None = None,
    server_name: str | None = None,
    server_uri: str | None = None,
    hold_payload: bool | None = None,
    signing: StandardWebhooks | None = None,
    concurrency: int | None = None,
    owner: str | None = None,
    status_retry: Mapping[str, _Retry] | None = None,
    egress: _Preset | Egress | None = None,
    proxy: str | None = None,
    proxy_credentials: str | None = None,
    proxy_by_name: bool | None = None,
    connect_timeout: _Seconds | None = None,
    handshake_timeout: _Seconds | None = None,
    write_timeout: _Seconds | None = None,
    response_timeout: _Seconds | None = None,
    max_connections: int | None = None,
    max_waiting: int | None = None,
    reload: _Seconds | None = None,
    expiry_warning: float | None = None,
    # generated: end
) -> Receipt: ...

@final
class Event:
    @property
    def name(self) -> str: ...
    @property
    def consumer(self) -> str | None: ...
    @property
    def fields(self) -> dict[str, Any]: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class Expiry:
    @property
    def what(self) -> _Expiring: ...
    @property
    def name(self) -> str: ...
    @property
    def not_after(self) -> datetime: ...
    @property
    def fraction_left(self) -> float: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class Delivery:
    def __new__(
        cls,
        endpoint: Endpoint,
        body: _Bytes,
        *,
        # generated: begin keywords deliver brief
        id: str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: _Seconds | None = None,
        # generated: end
        tag: Any = None,
    ) -> Self: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def id(self) -> str | None: ...
    @property
    def tag(self) -> Any: ...

@final
class Outcome:
    @property
    def delivery(self) -> Delivery: ...
    @property
    def receipt(self) -> Receipt | None: ...
    @property
    def error(self) -> WebhookMtlsError | None: ...

@final
class Progress:
    @property
    def done(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def waiting(self) -> int: ...

@final
class Outcomes:
    def __iter__(self) -> Self: ...
    def __next__(self) -> Outcome: ...
    @property
    def progress(self) -> Progress: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class _Run:
    def has_room(self) -> bool: ...
    def submit(self, delivery: Delivery) -> None: ...
    def take(self) -> list[Outcome]: ...
    def is_idle(self) -> bool: ...
    def watch(self, completions: Completions, ticket: int) -> None: ...
    def cancel(self) -> None: ...
    @property
    def progress(self) -> Progress: ...

@final
class Receipt:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @property
    def consumer(self) -> str: ...
    @property
    def id(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def peer(self) -> PeerIdentity: ...
    @property
    def pin(self) -> _Pin | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def elapsed(self) -> float: ...
    @property
    def tls(self) -> TlsFacts: ...
    @property
    def reused(self) -> bool: ...
    @property
    def hold_honored(self) -> bool | None: ...
    @property
    def response(self) -> Response: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class Probe:
    @property
    def consumer(self) -> str: ...
    @property
    def peer(self) -> PeerIdentity: ...
    @property
    def pin(self) -> _Pin | None: ...
    @property
    def tls(self) -> TlsFacts: ...
    @property
    def note(self) -> str | None: ...
    @property
    def address(self) -> str: ...
    @property
    def elapsed(self) -> float: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class TlsFacts:
    @property
    def version(self) -> Literal["TLSv1.3", "TLSv1.2"]: ...
    @property
    def cipher_suite(self) -> str: ...
    @property
    def key_exchange(self) -> str: ...
    @property
    def client_auth_requested(self) -> bool: ...
    @property
    def certificate_authorities(self) -> list[str]: ...
    @property
    def issuer_listed(self) -> bool | None: ...

@final
class PeerIdentity:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def subject(self) -> str: ...
    @property
    def cn(self) -> str | None: ...
    @property
    def san_dns(self) -> list[str]: ...
    @property
    def san_ip(self) -> list[str]: ...
    @property
    def san_uri(self) -> list[str]: ...
    @property
    def san_email(self) -> list[str]: ...
    @property
    def spki_pin(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def x5t_s256(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def not_before(self) -> datetime: ...
    @property
    def not_after(self) -> datetime: ...
    @property
    def lifetime_left(self) -> float: ...
    @property
    def anchor(self) -> str: ...
    @property
    def path(self) -> list[str]: ...
    @property
    def matched_pin(self) -> str | None: ...
    @property
    def evidence(self) -> _Evidence: ...
    @property
    def purpose(self) -> Literal["present", "absent"]: ...
    @property
    def notes(self) -> list[_Note]: ...
    @property
    def revocation_unchecked(self) -> list[str]: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class TenantRule:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def san_uri(cls, template: str) -> Self: ...
    @classmethod
    def san_dns_suffix(cls, suffix: str) -> Self: ...
    @classmethod
    def subject_cn(cls) -> Self: ...

@final
class Authorization:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def san_uris(cls, uris: Iterable[str]) -> Self: ...
    @classmethod
    def trust_domain(cls, domain: str) -> Self: ...
    @classmethod
    def ca_members(cls) -> Self: ...

@final
class Verifier:
    def __new__(
        cls,
        *,
        # generated: begin keywords verifier
        # The role of the peers: client or server.
        role: _Role,
        # The trust for the peers' certificates.
        trust: Trust,
        # The keys that a peer may have.
        pins: Pins | None = None,
        # The rule by which a certificate names its tenant. The role client requires this or an
        # authorization.
        tenant: TenantRule | None = None,
        # The peers that are allowed. The role client requires this or a tenant rule.
        authorization: Authorization | None = None,
        # The SAN URI that a server's certificate must contain.
        server_uri: str | None = None,
        # Whether to refuse a certificate without extendedKeyUsage. By default False.
        strict_purpose: bool | None = None,
        # The certificates of a peer that a CRL must cover: if_present (none), require (all but the
        # anchor) or require_leaf. By default `if_present`.
        crl_policy: _CrlPolicy | None = None,
        # The interval at which the files of trust and pins are checked for changes. 0 checks only
        # in reload(). In seconds, or a timedelta; by default 10.
        reload: _Seconds | None = None,
        # The remaining fraction of a lifetime at which the first expiry event is raised. More
        # follow at 0.1, 0.05 and 0. By default 0.2.
        expiry_warning: float | None = None,
        # generated: end
    ) -> Self: ...
    def verify(
        self,
        chain: _Bytes | Sequence[_Bytes],
        *,
        server_name: str | None = None,
        at: datetime | None = None,
    ) -> PeerIdentity: ...
    def verify_socket(
        self, socket: SSLSocket | SSLObject, *, server_name: str | None = None
    ) -> PeerIdentity: ...
    def reload(self) -> list[Event]: ...
    def expiries(self) -> list[Expiry]: ...
    def on_event(self, callback: Callable[[Event], object]) -> None: ...

def verify_peer(
    chain: _Bytes | Sequence[_Bytes],
    *,
    server_name: str | None = None,
    at: datetime | None = None,
    # generated: begin keywords verifier brief
    role: _Role,
    trust: Trust,
    pins: Pins | None = None,
    tenant: TenantRule | None = None,
    authorization: Authorization | None = None,
    server_uri: str | None = None,
    strict_purpose: bool | None = None,
    crl_policy: _CrlPolicy | None = None,
    reload: _Seconds | None = None,
    expiry_warning: float | None = None,
    # generated: end
) -> PeerIdentity: ...
def remember_signatures(enabled: bool) -> None: ...

@final
class RetryPolicy:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __new__(
        cls,
        *,
        # generated: begin keywords retry_policy
        # The most attempts, including the first. With the defaults, they take more than 24 hours.
        # By default 60.
        attempts: int | None = None,
        # The wait after the first attempt, of which half is random. It doubles after each further
        # attempt. In seconds, or a timedelta; by default 5.
        first: _Seconds | None = None,
        # The longest wait, unless the consumer asks for a longer one. In seconds, or a timedelta;
        # by default 3600.
        ceiling: _Seconds | None = None,
        # A number that makes the random parts of the waits repeatable, for tests.
        seed: int | None = None,
        # generated: end
    ) -> Self: ...
    def decide(self, error: WebhookMtlsError, *, attempt: int) -> Decision: ...

@final
class Decision:
    @property
    def action(self) -> _Action: ...
    @property
    def delay(self) -> float: ...
    @property
    def counts(self) -> bool: ...
    @property
    def reason(self) -> str: ...

# -- used only by the Python files of this package -----------------------------------------------

@final
class Completions:
    def __new__(cls, *, eventfd: bool = True) -> Self: ...
    def fileno(self) -> int: ...
    def drain(
        self,
    ) -> list[tuple[int, Receipt | Probe | list[Event] | None, BaseException | None]]: ...

@final
class CancelToken:
    def cancel(self) -> None: ...

def _panic() -> None: ...
def _public(fields: dict[str, Any]) -> dict[str, Any]: ...
def _set_clock(at: datetime | None) -> None: ...
def _signatures_checked() -> int: ...
def _tables() -> dict[str, Any]: ...
