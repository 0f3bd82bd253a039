#!/usr/bin/env bash
# Starts the shop and a consumer, posts an event to the shop, and shows how it arrives.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../services.sh"

need redis-server curl node webhook-mtls
cd "$work"
export PORT=0 WMTLS_ALLOW=127.0.0.0/8
certificates
redis

start receiver node "$here/receiver.mjs"
said receiver 'https://127.0.0.1:[0-9]+/'

printf '{"acme": {"url": "%sin", "pins": ["%s"]}}\n' "$match" "$pin" >consumers.json
start worker node "$here/worker.mjs"
start sender node "$here/sender.mjs"
said worker 'the worker is ready'
said sender 'http://127.0.0.1:[0-9]+/'

post_an_event "${match}events"
finish 'The event has arrived once, from the verified tenant shop, and the shop knows it.'
