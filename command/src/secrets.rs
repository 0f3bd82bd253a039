//! Secrets, which come from a file, the environment or a person, and never from an argument: other users of
//! the machine can see arguments.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStringExt;

use clap::{Arg, ArgMatches};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::value;
use crate::console::Console;
use crate::exit::Failure;
use crate::files;

/// The longest secret.
const LONGEST: usize = 64 * 1024;

/// The variable with the passphrase of a key or of a PKCS#12 file.
pub(crate) const PASSPHRASE: &str = "WEBHOOK_MTLS_PASSPHRASE";

/// Returns the option for the file with the passphrase.
pub(crate) fn passphrase_option() -> Arg {
    value(
        "passphrase-file",
        "FILE",
        "File with the passphrase of the key or PKCS#12 file [else WEBHOOK_MTLS_PASSPHRASE, else you are \
         asked]",
    )
}

/// Returns the passphrase that the options or the environment give, without asking.
pub(crate) fn passphrase(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Option<Vec<u8>>, Failure> {
    given(matches.get_one::<String>("passphrase-file").map(String::as_str), PASSPHRASE, console)
}

/// Returns a secret from a file, or else from a variable.
pub(crate) fn given(
    file: Option<&str>,
    variable: &str,
    console: &mut Console<'_>,
) -> Result<Option<Vec<u8>>, Failure> {
    if let Some(file) = file {
        let mut secret = files::read(file, LONGEST, console)?;
        // Editors and echo end the file with a line break.
        while matches!(secret.last(), Some(b'\n' | b'\r')) {
            secret.pop();
        }
        return Ok(Some(secret));
    }
    Ok(console.variable(variable).map(OsStringExt::into_vec))
}

/// Asks the person at the terminal, without showing what is typed. Returns `None` if nobody can be asked.
///
/// * `what`: what the secret opens.
pub(crate) fn ask(what: &str, console: &mut Console<'_>) -> Result<Option<Vec<u8>>, Failure> {
    if !console.is_interactive() {
        return Ok(None);
    }
    let fault = |error: std::io::Error| {
        Failure::machine(format_args!("the terminal cannot be read: {}", files::reason(&error)))
    };
    let terminal =
        std::fs::File::options().read(true).write(true).open("/dev/tty").map_err(fault)?;
    let before = tcgetattr(&terminal).map_err(|error| fault(error.into()))?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    // The echo ends before the question: what is typed after it is neither shown nor dropped.
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(|error| fault(error.into()))?;
    let _ = write!(&terminal, "Passphrase of {what}: ");
    let secret = line(&terminal);
    tcsetattr(&terminal, OptionalActions::Now, &before).map_err(|error| fault(error.into()))?;
    secret.map(Some).map_err(fault)
}

/// Reads one line, byte by byte: what follows belongs to another reader.
fn line(mut terminal: &std::fs::File) -> std::io::Result<Vec<u8>> {
    let mut secret = Vec::new();
    let mut byte = [0];
    while secret.len() < LONGEST && terminal.read(&mut byte)? == 1 && byte[0] != b'\n' {
        secret.push(byte[0]);
    }
    Ok(secret)
}
