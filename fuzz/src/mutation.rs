//! A simple fuzzer: mutates the kept corpus on any toolchain, and equally on every machine. It does
//! not use coverage; libFuzzer does, and runs in `cargo xtask soak`.

use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The time limit of one input. A slower input would block the thread that parses it.
const TOO_LONG: Duration = Duration::from_secs(10);

/// The maximum length of an input. The parsers' own limits are far above it.
const LONGEST: usize = 8192;

/// Feeds a target with its corpus and with `COUNT` mutations of it (first argument), using a seed
/// (second argument). Keeps an input that breaks the target in `fuzz/artifacts`, and fails the run.
pub fn run(name: &str, target: fn(&[u8])) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |otherwise: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (count, seed) = (number(20_000), number(1));
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = match read(&home.join("corpus").join(name)) {
        Ok(corpus) if !corpus.is_empty() => corpus,
        Ok(_) => return refuse(&format!("{name}: the corpus is empty")),
        Err(error) => return refuse(&format!("{name}: no corpus: {error}")),
    };
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut slowest = Duration::ZERO;
    let mutations = (0..count).map(|_| mutated(&corpus, &mut dice));
    for input in corpus.iter().cloned().chain(mutations) {
        let started = Instant::now();
        let survived = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
        slowest = slowest.max(started.elapsed());
        if !survived || started.elapsed() > TOO_LONG {
            let kept = keep(home, name, &input);
            return refuse(&format!(
                "{name}: an input broke the target, kept as {}",
                kept.display()
            ));
        }
    }
    println!("{name}: {} seeds, {count} mutations, slowest {slowest:?}", corpus.len());
    ExitCode::SUCCESS
}

fn refuse(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}

/// Reads the corpus in the order of file names, so that a seed means the same on every machine.
fn read(folder: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    files.iter().map(fs::read).collect()
}

fn keep(home: &Path, name: &str, input: &[u8]) -> PathBuf {
    let folder = home.join("artifacts").join(name);
    let file = folder.join("broken-by-mutation");
    let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
    file
}

/// Returns one seed with a few changes: bits, octets, lengths, and pieces of another seed.
fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = dice.one_of(corpus).clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        let end = (at + dice.below(40)).min(input.len());
        match dice.below(9) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < input.len() => {
                input[at] = *dice.one_of(&[0, 1, 0x7f, 0x80, 0xff, 0x30, 0x31, b'-', b'\n', b' ']);
            }
            2 if at < input.len() => input[at] = input[at].wrapping_add(1),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = dice.one_of(corpus);
                let from = dice.below(other.len() + 1);
                let until = (from + dice.below(200)).min(other.len());
                input.splice(at..end, other[from..until].iter().copied());
            }
            6 => input.truncate(at),
            7 => {
                let fill = *dice.one_of(&[0, 0xff, b'A', 0x30]);
                input.splice(at..at, std::iter::repeat_n(fill, 1 << dice.below(9)));
            }
            _ => {
                let octet = u8::try_from(dice.below(256)).unwrap_or_default();
                input.insert(at, octet);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// Xorshift: small, and equal on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count.max(1) as u64).unwrap_or_default()
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
