//! Tests code that sends webhooks against a consumer of the testing kit.
//!
//! Needs the crate with the feature `testing`, and tokio (features rt and macros), in
//! `dev-dependencies`.

use webhook_mtls::retry::Action;
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior, error};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Pins, RetryPolicy,
};

/// The code under test: sends an invoice. Fails with what the queue is to do.
async fn send_invoice(to: &Endpoint, with: &Dispatcher, number: u32) -> Result<(), Action> {
    let options = DeliverOptions::new().id(format!("invoice_{number}"));
    let outcome = with.deliver(to, r#"{"paid":true}"#, options).await;
    outcome.map(drop).map_err(|error| action(&error))
}

fn action(error: &Error) -> Action {
    RetryPolicy::default().decide(error, 1).expect("attempts count from 1").action
}

/// Drop the lab last: it closes the sockets of its consumers.
fn set_up() -> Result<(Endpoint, Dispatcher, Consumer, Lab), Error> {
    let lab = Lab::start()?; // a private CA, in this process
    let acme = lab.consumer("acme")?; // a server on 127.0.0.1 that requires our certificate
    let dispatcher = lab.dispatcher(); // has an identity of the lab, and trusts only its CA
    let pinned = EndpointOptions::new(Some(Pins::new([acme.pin()])?));
    let endpoint = dispatcher.endpoint("acme", &acme.url(), pinned)?;
    Ok((endpoint, dispatcher, acme, lab))
}

#[tokio::test]
async fn an_invoice_arrives() -> Result<(), Error> {
    let (to, dispatcher, acme, _lab) = set_up()?;
    assert_eq!(send_invoice(&to, &dispatcher, 7).await, Ok(()));
    let received = acme.received();
    assert_eq!(received[0].id.as_deref(), Some("invoice_7"));
    assert_eq!(received[0].body, br#"{"paid":true}"#);
    assert_eq!(received[0].tenant.as_deref(), Some("dispatcher")); // who we are, for the consumer
    Ok(())
}

#[tokio::test]
async fn a_busy_consumer_is_called_again() -> Result<(), Error> {
    let (to, dispatcher, acme, _lab) = set_up()?;
    acme.respond(Answer { retry_after: Some(30), ..Answer::status(503) }, 1);
    assert_eq!(send_invoice(&to, &dispatcher, 7).await, Err(Action::Retry));
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_makes_a_duplicate_with_the_same_id() -> Result<(), Error> {
    let (to, dispatcher, acme, _lab) = set_up()?;
    acme.misbehave(Misbehavior::ResetAfterBody, 1);
    assert_eq!(send_invoice(&to, &dispatcher, 7).await, Err(Action::Retry));
    assert_eq!(send_invoice(&to, &dispatcher, 7).await, Ok(()));
    let received = acme.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].id, received[1].id);
    Ok(())
}

#[tokio::test]
async fn an_unknown_key_gets_nothing() -> Result<(), Error> {
    let (to, dispatcher, acme, _lab) = set_up()?;
    acme.renew(true)?;
    assert_eq!(send_invoice(&to, &dispatcher, 7).await, Err(Action::Park));
    assert!(acme.received().is_empty());
    Ok(())
}

#[test]
fn verdicts_without_a_network() {
    assert_eq!(action(&error(Kind::ClientCertificateRejected)), Action::Park);
    assert_eq!(action(&error(Kind::CircuitOpen)), Action::Retry);
    assert_eq!(action(&error(Kind::HttpStatus)), Action::Retry);
}
