#!/usr/bin/env bash
# Builds and starts the relay and a consumer, posts an event to the relay, and shows how it arrives.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../services.sh"

need cargo curl webhook-mtls
cd "$here"
show cargo "builds both programs"
cargo build --quiet --locked --package webhook-mtls-example-axum
bin=${CARGO_TARGET_DIR:-$here/../../target}/debug
cd "$work"
export PORT=0 WMTLS_ALLOW=127.0.0.0/8
certificates

start receiver "$bin/axum_receiver"
said receiver 'https://127.0.0.1:[0-9]+/'

printf '{"acme": {"url": "%sin", "pins": ["%s"]}}\n' "$match" "$pin" >consumers.json
start sender "$bin/axum_sender"
said sender 'http://127.0.0.1:[0-9]+/'

event='{"event":"invoice.paid","number":1}'
url=${match}events/acme/evt_1
if answer=$(curl -sS --fail-with-body --max-time 60 --json "$event" "$url"); then
    show sender "$answer"
    said receiver 'evt_1 from .*'
else
    fail "the event was not delivered: $answer"
fi

finish 'The event has arrived once, from the verified tenant shop, and the caller knows it.'
