#!/usr/bin/env bash
# Builds the forwarder, starts it beside a receiver, and drops three events into its spool.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../services.sh"

need cc pkg-config webhook-mtls
cd "$work"
cc -std=c11 "$here/forwarder.c" -o forwarder $(pkg-config --cflags --libs webhook_mtls_static)
certificates
start receiver webhook-mtls listen --address 127.0.0.1:0 --ca ca.pem \
    --cert pki/receiver.crt --key pki/receiver.key --tenant 'spiffe://lab.test/tenant/{tenant}'
said receiver 'https://127.0.0.1:[0-9]+/'

mkdir spool
WMTLS_URL=${match}in WMTLS_PIN=$pin WMTLS_ALLOW=127.0.0.0/8 start forwarder ./forwarder spool
said forwarder 'forwarding .*'
for number in 1 2 3; do
    echo "{\"event\":\"invoice.paid\",\"number\":$number}" >"spool/.evt_$number"
    mv "spool/.evt_$number" "spool/evt_$number"
done
for number in 1 2 3; do
    said forwarder "evt_$number: (delivered|parked|dead).*"
    [[ $match == *delivered ]] || fail 'the event was not delivered'
    said receiver "webhook-id: evt_$number"
done
said receiver 'tenant +shop'

finish 'Three events have left the spool, and arrived from the verified tenant shop.'
