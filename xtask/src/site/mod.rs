//! `cargo xtask docs` and the suite `docs`: the documentation site, made from the pages of `docs/`.
//!
//! The pages are plain Markdown, which reads well on a forge too. [`pages`] adapts copies of them,
//! Zensical makes the site from the copies, and [`links`] follows each link of the pages and of the
//! site. The first build installs Zensical; later ones need no network.

mod links;
mod markdown;
mod navigation;
mod pages;

use std::path::PathBuf;
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::python::{environment, executable};
use crate::paths;
use crate::suites::passed_at_least;
use crate::toolchain::Toolchain;

pub(crate) use pages::packed;

/// The minimum number of tests in the browser that pass. It catches a suite that loses tests.
const AT_LEAST: u32 = 4;

/// The browser looks at the pages for twenty seconds.
const LIMIT: Duration = Duration::from_secs(3 * 60);

/// `cargo xtask docs`: builds the site, follows its links, and prints its address.
pub(crate) fn write() -> Result {
    let closing = made(&Toolchain::find()?)?;
    println!("\n{closing}\n  file://{}", site().join("index.html").display());
    Ok(())
}

/// Builds the site, follows its links, and looks at pages of it in a browser, wide and narrow, light
/// and dark; returns the closing line.
pub(crate) fn test(toolchain: &Toolchain) -> Result<String> {
    let closing = made(toolchain)?;
    debian::ensure(debian::BROWSER)?;
    let browser = home().join("browser");
    paths::make_empty(&browser)?;
    let output = Step::new("the site in Chromium", &toolchain.python)
        .arg(paths::root().join("tests/site/run.py"))
        .arg("--site")
        .arg(site())
        .arg("--work")
        .arg(&browser)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    passed_at_least("site", AT_LEAST, output)?;
    Ok(closing)
}

/// Builds the site in an empty directory and follows all links; returns what it has.
fn made(toolchain: &Toolchain) -> Result<String> {
    let followed = links::of_markdown()?;
    let configured = paths::read(&configuration())?;
    let adapted = pages::adapt(&home().join("source"))?;
    let configuration = navigation::expanded(&configured, &adapted)?;
    paths::write(&home().join("zensical.toml"), &configuration)?;
    paths::make_empty(&site())?;
    build(toolchain)?;
    pages::add_plain_text(&site(), &configuration, &adapted)?;
    let in_site = links::of_site(&site())?;
    Ok(format!("{} pages, {} links followed, 0 broken", adapted.len(), followed + in_site))
}

fn build(toolchain: &Toolchain) -> Result {
    let requirements = paths::root().join("docs/site/requirements.txt");
    let tools = environment(&toolchain.python, &home().join("venv"), &requirements)?;
    let output = Step::new("zensical build", executable(&tools, "zensical"))
        .args(["build", "--clean", "--strict", "--config-file", "zensical.toml"])
        .in_directory(&home())
        .run()?;
    if output.all.contains("No issues found") {
        return Ok(());
    }
    Err(Failure::with_output("Zensical found issues", output.all))
}

/// The directory of all that belongs to the site.
fn home() -> PathBuf {
    paths::target().join("docs")
}

fn site() -> PathBuf {
    home().join("site")
}

fn configuration() -> PathBuf {
    paths::root().join("docs/site/zensical.toml")
}
