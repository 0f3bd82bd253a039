//! The npm packages.
#![expect(clippy::unnecessary_wraps, reason = "the languages share one signature")]

use crate::command::Result;
use crate::packages::Order;

pub(crate) fn make(_order: &Order) -> Result {
    Ok(())
}

pub(crate) fn prove(_order: &Order) -> Result<u32> {
    Ok(0)
}

pub(crate) fn prove_slowly(_order: &Order) -> Result<Vec<String>> {
    Ok(Vec::new())
}
