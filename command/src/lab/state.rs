//! What the lab remembers, in `lab.json`: the CA's name, and what it has issued.

use std::path::Path;

use serde_json::{Value, json};

use crate::exit::Failure;
use crate::files;

/// The number of the form of the file.
const FORM: u64 = 1;
/// The largest file that is read.
const LARGEST: usize = 16 * 1024 * 1024;

/// A certificate that was issued.
pub(super) struct Issued {
    pub(super) name: String,
    /// Hex.
    pub(super) serial: String,
    /// Unix seconds.
    pub(super) revoked_at: Option<u64>,
}

/// The content of `lab.json`.
pub(super) struct State {
    /// The common name of the intermediate.
    pub(super) issuer: String,
    /// The number of the next CRL.
    pub(super) crl_number: u64,
    pub(super) issued: Vec<Issued>,
}

impl State {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = files::read_path(path, LARGEST).map_err(|failure| {
            failure.advising("Make a lab first: webhook-mtls lab init DIRECTORY")
        })?;
        let parsed: Option<Value> = serde_json::from_slice(&text).ok();
        parsed
            .as_ref()
            .and_then(Self::of_json)
            .ok_or_else(|| Failure::machine(format_args!("{shown} is not the file of a lab")))
    }

    fn of_json(value: &Value) -> Option<Self> {
        let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        let issued = value.get("issued")?.as_array()?.iter().map(|one| {
            Some(Issued {
                name: text(one, "name")?,
                serial: text(one, "serial")?,
                revoked_at: one.get("revoked_at").and_then(Value::as_u64),
            })
        });
        (value.get("form")?.as_u64()? == FORM).then_some(())?;
        Some(Self {
            issuer: text(value, "issuer")?,
            crl_number: value.get("crl_number")?.as_u64()?,
            issued: issued.collect::<Option<_>>()?,
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let issued = self.issued.iter().map(
            |one| json!({ "name": one.name, "serial": one.serial, "revoked_at": one.revoked_at }),
        );
        let value = json!({
            "form": FORM,
            "issuer": self.issuer,
            "crl_number": self.crl_number,
            "issued": issued.collect::<Vec<_>>(),
        });
        files::replace(path, format!("{value:#}\n").as_bytes())
    }
}
