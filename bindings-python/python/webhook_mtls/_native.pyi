from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from os import PathLike
from ssl import SSLObject, SSLSocket
from types import TracebackType
from typing import Any, Literal, Never, Protocol, Self, TypeAlias, final

from ._asyncio import AsyncDispatcher
from ._errors import Response, WebhookMtlsError
from ._telemetry import Hub

__version__: str

_Path: TypeAlias = str | PathLike[str]
_Bytes: TypeAlias = bytes | bytearray | memoryview
_Seconds: TypeAlias = float | timedelta
_Signing: TypeAlias = StandardWebhooks | JwtBearer | Iterable[StandardWebhooks | JwtBearer]
_HeaderText: TypeAlias = str | _Bytes
_Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[_HeaderText, _HeaderText]]

class _CertificateObject(Protocol):
    """A certificate of `cryptography` or `ssl`."""

    def public_bytes(self, encoding: Any, /) -> Any: ...

_Certificate: TypeAlias = str | _Bytes | _CertificateObject
_Certificates: TypeAlias = _Certificate | Iterable[_Certificate]
# generated: begin aliases retry action pin role evidence dialect note min_tls crl_policy circuit_state preset expiring metrics_format diagnosis_request signature_scheme
_Retry: TypeAlias = Literal["later", "after_repair", "never"]
_Action: TypeAlias = Literal["retry", "park", "drop"]
_Pin: TypeAlias = Literal["current", "next"]
_Role: TypeAlias = Literal["client", "server"]
_Evidence: TypeAlias = Literal["socket", "asserted", "forwarded"]
_Dialect: TypeAlias = Literal[
    "nginx",
    "envoy",
    "aws_alb",
    "aws_alb_passthrough",
    "traefik",
    "haproxy",
    "caddy",
    "apache",
    "gcp",
    "cloudflare",
    "rfc9440",
    "envoy_json",
]
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
_CircuitState: TypeAlias = Literal["closed", "open", "half_open"]
_Preset: TypeAlias = Literal["public", "private"]
_Expiring: TypeAlias = Literal["identity", "anchor", "intermediate", "crl", "consumer"]
_MetricsFormat: TypeAlias = Literal["prometheus", "openmetrics"]
_DiagnosisRequest: TypeAlias = Literal["head", "options"]
_SignatureScheme: TypeAlias = Literal[
    "rsa_pkcs1_sha256",
    "ecdsa_secp256r1_sha256",
    "rsa_pkcs1_sha384",
    "ecdsa_secp384r1_sha384",
    "rsa_pkcs1_sha512",
    "ecdsa_secp521r1_sha512",
    "rsa_pss_rsae_sha256",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "ed25519",
    "mldsa44",
    "mldsa65",
    "mldsa87",
]
# generated: end

# scheme, message, digest, deadline in seconds
_Sign: TypeAlias = Callable[
    [_SignatureScheme, bytes, bytes | None, float], _Bytes | Awaitable[_Bytes]
]

@final
class Identity:
    """Our certificate chain and private key. The constructors check them.

    The key belongs to the leaf, and the leaf is within its validity, allows clientAuth and
    signatures, and is not a CA. Made by `from_files`, `from_pem` or `from_pkcs12`, or by
    `from_signer` if the key stays elsewhere. It is immutable and safe to share between threads.
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def from_files(cls, cert: _Path, key: _Path, *, passphrase: _Bytes | None = None) -> Self:
        """Reads PEM files: the chain, leaf first, and the private key. A dispatcher that uses the
        identity watches the files.

        Args:
            cert: path of the certificate chain; a regular file of at most 1 MiB.
            key: path of the private key; it may be the same file.
            passphrase: bytes that decrypt a PKCS#8 key.

        Raises:
            ConfigError: `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable`,
                `clock_implausible` or `option_invalid`.
        """
    @classmethod
    def from_pem(
        cls, cert: _Certificates, key: _Bytes, *, passphrase: _Bytes | None = None
    ) -> Self:
        """Reads PEM or DER: the chain, leaf first, and the private key (PKCS#8, PKCS#1 or SEC1).

        Args:
            cert: the certificate chain: str or bytes-like, certificates of `cryptography` or
                `ssl`, or a sequence of these.
            key: the private key, bytes-like.
            passphrase: bytes that decrypt a PKCS#8 key.

        Raises:
            ConfigError: `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable`,
                `clock_implausible` or `option_invalid`.
        """
    @classmethod
    def from_pkcs12(cls, data: _Bytes, passphrase: _Bytes) -> Self:
        """Reads a PKCS#12 file (.p12, .pfx) with one private key, its certificate and the CAs above
        it.

        Args:
            data: the content of the file, bytes-like; DER, at most 1 MiB.
            passphrase: bytes that decrypt the file; empty if it has no passphrase.

        Raises:
            ConfigError: `key_encrypted` (the passphrase is wrong, or decryption would cost too
                much), `pem_invalid` (malformed, no key, several keys, no certificate),
                `key_mismatch`, `identity_unusable`, `clock_implausible` or `option_invalid`.
        """
    @classmethod
    def from_signer(
        cls,
        cert: _Certificates,
        sign: _Sign,
        *,
        concurrency: int | None = None,
        schemes: Iterable[_SignatureScheme] | None = None,
        loop: AbstractEventLoop | None = None,
    ) -> Self:
        """Makes an identity whose key stays elsewhere, such as in an HSM or a KMS. docs/signer.md has
        the rules.

        Args:
            cert: the certificate chain, leaf first, as in `from_pem`.
            sign: called as `sign(scheme, message, digest, deadline)` on threads of the library, on
                several at once. Returns the signature, bytes-like, or an awaitable that does. It
                may block: only its handshake waits. `scheme` is the IANA name, `digest` the hash of
                `message` for RSA and ECDSA, else None, and `deadline` how many seconds the
                handshake waits. For ECDSA, the signature is DER, or r and s in a row.
            concurrency: the most calls at once, 1 to 64; by default 8.
            schemes: the signature schemes that the key's owner supports; by default all that fit
                the key.
            loop: the event loop on which awaitables run, of another thread than one that waits
                for a delivery; by default one of the library.

        Raises:
            ConfigError: `pem_invalid`, `identity_unusable`, `clock_implausible` or
                `option_invalid`. A delivery raises `signer_failed` or `signer_timeout` if there is
                no valid signature in time.
        """
    @classmethod
    def from_signer_file(
        cls,
        cert: _Path,
        sign: _Sign,
        *,
        concurrency: int | None = None,
        schemes: Iterable[_SignatureScheme] | None = None,
        loop: AbstractEventLoop | None = None,
    ) -> Self:
        """Makes an identity as `from_signer` does, with the chain in a PEM file. A dispatcher that
        uses the identity watches the file. If its new leaf has another key, `sign` must use that at
        once.

        Args:
            cert: path of the certificate chain; a regular file of at most 1 MiB.
            sign: as in `from_signer`.
            concurrency: as in `from_signer`.
            schemes: as in `from_signer`.
            loop: as in `from_signer`.

        Raises:
            ConfigError: as `from_signer`, and `pem_invalid` if the file cannot be read.
        """
    @property
    def notes(self) -> list[str]:
        """Remarks for the operator about the file of a usable identity, such as a certificate that is
        not an issuer of ours and not presented.
        """

@final
class Trust:
    """The private CA anchors, known intermediates and CRLs that verify a peer, or exactly one
    certificate of a peer. The constructors check them.

    It contains no public web roots, unless `dangerous_public` made it. It is immutable and safe to
    share between threads.
    """

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
    ) -> Self:
        """Reads PEM files. A dispatcher or verifier that uses the trust watches them.

        Args:
            anchors: path of the trusted CA certificates; a regular file of at most 1 MiB.
            intermediates: path of CA certificates that peers may fail to send. They are not
                anchors.
            crls: path of certificate revocation lists; a regular file of at most 64 MiB.
            distrusted: pins (`sha256/…`) of CA keys that no path may contain, such as a compromised
                intermediate.

        Raises:
            ConfigError: `pem_invalid`, `trust_invalid`, `public_root_in_trust`, `crl_unusable`,
                `pin_invalid`, `clock_implausible` or `option_invalid`.
        """
    @classmethod
    def from_pem(
        cls,
        anchors: _Certificates,
        *,
        intermediates: _Certificates | None = None,
        crls: Iterable[_Bytes] = (),
        distrusted: Iterable[str] = (),
    ) -> Self:
        """Reads PEM or DER.

        Args:
            anchors: the trusted CA certificates: str or bytes-like, certificates of
                `cryptography` or `ssl`, or a sequence of these.
            intermediates: CA certificates that peers may fail to send, in the same forms. They are
                not anchors.
            crls: a sequence of certificate revocation lists, each bytes-like; at most 64 MiB.
            distrusted: pins (`sha256/…`) of CA keys that no path may contain, such as a compromised
                intermediate.

        Raises:
            ConfigError: `pem_invalid`, `trust_invalid` (the message names the certificate by
                position and subject), `public_root_in_trust`, `crl_unusable`, `pin_invalid`,
                `clock_implausible` or `option_invalid`.
        """
    @classmethod
    def dangerous_public(
        cls,
        anchors: _Certificates,
        *,
        intermediates: _Certificates | None = None,
        crls: Iterable[_Bytes] = (),
        distrusted: Iterable[str] = (),
    ) -> Self:
        """Reads PEM or DER, and also accepts public web roots: for a consumer whose *server*
        certificate comes from a public CA.

        Anyone who controls a domain name can get a certificate of such a CA. An endpoint accepts
        this trust only together with pins; a `Dispatcher` and a `Verifier` reject it.

        Args:
            anchors, intermediates, crls, distrusted: as for `from_pem`.

        Raises:
            ConfigError: as for `from_pem`, except `public_root_in_trust`.
        """
    @classmethod
    def exact(cls, certificate: _Certificates) -> Self:
        """Trusts one certificate and no CA: for a peer with a self-signed certificate, or for one
        certificate of a CA that is not trusted.

        Its dates, names, purpose and pins are checked as for any other peer. A certificate that it
        has issued is refused.

        Args:
            certificate: the peer's certificate: PEM or DER with exactly one, str or bytes-like, or
                an object of `cryptography` or `ssl`.

        Raises:
            ConfigError: `pem_invalid`, `trust_invalid` (several certificates, weak key),
                `clock_implausible` or `option_invalid`.
        """
    @classmethod
    def exact_from_file(cls, path: _Path) -> Self:
        """Reads the certificate of `exact` from a file. A dispatcher or verifier that uses the trust
        watches it.

        Args:
            path: path of the peer's certificate; a regular file of at most 1 MiB.

        Raises:
            ConfigError: as for `exact`.
        """
    @property
    def notes(self) -> list[str]:
        """Remarks for the operator about a usable trust, such as an expired anchor that is not used."""

@final
class Pins:
    """The pins of one endpoint: of the keys in use, and of announced keys. Never empty.

    Args:
        current: the pins of keys in use, each `sha256/<base64>`, `sha256//<base64>`, the bare
            base64 of 32 bytes, or `cert-sha256/<base64>`.
        next: the pins of announced keys, which are accepted as well.

    Raises:
        ConfigError: `pin_invalid` if a pin cannot be read or `current` is empty; `option_invalid`.

    >>> Pins(["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])
    Pins(['sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='], next=[])
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __new__(cls, current: Iterable[str], next: Iterable[str] = ()) -> Self: ...
    @classmethod
    def from_file(cls, path: _Path) -> Self:
        """Reads a file with one pin on each line. `next` precedes an announced pin, `#` precedes a
        comment. A dispatcher or verifier that uses the pins watches the file.

        Args:
            path: a regular file of at most 1 MiB.

        Raises:
            ConfigError: `pem_invalid` if the file cannot be read, `pin_invalid` if a line is not a
                pin; `option_invalid`.
        """

def merge(statuses: Iterable[str]) -> dict[str, Any]:
    """Merges the statuses of several processes, and says which process knows what.

    Where they disagree, the merged status has the identity that is still needed, the earlier date
    and the worse circuit. `identities` has, for each of our identities, the processes that want it
    and the consumers that accepted it last: `Dispatcher.retire` refuses to retire one that is
    needed.

    Args:
        statuses: the JSON text of `Dispatcher.process_status` of each process.

    Returns:
        A dict that can be serialized as JSON. `docs/fleet.schema.json` describes it.

    Raises:
        ConfigError: `option_invalid` if there is no status, if one is not such a document, or if
            two are of one process.
    """

def pin_of(cert: _Certificates) -> str:
    """Computes the pin of a certificate's public key.

    Args:
        cert: one certificate: PEM or DER, str or bytes-like, or an object of `cryptography` or `ssl`.

    Returns:
        `sha256/` and the base64 of the SHA-256 of its SubjectPublicKeyInfo.

    Raises:
        ConfigError: `pem_invalid` or `option_invalid`.
    """

@final
class StandardWebhooks:
    """The secrets that sign the deliveries of an endpoint with Standard Webhooks: HMAC-SHA256 (`v1`)
    and Ed25519 (`v1a`).

    Every secret makes a signature, and the consumer needs one of them. To change a secret, use the
    old and the new one together for a while. A signed delivery requires an `id`.

    Args:
        secrets: one to eight, each `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the
            base64 of an Ed25519 private key: its 32 bytes, optionally followed by the public key.

    Raises:
        ConfigError: `option_invalid`, which names a secret by its position and never shows it.

    >>> StandardWebhooks(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    StandardWebhooks(v1)
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __hash__(self) -> int: ...
    def __new__(cls, secrets: Iterable[str]) -> Self: ...

@final
class JwtBearer:
    """The private key that signs a token (JWT) for each attempt, and what the token says.

    The token is bound to the certificate that the connection presents (`cnf` with `x5t#S256`,
    RFC 8705). The request has it as `authorization: Bearer …`. The key determines the algorithm:
    P-256 signs ES256, Ed25519 signs EdDSA, RSA of 2048 to 8192 bits signs RS256. Made by `from_pem`
    or `from_file`.
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def from_pem(
        cls,
        key: _Bytes,
        *,
        # generated: begin keywords jwt_bearer
        # The key id (kid) of each token. By default the key's thumbprint.
        key_id: str | None = None,
        # The issuer (iss) of each token.
        issuer: str | None = None,
        # The subject (sub) of each token.
        subject: str | None = None,
        # The audience (aud) of each token.
        audience: str | None = None,
        # The time from iat to exp, at least 1 s and at most 5 min. In seconds, or a timedelta; by
        # default 60.
        lifetime: _Seconds | None = None,
        # Further claims of each token: a JSON object without the claims that the library sets.
        claims: dict[str, Any] | None = None,
        # Whether the claim content_digest has the SHA-256 of the body. Without it, the token does
        # not cover the body. By default False.
        content_digest: bool | None = None,
        # generated: end
    ) -> Self:
        """Reads the private key.

        Args:
            key: PEM or DER (PKCS#8, PKCS#1 or SEC1), not encrypted, bytes-like.
            key_id: the key id (kid) of each token. By default the key's thumbprint.
            issuer: the issuer (iss) of each token.
            subject: the subject (sub) of each token.
            audience: the audience (aud) of each token.
            lifetime: the time from iat to exp, at least 1 s and at most 5 min. In seconds, or a
                timedelta; by default 60.
            claims: further claims of each token: a JSON object without the claims that the
                library sets.
            content_digest: whether the claim content_digest has the SHA-256 of the body.
                Without it, the token does not cover the body. By default False.

        Raises:
            ConfigError: `pem_invalid`, also for a key of another type or size; `key_encrypted` or
                `option_invalid`.
        """
    @classmethod
    def from_file(
        cls,
        path: _Path,
        *,
        # generated: begin keywords jwt_bearer
        # The key id (kid) of each token. By default the key's thumbprint.
        key_id: str | None = None,
        # The issuer (iss) of each token.
        issuer: str | None = None,
        # The subject (sub) of each token.
        subject: str | None = None,
        # The audience (aud) of each token.
        audience: str | None = None,
        # The time from iat to exp, at least 1 s and at most 5 min. In seconds, or a timedelta; by
        # default 60.
        lifetime: _Seconds | None = None,
        # Further claims of each token: a JSON object without the claims that the library sets.
        claims: dict[str, Any] | None = None,
        # Whether the claim content_digest has the SHA-256 of the body. Without it, the token does
        # not cover the body. By default False.
        content_digest: bool | None = None,
        # generated: end
    ) -> Self:
        """Reads the private key from a file, which a dispatcher that uses it watches.

        Args:
            path: a regular file of at most 1 MiB, in a form of `from_pem`.
            key_id: the key id (kid) of each token. By default the key's thumbprint.
            issuer: the issuer (iss) of each token.
            subject: the subject (sub) of each token.
            audience: the audience (aud) of each token.
            lifetime: the time from iat to exp, at least 1 s and at most 5 min. In seconds, or a
                timedelta; by default 60.
            claims: further claims of each token: a JSON object without the claims that the
                library sets.
            content_digest: whether the claim content_digest has the SHA-256 of the body.
                Without it, the token does not cover the body. By default False.

        Raises:
            ConfigError: as for `from_pem`, and `pem_invalid` if the file cannot be read.
        """
    @property
    def algorithm(self) -> str:
        """The algorithm of the key: `ES256`, `EdDSA` or `RS256`."""
    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public key for consumers, as a dict in the form of a JWK (RFC 7517)."""
    def __hash__(self) -> int: ...

@final
class JwtKeys:
    """The public keys of a sender, each with its key id. The type of a key fixes the algorithm: P-256
    verifies ES256, Ed25519 verifies EdDSA, RSA of 2048 to 8192 bits verifies RS256. Never empty.

    Args:
        keys: PEM (`PUBLIC KEY` or `CERTIFICATE`), DER, a JWK or a JWK set (RFC 7517), bytes-like; at
            most 16 keys. Keys of a set that verify none of the algorithms are ignored.
        key_id: the key id of the only key, for one that has no key id or another. A key without a
            key id gets its thumbprint (RFC 7638).

    Raises:
        ConfigError: `pem_invalid`, also if a private key is among them; `option_invalid`.
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __new__(cls, keys: _Bytes, *, key_id: str | None = None) -> Self: ...
    @classmethod
    def from_file(cls, path: _Path, *, key_id: str | None = None) -> Self:
        """Reads keys from a file, which a verifier that uses them watches.

        Args:
            path: a regular file of at most 1 MiB.
            key_id: as for the constructor.

        Raises:
            ConfigError: as for the constructor, and `pem_invalid` if the file cannot be read.
        """
    @property
    def key_ids(self) -> list[str]:
        """The key ids, in the order of the input."""
    def __hash__(self) -> int: ...

@final
class WebhookVerifier:
    """Verifies received webhooks: that the peer's certificate, the signature and the token speak of one
    tenant.

    It is safe to share between threads.

    Args:
        seen: a store for ids: a function that is called with the tenant, the id and the time (an
            aware datetime) until which to keep them. It records both and returns whether they were
            there, in one step. It is asked last, and a webhook without an id is not asked about.
        secrets: the secrets of Standard Webhooks, whsec_ or whpk_: those of each tenant by its
            name, or those of all. They or keys are required.
        keys: the public keys of tokens: those of each tenant by its name, or those of all.
        audience: the audience (aud) that a token must have. Without it, a token with an
            audience is refused.
        issuer: the issuer (iss) that a token must have.
        tenant_claim: the claim of a token that must have the tenant of the peer's certificate.
        require_signature: whether a webhook of a tenant with secrets must have a signature. A
            signature or a token is always required. Each is checked that the tenant has secrets or
            keys for, and must be valid. By default True.
        require_token: whether a webhook of a tenant with keys must have a token. By default
            True.
        content_digest: whether a token must have a digest of the body. A digest that is there
            is always checked. By default False.
        timestamp_tolerance: the most time between the timestamp of a signature and now. In
            seconds, or a timedelta; by default 300.
        token_tolerance: the most time by which the clocks of sender and receiver differ, for
            the dates of a token. In seconds, or a timedelta; by default 30.
        reload: the interval at which the files of keys are checked for changes. 0 checks only
            in reload(). In seconds, or a timedelta; by default 10.

    Raises:
        ConfigError: `option_invalid`.
    """

    def __new__(
        cls,
        *,
        seen: Callable[[str, str, datetime], bool | Awaitable[bool]] | None = None,
        # generated: begin keywords webhook_verifier
        # The secrets of Standard Webhooks, whsec_ or whpk_: those of each tenant by its name, or
        # those of all. They or keys are required.
        secrets: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
        # The public keys of tokens: those of each tenant by its name, or those of all.
        keys: JwtKeys | Mapping[str, JwtKeys] | None = None,
        # The audience (aud) that a token must have. Without it, a token with an audience is
        # refused.
        audience: str | None = None,
        # The issuer (iss) that a token must have.
        issuer: str | None = None,
        # The claim of a token that must have the tenant of the peer's certificate.
        tenant_claim: str | None = None,
        # Whether a webhook of a tenant with secrets must have a signature. A signature or a token
        # is always required. Each is checked that the tenant has secrets or keys for, and must be
        # valid. By default True.
        require_signature: bool | None = None,
        # Whether a webhook of a tenant with keys must have a token. By default True.
        require_token: bool | None = None,
        # Whether a token must have a digest of the body. A digest that is there is always checked.
        # By default False.
        content_digest: bool | None = None,
        # The most time between the timestamp of a signature and now. In seconds, or a timedelta; by
        # default 300.
        timestamp_tolerance: _Seconds | None = None,
        # The most time by which the clocks of sender and receiver differ, for the dates of a token.
        # In seconds, or a timedelta; by default 30.
        token_tolerance: _Seconds | None = None,
        # The interval at which the files of keys are checked for changes. 0 checks only in
        # reload(). In seconds, or a timedelta; by default 10.
        reload: _Seconds | None = None,
        # generated: end
    ) -> Self: ...
    def verify_webhook(
        self,
        peer: PeerIdentity,
        headers: _Headers,
        body: _Bytes,
        *,
        at: datetime | None = None,
    ) -> VerifiedWebhook:
        """Verifies a webhook, then asks the store for ids.

        Args:
            peer: the verified `PeerIdentity` of the sender.
            headers: all headers as they arrived: a sequence of pairs of str or bytes, or a mapping.
            body: the body as it arrived, bytes-like.
            at: the time of the verification, an aware datetime; now by default.

        Returns:
            The webhook. If its `duplicate` is true, answer 2xx and do not process it again.

        Raises:
            PeerRefused: `signature_invalid`, `token_invalid` or `tenant_refused`.
            ConfigError: `option_invalid` or `body_too_large`.
        """
    def verify_webhook_async(
        self,
        peer: PeerIdentity,
        headers: _Headers,
        body: _Bytes,
        *,
        at: datetime | None = None,
    ) -> Coroutine[Any, Any, VerifiedWebhook]:
        """Verifies a webhook as `verify_webhook` does. The store may be asynchronous: its answer is
        awaited if it is awaitable.

        Args:
            peer, headers, body, at: as for `verify_webhook`.

        Raises:
            PeerRefused: as for `verify_webhook`.
            ConfigError: as for `verify_webhook`.
        """
    def _check(
        self,
        peer: PeerIdentity,
        headers: _Headers,
        body: _Bytes,
        at: datetime | None,
        unknown: dict[str, Any],
    ) -> tuple[VerifiedWebhook, Any]:
        """Verifies a webhook without the store, and returns it with the store's answer."""
    def reload(self) -> list[Event]:
        """Checks the watched files of keys now, and uses their new content.

        Returns:
            The events. An unusable file is `rotation_failed`, and its previous content remains in
            use.
        """
    def on_event(self, callback: Callable[[Event], object]) -> None:
        """Registers a callback for all later events, as `Dispatcher.on_event` does.

        Args:
            callback: a callable that takes an `Event`.

        Raises:
            ConfigError: `option_invalid`.
        """

@final
class VerifiedWebhook:
    """A verified webhook. Only a verification makes it. It can be copied and pickled."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @property
    def tenant(self) -> str:
        """The tenant of the peer, the signature and the token."""
    @property
    def id(self) -> str | None:
        """The `webhook-id`; else the `jti` of the token; else None."""
    @property
    def timestamp(self) -> datetime | None:
        """The time of the attempt, an aware datetime: the signed timestamp, or the `iat` of the token."""
    @property
    def scheme(self) -> Literal["v1", "v1a"] | None:
        """The scheme of the signature: `v1` or `v1a`; None if only a token was checked."""
    @property
    def secret(self) -> int | None:
        """The number of the tenant's secret that made the signature; the first is 1."""
    @property
    def algorithm(self) -> str | None:
        """The algorithm of the token: `ES256`, `EdDSA` or `RS256`; None if only a signature was checked."""
    @property
    def key_id(self) -> str | None:
        """The key id of the key that signed the token."""
    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the token; empty if only a signature was checked."""
    @property
    def duplicate(self) -> bool:
        """Whether the store had seen the id. Answer a duplicate with 2xx."""
    def to_dict(self) -> dict[str, Any]:
        """Returns the webhook as a dict that can be serialized as JSON."""
    def _marked(self, answer: object) -> VerifiedWebhook: ...
    @classmethod
    def _rebuilt(cls, fields: dict[str, Any]) -> Self:
        """Rebuilds a pickled webhook from `to_dict`."""
    def __hash__(self) -> int: ...

@final
class Egress:
    """The addresses that a dispatcher may connect to.

    Args:
        preset: `public` (the default: only the Internet) or `private` (adds RFC 1918, ULA and
            CGNAT).
        allow: networks in addition to the preset, each a CIDR block or an address.
        deny: networks that are always denied, even if `allow` contains them.
        nat64: the prefixes of the NAT64 gateways of the local network, of 32, 40, 48, 56, 64 or 96
            bits. An address below one is checked as the IPv4 address that it embeds (RFC 6052).

    Raises:
        ConfigError: `option_invalid`.

    >>> Egress("private", allow=["127.0.0.1"]) == Egress("private")
    False
    """

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
    """A consumer id with its URL, pins, identity and trust. Made by `Dispatcher.endpoint`.

    Two handles are equal if they refer to the same endpoint of the same dispatcher.
    """

    @property
    def consumer(self) -> str:
        """The consumer id."""
    @property
    def url(self) -> str:
        """The current URL in its canonical form."""
    def status(self) -> EndpointStatus:
        """Returns a snapshot of what deliveries and probes of this process have observed."""
    def reset_circuit(self) -> None:
        """Lets the next delivery try an endpoint whose circuit is open, at once, because something was
        repaired. A changed option and `Dispatcher.reload` do the same.
        """
    def open_circuit(self, duration: _Seconds) -> None:
        """Opens the circuit, because another process has found that the consumer fails. Afterwards one
        delivery tries it. A circuit that is open for longer stays so. No event is emitted.

        Args:
            duration: for how long, in seconds or a timedelta.

        Raises:
            ConfigError: `option_invalid` unless the duration is above zero and at most 24 hours.
        """
    def __hash__(self) -> int: ...

@final
class EndpointStatus:
    """What deliveries and probes have observed of a consumer."""

    @property
    def pin_seen(self) -> str | None:
        """The pin of the key that the consumer presented last; None before the first handshake."""
    @property
    def pins_never_seen(self) -> list[str]:
        """The configured pins that no connection has matched yet."""
    @property
    def peer_not_after(self) -> datetime | None:
        """When the certificate that the consumer presented last expires, an aware datetime; None
        before the first handshake.
        """
    @property
    def identity_accepted(self) -> str | None:
        """The certificate pin of our identity that the consumer accepted last; None before its first
        answer.
        """
    @property
    def circuit(self) -> _CircuitState:
        """Whether deliveries are admitted: "closed", "open" or "half_open"."""
    @property
    def circuit_open_until(self) -> datetime | None:
        """Until when the circuit is open, an aware datetime; None if it is not."""

@final
class Dispatcher:
    """Delivers webhooks to consumers over mutual TLS.

    Keeps one endpoint for each consumer id, and connections for each endpoint. It is safe to share
    between threads and with forked processes: a child opens its own connections on first use. The
    constructor starts no thread and opens no connection.

    Args:
        identity: the identity to present to consumers, unless the endpoint sets its own.
        trust: the default trust, used if the endpoint sets none.
        crl_policy: the certificates of a consumer that a CRL must cover: if_present (none),
            require (all but the anchor) or require_leaf. By default `if_present`.
        egress: the addresses that the dispatcher may connect to: a preset, or a policy. By
            default `public`.
        proxy: the CONNECT proxy for all connections: http://host:port, or
            http://user:password@host:port. Environment variables are not read.
        proxy_credentials: user:password for the proxy, if its URL must not contain them.
        proxy_by_name: whether CONNECT asks the proxy for the consumer's name instead of a
            checked address, for a proxy whose rules are written by name. The proxy then resolves
            the name, and the egress policy does not apply to it: the proxy's rules must keep
            deliveries away from internal addresses. By default False.
        timeout: the time limit of a whole delivery. It bounds the other four timeouts. In
            seconds, or a timedelta; by default 30.
        connect_timeout: the time limit to resolve the host and open a TCP connection. In
            seconds, or a timedelta; by default 5.
        handshake_timeout: the time limit of the TLS handshake. In seconds, or a timedelta; by
            default 5.
        write_timeout: the time limit to write the request to the kernel. In seconds, or a
            timedelta; by default 10.
        response_timeout: the time limit from the last byte of the request to the response head.
            In seconds, or a timedelta; by default 15.
        max_connections: the most open connections, including idle ones. By default 256.
        max_waiting: the most deliveries that may wait for a turn or a connection. One owner has
            at most a quarter of them. Further deliveries fail with overloaded. By default 4096.
        circuit_failures: the failures in a row before a request that open the circuit of an
            endpoint. 0 opens none. By default 5.
        circuit_open: the time for which a circuit opens first. It doubles each time the
            consumer fails again. In seconds, or a timedelta; by default 30.
        circuit_ceiling: the longest time for which a circuit opens. In seconds, or a timedelta;
            by default 600.
        metrics_endpoints: how many endpoints have metrics of their own, by consumer id: those
            that were made first. The others share the value other. By default 0.
        status_retry: the retry verdict for a status or status class other than 2xx: later,
            after_repair or never.
        reload: the interval at which the files of the material are checked for changes. 0
            checks only in reload(). In seconds, or a timedelta; by default 10.
        expiry_warning: the remaining fraction of a lifetime at which the first expiry event is
            raised. More follow at 0.1, 0.05 and 0. By default 0.2.

    Raises:
        ConfigError: `option_invalid`.

    >>> with Dispatcher(timeout=20) as dispatcher:
    ...     dispatcher.remove("unknown")
    False
    """

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
        # The failures in a row before a request that open the circuit of an endpoint. 0 opens none.
        # By default 5.
        circuit_failures: int | None = None,
        # The time for which a circuit opens first. It doubles each time the consumer fails again.
        # In seconds, or a timedelta; by default 30.
        circuit_open: _Seconds | None = None,
        # The longest time for which a circuit opens. In seconds, or a timedelta; by default 600.
        circuit_ceiling: _Seconds | None = None,
        # How many endpoints have metrics of their own, by consumer id: those that were made first.
        # The others share the value other. By default 0.
        metrics_endpoints: int | None = None,
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
        # larger one. By default True.
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
        # How many bytes of a response's body receipts and errors show, at most 65536. By default
        # 1024.
        response_excerpt: int | None = None,
        # How each delivery is signed: by the secrets of Standard Webhooks, which require an id, by
        # a token, or by both.
        signing: _Signing | None = None,
        # The most deliveries to this consumer at once. By default 8.
        concurrency: int | None = None,
        # The most deliveries to this consumer in a second, from this process: 0.001 to 1000000.
        # Further ones wait in line.
        rate: float | None = None,
        # The customer that owns this endpoint. While others wait, the endpoints of one owner use at
        # most a quarter of max_connections and of the DNS lookups. By default the consumer id.
        owner: str | None = None,
        # The retry verdict for a status or status class of this consumer: later, after_repair or
        # never. A status that it does not name uses the dispatcher's verdict. By default the
        # dispatcher's.
        status_retry: Mapping[str, _Retry] | None = None,
        # generated: end
    ) -> Endpoint:
        """Makes or changes the endpoint of a consumer.

        Equal values return the same endpoint and keep its connections. Changed values affect only
        this endpoint.

        Args:
            consumer: the consumer id, not empty.
            url: the consumer's URL; the scheme must be https.
            pins: the keys that the consumer may have. There is no default: to rely on the CA
                alone, say so explicitly.
            identity: the identity to present to this consumer. By default the dispatcher's.
            trust: the trust for this consumer's certificate. By default the dispatcher's.
            crl_policy: the certificates of this consumer that a CRL must cover: if_present
                (none), require (all but the anchor) or require_leaf. By default the dispatcher's.
            min_tls: the oldest TLS version to accept: 1.3 or 1.2. By default `1.3`.
            post_quantum: whether to offer the key exchange X25519MLKEM768. Without it, the
                first message of the handshake fits into one packet, for a firewall that drops or
                resets connections with a larger one. By default True.
            server_name: the name that the handshake asks for (SNI) and that the consumer's
                certificate must contain: a DNS name or an IP address. The URL's host is still
                looked up and connected to. By default the URL's host.
            server_uri: the SAN URI that the consumer's certificate must contain, instead of the
                URL's host name.
            hold_payload: whether to hold the payload until the consumer answers the request
                head with 100 Continue, for at most one second. By default False.
            response_excerpt: how many bytes of a response's body receipts and errors show, at
                most 65536. By default 1024.
            signing: how each delivery is signed: by the secrets of Standard Webhooks, which
                require an id, by a token, or by both.
            concurrency: the most deliveries to this consumer at once. By default 8.
            rate: the most deliveries to this consumer in a second, from this process: 0.001 to
                1000000. Further ones wait in line.
            owner: the customer that owns this endpoint. While others wait, the endpoints of one
                owner use at most a quarter of max_connections and of the DNS lookups. By default
                the consumer id.
            status_retry: the retry verdict for a status or status class of this consumer:
                later, after_repair or never. A status that it does not name uses the dispatcher's
                verdict. By default the dispatcher's.

        Raises:
            ConfigError: `url_invalid`, `option_invalid` or `handle_closed`.
        """
    def remove(self, consumer: str) -> bool:
        """Removes the endpoint of a consumer and closes its idle connections.

        No request to the endpoint starts after this call has returned. Deliveries that have started
        to write a request finish. All others end with `handle_closed` and have sent nothing.

        Returns:
            Whether the consumer had an endpoint.
        """
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
    ) -> Receipt:
        """Delivers one payload. Waits for the response without holding the interpreter.

        Ctrl-C raises KeyboardInterrupt and cancels the delivery.

        Args:
            endpoint: an endpoint of this dispatcher.
            body: bytes-like, at most 32 MiB; a str is rejected.
            id: the event's id, sent as webhook-id. Use the same id for every attempt.
            content_type: the content type of the payload. By default `application/json`.
            headers: additional request headers.
            timeout: the time limit of this whole delivery. In seconds, or a timedelta; by
                default the dispatcher's.

        Returns:
            The receipt, once the consumer has answered with a final 2xx head.

        Raises:
            DeliveryError: any kind; `sent` tells how much of the request may have reached the
                consumer.
            ConfigError: `option_invalid`, `header_invalid`, `body_too_large`, `handle_closed`;
                nothing was sent.
        """
    def probe(
        self,
        endpoint: Endpoint,
        *,
        # generated: begin keywords probe
        # The time limit of the whole probe. In seconds, or a timedelta; by default the
        # dispatcher's.
        timeout: _Seconds | None = None,
        # generated: end
    ) -> Probe:
        """Opens a new connection to a consumer, runs the handshake with the checks of a delivery, and
        closes it. It sends no byte of a request.

        The status of the endpoint records the result. A probe cannot detect a consumer that rejects
        our certificate only in its HTTP response, as nginx does.

        Args:
            endpoint: an endpoint of this dispatcher.
            timeout: the time limit of the whole probe. In seconds, or a timedelta; by default
                the dispatcher's.

        Returns:
            The result of the handshake.

        Raises:
            DeliveryError: the kinds of a delivery that fails before its request.
            ConfigError: `option_invalid` or `handle_closed`.
        """
    def diagnose(
        self,
        endpoint: Endpoint,
        *,
        # generated: begin keywords diagnosis
        # The time limit of the whole diagnosis. At the limit, the report has the checks that have
        # ended. In seconds, or a timedelta; by default the dispatcher's.
        timeout: _Seconds | None = None,
        # The request without a payload to make after the handshake: head or options. Servers like
        # nginx judge our certificate only when a request arrives.
        request: _DiagnosisRequest | None = None,
        # generated: end
    ) -> Report:
        """Says what is wrong with an endpoint, whose fault it is and whom to tell.

        Checks our identity and trust, the way to the consumer, its side of the handshake, and its
        verdict on our certificate. It goes on after a fault where it can. It sends no payload, and
        presents our certificate only to a consumer that a delivery would accept. It takes no turn of
        the endpoint and passes no circuit.

        Args:
            endpoint: an endpoint of this dispatcher.
            timeout: the time limit of the whole diagnosis. At the limit, the report has the
                checks that have ended. In seconds, or a timedelta; by default the dispatcher's.
            request: the request without a payload to make after the handshake: head or options.
                Servers like nginx judge our certificate only when a request arrives.

        Returns:
            The report. A fault of the endpoint is in it, and raises nothing.

        Raises:
            ConfigError: `option_invalid` or `handle_closed`.
            DeliveryError: `overloaded`.
        """
    def reload(self) -> list[Event]:
        """Checks all watched files now and uses their new content.

        Listeners receive the events as well. An unusable file is an event `rotation_failed`, and
        its previous content remains in use.

        Returns:
            The events.

        Raises:
            ConfigError: `handle_closed`.
        """
    def expiries(self) -> list[Expiry]:
        """Lists when our chains, anchors, intermediates, CRLs and the last certificate of each
        consumer expire, the smallest fraction of lifetime left first.

        Raises:
            ConfigError: `clock_implausible`, because no lifetime can be computed without the date.
        """
    def on_event(self, callback: Callable[[Event], object]) -> None:
        """Registers a callback for all later events. It is called for one event at a time, on a thread
        of its own.

        An exception of the callback goes to `sys.unraisablehook`. The registration survives a fork:
        the parent and each child receive the events of their own process.

        Args:
            callback: a callable that takes an `Event`.

        Raises:
            ConfigError: `option_invalid`.
        """
    def deliver_many(
        self, deliveries: Iterable[Delivery], *, concurrency: int | None = None
    ) -> Outcomes:
        """Runs many deliveries at once, and yields outcomes as they finish.

        Takes the next delivery while fewer than `concurrency` are running. If a consumer is at its
        own limit, its delivery is parked until a permit is free; it does not delay the deliveries
        to other consumers, and its timeout starts with the permit. A failed delivery is an outcome
        and does not end the run. If the iterable raises, the exception is raised again after the
        outcomes of all earlier deliveries.

        Args:
            deliveries: an iterable of `Delivery`.
            concurrency: how many deliveries run at once, by default 64.

        Returns:
            An iterator of `Outcome` with `progress` and `close`. Dropping the iterator cancels the
            running deliveries.

        Raises:
            ConfigError: `option_invalid`.
        """
    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of this dispatcher in this process. A forked child starts at zero.

        Looks at every endpoint: for a scrape, not for each delivery.

        Returns:
            A dict that can be serialized as JSON: for each name, `type`, `unit`, `help`, `labels`,
            `combine` and `samples`. A sample has `labels` and `value`, or `count`, `sum` and `buckets`.
        """
    def metrics_text(
        self,
        format: _MetricsFormat = "prometheus",
        *,
        others: Iterable[Dispatcher | Verifier] = (),
    ) -> str:
        """Returns the metrics as the text of one response to a scrape.

        Args:
            format: `prometheus` (text format 0.0.4) or `openmetrics` (1.0).
            others: dispatchers and verifiers of this process whose metrics are added.

        Raises:
            ConfigError: `option_invalid`.
        """
    def rotation_status(self) -> dict[str, Any]:
        """Returns which of our identities each consumer accepted last, as this process has observed
        it.

        `process_status` and `merge` make one status of those of several processes.

        Returns:
            A dict that can be serialized as JSON. `consumers` maps each consumer id to `wanted`,
            `accepted`, `accepted_at_ms`, `state` (`current`, `previous` or `unknown`), `pin` and
            `pin_slot`.
        """
    def process_status(self, process: str) -> dict[str, Any]:
        """Returns the status of this process: what `rotation_status`, `Endpoint.status` and `expiries` say.
        `merge` makes one of those of several processes.

        Args:
            process: the name of this process, which no other one of the fleet has: 1 to 256 bytes
                without control characters.

        Returns:
            A dict that can be serialized as JSON. `docs/fleet.schema.json` describes it.

        Raises:
            ConfigError: `option_invalid` or `clock_implausible`.
        """
    def retire(
        self,
        identity: Identity,
        *,
        force: bool = False,
        fleet: dict[str, Any] | str | None = None,
    ) -> list[str]:
        """Stops presenting a previous identity, for instance before its certificate is revoked.

        Args:
            identity: a previous identity. The current identity cannot be retired.
            force: retires it even if it is the one that some consumers accepted last.
            fleet: what `merge` returned for the statuses of all processes, or its JSON text. The
                identity is then retired only if no process of the fleet needs it. The status of each
                may be at most five minutes old, and at most a minute ahead of our clock, also with
                `force`. Each process that may present the identity makes this call; it takes effect
                in its own process. Without `fleet`, this process alone is asked.

        Returns:
            The consumers that depended on it. The list is empty unless `force` is true.

        Raises:
            ConfigError: `identity_in_use`, whose context lists the `consumers` and, of a fleet, the
                `processes`; `option_invalid` if `fleet` is no merged status or a status in it is too
                old or ahead of our clock; `handle_closed` or `clock_implausible`.
        """
    def as_async(self) -> AsyncDispatcher:
        """Returns an `AsyncDispatcher` that shares the endpoints and connections."""
    def close(self, drain: _Seconds = 0.0) -> None:
        """Closes the dispatcher: rejects new deliveries, waits for the running ones for at most
        `drain`, then cancels the rest.

        A second call has no effect. Leaving a `with` block closes without waiting.

        A signal handler may call it during a delivery of its own thread. It then waits for all
        other deliveries. The interrupted delivery continues after the handler for the rest of
        `drain`, and then raises `canceled`.

        Args:
            drain: the time limit for running deliveries, in seconds or as a timedelta; 0 cancels
                them at once.

        Raises:
            ConfigError: `option_invalid`.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def _run(self, deliveries: object, concurrency: int | None, **unknown: Never) -> _Run:
        """Makes a run that asyncio drives."""
    def _telemetry(self) -> Hub:
        """Returns the hub of the instruments."""
    def _start(
        self,
        completions: Completions,
        ticket: int,
        endpoint: Endpoint,
        body: _Bytes,
        options: dict[str, Any],
    ) -> CancelToken:
        """Starts a delivery. Its outcome is pushed to `completions` with the ticket."""
    def _start_probe(
        self,
        completions: Completions,
        ticket: int,
        endpoint: Endpoint,
        *,
        timeout: _Seconds | None = None,
        **unknown: Never,
    ) -> CancelToken:
        """Starts a probe. Its outcome is pushed to `completions` with the ticket."""
    def _start_diagnosis(
        self,
        completions: Completions,
        ticket: int,
        endpoint: Endpoint,
        *,
        timeout: _Seconds | None = None,
        **unknown: Never,
    ) -> CancelToken:
        """Starts a diagnosis. Its outcome is pushed to `completions` with the ticket."""
    def _start_reload(self, completions: Completions, ticket: int) -> None:
        """Starts a reload. Its events are pushed to `completions` with the ticket."""
    def _start_close(self, completions: Completions, ticket: int, drain: _Seconds) -> None:
        """Starts the close. Its end is pushed to `completions` with the ticket."""

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
    response_excerpt: int | None = None,
    signing: _Signing | None = None,
    concurrency: int | None = None,
    rate: float | None = None,
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
    circuit_failures: int | None = None,
    circuit_open: _Seconds | None = None,
    circuit_ceiling: _Seconds | None = None,
    metrics_endpoints: int | None = None,
    reload: _Seconds | None = None,
    expiry_warning: float | None = None,
    # generated: end
) -> Receipt:
    """Delivers one payload over one connection and closes it. Use it in scripts.

    Accepts the options of `Dispatcher`, `Dispatcher.endpoint` and `Dispatcher.deliver`. The
    consumer id is the host and port of the URL. `timeout` is the time limit of the delivery.

    Args:
        url: the consumer's URL; the scheme must be https.
        body: bytes-like, at most 32 MiB; a str is rejected.
        identity: the identity to present to the consumer.
        trust: the CAs that verify the consumer.
        pins: the keys that the consumer may have; None relies on the CA alone.

    Returns:
        The receipt, once the consumer has answered with a final 2xx head.

    Raises:
        DeliveryError: any kind; `sent` tells how much of the request may have reached the consumer.
        ConfigError: `url_invalid`, `option_invalid`, `header_invalid`, `body_too_large`; nothing
            was sent.
    """

@final
class Event:
    """A change or warning for the operator. docs/events.md lists all events."""

    @property
    def name(self) -> str:
        """The name of the event, such as `rotated`."""
    @property
    def consumer(self) -> str | None:
        """The consumer id; None if the event does not concern a single consumer."""
    @property
    def fields(self) -> dict[str, Any]:
        """The facts of the event. Times are Unix milliseconds."""
    def _log_record(self) -> dict[str, Any]:
        """Returns the log record of the event: level, message and fields."""
    def to_dict(self) -> dict[str, Any]:
        """Returns the event as a dict, in the same form in every language."""

@final
class Expiry:
    """A certificate or CRL, and how much of its lifetime is left."""

    @property
    def what(self) -> _Expiring:
        """The type of the entry: `identity`, `anchor`, `intermediate`, `crl` or `consumer`."""
    @property
    def name(self) -> str:
        """The subject of a certificate, the issuer of a CRL, or the consumer id."""
    @property
    def not_after(self) -> datetime:
        """The last instant of validity, an aware datetime."""
    @property
    def fraction_left(self) -> float:
        """The fraction of the lifetime that is left: 1 at its first instant, 0 once it has expired."""
    def to_dict(self) -> dict[str, Any]:
        """Returns the entry as a dict, in the same form in every language."""

@final
class Delivery:
    """One payload for one endpoint, as input of `deliver_many`.

    It is immutable, and may be delivered again. Deliveries with the same `bytes` object share it.

    Args:
        endpoint: an endpoint of the dispatcher that delivers it.
        body: bytes-like, at most 32 MiB; a str is rejected.
        id: the event's id, sent as webhook-id. Use the same id for every attempt.
        content_type: the content type of the payload. By default `application/json`.
        headers: additional request headers.
        timeout: the time limit of this whole delivery. In seconds, or a timedelta; by default
            the dispatcher's.
        tag: any object, to recognize the delivery in its outcome.

    Raises:
        ConfigError: `option_invalid` or `body_too_large`.
    """

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
    @classmethod
    def deferred(
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
    ) -> Self:
        """Makes a delivery whose invalid arguments do not raise here.

        The outcome of such a delivery is the `ConfigError`, so that a run goes on with the others.

        Args:
            endpoint, body, id, content_type, headers, timeout, tag: as for `Delivery`.

        Raises:
            ConfigError: `option_invalid` if `endpoint` is not an Endpoint.
        """
    @property
    def endpoint(self) -> Endpoint:
        """The endpoint."""
    @property
    def id(self) -> str | None:
        """The event's id; None if it has none."""
    @property
    def tag(self) -> Any:
        """The tag; None by default."""

@final
class Outcome:
    """The result of one delivery of `deliver_many`: a receipt or an error."""

    @property
    def delivery(self) -> Delivery:
        """The delivery."""
    @property
    def receipt(self) -> Receipt | None:
        """The receipt; None if the delivery failed."""
    @property
    def error(self) -> WebhookMtlsError | None:
        """The exception that `deliver` would have raised; None if the delivery succeeded."""

@final
class Progress:
    """The progress of a run of `deliver_many`."""

    @property
    def done(self) -> int:
        """The number of deliveries that have ended, including failed ones."""
    @property
    def failed(self) -> int:
        """The number of deliveries that have failed."""
    @property
    def in_flight(self) -> int:
        """The number of running deliveries."""
    @property
    def waiting(self) -> int:
        """The number of deliveries that wait for a permit of their consumer."""

@final
class Outcomes:
    """The outcomes of `Dispatcher.deliver_many`, in the order in which the deliveries end.

    It is an iterator. Closing or dropping it cancels the running deliveries.
    """

    def __iter__(self) -> Self: ...
    def __next__(self) -> Outcome: ...
    @property
    def progress(self) -> Progress:
        """The progress of the run. Any thread may read it."""
    def close(self) -> None:
        """Cancels the running deliveries, and takes no more from the iterable.

        The outcomes of deliveries that had already ended can still be taken.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class _Run:
    """A run without a loop of its own. `AsyncDispatcher` drives it."""

    def has_room(self) -> bool:
        """Returns whether one more delivery may be submitted."""
    def submit(self, delivery: Delivery) -> None:
        """Starts a delivery."""
    def take(self) -> list[Outcome]:
        """Takes the outcomes that have arrived."""
    def is_idle(self) -> bool:
        """Returns whether no delivery is running and no outcome waits."""
    def watch(self, completions: Completions, ticket: int) -> None:
        """Pushes the ticket to `completions` whenever the first outcome arrives."""
    def cancel(self) -> None:
        """Cancels the running deliveries."""
    @property
    def progress(self) -> Progress:
        """The progress of the run."""

@final
class Receipt:
    """A delivery that the consumer answered with a final 2xx head."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @property
    def consumer(self) -> str:
        """The consumer id of the endpoint."""
    @property
    def id(self) -> str | None:
        """The event's id; None if the delivery has none."""
    @property
    def status(self) -> int:
        """The HTTP status, 200 to 299."""
    @property
    def peer(self) -> PeerIdentity:
        """The consumer, as its certificate describes it."""
    @property
    def pin(self) -> _Pin | None:
        """Which pin matched, `current` or `next`; None if the endpoint has no pins."""
    @property
    def attempts(self) -> int:
        """The number of attempts, including the successful one. Another one follows only if the payload never
        left, or if the consumer refused our certificate before it responded.
        """
    @property
    def elapsed(self) -> float:
        """The duration of the whole delivery, in seconds."""
    @property
    def tls(self) -> TlsFacts:
        """The result of the TLS negotiation."""
    @property
    def reused(self) -> bool:
        """Whether the delivery used an idle connection."""
    @property
    def hold_honored(self) -> bool | None:
        """Whether the consumer answered the head with 100 Continue before the payload was sent.

        None if the payload was not held. It is held by `hold_payload`, or for an identity that the
        consumer has not answered yet.
        """
    @property
    def response(self) -> Response:
        """The response: its status, its headers and the first bytes of its body."""
    def to_dict(self, *, full: bool = True) -> dict[str, Any]:
        """Returns the whole receipt as a dict, in the same form in every language. Durations are
        milliseconds.

        It has more than the attributes: the address, the time of each step, the headers of the
        response and the first bytes of its body.

        Args:
            full: False returns the log record instead: level, message and fields, below 1 KiB.
        """

@final
class Probe:
    """A completed handshake without a payload. Made by `Dispatcher.probe`.

    The consumer passed every check of a delivery, requested our certificate, and did not reject it
    during the handshake.
    """

    @property
    def consumer(self) -> str:
        """The consumer id of the endpoint."""
    @property
    def peer(self) -> PeerIdentity:
        """The consumer, as its certificate describes it."""
    @property
    def pin(self) -> _Pin | None:
        """Which pin matched, `current` or `next`; None if the endpoint has no pins."""
    @property
    def tls(self) -> TlsFacts:
        """The result of the TLS negotiation."""
    @property
    def note(self) -> str | None:
        """What the handshake does not show about our certificate, and the CAs that the consumer accepts
        if they do not include ours; None if there is nothing to say.
        """
    @property
    def address(self) -> str:
        """The IP address and port of the connection."""
    @property
    def elapsed(self) -> float:
        """The duration of the whole probe, in seconds."""
    def to_dict(self, *, full: bool = True) -> dict[str, Any]:
        """Returns the whole result as a dict, in the same form in every language. Durations are
        milliseconds.

        Args:
            full: False returns the log record instead: level, message and fields, below 1 KiB.
        """

@final
class Report:
    """The result of a diagnosis. Made by `Dispatcher.diagnose`.

    `str` of it is the text for a person: one line for each check, 80 columns, no color.
    """

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
    @property
    def consumer(self) -> str:
        """The consumer id of the endpoint."""
    @property
    def checks(self) -> list[dict[str, Any]]:
        """Every check, in the order of their numbers: dicts with `id`, `status`, `summary` and others."""
    @property
    def findings(self) -> list[dict[str, Any]]:
        """Every fault: dicts with `check`, `kind`, `blame`, `message`, `remedy` and others."""
    @property
    def verdict(self) -> dict[str, Any]:
        """The verdict: a dict with `kind`, `blame`, `message`, `remedy` and `tell`."""
    @property
    def message_to_consumer(self) -> str | None:
        """A text for the operator of the consumer; None if it need not act.

        It has no address, path, host or rule of ours.
        """
    @property
    def elapsed(self) -> float:
        """The duration of the diagnosis, in seconds."""
    def to_dict(self) -> dict[str, Any]:
        """Returns the whole report as a dict, in the same form in every language. Durations are
        milliseconds.
        """

@final
class TlsFacts:
    """The result of the TLS negotiation of a connection."""

    @property
    def version(self) -> Literal["TLSv1.3", "TLSv1.2"]:
        """`TLSv1.3` or `TLSv1.2`."""
    @property
    def cipher_suite(self) -> str:
        """The cipher suite by its IANA name."""
    @property
    def key_exchange(self) -> str:
        """The key exchange group by its IANA name."""
    @property
    def client_auth_requested(self) -> bool:
        """Whether the consumer requested our certificate. Always true on a receipt."""
    @property
    def signature(self) -> float | None:
        """How long the signer of our key took, in seconds; None without a signer."""
    @property
    def certificate_authorities(self) -> list[str]:
        """The CAs that the consumer named in its certificate request: it accepts certificates of these.

        Escaped, and cut to 4 KiB. Empty if it named none.
        """
    @property
    def issuer_listed(self) -> bool | None:
        """Whether the consumer named an issuer of our certificate; None if it named no CA."""

@final
class PeerIdentity:
    """A verified peer. Only a verification makes it. It can be copied and pickled."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @property
    def tenant(self) -> str | None:
        """The tenant that the tenant rule finds in the certificate. Without a rule, the only SAN URI,
        if it is a SPIFFE ID or another URI in canonical form; None otherwise.
        """
    @property
    def subject(self) -> str:
        """The subject as RFC 4514 text."""
    @property
    def cn(self) -> str | None:
        """The subject's common name, if there is exactly one. It does not identify a peer by itself."""
    @property
    def san_dns(self) -> list[str]:
        """The DNS names of the subjectAltName."""
    @property
    def san_ip(self) -> list[str]:
        """The IP addresses of the subjectAltName."""
    @property
    def san_uri(self) -> list[str]:
        """The URIs of the subjectAltName."""
    @property
    def san_email(self) -> list[str]:
        """The e-mail addresses of the subjectAltName."""
    @property
    def spki_pin(self) -> str:
        """The pin of the leaf's public key: `sha256/…`."""
    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the whole leaf, as lower-case hex."""
    @property
    def x5t_s256(self) -> str:
        """The SHA-256 of the whole leaf, as a certificate-bound token has it (`x5t#S256`)."""
    @property
    def serial(self) -> str:
        """The serial number, as lower-case hex."""
    @property
    def issuer(self) -> str:
        """The issuer as RFC 4514 text."""
    @property
    def not_before(self) -> datetime:
        """The first instant of validity, an aware datetime."""
    @property
    def not_after(self) -> datetime:
        """The last instant of validity, an aware datetime."""
    @property
    def lifetime_left(self) -> float:
        """The fraction of the leaf's lifetime that was left when it was verified, 0 to 1."""
    @property
    def anchor(self) -> str:
        """The subject of the anchor that the path ends in."""
    @property
    def path(self) -> list[str]:
        """The subjects from the leaf to the anchor."""
    @property
    def matched_pin(self) -> str | None:
        """The configured pin that matched; None if no pin is configured."""
    @property
    def evidence(self) -> _Evidence:
        """The source of the certificate: `socket` (a handshake proved the key), `forwarded` (a hop that
        is believed) or `asserted`.
        """
    @property
    def hop(self) -> str | None:
        """The name of the hop that forwarded the certificate; None unless the evidence is `forwarded`."""
    @property
    def purpose(self) -> Literal["present", "absent"]:
        """Whether the leaf has an extendedKeyUsage: `present` or `absent`."""
    @property
    def notes(self) -> list[_Note]:
        """Unusual facts that were tolerated: `purpose_absent` (no extendedKeyUsage), `key_id_mismatch`
        (authorityKeyIdentifier and the issuer's subjectKeyIdentifier differ),
        `anchor_is_intermediate` (OpenSSL does not accept one as an anchor), `crl_unused` (a CRL could
        not be used), `revocation_unchecked` (no usable CRL covers a certificate of the path) or
        `serial_unusual` (a serial number of 0 or above 20 octets).
        """
    @property
    def revocation_unchecked(self) -> list[str]:
        """The subjects of the certificates of the path whose revocation is not checked, although the
        trust has CRLs. The note `revocation_unchecked` is about them.
        """
    def to_dict(self) -> dict[str, Any]:
        """Returns the whole identity as a dict, in the same form in every language. Times are Unix
        milliseconds.
        """

@final
class TenantRule:
    """The part of a verified certificate that names its tenant, 1 to 64 of `A-Z a-z 0-9 . _ -`.

    Made by its class methods.
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def san_uri(cls, template: str) -> Self:
        """Takes the tenant from a SAN URI that equals the template; `{tenant}` is one whole path
        segment.

        Args:
            template: compared byte by byte, without percent-decoding.

        Raises:
            ConfigError: `option_invalid` if the template does not have exactly one such segment.

        >>> template = "spiffe://corp/tenant/{tenant}"
        >>> TenantRule.san_uri(template) == TenantRule.san_uri(template)
        True
        """
    @classmethod
    def san_dns_suffix(cls, suffix: str) -> Self:
        """Takes the tenant from the one label before the suffix of a SAN DNS name: `tenants.corp`
        finds `acme` in `acme.tenants.corp`.

        Args:
            suffix: a DNS name.

        Raises:
            ConfigError: `option_invalid` if the suffix is not a DNS name.
        """
    @classmethod
    def subject_cn(cls) -> Self:
        """Takes the tenant from the only common name of the subject. Use it only for a CA that names
        tenants only there.
        """

@final
class Authorization:
    """The peers that are allowed. Made by its class methods; none of them allows every peer of every
    CA.
    """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def san_uris(cls, uris: Iterable[str]) -> Self:
        """Allows peers that have one of these SAN URIs, compared byte by byte.

        Args:
            uris: a sequence of at least one URI.

        Raises:
            ConfigError: `option_invalid` if the sequence is empty or an entry is not a URI.
        """
    @classmethod
    def trust_domain(cls, domain: str) -> Self:
        """Allows peers that have exactly one SPIFFE ID, of this trust domain.

        Args:
            domain: a SPIFFE trust domain, such as `corp`.

        Raises:
            ConfigError: `option_invalid` if the text is not a trust domain.
        """
    @classmethod
    def ca_members(cls) -> Self:
        """Allows every peer that has a valid certificate of the trusted CA.

        Use it only if every holder of a certificate of that CA is authorized.
        """

@final
class Hop:
    """A proxy that is believed when it forwards a client certificate. Made by its class methods."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @classmethod
    def address(cls, name: str, *networks: str) -> Self:
        """Believes the TCP peers with an address in these networks.

        Everything in them that can reach the application is believed: name the proxies, and not
        the whole network.

        Args:
            name: 1 to 64 characters of `A-Z a-z 0-9 . _ -`; the peer and errors show it.
            networks: addresses or CIDRs, at least one; none may contain every address.

        Raises:
            ConfigError: `option_invalid`.

        >>> Hop.address("edge", "10.0.0.0/24").kind
        'address'
        """
    @classmethod
    def secret(cls, name: str, header: str, value: str) -> Self:
        """Believes requests with a secret in a header, which the proxy sets on every request in place
        of what a client sends. The secret is compared in constant time.

        Args:
            name: as for `address`.
            header: the name of the header: letters, digits and hyphens.
            value: the secret: 16 to 512 printable ASCII characters. No error shows it.

        Raises:
            ConfigError: `option_invalid`.
        """
    @classmethod
    def certificate(cls, name: str, pins: Pins) -> Self:
        """Believes the TLS peers with one of these pins. The application ends the TLS of the proxy,
        verifies it with `Verifier.verify_socket`, and passes the `spki_pin` as `remote`.

        Args:
            name: as for `address`.
            pins: the pins of the proxy.

        Raises:
            ConfigError: `option_invalid`.
        """
    @classmethod
    def unix(cls, name: str) -> Self:
        """Believes the peers of a Unix socket. The permissions of its file must admit only the proxy.

        Args:
            name: as for `address`.

        Raises:
            ConfigError: `option_invalid`.
        """
    @property
    def name(self) -> str:
        """The name."""
    @property
    def kind(self) -> Literal["address", "secret", "certificate", "unix"]:
        """How the proxy is recognized: `address`, `secret`, `certificate` or `unix`."""

@final
class Verifier:
    """Verifies the certificates of peers. The connection may end in another program.

    It runs the checks of a handshake of this library. It is safe to share between threads.

    Args:
        role: the role of the peers: client or server.
        trust: the trust for the peers' certificates.
        pins: the keys that a peer may have.
        tenant: the rule by which a certificate names its tenant. The role client requires this
            or an authorization.
        authorization: the peers that are allowed. The role client requires this or a tenant
            rule.
        server_uri: the SAN URI that a server's certificate must contain.
        strict_purpose: whether to refuse a certificate without extendedKeyUsage. By default
            False.
        crl_policy: the certificates of a peer that a CRL must cover: if_present (none), require
            (all but the anchor) or require_leaf. By default `if_present`.
        reload: the interval at which the files of trust and pins are checked for changes. 0
            checks only in reload(). In seconds, or a timedelta; by default 10.
        expiry_warning: the remaining fraction of a lifetime at which the first expiry event is
            raised. More follow at 0.1, 0.05 and 0. By default 0.2.

    Raises:
        ConfigError: `option_invalid`.
    """

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
        chain: _Certificates,
        *,
        server_name: str | None = None,
        at: datetime | None = None,
    ) -> PeerIdentity:
        """Verifies a chain.

        Args:
            chain: PEM text or concatenated DER, str or bytes-like; a certificate of `cryptography`
                or `ssl`; or a sequence of these, leaf first. The trust's intermediates are added.
            server_name: the DNS name or IP address that the client connected to; required for
                servers unless a SAN URI is expected, rejected for clients.
            at: the time of the verification, an aware datetime; now by default.

        Returns:
            The peer, with evidence `asserted`.

        Raises:
            PeerRefused: a kind of the 4xx group, or `pem_invalid`.
            ConfigError: `option_invalid`.
        """
    def verify_socket(
        self, socket: SSLSocket | SSLObject, *, server_name: str | None = None
    ) -> PeerIdentity:
        """Verifies the peer of a TLS connection of the `ssl` module at the current time.

        A session that was resumed has only the peer's own certificate: add the CAs of the peer to
        the trust as intermediates, or turn off session tickets (`context.num_tickets = 0`, and
        `ssl.OP_NO_TICKET` for TLS 1.2).

        Args:
            socket: an `ssl.SSLSocket` or `ssl.SSLObject` whose handshake is complete.
            server_name: as for `verify`; by default the socket's `server_hostname`.

        Returns:
            The peer, with evidence `socket`: the handshake proved that it holds the key.

        Raises:
            PeerRefused: a kind of the 4xx group; `evidence_missing` if the handshake is not
                complete, the socket is closed, or the peer presented no certificate.
            ConfigError: `option_invalid`.
        """
    def verify_forwarded(
        self,
        headers: Iterable[tuple[str | bytes, str | bytes]],
        *,
        dialect: _Dialect,
        hop: Hop,
        remote: str | None = None,
        at: datetime | None = None,
    ) -> PeerIdentity:
        """Verifies the client certificate that a proxy forwards in the headers of a request.

        Most proxies forward the leaf alone: give the trust the intermediates.

        Args:
            headers: every header line of the request as it arrived, repeats included: pairs of name
                and value, each str or bytes, such as `scope["headers"]` of ASGI. Not a dict.
            dialect: how the proxy writes the certificate.
            hop: the proxy that is believed.
            remote: the peer of the transport itself: an IP address without a port, `unix`, or the
                pin of the proxy's verified certificate. Never an address from a header. Only a
                secret hop needs none.
            at: the time of the verification, an aware datetime; now by default.

        Returns:
            The peer, with evidence `forwarded` and the name of the hop.

        Raises:
            PeerRefused: `hop_untrusted` if the request does not come from the hop, or if a client
                could have written the headers; `evidence_missing` if the hop forwards no readable
                certificate; otherwise as for `verify`.
            ConfigError: `option_invalid`.
        """
    def _check_forwarding(self, dialect: object, hop: object) -> None:
        """Checks the arguments of `verify_forwarded` that middleware has before any request."""
    def _count_refused_request(self, kind: str) -> None:
        """Counts a request that middleware has refused, by the name of the kind."""
    def reload(self) -> list[Event]:
        """Checks the watched files of the trust and the pins now, and uses their new content.

        Returns:
            The events. An unusable file is `rotation_failed`, and its previous content remains in
            use.
        """
    def expiries(self) -> list[Expiry]:
        """Lists when the anchors, intermediates and CRLs expire, the smallest fraction of lifetime
        left first.

        Raises:
            ConfigError: `clock_implausible`.
        """
    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of this verifier in this process. A forked child starts at zero.

        Returns:
            A dict that can be serialized as JSON: for each name, `type`, `unit`, `help`, `labels`,
            `combine` and `samples`. A sample has `labels` and `value`, or `count`, `sum` and `buckets`.
        """
    def metrics_text(
        self,
        format: _MetricsFormat = "prometheus",
        *,
        others: Iterable[Dispatcher | Verifier] = (),
    ) -> str:
        """Returns the metrics as the text of one response to a scrape.

        Args:
            format: `prometheus` (text format 0.0.4) or `openmetrics` (1.0).
            others: dispatchers and verifiers of this process whose metrics are added.

        Raises:
            ConfigError: `option_invalid`.
        """
    def on_event(self, callback: Callable[[Event], object]) -> None:
        """Registers a callback for all later events, as `Dispatcher.on_event` does.

        Args:
            callback: a callable that takes an `Event`.

        Raises:
            ConfigError: `option_invalid`.
        """

def verify_peer(
    chain: _Certificates,
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
) -> PeerIdentity:
    """Verifies one chain with a temporary `Verifier`.

    Args:
        chain, server_name, at: as for `Verifier.verify`.
        role and the rest: as for `Verifier`.

    Raises:
        PeerRefused: a kind of the 4xx group, or `pem_invalid`.
        ConfigError: `option_invalid`.
    """

def metrics_content_type(format: _MetricsFormat, /) -> str:
    """Returns the value of the header `content-type` of a response with the text of metrics.

    Args:
        format: `prometheus` or `openmetrics`.

    Raises:
        ConfigError: `option_invalid`.
    """

def remember_signatures(enabled: bool) -> None:
    """Turns the signature cache of the whole process on or off, for measurements.

    It is on by default. Entries from before it was turned off count again when it is turned on.

    Args:
        enabled: whether a signature that was found valid is not checked again. Each verification
            still makes a new decision.

    Raises:
        ConfigError: `option_invalid`.
    """

@final
class RetryPolicy:
    """The number of attempts and the delays between them. It keeps no state and does not wait: the
    queue does both.

    Args:
        attempts: the most attempts, including the first. With the defaults, they take more than
            24 hours. By default 60.
        first: the wait after the first attempt, of which half is random. It doubles after each
            further attempt. In seconds, or a timedelta; by default 5.
        ceiling: the longest wait, unless the consumer asks for a longer one. In seconds, or a
            timedelta; by default 3600.
        seed: a number that makes the random parts of the waits repeatable, for tests.

    Raises:
        ConfigError: `option_invalid`.

    >>> from webhook_mtls.testing import error
    >>> decision = RetryPolicy(first=5).decide(error("http_status"), attempt=2)
    >>> decision.action, 5.0 <= decision.delay <= 10.0
    ('retry', True)
    """

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
    def decide(self, error: WebhookMtlsError, *, attempt: int) -> Decision:
        """Returns what to do after a failure.

        Args:
            error: the `WebhookMtlsError` that was raised, or one that was serialized and rebuilt.
            attempt: the number of the failed attempt, from 1.

        Raises:
            ConfigError: `option_invalid`.
        """

@final
class Decision:
    """What to do after one failure."""

    @property
    def action(self) -> _Action:
        """`retry` after the delay, `park` until a repair, or `drop`."""
    @property
    def delay(self) -> float:
        """The delay before the next attempt, in seconds."""
    @property
    def counts(self) -> bool:
        """Whether the attempt counts. One that was not admitted, or waits for a repair, does not."""
    @property
    def reason(self) -> str:
        """The reason in a few words."""

# -- used only by the Python files of this package -----------------------------------------------

@final
class Completions:
    """The outcomes for one event loop that it has not taken yet."""

    def __new__(cls, *, eventfd: bool = True) -> Self: ...
    def fileno(self) -> int:
        """Returns the descriptor that is readable while outcomes wait."""
    def drain(
        self,
    ) -> list[tuple[int, Receipt | Probe | Report | list[Event] | None, BaseException | None]]:
        """Takes all outcomes: each a ticket, a result or None, and an exception or None."""

@final
class CancelToken:
    """Cancels a delivery of an `AsyncDispatcher`."""

    def cancel(self) -> None:
        """Cancels the delivery. Does nothing if it has ended."""

def _command(arguments: list[str]) -> int:
    """Runs the command `webhook-mtls`, for `webhook_mtls._cli`. From then on, errors of this process name the
    options of the command.

    Args:
        arguments: the name of the program, then its arguments.

    Returns:
        The exit code.
    """

def _panic() -> None:
    """Panics inside `guard`, so that a test can check the resulting error."""

def _log_record_of(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the log record of an error, from the fields of the error."""

def _public(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the part of an error that may be shown to the consumer, from the fields of the error."""

def _set_clock(at: datetime | None) -> None:
    """Sets the clock of the library for the whole process. The clock then runs on."""

def _signatures_checked() -> int:
    """Returns how many signatures of certificates and CRLs this process has checked."""

def _merged_metrics(dispatchers: list[Dispatcher]) -> dict[str, Any]:
    """Returns the metrics of dispatchers of this process as one dict."""

def _tables() -> dict[str, Any]:
    """Returns the core's tables of kinds, enums and options."""
