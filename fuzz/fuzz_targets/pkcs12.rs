//! Feeds `targets::pkcs12`.
#![cfg_attr(fuzzing, no_main)]

webhook_mtls_fuzz::program!(pkcs12);
