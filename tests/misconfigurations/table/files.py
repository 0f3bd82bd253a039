"""Files of certificates, keys, bundles and CRLs that are missing, mangled or another thing."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from certificates import base64_of, openssl
from lab import Case, Lab
from pip._vendor import certifi
from said import Said, ours

import webhook_mtls as wm

OURS = "client ours"
ROOT = "Acme Root"
NO_PATH = ("complete PEM blocks",)


def cert(name: str, made: Callable[[Lab], bytes | None]) -> Callable[[Lab], object]:
    """Loads an identity whose certificate file has this content."""
    return lambda lab: wm.Identity.from_files(
        lab.file(name, made(lab)), lab.file("good.key", lab.key(OURS))
    )


def key(name: str, made: Callable[[Lab], bytes | None]) -> Callable[[Lab], object]:
    """Loads an identity whose key file has this content."""
    return lambda lab: wm.Identity.from_files(
        lab.file("good.crt", lab.pem(OURS)), lab.file(name, made(lab))
    )


def bundle(name: str, made: Callable[[Lab], bytes | None]) -> Callable[[Lab], object]:
    """Loads a trust whose bundle has this content."""
    return lambda lab: wm.Trust.from_files(lab.file(name, made(lab)))


def served(name: str, made: Callable[[Lab], bytes | None]) -> Callable[[Lab], object]:
    """Makes a dispatcher with a trust whose bundle has this content."""
    return lambda lab: wm.Dispatcher(identity=lab.identity(), trust=bundle(name, made)(lab))


def crl(name: str, made: Callable[[Lab], bytes | None]) -> Callable[[Lab], object]:
    """Loads a trust whose CRL file has this content."""
    return lambda lab: lab.trust(crls=lab.file(name, made(lab)))


def identity_fault(file: str) -> Said:
    """Returns the verdict on a file of an identity, which the message must name."""
    return ours("pem_invalid").naming(file.replace(".", r"\."))


def trust_fault(file: str) -> Said:
    """Returns the verdict on a file of a trust, which the message must name."""
    return ours("pem_invalid", "").naming(file.replace(".", r"\."))


def half(data: bytes) -> bytes:
    """Cuts off in the middle of the first block."""
    return data[: data.index(b"-----END") // 2]


def pkcs12(lab: Lab) -> bytes:
    """Exports our identity as a PKCS#12 file."""
    made = lab.certificates.of(OURS)
    by = ["-in", made.chain, "-inkey", made.key, "-passout", "pass:secret"]
    return openssl("pkcs12", "-export", *by)


def pkcs7(lab: Lab, form: str = "DER") -> bytes:
    """Exports the root as a certificate collection of Windows."""
    file = lab.certificates.of(ROOT).cert
    return openssl("crl2pkcs7", "-nocrl", "-certfile", file, "-outform", form)


def request(lab: Lab) -> bytes:
    """Makes a certificate signing request."""
    by = ["-key", lab.certificates.of(OURS).key, "-subj", "/CN=webhook-sender"]
    return openssl("req", "-new", *by)


def encrypted(lab: Lab) -> bytes:
    """Encrypts our key."""
    by = ["-in", lab.certificates.of(OURS).key, "-passout", "pass:secret"]
    return openssl("pkcs8", "-topk8", *by)


def unreadable(lab: Lab) -> object:
    """Loads a key that another user owns. Files of root are not readable for this user."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "open.crt"), Path(folder, "of-root.key")
        cert.write_bytes(lab.pem(OURS))
        key.write_bytes(lab.key(OURS))
        key.chmod(0o600)
        Path(folder).chmod(0o755)
        os.seteuid(65534)
        try:
            return wm.Identity.from_files(cert, key)
        finally:
            os.seteuid(0)


def a_directory(lab: Lab) -> object:
    """Loads a mounted folder instead of the file in it."""
    folder = lab.file("mounted")
    folder.mkdir(exist_ok=True)
    return wm.Identity.from_files(folder, lab.certificates.of(OURS).key)


def a_broken_link(lab: Lab) -> object:
    """Loads a link into a volume that is not mounted."""
    link = lab.file("linked.crt")
    if not link.is_symlink():
        link.symlink_to("..data/tls.crt")
    return wm.Identity.from_files(link, lab.certificates.of(OURS).key)


def a_pipe(lab: Lab) -> object:
    """Loads a named pipe."""
    pipe = lab.file("pipe.crt")
    if not pipe.exists():
        os.mkfifo(pipe)
    return wm.Identity.from_files(pipe, lab.certificates.of(OURS).key)


# Text that was changed on its way has one reading, and is read.
LOADED = Said("Identity").naming("CN=webhook-sender")
MOUNT = ("create|mount|exist", "path|file")
CUT = ("cut off|incomplete|ends within|still being written|truncated",)
PEM = (r"PEM",)

CASES = [
    Case(
        "certificate missing",
        "the certificate's file does not exist",
        cert("missing.crt", lambda _: None),
        identity_fault("missing.crt").naming("exist|no such file").curing(*MOUNT).without(*NO_PATH),
    ),
    Case(
        "key missing",
        "the key's file does not exist",
        key("missing.key", lambda _: None),
        identity_fault("missing.key").naming("exist|no such file").curing(*MOUNT).without(*NO_PATH),
    ),
    Case(
        "bundle missing",
        "the bundle's file does not exist",
        bundle("missing-ca.pem", lambda _: None),
        trust_fault("missing-ca.pem").naming("exist|no such file").curing(*MOUNT).without(*NO_PATH),
    ),
    Case(
        "crl missing",
        "the CRL's file does not exist",
        crl("missing.crl", lambda _: None),
        trust_fault("missing.crl").naming("exist|no such file").curing(*MOUNT).without(*NO_PATH),
    ),
    Case(
        "pins missing",
        "the file of the pins does not exist",
        lambda lab: wm.Pins.from_file(lab.file("missing.pins")),
        ours("pem_invalid|pin_invalid", "")
        .naming(r"missing\.pins", "exist|no such file")
        .curing(*MOUNT)
        .without(*NO_PATH),
    ),
    Case(
        "link broken",
        "the certificate is a link into a volume that is not mounted",
        a_broken_link,
        identity_fault("linked.crt").naming("exist|no such file").curing(*MOUNT).without(*NO_PATH),
    ),
    Case(
        "variable not expanded",
        "the path is a variable that nothing has expanded",
        lambda lab: wm.Identity.from_files(
            "/etc/${SERVICE}/tls.crt", lab.certificates.of(OURS).key
        ),
        identity_fault("SERVICE").naming("exist|no such file").curing(*MOUNT).without(*NO_PATH),
    ),
    Case(
        "key unreadable",
        "another user owns the key's file",
        unreadable,
        identity_fault("of-root.key")
        .naming("permission|not allowed|read")
        .curing("mode|owner|group|user|permission")
        .without(*NO_PATH),
    ),
    Case(
        "directory",
        "a folder is given as the certificate",
        a_directory,
        identity_fault("mounted")
        .naming("director|folder")
        .curing("file in|path of|file")
        .without(*NO_PATH),
    ),
    Case(
        "pipe",
        "a named pipe is given as the certificate",
        a_pipe,
        identity_fault("pipe.crt").naming("regular file").curing("file|from_pem").without(*NO_PATH),
    ),
    Case(
        "certificate empty",
        "the certificate's file is empty",
        cert("empty.crt", lambda _: b""),
        identity_fault("empty.crt").naming("empty").curing("supply|write|mount|fill"),
    ),
    Case(
        "key empty",
        "the key's file is empty",
        key("empty.key", lambda _: b""),
        identity_fault("empty.key").naming("empty").curing("supply|write|mount|fill"),
    ),
    Case(
        "bundle empty",
        "the bundle is empty",
        bundle("empty-ca.pem", lambda _: b"\n"),
        trust_fault("empty-ca.pem")
        .but(kind="trust_invalid|pem_invalid")
        .naming("empty|no certificate")
        .curing("write|mount|CA|check"),
    ),
    Case(
        "certificate cut off",
        "the certificate's file is half written",
        cert("half.crt", lambda lab: half(lab.pem(OURS))),
        identity_fault("half.crt").naming(*CUT).curing("whole|complete|again|renam|copy"),
    ),
    Case(
        "key cut off",
        "the key's file is half written",
        key("half.key", lambda lab: half(lab.key(OURS))),
        identity_fault("half.key").naming(*CUT).curing("whole|complete|again|renam|copy"),
    ),
    Case(
        "bundle cut off",
        "the bundle is half written",
        bundle("half-ca.pem", lambda lab: half(lab.pem(ROOT))),
        trust_fault("half-ca.pem").naming(*CUT).curing("whole|complete|again|renam|copy"),
    ),
    Case(
        "swapped",
        "certificate and key are swapped",
        lambda lab: wm.Identity.from_files(
            lab.file("swapped.crt", lab.key(OURS)), lab.file("swapped.key", lab.pem(OURS))
        ),
        identity_fault("swapped.crt").naming("private key").curing("swap|exchange|order"),
    ),
    Case(
        "pkcs12 as pem",
        "a PKCS#12 file is given as the certificate",
        cert("identity.p12", pkcs12),
        identity_fault("identity.p12").naming("PKCS ?#?12").curing("from_pkcs12|openssl pkcs12"),
    ),
    Case(
        "pkcs12 as key",
        "a PKCS#12 file is given as the key",
        key("key.p12", pkcs12),
        identity_fault("key.p12").naming("PKCS ?#?12").curing("from_pkcs12|openssl pkcs12"),
    ),
    Case(
        "pkcs7 der",
        "the bundle is a certificate collection (.p7b)",
        bundle("ca.p7b", pkcs7),
        trust_fault("ca.p7b").naming("PKCS ?#?7").curing("openssl pkcs7"),
    ),
    Case(
        "pkcs7 pem",
        "the bundle is a certificate collection in PEM",
        bundle("ca-pem.p7b", lambda lab: pkcs7(lab, "PEM")),
        trust_fault("ca-pem.p7b").naming("PKCS ?#?7").curing("openssl pkcs7"),
    ),
    Case(
        "escaped newlines",
        r"the lines of the key end in \n as two characters",
        key("escaped.key", lambda lab: lab.key(OURS).replace(b"\n", rb"\n")),
        LOADED,
    ),
    Case(
        "one line",
        "the certificate is on one line",
        cert("one-line.crt", lambda lab: lab.pem(OURS).replace(b"\n", b"")),
        LOADED,
    ),
    Case(
        "spaces for newlines",
        "spaces have replaced the newlines of the certificate",
        cert("spaces.crt", lambda lab: lab.pem(OURS).replace(b"\n", b" ")),
        LOADED,
    ),
    Case(
        "base64 twice",
        "the certificate is encoded once more, as in a Kubernetes Secret",
        cert("secret.crt", lambda lab: base64_of(lab.pem(OURS))),
        LOADED,
    ),
    Case(
        "in quotes",
        "the certificate stands in quotes",
        cert("quoted.crt", lambda lab: b'"' + lab.pem(OURS).replace(b"\n", rb"\n") + b'"'),
        LOADED,
    ),
    Case(
        "utf-16",
        "the certificate was written by a shell that writes UTF-16",
        cert("utf16.crt", lambda lab: lab.pem(OURS).decode().encode("utf-16")),
        LOADED,
    ),
    Case(
        "html",
        "the bundle is the login page of the server that it was downloaded from",
        bundle("page.pem", lambda _: b"<!DOCTYPE html><html><body>Log in</body></html>"),
        trust_fault("page.pem").naming("HTML|web page").curing("download|PEM|again"),
    ),
    Case(
        "path as content",
        "a path is given where the content is expected",
        lambda _: wm.Trust.from_pem(b"/etc/acme/ca.pem"),
        ours("pem_invalid", "").naming("path").curing("from_files"),
    ),
    Case(
        "content as path",
        "the content is given where a path is expected",
        lambda lab: wm.Identity.from_files(lab.pem(OURS).decode(), "tls.key"),
        ours("pem_invalid").naming("PEM").curing("from_pem|Give the path").without("MII"),
    ),
    Case(
        "request as certificate",
        "the file holds the request for a certificate",
        cert("tls.csr", request),
        identity_fault("tls.csr").naming("request").curing("CA|issue|sign"),
    ),
    Case(
        "public key as key",
        "the file holds the public key",
        key(
            "public.key",
            lambda lab: openssl("pkey", "-in", lab.certificates.of(OURS).key, "-pubout"),
        ),
        identity_fault("public.key").naming("public key").curing("private key"),
    ),
    Case(
        "certificate as key",
        "the certificate is given twice",
        key("tls.crt", lambda lab: lab.pem(OURS)),
        identity_fault("tls.crt").naming("certificate").curing("private key"),
    ),
    Case(
        "ssh key",
        "the key has the format of OpenSSH",
        key(
            "id_ecdsa",
            lambda _: (
                b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n"
                b"-----END OPENSSH PRIVATE KEY-----\n"
            ),
        ),
        identity_fault("id_ecdsa").naming("OPENSSH").curing("ssh-keygen|openssl|PKCS ?#?8"),
    ),
    Case(
        "key encrypted",
        "the key is encrypted and no passphrase is given",
        key("encrypted.key", encrypted),
        ours("key_encrypted").naming("encrypted").curing("passphrase"),
    ),
    Case(
        "wrong passphrase",
        "the passphrase of the key is wrong",
        lambda lab: wm.Identity.from_files(
            lab.certificates.of(OURS).chain,
            lab.file("encrypted.key", encrypted(lab)),
            passphrase=b"wrong",
        ),
        ours("key_encrypted").naming("passphrase|wrong").curing("passphrase").without("wrong-"),
    ),
    Case(
        "wrong passphrase of pkcs12",
        "the passphrase of the PKCS#12 file is wrong",
        lambda lab: wm.Identity.from_pkcs12(pkcs12(lab), b"wrong"),
        ours("key_encrypted|pem_invalid").naming("passphrase").curing("passphrase"),
    ),
    Case(
        "key of another certificate",
        "the key belongs to another certificate",
        key("another.key", lambda lab: lab.key("server other key")),
        ours("key_mismatch").naming("CN=webhook-sender", "does not belong").curing("belong|key"),
    ),
    Case(
        "trust is a key",
        "the path of the key is given as the bundle",
        bundle("cl.key", lambda lab: lab.key(OURS)),
        trust_fault("cl.key").naming("private key").curing("CA|certificate"),
    ),
    Case(
        "trust is a crl",
        "the bundle is a CRL",
        bundle("list.pem", lambda lab: lab.certificates.crl("Acme Root").read_bytes()),
        trust_fault("list.pem").naming("CRL").curing("CA|certificate|crls"),
    ),
    Case(
        "crl is a certificate",
        "the CRL is a certificate",
        crl("crl.pem", lambda lab: lab.pem(ROOT)),
        trust_fault("crl.pem").naming("certificate").curing("CRL"),
    ),
    Case(
        "trust is a leaf",
        "the bundle is the consumer's certificate",
        bundle("leaf-ca.pem", lambda lab: lab.certificates.of("server good").cert.read_bytes()),
        ours("trust_invalid", "endpoint")
        .naming("CN=hooks.acme.test", "no CA|not a CA|is no CA|CA:FALSE")
        .curing("CA"),
    ),
    Case(
        "anchor expired",
        "the only CA of the bundle has expired",
        served("old-ca.pem", lambda lab: lab.pem("Acme Old Root")),
        ours("trust_invalid", "endpoint")
        .naming("CN=Acme Old Root", r"expired on 20\d\d-")
        .curing("current"),
    ),
    Case(
        "public bundle",
        "the bundle holds the roots of the web",
        lambda _: wm.Trust.from_files(certifi.where()),
        ours("public_root_in_trust", "endpoint")
        .naming("CN=|public")
        .curing("private CA|remove", "dangerous_public|private"),
    ),
    Case(
        "too large",
        "the bundle is a log of 2 MiB",
        bundle("large.pem", lambda _: b"x" * (2 << 20)),
        trust_fault("large.pem").naming("limit|exceed").curing("CA|file|PEM"),
    ),
]
