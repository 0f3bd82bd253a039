//! Makes ten thousand deliveries, some refused and some canceled, and checks that memory and
//! descriptors do not grow.

use std::path::Path;

use crate::command::{Result, Step};
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::lab::Lab;
use crate::languages::rust;
use crate::paths;
use crate::suites::leak_check;

const DELIVERIES: u32 = 10_000;

/// Runs the four programs; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    let lab = Lab::start()?;
    let sources = paths::root().join("tests").join("clients");
    let shown = |path: &Path| path.display().to_string();
    let python = languages.python()?.interpreter();
    let c_source = sources.join("steady.c");
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &c_source, Linkage::Static)?;
    let programs = [
        ("c", vec![shown(&c)]),
        ("rust", vec![shown(&rust::test_program("steady")?)]),
        ("python", vec![shown(&python), shown(&sources.join("steady.py"))]),
        ("node", languages.node()?.command("tests/clients/steady.mjs")),
    ];
    let mut reports = Vec::new();
    for (language, command) in programs {
        let material = |name: &str| lab.material().join(name);
        let url = &lab.consumer(&format!("acme-{language}"))?.url;
        let output = Step::new(format!("{DELIVERIES} deliveries from {language}"), &command[0])
            .args(&command[1..])
            .env("WMTLS_URL", url)
            .env("WMTLS_REFUSING_URL", &lab.consumer("client_certificate_rejected")?.url)
            .env("WMTLS_CERT", material("tls.crt"))
            .env("WMTLS_KEY", material("tls.key"))
            .env("WMTLS_CA", material("ca.pem"))
            .env("WMTLS_COUNT", DELIVERIES.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .run()?;
        reports.push(leak_check::check_growth(language, &leak_check::report(language, &output)?)?);
    }
    Ok(reports.join("; "))
}
