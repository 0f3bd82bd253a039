/* An identity whose key is in a PKCS#11 token, such as an HSM, a smart card or a TPM.

   Needs the standard header, which Debian has in libp11-kit-dev (`pkg-config --cflags p11-kit-1`). The
   module of the token's vendor is loaded when the program runs. */

#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

#include "webhook_mtls.h"

/* A private key of a token. It must live as long as its identity is in use. */
typedef struct {
    const char *token; /* the label of the token */
    const char *label; /* the label of the key */
    const char *pin;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE handle;
    unsigned long opened; /* the initialization that the session belongs to; 0 if there is none */
} token_key;

/* The module. Its calls run one at a time. */
static struct {
    pthread_mutex_t lock;
    CK_FUNCTION_LIST *call;
    int is_initialized;
    int is_of_parent;
    unsigned long initializations;
    CK_RV pin_refusal; /* CKR_OK until a token refuses a PIN */
} module = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A thread of the parent may hold the lock, and a child must initialize the module anew. */
static void in_child(void) {
    pthread_mutex_init(&module.lock, NULL);
    module.is_of_parent = 1;
}

/* Loads the module of the vendor, such as libsofthsm2.so. Call it once. Returns 0, or -1. */
int token_load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return -1;
    CK_C_GetFunctionList get;
    /* C has no conversion from a pointer to an object. */
    *(void **)(&get) = dlsym(library, "C_GetFunctionList");
    if (get == NULL || get(&module.call) != CKR_OK) return -1;
    return pthread_atfork(NULL, NULL, in_child) == 0 ? 0 : -1;
}

static CK_RV initialize(void) {
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    if (module.is_initialized) module.call->C_Finalize(NULL);
    CK_RV status = module.call->C_Initialize(&arguments);
    module.is_initialized = status == CKR_OK;
    module.is_of_parent = 0;
    module.initializations++;
    return status;
}

/* A token pads its label with spaces. */
static int has_label(const CK_TOKEN_INFO *token, const char *label) {
    size_t length = strlen(label);
    if (length > sizeof token->label || memcmp(token->label, label, length) != 0) return 0;
    for (; length < sizeof token->label; length++) {
        if (token->label[length] != ' ') return 0;
    }
    return 1;
}

static CK_RV find_token(const char *label, CK_SLOT_ID *found) {
    CK_SLOT_ID slots[64];
    CK_ULONG count = sizeof slots / sizeof *slots;
    CK_RV status = module.call->C_GetSlotList(CK_TRUE, slots, &count);
    if (status != CKR_OK) return status;
    for (CK_ULONG each = 0; each < count; each++) {
        CK_TOKEN_INFO token;
        if (module.call->C_GetTokenInfo(slots[each], &token) == CKR_OK &&
            has_label(&token, label)) {
            *found = slots[each];
            return CKR_OK;
        }
    }
    return CKR_TOKEN_NOT_PRESENT;
}

static CK_RV find_key(token_key *key) {
    CK_OBJECT_CLASS private_key = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted[] = {
        {CKA_CLASS, &private_key, sizeof private_key},
        {CKA_LABEL, (void *)key->label, strlen(key->label)},
    };
    CK_ULONG count = 0;
    CK_RV status = module.call->C_FindObjectsInit(key->session, wanted, 2);
    if (status != CKR_OK) return status;
    status = module.call->C_FindObjects(key->session, &key->handle, 1, &count);
    module.call->C_FindObjectsFinal(key->session);
    return status == CKR_OK && count == 0 ? CKR_KEY_HANDLE_INVALID : status;
}

/* A wrong PIN, or one that has expired or is locked. */
static int is_pin_refusal(CK_RV status) {
    return status >= CKR_PIN_INCORRECT && status <= CKR_PIN_LOCKED;
}

/* Opens a session with the key, unless this initialization has one. */
static CK_RV open_key(token_key *key) {
    if (key->opened == module.initializations) return CKR_OK;
    /* Tokens lock themselves after a few tries. */
    if (module.pin_refusal != CKR_OK) return module.pin_refusal;
    CK_SLOT_ID slot;
    CK_RV status = find_token(key->token, &slot);
    if (status != CKR_OK) return status;
    status = module.call->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &key->session);
    if (status != CKR_OK) return status;
    CK_UTF8CHAR *pin = (CK_UTF8CHAR *)key->pin;
    status = module.call->C_Login(key->session, CKU_USER, pin, strlen(key->pin));
    if (is_pin_refusal(status)) module.pin_refusal = status;
    /* A login holds for the process, so another key of the token may have made it. */
    if (status == CKR_OK || status == CKR_USER_ALREADY_LOGGED_IN) status = find_key(key);
    if (status == CKR_OK) {
        key->opened = module.initializations;
    } else {
        module.call->C_CloseSession(key->session);
    }
    return status;
}

/* What a token calls a signature scheme, and what it signs. */
typedef struct {
    int32_t scheme;
    CK_MECHANISM_TYPE mechanism;
    CK_RSA_PKCS_PSS_PARAMS pss;
    int signs_message;
} algorithm;

static const algorithm algorithms[] = {
    {WMTLS_SIGNATURE_SCHEME_ECDSA_SECP256R1_SHA256, CKM_ECDSA, {0, 0, 0}, 0},
    {WMTLS_SIGNATURE_SCHEME_ECDSA_SECP384R1_SHA384, CKM_ECDSA, {0, 0, 0}, 0},
    {WMTLS_SIGNATURE_SCHEME_ECDSA_SECP521R1_SHA512, CKM_ECDSA, {0, 0, 0}, 0},
    {WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA256,
     CKM_RSA_PKCS_PSS,
     {CKM_SHA256, CKG_MGF1_SHA256, 32},
     0},
    {WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA384,
     CKM_RSA_PKCS_PSS,
     {CKM_SHA384, CKG_MGF1_SHA384, 48},
     0},
    {WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA512,
     CKM_RSA_PKCS_PSS,
     {CKM_SHA512, CKG_MGF1_SHA512, 64},
     0},
    {WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA256, CKM_SHA256_RSA_PKCS, {0, 0, 0}, 1},
    {WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA384, CKM_SHA384_RSA_PKCS, {0, 0, 0}, 1},
    {WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA512, CKM_SHA512_RSA_PKCS, {0, 0, 0}, 1},
    {WMTLS_SIGNATURE_SCHEME_ED25519, CKM_EDDSA, {0, 0, 0}, 1},
};

static const algorithm *find_algorithm(int32_t scheme) {
    for (size_t each = 0; each < sizeof algorithms / sizeof *algorithms; each++) {
        if (algorithms[each].scheme == scheme) return &algorithms[each];
    }
    return NULL;
}

static CK_RV sign_once(token_key *key, const algorithm *by, const uint8_t *data, size_t length,
                       uint8_t *signature, CK_ULONG *signature_len) {
    CK_RSA_PKCS_PSS_PARAMS pss = by->pss;
    CK_MECHANISM mechanism = {by->mechanism, NULL, 0};
    if (pss.mgf != 0) {
        mechanism.pParameter = &pss;
        mechanism.ulParameterLen = sizeof pss;
    }
    CK_RV status = CKR_OK;
    if (!module.is_initialized || module.is_of_parent) status = initialize();
    if (status == CKR_OK) status = open_key(key);
    if (status == CKR_OK) {
        status = module.call->C_SignInit(key->session, &mechanism, key->handle);
    }
    if (status == CKR_OK) {
        status = module.call->C_Sign(key->session, (CK_BYTE *)data, length, signature,
                                     signature_len);
    }
    return status;
}

/* The wmtls_sign_function. An ECDSA signature is r and s in a row, which the library accepts. */
static int32_t sign(void *context, int32_t scheme, const uint8_t *message, size_t message_len,
                    const uint8_t *digest, size_t digest_len, uint64_t deadline_ms,
                    uint8_t *signature, size_t capacity, size_t *signature_len) {
    (void)deadline_ms;
    token_key *key = context;
    const algorithm *by = find_algorithm(scheme);
    if (by == NULL) return -1;
    const uint8_t *data = by->signs_message ? message : digest;
    size_t length = by->signs_message ? message_len : digest_len;
    pthread_mutex_lock(&module.lock);
    CK_ULONG written = capacity;
    CK_RV status = sign_once(key, by, data, length, signature, &written);
    /* After another failure, as when the token was removed, the module looks for it anew. */
    if (status != CKR_OK && !is_pin_refusal(status)) {
        written = capacity;
        status = initialize();
        if (status == CKR_OK) {
            status = sign_once(key, by, data, length, signature, &written);
        }
    }
    pthread_mutex_unlock(&module.lock);
    *signature_len = written;
    return (int32_t)status;
}

/* Makes the identity with a key of a token. Free it with wmtls_identity_free.

   `cert`: the path of the certificate chain, which a dispatcher watches. */
wmtls_status token_identity(token_key *key, const char *cert, wmtls_identity **out,
                            wmtls_error **err) {
    return wmtls_identity_from_signer_file(cert, sign, key, NULL, 1, NULL, 0, out, err);
}
