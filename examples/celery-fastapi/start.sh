#!/usr/bin/env bash
# Starts the shop and a consumer, posts an event to the shop, and shows how it arrives.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../services.sh"

need redis-server curl python celery uvicorn webhook-mtls
cd "$work"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
certificates
redis

start receiver uvicorn receiver:app --port 0 --http webhook_mtls.uvicorn:H11Protocol \
    --ssl-certfile pki/receiver.crt --ssl-keyfile pki/receiver.key \
    --ssl-ca-certs ca.pem --ssl-cert-reqs 2
said receiver 'https://127.0.0.1:[0-9]+ '

printf '[acme]\nurl = "%s/in"\npins = ["%s"]\n' "$match" "$pin" >consumers.toml
export WMTLS_ALLOW=127.0.0.0/8
start worker celery --app hooks worker --beat --schedule beat.db --concurrency 2 --loglevel INFO
start sender uvicorn sender:api --port 0
said sender 'http://127.0.0.1:[0-9]+ '
events=$match/events
said worker 'celery@.* ready'

post_an_event "$events"
finish 'The event has arrived once, from the verified tenant shop, and the shop knows it.'
