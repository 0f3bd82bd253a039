//! The signer of an identity whose key stays elsewhere: a function of the program.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use webhook_mtls::bindings::signer::DEFAULT_CONCURRENCY;
use webhook_mtls::material::{SignatureRequest, SignatureScheme, Signer, SignerError};

use crate::arguments::{count, texts, wrong_type};
use crate::attach;
use crate::error::BindingError;

/// A function of the program, and its limits.
pub struct FunctionSigner {
    /// `webhook_mtls._signer.call`.
    call: Py<PyAny>,
    sign: Py<PyAny>,
    /// The event loop for awaitables, or None.
    event_loop: Py<PyAny>,
    concurrency: usize,
    schemes: Vec<SignatureScheme>,
}

impl FunctionSigner {
    /// Checks the arguments of a constructor.
    pub fn new(
        sign: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
        schemes: Option<&Bound<'_, PyAny>>,
        event_loop: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self, BindingError> {
        let py = sign.py();
        if !sign.is_callable() {
            return Err(wrong_type("sign", "a function", sign));
        }
        if let Some(given) = event_loop
            && !given.is_instance(&py.import("asyncio")?.getattr("AbstractEventLoop")?)?
        {
            return Err(wrong_type("loop", "an asyncio event loop", given));
        }
        let names = schemes.map(|schemes| texts("schemes", schemes)).transpose()?;
        let concurrency = concurrency.map(|given| count("concurrency", given)).transpose()?;
        let concurrency = concurrency.map_or(DEFAULT_CONCURRENCY, |count| count as usize);
        attach::prepare(py)?;
        Ok(Self {
            call: py.import("webhook_mtls._signer")?.getattr("call")?.unbind(),
            sign: sign.clone().unbind(),
            event_loop: event_loop.map_or_else(|| py.None(), |given| given.clone().unbind()),
            concurrency,
            schemes: SignatureScheme::of_arguments(&names.unwrap_or_default())?,
        })
    }

    fn call(&self, py: Python<'_>, request: &SignatureRequest<'_>) -> PyResult<Vec<u8>> {
        let arguments = (
            &self.sign,
            &self.event_loop,
            request.scheme.name(),
            PyBytes::new(py, request.message),
            request.digest.map(|digest| PyBytes::new(py, digest)),
            request.deadline.as_secs_f64(),
        );
        let answer = attach::call(self.call.bind(py), &arguments.into_pyobject(py)?)?;
        Ok(answer.extract::<PyBackedBytes>()?.to_vec())
    }
}

impl Signer for FunctionSigner {
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        let mut answer = Err(SignerError::new("interpreter_finalizing"));
        attach::attached(|py| {
            answer = self.call(py, request).map_err(|raised| failure(py, raised));
        });
        answer
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Returns an exception as the error of a signer, named by its type.
fn failure(py: Python<'_>, raised: PyErr) -> SignerError {
    let class = raised.get_type(py);
    let name = class.fully_qualified_name();
    let name = name.map_or_else(|_| "Exception".to_owned(), |name| name.to_string());
    SignerError::new(name).caused_by(raised)
}
