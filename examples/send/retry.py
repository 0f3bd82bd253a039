"""Delivers until the consumer has the event, as RetryPolicy decides.

Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.
"""

import os
import sys
import time

import webhook_mtls as wm

dispatcher = wm.Dispatcher(
    identity=wm.Identity.from_files("tls.crt", "tls.key"),
    trust=wm.Trust.from_files("ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
)
pins = wm.Pins([os.environ["WMTLS_PIN"]])
acme = dispatcher.endpoint("acme", os.environ["WMTLS_URL"], pins=pins)
# The defaults take more than a day: 60 attempts, from 5 seconds to an hour apart.
policy = wm.RetryPolicy(attempts=8, first=0.2)

attempt = 1
while True:
    try:
        receipt = dispatcher.deliver(acme, b'{"event":"invoice.paid"}', id="evt_1")
        break
    except wm.DeliveryError as error:
        decision = policy.decide(error, attempt=attempt)
        print(f"attempt {attempt}: {error.kind}, sent {error.sent}: {decision.action}")
        if decision.action == "retry":
            time.sleep(decision.delay)  # a queue schedules the next attempt instead
            attempt += decision.counts
        elif decision.action == "park":
            sys.exit(f"hold the deliveries to {error.consumer}: {error.remedy}")
        else:
            sys.exit(f"give up the event: {decision.reason}")
print("delivered with attempt", attempt, "answered with", receipt.status)
dispatcher.close()
