//! Receipts, read from their page.

use std::rc::Rc;

use napi_derive::napi;
use webhook_mtls::Error;

use crate::convert::{CallResult, Handle, guarded};
use crate::outcome_buffer::ReceiptPage;

/// Returns the JSON of the receipt at an index of a page.
#[napi]
pub fn receipt_json(page: Handle<Rc<ReceiptPage>>, index: u32) -> CallResult<String> {
    guarded(|| {
        let receipt = page.0.receipt(index).ok_or_else(Error::caught_panic)?;
        Ok(receipt.to_json().to_string())
    })
}
