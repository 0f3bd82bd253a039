"""Compares verdicts on generated chains: this library, webpki, OpenSSL (strict) and Go.

    python tests/paths/differential.py PROGRAM COUNT SEED [--show]

PROGRAM is the program `paths`. Each chain is valid except for up to two random changes. Two kinds
of difference need a reason, which belongs to a change:

- the library accepts what OpenSSL (strict) or Go refuses (ACCEPTED);
- the library refuses what webpki, OpenSSL and Go all accept (REFUSED).

A difference without a reason fails, and so does a reason that no chain needs. Go is left out if it
is not installed.
"""

import ipaddress
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vectors"))

from cryptography import x509  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

import forge  # noqa: E402

HOST = "api.example.test"
AT = forge.day(2026, 6, 1)

# Why the library accepts a change that another verifier refuses. The change is given by the start
# of its name.
ACCEPTED = {
    ("no_aki", "openssl"): "The strict mode requires key identifiers. Here the signature decides.",
    ("aki_of_another_key", "openssl"): "A wrong key identifier is a note; the signature decides.",
    (
        "no_key_usage_of_ca",
        "openssl",
    ): "RFC 5280 section 6.1.4 (n) checks keyUsage if it is present.",
    (
        "ca_for_any",
        "openssl",
    ): "anyExtendedKeyUsage of a CA sets no limit (RFC 5280 section 4.2.1.12).",
    ("issuer_spelled", "go"): "Names are compared by RFC 5280 section 7.1, not by bytes.",
    ("self_issued", "go"): "Self-issued CAs do not count (RFC 5280 section 4.2.1.9).",
    ("directory_", "go"): "Go has no constraints for directoryName.",
    ("other_name_", "go"): "A constraint only matters if a name of its type occurs.",
    (
        "uri_excluded_below",
        "go",
    ): "A URI constraint is that host alone (RFC 5280 section 4.2.1.10).",
}
# Why the library refuses a change that all others accept.
REFUSED = {
    "nul": "A program in C would read the name up to the NUL.",
    "rsa1024": "RSA below 2048 bits is never accepted.",
    "policy_constraints_not_critical": "RFC 5280 section 4.2.1.11 requires that they are critical.",
    "root_explicit_policy": "The policy constraints of an anchor are those of an intermediate.",
    "leaf_constrained": "Name constraints in a leaf are a right that only a CA may have.",
    "leaf_usage_without_signature": "Such a leaf cannot sign a handshake of TLS 1.3.",
}


class Chain:
    """A chain under construction: options of `forge.mint` for the root, the CAs and the leaf."""

    def __init__(self, rng):
        self.rng = rng
        self.tags = []
        usage = {"ca": True, "usage": ("key_cert_sign", "crl_sign")}
        self.root = {"subject": "Diff Root", "label": "diff root", **usage}
        depth = rng.choice([0, 1, 1, 2, 3])
        self.cas = [
            {"subject": f"Diff CA {at}", "label": f"diff ca {at}", **usage} for at in range(depth)
        ]
        self.leaf = {
            "subject": "consumer",
            "label": "diff leaf",
            "valid": (forge.day(2026, 5, 2), forge.day(2026, 7, 1)),
            "ca": False,
            "usage": ("digital_signature",),
            "purposes": (forge.SERVER_AUTH,),
            "sans": forge.dns(HOST),
        }

    def some_ca(self):
        return self.rng.choice(self.cas or [self.root])

    def extend(self, options, *extensions):
        options["extra"] = [*options.get("extra", ()), *extensions]

    def constrain(self, *, permitted=None, excluded=None, sans=None, ca=None):
        ca = ca or self.some_ca()
        ca["constraints"] = x509.NameConstraints(permitted, excluded)
        if sans:
            self.leaf["sans"] = sans

    def minted(self):
        made = []
        issuer = None
        for options in [self.root, *self.cas, self.leaf]:
            options = dict(options)
            named = options.pop("issuer_name", None)
            private = forge.key(options.pop("label"), options.pop("kind", "p256"))
            if not options.get("ca"):
                options["path_length"] = None
            above = issuer
            if above is not None and named is not None:
                above = _renamed(above, named)
            issuer = forge.mint(options.pop("subject"), private, above, **options)
            made.append(issuer)
        return made


def _renamed(issuer, name):
    return forge.Certificate(issuer.der, name, issuer.key, issuer.serial)


def spelled(chain, at):
    upper = chain["subject"].upper()
    return forge.spelled(upper if at else chain["subject"], "PrintableString")


def changes():
    """The changes: a name, and a function of the chain."""
    dns, uri = forge.dns, forge.uri
    spiffe = "spiffe://corp.example/x"

    def emails(*names):
        return [x509.RFC822Name(name) for name in names]

    def addresses(*names):
        return [x509.IPAddress(ipaddress.ip_network(name)) for name in names]

    def directory(value):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])
        return [x509.DirectoryName(name)]

    other = [x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.32473.2"), b"\x0c\x01a")]

    def policy(*names):
        parts = [forge.sequence(forge.oid(name)) for name in names]
        return forge.extension("2.5.29.32", forge.sequence(*parts))

    def requiring(critical=True):
        return forge.extension("2.5.29.36", forge.sequence(forge.value(0x80, b"\0")), critical)

    first, second = "1.3.6.1.4.1.32473.10", "1.3.6.1.4.1.32473.11"
    strange = forge.extension("1.3.6.1.4.1.32473.1", forge.octets(b"?"), critical=True)
    old = (forge.LONG_AGO, forge.LONG_AGO_END)
    usage = ("digital_signature", "key_cert_sign")

    def self_issued(c):
        ca = dict(c.cas[-1]) if c.cas else dict(c.root)
        if c.cas:
            c.cas[-1] = {**ca, "path_length": 0}
            c.cas.append({**ca, "label": "diff renewed", "path_length": 0})

    def assert_policies(c, of_leaf):
        for ca in c.cas:
            c.extend(ca, policy(first))
        if of_leaf:
            c.extend(c.leaf, policy(of_leaf))
        if c.cas:
            c.extend(c.cas[0], requiring())

    return {
        "expired_ca": lambda c: c.some_ca().update(valid=old),
        "expired_leaf": lambda c: c.leaf.update(valid=old),
        "ca_is_none": lambda c: c.some_ca().update(ca=False),
        "basic_absent": lambda c: c.some_ca().update(ca=None),
        "short_ca": lambda c: c.some_ca().update(path_length=0),
        "root_short": lambda c: c.root.update(path_length=0),
        "ca_may_not_sign": lambda c: c.some_ca().update(usage=("digital_signature",)),
        "no_key_usage_of_ca": lambda c: c.some_ca().update(usage=()),
        "ca_for_clients": lambda c: [ca.update(purposes=(forge.CLIENT_AUTH,)) for ca in c.cas[:1]],
        "root_without_role": lambda c: c.root.update(purposes=(forge.CLIENT_AUTH,)),
        "ca_for_any": lambda c: c.some_ca().update(purposes=(forge.ANY_PURPOSE,)),
        "leaf_for_clients": lambda c: c.leaf.update(purposes=(forge.CLIENT_AUTH,)),
        "any_purpose_alone": lambda c: c.leaf.update(purposes=(forge.ANY_PURPOSE,)),
        "any_purpose_beside": lambda c: c.leaf.update(
            purposes=(forge.ANY_PURPOSE, forge.SERVER_AUTH)
        ),
        "no_purposes": lambda c: c.leaf.update(purposes=()),
        "leaf_is_ca": lambda c: c.leaf.update(ca=True, usage=usage),
        "leaf_may_sign": lambda c: c.leaf.update(usage=usage),
        "leaf_usage_without_signature": lambda c: c.leaf.update(usage=("key_encipherment",)),
        "key_usage_of_leaf_absent": lambda c: c.leaf.update(usage=()),
        "leaf_constrained": lambda c: c.leaf.update(
            constraints=x509.NameConstraints(dns("example.test"), None)
        ),
        "no_aki": lambda c: c.leaf.update(authority_key_id=None),
        "aki_of_another_key": lambda c: c.leaf.update(authority_key_id=b"another key"),
        "serial_zero": lambda c: c.leaf.update(serial=0),
        "serial_long": lambda c: c.leaf.update(serial=2**170),
        "serial_negative": lambda c: c.leaf.update(serial=-7),
        "corrupt": lambda c: c.rng.choice([*c.cas, c.leaf]).update(corrupt=True),
        "another_signer": lambda c: c.leaf.update(signer=forge.key("stranger")),
        "sha1": lambda c: c.rng.choice([*c.cas, c.leaf]).update(digest="sha1"),
        "rsa1024": lambda c: c.leaf.update(kind="rsa1024"),
        "version_1_ca": lambda c: [
            ca.update(version=1, ca=None, usage=(), authority_key_id=None) for ca in c.cas[:1]
        ],
        "strange_leaf": lambda c: c.extend(c.leaf, strange),
        "strange_ca": lambda c: c.extend(c.some_ca(), strange),
        "issuer_spelled": lambda c: c.leaf.update(
            issuer_name=spelled((c.cas or [c.root])[-1], c.rng.random() < 0.5)
        ),
        "empty_subject": lambda c: c.leaf.update(subject=[]),
        "nameless": lambda c: c.leaf.update(subject=[], sans=()),
        "another_name": lambda c: c.leaf.update(sans=dns("other.test")),
        "nul": lambda c: c.leaf.update(sans=dns(HOST, "a\0.example.test")),
        "self_issued": self_issued,
        "dns_permitted": lambda c: c.constrain(permitted=dns("example.test")),
        "dns_permitted_period": lambda c: c.constrain(permitted=dns(".example.test")),
        "dns_not_permitted": lambda c: c.constrain(permitted=dns("other.test")),
        "dns_excluded": lambda c: c.constrain(excluded=dns("example.test")),
        "excluded_wildcard": lambda c: c.constrain(
            excluded=dns("db.example.test"), sans=dns("*.example.test")
        ),
        "permitted_wildcard": lambda c: c.constrain(
            permitted=dns("example.test"), sans=dns("*.example.test")
        ),
        "root_constrained": lambda c: c.constrain(ca=c.root, permitted=dns("other.test")),
        "uri_permitted": lambda c: c.constrain(
            permitted=uri("corp.example"), sans=[*dns(HOST), *uri(spiffe)]
        ),
        "uri_below": lambda c: c.constrain(
            permitted=uri("example"), sans=[*dns(HOST), *uri(spiffe)]
        ),
        "uri_excluded_below": lambda c: c.constrain(
            excluded=uri("example"), sans=[*dns(HOST), *uri(spiffe)]
        ),
        "email_permitted": lambda c: c.constrain(
            permitted=emails("example.test"), sans=[*dns(HOST), *emails("ops@example.test")]
        ),
        "email_not_permitted": lambda c: c.constrain(
            permitted=emails("example.test"), sans=[*dns(HOST), *emails("ops@other.test")]
        ),
        "ip_not_permitted": lambda c: c.constrain(
            permitted=addresses("10.0.0.0/8"),
            sans=[*dns(HOST), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))],
        ),
        "ip_permitted": lambda c: c.constrain(
            permitted=addresses("192.0.2.0/24"),
            sans=[*dns(HOST), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))],
        ),
        "directory_permitted": lambda c: c.constrain(
            permitted=directory("CONSUMER"), ca=(c.cas or [c.root])[-1]
        ),
        "directory_not_permitted": lambda c: c.constrain(permitted=directory("somebody")),
        "directory_excluded": lambda c: c.constrain(excluded=directory("consumer")),
        "other_name_constrained": lambda c: c.constrain(permitted=other),
        "other_name_used": lambda c: c.constrain(permitted=other, sans=[*dns(HOST), *other]),
        "explicit_policy": lambda c: assert_policies(c, first),
        "policy_of_another": lambda c: assert_policies(c, second),
        "policy_missing": lambda c: assert_policies(c, None),
        "policy_constraints_not_critical": lambda c: c.extend(c.root, requiring(critical=False)),
        "root_explicit_policy": lambda c: c.extend(c.root, requiring()),
    }


def generated(count, seed):
    rng = random.Random(seed)
    known = changes()
    names = sorted(known)
    for at in range(count):
        chain = Chain(rng)
        # Each change alone first, then pairs.
        picked = [names[at % len(names)]]
        if at >= len(names):
            picked.append(rng.choice(names))
        for name in dict.fromkeys(picked):
            known[name](chain)
            chain.tags.append(name)
        root, *cas, leaf = chain.minted()
        yield {
            "tags": chain.tags,
            "anchors": root.pem,
            "leaf": leaf.pem,
            "intermediates": "".join(ca.pem for ca in reversed(cas)),
            "name": HOST,
            "at": int(AT.timestamp()),
        }


def by_program(command, cases):
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_go(cases, folder):
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        return None
    program = folder / "verify"
    subprocess.run([go, "build", "-o", program, HERE / "verify.go"], check=True)
    return by_program([program], cases)


def main():
    program, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    cases = list(generated(count, seed))
    ours = by_program([program, "judge"], cases)
    openssl = by_program([sys.executable, HERE / "openssl.py"], cases)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        go = by_go(cases, folder)
    surprises, used, verdicts = [], Counter(), Counter()
    for at, case in enumerate(cases):
        others = {"webpki": ours[at]["webpki"], "openssl": openssl[at]}
        if go:
            others["go"] = go[at]
        mine = ours[at]["library"]
        verdicts[mine["accepted"]] += 1
        if "--show" in sys.argv:
            shown = {name: other["accepted"] or other["why"][:90] for name, other in others.items()}
            print(case["tags"], mine["accepted"] or mine["why"][:120], shown)
        if missing := unexplained(case["tags"], mine, others, used):
            whys = {name: other["why"] or "accepted" for name, other in others.items()}
            surprises.append(f"{case['tags']}, {missing}: {mine['why'] or 'accepted'}; {whys}")
    needed = [reason for reason in [*ACCEPTED, *REFUSED] if go or "go" not in reason]
    surprises += [f"no chain needs the reason {reason}" for reason in needed if not used[reason]]
    for surprise in surprises:
        print(surprise)
    print(
        f"differential: {count} passed, {len(surprises)} failed, {verdicts[True]} accepted, "
        f"{used.total()} differences with a reason{'' if go else ', without Go'}"
    )
    return 1 if surprises or not verdicts[True] or not verdicts[False] else 0


def unexplained(tags, mine, others, used):
    """Returns the difference that has no reason, and counts the reasons that apply."""
    if mine["accepted"]:
        for name in ("openssl", "go"):
            if name not in others or others[name]["accepted"]:
                continue
            reasons = (reason for reason in ACCEPTED if reason[1] == name)
            reason = next(
                (one for one in reasons if any(tag.startswith(one[0]) for tag in tags)), None
            )
            if reason is None:
                return f"accepted here, refused by {name}"
            used[reason] += 1
    elif all(other["accepted"] for other in others.values()):
        reason = next((tag for tag in tags if tag in REFUSED), None)
        if reason is None:
            return "refused here alone"
        used[reason] += 1
    return None


if __name__ == "__main__":
    sys.exit(main())
