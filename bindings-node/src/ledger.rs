//! What JavaScript reads outcomes from: an array of numbers that it shares with the addon, and pages
//! of receipts.
//!
//! To make an external and to collect it costs more than all else about handing over a receipt. So
//! receipts are kept together, and JavaScript knows one by its page and its place there. A page goes
//! when the last of its receipts was collected; it is kept small, for the sake of whoever keeps one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use napi::bindgen_prelude::{Float64Array, ToNapiValue, sys};
use webhook_mtls::{Error, Receipt};

use crate::border::Handle;

/// The numbers of an entry: the caller's own, a word or a receipt's status, the place in the page.
const WIDTH: usize = 3;

/// Words where a receipt has its status.
const FAULT: f64 = 0.0;
const STIRRED: f64 = -1.0;

/// How many receipts a page holds at most.
const PAGE: usize = 32;

/// How many bytes of answers it takes before it counts as full.
const FULL: usize = 64 * 1024;

/// Something to be told to JavaScript under a number.
pub(crate) enum Entry {
    Ended(Result<Receipt, Error>),
    Stirred,
}

/// What does not fit into a number.
pub(crate) enum Brought {
    Page(Rc<Page>),
    Fault(Error),
}

/// Where outcomes are entered. JavaScript reads them before anything is entered again.
pub(crate) struct Ledger {
    numbers: Float64Array,
    page: Rc<Page>,
    brought: VecDeque<Brought>,
}

impl Ledger {
    pub(crate) fn new(numbers: Float64Array) -> Self {
        Self { numbers, page: Rc::default(), brought: VecDeque::new() }
    }

    /// Enters as many as there is room for; says how many.
    pub(crate) fn enter(&mut self, mut entries: impl Iterator<Item = (f64, Entry)>) -> u32 {
        let Self { numbers, page, brought } = self;
        // Left by JavaScript that broke off amid its reading: it may not know the page either.
        if !brought.is_empty() {
            brought.clear();
            *page = Rc::default();
        }
        // SAFETY: JavaScript reads it on this very thread, and so not now.
        let rows = unsafe { numbers.as_mut() }.chunks_exact_mut(WIDTH);
        let mut count = 0;
        for row in rows {
            let Some((number, entry)) = entries.next() else { break };
            let (word, place) = match entry {
                Entry::Stirred => (STIRRED, 0.0),
                Entry::Ended(Err(error)) => {
                    brought.push_back(Brought::Fault(error));
                    (FAULT, 0.0)
                }
                Entry::Ended(Ok(receipt)) => {
                    let status = f64::from(receipt.status());
                    if page.is_full() {
                        *page = Rc::default();
                    }
                    let place = page.add(receipt);
                    if place == 0 {
                        brought.push_back(Brought::Page(page.clone()));
                    }
                    (status, f64::from(place))
                }
            };
            row.copy_from_slice(&[number, word, place]);
            count += 1;
        }
        count
    }

    /// The next that an entry speaks of.
    pub(crate) fn brought(&mut self) -> Option<Brought> {
        self.brought.pop_front()
    }
}

/// Receipts that are kept together.
#[derive(Default)]
pub(crate) struct Page {
    held: RefCell<Held>,
}

#[derive(Default)]
struct Held {
    receipts: Vec<Receipt>,
    bytes: usize,
}

impl Page {
    fn add(&self, receipt: Receipt) -> u32 {
        let mut held = self.held.borrow_mut();
        let place = held.receipts.len();
        // Garbage lies about until it is collected: it must be little.
        held.bytes += receipt.answer_len();
        held.receipts.push(receipt);
        // There are never as many.
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    fn is_full(&self) -> bool {
        let held = self.held.borrow();
        held.receipts.len() >= PAGE || held.bytes >= FULL
    }

    pub(crate) fn receipt(&self, place: u32) -> Option<Receipt> {
        self.held.borrow().receipts.get(place as usize).cloned()
    }
}

/// A receipt with a page of its own, at place 0.
pub(crate) struct Alone(pub(crate) Receipt);

impl ToNapiValue for Alone {
    unsafe fn to_napi_value(env: sys::napi_env, alone: Self) -> napi::Result<sys::napi_value> {
        let page = Page::default();
        page.add(alone.0);
        // SAFETY: env is the one that this very call was given.
        unsafe { Handle::to_napi_value(env, Handle(Rc::new(page))) }
    }
}
