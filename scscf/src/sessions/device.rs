//! The device that a request is for: any of the user's, or the one that a GRUU names (RFC 5627 §5.4, TS 24.229 §5.4.7A.4).

use crate::registrar::binding::Binding;
use crate::registrar::gruu::{self, NameSpace, Sealer};
use crate::registrar::registrations::Registrations;
use cscf::bucket::TokenKey;
use cscf::gruu as uris;
use cscf::identity::Impu;
use sip_core::Uri;

/// Which contacts a request may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device<'u> {
    /// Any.
    Any,
    /// Those of the instance that a public GRUU names.
    Public(&'u [u8]),
    /// Those of the instance that a temporary GRUU names.
    Temporary(gruu::Device),
    /// None: a temporary GRUU that is no longer, or never was.
    Nobody,
}

impl<'u> Device<'u> {
    /// The device of a Request-URI.
    pub fn of(uri: &Uri<'u>, key: &TokenKey) -> Device<'u> {
        if let Some(gr) = uris::public(uri) {
            return Device::Public(gr);
        }
        match uris::temporary(uri) {
            None => Device::Any,
            Some(user) => Sealer::new(key).open(user).map_or(Device::Nobody, Device::Temporary),
        }
    }

    /// The user of a temporary GRUU, which does not say so itself.
    pub fn user(&self, registrations: &Registrations) -> Option<Impu> {
        match self {
            Device::Temporary(device) => device.find(registrations),
            Device::Any | Device::Public(_) | Device::Nobody => None,
        }
    }

    /// Whether the user hides behind it.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Device::Temporary(_) | Device::Nobody)
    }

    /// Whether a contact is one of the device.
    pub fn has(&self, binding: &Binding, space: NameSpace) -> bool {
        match self {
            Device::Any => true,
            Device::Public(gr) => gruu::is_named(binding, gr, space),
            Device::Temporary(device) => device.has(binding),
            Device::Nobody => false,
        }
    }
}
