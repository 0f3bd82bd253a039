"""Delivers to every case of a `cases.json`.

Prints one JSON line per delivery: the case, the delivery's number, its duration, the receipt or the
error, and the error as this language shows it. The same program exists in C, Node and Rust;
`tests/outcomes` compares the reports with the receivers' records.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import webhook_mtls as wm

# Most cases only wait, for a deadline or for a response that never comes.
AT_ONCE = 24


def deliver_all(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Makes all deliveries of one case."""
    timeouts = {name: millis / 1000 for name, millis in case["timeouts"].items()}
    with wm.Dispatcher(
        identity=wm.Identity.from_files(case["cert"], case["key"]),
        trust=wm.Trust.from_files(case["ca"]),
        egress=wm.Egress("public", allow=["127.0.0.0/8"]),
        # A receiver sees all deliveries of its case, whatever they end in.
        circuit_failures=0,
        **timeouts,
    ) as dispatcher:

        def endpoint(cert: str, key: str) -> wm.Endpoint:
            return dispatcher.endpoint(
                case["case"],
                case["url"],
                pins=wm.Pins([case["pin"]]),
                min_tls=case["min_tls"],
                identity=wm.Identity.from_files(cert, key),
            )

        made = endpoint(*(case["former"] or (case["cert"], case["key"])))
        lines = []
        for number in range(1, case["deliveries"] + 1):
            if number == 2 and case["former"] is not None:
                endpoint(case["cert"], case["key"])
            lines.append(deliver(dispatcher, made, case, number))
        return lines


def deliver(
    dispatcher: wm.Dispatcher, endpoint: wm.Endpoint, case: dict[str, Any], number: int
) -> dict[str, Any]:
    """Delivers once, and returns the report."""
    if number > 1 and case["gate"] is not None:
        pass_gate(case["gate"])
    body = b"body-hunter2-".ljust(case["body_bytes"], b"x")
    line: dict[str, Any] = {"case": case["case"], "delivery": number}
    started = time.monotonic()
    try:
        receipt = dispatcher.deliver(
            endpoint,
            body,
            id=f"{case['case']}-{number}",
            headers={"x-token": "header-hunter2"},
            timeout=case["timeout"] / 1000,
        )
        line["receipt"] = receipt.to_dict()
    except wm.WebhookMtlsError as error:
        line["error"] = error.to_dict()
        line["text"] = f"{error} {error!r} {error.public()}"
    line["elapsed_ms"] = int((time.monotonic() - started) * 1000)
    return line


def pass_gate(port: int) -> None:
    """Waits until the receiver closes the connection to its gate."""
    with socket.create_connection(("127.0.0.1", port)) as gate:
        while gate.recv(64):
            pass


def main() -> int:
    """Delivers to all cases, many at once."""
    cases = json.loads(Path(sys.argv[1]).read_text())["cases"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for lines in pool.map(deliver_all, cases):
            for line in lines:
                print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
