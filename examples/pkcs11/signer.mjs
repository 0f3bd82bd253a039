// An identity whose key is in a PKCS#11 token, such as an HSM, a smart card or a TPM. Needs the package
// pkcs11js, which npm compiles when it is installed.

import pkcs11 from 'pkcs11js'
import { Identity } from 'webhook-mtls'

/** The mechanism of a token for each signature scheme, and whether it signs the message or its digest. */
const pss = (hashAlg, mgf, saltLen) => ({
  mechanism: pkcs11.CKM_RSA_PKCS_PSS,
  parameter: { type: pkcs11.CK_PARAMS_RSA_PSS, hashAlg, mgf, saltLen },
})
const ALGORITHMS = {
  ecdsa_secp256r1_sha256: { mechanism: pkcs11.CKM_ECDSA },
  ecdsa_secp384r1_sha384: { mechanism: pkcs11.CKM_ECDSA },
  ecdsa_secp521r1_sha512: { mechanism: pkcs11.CKM_ECDSA },
  rsa_pss_rsae_sha256: pss(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 32),
  rsa_pss_rsae_sha384: pss(pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, 48),
  rsa_pss_rsae_sha512: pss(pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, 64),
  rsa_pkcs1_sha256: { mechanism: pkcs11.CKM_SHA256_RSA_PKCS, signsMessage: true },
  rsa_pkcs1_sha384: { mechanism: pkcs11.CKM_SHA384_RSA_PKCS, signsMessage: true },
  rsa_pkcs1_sha512: { mechanism: pkcs11.CKM_SHA512_RSA_PKCS, signsMessage: true },
  // CKM_EDDSA, for which pkcs11js has no name.
  ed25519: { mechanism: 0x1057, signsMessage: true },
}

/** A token, and the module of its vendor. A process has one for each module, for all keys. */
export class Token {
  #module = new pkcs11.PKCS11()
  #label
  #pin
  /** The slot and the open keys; null if the module must be initialized anew. */
  #open = null
  /** The error with which the token has refused the PIN. */
  #refusal = null
  /** Ends when the calls that came before have ended: calls run one at a time. */
  #last = Promise.resolve()

  /**
   * Loads the module. The token is opened at the first signature.
   *
   * @param module path of the vendor's module, such as `libsofthsm2.so`.
   * @param label the label of the token.
   * @param pin the PIN of its user.
   */
  constructor(module, label, pin) {
    this.#module.load(module)
    this.#label = label
    this.#pin = pin
  }

  /**
   * Returns the identity with a key of this token.
   *
   * @param cert path of the certificate chain, which a dispatcher watches.
   * @param key the label of the private key.
   */
  identity(cert, key) {
    const sign = (scheme, message, digest) => {
      const { signsMessage, ...mechanism } = ALGORITHMS[scheme] ?? {}
      const data = Buffer.from(signsMessage ? message : digest)
      const signature = this.#last.then(() => this.#sign(key, mechanism, data))
      this.#last = signature.catch(() => {})
      return signature
    }
    return Identity.fromSignerFile(cert, sign, { concurrency: 1, schemes: Object.keys(ALGORITHMS) })
  }

  /** Signs. After a failure, as when the token was removed, opens it anew and tries once more. */
  async #sign(key, mechanism, data) {
    try {
      return await this.#signOnce(key, mechanism, data)
    } catch (error) {
      if (error === this.#refusal) throw error
      this.#close()
      return await this.#signOnce(key, mechanism, data)
    }
  }

  /** An ECDSA signature is r and s in a row, which the library accepts. The loop goes on meanwhile. */
  #signOnce(label, mechanism, data) {
    const { session, handle } = this.#key(label)
    this.#module.C_SignInit(session, mechanism, handle)
    return this.#module.C_SignAsync(session, data, Buffer.alloc(1024))
  }

  #key(label) {
    this.#open ??= this.#initialize()
    const { slot, keys } = this.#open
    if (!keys.has(label)) {
      const session = this.#module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
      keys.set(label, { session, handle: this.#find(session, label) })
    }
    return keys.get(label)
  }

  #find(session, label) {
    this.#module.C_FindObjectsInit(session, [
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
      { type: pkcs11.CKA_LABEL, value: label },
    ])
    const handle = this.#module.C_FindObjects(session)
    this.#module.C_FindObjectsFinal(session)
    if (!handle) throw new Error('the token has no such key')
    return handle
  }

  #initialize() {
    this.#module.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK })
    try {
      const slot = this.#module
        .C_GetSlotList(true)
        .find((slot) => this.#module.C_GetTokenInfo(slot).label.trimEnd() === this.#label)
      if (!slot) throw new Error('there is no such token')
      // A login holds for all sessions of the process, as long as one is open.
      const session = this.#module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
      this.#logIn(session)
      return { slot, keys: new Map() }
    } catch (error) {
      this.#module.C_Finalize()
      throw error
    }
  }

  /** Tries a wrong PIN once: tokens lock themselves after a few tries. */
  #logIn(session) {
    if (this.#refusal) throw this.#refusal
    try {
      this.#module.C_Login(session, pkcs11.CKU_USER, this.#pin)
    } catch (error) {
      // A wrong PIN, or one that has expired or is locked.
      if (error.code >= pkcs11.CKR_PIN_INCORRECT && error.code <= pkcs11.CKR_PIN_LOCKED) {
        this.#refusal = error
      }
      throw error
    }
  }

  /** Modules look for tokens only when they are initialized. */
  #close() {
    if (this.#open) this.#module.C_Finalize()
    this.#open = null
  }
}
