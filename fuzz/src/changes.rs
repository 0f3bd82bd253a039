//! The changes of a chain for the target `path`, each with a name.

use crate::chain::{
    Draft, Drafts, GeneralName, HOST, INHIBIT_ANY, ISSUES, KEYS, MAPPINGS, POLICIES,
    POLICY_CONSTRAINTS, SIGNS, STRANGE, UTF8,
};
use crate::der::{extension, name, oid, sequence, tlv};

const DNS: u8 = 0x82;
const EMAIL: u8 = 0x81;
const URI: u8 = 0x86;
const IP: u8 = 0x87;
const DIRECTORY: u8 = 0xa4;
const OTHER: u8 = 0xa0;

type Change = fn(&mut Drafts, u8, u8) -> &'static str;

const CHANGES: &[Change] = &[
    dates,
    basic_constraints,
    path_length,
    usage_of_ca,
    purposes_of_ca,
    purposes_of_leaf,
    usage_of_leaf,
    authority_key_id,
    serial,
    corrupt,
    unknown_extension,
    criticality,
    issuer_spelled,
    empty_subject,
    more_sans,
    permitted,
    excluded,
    policies,
    policy_constraints,
    inhibit_any,
    mappings,
    version_1,
    issued_again,
    twice,
    constrained_leaf,
];

/// Applies one change, and returns its name.
///
/// * `place`: which certificate changes, where the change leaves a choice.
/// * `value`: which value the change sets.
pub(crate) fn apply(drafts: &mut Drafts, which: u8, place: u8, value: u8) -> &'static str {
    CHANGES[usize::from(which) % CHANGES.len()](drafts, place, value)
}

fn pick<T: Copy>(from: &[T], value: u8) -> T {
    from[usize::from(value) % from.len()]
}

fn dates(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    const AT: &str = "260601000000Z";
    drafts.any(place).dates = pick(
        &[
            ["200101000000Z", "210101000000Z"],
            ["300101000000Z", "491231235959Z"],
            ["200101000000Z", AT],
            [AT, "491231235959Z"],
            ["491231235959Z", "200101000000Z"],
            ["200101000000Z", "260531235959Z"],
        ],
        value,
    );
    if value % 6 == 2 { "ends_now" } else { "dates" }
}

fn basic_constraints(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    drafts.any(place).is_ca = pick(&[None, Some(false), Some(true)], value);
    "basic_constraints"
}

fn path_length(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    drafts.any(place).path_length = Some(value % 4);
    "path_length"
}

fn usage_of_ca(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let usage = pick(&[0, SIGNS, 0x02, 0x04, SIGNS | ISSUES], value);
    drafts.ca(place).usage = usage;
    if usage == 0 { "no_usage_of_ca" } else { "usage_of_ca" }
}

fn purposes_of_ca(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let purposes = pick::<&[usize]>(&[&[0], &[1], &[2], &[1, 2], &[0, 1], &[3]], value);
    drafts.ca(place).purposes = purposes.to_vec();
    if purposes.contains(&2) { "ca_for_any" } else { "purposes_of_ca" }
}

fn purposes_of_leaf(drafts: &mut Drafts, _: u8, value: u8) -> &'static str {
    let purposes = pick::<&[usize]>(&[&[], &[1], &[2], &[0, 2], &[0, 1], &[3]], value);
    drafts.leaf().purposes = purposes.to_vec();
    "purposes_of_leaf"
}

fn usage_of_leaf(drafts: &mut Drafts, _: u8, value: u8) -> &'static str {
    drafts.leaf().usage = pick(&[0, 0x20, SIGNS | 0x04, SIGNS | 0x20, 0x08], value);
    "usage_of_leaf"
}

fn authority_key_id(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let changed = drafts.any(place);
    match value % 4 {
        0 => changed.authority_key_id = None,
        1 => changed.authority_key_id = Some(false),
        2 => changed.has_key_id = false,
        _ => (changed.has_key_id, changed.authority_key_id) = (false, None),
    }
    "key_ids"
}

fn serial(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let (serial, tag): (&[u8], _) = match value % 5 {
        0 => (&[0], "serial_unusual"),
        1 => (&[0x11; 21], "serial_unusual"),
        2 => (&[0x80 | 1], "serial_negative"),
        3 => (&[0x11; 20], "serial"),
        _ => (&[0, 0x80], "serial"),
    };
    drafts.any(place).serial = serial.to_vec();
    tag
}

fn corrupt(drafts: &mut Drafts, place: u8, _: u8) -> &'static str {
    drafts.any(place).corrupt = true;
    "corrupt"
}

fn unknown_extension(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    drafts.any(place).extra.push(extension(STRANGE, value.is_multiple_of(2), b"\x05\0"));
    "unknown_extension"
}

fn criticality(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    drafts.any(place).flipped.push(pick(&[19, 15, 37, 17, 30, 14, 35], value));
    "criticality"
}

/// Spells the issuer's name differently in the certificate below it.
fn issuer_spelled(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let at = 1 + usize::from(place) % (drafts.all.len() - 1);
    let common_name = if at == 1 { "Root".to_owned() } else { format!("CA {}", at - 1) };
    let spelled = match value % 5 {
        0 => name(0x13, &common_name),
        1 => name(UTF8, &common_name.to_uppercase()),
        2 => name(UTF8, &format!("  {} ", common_name.replace(' ', "   "))),
        3 => name(0x14, &common_name),
        _ => name(UTF8, &format!("{common_name}.")),
    };
    drafts.all[at].issuer = Some(spelled);
    "issuer_spelled"
}

fn empty_subject(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let changed = drafts.any(place);
    changed.subject = sequence(&[]);
    if value % 2 == 1 {
        changed.sans.clear();
    }
    "empty_subject"
}

/// Names of the leaf.
fn some_name(value: u8) -> GeneralName {
    let dns = |name: &str| (DNS, name.as_bytes().to_vec());
    match value % 20 {
        0 => dns("other.test"),
        1 => dns("*.example.test"),
        2 => dns("API.example.TEST"),
        3 => dns("a\0.example.test"),
        4 => dns("api.example.test."),
        5 => dns("api_1.example.test"),
        6 => dns("example.test"),
        7 => (IP, vec![192, 0, 2, 1]),
        8 => (IP, vec![10, 0, 0, 1]),
        9 => (IP, vec![0; 16]),
        10 => (URI, b"spiffe://corp.example/x".to_vec()),
        11 => (URI, b"https://host.corp.example:8443/".to_vec()),
        12 => (URI, b"urn:uuid:1".to_vec()),
        13 => (URI, b"spiffe://CORP.example".to_vec()),
        14 => (EMAIL, b"ops@example.test".to_vec()),
        15 => (EMAIL, b"ops@mail.example.test".to_vec()),
        16 => (EMAIL, b"nobody".to_vec()),
        17 => (DIRECTORY, name(UTF8, "consumer")),
        18 => other_name(),
        _ => dns("*"),
    }
}

fn other_name() -> GeneralName {
    let id = oid(&[1, 3, 6, 1, 4, 1, 32473, 2]);
    (OTHER, [id, tlv(0xa0, &[&tlv(UTF8, &[b"a"])])].concat())
}

fn more_sans(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let leaf = drafts.leaf();
    if place.is_multiple_of(4) {
        leaf.sans.clear();
    }
    leaf.sans.push(some_name(value));
    match value % 20 {
        3 => "nul",
        18 => "other_name",
        4 | 5 | 12 | 13 | 16 | 19 => "odd_name",
        _ => "sans",
    }
}

/// Bases of name constraints.
fn some_base(value: u8) -> (GeneralName, &'static str) {
    let text = |tag: u8, base: &str| (tag, base.as_bytes().to_vec());
    match value % 24 {
        0 => (text(DNS, "example.test"), "dns"),
        1 => (text(DNS, ".example.test"), "dns"),
        2 => (text(DNS, "other.test"), "dns"),
        3 => (text(DNS, ""), "dns"),
        4 => (text(DNS, HOST), "dns"),
        5 => (text(DNS, "EXAMPLE.test"), "dns"),
        6 => (text(DNS, "ample.test"), "dns"),
        7 => ((IP, vec![192, 0, 2, 0, 255, 255, 255, 0]), "ip"),
        8 => ((IP, vec![0; 8]), "ip"),
        9 => ((IP, vec![0; 32]), "ip"),
        10 => ((IP, vec![10, 0, 0, 0, 255, 0, 255, 0]), "ip_mask"),
        11 => (text(URI, "corp.example"), "uri"),
        12 => (text(URI, ".example"), "uri"),
        13 => (text(URI, "example"), "uri"),
        14 => (text(URI, ""), "uri_empty"),
        15 => (text(EMAIL, "example.test"), "email"),
        16 => (text(EMAIL, ".example.test"), "email"),
        17 => (text(EMAIL, "ops@example.test"), "email"),
        18 => (text(EMAIL, ""), "email_empty"),
        19 => ((DIRECTORY, name(UTF8, "consumer")), "directory"),
        20 => ((DIRECTORY, name(0x13, "CONSUMER")), "directory"),
        21 => ((DIRECTORY, name(UTF8, "somebody")), "directory"),
        22 => ((DIRECTORY, sequence(&[])), "directory"),
        _ => (other_name(), "other_name"),
    }
}

fn permitted(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let (base, tag) = some_base(value);
    drafts.ca(place).permitted.push(base);
    tag
}

fn excluded(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let (base, tag) = some_base(value);
    drafts.ca(place).excluded.push(base);
    tag
}

fn constrained_leaf(drafts: &mut Drafts, _: u8, value: u8) -> &'static str {
    drafts.leaf().permitted.push(some_base(value).0);
    "constrained_leaf"
}

fn policy(value: u8) -> Vec<u8> {
    match value % 3 {
        0 => oid(&[1, 3, 6, 1, 4, 1, 32473, 10]),
        1 => oid(&[1, 3, 6, 1, 4, 1, 32473, 11]),
        _ => oid(&[2, 5, 29, 32, 0]),
    }
}

fn policies(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let asserted = sequence(&[sequence(&[policy(value)])]);
    let asserted = extension(POLICIES, value & 0x80 != 0, &asserted);
    if place & 0x80 != 0 {
        drafts.all.iter_mut().skip(1).for_each(|draft| draft.extra.push(asserted.clone()));
    } else {
        drafts.any(place).extra.push(asserted);
    }
    "policies"
}

fn policy_constraints(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let skip = tlv(if value & 1 == 0 { 0x80 } else { 0x81 }, &[&[(value >> 1) % 3]]);
    let critical = value & 0x80 == 0;
    drafts.ca(place).extra.push(extension(POLICY_CONSTRAINTS, critical, &sequence(&[skip])));
    "policy_constraints"
}

fn inhibit_any(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let skip = tlv(0x02, &[&[value % 3]]);
    drafts.ca(place).extra.push(extension(INHIBIT_ANY, value & 0x80 == 0, &skip));
    "inhibit_any"
}

fn mappings(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let pair = sequence(&[policy(value), policy(value / 3)]);
    drafts.ca(place).extra.push(extension(MAPPINGS, value & 0x80 == 0, &sequence(&[pair])));
    "mappings"
}

fn version_1(drafts: &mut Drafts, place: u8, _: u8) -> &'static str {
    drafts.any(place).version = 1;
    "version_1"
}

/// Adds a CA that has issued a certificate of its own name to another key.
fn issued_again(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let key = drafts.all.iter().map(|draft| draft.key).max().unwrap_or_default() + 1;
    if key < KEYS {
        let at = usize::from(place) % (drafts.all.len() - 1);
        let known = &drafts.all[at];
        let again = Draft { key, issuer: None, serial: vec![77], ..known.clone() };
        drafts.all.insert(at + 1, again);
        if value.is_multiple_of(2) {
            drafts.all[at].path_length = Some(value / 2 % 3);
        }
    }
    "issued_again"
}

/// Has one extension twice.
fn twice(drafts: &mut Drafts, place: u8, value: u8) -> &'static str {
    let again = match value % 4 {
        0 => extension(&[2, 5, 29, 19], true, &sequence(&[vec![0x01, 1, 0xff]])),
        1 => extension(&[2, 5, 29, 15], true, &[0x03, 2, 7, 0x80]),
        2 => extension(&[2, 5, 29, 14], false, b"\x04\x01a"),
        _ => extension(STRANGE, false, b"\x05\0"),
    };
    drafts.any(place).extra.extend([again.clone(), again]);
    "extension_twice"
}
