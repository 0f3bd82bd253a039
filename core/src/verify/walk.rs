//! The search for a path from a leaf to an anchor, with backtracking among cross-signed issuers (RFC
//! 4158).
//!
//! The search runs in up to three passes, each bounded by [`MAX_STEPS`]; all share one limit of signature
//! checks. The first compares names by their bytes and uses only issuers without a fault. The second
//! compares names by RFC 5280 section 7.1. The third admits issuers with a fault, to explain the refusal:
//! a fault is only reported of a path whose signatures are all valid.

use super::MAX_CHAIN;
use super::failure;
use super::issuer::{check_issuer, find_fault};
use super::link::{Link, Place};
use super::names::Names;
use super::path::{self, Path};
use super::revocation::Revocation;
use super::search::{Issuer, Search, SignatureVerdict};
use super::signature_cache::MAX_SIGNATURES;
use crate::error::{Error, Kind};
use crate::x509::Certificate;

/// The most certificates that one pass may try: six times the number that the longest presented chain
/// needs, for cross-signed CAs.
const MAX_STEPS: usize = 64;

impl Search<'_> {
    /// Finds a path that satisfies all checks.
    ///
    /// Fails with the failure of highest rank among the paths with valid signatures.
    pub(super) fn build(&self) -> Result<Path, Error> {
        let exact = Names::by_bytes();
        let mut walk = Walk::new(self, &exact);
        if let Some(path) = walk.run(Pass::Sound) {
            return Ok(path);
        }
        let loose = Names::comparable(self);
        walk.names = &loose;
        if loose.differ_from_bytes()
            && let Some(path) = walk.run(Pass::Sound)
        {
            return Ok(path);
        }
        if walk.refused.is_none()
            && let Some(path) = walk.run(Pass::Tolerant)
        {
            return Ok(path);
        }
        Err(walk.into_failure())
    }
}

/// Which issuers a pass admits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Issuers without a fault.
    Sound,
    /// All.
    Tolerant,
}

/// The state of a search.
struct Walk<'s, 'a> {
    search: &'s Search<'a>,
    names: &'s Names,
    pass: Pass,
    /// The path so far, as numbers of [`Search::certificate`].
    path: Vec<usize>,
    /// Whether names lead from a candidate to an anchor.
    leads: Vec<bool>,
    /// Whether a candidate has no fault, once it is known.
    sound: Vec<Option<bool>>,
    signatures: Vec<(usize, Issuer, SignatureVerdict)>,
    steps_left: usize,
    /// Whether a pass ended because its steps were used up.
    exhausted: bool,
    refused: Option<Error>,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(search: &'s Search<'a>, names: &'s Names) -> Self {
        Self {
            search,
            names,
            pass: Pass::Sound,
            path: Vec::with_capacity(MAX_CHAIN),
            leads: Vec::new(),
            sound: vec![None; 1 + search.issuers.len()],
            signatures: Vec::new(),
            steps_left: MAX_STEPS,
            exhausted: false,
            refused: None,
        }
    }

    fn run(&mut self, pass: Pass) -> Option<Path> {
        self.pass = pass;
        self.steps_left = MAX_STEPS;
        self.leads = self.names.leading_to_an_anchor(self.search);
        self.path.clear();
        self.path.push(0);
        self.extend()
    }

    /// Tries every issuer of the last certificate. The recursion ends at [`MAX_CHAIN`] certificates.
    fn extend(&mut self) -> Option<Path> {
        let child = *self.path.last()?;
        // An issuer with the named key identifier is the likely one.
        for likely in [true, false] {
            for at in 0..self.search.anchors().len() {
                if self.names.is_issuer(self.search, child, Issuer::Anchor(at))
                    && self.is_likely(child, Issuer::Anchor(at)) == likely
                {
                    self.take_step()?;
                    if let Some(path) = self.complete(at) {
                        return Some(path);
                    }
                }
            }
        }
        if self.path.len() >= MAX_CHAIN {
            return None;
        }
        for likely in [true, false] {
            for at in 1..=self.search.issuers.len() {
                if self.leads[at]
                    && self.names.is_issuer(self.search, child, Issuer::Candidate(at))
                    && self.is_likely(child, Issuer::Candidate(at)) == likely
                    && !self.is_in_path(at)
                    && (self.pass == Pass::Tolerant || self.is_sound(at))
                {
                    self.take_step()?;
                    self.path.push(at);
                    let found = self.extend();
                    if found.is_some() {
                        return found;
                    }
                    self.path.pop();
                }
            }
        }
        None
    }

    /// Takes one step of the pass. Returns `None` if the search must end.
    fn take_step(&mut self) -> Option<()> {
        let left = self.steps_left.checked_sub(1).filter(|_| !self.search.limit.is_exceeded());
        self.exhausted |= left.is_none() && !self.search.limit.is_exceeded();
        self.steps_left = left.unwrap_or(0);
        left.map(drop)
    }

    /// Returns whether the authorityKeyIdentifier of a certificate names the key of the issuer.
    fn is_likely(&self, child: usize, issuer: Issuer) -> bool {
        let wanted = self.search.certificate(child).authority_key_id;
        let held = match issuer {
            Issuer::Candidate(at) => self.search.certificate(at).subject_key_id,
            Issuer::Anchor(at) => self.search.anchors()[at].certificate.subject_key_id(),
        };
        wanted.is_some() && wanted == held
    }

    /// Returns whether the path has a certificate with the same name and key. A path with both is never
    /// needed.
    fn is_in_path(&self, at: usize) -> bool {
        let issuer = self.search.certificate(at);
        self.path.iter().map(|at| self.search.certificate(*at)).any(|certificate| {
            certificate.spki == issuer.spki && certificate.subject == issuer.subject
        })
    }

    fn is_sound(&mut self, at: usize) -> bool {
        if let Some(known) = self.sound[at] {
            return known;
        }
        let sound = find_fault(&self.search.link(at), self.search.expected).is_none();
        self.sound[at] = Some(sound);
        sound
    }

    /// Checks the path up to an anchor: its signatures from the anchor down, then all else.
    fn complete(&mut self, anchor: usize) -> Option<Path> {
        let certificate: &Certificate = &self.search.anchors()[anchor].certificate;
        let parsed = certificate.parsed();
        let link = Link { parsed: &parsed, place: Place::Anchor };
        if self.pass == Pass::Sound && find_fault(&link, self.search.expected).is_some() {
            return None;
        }
        let mut issuer = (Issuer::Anchor(anchor), parsed.spki);
        for at in (0..self.path.len()).rev() {
            let child = self.path[at];
            if !self.is_signed(child, issuer.0, issuer.1) {
                return None;
            }
            issuer = (Issuer::Candidate(child), self.search.certificate(child).spki);
        }
        let mut links: Vec<Link<'_>> = self.path.iter().map(|at| self.search.link(*at)).collect();
        links.push(link);
        match self.check_path(&links) {
            Ok(revocation) => {
                let issuers = self.path[1..].iter().map(|at| &self.search.issuers[*at - 1]);
                Some(Path::new(issuers, certificate, revocation))
            }
            Err(error) => {
                failure::keep_highest(&mut self.refused, error);
                None
            }
        }
    }

    /// Checks a path with valid signatures. In a tolerant pass, a fault of an issuer comes first.
    fn check_path(&self, links: &[Link<'_>]) -> Result<Revocation, Error> {
        let mut worst = None;
        if self.pass == Pass::Tolerant {
            for link in &links[1..] {
                if let Err(error) = check_issuer(link, self.search.expected) {
                    failure::keep_highest(&mut worst, error);
                }
            }
        }
        worst.map_or_else(|| path::check(links, self.search.issuers, self.search.expected), Err)
    }

    fn is_signed(&mut self, child: usize, issuer: Issuer, spki: &[u8]) -> bool {
        let known = self.signatures.iter().find(|known| (known.0, known.1) == (child, issuer));
        let verdict = known.map_or_else(
            || self.search.check_signature(&self.search.certificate(child).signed, spki),
            |known| known.2,
        );
        if known.is_none() {
            self.signatures.push((child, issuer, verdict));
        }
        verdict == SignatureVerdict::Valid
    }

    /// Returns the reason why no path was found.
    fn into_failure(self) -> Error {
        if let Some(refused) = self.refused {
            return refused;
        }
        if self.search.limit.is_exceeded() {
            return failure::too_costly(MAX_SIGNATURES);
        }
        if self.exhausted {
            return Error::new(
                Kind::ChainTooLong,
                "the peer's certificates form too many paths to judge",
            );
        }
        let unknown = |known: &&(usize, Issuer, SignatureVerdict)| {
            known.2 == SignatureVerdict::UnknownAlgorithm
        };
        if let Some((child, ..)) = self.signatures.iter().find(unknown) {
            return failure::algorithm_not_accepted(&self.search.link(*child));
        }
        let why = failure::first_broken_link(self.search, self.names);
        if self.search.limit.is_exceeded() { failure::too_costly(MAX_SIGNATURES) } else { why }
    }
}
