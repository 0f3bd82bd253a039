"""A service of gunicorn that delivers. With --preload, the master makes the dispatcher and has
delivered with it before it forks its workers.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import webhook_mtls as wm
from scene import dispatcher

MASTER = os.getpid()
DELIVERER = dispatcher()
ACME = DELIVERER.endpoint("acme", os.environ["WMTLS_URL"], pins=None)
BARRIER = DELIVERER.endpoint("barrier", os.environ["WMTLS_BARRIER_URL"], pins=None, concurrency=64)
PRELOADED = DELIVERER.deliver(ACME, b"preload").status


def app(
    environ: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    endpoint = BARRIER if environ["PATH_INFO"] == "/barrier" else ACME
    body = environ["wsgi.input"].read()
    answer: dict[str, Any] = {"master": MASTER, "worker": os.getpid(), "preloaded": PRELOADED}
    try:
        answer["receipt"] = DELIVERER.deliver(endpoint, body).to_dict()
    except wm.WebhookMtlsError as error:
        answer["error"] = error.to_dict()
    start("200 OK", [("content-type", "application/json")])
    return [json.dumps(answer).encode()]
