//! Feeds `targets::server_hello`.
#![cfg_attr(fuzzing, no_main)]

webhook_mtls_fuzz::program!(server_hello);
