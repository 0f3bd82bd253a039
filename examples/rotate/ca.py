"""Lets a consumer change its CA: the trust has two anchors meanwhile.

Needs tls.crt, tls.key and ca.pem in this directory, the root of the consumer's new CA in
new-ca.pem, WMTLS_URL and WMTLS_PIN of a consumer whose certificate is of the new CA.
"""

import os
import sys

import webhook_mtls as wm

with wm.Dispatcher(
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    trust=wm.Trust.from_files("ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
) as dispatcher:
    pins = wm.Pins([os.environ["WMTLS_PIN"]])
    acme = dispatcher.endpoint("acme", os.environ["WMTLS_URL"], pins=pins)
    try:
        dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
        sys.exit("the consumer still has a certificate of the former CA")
    except wm.DeliveryError as error:
        print(f"{error.kind}, sent {error.sent}: {error.remedy}")

    # Both anchors, in one file that is replaced at once. Do this before the consumer changes.
    with open("both.pem", "wb") as both:
        for path in ("ca.pem", "new-ca.pem"):
            with open(path, "rb") as root:
                both.write(root.read())
    os.replace("both.pem", "ca.pem")
    dispatcher.reload()

    receipt = dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
    print("delivered, verified by", receipt.peer.anchor)
    for expiry in dispatcher.expiries():
        print(f"{expiry.what} {expiry.name}: {expiry.fraction_left:.0%} of its lifetime left")
