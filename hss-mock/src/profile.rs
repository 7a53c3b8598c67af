//! The profile that is sent to an S-CSCF: User-Data in the form that its features allow.

use crate::subscriber::{ImplicitSet, Subscriber};
use cscf::user_data::{self, InitialFilterCriteria};
use std::collections::BTreeMap;

/// Sets of filter criteria that several profiles name by number.
pub type SharedCriteria = BTreeMap<u32, Vec<InitialFilterCriteria>>;

/// Whether an S-CSCF knows shared sets of filter criteria by number (TS 29.229 §7.1.1, SiFC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedSupport {
    /// The numbers are sent.
    ByNumber,
    /// The criteria are written out.
    WrittenOut,
}

/// User-Data of one set for one private identity.
pub fn user_data(
    subscriber: &Subscriber,
    set: &ImplicitSet,
    impi: &str,
    shared: &SharedCriteria,
    support: SharedSupport,
) -> Vec<u8> {
    let mut subscription = subscriber.user_data(set, impi);
    if support == SharedSupport::WrittenOut {
        for profile in &mut subscription.service_profiles {
            for id in std::mem::take(&mut profile.shared_ifc_set_ids) {
                profile.filter_criteria.extend(shared.get(&id).into_iter().flatten().cloned());
            }
            profile.filter_criteria.sort_by_key(|criteria| criteria.priority);
        }
    }
    user_data::write(&subscription).into_bytes()
}
