"""Keeps the ML-DSA signatures of the vectors, so that the generator always writes the same bytes.

`cryptography` signs with ML-DSA in the hedged variant of FIPS 204, which is random. A signature is
made once, kept in signatures.json, and verified before each use. A signature that no vector uses
any more is dropped.
"""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature

FILE = Path(__file__).resolve().parent / "signatures.json"


def _stored():
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


_known = _stored()
_used = {}


def ml_dsa(private, body):
    """Returns the signature of `body` by this key, always the same."""
    public = private.public_key()
    name = hashlib.sha256(public.public_bytes_raw() + body).hexdigest()
    signature = base64.b64decode(_known.get(name, ""))
    try:
        public.verify(signature, body)
    except InvalidSignature:
        signature = private.sign(body)
    _known[name] = _used[name] = base64.b64encode(signature).decode()
    return signature


def is_stale():
    """Returns whether the file differs from the signatures that were used."""
    return _stored() != _used


def write():
    FILE.write_text(json.dumps(_used, indent=1, sort_keys=True) + "\n", encoding="utf-8")
