"""Makes the keys, certificates, CRLs and encrypted keys of the vectors, always with equal bytes.

Every key is derived from its label and every signature is deterministic (RFC 6979 for ECDSA), or
kept (`signatures.py`, for ML-DSA). A second run of the generator therefore changes no byte, and a
reviewer can check that a committed file is the generator's output. This file encodes the
certificate body instead of `cryptography`'s builder, because the vectors need forms that the
builder rightly refuses: version 1, a foreign signature, an issuer without CA:TRUE. Extension values
and names come from `cryptography`.

The keys can be derived by any reader of this file. They have no value, and must never be used for
anything else.
"""

import base64
import datetime as dt
import hashlib
import hmac
import itertools
import math
from dataclasses import dataclass
from functools import cache

import signatures
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING


def day(year, month=1, date=1, hour=0, minute=0, second=0):
    """Returns an instant in UTC."""
    return dt.datetime(year, month, date, hour, minute, second, tzinfo=dt.UTC)


LONG_AGO, LONG_AGO_END = day(2000), day(2001)
FROM, UNTIL = day(2020), day(2120)


# Keys --------------------------------------------------------------------------------------------

CURVES = {
    "p192": ec.SECP192R1(),
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "k256": ec.SECP256K1(),
    "brainpool256": ec.BrainpoolP256R1(),
}
ML_DSA = {
    "mldsa44": ("17", mldsa.MLDSA44PrivateKey),
    "mldsa65": ("18", mldsa.MLDSA65PrivateKey),
    "mldsa87": ("19", mldsa.MLDSA87PrivateKey),
}


@dataclass(frozen=True)
class PssKey:
    """An RSA key that only signs with PSS: the type id-RSASSA-PSS (RFC 4055 section 1.2)."""

    rsa: rsa.RSAPrivateKey

    def restricted(self, der):
        """Replaces the algorithm in the DER of a public or private key."""
        usual = sequence(oid("1.2.840.113549.1.1.1"), NULL)
        restricted = sequence(oid("1.2.840.113549.1.1.10"))
        assert der.count(usual) == 1
        # The outer SEQUENCE has a length of two bytes, as every RSA key of 2048 bits.
        return sequence(der[4:].replace(usual, restricted))

    def public_key(self):
        return self.rsa.public_key()

    def private_bytes(self, encoding, form, encryption):
        assert encoding == serialization.Encoding.DER
        return self.restricted(self.rsa.private_bytes(encoding, form, encryption))


@cache
def key(label, kind="p256"):
    """Returns a label's private key.

    `kind` is a curve of CURVES, a key of ML_DSA, `ed25519`, `ed448`, `rsa<bits>[e3]` or
    `rsapss2048`.
    """
    seed = f"webhook-mtls vectors: {kind}: {label}".encode()
    if kind in CURVES:
        # One byte short of the curve's size, so that the scalar is always below the group order.
        size = CURVES[kind].key_size // 8 - 1
        scalar = int.from_bytes(hashlib.shake_256(seed).digest(size), "big")
        return ec.derive_private_key(scalar, CURVES[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
    if kind == "ed448":
        return ed448.Ed448PrivateKey.from_private_bytes(hashlib.shake_256(seed).digest(57))
    if kind in ML_DSA:
        return ML_DSA[kind][1].from_seed_bytes(hashlib.sha256(seed).digest())
    if kind == "rsapss2048":
        return PssKey(_rsa_key(seed, 2048, 65537))
    exponent = 3 if kind.endswith("e3") else 65537
    return _rsa_key(seed, int(kind.removeprefix("rsa").removesuffix("e3")), exponent)


def _rsa_key(seed, bits, e):
    p, q = (_prime(seed + bytes([which]), bits // 2, e) for which in (1, 2))
    p, q = max(p, q), min(p, q)
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key()


def _prime(seed, bits, e):
    """Returns the first prime from a number derived from `seed`, with its two highest bits set."""
    number = int.from_bytes(hashlib.shake_256(seed).digest(bits // 8), "big")
    number |= (3 << (bits - 2)) | 1
    while not (_is_prime(number) and math.gcd(number - 1, e) == 1):
        number += 2
    return number


SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, n, 2))]


def _is_prime(number):
    if any(number % small == 0 for small in SMALL_PRIMES):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, *SMALL_PRIMES[:15]):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = pow(power, 2, number)
            if power == number - 1:
                break
        else:
            return False
    return True


def key_pem(private, form="PKCS8"):
    """Returns the key as PEM: `PKCS8`, or `TraditionalOpenSSL` for PKCS#1 and SEC1."""
    if isinstance(private, PssKey):
        plain = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
        return pem("PRIVATE KEY", private.private_bytes(*plain, serialization.NoEncryption()))
    return private.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    ).decode()


# Of the key derivation of an encrypted key.
SALT, ROUNDS = bytes(range(16)), 2048


def encrypted_key_pem(private, passphrase, claimed="2.16.840.1.101.3.4.1.42"):
    """PKCS#8 under PBES2 (PBKDF2 with HMAC-SHA-256, AES-256-CBC), with a fixed salt and IV.

    `claimed` is the OID of the cipher that the file names.
    """
    plain = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    iv = bytes(range(16, 32))
    secret = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), SALT, ROUNDS, 32)
    filler = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(iv)).encryptor()
    hidden = encryptor.update(plain + bytes([filler]) * filler) + encryptor.finalize()
    prf = sequence(oid("1.2.840.113549.2.9"), NULL)
    derivation = sequence(
        oid("1.2.840.113549.1.5.12"), sequence(octets(SALT), integer(ROUNDS), prf)
    )
    cipher = sequence(oid(claimed), octets(iv))
    scheme = sequence(oid("1.2.840.113549.1.5.13"), sequence(derivation, cipher))
    return pem("ENCRYPTED PRIVATE KEY", sequence(scheme, octets(hidden)))


def padded_passphrase(locked):
    """Returns a wrong passphrase whose noise ends in a valid padding, as for one of 256.

    `locked` is what `encrypted_key_pem` returned.
    """
    ciphertext = base64.b64decode("".join(locked.splitlines()[1:-1]))
    before, last = ciphertext[-32:-16], ciphertext[-16:]

    def is_padded(passphrase):
        secret = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), SALT, ROUNDS, 32)
        decryptor = Cipher(algorithms.AES(secret), modes.CBC(before)).decryptor()
        return decryptor.update(last)[-1] == 1

    return next(filter(is_padded, (f"wrong {number}" for number in itertools.count())))


def pkcs12(private, certificates, passphrase, *, mac=True, rounds=2048, pbmac1=None):
    """Returns a PKCS#12 file (RFC 7292): keys and certificates in clear, under a MAC with SHA-256.

    `private` is a key, or several. With `mac` False the file has no MAC. `rounds` is the number of
    key derivation rounds of the MAC, or the number that the file claims. With `pbmac1`, the name of
    a hash, the MAC is PBMAC1 (RFC 9579).
    """
    data = "1.2.840.113549.1.7.1"
    keys = private if isinstance(private, list) else [private]

    def bag(number, content):
        return sequence(oid(f"1.2.840.113549.1.12.10.1.{number}"), tagged(0, content))

    plain = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    bags = [bag(1, each.private_bytes(*plain, serialization.NoEncryption())) for each in keys]
    for each in certificates:
        x509_certificate = oid("1.2.840.113549.1.9.22.1"), tagged(0, octets(each.der))
        bags.append(bag(3, sequence(*x509_certificate)))
    safe = sequence(oid(data), tagged(0, octets(sequence(*bags))))
    content = sequence(safe)
    salt = bytes(range(8))
    parts = [integer(3), sequence(oid(data), tagged(0, octets(content)))]
    if pbmac1:
        parts.append(_pbmac1(content, passphrase, salt, rounds, pbmac1))
    elif mac:
        secret = _pkcs12_mac_key(passphrase, salt, min(rounds, 2048))
        digest = hmac.digest(secret, content, "sha256")
        algorithm = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL)
        parts.append(sequence(sequence(algorithm, octets(digest)), octets(salt), integer(rounds)))
    return sequence(*parts)


HMAC = {"sha1": 7, "sha256": 9, "sha384": 10, "sha512": 11}


def _pbmac1(content, passphrase, salt, rounds, name):
    """The MacData of RFC 9579: PBKDF2 and HMAC with the same hash."""
    size = hashlib.new(name).digest_size
    secret = hashlib.pbkdf2_hmac(name, passphrase.encode(), salt, min(rounds, 2048), size)
    scheme = sequence(oid(f"1.2.840.113549.2.{HMAC[name]}"), NULL)
    derivation = sequence(octets(salt), integer(rounds), integer(size), scheme)
    both = sequence(sequence(oid("1.2.840.113549.1.5.12"), derivation), scheme)
    algorithm = sequence(oid("1.2.840.113549.1.5.14"), both)
    digest = hmac.digest(secret, content, name)
    return sequence(sequence(algorithm, octets(digest)), octets(b"NOT USED"), integer(1))


def indefinite(der, part=100):
    """Returns DER as NSS writes it: BER with indefinite lengths, and strings in parts."""
    elements, rest = b"", der
    while rest:
        tag, head, size = rest[0], 2, rest[1]
        if size > 0x80:
            head = 2 + (size & 0x7F)
            size = int.from_bytes(rest[2:head], "big")
        content, rest = rest[head : head + size], rest[head + size :]
        if tag & 0x20:
            elements += bytes([tag, 0x80]) + indefinite(content, part) + bytes(2)
        elif tag == 0x04 and size > part:
            parts = (octets(content[at : at + part]) for at in range(0, size, part))
            elements += bytes([0x24, 0x80]) + b"".join(parts) + bytes(2)
        else:
            elements += value(tag, content)
    return elements


def _pkcs12_mac_key(passphrase, salt, rounds):
    """RFC 7292 appendix B.2, for one block of SHA-256."""

    def filled(text):
        return (text * 64)[: -(-len(text) // 64) * 64]

    secret = b"\x03" * 64 + filled(salt) + filled((passphrase + "\0").encode("utf-16-be"))
    for _ in range(rounds):
        secret = hashlib.sha256(secret).digest()
    return secret


def pem(label, der):
    """Returns one PEM block with lines of 64 characters."""
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


# Certificates ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, so that it can issue others."""

    der: bytes
    name: x509.Name
    key: object
    serial: int

    @property
    def pem(self):
        return pem("CERTIFICATE", self.der)

    @property
    def subject(self):
        """The subject as contexts of the vectors show it: one CN, so that no order matters."""
        (common_name,) = self.name
        return f"CN={common_name.value}"

    @property
    def spki_pin(self):
        return "sha256/" + _digest(spki(self.key))

    @property
    def fingerprint_pin(self):
        return "cert-sha256/" + _digest(self.der)

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()

    @property
    def x5t_s256(self):
        digest = hashlib.sha256(self.der).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _digest(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def spki(private):
    """Returns the DER SubjectPublicKeyInfo of a private key."""
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.restricted(public) if isinstance(private, PssKey) else public


def key_id(private):
    """Returns the SubjectKeyIdentifier value of a key."""
    return x509.SubjectKeyIdentifier.from_public_key(private.public_key()).digest


def mint(
    subject,
    private,
    issuer=None,
    *,
    valid=(FROM, UNTIL),
    ca=None,
    path_length=None,
    usage=(),
    purposes=(),
    sans=(),
    constraints=None,
    serial=None,
    version=3,
    subject_key_id=None,
    authority_key_id="issuer",
    extra=(),
    digest=None,
    corrupt=False,
    signer=None,
):
    """Returns a certificate for `subject` (a CN, or attributes), self-signed without an issuer.

    `ca` None omits basicConstraints. Empty `usage` and `purposes` omit those extensions.
    `subject_key_id` replaces that of the key. `authority_key_id` is "issuer", None (omitted) or
    bytes. `signer` is a key that replaces the issuer's key, `corrupt` flips a bit of the signature,
    `digest` replaces the usual hash.
    """
    name = _name(subject)
    issuer_name = issuer.name if issuer else name
    issuer_key = signer or (issuer.key if issuer else private)
    extensions = []
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca=ca, path_length=path_length), True))
    if usage:
        extensions.append((_key_usage(usage), True))
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    if sans:
        extensions.append((x509.SubjectAlternativeName(sans), len(name.rdns) == 0))
    if constraints:
        extensions.append((constraints, True))
    if version == 3:
        value = subject_key_id or key_id(private)
        extensions.append((x509.SubjectKeyIdentifier(value), False))
    if authority_key_id is not None and issuer:
        value = key_id(issuer.key) if authority_key_id == "issuer" else authority_key_id
        extensions.append((x509.AuthorityKeyIdentifier(value, None, None), False))
    encoded = [
        extension(e.oid.dotted_string, e.public_bytes(), critical) for e, critical in extensions
    ]
    encoded += extra

    algorithm = _algorithm(issuer_key, digest)
    rest = b"".join(
        [
            algorithm,
            issuer_name.public_bytes(),
            sequence(*(moment(instant) for instant in valid)),
            name.public_bytes(),
            spki(private),
            tagged(3, sequence(*encoded)) if encoded else b"",
        ]
    )
    if serial is None:
        serial = int.from_bytes(hashlib.sha256(rest).digest()[:8], "big") >> 2 | 1 << 60
    body = sequence(tagged(0, integer(version - 1)) if version > 1 else b"", integer(serial), rest)
    return Certificate(_signed(body, algorithm, issuer_key, digest, corrupt), name, private, serial)


def authority(subject, private, issuer=None, **options):
    """Returns a CA certificate in the usual form of a private CA; options as in `mint`."""
    return mint(
        subject, private, issuer, **{"ca": True, "usage": ("key_cert_sign", "crl_sign"), **options}
    )


def dns(*names):
    return [x509.DNSName(name) for name in names]


def uri(*names):
    return [x509.UniformResourceIdentifier(name) for name in names]


def extension(dotted, value, critical=False):
    """Encodes one extension. For those without a class in `cryptography`."""
    return sequence(oid(dotted), b"\x01\x01\xff" if critical else b"", octets(value))


def _name(subject):
    if isinstance(subject, x509.Name):
        return subject
    if isinstance(subject, str):
        subject = [(NameOID.COMMON_NAME, subject)]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in subject])


def _key_usage(usage):
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    ).split()
    assert set(usage) <= set(every), usage
    return x509.KeyUsage(**{each: each in usage for each in every})


# CRLs --------------------------------------------------------------------------------------------


def crl(
    issuer,
    revoked,
    number,
    *,
    this,
    following,
    signer=None,
    delta_of=None,
    extra=(),
    name=None,
    revoked_on=None,
    entry=(),
    critical=True,
    critical_number=False,
):
    """Returns a CRL as PEM. `number` or `following` (nextUpdate) None omit the field.

    `name` replaces the issuer's name by another spelling, `revoked_on` (a date, or one for
    each entry) replaces the date `this`.
    `entry` holds the extensions of each entry, `critical` is for the delta indicator.
    """
    private = signer or issuer.key
    algorithm = _algorithm(private, None)
    dates = revoked_on if isinstance(revoked_on, list) else [revoked_on or this] * len(revoked)
    details = sequence(*entry) if entry else b""
    entries = [
        sequence(integer(each.serial), moment(date), details)
        for each, date in zip(revoked, dates, strict=True)
    ]
    extensions = [
        extension(
            "2.5.29.35", x509.AuthorityKeyIdentifier(key_id(private), None, None).public_bytes()
        )
    ]
    if number is not None:
        extensions.append(extension("2.5.29.20", integer(number), critical_number))
    if delta_of is not None:
        extensions.append(extension("2.5.29.27", integer(delta_of), critical))
    body = sequence(
        integer(1),
        algorithm,
        (name or issuer.name).public_bytes(),
        moment(this),
        moment(following) if following else b"",
        sequence(*entries) if entries else b"",
        tagged(0, sequence(*extensions, *extra)),
    )
    return pem("X509 CRL", _signed(body, algorithm, private, None, corrupt=False))


def bare_v1(issuer, revoked, *, this, following):
    """A CRL of version 1, without extensions, as a plain `openssl ca -gencrl` makes it."""
    algorithm = _algorithm(issuer.key, None)
    entries = [sequence(integer(each.serial), moment(this)) for each in revoked]
    body = sequence(
        algorithm,
        issuer.name.public_bytes(),
        moment(this),
        moment(following),
        sequence(*entries) if entries else b"",
    )
    return pem("X509 CRL", _signed(body, algorithm, issuer.key, None, corrupt=False))


def spelled(common_name, kind):
    """A name of one CN, as an ASN.1 string of this kind: `PrintableString`, `UTF8String` …"""
    kind = getattr(x509.name._ASN1Type, kind)
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _type=kind)])


def full_name(*names):
    """The fullName of a DistributionPointName: URIs as text, directory names as `x509.Name`."""

    def general(name):
        if isinstance(name, str):
            return value(0x86, name.encode())
        return value(0xA4, name.public_bytes())

    return tagged(0, b"".join(general(each) for each in names))


def relative_name(common_name):
    """The nameRelativeToCRLIssuer of a DistributionPointName: the issuer's name and one CN more."""
    rdn = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]).public_bytes()
    # Within the Name, a SET: [1] IMPLICIT has its content.
    return tagged(1, rdn[4:])


def issuing_point(
    name=b"",
    *,
    users=False,
    cas=False,
    reasons=(),
    indirect=False,
    attributes=False,
    critical=True,
):
    """The extension that says what a CRL covers (RFC 5280 section 5.2.5). `reasons` are bits of
    ReasonFlags."""
    flags = {1: users, 2: cas, 4: indirect, 5: attributes}
    parts = {number: value(0x80 | number, b"\xff") for number, is_set in flags.items() if is_set}
    if reasons:
        parts[3] = reason_flags(0x83, reasons)
    ordered = b"".join(parts[number] for number in sorted(parts))
    return extension("2.5.29.28", sequence(tagged(0, name) if name else b"", ordered), critical)


def reason_flags(tag, bits):
    """A named bit list: the bits that are set, without trailing zeros."""
    length = max(bits) + 1
    flags = sum(1 << (15 - bit) for bit in bits).to_bytes(2, "big")[: (length + 7) // 8]
    return value(tag, bytes([-length % 8]) + flags)


def reason_code(reason):
    """The entry extension that says why a certificate was revoked (RFC 5280 section 5.3.1)."""
    return extension("2.5.29.21", value(0x0A, bytes([reason])))


def certificate_issuer(name, critical):
    """The entry extension that names another issuer, as in an indirect CRL."""
    return extension("2.5.29.29", sequence(value(0xA4, name.public_bytes())), critical)


def distribution_points(*points):
    """The extension that says where a certificate's CRLs are; each point is made by `point`."""
    return extension("2.5.29.31", sequence(*points))


def point(name, *, reasons=(), issuer=None):
    return sequence(
        tagged(0, name) if name else b"",
        reason_flags(0x81, reasons) if reasons else b"",
        tagged(2, value(0xA4, issuer.public_bytes())) if issuer else b"",
    )


# Signatures and DER ------------------------------------------------------------------------------

ECDSA = {"sha1": "1.2.840.10045.4.1"} | {
    f"sha{size}": f"1.2.840.10045.4.3.{at}" for size, at in ((256, 2), (384, 3), (512, 4))
}
RSA = {
    "sha1": "1.2.840.113549.1.1.5",
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
PSS = {
    f"pss_sha{size}": f"2.16.840.1.101.3.4.2.{at}" for size, at in ((256, 1), (384, 2), (512, 3))
}
HASHES = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def _usual_digest(private):
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return {384: "sha384", 521: "sha512"}.get(private.key_size, "sha256")
    return "sha256"


def _algorithm(private, digest):
    digest = digest or _usual_digest(private)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return sequence(oid("1.3.101.112"))
    if isinstance(private, ed448.Ed448PrivateKey):
        return sequence(oid("1.3.101.113"))
    for arc, kind in ML_DSA.values():
        if isinstance(private, kind):
            return sequence(oid(f"2.16.840.1.101.3.4.3.{arc}"))
    if isinstance(private, PssKey):
        return _algorithm(private.rsa, "pss_sha256")
    if digest in PSS:
        # RFC 4055: hash, MGF1 with the same hash, a salt as long as the hash.
        hashed = sequence(oid(PSS[digest]), NULL)
        masked = sequence(oid("1.2.840.113549.1.1.8"), hashed)
        salt = integer(hashlib.new(digest.removeprefix("pss_")).digest_size)
        parts = tagged(0, hashed) + tagged(1, masked) + tagged(2, salt)
        return sequence(oid("1.2.840.113549.1.1.10"), sequence(parts))
    if isinstance(private, rsa.RSAPrivateKey):
        return sequence(oid(RSA[digest]), NULL)
    return sequence(oid(ECDSA[digest]))


def _signed(body, algorithm, private, digest, corrupt):
    method = HASHES.get(digest or _usual_digest(private))
    if isinstance(private, PssKey):
        private, digest = private.rsa, "pss_sha256"
    if digest in PSS:
        signature = _pss_signature(body, private, digest.removeprefix("pss_"))
    elif isinstance(private, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        signature = private.sign(body)
    elif isinstance(private, tuple(kind for _, kind in ML_DSA.values())):
        signature = signatures.ml_dsa(private, body)
    elif isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(body, padding.PKCS1v15(), method)
    else:
        signature = private.sign(body, ec.ECDSA(method, deterministic_signing=True))
    if corrupt:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    return sequence(body, algorithm, value(0x03, b"\x00" + signature))


def _pss_signature(body, private, name):
    """RSASSA-PSS (RFC 8017 section 9.1.1) with a salt derived from the body, for stable bytes."""

    def hashed(data):
        return hashlib.new(name, data).digest()

    numbers = private.private_numbers()
    bits = private.key_size - 1
    size = (bits + 7) // 8
    salt = hashed(b"salt" + body)
    digest = hashed(bytes(8) + hashed(body) + salt)
    block = bytes(size - len(salt) - len(digest) - 2) + b"\x01" + salt
    rounds = -(-len(block) // len(digest))
    mask = b"".join(hashed(digest + at.to_bytes(4, "big")) for at in range(rounds))[: len(block)]
    masked = int.from_bytes(block, "big") ^ int.from_bytes(mask, "big")
    masked &= (1 << (8 * len(block) - (8 * size - bits))) - 1
    encoded = masked.to_bytes(len(block), "big") + digest + b"\xbc"
    signed = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n)
    return signed.to_bytes(private.key_size // 8, "big")


def value(tag, content):
    """Encodes one DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts):
    return value(0x30, b"".join(parts))


def tagged(number, content):
    return value(0xA0 | number, content)


def octets(content):
    return value(0x04, content)


def integer(number):
    return value(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.insert(0, 0x80 | arc & 0x7F)
        content += bytes(groups)
    return value(0x06, content)


def moment(instant):
    # RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime after it.
    if instant.year < 2050:
        return value(0x17, instant.strftime("%y%m%d%H%M%SZ").encode())
    return value(0x18, instant.strftime("%Y%m%d%H%M%SZ").encode())


NULL = value(0x05, b"")
