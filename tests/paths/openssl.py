"""Judges chains with OpenSSL's library as `openssl verify -x509_strict` does.

    python tests/paths/openssl.py

Reads a line of JSON for each chain from standard input, and writes one for each verdict, at once. A
process for each chain would be a hundred times slower. It calls the library by ctypes, so it needs
no header.
"""

import ctypes
import ctypes.util
import json
import sys

X509_STRICT, POLICY_CHECK = 0x20, 0x80
PURPOSE_SSL_SERVER = 2
ANY_POLICY = "2.5.29.32.0"

LIBRARY = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
POINTERS = (
    "BIO_new_mem_buf PEM_read_bio_X509 X509_STORE_new X509_STORE_CTX_new X509_VERIFY_PARAM_new "
    "OPENSSL_sk_new_null OBJ_txt2obj"
).split()
for name in POINTERS:
    getattr(LIBRARY, name).restype = ctypes.c_void_p
LIBRARY.X509_verify_cert_error_string.restype = ctypes.c_char_p


def pointer(function, *arguments):
    """Calls a function that returns a pointer."""
    return ctypes.c_void_p(getattr(LIBRARY, function)(*arguments))


def certificates(text):
    """Reads the certificates of a PEM text. Returns None if one cannot be read."""
    data = text.encode()
    bio = pointer("BIO_new_mem_buf", data, len(data))
    read = [
        pointer("PEM_read_bio_X509", bio, None, None, None)
        for _ in range(data.count(b"-----BEGIN"))
    ]
    LIBRARY.BIO_free(bio)
    LIBRARY.ERR_clear_error()
    return read if all(read) else free(read)


def free(read):
    for certificate in read:
        LIBRARY.X509_free(certificate)


def judge(case):
    """Returns the verdict on a chain: `accepted`, and `why` not."""
    parts = [certificates(case[name]) for name in ("anchors", "intermediates", "leaf")]
    try:
        if any(part is None for part in parts):
            return {"accepted": False, "why": "a certificate cannot be read"}
        anchors, intermediates, (leaf,) = parts
        return verified(case, anchors, intermediates, leaf)
    finally:
        for part in parts:
            free(part or ())


def verified(case, anchors, intermediates, leaf):
    store, context = pointer("X509_STORE_new"), pointer("X509_STORE_CTX_new")
    rules, untrusted = pointer("X509_VERIFY_PARAM_new"), pointer("OPENSSL_sk_new_null")
    LIBRARY.X509_VERIFY_PARAM_set_flags(rules, ctypes.c_ulong(X509_STRICT | POLICY_CHECK))
    LIBRARY.X509_VERIFY_PARAM_set_purpose(rules, PURPOSE_SSL_SERVER)
    LIBRARY.X509_VERIFY_PARAM_set_time(rules, ctypes.c_int64(case["at"]))
    host = case["name"].encode()
    LIBRARY.X509_VERIFY_PARAM_set1_host(rules, host, ctypes.c_size_t(len(host)))
    policy = pointer("OBJ_txt2obj", ANY_POLICY.encode(), 1)
    LIBRARY.X509_VERIFY_PARAM_add0_policy(rules, policy)
    LIBRARY.X509_STORE_set1_param(store, rules)
    for anchor in anchors:
        LIBRARY.X509_STORE_add_cert(store, anchor)
    for certificate in intermediates:
        LIBRARY.OPENSSL_sk_push(untrusted, certificate)
    LIBRARY.X509_STORE_CTX_init(context, store, leaf, untrusted)
    accepted = LIBRARY.X509_verify_cert(context) == 1
    code = ctypes.c_long(LIBRARY.X509_STORE_CTX_get_error(context))
    why = "" if accepted else LIBRARY.X509_verify_cert_error_string(code).decode()
    LIBRARY.X509_STORE_CTX_free(context)
    LIBRARY.OPENSSL_sk_free(untrusted)
    LIBRARY.X509_VERIFY_PARAM_free(rules)
    LIBRARY.X509_STORE_free(store)
    LIBRARY.ERR_clear_error()
    return {"accepted": accepted, "why": why}


def main():
    for line in sys.stdin:
        print(json.dumps(judge(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
