//! The network between hosts: per link delay, loss, duplication, reordering and partition.

use ambient::Entropy;
use std::collections::BTreeMap;
use std::time::Duration;

/// How one link behaves, in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The shortest time a packet takes.
    pub delay_min: Duration,
    /// The longest; packets overtake each other between the two.
    pub delay_max: Duration,
    /// Datagrams lost, in thousandths.
    pub loss_permille: u16,
    /// Datagrams that arrive twice, in thousandths.
    pub duplicate_permille: u16,
    /// Nothing passes.
    pub is_cut: bool,
}

impl Link {
    /// A laboratory's wire.
    pub const GOOD: Link = Link {
        delay_min: Duration::from_micros(200),
        delay_max: Duration::from_micros(200),
        loss_permille: 0,
        duplicate_permille: 0,
        is_cut: false,
    };

    /// A bad day: 1 to 80 ms, 3 % lost, 2 % doubled.
    pub const BAD: Link = Link {
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(80),
        loss_permille: 30,
        duplicate_permille: 20,
        is_cut: false,
    };
}

/// The links between named hosts.
#[derive(Debug)]
pub struct Network {
    default: Link,
    links: BTreeMap<(String, String), Link>,
    entropy: Entropy,
}

impl Network {
    /// A network whose links are all `default`.
    pub fn new(default: Link, entropy: Entropy) -> Network {
        Network { default, links: BTreeMap::new(), entropy }
    }

    /// Every link that was not set by itself.
    pub fn set_default(&mut self, link: Link) {
        self.default = link;
    }

    /// Sets the link between two hosts.
    pub fn set(&mut self, a: &str, b: &str, link: Link) {
        self.links.insert(key(a, b), link);
    }

    /// Cuts the link between two hosts.
    pub fn cut(&mut self, a: &str, b: &str) {
        let link = self.link(a, b);
        self.set(a, b, Link { is_cut: true, ..link });
    }

    /// Makes the link between two hosts what the default is.
    pub fn heal(&mut self, a: &str, b: &str) {
        self.links.remove(&key(a, b));
    }

    /// Makes every link good.
    pub fn heal_all(&mut self) {
        self.links.clear();
        self.default = Link::GOOD;
    }

    /// How the link between two hosts behaves.
    pub fn link(&self, a: &str, b: &str) -> Link {
        self.links.get(&key(a, b)).copied().unwrap_or(self.default)
    }

    /// The delays after which copies of one datagram arrive: none when it is lost.
    pub fn datagram(&mut self, a: &str, b: &str) -> Vec<Duration> {
        let link = self.link(a, b);
        if link.is_cut || self.chance(link.loss_permille) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.chance(link.duplicate_permille));
        (0..copies).map(|_| self.delay(link)).collect()
    }

    /// The delay of one piece of a stream; `None` while the link is cut.
    pub fn segment(&mut self, a: &str, b: &str) -> Option<Duration> {
        let link = self.link(a, b);
        (!link.is_cut).then(|| self.delay(link))
    }

    fn delay(&mut self, link: Link) -> Duration {
        let spread = link.delay_max.saturating_sub(link.delay_min).as_micros() as u64;
        link.delay_min + Duration::from_micros(self.entropy.below(spread + 1))
    }

    fn chance(&mut self, permille: u16) -> bool {
        permille > 0 && self.entropy.below(1000) < u64::from(permille)
    }
}

fn key(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_link_carries_nothing_until_it_heals() {
        let mut network = Network::new(Link::GOOD, Entropy::seeded(1));
        network.cut("b", "a");
        assert!(network.datagram("a", "b").is_empty());
        assert_eq!(network.segment("a", "b"), None);
        network.heal("a", "b");
        assert_eq!(network.datagram("a", "b"), [Link::GOOD.delay_min]);
    }

    #[test]
    fn a_bad_link_loses_and_doubles_about_as_often_as_it_says() {
        let mut network = Network::new(Link::BAD, Entropy::seeded(2));
        let copies: Vec<usize> = (0..10_000).map(|_| network.datagram("a", "b").len()).collect();
        let (lost, doubled) =
            (copies.iter().filter(|n| **n == 0).count(), copies.iter().filter(|n| **n == 2).count());
        assert!(
            (200..400).contains(&lost) && (100..300).contains(&doubled),
            "{lost} lost, {doubled} doubled"
        );
    }
}
