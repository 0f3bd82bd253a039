//! The hostile receivers: one program to which all four languages deliver.
//!
//! `hostile <directory> [part]` starts a receiver for each case, writes `cases.json` and the
//! clients' material to the directory, and prints `ready`. When its standard input closes, it
//! writes `saw.json`, the record of each receiver: what it received and answered. With a part,
//! counted from 0, the cases are that part of all cuts; beyond the last part there are none.
//! The part `beside_floods` is an honest receiver beside some that flood, and `calm` is the same
//! without them.
//! `README.md` describes the formats.

mod answers;
mod case;
mod cuts;
mod floods;
mod forge;
mod gate;
mod handshakes;
mod network;
mod receiver;
mod refusals;
mod reuse;
mod rotations;
mod wire;
mod world;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _, stdin, stdout};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use case::Case;
use receiver::Receiver;
use world::World;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: hostile <directory> [part]")?);
    let world = Arc::new(World::make(&directory)?);
    let cases: Vec<Case> = match arguments.next().as_deref() {
        None => [
            network::cases(),
            handshakes::cases(),
            refusals::cases(),
            answers::cases(),
            reuse::cases(),
            rotations::cases(),
            floods::cases(),
            cuts::sample(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Some("calm") => floods::calm(),
        Some("beside_floods") => floods::beside_floods(),
        Some(part) => cuts::part(part.parse()?),
    };
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    let receivers: Vec<Receiver> =
        cases.into_iter().map(|case| Receiver::start(case, &world)).collect::<Result<_, _>>()?;
    let told: Vec<Value> = receivers.iter().map(|receiver| receiver.told(&directory)).collect();
    fs::write(directory.join("cases.json"), json!({ "cases": told }).to_string())?;
    println!("ready");
    stdout().flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    let saw: Map<String, Value> =
        receivers.iter().map(|receiver| (receiver.name().to_owned(), receiver.saw())).collect();
    let trapped = world.trapped();
    fs::write(directory.join("saw.json"), json!({ "saw": saw, "trapped": trapped }).to_string())?;
    // The end of the process ends connections that still stall.
    Ok(())
}
