//! The table of the fields of a log record. Each stands here once; the reference page, the bindings and
//! `tracing` have the same names.

use serde_json::{Map, Value};

#[cfg(feature = "tracing")]
use super::LogLevel;

/// A row of the table as the reference page shows it.
pub(crate) struct FieldRow {
    pub(crate) name: &'static str,
    /// `text`, `number`, `milliseconds` or `flag`.
    pub(crate) value_type: &'static str,
    pub(crate) doc: &'static str,
}

/// A type that a field may have.
trait FieldValue: Clone {
    const TYPE: &'static str;
    /// The value for `tracing`.
    #[cfg(feature = "tracing")]
    type Traced<'a>: tracing::Value
    where
        Self: 'a;
    fn to_json(&self) -> Value;
    #[cfg(feature = "tracing")]
    fn traced(&self) -> Self::Traced<'_>;
    /// Cuts a text to its most bytes as JSON.
    fn cut(&mut self, _most: usize) {}
}

impl FieldValue for String {
    const TYPE: &'static str = "text";

    #[cfg(feature = "tracing")]
    type Traced<'a> = &'a str;

    #[cfg(feature = "tracing")]
    fn traced(&self) -> Self::Traced<'_> {
        self
    }

    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn cut(&mut self, most: usize) {
        cut(self, most);
    }
}

impl FieldValue for u64 {
    const TYPE: &'static str = "number";

    #[cfg(feature = "tracing")]
    type Traced<'a> = u64;

    #[cfg(feature = "tracing")]
    fn traced(&self) -> Self::Traced<'_> {
        *self
    }

    fn to_json(&self) -> Value {
        (*self).into()
    }
}

impl FieldValue for f64 {
    const TYPE: &'static str = "milliseconds";

    #[cfg(feature = "tracing")]
    type Traced<'a> = f64;

    #[cfg(feature = "tracing")]
    fn traced(&self) -> Self::Traced<'_> {
        *self
    }

    fn to_json(&self) -> Value {
        (*self).into()
    }
}

impl FieldValue for bool {
    const TYPE: &'static str = "flag";

    #[cfg(feature = "tracing")]
    type Traced<'a> = bool;

    #[cfg(feature = "tracing")]
    fn traced(&self) -> Self::Traced<'_> {
        *self
    }

    fn to_json(&self) -> Value {
        (*self).into()
    }
}

macro_rules! fields {
    ($($name:ident: $type:ty, $most:literal, $doc:literal;)*) => {
        /// The fields of a record, as far as they are known.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct LogFields {
            $(#[doc = $doc] pub(crate) $name: Option<$type>,)*
            /// The fields of an event, as the table of events names them.
            pub(crate) of_event: Map<String, Value>,
        }

        /// Every field, in the order of the reference page.
        pub(crate) const FIELDS: &[FieldRow] = &[$(FieldRow {
            name: stringify!($name),
            value_type: <$type as FieldValue>::TYPE,
            doc: $doc,
        },)*];

        #[cfg(feature = "tracing")]
        impl LogFields {
            /// Makes an event of `tracing` with these fields.
            pub(super) fn trace(&self, level: LogLevel, message: &str) {
                let of_event = (!self.of_event.is_empty())
                    .then(|| Value::Object(self.of_event.clone()).to_string());
                let of_event = of_event.as_deref();
                match level {
                    LogLevel::Info => tracing::event!(
                        target: "webhook_mtls",
                        tracing::Level::INFO,
                        $($name = self.$name.as_ref().map(FieldValue::traced),)*
                        of_event,
                        "{message}"
                    ),
                    LogLevel::Warning => tracing::event!(
                        target: "webhook_mtls",
                        tracing::Level::WARN,
                        $($name = self.$name.as_ref().map(FieldValue::traced),)*
                        of_event,
                        "{message}"
                    ),
                    LogLevel::Error => tracing::event!(
                        target: "webhook_mtls",
                        tracing::Level::ERROR,
                        $($name = self.$name.as_ref().map(FieldValue::traced),)*
                        of_event,
                        "{message}"
                    ),
                }
            }
        }

        impl LogFields {
            pub(super) fn to_json(&self) -> Map<String, Value> {
                let mut object = Map::new();
                $(if let Some(value) = &self.$name {
                    object.insert(stringify!($name).to_owned(), value.to_json());
                })*
                for (name, value) in &self.of_event {
                    object.entry(name.clone()).or_insert_with(|| value.clone());
                }
                object
            }

            /// Cuts each text to the length of its row.
            pub(super) fn cut_each(&mut self) {
                $(if let Some(value) = &mut self.$name {
                    value.cut($most);
                })*
                self.of_event.values_mut().for_each(cut_value);
            }
        }
    };
}

// The number is the most bytes of a text as JSON.
fields! {
    event: String, 32, "What the record is about: `delivery`, `probe`, `verification`, or the name of an event.";
    outcome: String, 16, "How it ended: `succeeded`, `failed` or `abandoned`. An event has none.";
    consumer: String, 128, "The consumer id.";
    id: String, 64, "The id of the delivered event.";
    kind: String, 40, "The kind of the failure.";
    stage: String, 16, "The step that failed.";
    blame: String, 16, "Whose fault it is.";
    scope: String, 16, "What the failure stops.";
    sent: String, 16, "How much of the request left.";
    retry: String, 16, "Whether a retry helps.";
    retry_after_ms: u64, 0, "How long to wait before a retry, if it is known.";
    status: u64, 0, "The HTTP status.";
    attempts: u64, 0, "How many attempts began.";
    elapsed_ms: f64, 0, "The total duration.";
    resolve_ms: f64, 0, "The duration of the DNS lookup of the last attempt.";
    connect_ms: f64, 0, "The duration until its connection was open.";
    handshake_ms: f64, 0, "The duration of its handshake.";
    response_ms: f64, 0, "The duration of its request and response.";
    address: String, 64, "The address of its connection.";
    reused: bool, 0, "Whether it used an idle connection.";
    tls_version: String, 16, "The TLS version.";
    pin: String, 16, "Which pin matched: `current` or `next`.";
    tenant: String, 96, "The tenant of a verified peer.";
    via: String, 16, "How the consumer refused our certificate.";
    alert: String, 40, "The TLS alert that the consumer sent.";
    cause: String, 48, "The cause, as the page of the kind names it.";
    remedy: String, 240, "What to do.";
}

impl LogFields {
    /// Drops the last field of an event. Returns `false` if there is none.
    pub(super) fn drop_last_of_event(&mut self) -> bool {
        let last = self.of_event.keys().next_back().cloned();
        last.is_some_and(|last| self.of_event.remove(&last).is_some())
    }
}

/// The most bytes of a field of an event as JSON.
const EVENT_FIELD: usize = 120;

/// The most texts of a list.
const EVENT_LIST: usize = 4;

fn cut_value(value: &mut Value) {
    match value {
        Value::String(text) => cut(text, EVENT_FIELD),
        Value::Array(list) => {
            list.truncate(EVENT_LIST);
            let most = EVENT_FIELD / list.len().max(1);
            for item in list {
                if let Value::String(text) = item {
                    cut(text, most);
                }
            }
        }
        _ => {}
    }
}

/// Cuts a text to `most` bytes as JSON, with its quotes. A cut text ends with an ellipsis.
pub(super) fn cut(text: &mut String, most: usize) {
    if text_len(text) + 2 <= most {
        return;
    }
    let room = most.saturating_sub(2 + letter_len('…'));
    let mut taken = 0;
    let kept = text.char_indices().find(|(_, letter)| {
        taken += letter_len(*letter);
        taken > room
    });
    let kept = kept.map_or(text.len(), |(at, _)| at);
    text.truncate(kept);
    text.push('…');
}

/// Returns the most bytes that a JSON library writes for a value: it may escape every letter that is not
/// ASCII, and write a space after each comma and colon.
pub(super) fn json_len(value: &Value) -> usize {
    match value {
        Value::String(text) => text_len(text) + 2,
        Value::Array(list) => 2 + list.iter().map(|item| json_len(item) + 2).sum::<usize>(),
        Value::Object(object) => {
            let entry = |(name, value): (&String, &Value)| text_len(name) + 6 + json_len(value);
            2 + object.iter().map(entry).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string().len(),
    }
}

fn text_len(text: &str) -> usize {
    text.chars().map(letter_len).sum()
}

fn letter_len(letter: char) -> usize {
    match letter {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        _ => 6 * letter.len_utf16(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_letters() {
        for letter in ["a", "ä", "\u{1f600}", "\"", "\n"] {
            for most in 10..60 {
                let mut text = letter.repeat(100);
                cut(&mut text, most);
                assert!(text_len(&text) + 2 <= most, "{most}: {text:?}");
                assert!(text.ends_with('…'));
            }
        }
        let mut whole = "short".to_owned();
        cut(&mut whole, 7);
        assert_eq!(whole, "short");
    }
}
