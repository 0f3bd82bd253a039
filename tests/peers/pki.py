"""A private CA made with the openssl command, as a user would make one, without our code."""

import base64
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from server import CLOCK

DAYS = "2"

SIGNS = "digitalSignature"

AUTHORITY = """\
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

LEAF = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, {usage}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
extendedKeyUsage = {purpose}
subjectAltName = {names}
"""


@dataclass(frozen=True)
class Issuer:
    """A certificate that signs, and its key."""

    cert: Path
    key: Path


# The database of `openssl ca`, which it needs to make a CRL.
BOOKS = """\
[ca]
default_ca = books
[books]
database = {home}/index.txt
crlnumber = {home}/crlnumber
default_md = sha256
default_crl_days = {days}
"""


@dataclass(frozen=True)
class Pki:
    """Root -> intermediate -> server and client leaves, and a client of an untrusted CA.

    Each leaf is a directory with `tls.crt` (leaf, then intermediate), `tls.key` and `ca.pem` (the
    root of the servers). The other client leaves differ from `ours` in one property: the issuer
    (`elsewhere`, a root), revocation, a key that may not sign, or the purpose of a server.
    `crl` is the CRL of the intermediate; `crls` also contains that of the root, or is None: then a
    server checks no CRL.
    """

    root: Path
    crl: Path
    crls: Path | None
    server: Path
    ours: Path
    stranger: Path
    elsewhere: Path
    revoked: Path
    no_signing: Path
    for_servers: Path
    server_pin: str

    @staticmethod
    def make(home: Path) -> "Pki":
        """Makes all of it below `home`."""
        home.mkdir(parents=True)
        root = authority(home, "root", None)
        issuing = authority(home, "issuing", root)
        elsewhere = authority(home, "elsewhere", None)
        names = "IP:127.0.0.1, DNS:localhost, DNS:*.consumer.example"
        server = leaf(home, "server", issuing, "serverAuth", names, root)

        def client(name: str, issuer: Issuer, purpose: str, usage: str) -> Path:
            uri = "URI:spiffe://corp/tenant/dispatcher"
            return leaf(home, name, issuer, purpose, uri, root, usage=usage)

        revoked = client("revoked", issuing, "clientAuth", SIGNS)
        of_issuing, of_root = crl(home, "issuing", issuing, revoked), crl(home, "root", root, None)
        both = home / "both.crl"
        both.write_bytes(of_issuing.read_bytes() + of_root.read_bytes())
        return Pki(
            root=root.cert,
            crl=of_issuing,
            crls=both,
            server=server,
            ours=client("ours", issuing, "clientAuth", SIGNS),
            stranger=client("stranger", elsewhere, "clientAuth", SIGNS),
            elsewhere=elsewhere.cert,
            revoked=revoked,
            no_signing=client("no_signing", issuing, "clientAuth", "keyEncipherment"),
            for_servers=client("for_servers", issuing, "serverAuth", SIGNS),
            server_pin=pin_of(server / "tls.crt"),
        )


def authority(home: Path, name: str, issuer: Issuer | None) -> Issuer:
    """Makes a CA, self-signed or issued by another CA."""
    made = Issuer(home / f"{name}.crt", home / f"{name}.key")
    sign(home, name, f"/CN=peers {name}", AUTHORITY, issuer, made)
    return made


def leaf(
    home: Path,
    name: str,
    issuer: Issuer,
    purpose: str,
    names: str,
    root: Issuer,
    *,
    usage: str = SIGNS,
    begins: int = 0,
) -> Path:
    """Makes a directory with a leaf, its key, and the root that the other side uses.

    `begins`: the days from now to its first one.
    """
    directory = home / name
    directory.mkdir()
    made = Issuer(directory / "leaf.crt", directory / "tls.key")
    extensions = LEAF.format(purpose=purpose, names=names, usage=usage)
    sign(home, name, f"/CN={name}", extensions, issuer, made, begins)
    made.key.chmod(0o600)
    (directory / "tls.crt").write_bytes(made.cert.read_bytes() + issuer.cert.read_bytes())
    (directory / "ca.pem").write_bytes(root.cert.read_bytes())
    return directory


def crl(home: Path, name: str, issuer: Issuer, revoked: Path | None) -> Path:
    """Makes the issuer's CRL, with one certificate or none."""
    books = home / f"{name}-books"
    books.mkdir()
    (books / "index.txt").write_text("")
    (books / "crlnumber").write_text("01\n")
    config, made = books / "books.cnf", home / f"{name}.crl"
    config.write_text(BOOKS.format(home=books, days=DAYS))
    by: list[str | Path] = ["-config", config, "-cert", issuer.cert, "-keyfile", issuer.key]
    if revoked is not None:
        run("ca", *by, "-revoke", revoked / "leaf.crt")
    run("ca", *by, "-gencrl", "-out", made)
    return made


def sign(
    home: Path,
    name: str,
    subject: str,
    extensions: str,
    issuer: Issuer | None,
    to: Issuer,
    begins: int = 0,
) -> None:
    """Makes a P-256 key and its certificate."""
    request, config = home / f"{name}.csr", home / f"{name}.ext"
    config.write_text(extensions)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("req", "-new", *curve, "-subj", subject, "-keyout", to.key, "-out", request)
    by: list[str | Path]
    by = ["-signkey", to.key] if issuer is None else ["-CA", issuer.cert, "-CAkey", issuer.key]
    common: list[str | Path] = ["-sha256", "-days", DAYS, "-set_serial", str(serial(name))]
    common += ["-extfile", config]
    run("x509", "-req", "-in", request, *by, *common, "-out", to.cert, shifted=begins)


def serial(name: str) -> int:
    """Returns a positive, unique number for each certificate."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) | 1


def pin_of(cert: Path) -> str:
    """Computes the pin as RFC 7469 defines it, without our code."""
    public = run("x509", "-in", cert, "-pubkey", "-noout")
    der = run("pkey", "-pubin", "-outform", "DER", given=public)
    return "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def run(*arguments: str | Path, given: bytes | None = None, shifted: int = 0) -> bytes:
    """Runs openssl on a clock that is shifted by this many days; returns its output."""
    command = ["openssl", *map(str, arguments)]
    environment = dict(os.environ)
    if shifted:
        environment |= {"LD_PRELOAD": str(CLOCK), "FAKETIME": f"{shifted:+d}d"}
    done = subprocess.run(
        command, check=False, input=given, capture_output=True, timeout=60, env=environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode()}")
    return done.stdout
