//! Invariants of a dispatcher after any call, during deliveries. Run with `--features testing`.
#![cfg(all(feature = "testing", target_os = "linux"))]

mod model;

/// The soak makes a hundred thousand.
const STEPS: u32 = 3000;

#[test]
fn after_any_call_nothing_starts_on_what_it_replaced() {
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let tally = model::run(STEPS, seed);
    println!("seed {seed}: {tally:?}");
    // The run has reached the relevant states.
    assert!(tally.receipts > 100 && tally.closed > 10 && tally.again > 10, "{tally:?}");
}
