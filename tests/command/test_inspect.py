"""`inspect` says what openssl says, and no input makes it panic."""

import base64
import hashlib
import json
import subprocess
import unittest
from datetime import UTC, datetime

import tools


def facts(path) -> dict:
    shown = json.loads(tools.run("inspect", "--json", path).stdout)
    return shown["files"][0]["items"][0]


def line(path, *what: str) -> str:
    """Returns what openssl shows after the equals sign."""
    return tools.openssl("x509", "-in", path, "-noout", *what).strip().split("=", 1)[1]


def millis(date: str) -> int:
    at = datetime.strptime(date, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    return int(at.timestamp() * 1000)


class Facts(unittest.TestCase):
    def test_every_certificate_as_openssl_reads_it(self):
        names = ("ca", "chain", "server", "expired", "weak", "modern", "intermediate", "wide")
        for name in names:
            path = tools.FILES / f"{name}.pem"
            seen = facts(path)
            with self.subTest(name):
                subject = line(path, "-subject", "-nameopt", "RFC2253")
                issuer = line(path, "-issuer", "-nameopt", "RFC2253")
                assert (seen["subject"], seen["issuer"]) == (subject, issuer)
                assert int(seen["serial"], 16) == int(line(path, "-serial"), 16)
                assert seen["not_before_ms"] == millis(line(path, "-startdate"))
                assert seen["not_after_ms"] == millis(line(path, "-enddate"))
                digest = line(path, "-fingerprint", "-sha256").replace(":", "").lower()
                assert seen["fingerprint"] == digest
                assert seen["spki_pin"] == pin(path)
                text = tools.openssl("x509", "-in", path, "-noout", "-text")
                assert f"Signature Algorithm: {seen['signature']}".lower() in text.lower()
                assert seen["is_ca"] == ("CA:TRUE" in text)
                for found in seen["names"]:
                    assert found in text
                shown = {"serverAuth": "TLS Web Server", "clientAuth": "TLS Web Client"}
                for purpose, words in shown.items():
                    assert (purpose in (seen["purposes"] or [])) == (words in text)

    def test_a_crl_as_openssl_reads_it(self):
        path = tools.FILES / "crl.pem"
        seen = facts(path)
        text = tools.openssl("crl", "-in", path, "-noout", "-text")
        assert seen["revoked"] == text.count("Serial Number:")
        next_update = tools.openssl("crl", "-in", path, "-noout", "-nextupdate").strip()
        assert seen["next_update_ms"] == millis(next_update.split("=", 1)[1])

    def test_encodings_of_openssl_are_the_same_certificate(self):
        place = tools.directory()
        source, key = tools.FILES / "chain.pem", tools.FILES / "client.key"
        tools.openssl("x509", "-in", source, "-outform", "DER", "-out", place / "c.der")
        tools.openssl(
            "pkcs12",
            "-export",
            "-in",
            source,
            "-inkey",
            key,
            "-passout",
            "pass:a b",
            "-out",
            place / "c.p12",
        )
        (place / "passphrase").write_text("a b\n")
        shown = tools.done(
            "inspect",
            "--json",
            "--passphrase-file",
            "passphrase",
            "c.der",
            "c.p12",
            source,
            cwd=place,
        )
        pins = {
            item["spki_pin"]
            for file in json.loads(shown)["files"]
            for item in file["items"]
            if item["type"] == "certificate" and not item["is_ca"]
        }
        assert pins == {pin(source)}
        env = tools.environment(WEBHOOK_MTLS_PASSPHRASE="a b")
        assert tools.run("inspect", "c.p12", cwd=place, env=env).returncode == 0
        assert tools.run("inspect", "c.p12", cwd=place).returncode == 3

    def test_no_corpus_makes_it_panic(self):
        corpora = tools.ROOT / "fuzz" / "corpus"
        inputs = [
            path
            for name in ("certificate", "crl", "pem", "pkcs12")
            for path in sorted((corpora / name).iterdir())[:150]
        ]
        assert len(inputs) > 200
        for at in range(0, len(inputs), 50):
            some = inputs[at : at + 50]
            result = tools.run("inspect", "--json", *some)
            assert result.returncode in (0, 3), result.stderr[-500:]
            assert b"panicked" not in result.stderr
            assert len(json.loads(result.stdout)["files"]) == len(some)
            shown = tools.run("inspect", *some).stdout
            # What a terminal would act on is escaped.
            assert not set(shown) & set(range(32)) - {10}


def pin(path) -> str:
    key = tools.openssl("x509", "-in", path, "-noout", "-pubkey").encode()
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"],
        input=key,
        capture_output=True,
        check=True,
    ).stdout
    return "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()
