//! What crosses between JavaScript and core, and how: nouns, outcomes, promises, panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::{ptr, slice};

use napi::bindgen_prelude::{
    Env, External, FromNapiRef, FromNapiValue, Object, ToNapiValue, TypeName, ValidateNapiValue,
    sys,
};
use napi::{JsDeferred, ValueType, check_status};
use webhook_mtls::process::Lock;
use webhook_mtls::{Error, runtime};

/// A noun of core inside a JavaScript external. Core's nouns are cheap to clone, so a call holds
/// its own clone and nothing that JavaScript's garbage collector does can take it away.
pub(crate) struct Handle<T>(pub(crate) T);

impl<T: Clone + 'static> FromNapiValue for Handle<T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: napi checks that the external is alive, was made here, and holds a T.
        let external = unsafe { External::<T>::from_napi_ref(env, value)? };
        Ok(Self(T::clone(external)))
    }
}

impl<T: 'static> ToNapiValue for Handle<T> {
    unsafe fn to_napi_value(env: sys::napi_env, handle: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: env is the one that this very call was given.
        unsafe { ToNapiValue::to_napi_value(env, External::new(handle.0)) }
    }
}

impl<T> TypeName for Handle<T> {
    fn type_name() -> &'static str {
        "External"
    }

    fn value_type() -> ValueType {
        ValueType::External
    }
}

impl<T: Clone + 'static> ValidateNapiValue for Handle<T> {}

/// Bytes of an Uint8Array, for as long as the call that was given it does not call JavaScript.
///
/// napi's own slices are kept account of, which costs more than a delivery does with them.
pub(crate) struct Lent {
    data: *const u8,
    length: usize,
}

impl Lent {
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the array is an argument of the call that goes on, and so alive; only JavaScript
        // could change or detach it, and `ts/` gives none that another thread could.
        unsafe { slice::from_raw_parts(self.data, self.length) }
    }
}

impl FromNapiValue for Lent {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
        let none = ptr::null_mut();
        // SAFETY: env is the one that this very call was given; what is not wanted may be null.
        check_status!(unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                &raw mut kind,
                &raw mut length,
                &raw mut data,
                none,
                none.cast(),
            )
        })?;
        if kind != sys::TypedarrayType::uint8_array {
            return Err(napi::Error::from_reason("this is no Uint8Array"));
        }
        Ok(Self { data: data.cast(), length })
    }
}

impl TypeName for Lent {
    fn type_name() -> &'static str {
        "Uint8Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for Lent {}

/// `{ value }` or `{ error }` in JavaScript, where `error` is the error's JSON text. napi can throw
/// an error with a message alone; this keeps every field.
pub(crate) struct Outcome<T>(Result<T, Error>);

impl<T: ToNapiValue> ToNapiValue for Outcome<T> {
    unsafe fn to_napi_value(env: sys::napi_env, outcome: Self) -> napi::Result<sys::napi_value> {
        let mut object = Object::new(&Env::from_raw(env))?;
        match outcome.0 {
            Ok(value) => object.set("value", value)?,
            Err(error) => object.set("error", error.to_json().to_string())?,
        }
        // SAFETY: env is the one that this very call was given, and the object was made in it.
        unsafe { Object::to_napi_value(env, object) }
    }
}

impl<T> TypeName for Outcome<T> {
    fn type_name() -> &'static str {
        "Outcome"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

/// Runs what a function does, and lets no panic out.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Outcome<T> {
    Outcome(caught(work))
}

/// The same for what yields nothing: the JSON of its error, if it fails.
pub(crate) fn fault(work: impl FnOnce() -> Result<(), Error>) -> Option<String> {
    caught(work).err().map(|error| error.to_json().to_string())
}

fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::caught_panic()))
}

/// A promise of the outcome of a future, which `prepare` makes on the calling thread and core's
/// runtime drives. Until it is settled, the promise keeps the event loop alive; nothing else does.
pub(crate) fn promised<F, T>(
    env: &Env,
    prepare: impl FnOnce() -> Result<F, Error>,
) -> napi::Result<Object<'_>>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
    T: ToNapiValue + Send + 'static,
{
    let (pledge, promise) = Pledge::new(env)?;
    match caught(prepare) {
        Ok(future) => {
            let settling = pledge.clone();
            if let Err(error) = runtime::spawn(future, move |outcome| settling.keep(outcome)) {
                pledge.keep(Err(error));
            }
        }
        Err(error) => pledge.keep(Err(error)),
    }
    Ok(promise)
}

/// A promise of what blocking work yields, done on a thread of its own.
pub(crate) fn promised_by_thread<T: ToNapiValue + Send + 'static>(
    env: &Env,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (pledge, promise) = Pledge::new(env)?;
    std::thread::spawn(move || pledge.keep(caught(work)));
    Ok(promise)
}

type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<Outcome<T>> + Send>;

/// A promise that will be settled, even if whoever holds it panics. Settling one whose environment
/// is gone, as that of a terminated worker, does nothing.
struct Pledge<T: ToNapiValue + Send + 'static> {
    deferred: Lock<Option<JsDeferred<Outcome<T>, Resolver<T>>>>,
}

impl<T: ToNapiValue + Send + 'static> Pledge<T> {
    fn new(env: &Env) -> napi::Result<(Arc<Self>, Object<'_>)> {
        let (deferred, promise) = env.create_deferred()?;
        Ok((Arc::new(Self { deferred: Lock::new(Some(deferred)) }), promise))
    }

    fn keep(&self, outcome: Result<T, Error>) {
        let deferred = self.deferred.lock().take();
        if let Some(deferred) = deferred {
            deferred.resolve(Box::new(|_| Ok(Outcome(outcome))));
        }
    }
}

impl<T: ToNapiValue + Send + 'static> Drop for Pledge<T> {
    fn drop(&mut self) {
        self.keep(Err(Error::caught_panic()));
    }
}
