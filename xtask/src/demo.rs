//! `cargo xtask demo`: makes one delivery from each language to a receiver that requires a client
//! certificate, then shows four refused deliveries with the fields of their errors.

use serde_json::Value;

use crate::command::{Failure, Result};
use crate::languages::lab::Lab;
use crate::languages::{Client, DeliveryTarget, Languages};
use crate::profile::Profile;
use crate::table::Table;
use crate::terminal;
use crate::toolchain::Toolchain;

/// Each refusal and the language that shows it. The lab's consumer has the name of the kind.
const REFUSALS: [(&str, &str); 4] = [
    ("pin_mismatch", "c"),
    ("client_auth_not_requested", "python"),
    ("certificate_expired", "node"),
    ("client_certificate_rejected", "rust"),
];

pub(crate) fn run() -> Result {
    let languages = Languages::new(Toolchain::find()?, Profile::Dev);
    languages.toolchain.show();
    terminal::headline("Building the core and its four language interfaces");
    languages.build()?;
    let clients = languages.clients()?;
    let lab = Lab::start()?;

    terminal::headline("One webhook from each language, over mutual TLS");
    print!("\n{}", deliveries(&lab, &clients)?.render());
    terminal::headline("Four refused deliveries");
    print!("\n{}", refusals(&lab, &clients)?.render());
    println!(
        "\nA temporary private CA, receivers on 127.0.0.1, one Rust core for all four languages."
    );
    Ok(())
}

fn deliveries(lab: &Lab, clients: &[Client]) -> Result<Table> {
    let mut table =
        Table::new(&["runtime", "HTTP", "TLS", "key exchange", "tenant", "pin", "time"]);
    for client in clients {
        let receipt = answer(lab, client, &format!("acme-{}", client.name), "receipt")?;
        let tls = &receipt["tls"];
        table.row([
            client.title,
            &shown(&receipt["status"]),
            &shown(&tls["version"]),
            &shown(&tls["key_exchange"]),
            &shown(&receipt["peer"]["tenant"]),
            &shown(&receipt["pin"]),
            &milliseconds(&receipt["elapsed_ms"]),
        ]);
    }
    Ok(table)
}

fn refusals(lab: &Lab, clients: &[Client]) -> Result<Table> {
    let mut table = Table::new(&["kind", "runtime", "stage", "blame", "scope", "sent", "retry"]);
    for (kind, language) in REFUSALS {
        let client = clients.iter().find(|client| client.name == language);
        let client = client.ok_or_else(|| Failure::new(format!("no client in {language}")))?;
        let error = answer(lab, client, kind, "error")?;
        if error["kind"] != kind {
            return Err(Failure::with_output(
                format!("expected {kind}, got {}", error["kind"]),
                error.to_string(),
            ));
        }
        table.row([
            kind,
            client.title,
            &shown(&error["stage"]),
            &shown(&error["blame"]),
            &shown(&error["scope"]),
            &shown(&error["sent"]),
            &shown(&error["retry"]),
        ]);
        // Without the command line that shows more: this consumer ends with the demo.
        let remedy = shown(&error["remedy"]);
        table.note(remedy.split(" This shows more: ").next().unwrap_or_default());
    }
    Ok(table)
}

/// Delivers to one consumer and returns the expected half of the result: `receipt` or `error`.
fn answer(lab: &Lab, client: &Client, consumer: &str, half: &str) -> Result<Value> {
    let consumer = lab.consumer(consumer)?;
    let target =
        DeliveryTarget { url: &consumer.url, pin: &consumer.pin, material: lab.material() };
    let mut answer = client.deliver(&target)?;
    match answer.get_mut(half) {
        Some(half) => Ok(half.take()),
        None => Err(Failure::with_output(
            format!("{} to {}: the result has no {half}", client.title, consumer.name),
            answer.to_string(),
        )),
    }
}

/// Formats a value as a cell; an absent value is a dash.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn milliseconds(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |time| format!("{time:.1} ms"))
}

#[cfg(test)]
mod tests {
    use super::{milliseconds, shown};
    use serde_json::json;

    #[test]
    fn an_absent_value_is_a_dash() {
        assert_eq!(shown(&json!({})["tenant"]), "–");
        assert_eq!(shown(&json!("acme")), "acme");
        assert_eq!(shown(&json!(200)), "200");
        assert_eq!(milliseconds(&json!(4.125)), "4.1 ms");
        assert_eq!(milliseconds(&json!(null)), "–");
    }
}
