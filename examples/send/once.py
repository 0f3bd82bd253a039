"""Delivers one event over a connection of its own, for scripts.

Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.
"""

import os

import webhook_mtls as wm

receipt = wm.deliver(
    os.environ["WMTLS_URL"],
    b'{"event":"ping"}',
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    trust=wm.Trust.from_files("ca.pem"),
    pins=wm.Pins([os.environ["WMTLS_PIN"]]),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
)
print(receipt.status, "from", receipt.consumer)
