//! Counts the interim answers (1xx) of one request: a consumer may send some, not for ever.

use std::sync::Arc;

use http::{Request, StatusCode};

use super::body::Hold;
use super::recorder::Record;

/// Counts those of this request in its record; 100 (Continue) releases what is held. After too many
/// the connection is read no further.
pub(super) fn watch<B>(request: &mut Request<B>, record: &Arc<Record>, hold: Option<Arc<Hold>>) {
    let record = record.clone();
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE
            && let Some(hold) = &hold
        {
            hold.release();
        }
        record.interim();
    });
}
