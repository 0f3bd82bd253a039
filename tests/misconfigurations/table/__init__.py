"""The table of the cases, by topic."""

from lab import Case

from table import (
    answers,
    arguments,
    consumer,
    events,
    files,
    handshake,
    identity,
    proxy,
    retries,
    verdict,
    way,
)

TOPICS: dict[str, list[Case]] = {
    "Files": files.CASES,
    "Our identity and our clock": identity.CASES,
    "The consumer's certificate": consumer.CASES,
    "The way to the consumer": way.CASES,
    "Proxies": proxy.CASES,
    "TLS": handshake.CASES,
    "The consumer's verdict on our certificate": verdict.CASES,
    "Answers": answers.CASES,
    "Options and arguments": arguments.CASES,
    "Rotations": events.CASES,
    "Retries": retries.CASES,
}
