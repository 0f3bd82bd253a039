//! Identities whose key stays elsewhere: a function of the program signs.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::material::{SignatureRequest, SignatureScheme, Signer, SignerError};
use webhook_mtls::{Error, Identity};

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::null_argument;
use crate::identity::wmtls_identity;
use crate::{panic, text};

/// A function of the program that signs a handshake with a key that this process does not hold, such as
/// one in an HSM or a KMS.
///
/// It is called on threads of the library that block all signals, on several at once, and may block: only
/// its handshake waits. A call that does not return keeps its place among those that `concurrency` allows.
/// It must not throw a C++ exception. In a child process it is called with the same context.
///
/// `context`: the pointer that was set with the function.
/// `scheme`: a WMTLS_SIGNATURE_SCHEME_...: the algorithm, the hash and the padding.
/// `message`, `message_len`: the bytes to sign, not hashed.
/// `digest`, `digest_len`: the hash of the message, for RSA and ECDSA; NULL and 0 for other schemes.
/// `deadline_ms`: how long the handshake waits for the answer.
/// `signature`, `capacity`: receives the signature; 8192 bytes. For ECDSA it is DER, or r and s in a
/// row. The library verifies it before it leaves.
/// `signature_len`: receives its length.
///
/// Returns 0, or a number other than 0 if it could not sign: WMTLS_SIGNER_FAILED then names the number.
pub type wmtls_sign_function = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        scheme: i32,
        message: *const u8,
        message_len: usize,
        digest: *const u8,
        digest_len: usize,
        deadline_ms: u64,
        signature: *mut u8,
        capacity: usize,
        signature_len: *mut usize,
    ) -> i32,
>;

/// A function of the program that frees the context of a wmtls_sign_function. It is called once in each
/// process, on any thread, after the last call, when no handle and no connection uses the identity. It
/// must not call a function of this library.
pub type wmtls_signer_free_function = Option<unsafe extern "C" fn(context: *mut c_void)>;

/// The size of the buffer for a signature. An ML-DSA-87 signature has 4627 bytes.
const CAPACITY: usize = 8192;

type SignFunction = unsafe extern "C" fn(
    *mut c_void,
    i32,
    *const u8,
    usize,
    *const u8,
    usize,
    u64,
    *mut u8,
    usize,
    *mut usize,
) -> i32;

/// A function of the program, its context, and its limits.
struct FunctionSigner {
    sign: SignFunction,
    context: Context,
    concurrency: usize,
    schemes: Vec<SignatureScheme>,
}

/// The context of a function, and the function that frees it.
struct Context {
    pointer: *mut c_void,
    free: wmtls_signer_free_function,
}

// SAFETY: the header says that the function is called on several threads at once, and the context freed
// on any.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: the function follows the header's rules, and no call of the signer is left.
            unsafe { free(self.pointer) };
        }
    }
}

impl Signer for FunctionSigner {
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        let mut signature = vec![0; CAPACITY];
        let mut length = 0;
        let (message, digest) = (request.message, request.digest.unwrap_or_default());
        let digest_start = request.digest.map_or(ptr::null(), <[u8]>::as_ptr);
        let deadline_ms = u64::try_from(request.deadline.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: the function follows the header's rules, and every range is as long as it says.
        let status = unsafe {
            (self.sign)(
                self.context.pointer,
                request.scheme as i32,
                message.as_ptr(),
                message.len(),
                digest_start,
                digest.len(),
                deadline_ms,
                signature.as_mut_ptr(),
                CAPACITY,
                &raw mut length,
            )
        };
        match status {
            0 if length <= CAPACITY => {
                signature.truncate(length);
                Ok(signature)
            }
            0 => Err(SignerError::new("signature_len_above_capacity")),
            // Core shows a name only if it has the form of a type, which has no hyphen.
            status => Err(SignerError::new(format!("status:{status}").replace('-', "minus_"))),
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Returns the signer of these arguments.
///
/// # Safety
///
/// The arguments follow the header's rules.
unsafe fn signer(
    sign: wmtls_sign_function,
    context: Context,
    concurrency: usize,
    schemes: *const *const c_char,
    schemes_len: usize,
) -> Result<FunctionSigner, Error> {
    let Some(sign) = sign else {
        return Err(null_argument("sign"));
    };
    // SAFETY: the caller guarantees it.
    let names = unsafe { text::list(schemes, schemes_len, "schemes") }?;
    let schemes = SignatureScheme::of_arguments(&names)?;
    Ok(FunctionSigner { sign, context, concurrency, schemes })
}

/// Makes an identity whose key stays elsewhere, such as in an HSM or a KMS: a function of the program
/// signs each handshake with it. Free the result with wmtls_identity_free. docs/signer.md has the rules.
///
/// `cert`, `cert_len`: our certificate chain, leaf first, PEM or DER.
/// `sign`: signs with the key of the leaf.
/// `context`: passed to `sign` and to `free_context`; NULL is allowed.
/// `free_context`: frees the context, also if this function fails; NULL if nothing is to be freed.
/// `concurrency`: the most calls of `sign` at once, 1 to 64; 8 suits most keys. Further handshakes wait.
/// `schemes`, `schemes_len`: the names of the signature schemes that the key's owner supports, such as
/// "rsa_pss_rsae_sha256"; NULL and 0 for all that fit the key.
/// `out`: receives the identity.
///
/// Fails with WMTLS_PEM_INVALID, WMTLS_IDENTITY_UNUSABLE, WMTLS_CLOCK_IMPLAUSIBLE or
/// WMTLS_OPTION_INVALID. A delivery fails with WMTLS_SIGNER_FAILED or WMTLS_SIGNER_TIMEOUT if there is
/// no valid signature in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_identity_from_signer(
    cert: *const c_void,
    cert_len: usize,
    sign: wmtls_sign_function,
    context: *mut c_void,
    free_context: wmtls_signer_free_function,
    concurrency: usize,
    schemes: *const *const c_char,
    schemes_len: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_identity>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    let context = Context { pointer: context, free: free_context };
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let signer = unsafe { signer(sign, context, concurrency, schemes, schemes_len) }?;
        // SAFETY: as above.
        let cert = unsafe { text::bytes(cert, cert_len, Limit::material("cert")) }?;
        Identity::from_signer(cert, signer).map(wmtls_identity::new)
    })
}

/// Makes an identity as wmtls_identity_from_signer does, with the chain in a PEM file. A dispatcher that
/// uses the identity watches the file. If its new leaf has another key, `sign` must use that at once.
///
/// `cert`: the path of our certificate chain, leaf first.
/// `sign`, `context`, `free_context`, `concurrency`, `schemes`, `schemes_len`: as there.
/// `out`: receives the identity.
///
/// Fails as wmtls_identity_from_signer does, with WMTLS_PEM_INVALID if the file cannot be read within
/// five seconds, and with WMTLS_OVERLOADED if the process has no descriptor or thread left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_identity_from_signer_file(
    cert: *const c_char,
    sign: wmtls_sign_function,
    context: *mut c_void,
    free_context: wmtls_signer_free_function,
    concurrency: usize,
    schemes: *const *const c_char,
    schemes_len: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_identity>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    let context = Context { pointer: context, free: free_context };
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let signer = unsafe { signer(sign, context, concurrency, schemes, schemes_len) }?;
        // SAFETY: as above.
        let cert = unsafe { text::required(cert, "cert") }?;
        Identity::from_signer_file(cert, signer).map(wmtls_identity::new)
    })
}
