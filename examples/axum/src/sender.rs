//! A relay: takes an event over HTTP, delivers it over mutual TLS, and answers with what became of
//! it. It keeps nothing, so the caller repeats an event after the answer 503, under the same id.
//!
//! `POST /events/{consumer}/{id}`. Needs tls.crt, tls.key, ca.pem and consumers.json in this
//! directory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions, Error,
    Identity, Pins, Retry, Trust,
};

/// How long deliveries may continue after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

struct Relay {
    dispatcher: Dispatcher,
    consumers: HashMap<String, Endpoint>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let relay = Arc::new(relay()?);
    let app =
        Router::new().route("/events/{consumer}/{id}", post(take)).with_state(Arc::clone(&relay));
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    println!("listening on http://{}/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move { _ = terminated.recv().await })
        .await?;
    relay.dispatcher.close(DRAIN).await;
    Ok(())
}

fn relay() -> Result<Relay, Box<dyn std::error::Error>> {
    // A private network of consumers, such as 127.0.0.0/8. By default, only public addresses pass.
    let allow = std::env::var("WMTLS_ALLOW").unwrap_or_default();
    let dispatcher = Dispatcher::new(
        DispatcherOptions::new()
            .identity(Identity::from_files("tls.crt", "tls.key", None)?) // watched
            .trust(Trust::from_files("ca.pem", None, None)?)
            .egress(Egress::public().allow(allow.split_whitespace())?),
    )?;
    let rows: HashMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string("consumers.json")?)?;
    let consumers = rows.into_iter().map(|(name, row)| {
        let pins = row["pins"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let options = EndpointOptions::new(Some(Pins::new(pins)?));
        let url = row["url"].as_str().unwrap_or_default();
        let endpoint = dispatcher.endpoint(&name, url, options)?;
        Ok((name, endpoint))
    });
    let consumers = consumers.collect::<Result<_, Error>>()?;
    Ok(Relay { dispatcher, consumers })
}

async fn take(
    State(relay): State<Arc<Relay>>,
    Path((consumer, id)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some(endpoint) = relay.consumers.get(&consumer) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match relay.dispatcher.deliver(endpoint, body, DeliverOptions::new().id(id)).await {
        Ok(receipt) => {
            let tls = &receipt.tls().version;
            Json(json!({"delivered": receipt.status(), "tls": tls})).into_response()
        }
        Err(error) => {
            eprintln!("{error}\n{}", error.remedy());
            refused(&error)
        }
    }
}

/// Returns 503 if the caller should repeat the event, and 502 if a repetition alone cannot succeed.
fn refused(error: &Error) -> Response {
    let body = Json(error.public());
    if error.retry() != Retry::Later {
        return (StatusCode::BAD_GATEWAY, body).into_response();
    }
    let wait = error.retry_after().unwrap_or(Duration::from_secs(5));
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, wait.as_secs().to_string())], body)
        .into_response()
}
