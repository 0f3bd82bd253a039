"""The webhook cases: the expected verdict on a received webhook of a verified peer.

Each case has one fault and is otherwise valid, so that the kind can only come from that fault.
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from forge import key, uri
from verify_cases import AT, ISSUING, ROOT, client_leaf, text

NOW = int(AT.timestamp())
TEMPLATE = "spiffe://corp.example/tenant/{tenant}"
BODY = '{"event":"ping"}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AUDIENCE = "https://hooks.acme.example"
ISSUER = "https://sender.example"

ACME = client_leaf()
RENEWED = client_leaf(label="client leaf renewed")
GLOBEX = client_leaf(
    label="globex leaf", subject="globex", sans=uri("spiffe://corp.example/tenant/globex")
)
UNNAMED = client_leaf(label="unnamed leaf", subject="unnamed", sans=uri("urn:a:b", "urn:a:c"))

P256 = key("jwt p256")
OTHER_P256 = key("jwt p256 other")
P384 = key("jwt p384", "p384")
ED25519 = key("jwt ed25519", "ed25519")
RSA = key("jwt rsa", "rsa2048")
SIGNER = key("webhook ed25519", "ed25519")


def fixtures():
    def peer(leaf, **rule):
        chain = text([leaf, ISSUING])
        return {
            "trust": {"anchors": text([ROOT])},
            "chain": chain,
            "at": NOW,
            "role": "client",
        } | rule

    tenant = {"tenant": {"san_uri": TEMPLATE}}
    return {
        "acme": peer(ACME, **tenant),
        "renewed": peer(RENEWED, **tenant),
        "globex": peer(GLOBEX, **tenant),
        "unnamed": peer(UNNAMED, authorization={"ca_members": True}),
    }


def encode(data):
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def algorithm(private):
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return "ES256"
    return "EdDSA" if isinstance(private, ed25519.Ed25519PrivateKey) else "RS256"


def signature(private, message, *, der=False):
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(message, padding.PKCS1v15(), hashes.SHA256())
    made = private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    if der:
        return made
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    return b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(made))


def token(private=P256, leaf=ACME, *, header=None, drop=(), der=False, **claims):
    head = {"alg": algorithm(private), "typ": "JWT"} | (header or {})
    usual = {"iat": NOW, "exp": NOW + 60, "jti": "jti-1", "cnf": {"x5t#S256": leaf.x5t_s256}}
    body = {name: value for name, value in (usual | claims).items() if name not in drop}
    signed = f"{encode(head)}.{encode(body)}"
    return f"{signed}.{encode(signature(private, signed.encode(), der=der))}"


def digest(body=BODY):
    value = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    return {"content_digest": f"sha-256=:{value}:"}


def public_pem(private):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def jwk(private, **members):
    public = private.public_key()
    if isinstance(private, ed25519.Ed25519PrivateKey):
        raw = public.public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)} | members
    numbers = public.public_numbers()
    if isinstance(private, rsa.RSAPrivateKey):

        def part(number):
            return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))

        return {"kty": "RSA", "n": part(numbers.n), "e": part(numbers.e)} | members
    size = (private.key_size + 7) // 8
    x, y = (encode(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": f"P-{private.key_size}", "x": x, "y": y} | members


def jwks(*keys):
    return json.dumps({"keys": list(keys)})


def sign(secret, identifier="evt_1", stamp=NOW, body=BODY):
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{identifier}.{stamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(raw, message, "sha256")).decode()


def sign_asymmetric(identifier="evt_1", stamp=NOW, body=BODY):
    made = SIGNER.sign(f"{identifier}.{stamp}.{body}".encode())
    return "v1a," + base64.b64encode(made).decode()


PUBLIC_SECRET = "whpk_" + base64.b64encode(SIGNER.public_key().public_bytes_raw()).decode()


def signed(signatures, identifier="evt_1", stamp=NOW):
    return [
        ["webhook-id", identifier],
        ["webhook-timestamp", str(stamp)],
        ["webhook-signature", signatures],
    ]


def bearer(made):
    return [["authorization", f"Bearer {made}"]]


def refused(kind, cause=None, **context):
    stage = "config" if kind in ("option_invalid", "pem_invalid") else "verify"
    error = {"kind": kind, "stage": stage}
    if cause is not None:
        context["cause"] = cause
    if context:
        error["context"] = context
    return {"error": error}


def accepted(**fields):
    return {"ok": {"tenant": "acme", "duplicate": False} | fields}


def case(name, expect, *, headers=(), peer="acme", body=BODY, at=NOW, **more):
    given = {"name": f"webhook_{name}", "peer": peer, "headers": list(headers), "body": body}
    return given | {"at": at} | more | {"expect": expect}


def signatures():
    invalid = "signature_invalid"

    def of(name, expect, headers, *, secrets=(SECRET,), **more):
        secrets = secrets if isinstance(secrets, dict) else list(secrets)
        return case(f"signature_{name}", expect, headers=headers, secrets=secrets, **more)

    good = signed(sign(SECRET))
    passed = accepted(scheme="v1", secret=1, id="evt_1", timestamp_ms=NOW * 1000, claims={})
    yield of("hmac", passed, good)
    yield of("names_in_any_case", passed, [[name.title(), value] for name, value in good])
    other = [["x-a", "1"], ["x-a", "2"], ["cookie", "caf\u00e9"]]
    yield of("other_headers_are_ignored", passed, other + good)
    ed = accepted(scheme="v1a", secret=1)
    yield of("ed25519", ed, signed(sign_asymmetric()), secrets=[PUBLIC_SECRET])
    both = f"{sign(OTHER_SECRET)} {sign_asymmetric()}"
    yield of("second_secret", accepted(secret=2), signed(both), secrets=[SECRET, OTHER_SECRET])
    later = f"v2,AAAA {sign(SECRET)}"
    yield of("scheme_of_a_later_version_is_ignored", passed, signed(later))
    yield of("token_is_ignored_without_keys", passed, good + bearer("hunter2"))
    own = {"acme": [SECRET], "globex": [OTHER_SECRET]}
    yield of("own_secret", passed, good, secrets=own)
    yield of(
        "secret_of_another_tenant",
        refused(invalid, "signature_mismatch"),
        signed(sign(OTHER_SECRET)),
        secrets=own,
    )
    yield of(
        "tenant_without_secrets",
        refused("tenant_refused", "tenant_without_keys"),
        good,
        secrets={"globex": [SECRET]},
    )
    yield of(
        "peer_without_tenant",
        refused("tenant_refused", "peer_without_tenant"),
        good,
        peer="unnamed",
    )
    yield of("wrong_secret", refused(invalid, "signature_mismatch"), signed(sign(OTHER_SECRET)))
    yield of("changed_body", refused(invalid, "signature_mismatch"), good, body=BODY + " ")
    moved = signed(sign(SECRET), identifier="evt_2")
    yield of("changed_id", refused(invalid, "signature_mismatch"), moved)
    moved = signed(sign(SECRET), stamp=NOW + 1)
    yield of("changed_timestamp", refused(invalid, "signature_mismatch"), moved)
    yield of("of_another_scheme", refused(invalid), signed(sign(SECRET).replace("v1,", "v1a,")))
    yield of("not_base64", refused(invalid), signed("v1,hunter2!"))
    yield of("empty", refused(invalid), signed(""))
    old = NOW - 300
    yield of("at_the_tolerance", accepted(), signed(sign(SECRET, stamp=old), stamp=old))
    for name, stamp in (("old", NOW - 301), ("ahead", NOW + 301)):
        headers = signed(sign(SECRET, stamp=stamp), stamp=stamp)
        late = refused(invalid, "timestamp_out_of_tolerance")
        yield of(name, late, headers)
        wider = {"timestamp_tolerance": 600000}
        yield of(f"{name}_within_the_option", accepted(), headers, options=wider)
    for stamp in ("", "+1780272000", "1780272000.0", " ", "0x6a1d", "99999999999999999999"):
        name = f"timestamp_{stamp.strip() or len(stamp)}"
        yield of(name, refused(invalid), signed(sign(SECRET, stamp=stamp), stamp=stamp))
    stop = signed(sign(SECRET, "evt.1"), identifier="evt.1")
    yield of("id_with_full_stop", refused(invalid), stop)
    for at, (name, _) in enumerate(good):
        missing = refused(invalid, "signature_missing", header=name)
        yield of(f"without_{name}", missing, good[:at] + good[at + 1 :])
        twice = refused(invalid, "header_repeated", header=name)
        yield of(f"with_two_{name}", twice, [*good, good[at]])
    many = " ".join(["v1,AAAA"] * 16 + [sign(SECRET)])
    yield of("too_many", refused(invalid, limit=16), signed(many))
    yield of("too_long", refused(invalid, limit=4096), signed("v1," + "A" * 4096))
    yield of("seen_before", accepted(duplicate=True), good, seen=True)
    yield of("seen_before_but_invalid", refused(invalid), signed("v1,AAAA"), seen=True)


def tokens():
    invalid = "token_invalid"

    def of(name, expect, made, *, keys=None, headers=(), **more):
        keys = public_pem(P256) if keys is None else keys
        headers = [*headers, *(bearer(made) if isinstance(made, str) else made)]
        return case(f"token_{name}", expect, headers=headers, keys=keys, **more)

    passed = accepted(algorithm="ES256", scheme=None, secret=None, id="jti-1")
    yield of("es256", passed, token())
    yield of("eddsa", accepted(algorithm="EdDSA"), token(ED25519), keys=public_pem(ED25519))
    renamed = token(ED25519, header={"alg": "Ed25519"})
    yield of("ed25519_of_rfc_9864", accepted(algorithm="EdDSA"), renamed, keys=public_pem(ED25519))
    yield of("rs256", accepted(algorithm="RS256"), token(RSA), keys=public_pem(RSA))
    yield of("scheme_in_lower_case", passed, [["authorization", f"bearer {token()}"]])
    yield of("certificate_as_key", passed, token(key("client leaf")), keys=ACME.pem)
    known = jwks(jwk(P384, kid="a"), jwk(ED25519, kid="b"), jwk(P256, kid="c"))
    yield of("key_id", accepted(key_id="c"), token(header={"kid": "c"}), keys=known)
    yield of("without_key_id", accepted(key_id="c"), token(), keys=known)
    single = json.dumps(jwk(P256))
    yield of("single_jwk", passed, token(), keys=single)
    unknown = refused(invalid, "token_key_unknown")
    yield of("unknown_key_id", unknown, token(header={"kid": "d"}), keys=known)
    yield of("key_id_is_no_text", refused(invalid, "token_malformed"), token(header={"kid": 7}))
    confused = refused(invalid, "token_algorithm")
    yield of("key_id_of_another_type", confused, token(header={"kid": "b"}), keys=known)
    signing_input = f"{encode({'alg': 'HS256'})}.{encode({'exp': NOW + 60})}"
    forged = hmac.digest(public_pem(P256).encode(), signing_input.encode(), "sha256")
    yield of("public_key_as_secret", confused, f"{signing_input}.{encode(forged)}")
    yield of("other_algorithm_of_the_key", confused, token(header={"alg": "ES384"}))
    unsigned = refused(invalid, "token_unsigned")
    for name in ("none", "NONE", "nOnE"):
        made = token(header={"alg": name})
        yield of(f"algorithm_{name}", unsigned, made[: made.rindex(".") + 1])
    yield of("wrong_key", refused(invalid, "token_signature"), token(OTHER_P256))
    yield of("signature_in_der", refused(invalid, "token_signature"), token(der=True))
    head, _, proof = token().split(".")
    changed = f"{head}.{encode({'exp': NOW + 600})}.{proof}"
    yield of("changed_claims", refused(invalid, "token_signature"), changed)
    yield of("critical_extension", refused(invalid), token(header={"crit": ["b64"], "b64": True}))
    malformed = refused(invalid, "token_malformed")
    made = token()
    for name, text_ in (
        ("two_parts", made.rsplit(".", 1)[0]),
        ("four_parts", f"{made}.AAAA"),
        ("padding", f"{made}="),
        ("no_json", f"AAAA.AAAA.{proof}"),
        ("no_object", f"{encode([])}.{encode([])}.{proof}"),
        ("no_algorithm", f"{encode({})}.{encode({})}.{proof}"),
        ("expiry_is_text", token(exp="never")),
    ):
        yield of(f"malformed_{name}", malformed, text_)
    yield of("too_long", refused(invalid, limit=16384), "A" * 16384)
    expired = refused(invalid, "token_expired")
    yield of("expired", expired, token(iat=NOW - 90, exp=NOW - 30))
    yield of("expired_within_the_tolerance", passed, token(iat=NOW - 89, exp=NOW - 29))
    wider = {"token_tolerance": 60000}
    yield of("expired_within_the_option", passed, token(exp=NOW - 59), options=wider)
    yield of("without_expiry", expired, token(drop=("exp",)))
    early = refused(invalid, "token_not_yet_valid")
    yield of("not_before", early, token(nbf=NOW + 31))
    yield of("not_before_within_the_tolerance", passed, token(nbf=NOW + 30))
    yield of("issued_in_the_future", early, token(iat=NOW + 31))
    yield of("date_with_a_fraction", passed, token(exp=NOW + 0.5))
    aud = {"audience": AUDIENCE}
    yield of("audience", passed, token(aud=AUDIENCE), options=aud)
    yield of("audience_of_several", passed, token(aud=["b", AUDIENCE]), options=aud)
    other = refused(invalid, "token_audience")
    yield of("other_audience", other, token(aud=AUDIENCE + "/"), options=aud)
    yield of("other_audiences", other, token(aud=["a", "b"]), options=aud)
    yield of("without_audience", other, token(), options=aud)
    yield of("unexpected_audience", other, token(aud=AUDIENCE))
    iss = {"issuer": ISSUER}
    yield of("issuer", passed, token(iss=ISSUER), options=iss)
    yield of("other_issuer", refused(invalid, "token_issuer"), token(iss="b"), options=iss)
    yield of("without_issuer", refused(invalid, "token_issuer"), token(), options=iss)
    yield of("unbound", refused(invalid, "token_unbound"), token(drop=("cnf",)))
    thumbprint = {"jkt": "AAAA"}
    yield of("bound_to_a_key", refused(invalid, "token_unbound"), token(cnf=thumbprint))
    elsewhere = refused(invalid, "token_of_another_certificate")
    yield of("of_another_certificate", elsewhere, token(leaf=GLOBEX))
    yield of("of_the_former_certificate", elsewhere, token(), peer="renewed")
    yield of("of_the_new_certificate", passed, token(leaf=RENEWED), peer="renewed")
    claim = {"tenant_claim": "tenant"}
    yield of("tenant", passed, token(tenant="acme"), options=claim)
    mixed = refused("tenant_refused", "token_of_another_tenant")
    yield of("other_tenant", mixed, token(tenant="globex"), options=claim)
    yield of("without_tenant", mixed, token(), options=claim)
    own = {"acme": public_pem(OTHER_P256), "globex": public_pem(P256)}
    yield of("key_of_another_tenant", refused(invalid, "token_signature"), token(), keys=own)
    yield of("own_key", passed, token(OTHER_P256), keys=own)
    yield of("digest", passed, token(**digest()))
    yield of(
        "digest_of_another_body", refused(invalid, "token_of_another_body"), token(**digest(""))
    )
    required = {"content_digest": True}
    yield of("required_digest", passed, token(**digest()), options=required)
    none = refused(invalid, "token_without_digest")
    yield of("without_required_digest", none, token(), options=required)
    named = [["webhook-id", "evt_1"]]
    same = accepted(id="evt_1")
    yield of("webhook_id", same, token(webhook_id="evt_1"), headers=named)
    moved = refused(invalid, "token_of_another_id")
    yield of("other_webhook_id", moved, token(webhook_id="evt_2"), headers=named)
    yield of("webhook_id_without_header", moved, token(webhook_id="evt_1"))
    missing = refused(invalid, "token_missing")
    yield of("missing", missing, [])
    yield of("other_scheme", missing, [["authorization", "Basic aHVudGVyMjpodW50ZXIy"]])
    twice = refused(invalid, "header_repeated", header="authorization")
    yield of("twice", twice, bearer(token()) + bearer(token()))
    yield of("seen_before", accepted(duplicate=True), token(), seen=True)


def together():
    def of(name, expect, headers, **more):
        usual = {"secrets": [SECRET], "keys": public_pem(P256)}
        return case(f"both_{name}", expect, headers=headers, **usual | more)

    proof, made = signed(sign(SECRET)), bearer(token())
    yield of("valid", accepted(scheme="v1", algorithm="ES256", id="evt_1"), proof + made)
    yield of("without_token", refused("token_invalid", "token_missing"), proof)
    yield of("without_signature", refused("signature_invalid", "signature_missing"), made)
    no_token, no_proof = {"require_token": False}, {"require_signature": False}
    yield of("token_not_required", accepted(algorithm=None), proof, options=no_token)
    yield of("signature_not_required", accepted(scheme=None), made, options=no_proof)
    wrong = bearer(token(OTHER_P256))
    yield of(
        "token_not_required_but_wrong", refused("token_invalid"), proof + wrong, options=no_token
    )
    neither = no_token | no_proof
    yield of("neither_required_nor_sent", refused("token_invalid"), [], options=neither)
    stolen = proof + bearer(token(leaf=GLOBEX))
    yield of("token_of_another_peer", refused("token_invalid"), stolen)


def configuration():
    def of(name, expect, **more):
        return case(f"config_{name}", expect, headers=signed(sign(SECRET)), **more)

    option = "option_invalid"
    yield of("nothing", refused(option))
    yield of("secret_without_prefix", refused(option, position=1), secrets=["hunter2"])
    yield of("private_secret", refused(option, position=2), secrets=[SECRET, "whsk_AAAA"])
    yield of("nine_secrets", refused(option), secrets=[SECRET] * 9)
    yield of(
        "audience_without_keys",
        refused(option, option="audience"),
        secrets=[SECRET],
        options={"audience": AUDIENCE},
    )
    pem = "pem_invalid"
    private = P256.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    yield of("private_key", refused(pem), keys=private)
    yield of("private_jwk", refused(pem), keys=json.dumps(jwk(ED25519, d="AAAA")))
    yield of("symmetric_jwk", refused(pem), keys=jwks({"kty": "oct", "k": "AAAA"}))
    yield of("p384", refused(pem), keys=public_pem(P384))
    yield of("small_rsa", refused(pem), keys=public_pem(key("small rsa", "rsa1024")))
    yield of("no_keys", refused(pem), keys=jwks())
    yield of("keys_for_encryption", refused(pem), keys=jwks(jwk(P256, use="enc")))
    yield of(
        "two_keys_of_one_name", refused(pem), keys=jwks(jwk(P256, kid="a"), jwk(ED25519, kid="a"))
    )
    yield of("text_as_keys", refused(pem), keys="hunter2")


def cases():
    return [*signatures(), *tokens(), *together(), *configuration()]
