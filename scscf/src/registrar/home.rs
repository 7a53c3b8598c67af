//! Where a registration is served: in the bucket of the identity by which it came here. The other shards of this S-CSCF are
//! told of the other identities of its set, so that messages for any of them find it.

use super::implicit_set::Identity;
use super::registrations::{Registration, RegistrationId};
use crate::role::Scscf;
use cscf::Turn;
use cscf::bucket::Bucket;
use cscf::identity::Impu;

impl Scscf {
    /// The bucket under which tokens for a user are minted: the one of the registration, which its record keeps, so that
    /// they come back to it whatever the number of shards is then.
    pub(crate) fn home_of(&self, turn: &Turn<'_, Scscf>, impu: &Impu) -> Bucket {
        match self.registrations.find(impu) {
            Some((_, registration)) => registration.home,
            None => turn.bucket(impu.as_str().as_bytes()),
        }
    }

    /// Tells the other shards where the identities of a registration are served.
    pub(super) fn announce(&self, turn: &mut Turn<'_, Scscf>, id: RegistrationId) {
        let Some(registration) = self.registrations.get(id).filter(|_| turn.has_neighbours()) else { return };
        for identity in canonical(registration) {
            turn.announce(identity, registration.home);
        }
    }

    /// Takes back what [`Scscf::announce`] has said of a registration that is about to end, or to have other identities.
    pub(super) fn withdraw(&self, turn: &mut Turn<'_, Scscf>, id: RegistrationId) {
        let Some(registration) = self.registrations.get(id).filter(|_| turn.has_neighbours()) else { return };
        for identity in canonical(registration) {
            turn.withdraw(identity, registration.home);
        }
    }
}

/// Whether a registration from the store is this shard's; where it is served is known to this shard from here on, either
/// way.
pub(super) fn is_kept(turn: &mut Turn<'_, Scscf>, registration: &Registration) -> bool {
    if turn.has_neighbours() {
        for identity in canonical(registration) {
            turn.note(identity, registration.home);
        }
    }
    turn.owns(registration.home)
}

fn canonical(registration: &Registration) -> impl Iterator<Item = &str> {
    registration.set.identities().iter().filter_map(Identity::canonical)
}
