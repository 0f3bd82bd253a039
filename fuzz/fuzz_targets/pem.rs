//! Feeds `targets::pem`.
#![cfg_attr(fuzzing, no_main)]

webhook_mtls_fuzz::program!(pem);
