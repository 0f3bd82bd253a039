"""The deliver cases: the expected results of deliveries to receivers of the testing kit.

If a case expects a refusal, the misbehavior lasts for more connections than a retry may open.
"""

from config_cases import ED25519_SECRET, SECRET

ALWAYS = 9
EVENT = '{"event":"order.created"}'

# What a handshake negotiates with a receiver of the testing kit.
TLS_1_3 = {
    "version": "TLSv1.3",
    "cipher_suite": "TLS13_AES_128_GCM_SHA256",
    "key_exchange": "X25519MLKEM768",
    "client_auth_requested": True,
    "certificate_authorities_count": 1,
    "issuer_listed": True,
}
TLS_1_2 = TLS_1_3 | {
    "version": "TLSv1.2",
    "cipher_suite": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "key_exchange": "X25519",
}
ON_TLS_1_2 = {
    "consumer": {"misbehave": {"how": "tls_1_2", "times": ALWAYS}},
    "endpoint_options": {"min_tls": "1.2"},
}


def case(
    name,
    expect,
    *,
    consumer=None,
    pins="right",
    body=EVENT,
    received=1,
    server_name=None,
    **more,
):
    if received:
        # A URL with an IP address has no SNI.
        more["received_server_name"] = server_name
    return {
        "name": name,
        "consumer": consumer or {},
        "pins": pins,
        "body": body,
        **more,
        "expect": expect,
        "received": received,
    }


def delivered(**subset):
    return {"receipt": {"consumer": "acme", "attempts": 1} | subset}


def failed(kind, **subset):
    return {"error": {"kind": kind, "consumer": "acme"} | subset}


def cases():
    return [
        *successes(),
        *pins(),
        *statuses(),
        *refusals(),
        *broken(),
        *recoveries(),
        *nothing_sent(),
        *required_crls(),
        *probes(),
        *post_quantum(),
    ]


def post_quantum():
    for key_type in ("ml_dsa_44", "ml_dsa_65", "ml_dsa_87"):
        yield case(
            f"keys_of_{key_type}",
            delivered(status=200, pin="current", tls={"version": "TLSv1.3"}),
            key_type=key_type,
        )
    yield case(
        "keys_of_ml_dsa_65_where_tls_1_2_is_accepted",
        delivered(status=200, pin="current", tls={"version": "TLSv1.3"}),
        key_type="ml_dsa_65",
        endpoint_options={"min_tls": "1.2"},
    )
    yield case(
        "next_key_of_ml_dsa_65",
        delivered(status=200, pin="next"),
        key_type="ml_dsa_65",
        pins="next",
    )
    yield case(
        "another_key_than_that_of_ml_dsa_65",
        failed("pin_mismatch", sent="nothing"),
        key_type="ml_dsa_65",
        pins="wrong",
        received=0,
    )
    yield case(
        "expired_ml_dsa_65",
        failed("certificate_expired", sent="nothing"),
        key_type="ml_dsa_65",
        consumer={"misbehave": {"how": "expired", "times": ALWAYS}},
        received=0,
    )
    yield case(
        "identity_of_ml_dsa_65_refused",
        failed("client_certificate_rejected", sent="nothing", context={"alert": "unknown_ca"}),
        key_type="ml_dsa_65",
        consumer={"misbehave": {"how": "reject_certificate", "times": ALWAYS}},
        received=0,
    )


def probes():
    yield case(
        "probe",
        {
            "receipt": {
                "consumer": "acme",
                "pin": "next",
                "tls": {"version": "TLSv1.3", "client_auth_requested": True},
                "peer": {"evidence": "socket", "purpose": "present"},
            }
        },
        pins="next",
        probe=True,
        received=0,
    )
    for how, kind in (
        ("never_ask", "client_auth_not_requested"),
        ("reject_certificate", "client_certificate_rejected"),
        ("expired", "certificate_expired"),
        ("wrong_name", "name_mismatch"),
        ("other_ca", "issuer_unknown"),
        # Before a request, a close has only one likely cause.
        ("close_after_handshake", "connection_lost"),
        ("reject_by_close", "client_certificate_rejected"),
    ):
        yield case(
            f"probe_{how}",
            failed(kind, stage="handshake", sent="nothing"),
            consumer={"misbehave": {"how": how, "times": ALWAYS}},
            probe=True,
            received=0,
        )
    yield case(
        "probe_wrong_pin",
        failed("pin_mismatch", stage="handshake", sent="nothing", tls=TLS_1_3, peer=None),
        pins="wrong",
        probe=True,
        received=0,
    )
    yield case(
        "probe_wrong_pin_on_tls_1_2",
        failed("pin_mismatch", stage="handshake", sent="nothing", tls=TLS_1_2, peer=None),
        pins="wrong",
        probe=True,
        received=0,
        **ON_TLS_1_2,
    )


def successes():
    yield case(
        "plain_success",
        delivered(
            id=None,
            status=200,
            pin="current",
            tls=TLS_1_3,
            connection={"reused": False},
            peer={"evidence": "socket", "purpose": "present"},
            response={"truncated": False},
        ),
        received_body=EVENT,
        received_headers={"content-type": "application/json", "content-length": str(len(EVENT))},
    )
    # The SNI is the host of the URL, in its canonical form, also if the certificate is checked for
    # another name.
    for name, host in {"name": "localhost", "upper_case_name": "LocalHost."}.items():
        yield case(f"to_a_host_{name}", delivered(), host=host, server_name="localhost")
    workload = {"server_uri": "spiffe://lab.test/tenant/acme"}
    yield case("server_uri_at_an_address", delivered(), endpoint_options=workload)
    yield case(
        "server_uri_at_a_host_name",
        delivered(),
        endpoint_options=workload,
        host="localhost",
        server_name="localhost",
        deliveries=2,
        received=2,
    )
    # The SNI is the server name, and the certificate must contain it.
    named = {"server_name": "LocalHost."}
    yield case(
        "server_name_at_an_address",
        delivered(),
        endpoint_options=named,
        server_name="localhost",
        received_headers_begin={"host": "127.0.0.1:"},
        deliveries=2,
        received=2,
    )
    yield case(
        "server_name_and_server_uri",
        delivered(),
        endpoint_options=named | workload,
        server_name="localhost",
    )
    yield case(
        "server_name_is_an_address",
        delivered(),
        endpoint_options={"server_name": "[::1]"},
        host="localhost",
        received_headers_begin={"host": "localhost:"},
    )
    yield case("consumer_of_tls_1_2", delivered(tls=TLS_1_2), **ON_TLS_1_2)
    yield case("key_exchange_is_post_quantum", delivered(tls={"key_exchange": "X25519MLKEM768"}))
    yield case(
        "key_exchange_is_not_post_quantum",
        delivered(tls={"key_exchange": "X25519"}),
        endpoint_options={"post_quantum": False},
    )
    yield case(
        "response_excerpt_of_one_byte",
        delivered(response={"excerpt_base64": "ew==", "truncated": True}),
        endpoint_options={"response_excerpt": 1},
    )
    yield case(
        "response_excerpt_of_none",
        delivered(response={"excerpt_base64": "", "truncated": True}),
        endpoint_options={"response_excerpt": 0},
    )
    for status in (201, 202, 204):
        yield case(f"status_{status}", delivered(status=status), consumer=respond(status))
    yield case("keep_alive", delivered(connection={"reused": True}), deliveries=3, received=3)
    yield case("body_empty", delivered(status=200), body="", received_body="")
    yield case(
        "body_of_a_mebibyte",
        delivered(status=200),
        body="0123456789abcdef",
        repeat=65536,
        received_body="0123456789abcdef",
    )
    yield case(
        "body_not_ascii", delivered(), body='{"name":"Zoë €"}', received_body='{"name":"Zoë €"}'
    )
    yield case(
        "id_becomes_webhook_id",
        delivered(id="evt_1"),
        options={"id": "evt_1"},
        received_headers={"webhook-id": "evt_1"},
    )
    held = {"endpoint_options": {"hold_payload": True}}
    yield case(
        "payload_held",
        delivered(hold_honored=True),
        received_body=EVENT,
        received_headers={"expect": "100-continue"},
        **held,
    )
    yield case("payload_held_and_empty", delivered(hold_honored=None), body="", **held)
    yield case(
        "payload_held_on_a_kept_connection",
        delivered(hold_honored=True, connection={"reused": True}),
        deliveries=2,
        received=2,
        body=EVENT,
        repeat=4096,
        received_body=EVENT,
        **held,
    )
    yield case(
        "payload_held_certificate_rejected",
        failed("client_certificate_rejected", sent="nothing"),
        consumer={"misbehave": {"how": "reject_certificate", "times": ALWAYS}},
        received=0,
        **held,
    )
    yield case("payload_not_held", delivered(hold_honored=None))
    yield case(
        "signed_by_each_secret",
        delivered(id="evt_1"),
        signing=[SECRET, ED25519_SECRET],
        options={"id": "evt_1"},
        received_headers={"webhook-id": "evt_1"},
        received_headers_begin={"webhook-timestamp": "", "webhook-signature": "v1,"},
    )
    yield case(
        "signed_by_ed25519",
        delivered(),
        signing=[ED25519_SECRET],
        options={"id": "evt_1"},
        received_headers_begin={"webhook-signature": "v1a,"},
    )
    yield case(
        "signature_of_the_caller_untouched",
        delivered(),
        options={"headers": {"webhook-signature": "v1,own", "authorization": "Bearer e30.e30.e30"}},
        received_headers={"webhook-signature": "v1,own", "authorization": "Bearer e30.e30.e30"},
    )
    yield case(
        "content_type_said",
        delivered(),
        body="plain",
        options={"content_type": "text/plain; charset=utf-8"},
        received_body="plain",
        received_headers={"content-type": "text/plain; charset=utf-8"},
    )
    yield case(
        "headers_of_the_caller",
        delivered(),
        options={"headers": {"X-Event": "order.created", "authorization": "Bearer abc"}},
        received_headers={"x-event": "order.created", "authorization": "Bearer abc"},
    )
    yield case(
        "everything_said",
        delivered(id="evt_2", status=202),
        consumer=respond(202),
        options={
            "id": "evt_2",
            "content_type": "application/cloudevents+json",
            "headers": {"x-event": "a"},
            "timeout_ms": 10000,
        },
        received_headers={
            "webhook-id": "evt_2",
            "content-type": "application/cloudevents+json",
            "x-event": "a",
        },
    )


def pins():
    wrong = failed("pin_mismatch", stage="handshake", sent="nothing", retry="after_repair")
    yield case("pin_next", delivered(pin="next"), pins="next")
    yield case("pin_none", delivered(pin=None), pins="none")
    yield case("pin_both", delivered(pin="current"), pins="both")
    # The consumer's ServerHello came before its certificate, so the error has its choices.
    for name, facts, more in (
        ("pin_wrong", TLS_1_3, {}),
        ("pin_wrong_on_tls_1_2", TLS_1_2, ON_TLS_1_2),
        (
            "pin_wrong_without_post_quantum",
            TLS_1_3 | {"key_exchange": "X25519"},
            {"endpoint_options": {"post_quantum": False}},
        ),
    ):
        seen = {"error": wrong["error"] | {"tls": facts, "peer": None}}
        yield case(name, seen, pins="wrong", received=0, **more)
    renewed = {"renew": {"new_key": True}}
    yield case("renewed_with_new_key", wrong, consumer=renewed, received=0)
    yield case("renewed_with_new_key_unpinned", delivered(pin=None), consumer=renewed, pins="none")
    yield case(
        "renewed_with_the_same_key",
        delivered(pin="current"),
        consumer={"renew": {"new_key": False}},
    )


def respond(status, retry_after=None, times=ALWAYS):
    answer = {"status": status, "times": times}
    if retry_after is not None:
        answer["retry_after"] = retry_after
    return {"respond": [answer]}


def statuses():
    def refused(status, retry, **more):
        return failed(
            "http_status",
            stage="response",
            sent="all",
            retry=retry,
            response={"status": status},
            **more,
        )

    # Only another URL helps.
    for status in (301, 302, 307, 308):
        yield case(
            f"status_{status}",
            refused(status, "after_repair", scope="endpoint", retry_after_ms=None),
            consumer=respond(status),
        )
    for status in (400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504):
        yield case(
            f"status_{status}",
            refused(status, "later", retry_after_ms=None),
            consumer=respond(status),
        )
    yield case("status_410", refused(410, "never", scope="endpoint"), consumer=respond(410))
    for status in (413, 414, 431):
        yield case(
            f"status_{status}", refused(status, "never", scope="delivery"), consumer=respond(status)
        )
    for status, seconds in ((429, 7), (503, 3), (500, 60)):
        yield case(
            f"status_{status}_retry_after",
            refused(status, "later", retry_after_ms=seconds * 1000),
            consumer=respond(status, retry_after=seconds),
        )
    yield case(
        "retry_after_longer_than_a_day",
        refused(503, "later", retry_after_ms=86_400_000),
        consumer=respond(503, retry_after=999_999),
    )

    for status, said, scope in (
        (404, {"404": "never"}, "delivery"),
        (409, {"4xx": "never", "404": "later"}, "delivery"),
        (502, {"5xx": "after_repair"}, "endpoint"),
        (413, {"413": "later"}, "delivery"),
        (410, {"4xx": "later"}, "delivery"),
    ):
        retry = said.get(str(status)) or said[f"{status // 100}xx"]
        yield case(
            f"status_{status}_said_to_be_{retry}",
            refused(status, retry, scope=scope),
            consumer=respond(status),
            endpoint_options={"status_retry": said},
        )
    yield case(
        "a_status_outranks_its_class",
        refused(404, "later", scope="delivery"),
        consumer=respond(404),
        endpoint_options={"status_retry": {"4xx": "never", "404": "later"}},
    )
    yield case(
        "a_status_that_is_not_named_is_as_ever",
        refused(410, "never", scope="endpoint"),
        consumer=respond(410),
        endpoint_options={"status_retry": {"404": "later"}},
    )


def misbehave(how, times=ALWAYS):
    return {"misbehave": {"how": how, "times": times}}


def refusals():
    def refused(kind, **more):
        return failed(
            kind, stage="handshake", sent="nothing", retry="after_repair", scope="endpoint", **more
        )

    def facing(how, expect, **more):
        return case(how, expect, consumer=misbehave(how), received=0, **more)

    not_asked = {"version": "TLSv1.3", "client_auth_requested": False}
    yield facing("never_ask", refused("client_auth_not_requested", tls=not_asked, peer=None))
    # It answers with an alert in place of a ServerHello.
    yield facing("tls_1_2", refused("tls_failed", tls=None, peer=None))
    # Without a stage: on TLS 1.3 the handshake is complete when the alert arrives.
    yield facing(
        "reject_certificate",
        failed(
            "client_certificate_rejected",
            sent="nothing",
            retry="after_repair",
            scope="endpoint",
            context={"via": "alert", "alert": "unknown_ca"},
            tls=TLS_1_3,
        ),
    )
    # Receivers that close instead of sending an alert, as Node does on TLS 1.3.
    yield facing(
        "reject_by_close",
        refused(
            "client_certificate_rejected",
            context={"via": "close", "issuer_listed": False, "attempts": 1},
            tls={"certificate_authorities_count": 1, "issuer_listed": False},
        ),
    )
    # The first loss leaves open whether the request was read. The next connection waits for the
    # verdict before the request.
    yield facing(
        "close_after_handshake",
        failed(
            "connection_lost",
            stage="handshake",
            sent="nothing",
            retry="later",
            context={"hint": "client_certificate_may_be_refused", "issuer_listed": True},
            tls={"issuer_listed": True},
        ),
        deliveries=2,
    )
    yield facing("expired", refused("certificate_expired"))
    yield facing("wrong_name", refused("name_mismatch"))
    yield facing("other_ca", refused("issuer_unknown"))
    yield case("trust_of_another_ca", refused("issuer_unknown"), trust="other", received=0)
    yield case(
        "expired_outranks_a_wrong_pin",
        refused("certificate_expired"),
        consumer=misbehave("expired"),
        pins="wrong",
        received=0,
    )
    yield case(
        "no_pins_still_need_the_chain",
        refused("issuer_unknown"),
        consumer=misbehave("other_ca"),
        pins="none",
        received=0,
    )
    yield case(
        "no_pins_still_need_mutual_tls",
        refused("client_auth_not_requested"),
        consumer=misbehave("never_ask"),
        pins="none",
        received=0,
    )


def broken():
    yield case(
        "reset_after_body",
        failed("connection_lost", sent="all", retry="later"),
        consumer=misbehave("reset_after_body"),
    )
    yield case(
        "stall",
        failed("deadline_exceeded", sent="all", retry="later"),
        consumer=misbehave("stall"),
        # Long enough for a slow machine to send all.
        options={"timeout_ms": 2000},
    )


def recoveries():
    yield case(
        "recovers_from_never_ask",
        delivered(status=200),
        consumer=misbehave("never_ask", times=1),
        deliveries=2,
        received=1,
    )
    yield case(
        "recovers_from_expired",
        delivered(status=200),
        consumer=misbehave("expired", times=1),
        deliveries=2,
        received=1,
    )
    yield case(
        "recovers_from_reset",
        delivered(status=200),
        consumer=misbehave("reset_after_body", times=1),
        deliveries=2,
        received=2,
    )
    # In doubt after a loss, the payload waits for 100 (Continue).
    yield case(
        "recovers_from_a_close",
        delivered(status=200, hold_honored=True),
        consumer=misbehave("close_after_handshake", times=1),
        deliveries=2,
        received=1,
    )
    yield case(
        "no_more_doubt_after_an_answer",
        delivered(status=200, hold_honored=None, connection={"reused": True}),
        consumer=misbehave("close_after_handshake", times=1),
        deliveries=3,
        received=2,
    )
    yield case(
        "recovers_from_503",
        delivered(status=200),
        consumer=respond(503, times=1),
        deliveries=2,
        received=2,
    )


def required_crls():
    """The lab's trust has no CRL, so a policy that requires one refuses the consumer."""
    for policy in ("require", "require_leaf"):
        for probe in (False, True):
            yield case(
                f"{'probe_' * probe}crl_policy_{policy}",
                failed("crl_unusable", stage="handshake", sent="nothing"),
                endpoint_options={"crl_policy": policy},
                received=0,
                **({"probe": True} if probe else {}),
            )
    yield case("crl_policy_if_present", delivered(), endpoint_options={"crl_policy": "if_present"})


def nothing_sent():
    def undone(kind):
        return {"error": {"kind": kind, "stage": "config", "sent": "nothing"}}

    yield case(
        "header_with_line_break_sends_nothing",
        undone("header_invalid"),
        options={"headers": {"x-event": "a\r\nx-evil: b"}},
        received=0,
    )
    yield case(
        "id_with_line_break_sends_nothing",
        undone("header_invalid"),
        options={"id": "evt\n1"},
        received=0,
    )
    yield case(
        "timeout_of_zero_sends_nothing",
        undone("option_invalid"),
        options={"timeout_ms": 0},
        received=0,
    )
