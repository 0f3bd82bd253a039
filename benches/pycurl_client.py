"""pycurl, with which a user of Python would be quickest otherwise; many in flight by its multi."""

import sys

import pycurl
from measure import IN_FLIGHT, Arguments, measured

BODY = b"x" * 1024


def handle(arguments: Arguments) -> pycurl.Curl:
    """A handle that posts the body."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, arguments.url)
    curl.setopt(pycurl.SSLCERT, arguments.file("tls.crt"))
    curl.setopt(pycurl.SSLKEY, arguments.file("tls.key"))
    curl.setopt(pycurl.CAINFO, arguments.file("ca.pem"))
    curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json", "expect:"])
    curl.setopt(pycurl.POSTFIELDS, BODY)
    curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    return curl


def refused(curl: pycurl.Curl) -> bool:
    """Whether the answer was no 200."""
    return bool(curl.getinfo(pycurl.RESPONSE_CODE) != 200)


def main() -> int:
    """Delivers in the mode that was asked for."""
    arguments = Arguments()
    one = handle(arguments)
    several = [handle(arguments) for _ in range(IN_FLIGHT)]
    multi = pycurl.CurlMulti()

    def one_by_one(n: int) -> int:
        errors = 0
        for _ in range(n):
            one.perform()
            errors += refused(one)
        return errors

    def flight(n: int) -> int:
        started = done = errors = 0
        for curl in several:
            multi.add_handle(curl)
            started += 1
        while done < n:
            multi.perform()
            _, ended, failed = multi.info_read()
            for curl in [*ended, *(curl for curl, _, _ in failed)]:
                done += 1
                errors += refused(curl)
                multi.remove_handle(curl)
                if started < n:
                    multi.add_handle(curl)
                    started += 1
            if done < n and not ended and not failed:
                multi.select(1.0)
        return errors

    modes = {"warm": one_by_one, "cold": one_by_one, "flight": flight}
    measured("pycurl", arguments, modes[arguments.mode])
    return 0


if __name__ == "__main__":
    sys.exit(main())
