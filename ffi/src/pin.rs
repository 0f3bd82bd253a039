//! The keys a peer may have.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use webhook_mtls::{Error, PinSlot, Pins, pin_of};

use crate::error::{wmtls_error, wmtls_status};
use crate::handle;
use crate::{panic, text, words};

/// The size that wmtls_pin_of needs: "sha256/", 44 characters of base64 and the NUL.
pub const WMTLS_PIN_SIZE: usize = 52;

/// Computes the pin ("sha256/...") of a certificate in PEM or DER; of several, of the first, which
/// is the leaf.
///
/// `pin`: room for WMTLS_PIN_SIZE bytes; receives the text and its NUL, empty after a failure.
///
/// Fails with WMTLS_PEM_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_pin_of(
    cert: *const c_void,
    cert_len: usize,
    pin: *mut c_char,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let pin = handle::required(NonNull::new(pin), "pin")?;
        // SAFETY: the header's conventions, and room for the NUL at least.
        let made = unsafe {
            pin.write(0);
            pin_of(text::bytes(cert, cert_len, "cert")?)?
        };
        assert!(made.len() < WMTLS_PIN_SIZE, "every pin is as long as the other");
        // SAFETY: there is room for WMTLS_PIN_SIZE bytes.
        unsafe {
            pin.copy_from_nonoverlapping(NonNull::from(made.as_bytes()).cast(), made.len());
            pin.add(made.len()).write(0);
        }
        Ok(())
    })
}

/// The pins of a builder: unsaid, explicitly none, two lists, or those of a file.
#[derive(Default)]
pub(crate) enum Said {
    #[default]
    Nothing,
    None,
    Lists {
        current: Vec<String>,
        next: Vec<String>,
    },
    Read(Pins),
}

impl Said {
    /// The list of a slot, for a setter to change.
    pub(crate) fn list(&mut self, slot: i32) -> Result<&mut Vec<String>, Error> {
        let slot = words::pin_slot(slot).ok_or_else(|| {
            Error::wrong_type("slot", "WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT", "another number")
        })?;
        if !matches!(self, Self::Lists { .. }) {
            *self = Self::Lists { current: Vec::new(), next: Vec::new() };
        }
        match (self, slot) {
            (Self::Lists { current, .. }, PinSlot::Current) => Ok(current),
            (Self::Lists { next, .. }, PinSlot::Next) => Ok(next),
            _ => unreachable!("they are lists by now"),
        }
    }
}

/// The pins of two lists.
pub(crate) fn pins(current: &[String], next: &[String]) -> Result<Pins, Error> {
    Pins::with_next(current, next)
}
