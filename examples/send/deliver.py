"""Delivers one event and reads its receipt, or its error.

Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.
"""

import os
import sys

import webhook_mtls as wm

dispatcher = wm.Dispatcher(
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    trust=wm.Trust.from_files("ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
)
pins = wm.Pins([os.environ["WMTLS_PIN"]])
acme = dispatcher.endpoint("acme", os.environ["WMTLS_URL"], pins=pins)
try:
    receipt = dispatcher.deliver(
        acme,
        b'{"event":"invoice.paid"}',
        id="evt_1",
        headers={"x-event": "invoice.paid"},
        timeout=10,
    )
except wm.DeliveryError as error:
    print(error, error.remedy, error.help, sep="\n")
    if error.sent == "nothing":
        print("the consumer does not have the event")
    else:
        print("the consumer may have the event: send it again with the same id")
    sys.exit(1)
finally:
    dispatcher.close()

print(receipt.id, "was answered with", receipt.status, "in", receipt.elapsed, "s")
print("by", receipt.peer.subject, "over", receipt.tls.version, "with the pin", receipt.pin)
print("attempts:", receipt.attempts, "response:", receipt.response.excerpt)
