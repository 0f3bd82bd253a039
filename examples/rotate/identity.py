"""Renews our certificate while a dispatcher runs, and retires the previous one.

Needs tls.crt, tls.key and ca.pem in this directory, the renewed files tls.crt.new and tls.key.new,
WMTLS_URL and WMTLS_PIN.
"""

import os
import sys

import webhook_mtls as wm

previous = wm.Identity.from_files("tls.crt", "tls.key")
with wm.Dispatcher(
    identity=previous,
    trust=wm.Trust.from_files("ca.pem"),
    egress=wm.Egress(allow=["127.0.0.0/8"]),  # a receiver on this machine
) as dispatcher:
    pins = wm.Pins([os.environ["WMTLS_PIN"]])
    acme = dispatcher.endpoint("acme", os.environ["WMTLS_URL"], pins=pins)

    def state() -> str:
        state: str = dispatcher.rotation_status()["consumers"]["acme"]["state"]
        return state

    dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_1")
    print("before:", state())

    # What cert-manager or a script of your CA does. A rename never shows half a file.
    os.replace("tls.key.new", "tls.key")
    os.replace("tls.crt.new", "tls.crt")
    # Without this call, the dispatcher sees the files within the option `reload`, 10 seconds.
    for event in dispatcher.reload():
        print(event.name, event.fields["message"])
    print("renewed:", state())

    dispatcher.deliver(acme, b'{"event":"ping"}', id="evt_2")
    print("delivered:", state())
    if state() != "current":
        sys.exit("the consumer does not accept the new certificate yet: keep the previous")
    # Every consumer has accepted the new one. From now on the previous is never presented.
    dispatcher.retire(previous)
