//! Conversions between JavaScript and core: handles, bytes, results, promises, panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::{ptr, slice};

use napi::bindgen_prelude::{
    Env, External, FromNapiRef, FromNapiValue, Object, ToNapiValue, TypeName, ValidateNapiValue,
    sys,
};
use napi::{JsDeferred, ValueType, check_status};
use webhook_mtls::Error;
use webhook_mtls::bindings::process::Lock;
use webhook_mtls::bindings::runtime;

use crate::completions;
use crate::error::error_text;

/// A value of core inside a JavaScript external.
///
/// Core's types are cheap to clone. A call holds its own clone, so the garbage collector cannot
/// free a value that is in use.
pub(crate) struct Handle<T>(pub(crate) T);

impl<T: Clone + 'static> FromNapiValue for Handle<T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: napi checks that the external is alive, was made by this addon, and holds a T.
        let external = unsafe { External::<T>::from_napi_ref(env, value)? };
        Ok(Self(T::clone(external)))
    }
}

impl<T: 'static> ToNapiValue for Handle<T> {
    unsafe fn to_napi_value(env: sys::napi_env, handle: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: env is the environment of the current call.
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

/// The bytes of a `Uint8Array`, borrowed for the current call. The call must not run JavaScript
/// while it uses them.
///
/// napi tracks its own slices, which costs more than a delivery spends on the bytes.
pub(crate) struct BorrowedBytes {
    data: *const u8,
    length: usize,
}

impl BorrowedBytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the array is an argument of the current call, so it is alive. Only JavaScript can
        // change or detach it, and `ts/` copies shared memory, which another thread could change.
        unsafe { slice::from_raw_parts(self.data, self.length) }
    }
}

impl FromNapiValue for BorrowedBytes {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
        let none = ptr::null_mut();
        // SAFETY: env is the environment of the current call. Unused out-parameters may be null.
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
            return Err(napi::Error::from_reason("expected a Uint8Array"));
        }
        Ok(Self { data: data.cast(), length })
    }
}

impl TypeName for BorrowedBytes {
    fn type_name() -> &'static str {
        "Uint8Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for BorrowedBytes {}

/// `{ value }` or `{ error }` in JavaScript, where `error` is the error's JSON text.
///
/// napi can throw an error only with a message. This object keeps every field.
pub(crate) struct CallResult<T>(Result<T, Error>);

impl<T: ToNapiValue> ToNapiValue for CallResult<T> {
    unsafe fn to_napi_value(env: sys::napi_env, result: Self) -> napi::Result<sys::napi_value> {
        let mut object = Object::new(&Env::from_raw(env))?;
        match result.0 {
            Ok(value) => object.set("value", value)?,
            Err(error) => object.set("error", error_text(&error))?,
        }
        // SAFETY: env is the environment of the current call, and the object belongs to it.
        unsafe { Object::to_napi_value(env, object) }
    }
}

impl<T> TypeName for CallResult<T> {
    fn type_name() -> &'static str {
        "CallResult"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

/// Runs the body of a native function and turns a panic into an `internal` error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> CallResult<T> {
    CallResult(catch_panic(work))
}

/// As [`guarded`], for work without a value. Returns the error's JSON if it fails.
pub(crate) fn error_json(work: impl FnOnce() -> Result<(), Error>) -> Option<String> {
    catch_panic(work).err().as_ref().map(error_text)
}

fn catch_panic<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::caught_panic()))
}

/// Returns a promise of a future's result. `prepare` makes the future on the calling thread, and
/// core's runtime drives it. The promise keeps the event loop alive until it is settled.
pub(crate) fn promise<F, T>(
    env: &Env,
    prepare: impl FnOnce() -> Result<F, Error>,
) -> napi::Result<Object<'_>>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
    T: ToNapiValue + Send + 'static,
{
    let (settler, promise) = PromiseSettler::new(env)?;
    match catch_panic(prepare) {
        Ok(future) => {
            let of_future = settler.clone();
            match runtime::spawn(future, move |result| of_future.settle(result)) {
                // The loop drives the future as it drives a delivery, with its timers.
                Ok(()) => completions::started(),
                Err(error) => settler.settle(Err(error)),
            }
        }
        Err(error) => settler.settle(Err(error)),
    }
    Ok(promise)
}

/// Returns a promise of the result of blocking work, which runs on its own thread.
#[cfg(feature = "testing")]
pub(crate) fn promise_on_thread<T: ToNapiValue + Send + 'static>(
    env: &Env,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (settler, promise) = PromiseSettler::new(env)?;
    std::thread::spawn(move || settler.settle(catch_panic(work)));
    Ok(promise)
}

type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<CallResult<T>> + Send>;

/// Settles a promise once. If the settler is dropped unused, as after a panic, the promise is
/// settled with `internal`. If the environment is gone, as that of a terminated worker, settling
/// has no effect.
struct PromiseSettler<T: ToNapiValue + Send + 'static> {
    deferred: Lock<Option<JsDeferred<CallResult<T>, Resolver<T>>>>,
}

impl<T: ToNapiValue + Send + 'static> PromiseSettler<T> {
    fn new(env: &Env) -> napi::Result<(Arc<Self>, Object<'_>)> {
        let (deferred, promise) = env.create_deferred()?;
        Ok((Arc::new(Self { deferred: Lock::new(Some(deferred)) }), promise))
    }

    fn settle(&self, result: Result<T, Error>) {
        let deferred = self.deferred.lock().take();
        if let Some(deferred) = deferred {
            deferred.resolve(Box::new(|_| Ok(CallResult(result))));
        }
    }
}

impl<T: ToNapiValue + Send + 'static> Drop for PromiseSettler<T> {
    fn drop(&mut self) {
        self.settle(Err(Error::caught_panic()));
    }
}
