//! The buffer through which JavaScript reads outcomes: an array of numbers that it shares with the
//! addon, and pages of receipts.
//!
//! Creating and collecting an external is the main cost of passing a receipt to JavaScript.
//! Receipts therefore share a page, and JavaScript refers to a receipt by its page and its index. A
//! page is freed when the last of its receipts is collected. Pages are small, because one retained
//! receipt retains its whole page.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use napi::bindgen_prelude::{Float64Array, ToNapiValue, sys};
use webhook_mtls::material::PinSlot;
use webhook_mtls::{Error, Receipt};

use crate::convert::Handle;

/// The numbers of a row: the ticket; a receipt's status or one of the codes below; the index in the
/// page; the numbers of [`row_of`].
const WIDTH: usize = 7;

/// Codes in the place of a receipt's status.
const ERROR: f64 = 0.0;
const RUN_READY: f64 = -1.0;

/// The maximum number of receipts in a page.
const PAGE_RECEIPTS: usize = 32;

/// The number of response bytes at which a page is full.
const PAGE_BYTES: usize = 64 * 1024;

/// What a row reports for its ticket.
pub(crate) enum Report {
    Finished(Result<Receipt, Error>),
    RunReady,
}

/// The part of a row that does not fit into a number.
pub(crate) enum Attachment {
    Page(Rc<ReceiptPage>),
    Error(Error),
}

/// Writes rows into the shared array. JavaScript reads all rows before the next write.
pub(crate) struct OutcomeBuffer {
    numbers: Float64Array,
    page: Rc<ReceiptPage>,
    attachments: VecDeque<Attachment>,
}

impl OutcomeBuffer {
    pub(crate) fn new(numbers: Float64Array) -> Self {
        Self { numbers, page: Rc::default(), attachments: VecDeque::new() }
    }

    /// Writes reports until the array is full or `reports` ends; returns the number of rows.
    pub(crate) fn write(&mut self, mut reports: impl Iterator<Item = (f64, Report)>) -> u32 {
        let Self { numbers, page, attachments } = self;
        // Attachments are left if JavaScript was terminated while it read. It may not have received
        // the current page either.
        if !attachments.is_empty() {
            attachments.clear();
            *page = Rc::default();
        }
        // SAFETY: JavaScript reads the array on this thread, so not during this call.
        let rows = unsafe { numbers.as_mut() }.chunks_exact_mut(WIDTH);
        let mut count = 0;
        for row in rows {
            let Some((ticket, report)) = reports.next() else { break };
            let (code, rest) = match report {
                Report::RunReady => (RUN_READY, [0.0; 5]),
                Report::Finished(Err(error)) => {
                    attachments.push_back(Attachment::Error(error));
                    (ERROR, [0.0; 5])
                }
                Report::Finished(Ok(receipt)) => {
                    let status = f64::from(receipt.status());
                    let [attempts, elapsed, pin, held] = row_of(&receipt);
                    if page.is_full() {
                        *page = Rc::default();
                    }
                    let index = page.add(receipt);
                    if index == 0 {
                        attachments.push_back(Attachment::Page(page.clone()));
                    }
                    (status, [f64::from(index), attempts, elapsed, pin, held])
                }
            };
            row[..2].copy_from_slice(&[ticket, code]);
            row[2..].copy_from_slice(&rest);
            count += 1;
        }
        count
    }

    /// Returns the attachments in the order of their rows.
    pub(crate) fn next_attachment(&mut self) -> Option<Attachment> {
        self.attachments.pop_front()
    }
}

/// Returns the attempts; the duration in milliseconds, with microseconds as the fraction; 0 without
/// pins, 1 for a current pin, 2 for a next one; and whether a held payload was asked for, NaN if it was
/// not held.
#[allow(clippy::cast_precision_loss, reason = "microseconds of a delivery fit")]
fn row_of(receipt: &Receipt) -> [f64; 4] {
    let pin = match receipt.pin() {
        None => 0.0,
        Some(PinSlot::Current) => 1.0,
        Some(PinSlot::Next) => 2.0,
    };
    let held = receipt.hold_honored().map_or(f64::NAN, |held| f64::from(u8::from(held)));
    [f64::from(receipt.attempts()), receipt.elapsed().as_micros() as f64 / 1000.0, pin, held]
}

/// Receipts that share one external.
#[derive(Default)]
pub(crate) struct ReceiptPage {
    contents: RefCell<PageContents>,
}

#[derive(Default)]
struct PageContents {
    receipts: Vec<Receipt>,
    bytes: usize,
}

impl ReceiptPage {
    fn add(&self, receipt: Receipt) -> u32 {
        let mut contents = self.contents.borrow_mut();
        let index = contents.receipts.len();
        // Bounded, because the page stays in memory until JavaScript collects its garbage.
        contents.bytes += receipt.answer_len();
        contents.receipts.push(receipt);
        // A page never holds as many.
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn is_full(&self) -> bool {
        let contents = self.contents.borrow();
        contents.receipts.len() >= PAGE_RECEIPTS || contents.bytes >= PAGE_BYTES
    }

    pub(crate) fn receipt(&self, index: u32) -> Option<Receipt> {
        self.contents.borrow().receipts.get(index as usize).cloned()
    }
}

/// A receipt in its own page, at index 0.
pub(crate) struct SingleReceipt(pub(crate) Receipt);

impl ToNapiValue for SingleReceipt {
    unsafe fn to_napi_value(env: sys::napi_env, single: Self) -> napi::Result<sys::napi_value> {
        let page = ReceiptPage::default();
        page.add(single.0);
        // SAFETY: env is the environment of the current call.
        unsafe { Handle::to_napi_value(env, Handle(Rc::new(page))) }
    }
}
