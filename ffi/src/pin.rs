//! Pins: the keys that a peer may have.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::material::{PinSlot, pin_of};
use webhook_mtls::{Error, Pins};

use crate::error::{wmtls_error, wmtls_status};
use crate::handle;
use crate::{enums, panic, text};

/// The buffer size that wmtls_pin_of needs, in bytes: "sha256/", 44 characters of base64 and the
/// NUL.
pub const WMTLS_PIN_SIZE: usize = 52;

/// Computes the pin ("sha256/...") of a certificate, or of the first of several, which is the
/// leaf.
///
/// `cert`, `cert_len`: PEM or DER, at most 1 MiB.
/// `pin`: a buffer of at least WMTLS_PIN_SIZE bytes; receives the text with its NUL, or an empty
/// text after a failure.
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
        // SAFETY: the caller follows the header's conventions, and the buffer has room for a NUL.
        unsafe { pin.write(0) };
        // SAFETY: as above.
        let cert = unsafe { text::bytes(cert, cert_len, Limit::material("cert")) }?;
        let mut made = pin_of(cert)?.into_bytes();
        made.push(0);
        assert!(made.len() <= WMTLS_PIN_SIZE, "all pins have the same length");
        let text = NonNull::from(&*made).cast();
        // SAFETY: the buffer has room for WMTLS_PIN_SIZE bytes.
        unsafe { pin.copy_from_nonoverlapping(text, made.len()) };
        Ok(())
    })
}

/// The pins of a builder: not set, explicitly none, two lists, or the content of a file.
#[derive(Default)]
pub(crate) enum PinSetting {
    #[default]
    Unset,
    NoPins,
    Lists {
        current: Vec<String>,
        next: Vec<String>,
    },
    FromFile(Pins),
}

impl PinSetting {
    /// Adds a pin to a slot.
    ///
    /// # Safety
    ///
    /// The header's conventions hold for `pin`.
    pub(crate) unsafe fn add(&mut self, pin: *const c_char, slot: i32) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        let pin = unsafe { text::required(pin, "pin") }?.to_owned();
        let list = self.list(slot)?;
        Limit::text("pins").check_list(list.len() + 1, 0)?;
        list.push(pin);
        Ok(())
    }

    /// Replaces the pins of a slot.
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
        // SAFETY: the caller guarantees it.
        let pins = unsafe { text::list(pins, count, "pins") }?;
        *self.list(slot)? = pins;
        Ok(())
    }

    /// Reads the pins from a file.
    ///
    /// # Safety
    ///
    /// The header's conventions hold for `path`.
    pub(crate) unsafe fn read(path: *const c_char) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        Pins::from_file(unsafe { text::required(path, "path") }?).map(Self::FromFile)
    }

    /// Returns the pins; `None` if they were not set or there are explicitly none.
    pub(crate) fn pins(self) -> Result<Option<Pins>, Error> {
        match self {
            Self::Unset | Self::NoPins => Ok(None),
            Self::Lists { current, next } => Pins::with_next(&current, &next).map(Some),
            Self::FromFile(pins) => Ok(Some(pins)),
        }
    }

    fn list(&mut self, slot: i32) -> Result<&mut Vec<String>, Error> {
        let slot = enums::pin_slot(slot).ok_or_else(|| {
            Error::wrong_type("slot", "WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT", "another number")
        })?;
        if !matches!(self, Self::Lists { .. }) {
            *self = Self::Lists { current: Vec::new(), next: Vec::new() };
        }
        match (self, slot) {
            (Self::Lists { current, .. }, PinSlot::Current) => Ok(current),
            (Self::Lists { next, .. }, PinSlot::Next) => Ok(next),
            _ => unreachable!("the pins are lists here"),
        }
    }
}
