"""The API of the shop: takes events, and says what became of them.

uvicorn sender:api
"""

import json
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from hooks import CONSUMERS, fan_out, store

api = FastAPI()


@api.post("/events", status_code=202)
def take(event: dict[str, Any]) -> dict[str, str]:
    """Stores an event, and enqueues it for every consumer. Both are safe when this returns."""
    key = f"evt_{uuid4().hex}"
    store.hset("events", key, json.dumps(event))
    fan_out.send(key, CONSUMERS)
    return {"id": key}


@api.get("/events/{key}")
def state(key: str) -> dict[str, str]:
    """Returns the state of each delivery of an event."""
    noted = store.hgetall(f"deliveries:{key}")
    return {name: noted.get(name.encode(), b"waiting").decode() for name in CONSUMERS}
