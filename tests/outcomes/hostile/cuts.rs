//! Connections that end after every byte of the receiver's handshake, of the client's handshake,
//! and of the response.

use crate::case::{Case, error, receipt};
use crate::wire::{Cut, How};

/// More than the handshake bytes of either side. Beyond them, the cut hits the request or the
/// response.
const BYTES: u64 = 3000;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

/// A sample of the cuts, equal in each run.
pub(crate) fn sample() -> Vec<Case> {
    // A linear congruential sequence, so that all runs are equal.
    let mut seed: u64 = 20_261_124;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut cases = Vec::new();
    for how in [How::Close, How::Reset, How::Stall] {
        for ours in [true, false] {
            for _ in 0..4 {
                cases.push(handshake(draw(BYTES), ours, how));
            }
        }
        for _ in 0..3 {
            cases.push(answer(draw(ANSWER.len() as u64), how));
        }
    }
    let mut names = std::collections::BTreeSet::new();
    cases.retain(|case| names.insert(case.name.clone()));
    cases
}

/// The number of cut positions in one part. Each case takes two ports and two threads.
const IN_A_PART: u64 = 40;

/// Returns one part of all cuts; empty beyond the last part.
pub(crate) fn part(number: u64) -> Vec<Case> {
    let ways = [How::Close, How::Reset, How::Stall];
    let mut cases = Vec::new();
    for after in (number * IN_A_PART..(number + 1) * IN_A_PART).take_while(|after| *after < BYTES) {
        for how in ways {
            cases.extend([true, false].map(|ours| handshake(after, ours, how)));
            if after < ANSWER.len() as u64 {
                cases.push(answer(after, how));
            }
        }
    }
    cases
}

/// The connection ends after this many bytes of one side.
fn handshake(after: u64, ours: bool, how: How) -> Case {
    let side = if ours { "receiver" } else { "client" };
    let name = format!("cut_{side}_{}_{after}", word(how));
    let case = Case::new(name, move |mut raw| {
        raw.wire.cut = Some(Cut { after, ours, how });
        let mut conn = raw.secure()?;
        conn.request()?;
        conn.ok()
    });
    // The position of the cut in the conversation depends on the message sizes. The rules for every
    // row must hold at every position.
    let sent = ["nothing", "maybe", "all"];
    case.within("handshake_timeout", 700).within("response_timeout", 700).ends(
        sent.iter()
            .flat_map(|sent| ["connection_lost", "deadline_exceeded"].map(|kind| error(kind, sent)))
            .chain([receipt(200)]),
    )
}

/// The response ends after this many bytes.
fn answer(after: u64, how: How) -> Case {
    let kinds = match how {
        How::Stall => &["deadline_exceeded"][..],
        How::Close | How::Reset => &["connection_lost", "http_invalid"],
    };
    let head = ANSWER.len() as u64 - 2;
    let allowed: Vec<_> = if after < head {
        kinds.iter().map(|kind| error(kind, "all")).collect()
    } else {
        // A reset may overtake the head.
        vec![receipt(200), error("connection_lost", "all")]
    };
    let case = Case::asked(format!("cut_answer_{}_{after}", word(how)), move |mut conn| {
        let status = (after >= head).then_some(200);
        let part = usize::try_from(after).unwrap_or(ANSWER.len());
        conn.say(status, &ANSWER[..part])?;
        match how {
            How::Close => conn.bye(),
            How::Reset => {
                conn.wire.reset();
                Ok(())
            }
            How::Stall => {
                conn.wire.drain();
                Ok(())
            }
        }
    });
    // A slow machine has the usual time to close.
    let case = if matches!(how, How::Stall) { case.within("response_timeout", 700) } else { case };
    case.ends(allowed)
}

fn word(how: How) -> &'static str {
    match how {
        How::Close => "close",
        How::Reset => "reset",
        How::Stall => "stall",
    }
}
