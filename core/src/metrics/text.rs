//! Writes metrics as text: Prometheus 0.0.4, or OpenMetrics 1.0.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cells::BOUNDS;
use super::table::{ALL, MetricType, Spec};
use super::{MetricsFormat, Sample, SampleValue};

/// Returns the whole text. OpenMetrics ends with a line that says so.
pub(super) fn write(families: &BTreeMap<usize, Vec<Sample>>, format: MetricsFormat) -> String {
    let mut text = String::new();
    for (at, samples) in families {
        let spec = &ALL[*at];
        head(&mut text, spec, format);
        for sample in samples {
            write_sample(&mut text, spec, sample);
        }
    }
    if format == MetricsFormat::Openmetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// Writes the type, unit and help. In OpenMetrics a counter and an info are named without their suffix.
fn head(text: &mut String, spec: &Spec, format: MetricsFormat) {
    let is_open = format == MetricsFormat::Openmetrics;
    let (name, metric_type) = match spec.metric_type {
        MetricType::Counter if is_open => (without(spec.name, "_total"), "counter"),
        MetricType::Info if is_open => (without(spec.name, "_info"), "info"),
        MetricType::Info => (spec.name, "gauge"),
        other => (spec.name, other.name()),
    };
    line(text, format_args!("# HELP {name} {}", spec.doc));
    line(text, format_args!("# TYPE {name} {metric_type}"));
    if is_open && !spec.unit.is_empty() {
        line(text, format_args!("# UNIT {name} {}", spec.unit));
    }
}

fn without<'a>(name: &'a str, suffix: &str) -> &'a str {
    name.strip_suffix(suffix).unwrap_or(name)
}

fn write_sample(text: &mut String, spec: &Spec, sample: &Sample) {
    let name = spec.name;
    let labels = label_list(spec, sample);
    match &sample.value {
        SampleValue::Count(count) => line(text, format_args!("{name}{} {count}", braced(&labels))),
        SampleValue::Number(number) => {
            line(text, format_args!("{name}{} {number}", braced(&labels)));
        }
        SampleValue::Histogram(observed) => {
            let comma = if labels.is_empty() { "" } else { "," };
            for (bound, count) in BOUNDS.iter().zip(observed.cumulative()) {
                // `1.0`, as OpenMetrics writes a bound.
                line(
                    text,
                    format_args!("{name}_bucket{{{labels}{comma}le=\"{bound:?}\"}} {count}"),
                );
            }
            let (count, seconds) = (observed.count(), observed.seconds());
            line(text, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
            line(text, format_args!("{name}_count{} {count}", braced(&labels)));
            line(text, format_args!("{name}_sum{} {seconds}", braced(&labels)));
        }
    }
}

fn label_list(spec: &Spec, sample: &Sample) -> String {
    let mut list = String::new();
    for (name, value) in spec.labels().zip(&sample.labels) {
        let comma = if list.is_empty() { "" } else { "," };
        let _ = write!(list, "{comma}{name}=\"{}\"", escaped(value));
    }
    list
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

/// Escapes the value of a label, equally in both formats.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::super::cells::Observed;
    use super::super::table::row;
    use super::*;

    fn metrics() -> Metrics {
        let mut observed = Observed::default();
        observed.observe(std::time::Duration::from_millis(300));
        let mut metrics = Metrics::default();
        metrics.histogram(row::PHASES, &["connect"], observed);
        metrics.count(row::REUSE, &[], 7);
        metrics.number(row::LIFETIME_LEFT, &["anchor", "CN=\"a\\b\",\nO=c"], 0.25);
        metrics.count(row::BUILD, &["1", "2", "3"], 1);
        metrics
    }

    #[test]
    fn the_text_of_prometheus() {
        let text = metrics().text(MetricsFormat::Prometheus);
        for line in [
            "# TYPE webhook_mtls_connection_reuse_total counter",
            "webhook_mtls_connection_reuse_total 7",
            "webhook_mtls_phase_duration_seconds_bucket{phase=\"connect\",le=\"0.25\"} 0",
            "webhook_mtls_phase_duration_seconds_bucket{phase=\"connect\",le=\"1.0\"} 1",
            "webhook_mtls_phase_duration_seconds_bucket{phase=\"connect\",le=\"+Inf\"} 1",
            "webhook_mtls_phase_duration_seconds_sum{phase=\"connect\"} 0.3",
            "webhook_mtls_certificate_lifetime_left_ratio{owner=\"anchor\",\
             name=\"CN=\\\"a\\\\b\\\",\\nO=c\"} 0.25",
            "# TYPE webhook_mtls_build_info gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("EOF") && !text.contains("UNIT"));
    }

    #[test]
    fn the_text_of_openmetrics() {
        let text = metrics().text(MetricsFormat::Openmetrics);
        for line in [
            "# TYPE webhook_mtls_connection_reuse counter",
            "webhook_mtls_connection_reuse_total 7",
            "# UNIT webhook_mtls_phase_duration_seconds seconds",
            "# TYPE webhook_mtls_build info",
            "webhook_mtls_build_info{version=\"1\",rustls=\"2\",aws_lc_rs=\"3\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }
}
