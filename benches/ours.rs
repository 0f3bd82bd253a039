//! Our Rust client: `flight` and the fleet use `deliver_many`, `verify` verifies a chain, and
//! `verify_plain` and `verify_revoked` one of a CA with many revoked certificates, without and with
//! its CRLs. The delivery modes also exist in C, Python and Node.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::SystemTime;

use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use webhook_mtls::verify::{CrlPolicy, remember_signatures};
use webhook_mtls::{
    Authorization, DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Egress, Endpoint,
    EndpointOptions, Error, Identity, Pins, Role, Trust, Verifier, VerifierOptions,
};

mod measure;
mod revoked;

use measure::{Arguments, IN_FLIGHT, Measure};
use revoked::Revoked;

fn main() -> Result<(), Error> {
    let arguments = Arguments::read();
    let file = |name: &str| arguments.file(name);
    let mut options = DispatcherOptions::new()
        .identity(Identity::from_files(file("tls.crt"), file("tls.key"), None)?)
        .trust(Trust::from_files(file("ca.pem"), None, None)?)
        .egress(Egress::public().allow(["127.0.0.0/8"])?);
    options = options.max_connections(600)?;
    let dispatcher = Dispatcher::new(options)?;
    let mut options = EndpointOptions::new(Some(Pins::new([arguments.pin.as_str()])?));
    options = options.concurrency(IN_FLIGHT)?;
    let endpoint = |(at, url): (usize, &String)| {
        dispatcher.endpoint(&format!("bench-{at}"), url, options.clone())
    };
    let endpoints: Vec<Endpoint> =
        arguments.urls().iter().enumerate().map(endpoint).collect::<Result<_, _>>()?;
    let endpoint = &endpoints[0];
    let next = AtomicUsize::new(0);
    let in_turn = || &endpoints[next.fetch_add(1, Relaxed) % endpoints.len()];
    let body = Bytes::from(vec![b'x'; 1024]);
    let one_by_one = |n: usize| {
        (0..n)
            .filter(|_| {
                let options = DeliverOptions::new();
                let outcome = dispatcher.deliver_blocking(endpoint, body.clone(), options, None);
                !matches!(outcome, Some(Ok(_)))
            })
            .count()
    };
    let threads = |n: usize| {
        thread::scope(|scope| {
            let each = || scope.spawn(|| one_by_one(n / IN_FLIGHT));
            let threads: Vec<_> = (0..IN_FLIGHT).map(|_| each()).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        })
    };
    let many = |n: usize| {
        let deliveries =
            (0..n).map(|_| Delivery::new(in_turn(), body.clone(), DeliverOptions::new()));
        let outcomes =
            dispatcher.deliver_many(deliveries, Some(IN_FLIGHT)).expect("a run can start");
        outcomes.blocking().filter(|(_, outcome)| outcome.is_err()).count()
    };
    let verify = |n: usize| {
        let trust = Trust::from_files(file("ca.pem"), None, None).expect("anchors");
        let chain: Vec<CertificateDer> = CertificateDer::pem_file_iter(file("tls.crt"))
            .and_then(Iterator::collect)
            .expect("our own chain");
        verified(trust, CrlPolicy::IfPresent, &chain, n)
    };
    let own = arguments.mode.starts_with("verify_").then(|| Revoked::new().expect("a CA"));
    let verify_own = |n: usize| {
        let Revoked { root, chain, crls } = own.as_ref().expect("made above");
        let (crls, policy): (&[String], _) = match &*arguments.mode {
            "verify_revoked" => (crls, CrlPolicy::Require),
            _ => (&[], CrlPolicy::IfPresent),
        };
        let crls: Vec<&[u8]> = crls.iter().map(String::as_bytes).collect();
        verified(Trust::from_pem(root.as_bytes(), None, &crls).expect("anchors"), policy, chain, n)
    };
    remember_signatures(arguments.mode != "cold_unremembered");
    let deliver: &dyn Fn(usize) -> usize = match arguments.mode.as_str() {
        "warm" | "cold" | "cold_unremembered" => &one_by_one,
        "threads" => &threads,
        "flight" | "fleet" | "again" | "idle" => &many,
        "verify" => &verify,
        "verify_plain" | "verify_revoked" => &verify_own,
        other => panic!("unknown mode: {other}"),
    };
    deliver(arguments.before());
    let measure = Measure::start();
    let errors = deliver(arguments.n);
    measure.say("rust", &arguments, errors);
    Ok(())
}

/// Verifies a client's chain `n` times. Returns the number of refusals.
fn verified(trust: Trust, policy: CrlPolicy, chain: &[impl AsRef<[u8]>], n: usize) -> usize {
    let options = VerifierOptions::new(Role::Client, trust).crl_policy(policy);
    let verifier = Verifier::new(options.authorization(Authorization::ca_members()));
    let (verifier, now) = (verifier.expect("a verifier"), SystemTime::now());
    (0..n).filter(|_| verifier.verify_chain(chain, None, now).is_err()).count()
}
