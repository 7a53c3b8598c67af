//! Associations that an earlier process left in the kernel: a machine takes up those that its store knows, the rest goes.

use super::security::Security;
use crate::ipsec::Xfrm;
use ipsec::{SaSet, Spi, Usage};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// What stood before any shard of a function started, less what they have taken up.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Mutex<Left>);

#[derive(Debug, Default)]
struct Left {
    /// By receiver and SPI.
    associations: BTreeMap<(IpAddr, Spi), Usage>,
    /// Shards that have not started.
    starting: usize,
}

impl Leftovers {
    /// Looks at what there is between ports of ours, before the first shard adds to it.
    pub(super) fn find(security: &Security, shards: usize) -> io::Result<Leftovers> {
        let found = match security {
            Security::Xfrm { guarded } => {
                let between = |xfrm: &mut Xfrm| xfrm.list_at(guarded);
                Xfrm::open().and_then(|mut xfrm| between(&mut xfrm)).map_err(io::Error::other)?
            }
            // What a process has in its own memory ends with it.
            Security::None | Security::Userspace { .. } => Vec::new(),
        };
        Ok(Leftovers::new(found, shards))
    }

    fn new(found: Vec<Usage>, shards: usize) -> Leftovers {
        let by_name = found.into_iter().map(|usage| ((usage.destination, usage.spi), usage));
        Leftovers(Mutex::new(Left { associations: by_name.collect(), starting: shards }))
    }

    /// Takes a set out, which a shard knows; tells whether it stood whole.
    pub(super) fn take(&self, set: &SaSet) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = set.associations().map(|association| (association.destination().ip(), association.spi));
        names.map(|name| left.associations.remove(&name).is_some()) == [true; 4]
    }

    /// One more shard has taken up what it knows; the last one is given what nobody knows.
    pub(super) fn started(&self) -> Vec<Usage> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.starting = left.starting.saturating_sub(1);
        match left.starting {
            0 => std::mem::take(&mut left.associations).into_values().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipsec::{Algorithms, Encapsulation, Keys};
    use std::time::Duration;

    fn set(number: u32) -> SaSet {
        let spi = |offset| Spi::new(1_000 * number + offset).unwrap();
        SaSet {
            own_ip: IpAddr::from([192, 0, 2, 1]),
            peer_ip: IpAddr::from([192, 0, 2, 9]),
            own_client_port: 6101,
            own_server_port: 6100,
            peer_client_port: 31_000,
            peer_server_port: 31_001,
            own_spi_c: spi(0),
            own_spi_s: spi(1),
            peer_spi_c: spi(2),
            peer_spi_s: spi(3),
            algorithms: Algorithms::ALL[0],
            keys: Keys::derive(Algorithms::ALL[0], [1; 16], [2; 16]),
            encapsulation: Encapsulation::Transport,
            lifetime: Duration::from_secs(3600),
        }
    }

    fn standing(set: &SaSet) -> Vec<Usage> {
        let usage = |association: ipsec::Association| Usage {
            spi: association.spi,
            source: association.source().ip(),
            destination: association.destination().ip(),
            packets: 0,
            octets: 0,
            last_used: None,
            sequence: 0,
        };
        set.associations().map(usage).to_vec()
    }

    #[test]
    fn what_no_shard_takes_up_goes_when_the_last_one_has_started() {
        let found = [1, 2, 3].iter().flat_map(|number| standing(&set(*number))).collect();
        let leftovers = Leftovers::new(found, 2);
        assert!(leftovers.take(&set(1)));
        assert_eq!(leftovers.started(), [], "the other shard may know of the rest");
        assert!(leftovers.take(&set(2)));
        let mut of_nobody = standing(&set(3));
        of_nobody.sort_by_key(|usage| (usage.destination, usage.spi));
        assert_eq!(leftovers.started(), of_nobody);
        assert_eq!(leftovers.started(), [], "once");
    }

    #[test]
    fn a_set_that_stands_in_part_is_set_up_anew_and_not_taken_for_left() {
        let mut found = standing(&set(1));
        found.pop();
        let leftovers = Leftovers::new(found, 1);
        assert!(!leftovers.take(&set(1)));
        assert!(!leftovers.take(&set(2)));
        assert_eq!(leftovers.started(), []);
    }
}
