//! Runs the forwarded cases of the shared vectors.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use webhook_mtls::forwarded::{Dialect, Hop, Remote};
use webhook_mtls::{Error, Pins};

use crate::{Outcome, number, text, texts, trust, verifier};

/// Returns the JSON of the peer.
pub(crate) fn judge(case: &Value, fixtures: &Value) -> Outcome {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(case["at"].as_u64().expect("an instant"));
    let trust = trust(case.get("trust").unwrap_or(&fixtures["trust"]))?;
    let verifier = verifier(case, trust)?;
    let remote = case.get("remote").map(|remote| Remote::parse(text(remote))).transpose()?;
    let dialect = Dialect::named(text(&case["dialect"]))?;
    let headers = headers(case);
    let peer = verifier.verify_forwarded(&headers, dialect, &hop(&case["hop"])?, remote, at)?;
    Ok(peer.to_json())
}

fn hop(with: &Value) -> Result<Hop, Error> {
    let name = text(&with["name"]);
    if let Some(networks) = with.get("address") {
        return Hop::address(name, texts(networks));
    }
    if let Some(secret) = with.get("secret") {
        return Hop::secret(name, text(&secret["header"]), text(&secret["value"]));
    }
    if let Some(pins) = with.get("certificate") {
        return Hop::certificate(name, Pins::new(texts(pins))?);
    }
    Hop::unix(name)
}

fn headers(case: &Value) -> Vec<(String, String)> {
    let lines = case["headers"].as_array().into_iter().flatten();
    let mut headers: Vec<(String, String)> = lines
        .map(|line| {
            let times = line.get(2).map_or(1, number) as usize;
            (text(&line[0]).to_owned(), text(&line[1]).repeat(times))
        })
        .collect();
    let fillers = case.get("filler").map_or(0, number);
    headers.extend((0..fillers).map(|_| ("X-Filler".to_owned(), "1".to_owned())));
    headers
}
