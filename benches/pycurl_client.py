"""pycurl, the fastest usual alternative in Python. Its multi interface makes many deliveries."""

import itertools
import sys

import pycurl

from measure import FLEET, IN_FLIGHT, Arguments, measured

BODY = b"x" * 1024


def handle(arguments: Arguments) -> pycurl.Curl:
    """Returns a handle that posts the body."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.SSLCERT, arguments.file("tls.crt"))
    curl.setopt(pycurl.SSLKEY, arguments.file("tls.key"))
    curl.setopt(pycurl.CAINFO, arguments.file("ca.pem"))
    curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json", "expect:"])
    curl.setopt(pycurl.POSTFIELDS, BODY)
    curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    return curl


def refused(curl: pycurl.Curl) -> bool:
    """Returns whether the response was not a 200."""
    return bool(curl.getinfo(pycurl.RESPONSE_CODE) != 200)


def main() -> int:
    """Delivers in the requested mode."""
    arguments = Arguments()
    one = handle(arguments)
    several = [handle(arguments) for _ in range(IN_FLIGHT)]
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, FLEET)
    urls = itertools.cycle(arguments.urls())

    def in_turn(curl: pycurl.Curl) -> pycurl.Curl:
        curl.setopt(pycurl.URL, next(urls))
        return curl

    def one_by_one(n: int) -> int:
        errors = 0
        for _ in range(n):
            in_turn(one).perform()
            errors += refused(one)
        return errors

    def flight(n: int) -> int:
        started = done = errors = 0
        for curl in several[:n]:
            multi.add_handle(in_turn(curl))
            started += 1
        while done < n:
            multi.perform()
            _, ended, failed = multi.info_read()
            for curl in [*ended, *(curl for curl, _, _ in failed)]:
                done += 1
                errors += refused(curl)
                multi.remove_handle(curl)
                if started < n:
                    multi.add_handle(in_turn(curl))
                    started += 1
            if done < n and not ended and not failed:
                multi.select(1.0)
        return errors

    one_at_a_time = arguments.mode in ("warm", "cold")
    measured("pycurl", arguments, one_by_one if one_at_a_time else flight)
    return 0


if __name__ == "__main__":
    sys.exit(main())
