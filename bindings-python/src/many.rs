//! `Delivery`, `Outcome` and the run of `deliver_many`.

use std::collections::VecDeque;
use std::sync::{Arc, TryLockError};
use std::task::{Wake, Waker};

use bytes::Bytes;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyType};
use webhook_mtls::{DeliverOptions, Error, Fanout};

use crate::arguments::{body as payload, count, noun, text, wrong_type};
use crate::boundary::{guard, interruptible};
use crate::completions::{CompletionSlot, Completions, Done};
use crate::dispatcher::Dispatcher;
use crate::endpoint::Endpoint;
use crate::error::{BindingError, exception};
use crate::greenlets;
use crate::options;
use crate::receipt::Receipt;
use crate::recipe::Made;
use crate::telemetry::Telemetry;

/// One payload for one endpoint, as input of `deliver_many`.
///
/// It is immutable, and may be delivered again. Deliveries with the same `bytes` object share it.
///
/// Args:
///     endpoint: an endpoint of the dispatcher that delivers it.
///     body: bytes-like, at most 32 MiB; a str is rejected.
// generated: begin arguments deliver
///     id: the event's id, sent as webhook-id. Use the same id for every attempt.
///     content_type: the content type of the payload. By default `application/json`.
///     headers: additional request headers.
///     timeout: the time limit of this whole delivery. In seconds, or a timedelta; by default
///         the dispatcher's.
// generated: end
///     tag: any object, to recognize the delivery in its outcome.
///
/// Raises:
///     ConfigError: `option_invalid` or `body_too_large`.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Delivery {
    endpoint: Py<Endpoint>,
    tag: Py<PyAny>,
    id: Option<String>,
    body: Bytes,
    options: DeliverOptions,
    /// Why it cannot be delivered, if `deferred` made it.
    fault: Option<Error>,
}

#[pymethods]
impl Delivery {
    #[new]
    #[pyo3(
        signature = (endpoint, body, *, tag = None, **keywords),
        // generated: begin text_signature (endpoint, body, *, {deliver}, tag=None)
        text_signature = "(endpoint, body, *, id=None, content_type=None, headers=None, timeout=None, tag=None)"
        // generated: end
    )]
    fn new(
        endpoint: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        tag: Option<Py<PyAny>>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let mut delivery = Self::empty(endpoint, tag)?;
            delivery.fill(body, keywords)?;
            Ok(delivery)
        })
    }

    /// Makes a delivery whose invalid arguments do not raise here.
    ///
    /// The outcome of such a delivery is the `ConfigError`, so that a run goes on with the others.
    ///
    /// Args:
    ///     endpoint, body, id, content_type, headers, timeout, tag: as for `Delivery`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid` if `endpoint` is not an Endpoint.
    #[classmethod]
    #[pyo3(
        signature = (endpoint, body, *, tag = None, **keywords),
        // generated: begin text_signature ($cls, endpoint, body, *, {deliver}, tag=None)
        text_signature = "($cls, endpoint, body, *, id=None, content_type=None, headers=None, timeout=None, tag=None)"
        // generated: end
    )]
    fn deferred(
        _cls: &Bound<'_, PyType>,
        endpoint: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        tag: Option<Py<PyAny>>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let mut delivery = Self::empty(endpoint, tag)?;
            match delivery.fill(body, keywords) {
                Err(BindingError::Core(fault)) => delivery.fault = Some(fault),
                filled => filled?,
            }
            Ok(delivery)
        })
    }

    /// The endpoint.
    #[getter]
    fn endpoint(&self, py: Python<'_>) -> Py<Endpoint> {
        self.endpoint.clone_ref(py)
    }

    /// The tag; None by default.
    #[getter]
    fn tag(&self, py: Python<'_>) -> Py<PyAny> {
        self.tag.clone_ref(py)
    }

    /// The event's id; None if it has none.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("Delivery({:?}, {} bytes)", self.endpoint.get().0.consumer(), self.body.len())
    }

    #[allow(clippy::missing_errors_doc, reason = "the garbage collector calls it")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.endpoint)?;
        visit.call(&self.tag)
    }
}

impl Delivery {
    fn empty(endpoint: &Bound<'_, PyAny>, tag: Option<Py<PyAny>>) -> Result<Self, BindingError> {
        noun::<Endpoint>("endpoint", "an Endpoint", endpoint)?;
        Ok(Self {
            endpoint: endpoint.cast::<Endpoint>().map_err(PyErr::from)?.clone().unbind(),
            tag: tag.unwrap_or_else(|| endpoint.py().None()),
            id: None,
            body: Bytes::new(),
            options: DeliverOptions::new(),
            fault: None,
        })
    }

    fn fill(
        &mut self,
        body: &Bound<'_, PyAny>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> Result<(), BindingError> {
        for (name, value) in options::keyword_values(keywords)? {
            if name == "id" && !value.is_none() {
                self.id = Some(text("id", &value)?);
            }
        }
        self.body = payload(body)?;
        self.options = options::apply(DeliverOptions::new(), keywords)?;
        Ok(())
    }
}

/// The result of one delivery of `deliver_many`: a receipt or an error.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Outcome {
    /// The delivery.
    #[pyo3(get)]
    delivery: Py<Delivery>,
    /// The receipt; None if the delivery failed.
    #[pyo3(get)]
    receipt: Option<Py<Receipt>>,
    /// The exception that `deliver` would have raised; None if the delivery succeeded.
    #[pyo3(get)]
    error: Option<Py<PyAny>>,
}

#[pymethods]
impl Outcome {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let what = match (&self.receipt, &self.error) {
            (Some(receipt), _) => receipt.bind(py).repr()?.to_string(),
            (None, Some(error)) => error.bind(py).repr()?.to_string(),
            (None, None) => "None".to_owned(),
        };
        let consumer = self.delivery.get().endpoint.get().0.consumer().to_owned();
        Ok(format!("Outcome({consumer:?}, {what})"))
    }

    #[allow(clippy::missing_errors_doc, reason = "the garbage collector calls it")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.delivery)?;
        visit.call(&self.error)
    }
}

/// The progress of a run of `deliver_many`.
#[pyclass(frozen, eq, weakref, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Progress(webhook_mtls::dispatcher::FanoutProgress);

#[pymethods]
impl Progress {
    /// The number of deliveries that have ended, including failed ones.
    #[getter]
    fn done(&self) -> u64 {
        self.0.done
    }

    /// The number of deliveries that have failed.
    #[getter]
    fn failed(&self) -> u64 {
        self.0.failed
    }

    /// The number of running deliveries.
    #[getter]
    fn in_flight(&self) -> usize {
        self.0.in_flight
    }

    /// The number of deliveries that wait for a permit of their consumer.
    #[getter]
    fn waiting(&self) -> usize {
        self.0.waiting
    }

    fn __repr__(&self) -> String {
        let webhook_mtls::dispatcher::FanoutProgress { done, failed, in_flight, waiting } = self.0;
        format!("Progress(done={done}, failed={failed}, in_flight={in_flight}, waiting={waiting})")
    }
}

/// The outcomes of `Dispatcher.deliver_many`, in the order in which the deliveries end.
///
/// It is an iterator. Closing or dropping it cancels the running deliveries.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Outcomes {
    run: Run,
    source: TryLock<Source>,
}

/// A mutex that is only tried, never waited for, because Python code runs while it is held.
#[expect(clippy::disallowed_types, reason = "it is only tried, so a child cannot hang in it")]
type TryLock<T> = std::sync::Mutex<T>;

/// A delivery and its outcome.
type Finished = (Py<Delivery>, Result<webhook_mtls::Receipt, Error>);

/// The input of a run, and the outcomes that were taken but not yielded yet.
struct Source {
    deliveries: Option<Py<PyIterator>>,
    /// The exception of the iterable. It is raised after the outcomes of all earlier deliveries.
    raised: Option<PyErr>,
    ready: VecDeque<Finished>,
    /// Under gevent, what wakes the greenlet that takes the outcomes.
    wakeup: Option<Py<PyAny>>,
}

#[pymethods]
impl Outcomes {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<Outcome>, BindingError> {
        guard(|| {
            self.run.0.check_process()?;
            let mut source = match self.source.try_lock() {
                Ok(source) => source,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    let expected = "used by one thread at a time";
                    return Err(
                        Error::wrong_type("outcomes", expected, "two threads at once").into()
                    );
                }
            };
            let source = &mut *source;
            loop {
                source.refill(py, &self.run);
                if source.ready.is_empty() {
                    source.ready.extend(self.run.take_finished(py));
                    // The run has room again.
                    source.refill(py, &self.run);
                }
                if let Some((delivery, outcome)) = source.ready.pop_front() {
                    return Ok(Some(outcome_of(py, delivery, outcome)?));
                }
                if self.run.0.is_idle() {
                    return match source.raised.take() {
                        Some(raised) => Err(raised.into()),
                        None => Ok(None),
                    };
                }
                if let Some(gevent) = greenlets::gevent(py)? {
                    let Some(wakeup) = &source.wakeup else {
                        let wakeup = greenlets::Wait::for_run(&gevent)?;
                        let (completions, ticket) = wakeup.ends_with()?;
                        self.run.wake(completions, ticket);
                        source.wakeup = Some(wakeup.unbind());
                        // An outcome may have arrived before the run had a waker.
                        continue;
                    };
                    wakeup.bind(py).call_method0("wait")?;
                    continue;
                }
                let wants_more = source.deliveries.is_some();
                interruptible(py, |interrupt| match self.run.0.wait(wants_more, interrupt) {
                    Ok(false) => None,
                    Ok(true) => Some(Ok(())),
                    Err(error) => Some(Err(error)),
                })??;
            }
        })
    }

    /// The progress of the run. Any thread may read it.
    #[getter]
    fn progress(&self) -> Progress {
        self.run.progress()
    }

    /// Cancels the running deliveries, and takes no more from the iterable.
    ///
    /// The outcomes of deliveries that had already ended can still be taken.
    fn close(&self) {
        self.run.cancel();
        if let Ok(mut source) = self.source.try_lock() {
            source.deliveries = None;
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, _raised: &Bound<'_, pyo3::types::PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        format!("Outcomes({})", self.run.progress().__repr__())
    }
}

impl Outcomes {
    /// Makes a run over an iterable.
    pub fn new(
        dispatcher: &Dispatcher,
        deliveries: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self, BindingError> {
        let mut run = Run::new(dispatcher, concurrency)?;
        if greenlets::gevent(deliveries.py())?.is_none() {
            run = Run(run.0.waited_for(), run.1);
        }
        let expected = "an iterable of Delivery";
        let iterator =
            deliveries.try_iter().map_err(|_| wrong_type("deliveries", expected, deliveries))?;
        let deliveries = Some(iterator.unbind());
        let source =
            TryLock::new(Source { deliveries, raised: None, ready: VecDeque::new(), wakeup: None });
        Ok(Self { run, source })
    }
}

impl Source {
    /// Submits deliveries of the iterable while the run has room.
    fn refill(&mut self, py: Python<'_>, run: &Run) {
        while let Some(deliveries) = &self.deliveries
            && run.has_room()
        {
            let fault = match deliveries.bind(py).clone().next() {
                Some(Ok(delivery)) => run.submit(&delivery).err().map(PyErr::from),
                Some(Err(raised)) => Some(raised),
                None => {
                    self.deliveries = None;
                    None
                }
            };
            if let Some(fault) = fault {
                self.raised = Some(fault);
                self.deliveries = None;
            }
        }
    }
}

/// A run without a loop of its own. `AsyncDispatcher` drives it.
#[pyclass(frozen, name = "_Run", weakref, module = "webhook_mtls._native")]
pub struct Run(Fanout<Py<Delivery>>, Telemetry);

#[pymethods]
impl Run {
    /// Returns whether one more delivery may be submitted.
    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// Starts a delivery.
    fn submit(&self, delivery: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        let kept = delivery
            .cast::<Delivery>()
            .map_err(|_| wrong_type("deliveries", "a Delivery each", delivery))?;
        let Delivery { endpoint, body, options, fault, .. } = kept.get();
        let endpoint = &endpoint.get().0;
        if let Some(fault) = fault {
            self.0.fail(endpoint, fault.clone(), kept.clone().unbind());
            return Ok(());
        }
        let options = self.1.begin(delivery.py(), endpoint, options.clone());
        let wanted = webhook_mtls::Delivery::new(endpoint, body.clone(), options);
        self.0.submit(wanted, kept.clone().unbind());
        Ok(())
    }

    /// Takes the outcomes that have arrived.
    fn take(&self, py: Python<'_>) -> Result<Vec<Outcome>, BindingError> {
        self.0.check_process()?;
        let finished = self.take_finished(py);
        finished.into_iter().map(|(delivery, outcome)| outcome_of(py, delivery, outcome)).collect()
    }

    /// Returns whether no delivery is running and no outcome waits.
    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Pushes the ticket to `completions` whenever the first outcome arrives.
    fn watch(&self, completions: &Bound<'_, Completions>, ticket: u64) {
        self.wake(completions.get().clone(), ticket);
    }

    /// Cancels the running deliveries.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// The progress of the run.
    #[getter]
    fn progress(&self) -> Progress {
        Progress(self.0.progress())
    }
}

impl Run {
    fn take_finished(&self, py: Python<'_>) -> Vec<Finished> {
        let finished = self.0.take_finished();
        self.1.flush(py);
        finished
    }

    fn wake(&self, completions: Completions, ticket: u64) {
        self.0.watch(Waker::from(Arc::new(RunWaker { completions, ticket })));
    }

    /// Makes a run of a dispatcher.
    pub fn new(
        dispatcher: &Dispatcher,
        concurrency: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self, BindingError> {
        let concurrency = concurrency.map(|value| count("concurrency", value)).transpose()?;
        let concurrency = concurrency.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok(Self(Fanout::new(&dispatcher.0, concurrency)?, dispatcher.1.clone()))
    }
}

struct RunWaker {
    completions: Completions,
    ticket: u64,
}

impl Wake for RunWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let slot: CompletionSlot = self.completions.slot(self.ticket);
        slot.fill(Ok(Done::OutcomesReady));
    }
}

fn outcome_of(
    py: Python<'_>,
    delivery: Py<Delivery>,
    outcome: Result<webhook_mtls::Receipt, Error>,
) -> Result<Outcome, BindingError> {
    Ok(match outcome {
        Ok(receipt) => Outcome {
            delivery,
            receipt: Some(Py::new(py, Receipt(Made::Live(receipt)))?),
            error: None,
        },
        Err(error) => {
            Outcome { delivery, receipt: None, error: Some(exception(py, &error)?.unbind()) }
        }
    })
}
