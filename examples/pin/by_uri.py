"""Identifies a consumer by its CA and a URI, not by its key, because its key changes often.

Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_SERVER_URI.
"""

import os

import webhook_mtls as wm

with wm.Dispatcher(
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
) as dispatcher:
    acme = dispatcher.endpoint(
        "acme",
        os.environ["WMTLS_URL"],
        pins=None,  # a decision: each renewal brings a new key
        trust=wm.Trust.from_files("ca.pem"),  # the consumer's CA, and no other
        server_uri=os.environ["WMTLS_SERVER_URI"],  # such as spiffe://acme.example/webhooks
    )
    receipt = dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
    print(receipt.status, "from", *receipt.peer.san_uri, "with the key", receipt.peer.spki_pin)
