//! The keys a peer may have.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use webhook_mtls::limits::Limit;
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
            pin_of(text::bytes(cert, cert_len, Limit::material("cert"))?)?
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
    /// Adds a pin to those of a slot.
    ///
    /// # Safety
    ///
    /// The header's conventions hold for `pin`.
    pub(crate) unsafe fn add(&mut self, pin: *const c_char, slot: i32) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let pin = unsafe { text::required(pin, "pin") }?.to_owned();
        let list = self.list(slot)?;
        Limit::text("pins").check_list(list.len() + 1, 0)?;
        list.push(pin);
        Ok(())
    }

    /// Says all pins of a slot.
    ///
    /// # Safety
    ///
    /// The header's conventions hold for `pins` and `count`.
    pub(crate) unsafe fn set(
        &mut self,
        pins: *const *const c_char,
        count: usize,
        slot: i32,
    ) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let pins = unsafe { text::list(pins, count, "pins") }?;
        *self.list(slot)? = pins;
        Ok(())
    }

    /// Those of a file.
    ///
    /// # Safety
    ///
    /// The header's conventions hold for `path`.
    pub(crate) unsafe fn read(path: *const c_char) -> Result<Self, Error> {
        // SAFETY: the caller's promise.
        Pins::from_file(unsafe { text::required(path, "path") }?).map(Self::Read)
    }

    /// The pins, if any were said.
    pub(crate) fn pins(self) -> Result<Option<Pins>, Error> {
        match self {
            Self::Nothing | Self::None => Ok(None),
            Self::Lists { current, next } => Pins::with_next(&current, &next).map(Some),
            Self::Read(pins) => Ok(Some(pins)),
        }
    }

    fn list(&mut self, slot: i32) -> Result<&mut Vec<String>, Error> {
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
