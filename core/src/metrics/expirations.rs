//! The gauges of what expires.

use std::collections::BTreeMap;

use super::table::row;
use super::{MAX_VALUES, Metrics, label_value};

/// Adds when certificates and CRLs expire. Of equal names, the earliest is shown.
///
/// * `expiries`: the owner, the name, the date in Unix seconds and the share of the lifetime that is left,
///   the smallest share first.
#[allow(clippy::cast_precision_loss, reason = "dates of certificates fit within 52 bits")]
pub(crate) fn add_expiries(
    metrics: &mut Metrics,
    expiries: impl Iterator<Item = (&'static str, String, i64, f64)>,
) {
    let mut shown: BTreeMap<(&str, String), (i64, f64)> = BTreeMap::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (owner, name, date, left) in expiries {
        let key = (owner, label_value(&name));
        if let Some((earliest, least)) = shown.get_mut(&key) {
            (*earliest, *least) = (date.min(*earliest), left.min(*least));
            continue;
        }
        let count = names.entry(owner).or_default();
        if *count < MAX_VALUES {
            *count += 1;
            shown.insert(key, (date, left));
        }
    }
    for ((owner, name), (date, left)) in shown {
        metrics.number(row::EXPIRATION, &[owner, &name], date as f64);
        metrics.number(row::LIFETIME_LEFT, &[owner, &name], left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_an_owner_are_bounded_and_the_first_are_shown() {
        let mut metrics = Metrics::default();
        let of = |owner, number: i64, left| (owner, format!("CN={number}"), number, left);
        let many = (0..73).map(|number| of("anchor", number, 0.5));
        let twice = [of("identity", 7, 0.25), ("identity", "CN=7".to_owned(), 3, 0.75)];
        add_expiries(&mut metrics, many.chain(twice));
        let json = metrics.to_json();
        let dates = json["webhook_mtls_certificate_expiration_timestamp_seconds"]["samples"]
            .as_array()
            .expect("a list");
        assert_eq!(dates.len(), MAX_VALUES + 1);
        let identity = dates.iter().find(|it| it["labels"]["owner"] == "identity");
        assert_eq!(identity.expect("one")["value"], 3.0);
    }
}
