//! Feeds `targets::certificate`.
#![cfg_attr(fuzzing, no_main)]

webhook_mtls_fuzz::program!(certificate);
