"""Measures the cost of verifying a chain seen before from Python. The limit is 25 µs.

    target/python/shipped/bin/python benches/verify.py

`cargo xtask build python` installs the wheel there. The result is the median of the rounds. Exits
with 1 if it exceeds the limit.
"""

import ssl
import statistics
import sys
import time

import webhook_mtls as wm
from webhook_mtls.testing import Lab

ROUNDS, CALLS, LIMIT = 31, 500, 25.0


def main() -> int:
    with Lab() as lab:
        pem = lab.identity_pem[0].decode().replace("\r", "")
        end = "-----END CERTIFICATE-----\n"
        chain = [ssl.PEM_cert_to_DER_cert(block + end) for block in pem.split(end) if block.strip()]
        rule = wm.TenantRule.san_uri("spiffe://lab.test/tenant/{tenant}")
        verifier = wm.Verifier(role="client", trust=lab.trust, tenant=rule)
        verifier.verify(chain)
        rounds = [per_call(verifier, chain) for _ in range(ROUNDS)]
    cost = statistics.median(rounds)
    print(f"python: a chain seen before {cost:.1f} µs (less than {LIMIT:.0f})")
    return int(cost >= LIMIT)


def per_call(verifier: wm.Verifier, chain: list[bytes]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        if verifier.verify(chain).tenant != "dispatcher":
            raise AssertionError("another tenant")
    return (time.perf_counter() - started) / CALLS * 1e6


if __name__ == "__main__":
    sys.exit(main())
