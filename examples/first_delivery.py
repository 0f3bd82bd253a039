"""Delivers one webhook over mutual TLS. Run it in the directory of tls.crt, tls.key and ca.pem."""

import os
import sys

import webhook_mtls as wm

url = os.environ.get("WMTLS_URL", "")  # https://hooks.acme.example/in
pin = os.environ.get("WMTLS_PIN", "")  # sha256/…, the consumer's key

try:
    with wm.Dispatcher(
        identity=wm.Identity.from_files("tls.crt", "tls.key"),
        trust=wm.Trust.from_files("ca.pem"),
        # Allows a receiver on this machine. By default only public addresses are allowed.
        egress=wm.Egress(allow=["127.0.0.0/8"]),
    ) as dispatcher:
        acme = dispatcher.endpoint("acme", url, pins=wm.Pins([pin]))
        receipt = dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
except wm.WebhookMtlsError as error:
    whose = f"blame: {error.blame}, sent: {error.sent}, retry: {error.retry}"
    sys.exit(f"{error}\n{whose}\n{error.remedy}")
print(receipt.status, "from", receipt.peer.subject)
