"""Wrong arguments in C, Node and Rust (`tests/clients/arguments.*`): the remedy is spelled in the
language of its reader. `arguments.py` has those of Python."""

from said import Said, ours

OPTION = ours("option_invalid", "process")
PIN = ours("pin_invalid", "endpoint")
URL = ours("url_invalid", "endpoint")
PEM = ours("pem_invalid", "")
CLOSED = Said("handle_closed", "", "ours", "", "nothing", "later")
MISSING = PEM.naming("/nowhere/tls\\.crt", "exist|no such file").curing("mount|create|correct")
NO_SWITCH = "no such switch|cannot be turned off|always"
MEANT = r"(mean|write|use)\W.{0,12}\b"
ZERO = OPTION.curing("greater|above")
PROXY = OPTION.naming("proxy", "port").curing("http://host:port")
LINE = ours("header_invalid", "delivery", "never").naming("x-a", "line|control|CR")

# The case, its title, and what each language must say.
CASES: dict[str, tuple[str, dict[str, Said]]] = {
    "misspelled": (
        "the name of an option is misspelled",
        {
            "c": OPTION.naming("time_out").curing(MEANT + "timeout"),
            "node": OPTION.naming("time_?out").curing(MEANT + "timeoutMs"),
        },
    ),
    "switch": (
        "an option is set to turn verification off",
        {
            "c": OPTION.naming("verify_peer").curing(NO_SWITCH),
            "node": OPTION.naming("rejectUnauthorized").curing(NO_SWITCH),
        },
    ),
    "timeout is text": (
        "the timeout is a text",
        {
            "c": OPTION.naming("timeout").curing("millisecond"),
            "node": OPTION.naming("timeoutMs", "string").curing("number"),
        },
    ),
    "timeout zero": (
        "the timeout is 0",
        {
            "c": ZERO.naming("timeout"),
            "node": ZERO.naming("timeoutMs"),
            "rust": ZERO.naming("timeout"),
        },
    ),
    "proxy without port": (
        "the URL of the proxy has no port",
        {"c": PROXY, "node": PROXY, "rust": PROXY},
    ),
    "pins not said": (
        "the pins are forgotten",
        {
            "c": OPTION.naming("pins").curing("wmtls_endpoint_options_no_pins"),
            "node": OPTION.naming("pins").curing("pins: null"),
        },
    ),
    "pins are one string": (
        "the pins are a single string",
        {"node": OPTION.naming("pins", "string").curing(r"new Pins\(\[")},
    ),
    "fingerprint": (
        "the pin is a fingerprint in hex",
        {
            "c": PIN.naming("hex").curing("wmtls_pin_of"),
            "node": PIN.naming("hex").curing("pinOf"),
            "rust": PIN.naming("hex").curing("pin_of"),
        },
    ),
    "url http": (
        "the URL has no TLS",
        dict.fromkeys(("c", "node", "rust"), URL.naming("http").curing("https://")),
    ),
    "min_tls too old": (
        "the oldest version of TLS is 1.1",
        {
            "c": OPTION.naming("min_tls").curing("1\\.3"),
            "node": OPTION.naming("minTls").curing("1\\.3"),
        },
    ),
    "file missing": (
        "the file of the certificate does not exist",
        dict.fromkeys(("c", "node", "rust"), MISSING),
    ),
    "pkcs12 as pem": (
        "a PKCS#12 file is given as the certificate",
        {
            "c": PEM.naming("PKCS#12").curing("wmtls_identity_from_pkcs12"),
            "node": PEM.naming("PKCS#12").curing("Identity.fromPkcs12"),
            "rust": PEM.naming("PKCS#12").curing("Identity::from_pkcs12"),
        },
    ),
    "path as content": (
        "a path is given where the content is expected",
        {
            "c": PEM.naming("path").curing("from_files"),
            "node": PEM.naming("path").curing("fromFiles"),
            "rust": PEM.naming("path").curing("from_files"),
        },
    ),
    "body is an object": (
        "the payload is an object",
        {"node": ours("option_invalid", "").naming("body", "object").curing("JSON.stringify")},
    ),
    "headers of fetch": (
        "the headers are those of fetch",
        {
            "node": ours("option_invalid", "")
            .naming("headers", "Headers|object")
            .curing("Object.fromEntries")
        },
    ),
    "header value is a number": (
        "the value of a header is a number",
        {"node": ours("option_invalid", "").naming("x-a", "number").curing("string")},
    ),
    "line break": (
        "the value of a header has a line break",
        dict.fromkeys(("c", "node", "rust"), LINE),
    ),
    "closed": (
        "the dispatcher is closed",
        dict.fromkeys(("c", "node", "rust"), CLOSED.naming("closed").curing("dispatcher")),
    ),
}
