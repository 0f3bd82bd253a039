"""Identities and trust of the SPIFFE Workload API, as of a SPIRE agent, which rotate with it.

    import webhook_mtls as wm
    from spiffe import X509Source
    from webhook_mtls.spiffe import WorkloadSource

    with X509Source() as x509, WorkloadSource(x509) as workload:
        dispatcher = wm.Dispatcher(identity=workload.identity(), trust=workload.trust())
        acme = dispatcher.endpoint(
            "acme", url, **workload.consumer("spiffe://acme.example/webhooks")
        )

Needs the package spiffe: `pip install 'webhook-mtls[spiffe]'`. docs/issue/spire.md has the rules.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
import threading
from os import PathLike
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from spiffe import SpiffeId, TrustDomain, X509BundleSet, X509Source, X509Svid

from ._native import Identity, Trust

__all__ = ["WorkloadSource"]

_IDENTITY = "svid.pem"


class WorkloadSource:
    """Keeps what the Workload API sends in files of its own, which dispatchers and verifiers watch.

    An update is in use within `reload` seconds of the dispatcher or verifier, and with its events
    `rotated`. Forked processes read the same files, so only the process that made the source needs
    a connection to the agent. Call `close` after the dispatchers have ended.

    Args:
        source: a source of X509-SVIDs of the package spiffe, which stays the caller's. It must have
            received its first update.
        directory: path of the directory below which the files are made. By default the memory file
            system `/dev/shm` if there is one, so that the key is on no disk. Only this user can
            read the files.

    Raises:
        X509SourceError: of the package spiffe, if the source is closed or has failed.
        OSError: if the files cannot be written.
    """

    def __init__(self, source: X509Source, *, directory: str | PathLike[str] | None = None) -> None:
        if directory is None and os.access("/dev/shm", os.W_OK | os.X_OK):
            directory = "/dev/shm"
        self._source = source
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._domains: set[TrustDomain] = set()
        self._nobody: bytes | None = None
        self._is_closed = False
        self._place = Path(tempfile.mkdtemp(prefix="webhook-mtls-spiffe-", dir=directory))
        source.subscribe_for_updates(self._update)
        try:
            self._update()
        except BaseException:
            self.close()
            raise

    def identity(self) -> Identity:
        """Returns the identity of this workload, with the key that the agent renews.

        Raises:
            ConfigError: as `Identity.from_files`.
        """
        file = self._place / _IDENTITY
        return Identity.from_files(file, file)

    def trust(self, trust_domain: str | None = None) -> Trust:
        """Returns the trust in the authorities of one trust domain.

        If the agent sends no bundle of the domain any more, as after the end of a federation,
        no certificate is trusted until it does again.

        Args:
            trust_domain: the name, such as `acme.example`; by default that of this workload.

        Raises:
            LookupError: if the agent sends no bundle of this domain.
            ConfigError: as `Trust.from_files`.
            TrustDomainError: of the package spiffe, if the name is malformed.
        """
        with self._lock:
            context = self._source.get_x509_context()
            bundles = context.x509_bundle_set
            domain = context.default_svid.spiffe_id.trust_domain
            if trust_domain is not None:
                domain = TrustDomain(trust_domain)
            if not _anchors(bundles, domain):
                known = ", ".join(sorted(bundle.trust_domain.name for bundle in bundles.bundles))
                raise LookupError(
                    f"the agent sends no bundle of {domain.name}, but of {known}: "
                    "federate with it (federatesWith of the registration entry)"
                )
            self._domains.add(domain)
            self._write_bundle(bundles, domain)
            return Trust.from_files(self._bundle(domain))

    def consumer(self, spiffe_id: str) -> dict[str, Any]:
        """Returns the arguments of `Dispatcher.endpoint` for a consumer of SPIFFE.

        These are `server_uri`, `trust` in the domain of the ID alone, and no pins, because the
        consumer has a new key with each renewal.

        Args:
            spiffe_id: the ID, such as `spiffe://acme.example/webhooks`.

        Raises:
            LookupError, ConfigError: as `trust`.
            SpiffeIdError: of the package spiffe, if the ID is malformed.
        """
        known = SpiffeId(spiffe_id)
        return {
            "pins": None,
            "server_uri": str(known),
            "trust": self.trust(known.trust_domain.name),
        }

    def close(self) -> None:
        """Ends the updates and removes the files. Values that were made from them stay as they are.

        A process that is killed leaves its files behind, until the machine or the container ends.
        """
        self._source.unsubscribe_for_updates(self._update)
        # The files of a parent are still in use.
        if self._process == os.getpid():
            with self._lock:
                self._is_closed = True
                shutil.rmtree(self._place, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "WorkloadSource()"

    def _update(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            context = self._source.get_x509_context()
            # Bundles first: a consumer may have a certificate of a new authority already.
            for domain in self._domains:
                self._write_bundle(context.x509_bundle_set, domain)
            self._write(_IDENTITY, _pem(context.default_svid))

    def _bundle(self, domain: TrustDomain) -> Path:
        return self._place / f"{domain.name}.bundle.pem"

    def _write_bundle(self, bundles: X509BundleSet, domain: TrustDomain) -> None:
        # A trust without an anchor cannot be used, and the former would stay in use.
        anchors = _anchors(bundles, domain) or self._no_authority()
        self._write(self._bundle(domain).name, anchors)

    def _no_authority(self) -> bytes:
        """Returns a CA that certifies nothing: its key is not kept."""
        if self._nobody is None:
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "no authority")])
            now = datetime.datetime.now(datetime.UTC)
            builder = (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(name)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=3650))
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            )
            self._nobody = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
        return self._nobody

    def _write(self, name: str, text: bytes) -> None:
        """Replaces a file, so that a reader never sees a part of it."""
        new = self._place / f"{name}.new"
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
        new.replace(self._place / name)


def _pem(svid: X509Svid) -> bytes:
    """Returns the chain and the key in one text, so that one replacement changes both."""
    chain = [cert.public_bytes(Encoding.PEM) for cert in svid.cert_chain]
    key = svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join([*chain, key])


def _anchors(bundles: X509BundleSet, domain: TrustDomain) -> bytes:
    bundle = bundles.get_bundle_for_trust_domain(domain)
    found = bundle.x509_authorities if bundle is not None else set()
    # Sorted: a set has no order, and another order would be a change.
    return b"".join(sorted(cert.public_bytes(Encoding.PEM) for cert in found))
