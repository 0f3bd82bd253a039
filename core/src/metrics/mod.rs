//! Metrics of dispatchers and verifiers: what is counted, the snapshot, and its text for Prometheus.
//!
//! Each process counts for itself: a forked child starts at zero. A delivery on an idle connection adds to
//! atomic numbers and takes no lock. A failure and a handshake take one lock for a moment.
//!
//! A label never has a path, a query, a header, a body or bytes of a key, and each has few values: the
//! tables of the library limit them, or [`MAX_VALUES`].

mod cells;
mod deliveries;
mod expirations;
mod process_wide;
#[allow(dead_code, unreachable_pub, reason = "the macro for words makes public types")]
mod table;
mod text;
mod verifications;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{Error, words};
use cells::{BOUNDS, Observed};
pub(crate) use cells::{BoundedCounts, EndpointCells, EventCells};
pub(crate) use deliveries::{AttemptPhases, DispatcherCells, HandshakeEnd};
pub(crate) use expirations::add_expiries;
pub(crate) use process_wide::{add_process_wide, count_public_root, count_signature};
use table::Row;
pub(crate) use table::{ALL, Combine, MetricType, Owner, row};
pub(crate) use verifications::VerifierCells;

/// The most values of a label that no table limits, such as a name of a certificate.
pub(crate) const MAX_VALUES: usize = 64;

/// The value of such a label for everything beyond.
const OTHER: &str = "other";

words! {
    /// The text form of metrics.
    #[non_exhaustive]
    MetricsFormat {
        /// The text format of Prometheus, version 0.0.4.
        Prometheus = 1 "prometheus",
        /// OpenMetrics, version 1.0.
        Openmetrics = 2 "openmetrics",
    }
}

impl MetricsFormat {
    /// Returns the format that the argument `format` of a binding names.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` and lists the names if there is no such format.
    #[doc(hidden)]
    pub fn of_argument(format: &str) -> Result<Self, Error> {
        Error::named_by("format", format, Self::ALL, Self::name)
    }

    /// Returns the value of the header `content-type` of a response with this text.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The metrics of a dispatcher or a verifier in this process, at one instant. `docs/metrics.md` lists them.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use webhook_mtls::{DeliverOptions, EndpointOptions};
/// # use webhook_mtls::testing::Lab;
/// use webhook_mtls::dispatcher::MetricsFormat;
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None))?;
/// # let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
/// # outcome.expect("nothing interrupts it")?;
///
/// let format = MetricsFormat::Prometheus;
/// let text = dispatcher.metrics().text(format);
/// assert!(text.contains("webhook_mtls_deliveries_total{"));
/// println!("content-type: {}\n\n{text}", format.content_type());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By the position of the row in the table.
    families: BTreeMap<usize, Vec<Sample>>,
}

/// One value of a metric.
#[derive(Clone, Debug)]
struct Sample {
    /// In the order of the row.
    labels: Vec<String>,
    value: SampleValue,
}

#[derive(Clone, Debug)]
enum SampleValue {
    Count(u64),
    Number(f64),
    Histogram(Observed),
}

impl Metrics {
    pub(crate) fn count(&mut self, row: Row, labels: &[&str], count: u64) {
        self.add(row, labels, SampleValue::Count(count));
    }

    pub(crate) fn number(&mut self, row: Row, labels: &[&str], number: f64) {
        self.add(row, labels, SampleValue::Number(number));
    }

    fn histogram(&mut self, row: Row, labels: &[&str], observed: Observed) {
        self.add(row, labels, SampleValue::Histogram(observed));
    }

    fn add(&mut self, row: Row, labels: &[&str], value: SampleValue) {
        debug_assert_eq!(labels.len(), row.spec().labels().count(), "{}", row.spec().name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.families.entry(row.at()).or_default().push(Sample { labels, value });
    }

    /// Returns these metrics and those of another dispatcher or verifier of this process as one. Counts
    /// and gauges are added. Of a date or a share of a lifetime, the smaller one is taken.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        for (at, samples) in other.families {
            let known = self.families.entry(at).or_default();
            for sample in samples {
                match known.iter_mut().find(|known| known.labels == sample.labels) {
                    Some(known) => known.value.combine(sample.value, ALL[at].within_process()),
                    None => known.push(sample),
                }
            }
        }
        self
    }

    /// Returns the JSON that all languages share: for each name, its type, unit, help and samples. A
    /// sample has `labels` and a `value`; that of a histogram has `count`, `sum` (seconds) and `buckets`
    /// instead, each with its bound in seconds and the number of observations up to it.
    pub fn to_json(&self) -> Value {
        let family = |(at, samples): (&usize, &Vec<Sample>)| {
            let spec = &ALL[*at];
            let samples: Vec<Value> = samples.iter().map(|sample| sample.to_json(spec)).collect();
            let json = json!({
                "type": spec.metric_type.name(),
                "unit": spec.unit,
                "help": spec.doc,
                "labels": spec.labels().collect::<Vec<_>>(),
                "combine": spec.combine.name(),
                "samples": samples,
            });
            (spec.name.to_owned(), json)
        };
        Value::Object(self.families.iter().map(family).collect())
    }

    /// Returns the text of one response to a scrape.
    pub fn text(&self, format: MetricsFormat) -> String {
        text::write(&self.families, format)
    }
}

impl Sample {
    fn to_json(&self, spec: &table::Spec) -> Value {
        let labels: Map<String, Value> = spec
            .labels()
            .zip(&self.labels)
            .map(|(name, value)| (name.to_owned(), value.as_str().into()))
            .collect();
        match &self.value {
            SampleValue::Count(count) => json!({ "labels": labels, "value": count }),
            SampleValue::Number(number) => json!({ "labels": labels, "value": number }),
            SampleValue::Histogram(observed) => {
                let buckets: Vec<Value> = BOUNDS
                    .iter()
                    .zip(observed.cumulative())
                    .map(|(bound, count)| json!([bound, count]))
                    .collect();
                json!({
                    "labels": labels,
                    "count": observed.count(),
                    "sum": observed.seconds(),
                    "buckets": buckets,
                })
            }
        }
    }
}

impl SampleValue {
    #[allow(clippy::cast_precision_loss, reason = "a float has room for any count in practice")]
    fn as_number(&self) -> f64 {
        match self {
            Self::Count(count) => *count as f64,
            Self::Number(number) => *number,
            Self::Histogram(observed) => observed.seconds(),
        }
    }

    fn combine(&mut self, other: Self, how: Combine) {
        match (self, other, how) {
            (Self::Count(one), Self::Count(other), Combine::Sum) => *one += other,
            (Self::Histogram(one), Self::Histogram(other), Combine::Sum) => one.add(&other),
            (Self::Number(one), other, Combine::Sum) => *one += other.as_number(),
            (one, other, Combine::Min) if other.as_number() < one.as_number() => *one = other,
            (one, other, Combine::Max) if other.as_number() > one.as_number() => *one = other,
            _ => {}
        }
    }
}

/// Returns the value of a label for a text that no table limits: escaped by its maker, and cut to 128
/// bytes.
pub(crate) fn label_value(text: &str) -> String {
    const LONGEST: usize = 128;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let cut = (0..=LONGEST - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at));
    format!("{}…", &text[..cut.unwrap_or_default()])
}

/// Returns the table as JSON, for the reference page and the bindings.
pub(crate) fn table() -> Value {
    let rows = ALL.iter().map(|spec| {
        json!({
            "name": spec.name,
            "type": spec.metric_type.name(),
            "unit": spec.unit,
            "labels": spec.labels().collect::<Vec<_>>(),
            "of": spec.of.name(),
            "combine": spec.combine.name(),
            "buckets": (spec.metric_type == MetricType::Histogram).then_some(BOUNDS),
            "doc": spec.doc,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_long_label_is_cut_between_letters() {
        for letter in ["a", "ä", "\u{1f600}"] {
            let value = label_value(&letter.repeat(200));
            assert!((120..=128).contains(&value.len()), "{}", value.len());
            assert!(value.ends_with('…'));
        }
        assert_eq!(label_value("CN=acme"), "CN=acme");
    }

    #[test]
    fn merged_metrics_add_counts_and_keep_the_earliest_date() {
        let observed = |millis| {
            let mut observed = Observed::default();
            observed.observe(Duration::from_millis(millis));
            observed
        };
        let of = |count, date, millis| {
            let mut metrics = Metrics::default();
            metrics.count(row::EVENTS, &["expiry"], count);
            metrics.number(row::EXPIRATION, &["anchor", "CN=ca"], date);
            metrics.count(row::SIGNATURE_CACHE, &["hit"], count);
            metrics.histogram(row::PHASES, &["connect"], observed(millis));
            metrics
        };
        let json = of(3, 500.0, 1).merged(of(4, 400.0, 9000)).to_json();
        assert_eq!(json["webhook_mtls_events_total"]["samples"][0]["value"], 7);
        let date = &json["webhook_mtls_certificate_expiration_timestamp_seconds"]["samples"][0];
        assert_eq!((&date["value"], &date["labels"]["name"]), (&json!(400.0), &json!("CN=ca")));
        let cache = &json["webhook_mtls_signature_cache_lookups_total"]["samples"];
        assert_eq!(cache[0]["value"], 4, "all dispatchers of a process share the cache");
        let phases = &json["webhook_mtls_phase_duration_seconds"]["samples"][0];
        assert_eq!((&phases["count"], &phases["sum"]), (&json!(2), &json!(9.001)));
        assert_eq!(phases["buckets"][0], json!([0.005, 1]));
        assert_eq!(phases["buckets"][13], json!([10.0, 2]));
    }
}
