"""Runs the shared vectors in Python: `vectors.py [DIRECTORY]`.

`tests/vectors/README.md` describes the format. The other languages have a runner of the same
structure.
"""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import vectors_circuit
import vectors_forwarded
import vectors_webhook

import webhook_mtls as wm
from webhook_mtls import _native
from webhook_mtls.testing import Authority, Consumer, Lab, set_clock

UNUSED_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
DURATIONS = {row["name"] for row in _native._tables()["options"] if row["kind"] == "duration"}


def data(with_: Any, name: str) -> bytes:
    """Returns the bytes of an argument: text, or hex under its name and `_hex`."""
    hexed = with_.get(f"{name}_hex")
    return bytes.fromhex(hexed) if hexed is not None else with_[name].encode()


def configure(case: Any, fixtures: Any) -> Any:
    with_ = case["with"]
    own: Any = {
        "identity": wm.Identity.from_pem(
            fixtures["identity"]["cert"].encode(), fixtures["identity"]["key"].encode()
        ),
        "trust": trust(fixtures["trust"]),
    }
    match case["do"]:
        case "identity_from_pem":
            key = {"passphrase": with_["passphrase"].encode()} if "passphrase" in with_ else {}
            read = wm.Identity.from_pem(data(with_, "cert"), data(with_, "key"), **key)
            return {"notes": read.notes}
        case "identity_from_pkcs12":
            read = wm.Identity.from_pkcs12(data(with_, "data"), with_["passphrase"].encode())
            return {"notes": read.notes}
        case "trust_from_pem":
            return {"notes": len(trust(with_).notes)}
        case "pins":
            wm.Pins(**with_)
        case "standard_webhooks":
            wm.StandardWebhooks(**with_)
        case "pin_of":
            return {"pin": wm.pin_of(with_["cert"].encode())}
        case "egress":
            wm.Egress(**with_)
        case "dispatcher":
            if "trust" in with_:
                own["trust"] = trust(with_["trust"])
            wm.Dispatcher(**own, **options(with_))
        case "endpoint":
            said: Any = options(with_) | signing(with_)
            if "pins" in with_:
                said["pins"] = None if with_["pins"] is None else wm.Pins(with_["pins"])
            if "trust" in with_:
                said["trust"] = trust(with_["trust"])
            made = wm.Dispatcher(**own).endpoint(with_["consumer"], with_["url"], **said)
            return {"url": made.url}
        case "deliver":
            dispatcher = wm.Dispatcher(**own)
            endpoint = dispatcher.endpoint("acme", with_["url"], pins=None, **signing(with_))
            dispatcher.deliver(endpoint, body(with_), **delivery(with_))
        case "merge":
            return wm.merge(
                status if isinstance(status, str) else json.dumps(status)
                for status in with_["statuses"]
            )
        case "retire":
            retiring = wm.Dispatcher(**own)
            set_clock(datetime.fromtimestamp(with_["at"], UTC))
            try:
                retiring.retire(own["identity"], force=with_["force"], fleet=with_["fleet"])
            finally:
                set_clock(None)
        case "tenant_rule":
            tenant(with_)
        case "authorization":
            authorization(with_)
        case "verifier":
            verifier(with_, trust(with_["trust"]) if "trust" in with_ else own["trust"])
        case other:
            raise LookupError(f"no operation {other}")
    return {}


def judge(case: Any) -> Any:
    return judged(case).to_dict()


def judged(case: Any) -> wm.PeerIdentity:
    at = datetime.fromtimestamp(case["at"], UTC)
    return verifier(case, trust(case["trust"])).verify(
        case["chain"].encode(), server_name=case.get("server_name"), at=at
    )


def with_keys(key_type: Any, acme: Consumer) -> dict[str, Any]:
    """Gives the receiver a certificate of another CA. Returns the dispatcher's options."""
    authority = Authority("vectors", key_type=key_type)
    acme.certify(authority)
    acme.renew(new_key=True)
    acme.accept_only(authority)
    ours = authority.issue("dispatcher")
    return {
        "identity": wm.Identity.from_pem(ours.cert_pem, ours.key_pem),
        "trust": wm.Trust.from_pem(authority.root_pem),
    }


def deliver(case: Any) -> list[str]:
    with Lab() as lab, Lab() as other:
        acme, does = lab.consumer("acme"), case["consumer"]
        if "misbehave" in does:
            acme.misbehave(does["misbehave"]["how"], times=does["misbehave"]["times"])
        for answer in does.get("respond", []):
            acme.respond(**answer)
        ours = with_keys(case["key_type"], acme) if "key_type" in case else {}
        pins = {
            "right": wm.Pins([acme.pin]),
            "wrong": wm.Pins([UNUSED_PIN]),
            "next": wm.Pins([UNUSED_PIN], next=[acme.pin]),
            "both": wm.Pins([acme.pin], next=[UNUSED_PIN]),
            "none": None,
        }[case["pins"]]
        elsewhere: Any = {"trust": other.trust} if case.get("trust") == "other" else {}
        elsewhere |= options({"options": case.get("endpoint_options", {})}) | signing(case)

        def attempts() -> Any:
            dispatcher = lab.dispatcher(**ours)
            url = acme.url.replace("127.0.0.1", case.get("host", "127.0.0.1"))
            endpoint = dispatcher.endpoint("acme", url, pins=pins, **elsewhere)
            if "renew" in does:
                acme.renew(**does["renew"])
            if "probe" in case:
                return dispatcher.probe(endpoint).to_dict()
            said = delivery(case.get("options", {}))
            for _ in range(1, case.get("deliveries", 1)):
                try:
                    dispatcher.deliver(endpoint, body(case), **said)
                except wm.WebhookMtlsError:
                    pass
            return dispatcher.deliver(endpoint, body(case), **said).to_dict()

        found = compare(case, attempts, "receipt")
        received = acme.received
        found += differences(case["received"], len(received), "received")
        if received:
            wanted_name, name = case["received_server_name"], received[-1].server_name
            found += differences(wanted_name, name, "received_server_name")
        if "received_body" in case:
            wanted = case["received_body"].encode() * case.get("repeat", 1)
            if not received or received[-1].body != wanted:
                found.append("another body was received")
        headers = received[-1].headers if received else {}
        for name, beginning in case.get("received_headers_begin", {}).items():
            if not headers.get(name, "").startswith(beginning):
                found.append(f"{name} does not begin with {beginning!r}")
        if "received_headers" in case:
            found += differences(case["received_headers"], headers, "received_headers")
        return found


# -- from JSON to the nouns ------------------------------------------------------------------------


def body(with_: Any) -> bytes:
    text: str = with_["body"]
    return text.encode() * int(with_.get("repeat", 1))


def trust(with_: Any) -> wm.Trust:
    if with_.get("exact"):
        return wm.Trust.exact(with_["anchors"].encode())
    more: Any = {"distrusted": with_["distrusted"]} if "distrusted" in with_ else {}
    if "intermediates" in with_:
        more["intermediates"] = with_["intermediates"].encode()
    crls = [text.encode() for text in with_.get("crls", [])]
    read = wm.Trust.dangerous_public if with_.get("dangerous_public") else wm.Trust.from_pem
    return read(with_["anchors"].encode(), crls=crls, **more)


def signing(with_: Any) -> Any:
    return {"signing": wm.StandardWebhooks(with_["signing"])} if "signing" in with_ else {}


def tenant(with_: Any) -> wm.TenantRule:
    ((rule, text),) = with_.items()
    return wm.TenantRule.subject_cn() if text is True else getattr(wm.TenantRule, rule)(text)


def authorization(with_: Any) -> wm.Authorization:
    ((rule, said),) = with_.items()
    return wm.Authorization.ca_members() if said is True else getattr(wm.Authorization, rule)(said)


def verifier(with_: Any, trust: wm.Trust) -> wm.Verifier:
    said = options(with_)
    if "pins" in with_:
        said["pins"] = wm.Pins(**with_["pins"])
    if "tenant" in with_:
        said["tenant"] = tenant(with_["tenant"])
    if "authorization" in with_:
        said["authorization"] = authorization(with_["authorization"])
    return wm.Verifier(role=with_["role"], trust=trust, **said)


def delivery(with_: Any) -> dict[str, Any]:
    said = {name: with_[name] for name in ("id", "content_type", "headers") if name in with_}
    if "timeout_ms" in with_:
        said["timeout"] = with_["timeout_ms"] / 1000
    return said | options(with_)


def options(with_: Any) -> dict[str, Any]:
    """Sets the case's options by name; the options table says which numbers are durations."""

    def value(name: str, said: Any) -> Any:
        is_duration = name in DURATIONS and isinstance(said, int | float)
        return said / 1000 if is_duration else said

    return {name: value(name, said) for name, said in with_.get("options", {}).items()}


# -- comparing -------------------------------------------------------------------------------------


def compare(case: Any, run: Callable[[], Any], success: str) -> list[str]:
    expected = case["expect"]
    try:
        seen, outcome = run(), success
    except wm.WebhookMtlsError as error:
        seen, outcome = error.to_dict(), "error"
    if outcome not in expected:
        return [f"{outcome} {seen}, expected {expected}"]
    return list(differences(expected[outcome], seen, outcome))


def differences(wanted: Any, seen: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(seen, dict):
        for key, value in wanted.items():
            if key in seen:
                yield from differences(value, seen[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is missing, expected {value!r}"
    elif wanted != seen or isinstance(wanted, bool) != isinstance(seen, bool):
        yield f"{path} is {seen!r}, expected {wanted!r}"


def run(file: str, case: Any, fixtures: Any) -> list[str]:
    if file == "config":
        return compare(case, lambda: configure(case, fixtures), "ok")
    if file == "verify":
        return compare(case, lambda: judge(case), "ok")
    if file == "forwarded":
        forwarded = vectors_forwarded.judge
        return compare(case, lambda: forwarded(case, fixtures, trust, verifier), "ok")
    if file == "circuit":
        return vectors_circuit.run(case, options, differences)
    if file == "webhook":
        peer = judged(fixtures[case["peer"]])
        return compare(case, lambda: vectors_webhook.run(case, peer, options), "ok")
    return deliver(case)


def main() -> int:
    home = Path(__file__).resolve().parents[2] / "tests" / "vectors"
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else home
    disagreed, ran = 0, []
    for file in ("config", "verify", "deliver", "circuit", "forwarded", "webhook"):
        vectors = json.loads((directory / f"{file}.json").read_text(encoding="utf-8"))
        for case in vectors["cases"]:
            for difference in run(file, case, vectors.get("fixtures")):
                print(f"{file}.json: {case['name']}: {difference}")
                disagreed += 1
        ran.append(f"{file} {len(vectors['cases'])}")
    print(f"vectors python: {', '.join(ran)}, disagreed {disagreed}")
    return int(disagreed > 0)


if __name__ == "__main__":
    sys.exit(main())
