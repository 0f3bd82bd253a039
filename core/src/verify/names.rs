//! The comparison of issuer and subject names during a search.

use std::collections::HashSet;

use super::search::{Issuer, Search};
use crate::x509::{Certificate, comparable_name};

/// Up to this number of issuers, trying every order takes negligible time.
const FEW_ISSUERS: usize = 3;

/// How names are compared.
pub(super) struct Names {
    /// The comparable forms of all names (RFC 5280 section 7.1), or `None` to compare bytes.
    comparable: Option<Comparable>,
    differ: bool,
}

struct Comparable {
    /// By the number of [`Search::certificate`].
    issuers: Vec<Vec<u8>>,
    subjects: Vec<Vec<u8>>,
    anchors: Vec<Vec<u8>>,
}

impl Names {
    /// Compares names by their bytes.
    pub(super) fn by_bytes() -> Self {
        Self { comparable: None, differ: false }
    }

    /// Compares names by RFC 5280 section 7.1.
    pub(super) fn comparable(search: &Search<'_>) -> Self {
        let certificates = || (0..=search.issuers.len()).map(|at| search.certificate(at));
        let comparable = Comparable {
            issuers: certificates().map(|one| comparable_name(one.issuer)).collect(),
            subjects: certificates().map(|one| comparable_name(one.subject)).collect(),
            anchors: anchor_subjects(search).map(comparable_name).collect(),
        };
        let exact = Self::by_bytes();
        let mut names = Self { comparable: Some(comparable), differ: false };
        let children = 0..=search.issuers.len();
        names.differ = children.into_iter().any(|child| {
            let candidates = (1..=search.issuers.len()).map(Issuer::Candidate);
            candidates.chain((0..search.anchors().len()).map(Issuer::Anchor)).any(|issuer| {
                names.is_issuer(search, child, issuer) != exact.is_issuer(search, child, issuer)
            })
        });
        names
    }

    /// Returns whether a comparison of bytes gives another result for some pair.
    pub(super) fn differ_from_bytes(&self) -> bool {
        self.differ
    }

    /// Returns whether a certificate names this issuer.
    pub(super) fn is_issuer(&self, search: &Search<'_>, child: usize, issuer: Issuer) -> bool {
        match (&self.comparable, issuer) {
            (None, Issuer::Candidate(at)) => {
                search.certificate(child).issuer == search.certificate(at).subject
            }
            (None, Issuer::Anchor(at)) => {
                search.certificate(child).issuer == search.anchors()[at].certificate.subject_der()
            }
            (Some(names), Issuer::Candidate(at)) => names.issuers[child] == names.subjects[at],
            (Some(names), Issuer::Anchor(at)) => names.issuers[child] == names.anchors[at],
        }
    }

    /// Returns for each certificate whether names lead from it to an anchor, or `true` for all if there
    /// are only few.
    ///
    /// If ten certificates have the same name, each may be the issuer of each other. Such a set has
    /// hundreds of thousands of paths, even if none ends at an anchor.
    pub(super) fn leading_to_an_anchor(&self, search: &Search<'_>) -> Vec<bool> {
        let count = 1 + search.issuers.len();
        if search.issuers.len() <= FEW_ISSUERS {
            return vec![true; count];
        }
        let of = |pick: fn(&Comparable) -> &[Vec<u8>], at: usize, bytes| match &self.comparable {
            Some(names) => pick(names)[at].as_slice(),
            None => bytes,
        };
        let issuer = |at: usize| of(|names| &names.issuers, at, search.certificate(at).issuer);
        let subject = |at: usize| of(|names| &names.subjects, at, search.certificate(at).subject);
        let anchors = anchor_subjects(search).enumerate();
        let mut reached: HashSet<&[u8]> =
            anchors.map(|(at, bytes)| of(|names| &names.anchors, at, bytes)).collect();
        let mut leads = vec![false; count];
        loop {
            let before = reached.len();
            for (at, leads) in leads.iter_mut().enumerate().skip(1) {
                if !*leads && reached.contains(issuer(at)) {
                    *leads = true;
                    reached.insert(subject(at));
                }
            }
            if reached.len() == before {
                return leads;
            }
        }
    }
}

fn anchor_subjects<'a>(search: &Search<'a>) -> impl Iterator<Item = &'a [u8]> {
    search.anchors().iter().map(|anchor| Certificate::subject_der(&anchor.certificate))
}
