//! The program `webhook-mtls`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(webhook_mtls_command::main(std::env::args_os()))
}
