//! The command `webhook-mtls`, which the package installs.

use std::ffi::OsString;
use std::mem::take;

use napi::Task;
use napi::bindgen_prelude::{AsyncTask, Env};
use napi_derive::napi;

/// A run of the command. It blocks a thread of libuv's pool, not the loop.
pub struct Run(Vec<String>);

impl Task for Run {
    type Output = u8;
    type JsValue = u32;

    fn compute(&mut self) -> napi::Result<u8> {
        Ok(webhook_mtls_command::main(take(&mut self.0).into_iter().map(OsString::from)))
    }

    fn resolve(&mut self, _: Env, code: u8) -> napi::Result<u32> {
        Ok(code.into())
    }
}

/// Runs the command, and returns a promise of its exit code. From then on, errors of this process name
/// the options of the command.
///
/// * `arguments`: the name of the program, then its arguments.
#[napi]
pub fn command(arguments: Vec<String>) -> AsyncTask<Run> {
    AsyncTask::new(Run(arguments))
}
