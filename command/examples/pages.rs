//! Writes the man pages and the shell completions of the command. `cargo xtask install command` runs it, so
//! that the command itself does not carry them.
//!
//! Argument: an existing directory.

use std::io::{Error, Result};
use std::path::PathBuf;

use clap_complete::{Shell, generate_to};

const NAME: &str = "webhook-mtls";

/// clap_complete 4.6.12 writes the dash of the name in two ways in the script of bash, which then completes
/// no verb's options.
const MISSPELLED: &str = "webhook__subcmd__mtls";
const SPELLED: &str = "webhook__mtls";

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or_else(|| Error::other("a directory is missing"))?;
    let mut command = webhook_mtls_command::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let path = generate_to(shell, &mut command, NAME, &directory)?;
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(path, text.replace(MISSPELLED, SPELLED))?;
    }
    clap_mangen::generate_to(command, &directory)
}
