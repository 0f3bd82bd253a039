//! The CA of a lab: its keys in files, its memory in `lab.json`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use webhook_mtls::bindings::limits::MATERIAL;

use super::state::{Issued, State};
use crate::exit::Failure;
use crate::{files, issuing};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate is valid from this long ago, because two clocks of one network can differ.
const SKEW: Duration = Duration::from_secs(5 * 60);
const ROOT_LIFE: u32 = 3650;
const INTERMEDIATE_LIFE: u32 = 365;
const CRL_LIFE: u32 = 7;

/// The issuing part of the lab. The key of the root is used once, when the lab is made.
pub(super) struct Authority {
    directory: PathBuf,
    state: State,
    intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the files of a new lab. Fails if one of them exists.
    pub(super) fn init(
        directory: &Path,
        name: &str,
        new_key: impl Fn() -> Result<KeyPair, Failure>,
    ) -> Result<(), Failure> {
        let tag = format!("{:08x}", u32::from_be_bytes(issuing::random()?));
        // Two labs never share a name, so each is an unknown issuer to the other.
        let root_params = ca_params(&format!("{name} {tag} root"), 1, ROOT_LIFE)?;
        let root_key = new_key()?;
        let root = root_params
            .self_signed(&root_key)
            .map_err(|error| issuing::failed("the root cannot be made", error))?;
        let issuer_name = format!("{name} {tag} intermediate");
        let mut params = ca_params(&issuer_name, 0, INTERMEDIATE_LIFE)?;
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let root_issuer = Issuer::from_params(&root_params, &root_key);
        let intermediate = params
            .signed_by(&key, &root_issuer)
            .map_err(|error| issuing::failed("the intermediate cannot be made", error))?;

        std::fs::create_dir_all(directory).map_err(|error| {
            let shown = directory.display();
            Failure::machine(format_args!("{shown} cannot be made: {}", files::reason(&error)))
        })?;
        let new = [
            ("root.key", root_key.serialize_pem(), true),
            ("ca.pem", root.pem(), false),
            ("intermediate.key", key.serialize_pem(), true),
            ("intermediate.pem", intermediate.pem(), false),
        ];
        for (file, ..) in &new {
            files::refuse_existing(&directory.join(file))?;
        }
        for (file, text, is_secret) in &new {
            files::write_new(&directory.join(file), text.as_bytes(), *is_secret)?;
        }
        let state = State { issuer: issuer_name, crl_number: 1, issued: Vec::new() };
        state.write(&directory.join("lab.json"))?;
        Self::open(directory)?.write_crl()
    }

    /// Opens a lab.
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let state = State::read(&directory.join("lab.json"))?;
        let text = |file: &str| {
            let path = directory.join(file);
            let text = files::read_path(&path, MATERIAL)?;
            let shown = path.display();
            String::from_utf8(text)
                .map_err(|_| Failure::machine(format_args!("{shown} is not PEM")))
        };
        let key = KeyPair::from_pem(&text("intermediate.key")?)
            .map_err(|error| issuing::failed("intermediate.key cannot be used", error))?;
        let issuer = Issuer::new(ca_params(&state.issuer, 0, INTERMEDIATE_LIFE)?, key);
        Ok(Self {
            directory: directory.to_owned(),
            state,
            intermediate_pem: text("intermediate.pem")?,
            issuer,
        })
    }

    /// Issues a leaf, and writes its chain and its key.
    pub(super) fn issue(
        &mut self,
        name: &str,
        mut params: CertificateParams,
        key: &KeyPair,
        days: u32,
        is_expired: bool,
    ) -> Result<(), Failure> {
        let (crt, key_path) =
            (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")));
        files::refuse_existing(&crt)?;
        files::refuse_existing(&key_path)?;
        let life = DAY * days;
        let now = SystemTime::now();
        let end = if is_expired { now - HOUR } else { now - SKEW + life };
        (params.not_before, params.not_after) = ((end - life).into(), end.into());
        let serial = issuing::serial()?;
        params.serial_number = Some(serial.clone());
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let leaf = params
            .signed_by(key, &self.issuer)
            .map_err(|error| issuing::failed("the certificate cannot be issued", error))?;
        // What was issued is remembered before anybody can have it.
        let serial = hex(&serial.to_bytes());
        self.state.issued.push(Issued { name: name.to_owned(), serial, revoked_at: None });
        self.save()?;
        files::write_new(&key_path, key.serialize_pem().as_bytes(), true)?;
        files::write_new(&crt, (leaf.pem() + &self.intermediate_pem).as_bytes(), false)
    }

    /// Revokes every certificate with this name. Returns how many the CRL lists.
    pub(super) fn revoke(&mut self, name: &str) -> Result<usize, Failure> {
        let now = seconds(SystemTime::now());
        let mut found = false;
        for one in self.state.issued.iter_mut().filter(|one| one.name == name) {
            one.revoked_at.get_or_insert(now);
            found = true;
        }
        if !found {
            return Err(Failure::usage(format_args!(
                "this lab has issued nothing with the name {name}"
            )));
        }
        self.write_crl()?;
        Ok(self.state.issued.iter().filter(|one| one.revoked_at.is_some()).count())
    }

    /// Writes the CRL, and remembers its number.
    pub(super) fn write_crl(&mut self) -> Result<(), Failure> {
        let now = SystemTime::now();
        let revoked = self.state.issued.iter().filter_map(|one| {
            let at = UNIX_EPOCH + Duration::from_secs(one.revoked_at?);
            Some(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&bytes_of_hex(&one.serial)?),
                revocation_time: at.into(),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: (now - SKEW).into(),
            next_update: (now + DAY * CRL_LIFE).into(),
            crl_number: self.state.crl_number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list
            .signed_by(&self.issuer)
            .and_then(|list| list.pem())
            .map_err(|error| issuing::failed("the CRL cannot be issued", error))?;
        self.state.crl_number += 1;
        self.save()?;
        files::replace(&self.path("crl.pem"), pem.as_bytes())
    }

    fn save(&self) -> Result<(), Failure> {
        self.state.write(&self.path("lab.json"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }
}

/// Returns the contents of a CA's certificate.
///
/// * `below`: how many intermediates may stand below it.
fn ca_params(common_name: &str, below: u8, days: u32) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = issuing::subject(common_name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(issuing::serial()?);
    let from = SystemTime::now() - SKEW;
    (params.not_before, params.not_after) = (from.into(), (from + DAY * days).into());
    Ok(params)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |after| after.as_secs())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}
