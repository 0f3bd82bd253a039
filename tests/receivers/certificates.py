"""A private CA with clients: good, expired, revoked, and one of another CA."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Issued:
    """A certificate, its key and its issuer's certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuers: tuple["Issued", ...]

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """The certificate alone, as DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain_pem(self) -> str:
        """The certificate and the intermediates."""
        return self.pem + "".join(each.pem for each in self.issuers[:-1])

    @property
    def key_pem(self) -> str:
        """The key, unencrypted."""
        kind = serialization.PrivateFormat.PKCS8
        none = serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, kind, none).decode()


def issue(name: str, issuer: Issued | None, *extensions: Any, days: tuple[int, int]) -> Issued:
    """Issues a certificate; without an issuer, a root."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(signer, hashes.SHA256())
    return Issued(certificate, key, (issuer, *issuer.issuers) if issuer else ())


def usage(*names: str) -> x509.KeyUsage:
    """Returns a key usage with these bits."""
    bits = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    bits += ["key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{bit: bit in names for bit in bits})


def authority(name: str, issuer: Issued | None = None) -> Issued:
    """Issues a CA."""
    basic = (x509.BasicConstraints(ca=True, path_length=None), True)
    return issue(name, issuer, basic, (usage("key_cert_sign", "crl_sign"), True), days=(-9, 90))


def leaf(name: str, issuer: Issued, days: tuple[int, int] = (-1, 30)) -> Issued:
    """Issues a certificate for a client, and for a server on loopback."""
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(f"spiffe://corp.example/tenant/{name}"),
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("127.0.0.1")),
    ]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return issue(
        name,
        issuer,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage("digital_signature"), True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.SubjectAlternativeName(names), False),
        days=days,
    )


def crl(issuer: Issued, *revoked: Issued) -> str:
    """Returns a CRL as PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=30))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False
        )
        .add_extension(x509.CRLNumber(1), False)
    )
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(NOW).build())
    signed = builder.sign(issuer.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


class Pki:
    """All certificates, as files below a folder."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        root = authority("Receivers Root")
        issuing = authority("Receivers Issuing CA", root)
        other = authority("Another Root")
        self.server = leaf("server", issuing)
        self.clients = {
            "good": leaf("good", issuing),
            "victim": leaf("victim", issuing),
            "expired": leaf("expired", issuing, (-30, -1)),
            "revoked": leaf("revoked", issuing),
            "stranger": leaf("victim", other),
        }
        crls = crl(issuing, self.clients["revoked"]) + crl(root)
        self.write("root.pem", root.pem)
        self.write("issuing.pem", issuing.pem)
        self.write("crls.pem", crls)
        self.write("server.crt", self.server.chain_pem)
        self.write("server.key", self.server.key_pem)
        # HAProxy reads both from one file.
        self.write("server.pem", self.server.chain_pem + self.server.key_pem)
        for name, client in self.clients.items():
            self.write(f"{name}.crt", client.chain_pem)
            self.write(f"{name}.key", client.key_pem)

    def write(self, name: str, text: str) -> None:
        """Writes a file that only we can read."""
        path = self.home / name
        path.write_text(text)
        path.chmod(0o600)

    def path(self, name: str) -> Path:
        """Returns the path of a file."""
        return self.home / name
