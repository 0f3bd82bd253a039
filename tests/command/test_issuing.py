"""openssl accepts what `csr` and `lab` write."""

import unittest

import tools


class Requests(unittest.TestCase):
    def test_openssl_verifies_a_request_of_each_key_type(self):
        for key_type in ("p256", "p384", "ed25519"):
            place = tools.directory()
            tools.done(
                "csr",
                "webhook-sender",
                "--uri",
                "spiffe://corp/webhooks",
                "--dns",
                "a.test",
                "--ip",
                "10.0.0.1",
                "--key-type",
                key_type,
                cwd=place,
            )
            text = tools.openssl("req", "-in", place / "tls.csr", "-verify", "-noout", "-text")
            for word in (
                "verify OK",
                "CN = webhook-sender",
                "URI:spiffe://corp/webhooks",
                "DNS:a.test",
                "IP Address:10.0.0.1",
                "TLS Web Client Authentication",
                "Digital Signature",
            ):
                assert word in text, key_type
            request = tools.openssl("req", "-in", place / "tls.csr", "-noout", "-pubkey")
            key = tools.openssl("pkey", "-in", place / "tls.key", "-pubout")
            assert request == key

    def test_a_request_of_an_openssl_key(self):
        place = tools.directory()
        tools.openssl(
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            place / "old.key",
        )
        tools.done("csr", "x", "--server", "--reuse-key", "old.key", cwd=place)
        text = tools.openssl("req", "-in", place / "tls.csr", "-verify", "-noout", "-text")
        assert "TLS Web Server Authentication" in text

    def test_what_a_ca_signs_is_an_identity(self):
        place = tools.directory()
        tools.openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            place / "ca.key",
            "-out",
            place / "ca.pem",
            "-days",
            "2",
            "-subj",
            "/CN=Some CA",
        )
        tools.done("csr", "webhook-sender", "--uri", "spiffe://corp/x", cwd=place)
        tools.openssl(
            "x509",
            "-req",
            "-in",
            place / "tls.csr",
            "-CA",
            place / "ca.pem",
            "-CAkey",
            place / "ca.key",
            "-CAcreateserial",
            "-days",
            "1",
            "-copy_extensions",
            "copy",
            "-out",
            place / "tls.crt",
        )
        shown = tools.done(
            "inspect", "--as", "identity", "--ca", "ca.pem", "tls.crt", "tls.key", cwd=place
        )
        assert "key and certificate fit: an identity" in shown


class Labs(unittest.TestCase):
    def test_openssl_verifies_the_chain_and_the_crl(self):
        place = tools.lab()
        for name, purpose in (("sender", "sslclient"), ("receiver", "sslserver")):
            text = tools.openssl(
                "verify",
                "-x509_strict",
                "-CAfile",
                place / "ca.pem",
                "-untrusted",
                place / f"{name}.crt",
                "-purpose",
                purpose,
                place / f"{name}.crt",
            )
            assert "OK" in text
        tools.openssl(
            "crl", "-in", place / "crl.pem", "-noout", "-CAfile", place / "intermediate.pem"
        )
        tools.done("lab", "revoke", place, "sender")
        text = tools.openssl(
            "verify",
            "-CAfile",
            place / "ca.pem",
            "-untrusted",
            place / "sender.crt",
            "-CRLfile",
            place / "crl.pem",
            "-crl_check",
            place / "sender.crt",
            fails=True,
        )
        assert "certificate revoked" in text
