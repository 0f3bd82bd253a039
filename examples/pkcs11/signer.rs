//! An identity whose key is in a PKCS#11 token, such as an HSM, a smart card or a TPM. Needs the crate
//! `cryptoki`. For a process that does not fork: a child would have to initialize the module anew.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::{AuthPin, Ulong};
use webhook_mtls::Identity;
use webhook_mtls::material::{SignatureRequest, SignatureScheme, Signer, SignerError};

/// A token, and the module of its vendor. A process has one for each module, for all keys.
pub struct Token {
    module: Pkcs11,
    label: String,
    pin: AuthPin,
    // Set once the token has refused the PIN.
    refusal: Mutex<Option<RvError>>,
    // A signature holds it for reading, so that the module is not closed in the middle of a call.
    open: RwLock<Option<Open>>,
}

/// Ends when the module is initialized anew.
struct Open {
    slot: Slot,
    idle: Mutex<Vec<OpenKey>>,
    // A login holds for all sessions, as long as one is open.
    _login: Mutex<Session>,
}

/// A session signs for one thread at a time.
struct OpenKey {
    label: String,
    session: Session,
    handle: ObjectHandle,
}

impl Token {
    /// Loads the module. The token is opened at the first signature.
    ///
    /// * `module`: the path of the vendor's module, such as `libsofthsm2.so`.
    /// * `label`: the label of the token.
    /// * `pin`: the PIN of its user.
    ///
    /// # Errors
    ///
    /// Fails if the module cannot be loaded.
    pub fn new(module: impl AsRef<Path>, label: &str, pin: &str) -> Result<Arc<Self>, Error> {
        let module = Pkcs11::new(module)?;
        let (label, pin) = (label.to_owned(), AuthPin::new(pin.into()));
        let (refusal, open) = (Mutex::new(None), RwLock::new(None));
        Ok(Arc::new(Self { module, label, pin, refusal, open }))
    }

    /// Returns the identity with a key of this token.
    ///
    /// * `cert`: the path of the certificate chain, which a dispatcher watches.
    /// * `key`: the label of the private key.
    ///
    /// # Errors
    ///
    /// Fails as `Identity::from_signer_file`.
    pub fn identity(
        self: &Arc<Self>,
        cert: impl AsRef<Path>,
        key: &str,
    ) -> Result<Identity, webhook_mtls::Error> {
        let signer = TokenKey { token: Arc::clone(self), label: key.to_owned() };
        Identity::from_signer_file(cert, signer)
    }

    /// Signs. After a failure, as when the token was removed, opens it anew and tries once more.
    fn sign(&self, key: &str, mechanism: &Mechanism, data: &[u8]) -> Result<Vec<u8>, Error> {
        match self.try_to_sign(key, mechanism, data) {
            Err(error) if !is_about_pin(&error) => {
                self.close();
                self.try_to_sign(key, mechanism, data)
            }
            result => result,
        }
    }

    fn try_to_sign(&self, key: &str, mechanism: &Mechanism, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.with_open(|open| {
            let mine = match open.take(key) {
                Some(mine) => mine,
                None => self.find_key(open.slot, key)?,
            };
            let signature = mine.session.sign(mechanism, mine.handle, data)?;
            open.idle.lock().unwrap_or_else(PoisonError::into_inner).push(mine);
            Ok(signature)
        })
    }

    /// Calls a function with the open token. Opens it before, if it is not.
    fn with_open<R>(&self, call: impl FnOnce(&Open) -> Result<R, Error>) -> Result<R, Error> {
        loop {
            if let Some(open) = &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
                return call(open);
            }
            let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
            if open.is_none() {
                *open = Some(self.initialize()?);
            }
        }
    }

    /// Waits until no call is in progress. Modules look for tokens only when they are initialized.
    fn close(&self) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // Sessions first: a later session may have the number of an earlier one.
        if open.take().is_some() {
            // A failure shows at the next initialization.
            let _ = self.module.clone().finalize();
        }
    }

    fn initialize(&self) -> Result<Open, Error> {
        self.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        self.open_token().inspect_err(|_| {
            let _ = self.module.clone().finalize();
        })
    }

    fn open_token(&self) -> Result<Open, Error> {
        let is_ours = |slot: &Slot| {
            self.module.get_token_info(*slot).is_ok_and(|token| token.label() == self.label)
        };
        let slot = self.module.get_slots_with_token()?.into_iter().find(is_ours);
        let absent = Error::Pkcs11(RvError::TokenNotPresent, Function::GetSlotList);
        let slot = slot.ok_or(absent)?;
        let session = self.module.open_ro_session(slot)?;
        self.log_in(&session)?;
        Ok(Open { slot, idle: Mutex::default(), _login: Mutex::new(session) })
    }

    /// Tries a wrong PIN once: tokens lock themselves after a few tries.
    fn log_in(&self, session: &Session) -> Result<(), Error> {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = *refusal {
            return Err(Error::Pkcs11(refusal, Function::Login));
        }
        session.login(UserType::User, Some(&self.pin)).inspect_err(|error| {
            if let Error::Pkcs11(code, _) = error
                && is_about_pin(error)
            {
                *refusal = Some(*code);
            }
        })
    }

    fn find_key(&self, slot: Slot, label: &str) -> Result<OpenKey, Error> {
        let session = self.module.open_ro_session(slot)?;
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
        let absent = Error::Pkcs11(RvError::KeyHandleInvalid, Function::FindObjects);
        let handle = session.find_objects(&wanted)?.into_iter().next().ok_or(absent)?;
        Ok(OpenKey { label: label.to_owned(), session, handle })
    }
}

impl Open {
    fn take(&self, label: &str) -> Option<OpenKey> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(|key| key.label == label)?;
        Some(idle.swap_remove(at))
    }
}

fn is_about_pin(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::PinExpired
                | RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinLocked,
            _
        )
    )
}

/// A key of a token.
struct TokenKey {
    token: Arc<Token>,
    label: String,
}

impl Signer for TokenKey {
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        let mechanism = mechanism(request.scheme)?;
        let signs_message = matches!(
            mechanism,
            Mechanism::Sha256RsaPkcs
                | Mechanism::Sha384RsaPkcs
                | Mechanism::Sha512RsaPkcs
                | Mechanism::Eddsa(_)
        );
        let data = request.digest.filter(|_| !signs_message).unwrap_or(request.message);
        // An ECDSA signature is r and s in a row, which the library accepts.
        Ok(self.token.sign(&self.label, &mechanism, data)?)
    }
}

/// Returns the name that a token has for a signature scheme.
fn mechanism(scheme: SignatureScheme) -> Result<Mechanism<'static>, SignerError> {
    let pss =
        |hash_alg, mgf, s_len: Ulong| Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len });
    Ok(match scheme {
        SignatureScheme::EcdsaSecp256r1Sha256
        | SignatureScheme::EcdsaSecp384r1Sha384
        | SignatureScheme::EcdsaSecp521r1Sha512 => Mechanism::Ecdsa,
        SignatureScheme::RsaPssRsaeSha256 => {
            pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32.into())
        }
        SignatureScheme::RsaPssRsaeSha384 => {
            pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48.into())
        }
        SignatureScheme::RsaPssRsaeSha512 => {
            pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64.into())
        }
        SignatureScheme::RsaPkcs1Sha256 => Mechanism::Sha256RsaPkcs,
        SignatureScheme::RsaPkcs1Sha384 => Mechanism::Sha384RsaPkcs,
        SignatureScheme::RsaPkcs1Sha512 => Mechanism::Sha512RsaPkcs,
        SignatureScheme::Ed25519 => {
            Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
        }
        _ => return Err(SignerError::new("UnknownScheme")),
    })
}
