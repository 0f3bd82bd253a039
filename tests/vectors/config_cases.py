"""The config cases: material and options that must be accepted or refused before anything is sent.

Identities and bundles are checked at loading with the machine's clock. Valid certificates here run
from 2020 to 2120; expired ones ended in 2001.
"""

import base64
import hashlib
import ipaddress
import json

import merge_cases
import retire_cases
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from forge import (
    CLIENT_AUTH,
    LONG_AGO,
    LONG_AGO_END,
    SERVER_AUTH,
    UNTIL,
    authority,
    crl,
    day,
    encrypted_key_pem,
    extension,
    indefinite,
    integer,
    issuing_point,
    key,
    key_pem,
    mint,
    octets,
    padded_passphrase,
    pem,
    pkcs12,
    sequence,
    uri,
)

ROOT = authority("Config Test Root", key("config root"))
ISSUING = authority("Config Test Issuing CA", key("config issuing"), ROOT, path_length=0)
PASSPHRASE = "correct horse"
URL = "https://consumer.example.test/hook"
OK = {"ok": {}}


# A CA with the name and the key identifier of a web root, and a key of ours.
WEB_NAME = [
    (NameOID.COUNTRY_NAME, "NO"),
    (NameOID.ORGANIZATION_NAME, "Buypass AS-983163327"),
    (NameOID.COMMON_NAME, "Buypass Class 2 Root CA"),
]
WEB_KEY_ID = bytes.fromhex("c98077e0629282f5469cf3baf74cc3deb8a3ad39")
WEB = authority(WEB_NAME, key("imitated web root"), subject_key_id=WEB_KEY_ID)


def identity_leaf(kind="p256", label="identity", **options):
    usual = {
        "ca": False,
        "usage": ("digital_signature",),
        "purposes": (CLIENT_AUTH,),
        "sans": uri("spiffe://corp.example/tenant/dispatcher"),
    }
    return mint("dispatcher", key(label, kind), ISSUING, **usual | options)


LEAF = identity_leaf()
CHAIN = LEAF.pem + ISSUING.pem
KEY = key_pem(LEAF.key)


def fixtures():
    """Returns the default identity and trust of the cases."""
    return {"identity": {"cert": CHAIN, "key": KEY}, "trust": {"anchors": ROOT.pem}}


def case(name, do, given, expect):
    return {"name": f"{do}_{name}", "do": do, "with": given, "expect": expect}


def refused(kind, **context):
    error = {"kind": kind, "stage": "config", "sent": "nothing"}
    return {"error": error | ({"context": context} if context else {})}


def cases():
    return [
        *identities(),
        *pkcs12_files(),
        *bundles(),
        *pins(),
        *pins_of(),
        *secrets(),
        *egresses(),
        *dispatchers(),
        *endpoints(),
        *urls(),
        *deliveries(),
        *denied_addresses(),
        *merge_cases.cases(),
        *retire_cases.cases(certificate_pin(LEAF)),
        *tenant_rules(),
        *authorizations(),
        *verifiers(),
    ]


def certificate_pin(certificate):
    digest = hashlib.sha256(certificate.der).digest()
    return "cert-sha256/" + base64.b64encode(digest).decode()


def base64_of(written):
    return base64.b64encode(written.encode()).decode()


# What environment variables, YAML, JSON, Secrets and editors make of PEM. Each has one reading.
CHANGED_ON_THE_WAY = {
    "escaped_line_breaks": lambda pem_text: pem_text.replace("\n", "\\n"),
    "escaped_dos_line_breaks": lambda pem_text: pem_text.replace("\n", "\\r\\n"),
    "in_json": lambda pem_text: json.dumps({"pem": pem_text}).replace("/", "\\/"),
    "spaces_for_line_breaks": lambda pem_text: pem_text.replace("\n", " "),
    "on_one_line": lambda pem_text: pem_text.replace("\n", ""),
    "indented": lambda pem_text: "\n".join("    " + line for line in pem_text.splitlines()),
    "with_tabs": lambda pem_text: pem_text.replace("\n", "\n\t"),
    "in_quotes": lambda pem_text: f'"{pem_text.strip()}"',
    "without_break_between": lambda pem_text: pem_text.replace(
        "\n-----BEGIN", "-----BEGIN"
    ).strip(),
    "byte_order_mark_between": lambda pem_text: pem_text.replace("-----BEGIN", "\ufeff-----BEGIN"),
    "in_base64": base64_of,
    "in_base64_twice": lambda pem_text: base64_of(base64_of(pem_text)),
}
PATH_REMEDY = "Pass the path to from_files (fromFiles in Node), or the content of the file here."
NAMED = [
    ("path", "/etc/acme/tls.pem\n", "it is a path, not the content of a file", PATH_REMEDY),
    ("windows_path", "C:\\acme\\tls.pem", "it is a path, not the content of a file", PATH_REMEDY),
    (
        "variable",
        "${TLS_PEM}",
        "it is a variable that nobody has expanded",
        "Check the deployment.",
    ),
    (
        "pkcs7",
        pem("PKCS7", octets(b"?")),
        "a PEM block has the label PKCS7, which is not supported",
        "Convert it: openssl pkcs7 -print_certs -in old.p7b -out new.pem",
    ),
    (
        "ssh_key",
        pem("OPENSSH PRIVATE KEY", b"openssh-key-v1"),
        "a PEM block has the label OPENSSH PRIVATE KEY, which is not supported",
        "Convert a copy of it: ssh-keygen -p -m PKCS8 -f copy.key",
    ),
]


def identities():
    def of(name, cert, private, expect, **more):
        return case(name, "identity_from_pem", {"cert": cert, "key": private, **more}, expect)

    locked = encrypted_key_pem(LEAF.key, PASSPHRASE)
    other = key_pem(key("another"))
    yield of("chain", CHAIN, KEY, OK)
    yield of("leaf_alone", LEAF.pem, KEY, OK)
    for kind in ("p384", "p521", "ed25519", "rsa2048", "mldsa44", "mldsa65", "mldsa87"):
        leaf = identity_leaf(kind, "strong")
        yield of(f"pkcs8_{kind}", leaf.pem, key_pem(leaf.key), OK)
    for kind in ("rsa1024", "k256", "brainpool256", "ed448", "rsapss2048"):
        leaf = identity_leaf(kind, "weak")
        refusal = refused("pem_invalid")
        yield of(f"unsupported_key_{kind}", leaf.pem, key_pem(leaf.key), refusal)
    rsa = identity_leaf("rsa2048", "strong")
    yield of("pkcs1", rsa.pem, key_pem(rsa.key, "TraditionalOpenSSL"), OK)
    sec1 = key_pem(LEAF.key, "TraditionalOpenSSL")
    yield of("sec1", LEAF.pem, sec1, OK)
    parameters = pem("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
    yield of("sec1_after_parameters", LEAF.pem, parameters + sec1, OK)
    yield of("byte_order_mark_and_crlf", dos(CHAIN), dos(KEY), OK)
    described = "Bag Attributes\n    friendlyName: dispatcher\nsubject=CN = dispatcher\n\n"
    yield of("leading_text", described + CHAIN, described + KEY, OK)
    yield of("one_text_with_both", CHAIN + KEY, CHAIN + KEY, OK)
    yield of("encrypted_key", CHAIN, locked, OK, passphrase=PASSPHRASE)
    yield of("passphrase_not_needed", CHAIN, KEY, OK, passphrase=PASSPHRASE)
    yield of("encrypted_key_without_passphrase", CHAIN, locked, refused("key_encrypted"))
    yield of(
        "encrypted_key_wrong_passphrase",
        CHAIN,
        locked,
        refused("key_encrypted"),
        passphrase="wrong",
    )
    yield of(
        "encrypted_key_wrong_passphrase_right_padding",
        CHAIN,
        locked,
        refused("key_encrypted"),
        passphrase=padded_passphrase(locked),
    )
    traditional = sec1.replace(
        "PRIVATE KEY-----\n",
        "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
        "DEK-Info: AES-256-CBC,000102030405060708090A0B0C0D0E0F\n\n",
        1,
    )
    yield of("encrypted_traditional_key", CHAIN, traditional, refused("key_encrypted"))
    yield of("key_of_another", CHAIN, other, refused("key_mismatch"))
    yield of("chain_in_wrong_order", ISSUING.pem + LEAF.pem, KEY, refused("key_mismatch"))
    unreadable = refused("pem_invalid")
    yield of("no_certificate", "", KEY, unreadable)
    yield of("no_key", CHAIN, "", unreadable)
    yield of("text_instead_of_certificate", "see the wiki\n", KEY, unreadable)
    yield of("text_instead_of_key", CHAIN, "hunter2\n", unreadable)
    yield of("key_instead_of_certificate", KEY, KEY, unreadable)
    yield of("certificate_instead_of_key", CHAIN, CHAIN, unreadable)
    yield of("two_keys", CHAIN, KEY + other, unreadable)
    yield of(
        "trusted_certificate_label", LEAF.pem.replace(" CERT", " TRUSTED CERT"), KEY, unreadable
    )
    yield of(
        "request_instead_of_certificate", pem("CERTIFICATE REQUEST", LEAF.der), KEY, unreadable
    )
    yield of(
        "certificate_without_end",
        LEAF.pem.replace("-----END CERTIFICATE-----\n", ""),
        KEY,
        unreadable,
    )
    yield of("certificate_not_base64", LEAF.pem.replace("\nMII", "\n!!!"), KEY, unreadable)
    yield of("certificate_truncated", pem("CERTIFICATE", LEAF.der[:-20]), KEY, unreadable)
    yield of("garbage_in_certificate", pem("CERTIFICATE", sequence(integer(1))), KEY, unreadable)
    yield of(
        "garbage_after_leaf", LEAF.pem + pem("CERTIFICATE", sequence(integer(1))), KEY, unreadable
    )
    yield of("garbage_in_key", CHAIN, pem("PRIVATE KEY", sequence(integer(1))), unreadable)
    yield of("key_without_end", CHAIN, KEY.replace("-----END PRIVATE KEY-----\n", ""), unreadable)
    for name, change in CHANGED_ON_THE_WAY.items():
        yield of(name, change(CHAIN), change(KEY), OK)
    locked_as_usual = locked.replace("ENCRYPTED ", "")
    yield of("encrypted_key_labeled_as_clear", CHAIN, locked_as_usual, OK, passphrase=PASSPHRASE)
    yield of(
        "encrypted_key_on_one_line", CHAIN, locked.replace("\n", " "), OK, passphrase=PASSPHRASE
    )
    camellia = "1.2.392.200011.61.1.1.1.4"
    seen = refused("key_encrypted")
    seen["error"]["message"] = (
        f"private key: encrypted with the algorithm Camellia ({camellia}), which is not supported"
    )
    other_cipher = encrypted_key_pem(LEAF.key, PASSPHRASE, camellia)
    yield of("encrypted_key_camellia", CHAIN, other_cipher, seen, passphrase=PASSPHRASE)
    broken = KEY.replace("-----\n", "-----", 1).replace("\n", "").removesuffix("-")
    yield of("key_on_one_line_cut_off", CHAIN, broken, unreadable)
    for name, given, message, remedy in NAMED:
        seen = refused("pem_invalid")
        seen["error"] |= {"message": f"certificate chain: {message}", "remedy": remedy}
        yield of(f"{name}_instead_of_certificate", given, KEY, seen)
        seen = refused("pem_invalid")
        seen["error"] |= {"message": f"private key: {message}", "remedy": remedy}
        yield of(f"{name}_instead_of_key", CHAIN, given, seen)
    unusable = refused("identity_unusable")
    expired = identity_leaf(valid=(LONG_AGO, LONG_AGO_END))
    yield of("expired", expired.pem, KEY, unusable)
    yield of("not_yet_valid", identity_leaf(valid=(day(2100), UNTIL)).pem, KEY, unusable)
    ca = identity_leaf(ca=True, usage=("digital_signature", "key_cert_sign"))
    yield of("of_a_ca", ca.pem, KEY, unusable)
    yield of("without_client_purpose", identity_leaf(purposes=(SERVER_AUTH,)).pem, KEY, unusable)
    yield of("of_both_purposes", identity_leaf(purposes=(SERVER_AUTH, CLIENT_AUTH)).pem, KEY, OK)
    yield of("purpose_absent", identity_leaf(purposes=()).pem, KEY, OK)
    enciphers = identity_leaf(usage=("key_encipherment",))
    yield of("without_digital_signature", enciphers.pem, KEY, unusable)
    yield of("key_usage_absent", identity_leaf(usage=()).pem, KEY, OK)
    yield of("issuer_before_leaf_of_another", LEAF.pem + ROOT.pem + ISSUING.pem, KEY, unusable)
    stray = authority("Stray", key("stray"))
    note = (
        f"certificate {{}} of the file ({stray.subject}) is not an issuer of ours ({LEAF.subject}, "
        f"issued by {ISSUING.subject}): it is not presented"
    )
    twice = "certificate {} of the file ({}) is there twice: it is presented once at most"
    for name, given, notes in (
        ("stray_certificate", CHAIN + stray.pem, [note.format(3)]),
        ("stray_between", LEAF.pem + stray.pem + ISSUING.pem, [note.format(2)]),
        ("leaf_twice", LEAF.pem + CHAIN, [twice.format(2, LEAF.subject)]),
        ("root_twice", CHAIN + ROOT.pem + ROOT.pem, [twice.format(4, ROOT.subject)]),
        ("whole_chain", CHAIN + ROOT.pem, []),
    ):
        yield of(name, given, KEY, {"ok": {"notes": notes}})
    renewed = authority("Config Test Root", key("renewed config root"))
    same_name = note.replace(stray.subject, ROOT.subject).format(4)
    yield of(
        "another_root_of_the_same_name",
        CHAIN + ROOT.pem + renewed.pem,
        KEY,
        {"ok": {"notes": [same_name]}},
    )
    reader = {"encoding": serialization.Encoding.DER, "format": serialization.PrivateFormat.PKCS8}
    clear = serialization.NoEncryption()
    key_der = LEAF.key.private_bytes(**reader, encryption_algorithm=clear)
    locked_der = base64.b64decode("".join(locked.splitlines()[1:-1]))
    java = bytes.fromhex("feedfeed0000000200000001"), bytes.fromhex("cececece0000000200000001")
    keytool = (
        "Convert it: keytool -importkeystore -srckeystore old.jks -destkeystore new.p12 "
        "-deststoretype PKCS12"
    )

    def of_bytes(name, cert, private, expect, **more):
        given = {"cert_hex": cert.hex(), "key_hex": private.hex(), **more}
        return case(name, "identity_from_pem", given, expect)

    chain_der = LEAF.der + ISSUING.der
    yield of_bytes("der", chain_der, key_der, OK)
    yield of_bytes("der_and_line_break", chain_der + b"\r\n", key_der + b"\n", OK)
    yield of_bytes("der_and_more", chain_der, key_der + key_der, unreadable)
    yield of_bytes("encrypted_key_der", chain_der, locked_der, OK, passphrase=PASSPHRASE)
    closed = refused("key_encrypted")
    yield of_bytes(
        "encrypted_key_der_wrong_passphrase", chain_der, locked_der, closed, passphrase="x"
    )
    yield of_bytes("encrypted_key_der_without_passphrase", chain_der, locked_der, closed)
    for order in ("le", "be"):
        mark = "\ufeff".encode(f"utf-16-{order}")
        chain, private = (mark + text.encode(f"utf-16-{order}") for text in (CHAIN, KEY))
        yield of_bytes(f"utf_16_{order}", chain, private, OK)
        yield of_bytes(f"utf_16_{order}_without_mark", chain[2:], private[2:], OK)
    for name, magic in zip(("jks", "jceks"), java, strict=True):
        seen = refused("pem_invalid")
        message = f"private key: it is a Java keystore ({name.upper()})"
        seen["error"] |= {"message": message, "remedy": keytool}
        yield of_bytes(f"{name}_instead_of_key", chain_der, magic, seen)
    store = pkcs12(LEAF.key, [LEAF], PASSPHRASE)
    seen = refused("pem_invalid")
    seen["error"]["message"] = "certificate chain: it is a PKCS#12 file"
    yield of_bytes("pkcs12_instead_of_certificate", store, key_der, seen)
    seen = refused("pem_invalid")
    seen["error"]["message"] = "certificate chain: it is a private key"
    yield of_bytes("key_der_instead_of_certificate", key_der, key_der, seen)


def pkcs12_files():
    def of(name, file, expect, passphrase=PASSPHRASE):
        given = {"data_hex": file.hex(), "passphrase": passphrase}
        return case(name, "identity_from_pkcs12", given, expect)

    whole = pkcs12(LEAF.key, [LEAF, ISSUING, ROOT], PASSPHRASE)
    yield of("whole", whole, OK)
    yield of("root_first", pkcs12(LEAF.key, [ROOT, ISSUING, LEAF], PASSPHRASE), OK)
    yield of("leaf_alone", pkcs12(LEAF.key, [LEAF], PASSPHRASE), OK)
    yield of("empty_passphrase", pkcs12(LEAF.key, [LEAF], ""), OK, passphrase="")
    yield of("unicode_passphrase", pkcs12(LEAF.key, [LEAF], "grüße €"), OK, passphrase="grüße €")
    closed = refused("key_encrypted")
    yield of("wrong_passphrase", whole, closed, passphrase="battery staple")
    yield of("no_passphrase", whole, closed, passphrase="")
    hostile = pkcs12(LEAF.key, [LEAF], PASSPHRASE, rounds=2**31 - 1)
    yield of("rounds_without_end", hostile, closed)
    unreadable = refused("pem_invalid")
    yield of("no_key", pkcs12([], [LEAF], PASSPHRASE), unreadable)
    yield of("two_keys", pkcs12([LEAF.key, key("another")], [LEAF], PASSPHRASE), unreadable)
    yield of("no_certificate", pkcs12(LEAF.key, [], PASSPHRASE), unreadable)
    yield of("no_mac", pkcs12(LEAF.key, [LEAF], PASSPHRASE, mac=False), unreadable)
    yield of("truncated", whole[:-1], unreadable)
    yield of("trailing_byte", whole + b"\0", unreadable)
    yield of("empty", b"", unreadable)
    yield of("pem_instead", CHAIN.encode(), unreadable)
    for name in ("sha1", "sha256", "sha384", "sha512"):
        protected = pkcs12(LEAF.key, [LEAF, ISSUING], PASSPHRASE, pbmac1=name)
        yield of(f"pbmac1_{name}", protected, OK)
        yield of(f"pbmac1_{name}_wrong_passphrase", protected, closed, passphrase="wrong")
    unicode = pkcs12(LEAF.key, [LEAF], "grüße €", pbmac1="sha256")
    yield of("pbmac1_unicode_passphrase", unicode, OK, passphrase="grüße €")
    hostile = pkcs12(LEAF.key, [LEAF], PASSPHRASE, rounds=2**31 - 1, pbmac1="sha256")
    yield of("pbmac1_rounds_without_end", hostile, closed)
    changed = pkcs12(LEAF.key, [LEAF], PASSPHRASE, pbmac1="sha256").replace(b"tenant", b"tenanT")
    yield of("pbmac1_content_changed", changed, closed)
    ber = indefinite(whole)
    yield of("ber", ber, {"ok": {"notes": []}})
    yield of("ber_pbmac1", indefinite(protected), OK)
    yield of("ber_truncated", ber[:-1], unreadable)
    yield of("ber_trailing_byte", ber + b"?", unreadable)
    yield of("ber_nested_without_end", b"\x30\x80" * 1000, unreadable)
    yield of("base64", base64.b64encode(whole), OK)
    for name, magic in (("jks", "feedfeed"), ("jceks", "cececece")):
        seen = refused("pem_invalid")
        seen["error"] |= {
            "message": f"PKCS#12: it is a Java keystore ({name.upper()})",
            "remedy": "Convert it: keytool -importkeystore -srckeystore old.jks -destkeystore "
            "new.p12 -deststoretype PKCS12",
        }
        yield of(name, bytes.fromhex(magic + "0000000200000001"), seen)
    yield of("key_of_another", pkcs12(key("another"), [LEAF], PASSPHRASE), refused("key_mismatch"))
    unusable = refused("identity_unusable")
    stray = authority("Stray", key("stray"))
    note = (
        f"certificate 2 of the file ({stray.subject}) is not an issuer of ours "
        f"({LEAF.subject}, issued by {ISSUING.subject}): it is not presented"
    )
    noted = {"ok": {"notes": [note]}}
    yield of("stray_certificate", pkcs12(LEAF.key, [LEAF, stray], PASSPHRASE), noted)
    twice = (
        f"certificate 2 of the file ({LEAF.subject}) is there twice: it is presented once at most"
    )
    noted = {"ok": {"notes": [twice]}}
    yield of("leaf_twice", pkcs12(LEAF.key, [LEAF, LEAF, ISSUING], PASSPHRASE), noted)
    server = identity_leaf(purposes=(SERVER_AUTH,))
    yield of("without_client_purpose", pkcs12(LEAF.key, [server], PASSPHRASE), unusable)


def dos(written):
    """Converts a text to the format of a Windows editor: with a byte order mark and CRLF."""
    return "\ufeff" + written.replace("\n", "\r\n")


def noted(count):
    return {"ok": {"notes": count}}


def bundles():
    def of(name, anchors, expect, **more):
        return case(name, "trust_from_pem", {"anchors": anchors, **more}, expect)

    dead = authority("Dead Config Root", key("dead config root"), valid=(LONG_AGO, LONG_AGO_END))
    fresh = {"this": day(2020), "following": UNTIL}
    clean = crl(ROOT, [], 1, **fresh)
    yield of("one_anchor", ROOT.pem, {"ok": {"notes": 0}})
    yield of("intermediate_and_crl", ROOT.pem, OK, intermediates=ISSUING.pem, crls=[clean])
    yield of("crl_clean", ROOT.pem, {"ok": {"notes": 0}}, crls=[clean])
    later = crl(ROOT, [], 2, this=day(2110), following=UNTIL)
    yield of("crl_not_valid_yet", ROOT.pem, {"ok": {"notes": 1}}, crls=[clean, later])
    foreign = crl(ROOT, [], 1, signer=key("config forger"), **fresh)
    yield of("crl_of_another_key", ROOT.pem, {"ok": {"notes": 1}}, crls=[clean, foreign])
    unusable = refused("crl_unusable", position=1)
    for name, scope, expect in (
        ("some_reasons", {"reasons": (1, 2)}, noted(0)),
        ("indirect", {"indirect": True}, unusable),
        ("attribute_certificates", {"attributes": True}, noted(1)),
    ):
        limited = crl(ROOT, [], 1, extra=[issuing_point(**scope)], **fresh)
        yield of(f"crl_of_{name}", ROOT.pem, expect, crls=[limited])
    yield of("crl_delta", ROOT.pem, unusable, crls=[crl(ROOT, [], 2, delta_of=1, **fresh)])
    yield of("crl_without_number", ROOT.pem, noted(0), crls=[crl(ROOT, [], None, **fresh)])
    stranger = crl(ISSUING, [], 1, **fresh)
    yield of("crl_of_no_ca", ROOT.pem, noted(1), crls=[clean, stranger])
    yield of(
        "crl_of_an_intermediate", ROOT.pem, noted(0), crls=[stranger], intermediates=ISSUING.pem
    )
    yield of("crl_among_anchors", ROOT.pem + clean, noted(1))
    yield of("crls_among_anchors", clean + ROOT.pem + clean, noted(1))
    yield of("crl_among_intermediates", ROOT.pem, noted(1), intermediates=ISSUING.pem + clean)
    yield of("certificate_among_crls", ROOT.pem, noted(1), crls=[ROOT.pem + clean])
    both = crl(ROOT, [], 1, extra=[issuing_point(users=True, cas=True)], **fresh)
    yield of("crl_of_users_and_cas_alone", ROOT.pem, refused("pem_invalid"), crls=[both])
    yield of("intermediate_as_anchor", ISSUING.pem, {"ok": {"notes": 1}})
    yield of("duplicate_folded", ROOT.pem + ROOT.pem, {"ok": {"notes": 1}})
    yield of("byte_order_mark_and_crlf", dos(ROOT.pem), OK)
    yield of("leading_text", "# our CA, asked for in 2020\n" + ROOT.pem, OK)
    yield of("expired_beside_valid", dead.pem + ROOT.pem, {"ok": {"notes": 1}})
    other = authority("Other Config Root", key("other config root"))
    pin = other.spki_pin
    yield of("distrusted_beside_valid", ROOT.pem + other.pem, OK, distrusted=[pin])
    yield of("distrusts_nobody", ROOT.pem, OK, distrusted=[])
    yield of("all_distrusted", other.pem, refused("trust_invalid"), distrusted=[pin])
    yield of("distrusted_is_no_pin", ROOT.pem, refused("pin_invalid"), distrusted=["acme"])
    yield of(
        "distrusted_is_no_key",
        ROOT.pem,
        refused("pin_invalid"),
        distrusted=[other.fingerprint_pin],
    )
    web = "CN=Buypass Class 2 Root CA,O=Buypass AS-983163327,C=NO"
    yield of("public_root", ROOT.pem + WEB.pem, refused("public_root_in_trust", root=web))
    below = authority("Bought CA", key("bought ca"), WEB)
    yield of("below_public_root", below.pem, refused("public_root_in_trust", root=web))
    successor = authority(WEB_NAME, key("web successor"), WEB, authority_key_id=WEB_KEY_ID)
    yield of("self_issued_by_public_root", successor.pem, refused("public_root_in_trust", root=web))
    yield of("namesake_of_public_root", authority(WEB_NAME, key("web namesake")).pem, OK)
    yield of("dangerous_public", WEB.pem, {"ok": {"notes": 0}}, dangerous_public=True)
    yield of(
        "dangerous_public_judges",
        WEB.pem + LEAF.pem,
        refused("trust_invalid", position=2),
        dangerous_public=True,
    )
    small = authority("Old Web Root", key("old web", "rsa1024")).pem
    first = mint("First Web Root", key("first web"), version=1).pem
    odd = pem("CERTIFICATE", sequence(integer(1)))
    for name, unusable in {"weak": small, "version_1": first, "unreadable": odd}.items():
        found = unusable + WEB.pem + unusable
        yield of(
            f"dangerous_public_skips_{name}", found, {"ok": {"notes": 2}}, dangerous_public=True
        )
    fault = refused("trust_invalid", position=1)
    yield of("dangerous_public_of_unusable_roots", small + odd, fault, dangerous_public=True)
    unsaid = authority("Unsaid Config Root", key("unsaid"), usage=())
    yield of("key_usage_absent", unsaid.pem, OK)
    for kind in ("p384", "p521", "ed25519", "rsa2048"):
        yield of(f"strong_{kind}", authority(f"Strong CA {kind}", key("strong", kind)).pem, OK)

    def bad(name, anchors, at=None, **more):
        context = {"position": at} if at else {}
        return of(name, anchors, refused("trust_invalid", **context), **more)

    yield bad("empty", "")
    yield bad("blank", " \n\t\n")
    # A verifier may judge at an earlier instant. A dispatcher and an endpoint refuse it.
    yield of("all_expired", dead.pem, {"ok": {"notes": 1}})
    yield of("exact", LEAF.pem, {"ok": {"notes": 0}}, exact=True)
    yield of("exact_beside_a_crl", LEAF.pem + clean, {"ok": {"notes": 1}}, exact=True)
    yield of("exact_expired", dead.pem, {"ok": {"notes": 1}}, exact=True)
    fault = refused("trust_invalid")
    yield of("exact_of_two_certificates", LEAF.pem + ISSUING.pem, fault, exact=True)
    yield bad("holds_a_leaf", ROOT.pem + LEAF.pem, at=2)
    no_ca = mint("No CA", key("no ca"), ca=False, usage=("key_cert_sign",))
    yield bad("ca_false", no_ca.pem, at=1)
    silent = authority("Silent", key("silent"), ca=None)
    yield bad("without_basic_constraints", silent.pem, at=1)
    powerless = authority("Powerless", key("powerless"), usage=("digital_signature", "crl_sign"))
    yield bad("without_key_cert_sign", powerless.pem, at=1)
    post_quantum = authority("ML-DSA Root", key("pq root", "mldsa65"))
    yield of("ca_with_mldsa65", post_quantum.pem, OK)
    for kind in ("rsa1024", "rsa2048e3", "p192", "k256", "brainpool256", "ed448", "rsapss2048"):
        yield bad(
            f"weak_{kind}", ROOT.pem + authority(f"Weak CA {kind}", key("weak", kind)).pem, at=2
        )
    yield bad("version_1", mint("Version 1", key("version 1"), version=1).pem, at=1)
    odd = [extension("1.3.6.1.4.1.32473.1", octets(b"?"), critical=True)]
    strange = authority("Odd", key("odd"), extra=odd).pem
    yield bad("unknown_critical_extension", strange, at=1)
    # No path may contain it. Those of another anchor do not depend on it.
    yield of("unknown_critical_extension_beside_valid", ROOT.pem + strange, {"ok": {"notes": 1}})
    yield of(
        "unknown_critical_extension_of_an_intermediate",
        ROOT.pem,
        {"ok": {"notes": 2}},
        intermediates=strange + strange,
    )
    unreadable = refused("pem_invalid")
    yield of("text_without_certificate", "see the wiki\n", unreadable)
    yield of("key_instead_of_certificate", KEY, unreadable)
    yield of("trusted_certificate_label", ROOT.pem.replace(" CERT", " TRUSTED CERT"), unreadable)
    yield of(
        "trusted_label_beside_valid",
        ROOT.pem + ROOT.pem.replace(" CERT", " TRUSTED CERT"),
        unreadable,
    )
    yield of("garbage", pem("CERTIFICATE", sequence(integer(1))), unreadable)
    yield of(
        "garbage_beside_valid", ROOT.pem + pem("CERTIFICATE", sequence(integer(1))), unreadable
    )
    begun_badly = ROOT.pem.replace("-----BEGIN", "----BEGIN")
    yield of("block_begun_badly_beside_valid", ROOT.pem + begun_badly, unreadable)
    yield of("without_end", ROOT.pem.replace("-----END CERTIFICATE-----\n", ""), unreadable)
    yield of("garbled_intermediates", ROOT.pem, unreadable, intermediates="see the wiki\n")
    yield of("garbled_crl", ROOT.pem, unreadable, crls=["see the wiki\n"])


SPKI = LEAF.spki_pin
BASE64 = SPKI.removeprefix("sha256/")
HEX = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def pins():
    def of(name, current, expect, following=None):
        given = {"current": current} | ({"next": following} if following is not None else {})
        return case(name, "pins", given, expect)

    other = ISSUING.spki_pin
    yield of("one", [SPKI], OK)
    yield of("several", [SPKI, other], OK)
    yield of("with_next", [SPKI], OK, [other])
    yield of("double_slash", ["sha256//" + BASE64], OK)
    yield of("bare_base64", [BASE64], OK)
    yield of("of_the_certificate", [LEAF.fingerprint_pin], OK)
    yield of("duplicate_folded", [SPKI, SPKI, BASE64], OK, [SPKI])

    def bad(name, *current, following=None):
        return of(name, list(current), refused("pin_invalid"), following)

    colons = ":".join(HEX[at : at + 2] for at in range(0, 64, 2))
    url_safe = "-_" + "A" * 41
    yield bad("empty_set")
    yield bad("next_without_current", following=[SPKI])
    yield bad("empty_text", "")
    yield bad("prefix_alone", "sha256/")
    yield bad("hex", HEX)
    yield bad("hex_upper_case", HEX.upper())
    yield bad("hex_after_prefix", "sha256/" + HEX)
    yield bad("colon_fingerprint", colons)
    yield bad("colon_fingerprint_upper_case", colons.upper())
    yield bad("base64url", "sha256/" + url_safe + "=")
    yield bad("base64url_without_padding", "sha256/" + url_safe)
    yield bad("without_padding", SPKI.rstrip("="))
    yield bad("of_31_bytes", "sha256/" + "A" * 42 + "==")
    yield bad("of_33_bytes", "sha256/" + "A" * 44)
    yield bad("of_another_digest", "sha1/" + "A" * 27 + "=")
    yield bad("other_prefix", "sha512/" + BASE64)
    yield bad("not_base64", "sha256/" + "!" * 43 + "=")
    yield bad("not_ascii", "sha256/" + "é" * 43 + "=")
    yield bad("second_is_bad", SPKI, HEX)
    yield bad("next_is_bad", SPKI, following=[colons])


def pins_of():
    def of(name, certificate, expect):
        return case(name, "pin_of", {"cert": certificate}, expect)

    for kind in ("p256", "p384", "p521", "ed25519", "rsa2048"):
        leaf = identity_leaf(kind, "strong")
        yield of(kind, leaf.pem, {"ok": {"pin": leaf.spki_pin}})
    yield of("chain_is_of_the_first", CHAIN, {"ok": {"pin": LEAF.spki_pin}})
    yield of(
        "leading_text",
        "subject=CN = x\n" + dos(LEAF.pem).lstrip("\ufeff"),
        {"ok": {"pin": LEAF.spki_pin}},
    )
    yield of("empty", "", refused("pem_invalid"))
    yield of("key", KEY, refused("pem_invalid"))
    yield of("garbage", pem("CERTIFICATE", sequence(integer(1))), refused("pem_invalid"))


# The secret of the specification, and an Ed25519 key whose seed is 32 times the byte 7.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ED25519_SECRET = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="


def secrets():
    def of(name, secrets, expect):
        return case(name, "standard_webhooks", {"secrets": secrets}, expect)

    def bad(name, *secrets, at=1):
        return of(name, list(secrets), refused("option_invalid", option="signing", position=at))

    yield of("hmac", [SECRET], OK)
    yield of("ed25519", [ED25519_SECRET], OK)
    yield of("rotation", [ED25519_SECRET, SECRET], OK)
    yield of("padding_left_out", [ED25519_SECRET.rstrip("=")], OK)
    yield of("none", [], refused("option_invalid", option="signing"))
    yield of("nine", [SECRET] * 9, refused("option_invalid", option="signing"))
    yield bad("without_prefix", SECRET.removeprefix("whsec_"))
    yield bad("public_key", SECRET, ED25519_SECRET.replace("whsk_", "whpk_"), at=2)
    yield bad("not_base64", "whsec_hunter2!hunter2!hunter2!hunter2!")
    yield bad("url_safe_base64", SECRET[:-1] + "_")
    yield bad("too_short", SECRET, "whsec_aHVudGVyMg==", at=2)
    yield bad("too_long", "whsec_" + "QUJD" * 22)
    yield bad("ed25519_of_31_bytes", "whsk_" + "BwcH" * 10 + "Bw==")
    yield bad("ed25519_halves_of_two_keys", "whsk_" + "BwcH" * 21 + "Bw==")

    def signed(name, expect, **given):
        usual = {"url": URL, "body": "{}", "signing": [SECRET]}
        return case(name, "deliver", usual | given, expect)

    yield signed("signed_without_id", refused("option_invalid", option="id"))
    yield signed("signed_id_with_full_stop", refused("header_invalid"), id="evt.1")
    for name in ("webhook-timestamp", "webhook-signature"):
        own = {"headers": {name: "1"}, "id": "evt_1"}
        yield signed(f"signed_with_own_{name}", refused("header_invalid", header=name), **own)


def egresses():
    def of(name, given, expect):
        return case(name, "egress", given, expect)

    bad = refused("option_invalid")
    yield of("default", {}, OK)
    yield of("public", {"preset": "public"}, OK)
    yield of("private", {"preset": "private"}, OK)
    yield of(
        "networks",
        {
            "preset": "public",
            "allow": ["10.1.0.0/16", "fd00::/8", "::1/128"],
            "deny": ["203.0.113.0/24"],
        },
        OK,
    )
    yield of("unknown_preset", {"preset": "internet"}, bad)
    yield of("preset_in_other_case", {"preset": "Public"}, bad)
    for name, network in {
        "prefix_too_long": "10.0.0.0/33",
        "ipv6_prefix_too_long": "fd00::/129",
        "prefix_negative": "10.0.0.0/-1",
        "prefix_missing": "10.0.0.0/",
        "octet_out_of_range": "300.0.0.0/8",
        "short_ipv4": "10/8",
        "host_name": "localhost",
        "empty": "",
    }.items():
        yield of(f"allow_{name}", {"allow": [network]}, bad)
    yield of("deny_prefix_too_long", {"deny": ["10.0.0.0/33"]}, bad)
    for name, network in {
        "zero": "0.0.0.0/0",
        "zero_ipv6": "::/0",
        "32": "10.0.0.1/32",
        "128": "fd00::1/128",
        "with_leading_zeros": "10.0.0.0/008",
    }.items():
        yield of(f"prefix_{name}", {"allow": [network]}, OK)
    for name, network in {
        "of_four_digits": "10.0.0.0/0008",
        "beyond_a_byte": "fd00::/256",
        "with_sign": "10.0.0.0/+8",
        "with_space": "10.0.0.0/ 8",
        "twice": "10.0.0.0/8/8",
        "with_bits_beyond": "10.0.0.1/31",
        "with_bits_beyond_ipv6": "fd00::1/127",
        "zero_of_an_address": "10.0.0.0/0",
    }.items():
        yield of(f"prefix_{name}", {"deny": [network]}, bad)
    lengths = [32, 40, 48, 56, 64, 96]
    yield of("nat64", {"nat64": [f"2001:db8::/{length}" for length in lengths]}, OK)
    for name, prefix in {
        "prefix_of_another_length": "2001:db8::/72",
        "address": "2001:db8::1",
        "ipv4": "10.0.0.0/32",
        "bits_64_to_71_set": "2001:db8:0:0:100::/96",
        "bits_beyond_the_prefix": "2001:db8::1/96",
        "host_name": "nat64.example",
    }.items():
        yield of(f"nat64_{name}", {"nat64": [prefix]}, bad)


def dispatchers():
    def of(name, options, expect, **more):
        return case(name, "dispatcher", {"options": options} | more, expect)

    bad = refused("option_invalid")
    limits = (
        "timeout",
        "connect_timeout",
        "handshake_timeout",
        "write_timeout",
        "response_timeout",
    )
    yield of("defaults", {}, OK)
    yield of("public_trust", {}, bad, trust={"anchors": WEB.pem, "dangerous_public": True})
    expired = authority("Dead Config Root", key("dead config root"), valid=(LONG_AGO, LONG_AGO_END))
    yield of("trust_expired", {}, refused("trust_invalid"), trust={"anchors": expired.pem})
    yield of("every_timeout", dict.fromkeys(limits, 2500), OK)
    pauses = ("circuit_open", "circuit_ceiling")
    yield of("metrics_endpoints", {"metrics_endpoints": 100}, OK)
    yield of("every_circuit_option", dict.fromkeys(pauses, 2500) | {"circuit_failures": 0}, OK)
    for name, number in {"negative": -1, "half": 0.5, "beyond_a_million": 1000001}.items():
        for option in ("circuit_failures", "metrics_endpoints"):
            fault = refused("option_invalid", option=option)
            yield of(f"{option}_{name}", {option: number}, fault)
    for limit in limits + pauses:
        yield of(f"{limit}_zero", {limit: 0}, refused("option_invalid", option=limit))
        yield of(f"{limit}_negative", {limit: -1}, refused("option_invalid", option=limit))
    yield of("timeout_beyond_all_bounds", {"timeout": 1e300}, bad)
    yield of("every_bound", {"max_connections": 1, "max_waiting": 1000000}, OK)
    for bound in ("max_connections", "max_waiting"):
        for name, number in {"zero": 0, "negative": -1, "beyond_a_million": 1000001}.items():
            yield of(f"{bound}_{name}", {bound: number}, refused("option_invalid", option=bound))
    for name, url in {
        "proxy": "http://proxy.internal:3128",
        "proxy_at_an_address": "HTTP://[2001:db8::1]:3128/",
        "proxy_in_unicode": "http://bücher.example:3128",
        "proxy_with_credentials": "http://user:p%40ss@10.0.0.1:3128",
    }.items():
        yield of(name, {"proxy": url}, OK)
    apart = {"proxy": "http://proxy.internal:3128", "proxy_credentials": "user:hunter2"}
    yield of("proxy_credentials", apart, OK)
    named = {"proxy": "http://proxy.internal:3128", "proxy_by_name": True}
    yield of("proxy_by_name", named, OK)
    yield of(
        "proxy_by_name_without_proxy",
        {"proxy_by_name": True},
        refused("option_invalid", option="proxy_by_name"),
    )
    for name, url in {
        "empty": "",
        "without_scheme": "proxy.internal:3128",
        "over_tls": "https://proxy.internal:3128",
        "socks": "socks5://proxy.internal:1080",
        "without_port": "http://user:hunter2@proxy.internal",
        "without_host": "http://:3128",
        "port_zero": "http://proxy.internal:0",
        "with_path": "http://proxy.internal:3128/pac",
        "with_query": "http://proxy.internal:3128?a",
        "address_in_odd_spelling": "http://127.1:3128",
        "underscore": "http://a_b.test:3128",
        "broken_escape": "http://user:hunter2%zz@proxy.internal:3128",
        "line_break_in_password": "http://user:hunter2%0d%0ax@proxy.internal:3128",
    }.items():
        yield of(f"proxy_{name}", {"proxy": url}, refused("option_invalid", option="proxy"))
    for name, said in {
        "without_proxy": {"proxy_credentials": "user:hunter2"},
        "without_colon": apart | {"proxy_credentials": "hunter2"},
        "twice": apart | {"proxy": "http://user:hunter2@proxy.internal:3128"},
    }.items():
        fault = refused("option_invalid", option="proxy_credentials")
        yield of(f"proxy_credentials_{name}", said, fault)
    yield of("reload_never", {"reload": 0}, OK)
    yield of("reload_and_warning", {"reload": 60000, "expiry_warning": 0.33}, OK)
    yield of("reload_negative", {"reload": -1}, refused("option_invalid", option="reload"))
    for name, part in {"zero": 0, "negative": -0.1, "whole": 1, "percent": 20}.items():
        yield of(
            f"expiry_warning_{name}",
            {"expiry_warning": part},
            refused("option_invalid", option="expiry_warning"),
        )
    yield of("unknown_option", {"timeuot": 2500}, bad)
    yield of("option_in_other_case", {"Timeout": 2500}, bad)
    yield of("option_empty", {"": 2500}, bad)
    yield of("option_of_another_noun", {"min_tls": "1.2"}, bad)
    yield from (of(name, {"status_retry": said}, expect) for name, said, expect in status_retry())
    yield from (of(name, {"crl_policy": said}, expect) for name, said, expect in crl_policies())


def status_retry():
    bad = refused("option_invalid", option="status_retry")
    yield "status_retry", {"404": "never", "5xx": "later", "409": "after_repair"}, OK
    yield "status_retry_of_success", {"200": "later"}, bad
    yield "status_retry_of_no_status", {"600": "later"}, bad
    yield "status_retry_of_no_class", {"4x": "later"}, bad
    yield "status_retry_word_unknown", {"404": "sometimes"}, bad
    yield "status_retry_word_in_other_case", {"404": "Never"}, bad
    yield "status_retry_not_pairs", "never", bad


def crl_policies():
    for said in ("if_present", "require", "require_leaf"):
        yield f"crl_policy_{said}", said, OK
    bad = refused("option_invalid", option="crl_policy")
    yield "crl_policy_unknown", "always", bad
    yield "crl_policy_in_other_case", "Require", bad
    yield "crl_policy_not_text", True, bad


SET = "Set the {}: it is missing where it is read from, such as an environment variable."


def endpoints():
    def of(name, expect, *, consumer="acme", url=URL, **more):
        given = {"consumer": consumer, "url": url, "pins": [SPKI]} | more
        return case(name, "endpoint", given, expect)

    yield of("pinned", {"ok": {"url": URL}})
    yield of("hold_payload", {"ok": {}}, options={"hold_payload": True})
    fault = refused("option_invalid", option="hold_payload")
    yield of("hold_payload_of_text", fault, options={"hold_payload": "soon"})
    yield of("response_excerpt", {"ok": {}}, options={"response_excerpt": 65536})
    for name, size in {"negative": -1, "half": 0.5, "beyond_64_kib": 65537}.items():
        fault = refused("option_invalid", option="response_excerpt")
        yield of(f"response_excerpt_{name}", fault, options={"response_excerpt": size})
    yield of("no_pins_said", OK, pins=None)
    unsaid = of("pins_unsaid", refused("option_invalid"))
    del unsaid["with"]["pins"]
    yield unsaid
    yield of("own_trust", OK, trust={"anchors": ROOT.pem})
    public = {"anchors": WEB.pem, "dangerous_public": True}
    yield of("public_trust_pinned", OK, trust=public)
    expired = authority("Dead Config Root", key("dead config root"), valid=(LONG_AGO, LONG_AGO_END))
    yield of("trust_expired", refused("trust_invalid"), trust={"anchors": expired.pem})
    yield of("trust_exact", OK, trust={"anchors": LEAF.pem, "exact": True})
    exact = {"anchors": expired.pem, "exact": True}
    yield of("trust_exact_expired", refused("trust_invalid"), trust=exact)
    yield of("public_trust_without_pins", refused("option_invalid"), trust=public, pins=None)
    yield of("pins_empty", refused("pin_invalid"), pins=[])
    yield of("pin_bad", refused("pin_invalid"), pins=[HEX])
    unset = refused("pin_invalid")
    unset["error"] |= {"message": "current pin 1 is empty", "remedy": SET.format("pin")}
    yield of("pin_empty", unset, pins=[""])
    placeholder = refused("pin_invalid")
    placeholder["error"]["message"] = (
        "current pin 1 is a placeholder; the pin of a key comes from its owner, or from "
        "webhook-mtls inspect"
    )
    yield of("pin_placeholder", placeholder, pins=["sha256/\u2026"])
    yield of("pin_placeholder_of_dots", placeholder, pins=["sha256/..."])
    yield of("consumer_empty", refused("option_invalid"), consumer="")
    yield from (
        of(name, expect, options={"status_retry": said}) for name, said, expect in status_retry()
    )
    yield from (
        of(name, expect, options={"crl_policy": said}) for name, said, expect in crl_policies()
    )
    yield of("tls_1_2", OK, options={"min_tls": "1.2"})
    yield of("tls_1_1", refused("option_invalid"), options={"min_tls": "1.1"})
    yield of("tls_unknown", refused("option_invalid"), options={"min_tls": "TLSv1.3"})
    yield of("not_post_quantum", OK, options={"post_quantum": False})
    for name, host in {"a_dns_name": "hooks.acme.example", "an_address": "2001:db8::1"}.items():
        yield of(f"server_name_of_{name}", OK, options={"server_name": host})
    fault = refused("option_invalid", option="server_name")
    for name, host in {
        "empty": "",
        "with_a_port": "hooks.acme.example:443",
        "with_a_wildcard": "*.acme.example",
        "with_an_underscore": "web_hooks.acme.example",
        "of_a_url": "https://hooks.acme.example/",
    }.items():
        yield of(f"server_name_{name}", fault, options={"server_name": host})
    yield of("server_uri", OK, options={"server_uri": "spiffe://corp.example/consumer/acme"})
    yield of("server_uri_no_uri", refused("option_invalid"), options={"server_uri": "acme"})
    climbing = {"server_uri": "spiffe://corp.example/a/../b"}
    yield of("server_uri_no_spiffe_id", refused("option_invalid"), options=climbing)
    yield of("concurrency", OK, options={"concurrency": 1})
    yield of("concurrency_zero", refused("option_invalid"), options={"concurrency": 0})
    yield of("concurrency_fraction", refused("option_invalid"), options={"concurrency": 1.5})
    for name, rate in {"least": 0.001, "fraction": 2.5, "most": 1_000_000}.items():
        yield of(f"rate_{name}", OK, options={"rate": rate})
    fault = refused("option_invalid", option="rate")
    for name, rate in {"zero": 0, "negative": -1, "too_low": 0.0009, "too_high": 1_000_001}.items():
        yield of(f"rate_{name}", fault, options={"rate": rate})
    yield of("owner", OK, options={"owner": "customer 17"})
    fault = refused("option_invalid", option="owner")
    yield of("owner_empty", fault, options={"owner": ""})
    yield of("owner_too_long", fault, options={"owner": "x" * 257})
    yield of("owner_with_a_line_feed", fault, options={"owner": "a\nb"})
    yield of("unknown_option", refused("option_invalid"), options={"pinz": "x"})
    yield of(
        "egress_is_not_the_endpoints", refused("option_invalid"), options={"egress": "private"}
    )


def urls():
    def of(name, url, expect):
        return case(
            f"url_{name}", "endpoint", {"consumer": "acme", "url": url, "pins": [SPKI]}, expect
        )

    yield of(
        "upper_case_host",
        "https://Consumer.EXAMPLE.test/Hook",
        {"ok": {"url": "https://consumer.example.test/Hook"}},
    )
    yield of(
        "with_port_and_query",
        "https://consumer.example.test:8443/hook?a=b%20c&d=",
        {
            "ok": {"url": "https://consumer.example.test:8443/hook?a=b%20c&d="},
        },
    )
    hook = "https://consumer.example.test/hook"
    for name, url, canonical in (
        ("upper_case_scheme", "HTTPS://consumer.example.test/hook", hook),
        ("without_path", "https://consumer.example.test", hook.removesuffix("hook")),
        ("query_alone", "https://consumer.example.test?a", "https://consumer.example.test/?a"),
        ("default_port", "https://consumer.example.test:443/hook", hook),
        ("port_with_zeros", "https://consumer.example.test:00443/hook", hook),
        ("trailing_dot", "https://consumer.example.test./hook", hook),
        ("ipv4", "https://192.0.2.10/hook", None),
        ("ipv6", "https://[2001:DB8:0::10]/hook", "https://[2001:db8::10]/hook"),
        ("ipv6_with_port", "https://[2001:db8::10]:8443/hook", None),
        ("ipv6_of_ipv4", "https://[::ffff:192.0.2.10]/hook", None),
        ("punycode", "https://xn--bcher-kva.example/hook", None),
        ("idna", "https://Bücher.example/hook", "https://xn--bcher-kva.example/hook"),
        ("idna_composed_apart", "https://bu\u0308cher.example/", "https://xn--bcher-kva.example/"),
        ("idna_ideographic_dot", "https://consumer\u3002example.test/hook", hook),
        ("idna_full_width", "https://ｃonsumer.example.test/hook", hook),
        # UTS #46 drops it. The lookup and the verification use the canonical spelling.
        ("idna_zero_width", "https://consu\u200bmer.example.test/hook", hook),
        ("path_of_dots", "https://consumer.example.test/a/../b/./c", None),
        ("path_of_slashes", "https://consumer.example.test//a//", None),
        ("path_percent_encoded", "https://consumer.example.test/%2e%2E/a%20b%0d%0a", None),
        ("query_of_marks", "https://consumer.example.test/hook?a?b=/&c[]=@:", None),
    ):
        yield of(name, url, {"ok": {"url": canonical or url}})
    unset = refused("url_invalid")
    message = "the URL is empty; https://host/path is expected"
    unset["error"] |= {"message": message, "remedy": SET.format("URL")}
    yield of("empty", "", unset)
    for name, url in {
        "http": "http://consumer.example.test/hook",
        "ftp": "ftp://consumer.example.test/hook",
        "without_scheme": "consumer.example.test/hook",
        "path_alone": "/hook",
        "one_slash": "https:/consumer.example.test/hook",
        "no_host": "https:///hook",
        "port_alone": "https://:8443/hook",
        "user": "https://acme@consumer.example.test/hook",
        "user_and_password": "https://acme:secret@consumer.example.test/hook",
        "empty_user": "https://@consumer.example.test/hook",
        "port_not_a_number": "https://consumer.example.test:https/hook",
        "port_too_large": "https://consumer.example.test:65536/hook",
        "port_zero": "https://consumer.example.test:0/hook",
        "fragment": "https://consumer.example.test/hook#top",
        "space_in_host": "https://consumer .example.test/hook",
        "space_in_path": "https://consumer.example.test/my hook",
        "space_around": " https://consumer.example.test/hook ",
        "backslash_in_path": "https://consumer.example.test\\hook",
        "backslash_before_at": "https://consumer.example.test\\@evil.test/hook",
        "tab": "https://consumer.example.test/ho\tok",
        "line_break": "https://consumer.example.test/hook\r\nx: y",
        "ipv4_of_two_parts": "https://127.1/hook",
        "ipv4_hexadecimal": "https://0x7f000001/hook",
        "ipv4_decimal": "https://2130706433/hook",
        "ipv4_octal": "https://0177.0.0.1/hook",
        "ipv4_zero": "https://0/hook",
        "ipv4_of_five_parts": "https://192.0.2.10.1/hook",
        "ipv6_without_brackets": "https://2001:db8::10/hook",
        "ipv6_with_zone": "https://[fe80::1%25eth0]/hook",
        "ipv6_malformed": "https://[2001:db8:::10]/hook",
        "underscore": "https://a_b.test/hook",
        "wildcard": "https://*.example.test/hook",
        "empty_label": "https://consumer..example.test/hook",
        "label_too_long": "https://" + "a" * 64 + ".example.test/hook",
        "host_percent_encoded": "https://consumer%2eexample.test/hook",
        "path_with_quotes": 'https://consumer.example.test/"hook"',
        "path_with_braces": "https://consumer.example.test/{hook}",
        "query_with_angles": "https://consumer.example.test/hook?a=<b>",
        "path_not_ascii": "https://consumer.example.test/höok",
        "query_not_ascii": "https://consumer.example.test/hook?a=€",
        "path_with_nul": "https://consumer.example.test/ho\u0001ok",
        "port_signed": "https://consumer.example.test:+443/hook",
        "port_empty": "https://consumer.example.test:/hook",
        "two_ports": "https://consumer.example.test:443:443/hook",
        "ipv4_trailing_dot": "https://127.0.0.1./hook",
        "ipv4_full_width": "https://１２７.0.0.1/hook",
        "ipv4_hexadecimal_part": "https://127.0.0.0x1/hook",
        "ipv4_hexadecimal_empty": "https://0x/hook",
        "ipv4_circled": "https://⑫⑦.0.0.1/hook",
        "ipv6_with_bare_zone": "https://[fe80::1%eth0]/hook",
        "ipv6_unfinished": "https://[2001:db8::10/hook",
        "ipv4_in_brackets": "https://[127.0.0.1]/hook",
        "two_dots_at_the_end": "https://consumer.example.test../hook",
        "too_long": "https://consumer.example.test/" + "a" * 8192,
    }.items():
        yield of(name, url, refused("url_invalid"))


def deliveries():
    def of(name, kind, **given):
        return case(name, "deliver", {"url": URL, "body": "{}"} | given, refused(kind))

    for name, headers in {
        "name_empty": {"": "a"},
        "name_with_space": {"x event": "a"},
        "name_with_colon": {"x:event": "a"},
        "name_with_cr": {"x-event\r": "a"},
        "name_with_lf": {"x-event\n": "a"},
        "name_not_ascii": {"x-évent": "a"},
        "value_with_cr": {"x-event": "a\rb"},
        "value_with_lf": {"x-event": "a\nb"},
        "value_with_crlf": {"x-event": "a\r\nx-evil: b"},
        "value_ends_with_lf": {"x-event": "a\n"},
        "value_with_control": {"x-event": "a\u0001b"},
        "value_with_delete": {"x-event": "a\u007fb"},
        "value_not_ascii": {"x-event": "é"},
        "value_of_wide_colon": {"x-event": "a\uff1ab"},
        "value_empty": {"x-event": ""},
        "value_of_space": {"x-event": " "},
        "value_begins_with_space": {"x-event": " a"},
        "value_folded": {"x-event": "a\r\n b"},
        "values_too_long": {"x-event": "a" * 16384},
    }.items():
        yield of(f"header_{name}", "header_invalid", headers=headers)
    for name in (
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "TE",
        "upgrade",
        "Trailer",
        "expect",
        "content-type",
        "webhook-id",
    ):
        yield of(
            f"header_owned_{name.lower().replace('-', '_')}", "header_invalid", headers={name: "1"}
        )
    yield of("second_header_is_bad", "header_invalid", headers={"x-a": "1", "x-b": "1\n"})
    yield of("id_too_long", "header_invalid", id="e" * 16384)
    yield of("content_type_too_long", "header_invalid", content_type="a/" + "b" * 16384)
    yield of("id_with_crlf", "header_invalid", id="evt\r\nx-evil: b")
    yield of("content_type_with_lf", "header_invalid", content_type="application/json\nx-evil: b")
    yield of("timeout_zero", "option_invalid", timeout_ms=0)
    yield of("unknown_option", "option_invalid", options={"contenttype": "text/plain"})
    yield of("body_too_large", "body_too_large", body="x", repeat=32 * 1024 * 1024 + 1)
    yield of("http", "url_invalid", url="http://consumer.example.test/hook")
    yield of("user", "url_invalid", url="https://a:b@consumer.example.test/hook")


def denied_addresses():
    """No case resolves a name or sends a packet: the URL contains the address."""
    for name, host in {
        "loopback": "127.0.0.1",
        "loopback_ipv6": "[::1]",
        "unspecified": "0.0.0.0",
        "unspecified_ipv6": "[::]",
        "metadata": "169.254.169.254",
        "private": "10.0.0.1",
        "private_192": "192.168.1.1",
        "shared": "100.64.0.1",
        "unique_local": "[fd00::1]",
        "link_local_ipv6": "[fe80::1]",
        "multicast": "224.0.0.1",
        "mapped_loopback": "[::ffff:127.0.0.1]",
        "mapped_loopback_hexadecimal": "[::ffff:7f00:1]",
        "mapped_private": "[::ffff:10.0.0.1]",
        "compatible_loopback": "[::127.0.0.1]",
        "translated_loopback": "[::ffff:0:127.0.0.1]",
        "nat64_loopback": "[64:ff9b::7f00:1]",
        "nat64_metadata": "[64:ff9b::169.254.169.254]",
        "nat64_local": "[64:ff9b:1::10.0.0.1]",
        "6to4_private": "[2002:a00:1::1]",
        "6to4_of_public": "[2002:5db8:d822::1]",
        "teredo_loopback": "[2001:0:1::80ff:fffe]",
        "isatap_private": "[2a00:1450:4001:800:0:5efe:a00:1]",
        "site_local": "[fec0::1]",
        "documentation": "192.0.2.10",
        "documentation_ipv6": "[2001:db8::10]",
        "benchmarking": "198.18.0.1",
        "reserved": "240.0.0.1",
        "broadcast": "255.255.255.255",
        "discard": "[100::1]",
        "end_of_discard": "[100::ffff:ffff:ffff:ffff]",
        "protocol_assignments": "192.0.0.1",
        "end_of_protocol_assignments": "192.0.0.255",
        "6to4_relay": "192.88.99.1",
        "end_of_6to4_relay": "192.88.99.255",
        "end_of_private_172": "172.31.255.255",
        "end_of_shared": "100.127.255.255",
        "end_of_benchmarking": "198.19.255.255",
        "end_of_multicast": "239.255.255.255",
        "second_documentation": "198.51.100.1",
        "third_documentation": "203.0.113.1",
        "second_documentation_ipv6": "[3fff::1]",
        "end_of_second_documentation_ipv6": "[3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff]",
        "protocol_assignments_ipv6": "[2001:1::1]",
        "benchmarking_ipv6": "[2001:2::1]",
        "amt": "[2001:3::1]",
        "as112": "[2001:4:112::1]",
        "orchid": "[2001:20::1]",
        "drone_id": "[2001:30::1]",
        "end_of_protocol_assignments_ipv6": "[2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff]",
        "end_of_teredo": "[2001:0:ffff:ffff:ffff:ffff:5da3:27dd]",
        "end_of_unique_local": "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]",
        "end_of_link_local_ipv6": "[febf::1]",
        "multicast_ipv6": "[ff02::1]",
        "outside_global_unicast": "[4000::1]",
        "isatap_of_a_global_identifier": "[2a00:1450:4001:800:200:5efe:a00:1]",
    }.items():
        error = {"kind": "egress_denied", "stage": "resolve", "sent": "nothing"}
        address = ipaddress.ip_address(host.strip("[]"))
        # Python and Rust write an IPv4 address inside an IPv6 address differently.
        if address.version == 4 or not host.startswith(("[::", "[64:")):
            error["context"] = {"address": str(address)}
        expect = {"error": error}
        yield case(f"to_{name}", "deliver", {"url": f"https://{host}:9/hook", "body": "{}"}, expect)


def tenant_rules():
    def of(name, given, expect):
        return case(name, "tenant_rule", given, expect)

    for name, template in {
        "last_segment": "spiffe://corp.example/tenant/{tenant}",
        "middle_segment": "spiffe://corp.example/tenant/{tenant}/webhooks",
        "only_segment": "https://corp.example/{tenant}",
    }.items():
        yield of(name, {"san_uri": template}, OK)
    for name, template in {
        "empty": "",
        "without_tenant": "spiffe://corp.example/tenant",
        "tenant_twice": "spiffe://corp.example/{tenant}/{tenant}",
        "part_of_a_segment": "spiffe://corp.example/tenant-{tenant}",
        "start_of_a_segment": "spiffe://corp.example/{tenant}-x",
        "in_the_host": "spiffe://{tenant}/webhooks",
        "in_the_scheme": "{tenant}://corp.example/webhooks",
        "alone": "{tenant}",
        "misspelled": "spiffe://corp.example/{tenent}",
        "other_case": "spiffe://corp.example/{Tenant}",
        "open_brace": "spiffe://corp.example/{tenant",
        "no_spiffe_id_scheme": "SPIFFE://corp.example/{tenant}",
        "no_spiffe_id_domain": "spiffe://Corp.example/{tenant}",
        "no_spiffe_id_port": "spiffe://corp.example:443/{tenant}",
        "no_spiffe_id_climbing": "spiffe://corp.example/../{tenant}",
        "no_spiffe_id_empty_segment": "spiffe://corp.example//{tenant}",
        "no_spiffe_id_trailing_slash": "spiffe://corp.example/{tenant}/",
        "no_spiffe_id_percent": "spiffe://corp.example/%61/{tenant}",
        "no_spiffe_id_query": "spiffe://corp.example/{tenant}/a?b",
        "climbing": "https://corp.example/../{tenant}",
        "fragment": "https://corp.example/{tenant}/a#b",
    }.items():
        yield of(name, {"san_uri": template}, refused("option_invalid"))
    yield of("dns_suffix", {"san_dns_suffix": "tenants.example.test"}, OK)
    yield of("dns_suffix_empty", {"san_dns_suffix": ""}, refused("option_invalid"))
    for name, suffix in {"start": "-tenants.example.test", "end": "tenants-.example.test"}.items():
        yield of(
            f"dns_suffix_hyphen_at_{name}", {"san_dns_suffix": suffix}, refused("option_invalid")
        )
    yield of(
        "dns_suffix_with_space",
        {"san_dns_suffix": "tenants example.test"},
        refused("option_invalid"),
    )


def authorizations():
    def of(name, given, expect):
        return case(name, "authorization", given, expect)

    bad = refused("option_invalid")
    yield of("list", {"san_uris": ["spiffe://corp.example/tenant/acme"]}, OK)
    yield of("list_empty", {"san_uris": []}, bad)
    yield of("list_with_empty_entry", {"san_uris": ["spiffe://corp.example/tenant/acme", ""]}, bad)
    yield of("list_of_another_scheme", {"san_uris": ["urn:uuid:1-2", "https://corp.example/a"]}, OK)
    for name, entry in {
        "relative": "//corp.example/acme",
        "spaced": "https://corp.example/a b",
        "no_spiffe_id_scheme": "SPIFFE://corp.example/acme",
        "no_spiffe_id_domain": "spiffe://corp_EXAMPLE/acme",
        "no_spiffe_id_user": "spiffe://user@corp.example/acme",
        "no_spiffe_id_climbing": "spiffe://corp.example/a/../b",
        "no_spiffe_id_dots": "spiffe://corp.example/...",
        "no_spiffe_id_empty_segment": "spiffe://corp.example//acme",
        "no_spiffe_id_trailing_slash": "spiffe://corp.example/acme/",
        "no_spiffe_id_percent": "spiffe://corp.example/%61cme",
        "no_spiffe_id_query": "spiffe://corp.example/acme?a=b",
        "no_spiffe_id_fragment": "spiffe://corp.example/acme#a",
        "no_spiffe_id_long": "spiffe://corp.example/" + "a" * 2030,
    }.items():
        yield of(f"list_{name}", {"san_uris": [entry]}, bad)
    yield of("trust_domain", {"trust_domain": "corp.example"}, OK)
    yield of("trust_domain_longest", {"trust_domain": "d" * 255}, OK)
    yield of("trust_domain_too_long", {"trust_domain": "d" * 256}, bad)
    yield of("trust_domain_in_capitals", {"trust_domain": "Corp.Example"}, bad)
    yield of("trust_domain_with_port", {"trust_domain": "corp.example:443"}, bad)
    yield of("trust_domain_empty", {"trust_domain": ""}, bad)
    yield of("trust_domain_with_path", {"trust_domain": "corp.example/tenant"}, bad)
    yield of("trust_domain_as_uri", {"trust_domain": "spiffe://corp.example"}, bad)


def verifiers():
    def of(name, expect, role="client", **more):
        return case(name, "verifier", {"role": role} | more, expect)

    bad = refused("option_invalid")
    rule = {"san_uri": "spiffe://corp.example/tenant/{tenant}"}
    yield of("client_with_tenant", OK, tenant=rule)
    yield of("client_with_members", OK, authorization={"ca_members": True})
    yield of("client_without_authorization", bad)
    yield of("server_without_authorization", OK, role="server")
    yield of("strict_purpose", OK, role="server", options={"strict_purpose": True})
    yield of("reload_never", OK, role="server", options={"reload": 0})
    yield of("expiry_warning_whole", bad, role="server", options={"expiry_warning": 1})
    yield of("server_uri_no_uri", bad, role="server", options={"server_uri": "acme"})
    for name, no_id in {"climbing": "/a/../b", "percent": "/%61", "query": "/a?b"}.items():
        expected = {"server_uri": "spiffe://corp.example" + no_id}
        yield of(f"server_uri_{name}", bad, role="server", options=expected)
    yield of("unknown_option", bad, role="server", options={"strict": True})
    yield of("pins_empty", refused("pin_invalid"), role="server", pins={"current": [], "next": []})
    public = {"anchors": WEB.pem, "dangerous_public": True}
    yield of("public_trust", bad, role="server", trust=public)
    yield of("public_trust_pinned", bad, role="server", trust=public, pins={"current": [SPKI]})
    expired = authority("Dead Config Root", key("dead config root"), valid=(LONG_AGO, LONG_AGO_END))
    yield of("trust_expired", OK, role="server", trust={"anchors": expired.pem})
