"""Identities whose key is in a PKCS#11 token, such as an HSM, a smart card or a TPM.

    from webhook_mtls import pkcs11

    signer = pkcs11.TokenSigner(
        "/usr/lib/softhsm/libsofthsm2.so", token="webhooks", key="sender", pin=read_pin
    )
    identity = signer.identity("tls.crt")

Needs the package python-pkcs11: `pip install 'webhook-mtls[pkcs11]'`. docs/signer.md has the rules.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from os import PathLike
from typing import Any

from ._native import Identity

__all__ = ["TokenSigner"]


class _Module:
    """A PKCS#11 module that this process has loaded. Its calls run one at a time.

    python-pkcs11 initializes a module without locks, so the module may assume a single thread.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.Lock()
        # Sessions of an older generation are not valid.
        self.generation = 0
        self.process = os.getpid()
        # Tokens and PINs that do not fit. A token locks itself after a few tries.
        self.refused: set[tuple[str, str]] = set()

    def load(self) -> Any:
        """Returns the module. A child process initializes it anew."""
        import pkcs11

        library = pkcs11.lib(self.path)
        if self.process != os.getpid():
            self.process = os.getpid()
            self.restart(library)
        return library

    def restart(self, library: Any) -> None:
        """Looks for tokens anew, as after a token was removed and inserted."""
        self.generation += 1
        library.reinitialize()


_modules: dict[str, _Module] = {}
_modules_lock = threading.Lock()


def _in_child() -> None:
    # A thread of the parent may have held them.
    global _modules_lock
    _modules_lock = threading.Lock()
    for module in _modules.values():
        module.lock = threading.Lock()


os.register_at_fork(after_in_child=_in_child)


class TokenSigner:
    """Signs handshakes with a key of a token: the argument `sign` of `Identity.from_signer`.

    The token is opened at the first call. If a call fails, as after the token was removed, the
    module is initialized anew and the call is tried once more. A process tries a wrong PIN once:
    later calls fail without a login until `pin` returns another one.

    Args:
        module: path of the module of the token's vendor, such as `libsofthsm2.so`.
        token: label of the token.
        key: label of the private key; None if `key_id` alone determines it.
        key_id: CKA_ID of the private key.
        pin: the user's PIN, or a function that returns it at each login; None for a token without.
    """

    def __init__(
        self,
        module: str | PathLike[str],
        *,
        token: str,
        key: str | None = None,
        key_id: bytes | None = None,
        pin: str | Callable[[], str] | None = None,
    ) -> None:
        path = os.fspath(module)
        with _modules_lock:
            self._module = _modules.setdefault(path, _Module(path))
        self._token, self._label, self._id, self._pin = token, key, key_id, pin
        self._key: Any = None
        self._generation = -1

    def identity(self, cert: str | PathLike[str]) -> Identity:
        """Returns the identity with this key.

        Args:
            cert: path of the certificate chain, which a dispatcher watches.

        Raises:
            ConfigError: as `Identity.from_signer_file`.
        """
        return Identity.from_signer_file(cert, self, concurrency=1)

    def __call__(
        self, scheme: str, message: bytes, digest: bytes | None, _deadline: float
    ) -> bytes:
        """Returns the signature. An ECDSA signature is r and s in a row."""
        import pkcs11

        with self._module.lock:
            library = self._module.load()
            try:
                return self._sign(library, scheme, message, digest)
            except (
                pkcs11.PinExpired,
                pkcs11.PinIncorrect,
                pkcs11.PinInvalid,
                pkcs11.PinLenRange,
                pkcs11.PinLocked,
            ):
                # Another try would lock the token.
                raise
            except pkcs11.PKCS11Error:
                self._module.restart(library)
                return self._sign(library, scheme, message, digest)

    def __repr__(self) -> str:
        return "TokenSigner()"

    def _sign(self, library: Any, scheme: str, message: bytes, digest: bytes | None) -> bytes:
        signed, arguments = _mechanism(scheme, message, digest)
        signature: bytes = self._open(library).sign(signed, **arguments)
        return signature

    def _open(self, library: Any) -> Any:
        """Returns the key, in a session of this generation."""
        from pkcs11 import ObjectClass, PinIncorrect, PinInvalid, PinLenRange, UserAlreadyLoggedIn

        if self._generation == self._module.generation:
            return self._key
        token = library.get_token(token_label=self._token)
        pin = self._pin() if callable(self._pin) else self._pin
        if pin is not None and (self._token, pin) in self._module.refused:
            raise PinIncorrect
        try:
            session = token.open(user_pin=pin)
        except (PinIncorrect, PinInvalid, PinLenRange):
            if pin is not None:
                self._module.refused.add((self._token, pin))
            raise
        except UserAlreadyLoggedIn:
            # By another key of the same token: a login holds for the process.
            session = token.open()
        self._key = session.get_key(
            object_class=ObjectClass.PRIVATE_KEY, label=self._label, id=self._id
        )
        self._generation = self._module.generation
        return self._key


def _mechanism(scheme: str, message: bytes, digest: bytes | None) -> tuple[bytes, dict[str, Any]]:
    """Returns what a scheme of TLS signs, and how a token names it."""
    from pkcs11 import MGF, Mechanism

    name = scheme.rsplit("_", 1)[-1].upper()
    if scheme.startswith("ecdsa_") and digest is not None:
        return digest, {"mechanism": Mechanism.ECDSA}
    if scheme.startswith("rsa_pss_") and digest is not None:
        parameters = (Mechanism[name], MGF[name], len(digest))
        return digest, {"mechanism": Mechanism.RSA_PKCS_PSS, "mechanism_param": parameters}
    if scheme.startswith("rsa_pkcs1_"):
        return message, {"mechanism": Mechanism[f"{name}_RSA_PKCS"]}
    if scheme == "ed25519":
        return message, {"mechanism": Mechanism.EDDSA}
    raise ValueError("unknown scheme")
