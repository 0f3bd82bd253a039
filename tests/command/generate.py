"""Makes the files of `files/`, which are committed: `python3 tests/command/generate.py`.

The certificates are valid for a century, so that the screens that show them do not change. Needs
the package `cryptography`, which no test needs.
"""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FILES = Path(__file__).parent / "files"
START = datetime(2020, 1, 1, tzinfo=UTC)
LATE = datetime(2120, 1, 1, tzinfo=UTC)
EARLY = datetime(2021, 1, 1, tzinfo=UTC)
PASSPHRASE = b"correct horse"

_serial = 0x1000


def name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def certificate(common, key, issuer=None, *, ca=None, purposes=None, names=(), end=LATE):
    global _serial
    _serial += 1
    issuer_name, issuer_key = issuer or (name(common), key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(_serial)
        .not_valid_before(START)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca is not None, ca), critical=True)
        .add_extension(usage(ca is not None), critical=True)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, digest)


def usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def crl(issuer, key, end, revoked):
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(START)
        .next_update(end)
        .add_extension(x509.CRLNumber(7), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(START)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256())


def pem(*parts) -> bytes:
    return b"".join(part.public_bytes(serialization.Encoding.PEM) for part in parts)


def key_pem(key, passphrase=None) -> bytes:
    protection = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


def main() -> None:
    FILES.mkdir(exist_ok=True)

    def new():
        return ec.generate_private_key(ec.SECP256R1())

    root_key, middle_key, client_key, server_key = new(), new(), new(), new()
    root = certificate("Acme Root", root_key, ca=1)
    middle = certificate("Acme Issuing CA", middle_key, (root.subject, root_key), ca=0)
    below = (middle.subject, middle_key)
    sender = [x509.UniformResourceIdentifier("spiffe://sender.test/webhooks")]
    hooks = [x509.DNSName("hooks.acme.test"), x509.DNSName("localhost")]
    client_auth, server_auth = [ExtendedKeyUsageOID.CLIENT_AUTH], [ExtendedKeyUsageOID.SERVER_AUTH]
    client = certificate("webhook-sender", client_key, below, purposes=client_auth, names=sender)
    server = certificate("hooks.acme.test", server_key, below, purposes=server_auth, names=hooks)
    expired = certificate("webhook-sender", client_key, below, purposes=client_auth, end=EARLY)
    weak_key = rsa.generate_private_key(65537, 1024)
    weak = certificate("old.acme.test", weak_key, below, purposes=server_auth, names=hooks)
    edwards = ed25519.Ed25519PrivateKey.generate()
    modern = certificate("modern", edwards, names=sender)
    hostile = certificate("a\x1b[2J\u202etxt.exe", new(), below, names=[x509.DNSName("b.test")])
    wide = certificate(
        "*.acme.test", new(), below, names=[x509.DNSName(f"host-{n}.acme.test") for n in range(12)]
    )

    files = {
        "ca.pem": pem(root),
        "chain.pem": pem(client, middle),
        "client.key": key_pem(client_key),
        "client-encrypted.key": key_pem(client_key, PASSPHRASE),
        "crl.pem": pem(crl(middle.subject, middle_key, LATE, [expired.serial_number, 0x99])),
        "crl-outdated.pem": pem(crl(middle.subject, middle_key, EARLY, [])),
        "cut.pem": pem(client)[:300],
        "empty.pem": b"",
        "expired.pem": pem(expired),
        "hostile.pem": pem(hostile),
        "intermediate.pem": pem(middle),
        "modern.pem": pem(modern),
        "mixed.pem": pem(server, middle) + key_pem(server_key),
        "no-intermediate.pem": pem(client),
        "other.key": key_pem(root_key),
        "server.pem": pem(server, middle),
        "server.der": server.public_bytes(serialization.Encoding.DER),
        "server.key": key_pem(server_key),
        "weak.pem": pem(weak),
        "wide.pem": pem(wide),
        "client.p12": pkcs12.serialize_key_and_certificates(
            b"us", client_key, client, [middle], serialization.BestAvailableEncryption(PASSPHRASE)
        ),
        "passphrase.txt": PASSPHRASE + b"\n",
    }
    for file, content in files.items():
        (FILES / file).write_bytes(content)


if __name__ == "__main__":
    main()
