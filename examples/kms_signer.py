"""An identity whose key is in a KMS. The client is asynchronous, as that of aiobotocore for AWS."""

from typing import Any

import webhook_mtls as wm

# The names of AWS KMS. Other services have the same algorithms under other names.
ALGORITHMS = {
    "ecdsa_secp256r1_sha256": "ECDSA_SHA_256",
    "ecdsa_secp384r1_sha384": "ECDSA_SHA_384",
    "ecdsa_secp521r1_sha512": "ECDSA_SHA_512",
    "rsa_pss_rsae_sha256": "RSASSA_PSS_SHA_256",
    "rsa_pss_rsae_sha384": "RSASSA_PSS_SHA_384",
    "rsa_pss_rsae_sha512": "RSASSA_PSS_SHA_512",
}


def identity(cert: str, client: Any, key_id: str) -> wm.Identity:
    """Returns the identity of a chain in a file, whose key the KMS has.

    Args:
        cert: path of the certificate chain, which is watched.
        client: a client of the KMS. If it belongs to an event loop, pass that as `loop` below.
        key_id: the key in the KMS.
    """

    async def sign(scheme: str, _message: bytes, digest: bytes | None, _deadline: float) -> bytes:
        answer = await client.sign(
            KeyId=key_id,
            Message=digest,
            MessageType="DIGEST",
            SigningAlgorithm=ALGORITHMS[scheme],
        )
        signature: bytes = answer["Signature"]
        return signature

    return wm.Identity.from_signer_file(cert, sign, concurrency=16)
