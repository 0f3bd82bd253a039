//! Makes random calls to a dispatcher during deliveries, and checks after each call that nothing
//! starts on values that it replaced: `model STEPS SEED`. Prints statistics.

#[path = "../../core/tests/model/mod.rs"]
mod model;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let steps = arguments.next().and_then(|text| text.parse().ok());
    let seed = arguments.next().and_then(|text| text.parse().ok());
    let (Some(steps), Some(seed)) = (steps, seed) else {
        eprintln!("usage: model STEPS SEED");
        std::process::exit(2);
    };
    println!("{:?}", model::run(steps, seed));
}
