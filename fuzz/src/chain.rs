//! Chains of certificates for the target `path`: a sound one, with changes that the input chooses.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::changes;
use crate::der::{extension, name, oid, sequence, tlv};

/// The name that the leaf has, and that the peer must have.
pub(crate) const HOST: &str = "api.example.test";

pub(crate) const UTF8: u8 = 0x0c;

/// The object identifiers of extensions.
pub(crate) const POLICIES: &[u32] = &[2, 5, 29, 32];
pub(crate) const MAPPINGS: &[u32] = &[2, 5, 29, 33];
pub(crate) const POLICY_CONSTRAINTS: &[u32] = &[2, 5, 29, 36];
pub(crate) const INHIBIT_ANY: &[u32] = &[2, 5, 29, 54];
pub(crate) const STRANGE: &[u32] = &[1, 3, 6, 1, 4, 1, 32473, 1];

/// Purposes, in the order of the numbers in [`Draft::purposes`].
const PURPOSES: [&[u32]; 4] = [
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
    &[2, 5, 29, 37, 0],
    &[1, 3, 6, 1, 5, 5, 7, 3, 3],
];

/// The bits of keyUsage.
pub(crate) const SIGNS: u8 = 0x80;
pub(crate) const ISSUES: u8 = 0x06;

/// A GeneralName: its tag and its content.
pub(crate) type GeneralName = (u8, Vec<u8>);

/// A certificate before it is signed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) key: usize,
    pub(crate) subject: Vec<u8>,
    /// Another spelling of the issuer's subject.
    pub(crate) issuer: Option<Vec<u8>>,
    pub(crate) version: u8,
    pub(crate) serial: Vec<u8>,
    pub(crate) dates: [&'static str; 2],
    pub(crate) is_ca: Option<bool>,
    pub(crate) path_length: Option<u8>,
    pub(crate) usage: u8,
    pub(crate) purposes: Vec<usize>,
    pub(crate) sans: Vec<GeneralName>,
    pub(crate) permitted: Vec<GeneralName>,
    pub(crate) excluded: Vec<GeneralName>,
    /// The authorityKeyIdentifier: that of the issuer, none, or that of another key.
    pub(crate) authority_key_id: Option<bool>,
    pub(crate) has_key_id: bool,
    /// The extensions whose criticality is not the usual one, by the last arc of their identifiers.
    pub(crate) flipped: Vec<u32>,
    pub(crate) extra: Vec<Vec<u8>>,
    pub(crate) corrupt: bool,
}

impl Draft {
    fn ca(common_name: &str, key: usize) -> Self {
        Self {
            key,
            subject: name(UTF8, common_name),
            issuer: None,
            version: 3,
            serial: vec![1 + u8::try_from(key).unwrap_or_default()],
            dates: ["200101000000Z", "491231235959Z"],
            is_ca: Some(true),
            path_length: None,
            usage: ISSUES,
            purposes: Vec::new(),
            sans: Vec::new(),
            permitted: Vec::new(),
            excluded: Vec::new(),
            authority_key_id: Some(true),
            has_key_id: true,
            flipped: Vec::new(),
            extra: Vec::new(),
            corrupt: false,
        }
    }

    fn leaf(key: usize) -> Self {
        Self {
            is_ca: Some(false),
            usage: SIGNS,
            purposes: vec![0],
            sans: vec![(0x82, HOST.into())],
            ..Self::ca("consumer", key)
        }
    }

    /// Signs it as `issuer`, which is the certificate itself for a root.
    fn sign(&self, issuer: &Self) -> Vec<u8> {
        let algorithm = sequence(&[oid(&[1, 2, 840, 10045, 4, 3, 2])]);
        let dates: Vec<_> = self.dates.iter().map(|date| tlv(0x17, &[date.as_bytes()])).collect();
        let mut body = Vec::new();
        if self.version == 3 {
            body.push(tlv(0xa0, &[&[0x02, 1, 2]]));
        }
        body.push(tlv(0x02, &[&self.serial]));
        body.push(algorithm.clone());
        body.push(self.issuer.clone().unwrap_or_else(|| issuer.subject.clone()));
        body.push(sequence(&dates));
        body.push(self.subject.clone());
        body.push(spki(self.key));
        if self.version == 3 {
            body.push(tlv(0xa3, &[&sequence(&self.extensions(issuer))]));
        }
        let body = sequence(&body);
        let signed = keys()[issuer.key].sign(&SystemRandom::new(), &body).expect("a signature");
        let mut signature = signed.as_ref().to_vec();
        if self.corrupt {
            let last = signature.len() - 1;
            signature[last] ^= 1;
        }
        sequence(&[body, algorithm, tlv(0x03, &[&[0], &signature])])
    }

    fn extensions(&self, issuer: &Self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut add = |arc: u32, critical: bool, value: &[u8]| {
            let critical = critical != self.flipped.contains(&arc);
            all.push(extension(&[2, 5, 29, arc], critical, value));
        };
        if let Some(is_ca) = self.is_ca {
            let flag = if is_ca { vec![0x01, 1, 0xff] } else { Vec::new() };
            let length = self.path_length.map(|length| vec![0x02, 1, length]);
            add(19, true, &sequence(&[flag, length.unwrap_or_default()]));
        }
        if self.usage != 0 {
            let unused = u8::try_from(self.usage.trailing_zeros()).unwrap_or_default();
            add(15, true, &tlv(0x03, &[&[unused, self.usage]]));
        }
        if !self.purposes.is_empty() {
            let ids: Vec<_> = self.purposes.iter().map(|at| oid(PURPOSES[*at])).collect();
            add(37, false, &sequence(&ids));
        }
        if !self.sans.is_empty() {
            // RFC 5280 section 4.2.1.6: critical if the subject is empty.
            add(17, self.subject.len() == 2, &sequence(&names(&self.sans)));
        }
        if !(self.permitted.is_empty() && self.excluded.is_empty()) {
            let subtrees = |tag: u8, bases: &[GeneralName]| {
                let trees: Vec<_> =
                    names(bases).into_iter().map(|base| sequence(&[base])).collect();
                if trees.is_empty() { Vec::new() } else { tlv(tag, &[&trees.concat()]) }
            };
            let both = [subtrees(0xa0, &self.permitted), subtrees(0xa1, &self.excluded)];
            add(30, true, &sequence(&both));
        }
        if self.has_key_id {
            add(14, false, &tlv(0x04, &[&key_id(self.key)]));
        }
        if let Some(right) = self.authority_key_id {
            let id = if right { key_id(issuer.key) } else { *b"another key......." };
            add(35, false, &sequence(&[tlv(0x80, &[&id])]));
        }
        all.extend(self.extra.iter().cloned());
        all
    }
}

fn names(all: &[GeneralName]) -> Vec<Vec<u8>> {
    all.iter().map(|(tag, content)| tlv(*tag, &[content])).collect()
}

/// A root, CAs below it, and a leaf.
pub(crate) struct Drafts {
    pub(crate) all: Vec<Draft>,
    pub(crate) tags: Vec<&'static str>,
}

impl Drafts {
    pub(crate) fn leaf(&mut self) -> &mut Draft {
        self.all.last_mut().expect("a leaf")
    }

    /// Returns a CA, the root included.
    pub(crate) fn ca(&mut self, place: u8) -> &mut Draft {
        let count = self.all.len() - 1;
        &mut self.all[usize::from(place) % count]
    }

    pub(crate) fn any(&mut self, place: u8) -> &mut Draft {
        let count = self.all.len();
        &mut self.all[usize::from(place) % count]
    }
}

/// A signed chain.
pub(crate) struct Chain {
    pub(crate) root: Vec<u8>,
    /// The CAs below the root, then the leaf.
    pub(crate) below: Vec<Vec<u8>>,
    /// The names of the changes.
    pub(crate) tags: Vec<&'static str>,
}

impl Chain {
    /// Makes a chain. The first octet of the input is the number of CAs; three octets each choose a
    /// change, its place and its value.
    pub(crate) fn of(input: &[u8]) -> Self {
        const MOST_CHANGES: usize = 4;
        let (first, rest) = input.split_first().unwrap_or((&0, &[]));
        let cas = usize::from(first % 4);
        let mut all = vec![Draft::ca("Root", 0)];
        all.extend((1..=cas).map(|at| Draft::ca(&format!("CA {at}"), at)));
        all.push(Draft::leaf(cas + 1));
        let mut drafts = Drafts { all, tags: Vec::new() };
        for change in rest.chunks_exact(3).take(MOST_CHANGES) {
            let tag = changes::apply(&mut drafts, change[0], change[1], change[2]);
            drafts.tags.push(tag);
        }
        let root = drafts.all[0].sign(&drafts.all[0]);
        let below = drafts.all.windows(2).map(|pair| pair[1].sign(&pair[0])).collect();
        Self { root, below, tags: drafts.tags }
    }

    /// Returns what the peer presents, leaf first.
    pub(crate) fn presented(&self) -> Vec<&[u8]> {
        self.below.iter().rev().map(Vec::as_slice).collect()
    }
}

/// The number of keys: a root, three CAs, a leaf, and some for CAs that are issued again.
pub(crate) const KEYS: usize = 8;

fn keys() -> &'static [EcdsaKeyPair] {
    static MADE: OnceLock<Vec<EcdsaKeyPair>> = OnceLock::new();
    MADE.get_or_init(|| {
        let key = |_| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        (0..KEYS).map(key).collect()
    })
}

fn spki(key: usize) -> Vec<u8> {
    let algorithm = [oid(&[1, 2, 840, 10045, 2, 1]), oid(&[1, 2, 840, 10045, 3, 1, 7])];
    let point = keys()[key].public_key().as_ref();
    sequence(&[sequence(&algorithm), tlv(0x03, &[&[0], point])])
}

fn key_id(key: usize) -> [u8; 18] {
    let mut id = *b"key identifier of ";
    id[17] = b'0' + u8::try_from(key).unwrap_or_default();
    id
}
