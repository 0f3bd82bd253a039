"""Shows the two halves of a change of key: the refusal of an unknown key, and an announced key.

Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN: the pin that the
consumer announced.
"""

import os
import sys

import webhook_mtls as wm

url, announced = os.environ["WMTLS_URL"], os.environ["WMTLS_PIN"]
# The pin of the key that the consumer had before.
former = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

with wm.Dispatcher(
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    trust=wm.Trust.from_files("ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
) as dispatcher:
    acme = dispatcher.endpoint("acme", url, pins=wm.Pins([former]))
    try:
        dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
        sys.exit("the consumer still has its former key")
    except wm.DeliveryError as error:
        print(f"{error.kind}, sent {error.sent}, retry {error.retry}")
        print("expected", *error.context["expected_pins"])
        print("observed", error.context["observed_pin"])

    # Before the change: the announced key is accepted beside the former one.
    acme = dispatcher.endpoint("acme", url, pins=wm.Pins([former], next=[announced]))
    receipt = dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
    print("delivered, with the pin", receipt.pin)
    if receipt.pin == "next":
        # The change has happened: the announced key is the current one from now on.
        dispatcher.endpoint("acme", url, pins=wm.Pins([announced]))
