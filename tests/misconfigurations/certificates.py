"""The certificates of all cases, made with the openssl command: those of the sender, those of the
consumer, and those of a CA that is strange to both."""

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pki import BOOKS, pin_of
from server import CLOCK

AUTHORITY = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n"
LEAF = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, {usage}
authorityKeyIdentifier = keyid
subjectAltName = {names}
{purpose}
"""
NAME = "DNS:hooks.acme.test, DNS:localhost"
URI = "URI:spiffe://sender.test/webhooks"


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and the chain that its owner shows."""

    cert: Path
    key: Path
    chain: Path

    @property
    def pin(self) -> str:
        """Returns the pin of its key."""
        return pin_of(self.cert)


class Certificates:
    """Everything that is issued, below one directory."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self.home = home
        self._number = 1000
        self._keys()
        self._authorities()
        self._consumers()
        self._identities()
        self._lists()

    def _keys(self) -> None:
        for name in ("server", "client", "other"):
            self._key(name, "EC", "ec_paramgen_curve:P-256")
        self._key("small", "RSA", "rsa_keygen_bits:1024")
        self._key("rsa", "RSA", "rsa_keygen_bits:2048")

    def _key(self, name: str, algorithm: str, option: str) -> str:
        key = self.home / f"{name}.key"
        openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", key)
        openssl("pkey", "-in", key, "-pubout", "-out", self.home / f"{name}.pub")
        return name

    def _authorities(self) -> None:
        for owner in ("Acme", "Sender", "Other"):
            root = self.authority(f"{owner} Root")
            self.authority(f"{owner} Issuing CA", root)
        self.authority("Sender Deep CA", self.of("Sender Issuing CA"))
        self.authority("Sender Root 2027")
        self.authority("Acme Legacy CA", self.of("Acme Root"), digest="sha1")
        no_further = "basicConstraints = critical, CA:TRUE, pathlen:0\nkeyUsage = keyCertSign\n"
        self.authority("Acme Final CA", self.of("Acme Root"), extensions=no_further)
        self.authority("Acme Further CA", self.of("Acme Final CA"))
        fenced = AUTHORITY + "nameConstraints = critical, permitted;DNS:internal.acme.test\n"
        self.authority("Acme Fenced CA", self.of("Acme Root"), extensions=fenced)
        clients = AUTHORITY + "extendedKeyUsage = clientAuth\n"
        self.authority("Acme Clients CA", self.of("Acme Root"), extensions=clients)
        self.authority("Acme Old Root", begins=-40, days=30)
        self.authority("Acme Past Issuing CA", self.of("Acme Root"), begins=-40, days=30)
        # The same name, another key: a CA that was made again.
        self.authority("Acme Root", file="rekeyed")

    def _consumers(self) -> None:
        server = self.server
        server("good")
        server("no intermediate", shown=())
        server("wrong name", names="DNS:shop.acme.test")
        server("wildcard", names="DNS:*.acme.test")
        server("no names", names="email:it@acme.test")
        server("client purpose", purpose="clientAuth")
        server("expired", begins=-40, days=30)
        server("not yet valid", begins=3, days=30)
        server("new", days=30)
        server("sha1", digest="sha1")
        server("sha1 intermediate", issuer="Acme Legacy CA")
        server("small key", key="small")
        server("encipherment only", usage="keyEncipherment", key="rsa")
        server("strange extension", purpose="1.2.3.4 = critical, ASN1:NULL")
        server("too deep", issuer="Acme Further CA", shown=("Acme Further CA", "Acme Final CA"))
        server("outside", issuer="Acme Fenced CA")
        server("of clients", issuer="Acme Clients CA")
        server("past intermediate", issuer="Acme Past Issuing CA")
        server("other root", issuer="Other Issuing CA", shown=("Other Issuing CA", "Other Root"))
        server("rekeyed", issuer="rekeyed", shown=("rekeyed",))
        server("revoked")
        server("other key", key="other")
        server("authority", extensions=AUTHORITY + f"subjectAltName = {NAME}\n")
        extensions = LEAF.format(usage="digitalSignature", names=NAME, purpose="")
        extensions = extensions.replace("authorityKeyIdentifier = keyid\n", "")
        self._issue("self signed", "hooks.acme.test", None, extensions, "server", 30)

    def _identities(self) -> None:
        client = self.client
        client("ours")
        client("leaf only", shown=())
        client("wrong order")
        client("deep", issuer="Sender Deep CA", shown=("Sender Deep CA", "Sender Issuing CA"))
        client("stranger", issuer="Other Issuing CA")
        client("of the new root", issuer="Sender Root 2027")
        client("revoked")
        client("expired", begins=-40, days=30)
        client("ends soon", days=2)
        client("older", begins=-9)
        client("nearly over", begins=-9, days=10)
        client("not yet valid", begins=3, days=30)
        client("server purpose", purpose="serverAuth")
        client("encipherment only", usage="keyEncipherment", key="rsa")
        client("small key", key="small")
        client("authority", extensions=AUTHORITY)
        wrong = self.identity("wrong order")
        issuing = self.of("Sender Issuing CA").cert
        wrong.chain.write_bytes(issuing.read_bytes() + wrong.cert.read_bytes())

    def _lists(self) -> None:
        """Makes the CRLs: that of each CA by its name, an old one, and one to come."""
        for name, revoked in {
            "Sender Issuing CA": "client revoked",
            "Sender Root": None,
            "Acme Issuing CA": "server revoked",
            "Acme Root": None,
            "Other Issuing CA": None,
        }.items():
            self._crl(name, name, revoked)
        self._crl("old", "Acme Issuing CA", None, begins=-40)
        self._crl("to come", "Acme Issuing CA", None, begins=3)

    def of(self, name: str) -> Issued:
        """Returns what was issued under this name."""
        file = self.home / name
        return Issued(file.with_suffix(".crt"), self.home / f"{name}.key", file.with_suffix(".pem"))

    def crl(self, name: str) -> Path:
        """Returns the CRL with this name."""
        return self.home / f"{name}.crl"

    def shown_by(self, consumer: str) -> Issued:
        """Returns the certificate that a consumer shows, by the name of the fault."""
        return self.of(f"server {consumer}" if consumer != "self signed" else consumer)

    def identity(self, name: str) -> Issued:
        """Returns one of our identities, by the name of the fault."""
        return self.of(f"client {name}")

    def authority(
        self,
        name: str,
        issuer: Issued | None = None,
        *,
        file: str = "",
        digest: str = "sha256",
        extensions: str = AUTHORITY,
        begins: int = -10,
        days: int = 60,
    ) -> Issued:
        """Makes a CA with a key of its own."""
        key = self._key(f"ca of {file or name}", "EC", "ec_paramgen_curve:P-256")
        extensions += "subjectKeyIdentifier = hash\n"
        how = {"digest": digest, "begins": begins}
        return self._issue(file or name, name, issuer, extensions, key, days, **how)

    def server(
        self,
        name: str,
        *,
        issuer: str = "Acme Issuing CA",
        names: str = NAME,
        purpose: str = "serverAuth",
        shown: tuple[str, ...] | None = None,
        usage: str = "digitalSignature",
        key: str = "server",
        digest: str = "sha256",
        extensions: str | None = None,
        begins: int = 0,
        days: int = 30,
    ) -> None:
        """Makes the certificate of a consumer."""
        if extensions is None:
            purpose = f"extendedKeyUsage = {purpose}" if "=" not in purpose else purpose
            extensions = LEAF.format(usage=usage, names=names, purpose=purpose)
        made = self._issue(
            f"server {name}",
            "hooks.acme.test",
            self.of(issuer),
            extensions,
            key,
            days,
            digest=digest,
            begins=begins,
        )
        self._chain(made, (issuer,) if shown is None else shown)

    def client(
        self,
        name: str,
        *,
        issuer: str = "Sender Issuing CA",
        purpose: str = "clientAuth",
        shown: tuple[str, ...] | None = None,
        usage: str = "digitalSignature",
        key: str = "client",
        extensions: str | None = None,
        begins: int = 0,
        days: int = 30,
    ) -> None:
        """Makes a certificate of the sender."""
        if extensions is None:
            purpose = f"extendedKeyUsage = {purpose}"
            extensions = LEAF.format(usage=usage, names=URI, purpose=purpose)
        issuing = self.of(issuer)
        made = self._issue(
            f"client {name}", "webhook-sender", issuing, extensions, key, days, begins=begins
        )
        self._chain(made, (issuer,) if shown is None else shown)

    def _chain(self, made: Issued, shown: tuple[str, ...]) -> None:
        above = [self.of(name).cert.read_bytes() for name in shown]
        made.chain.write_bytes(b"".join([made.cert.read_bytes(), *above]))

    def _issue(
        self,
        file: str,
        subject: str,
        issuer: Issued | None,
        extensions: str,
        key: str,
        days: int,
        *,
        digest: str = "sha256",
        begins: int = 0,
    ) -> Issued:
        made = self.of(file)
        config = self.home / f"{file}.ext"
        config.write_text(extensions)
        source = self.home / f"{key}.key"
        made.key.write_bytes(source.read_bytes())
        made.key.chmod(0o600)
        self._number += 1
        by: list[str | Path] = ["-key", source]
        if issuer is not None:
            public = source.with_suffix(".pub")
            by = ["-force_pubkey", public, "-CA", issuer.cert, "-CAkey", issuer.key]
        by += ["-subj", f"/CN={subject}", "-set_serial", str(self._number), f"-{digest}"]
        by += ["-days", str(days), "-extfile", config, "-out", made.cert]
        openssl("x509", "-new", *by, shifted=begins)
        made.chain.write_bytes(made.cert.read_bytes())
        return made

    def _crl(self, file: str, issuer: str, revoked: str | None, begins: int = 0) -> None:
        books = self.home / f"{file}-books"
        books.mkdir()
        (books / "index.txt").write_text("")
        (books / "crlnumber").write_text("01\n")
        config = books / "books.cnf"
        config.write_text(BOOKS.format(home=str(books).replace(" ", "\\ "), days=20))
        by = ["-config", config, "-cert", self.of(issuer).cert, "-keyfile", self.of(issuer).key]
        if revoked is not None:
            openssl("ca", *by, "-revoke", self.of(revoked).cert)
        openssl("ca", *by, "-gencrl", "-out", self.crl(file), shifted=begins)


def openssl(*arguments: str | Path, given: bytes | None = None, shifted: int = 0) -> bytes:
    """Runs openssl on a clock that is shifted by this many days; returns its output."""
    environment = dict(os.environ)
    if shifted:
        environment |= {"LD_PRELOAD": str(CLOCK), "FAKETIME": f"{shifted:+d}d"}
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(
        command, check=False, input=given, capture_output=True, timeout=60, env=environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode()}")
    return done.stdout


def base64_of(data: bytes) -> bytes:
    """Encodes as a Kubernetes Secret does."""
    return base64.b64encode(data)
