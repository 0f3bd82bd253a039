//! The CRLs of a trust, by their issuers, and the notes about those that cannot be used.

use std::collections::HashMap;

use crate::clock::utc_text;
use crate::error::{Error, presented};
use crate::keystore::pem;
use crate::x509::{Crl, ParsedCertificate, comparable_name, name_text};

/// The CRLs of a trust.
#[derive(Default)]
pub(crate) struct CrlSet {
    crls: Vec<Crl>,
    groups: Vec<Group>,
    /// The group of each spelling of an issuer's name (the content of a Name), sorted by the name.
    spellings: Vec<(Vec<u8>, usize)>,
    by_comparable_name: HashMap<Vec<u8>, usize>,
    /// Whether the files of certificates hold CRLs, which are not used.
    pub(crate) has_misplaced: bool,
}

/// The CRLs of one issuer's name.
#[derive(Default)]
pub(crate) struct Group {
    /// Indexes among the CRLs of the trust, the latest CRL first.
    pub(crate) members: Vec<usize>,
    /// Whether no CA of the bundle has this name.
    pub(crate) is_stray: bool,
}

impl CrlSet {
    /// Reads CRLs.
    ///
    /// * `texts`: PEM text or DER. A text may hold several CRLs.
    /// * `notes`: receives a note if a text holds certificates.
    ///
    /// Fails with `pem_invalid` or `crl_unusable`.
    pub(super) fn read(texts: &[&[u8]], notes: &mut Vec<String>) -> Result<Self, Error> {
        let mut crls = Vec::new();
        for text in texts {
            for (at, der) in pem::crls(text, "CRL")?.into_iter().enumerate() {
                crls.push(Crl::read(der, at)?);
            }
            if pem::count_blocks(text).0 > 0 {
                notes.push(
                    "CRL file: holds certificates, which are not used; a trusted CA belongs among the \
                     anchors"
                        .to_owned(),
                );
            }
        }
        let mut set = Self { crls, ..Self::default() };
        for at in 0..set.crls.len() {
            set.add_to_group(at);
        }
        for group in &mut set.groups {
            // The latest CRL supersedes the others, so a trust with many costs one signature check.
            group
                .members
                .sort_by(|one, other| set.crls[*other].recency().cmp(&set.crls[*one].recency()));
        }
        Ok(set)
    }

    fn add_to_group(&mut self, at: usize) {
        let Self { crls, groups, spellings, by_comparable_name, .. } = self;
        let crl = &crls[at];
        let group = *by_comparable_name.entry(crl.comparable_issuer.clone()).or_insert_with(|| {
            groups.push(Group::default());
            groups.len() - 1
        });
        if let Err(at) = spellings.binary_search_by(|(name, _)| name.cmp(&crl.issuer)) {
            spellings.insert(at, (crl.issuer.clone(), group));
        }
        groups[group].members.push(at);
    }

    /// Returns the number of the group with this issuer's name (RFC 5280 section 7.1).
    ///
    /// * `name`: the content of a Name.
    pub(crate) fn group_of(&self, name: &[u8]) -> Option<usize> {
        if self.crls.is_empty() {
            return None;
        }
        if let Ok(at) = self.spellings.binary_search_by(|(known, _)| (**known).cmp(name)) {
            return Some(self.spellings[at].1);
        }
        self.by_comparable_name.get(&comparable_name(name)).copied()
    }

    /// Returns the CRLs of a group, the latest first, with their indexes in the trust.
    pub(crate) fn members(&self, group: usize) -> impl Iterator<Item = (usize, &Crl)> {
        self.groups[group].members.iter().map(|at| (*at, &self.crls[*at]))
    }

    /// Returns the groups whose name no CA of the bundle has.
    pub(crate) fn stray_groups(&self) -> impl Iterator<Item = usize> {
        (0..self.groups.len()).filter(|group| self.groups[*group].is_stray)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Crl> {
        self.crls.iter()
    }

    /// Returns whether the caller has given no CRL at all, not even in the wrong place.
    pub(crate) fn is_empty(&self) -> bool {
        self.crls.is_empty() && !self.has_misplaced
    }

    /// Compares the CRLs with the CAs of the bundle. Returns notes about those that cannot be used now,
    /// in the order of the CRLs.
    ///
    /// * `now`: Unix seconds.
    pub(super) fn notes_for(&mut self, cas: &[ParsedCertificate<'_>], now: i64) -> Vec<String> {
        for group in &mut self.groups {
            group.is_stray = true;
        }
        let mut issuers: Vec<Vec<&ParsedCertificate<'_>>> = vec![Vec::new(); self.groups.len()];
        for ca in cas {
            if let Some(group) = self.group_of(ca.subject) {
                self.groups[group].is_stray = false;
                issuers[group].push(ca);
            }
        }
        let mut notes = Vec::new();
        for (at, crl) in self.crls.iter().enumerate() {
            let Some(group) = self.group_of(&crl.issuer) else { continue };
            self.note_on(at, group, &issuers[group], now, &mut notes);
        }
        notes
    }

    /// Adds notes about one CRL.
    ///
    /// * `issuers`: the CAs of the bundle that have its name.
    fn note_on(
        &self,
        at: usize,
        group: usize,
        issuers: &[&ParsedCertificate<'_>],
        now: i64,
        notes: &mut Vec<String>,
    ) {
        let crl = &self.crls[at];
        let name = presented(&name_text(&crl.issuer));
        let what = format!("CRL {} ({name})", at + 1);
        if crl.is_of_attributes() {
            notes.push(format!(
                "{what} covers only attribute certificates (onlyContainsAttributeCerts): it is not used"
            ));
            return;
        }
        if crl.this_update > now {
            let from = utc_text(crl.this_update);
            notes.push(format!(
                "{what} is not in force before {from}, its thisUpdate: without another CRL, revocation \
                 is not checked for certificates of {name} until then"
            ));
        }
        if issuers.is_empty() {
            let members = &self.groups[group].members;
            // One note for all CRLs of an unknown CA.
            if members.iter().min() == Some(&at) {
                let others = match members.len() - 1 {
                    0 => String::new(),
                    more => format!(", with {more} more,"),
                };
                notes.push(format!(
                    "{what}{others} is of no CA of this bundle: it is used only if a peer presents that \
                     CA, and revocation is not checked for certificates of a CA without a CRL"
                ));
            }
        } else if !issuers.iter().any(|ca| crl.is_signed_by(ca)) {
            notes.push(format!(
                "{what} has the name of a CA of this bundle, but another key signed it: it is not used \
                 for that CA, and without another CRL, revocation is not checked for certificates of \
                 {name}"
            ));
        }
    }
}

impl std::ops::Index<usize> for CrlSet {
    type Output = Crl;

    fn index(&self, at: usize) -> &Crl {
        &self.crls[at]
    }
}

/// Adds a note if a file of certificates holds CRLs. Returns whether it does.
///
/// * `what`: the content of the file.
pub(super) fn note_misplaced(text: &[u8], what: &str, notes: &mut Vec<String>) -> bool {
    let (_, blocks) = pem::count_blocks(text);
    if blocks == 0 {
        return false;
    }
    let these = if blocks == 1 { "a CRL".to_owned() } else { format!("{blocks} CRLs") };
    notes.push(format!(
        "{what}: holds {these} beside the certificates, which is not used, so that revocation is not \
         checked for the issuers: pass CRLs as crls"
    ));
    true
}

/// Adds a note if the file of an exact trust holds CRLs.
pub(super) fn note_beside_exact(text: &[u8], notes: &mut Vec<String>) {
    if pem::count_blocks(text).1 > 0 {
        let why = "exact trust: holds a CRL, which is not used: no CRL applies to an exact trust";
        notes.push(why.to_owned());
    }
}
