from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from ssl import SSLObject, SSLSocket
from types import TracebackType
from typing import Any, Literal, Never, Self, TypeAlias, final

from ._asyncio import AsyncDispatcher
from ._errors import WebhookMtlsError

_Path: TypeAlias = str | PathLike[str]
_Bytes: TypeAlias = bytes | bytearray | memoryview
_Seconds: TypeAlias = float | timedelta
_Preset: TypeAlias = Literal["public", "private"]
_StatusRetry: TypeAlias = Mapping[str, Literal["later", "after_repair", "never"]]

@final
class Identity:
    @classmethod
    def from_files(cls, cert: _Path, key: _Path, *, passphrase: _Bytes | None = None) -> Self: ...
    @classmethod
    def from_pem(cls, cert: _Bytes, key: _Bytes, *, passphrase: _Bytes | None = None) -> Self: ...
    @classmethod
    def from_pkcs12(cls, data: _Bytes, passphrase: _Bytes) -> Self: ...

@final
class Trust:
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
    @property
    def notes(self) -> list[str]: ...

@final
class Pins:
    def __new__(cls, current: Iterable[str], next: Iterable[str] = ()) -> Self: ...
    @classmethod
    def from_file(cls, path: _Path) -> Self: ...

def pin_of(cert: _Bytes) -> str: ...

@final
class StandardWebhooks:
    def __new__(cls, secrets: Iterable[str]) -> Self: ...

@final
class Egress:
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
        identity: Identity | None = None,
        trust: Trust | None = None,
        egress: _Preset | Egress | None = None,
        proxy: str | None = None,
        proxy_credentials: str | None = None,
        timeout: _Seconds | None = None,
        connect_timeout: _Seconds | None = None,
        handshake_timeout: _Seconds | None = None,
        write_timeout: _Seconds | None = None,
        response_timeout: _Seconds | None = None,
        max_connections: int | None = None,
        max_waiting: int | None = None,
        status_retry: _StatusRetry | None = None,
        reload: _Seconds | None = None,
        expiry_warning: float | None = None,
    ) -> Self: ...
    def endpoint(
        self,
        consumer: str,
        url: str,
        *,
        pins: Pins | None,
        identity: Identity | None = None,
        trust: Trust | None = None,
        min_tls: Literal["1.2", "1.3"] | None = None,
        server_uri: str | None = None,
        hold_payload: bool | None = None,
        signing: StandardWebhooks | None = None,
        concurrency: int | None = None,
        owner: str | None = None,
        status_retry: _StatusRetry | None = None,
    ) -> Endpoint: ...
    def remove(self, consumer: str) -> bool: ...
    def deliver(
        self,
        endpoint: Endpoint,
        body: _Bytes,
        *,
        id: str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: _Seconds | None = None,
    ) -> Receipt: ...
    def probe(self, endpoint: Endpoint, *, timeout: _Seconds | None = None) -> Probe: ...
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
    identity: Identity,
    trust: Trust,
    pins: Pins | None,
    egress: _Preset | Egress | None = None,
    proxy: str | None = None,
    proxy_credentials: str | None = None,
    timeout: _Seconds | None = None,
    connect_timeout: _Seconds | None = None,
    handshake_timeout: _Seconds | None = None,
    write_timeout: _Seconds | None = None,
    response_timeout: _Seconds | None = None,
    max_connections: int | None = None,
    max_waiting: int | None = None,
    reload: _Seconds | None = None,
    expiry_warning: float | None = None,
    min_tls: Literal["1.2", "1.3"] | None = None,
    server_uri: str | None = None,
    hold_payload: bool | None = None,
    signing: StandardWebhooks | None = None,
    concurrency: int | None = None,
    owner: str | None = None,
    status_retry: _StatusRetry | None = None,
    id: str | None = None,
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
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
    def what(self) -> Literal["identity", "anchor", "intermediate", "crl", "consumer"]: ...
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
        id: str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: _Seconds | None = None,
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
    @property
    def consumer(self) -> str: ...
    @property
    def id(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def peer(self) -> PeerIdentity: ...
    @property
    def pin(self) -> Literal["current", "next"] | None: ...
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
    def to_dict(self) -> dict[str, Any]: ...

@final
class Probe:
    @property
    def consumer(self) -> str: ...
    @property
    def peer(self) -> PeerIdentity: ...
    @property
    def pin(self) -> Literal["current", "next"] | None: ...
    @property
    def tls(self) -> TlsFacts: ...
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

@final
class PeerIdentity:
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
    def evidence(self) -> Literal["socket", "asserted"]: ...
    @property
    def purpose(self) -> Literal["present", "absent"]: ...
    @property
    def notes(
        self,
    ) -> list[
        Literal[
            "purpose_absent",
            "key_id_mismatch",
            "anchor_is_intermediate",
            "crl_unused",
            "revocation_unchecked",
        ]
    ]: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class TenantRule:
    @classmethod
    def san_uri(cls, template: str) -> Self: ...
    @classmethod
    def san_dns_suffix(cls, suffix: str) -> Self: ...
    @classmethod
    def subject_cn(cls) -> Self: ...

@final
class Authorization:
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
        role: Literal["client", "server"],
        trust: Trust,
        pins: Pins | None = None,
        tenant: TenantRule | None = None,
        authorization: Authorization | None = None,
        server_uri: str | None = None,
        strict_purpose: bool | None = None,
        crl_policy: Literal["if_present", "require"] | None = None,
        reload: _Seconds | None = None,
        expiry_warning: float | None = None,
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
    role: Literal["client", "server"],
    trust: Trust,
    server_name: str | None = None,
    at: datetime | None = None,
    pins: Pins | None = None,
    tenant: TenantRule | None = None,
    authorization: Authorization | None = None,
    server_uri: str | None = None,
    strict_purpose: bool | None = None,
    crl_policy: Literal["if_present", "require"] | None = None,
    reload: _Seconds | None = None,
    expiry_warning: float | None = None,
) -> PeerIdentity: ...
def remember_signatures(enabled: bool) -> None: ...

@final
class RetryPolicy:
    def __new__(
        cls,
        *,
        attempts: int | None = None,
        first: _Seconds | None = None,
        ceiling: _Seconds | None = None,
    ) -> Self: ...
    def decide(self, error: WebhookMtlsError, *, attempt: int) -> Decision: ...

@final
class Decision:
    @property
    def action(self) -> Literal["retry", "park", "drop"]: ...
    @property
    def delay(self) -> float: ...
    @property
    def counts(self) -> bool: ...
    @property
    def reason(self) -> str: ...

# -- the testing kit, which webhook_mtls.testing exports -----------------------------------------

@final
class Lab:
    def __new__(cls) -> Self: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def trust(self) -> Trust: ...
    @property
    def authority(self) -> Authority: ...
    @property
    def identity_pem(self) -> tuple[bytes, bytes]: ...
    @property
    def trust_pem(self) -> bytes: ...
    def consumer(self, name: str) -> Consumer: ...
    def dispatcher(self, **options: Any) -> Dispatcher: ...
    def write_files(self, directory: _Path) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class Consumer:
    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def pin(self) -> str: ...
    @property
    def previous_pin(self) -> str | None: ...
    @property
    def received(self) -> list[Received]: ...
    @property
    def connections(self) -> int: ...
    @property
    def handshakes(self) -> int: ...
    def wait(self, count: int, *, within: _Seconds) -> bool: ...
    def respond(
        self,
        status: int,
        *,
        retry_after: int | None = None,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: _Bytes = b"",
    ) -> None: ...
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
        ],
        times: int = 1,
    ) -> None: ...
    def behave(self) -> None: ...
    def renew(self, *, new_key: bool) -> None: ...
    @property
    def issued(self) -> Issued: ...
    def show(self, issued: Issued) -> None: ...
    def certify(self, authority: Authority) -> None: ...
    def accept(self, authority: Authority) -> None: ...
    def accept_only(self, authority: Authority) -> None: ...

@final
class Authority:
    def __new__(cls, name: str) -> Self: ...
    @property
    def root_pem(self) -> bytes: ...
    @property
    def intermediate_pem(self) -> bytes: ...
    def issue(
        self,
        tenant: str,
        *,
        role: Literal["client", "server"] = "client",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Issued: ...
    def crl(self, revoked: Iterable[Issued] = ()) -> bytes: ...

@final
class Issued:
    @property
    def cert_pem(self) -> bytes: ...
    @property
    def key_pem(self) -> bytes: ...
    @property
    def pin(self) -> str: ...

def set_clock(at: datetime | None) -> None: ...
def signatures_checked() -> int: ...

@final
class Received:
    @property
    def id(self) -> str | None: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def server_name(self) -> str | None: ...

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

def _make_error(kind: str, fields: dict[str, Any]) -> WebhookMtlsError: ...
def _panic() -> None: ...
def _public(fields: dict[str, Any]) -> dict[str, Any]: ...
def _tables() -> dict[str, Any]: ...
