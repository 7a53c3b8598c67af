//! Where each identity belongs: from a private or public identity to its subscription.

use crate::identity::{Wildcard, canonical};
use crate::subscriber::{Subscriber, is_distinct};
use diameter_client::cx::CxResult;
use std::collections::BTreeMap;

/// The subscriptions of an HSS, by name, and their identities.
#[derive(Debug, Default)]
pub struct Directory {
    subscribers: BTreeMap<String, Subscriber>,
    impis: BTreeMap<String, String>,
    /// By canonical form: the subscription, and the position of the implicit set.
    impus: BTreeMap<String, (String, usize)>,
    wildcards: Vec<(Wildcard, String, usize)>,
}

/// Where a public identity was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The subscription.
    pub name: String,
    /// The position of the implicit set.
    pub set: usize,
    /// The expression, when the identity was found only by a wildcard. A distinct identity goes first.
    pub wildcard: Option<String>,
}

/// Why a subscription cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The name is taken.
    Name(String),
    /// A private identity belongs to another subscription.
    Impi(String),
    /// A public identity belongs to another subscription, or stands twice in this one.
    Impu(String),
    /// The subscription is unusable for the reason given.
    Unusable(String),
}

impl Conflict {
    /// The kind of conflict, without an identity: for a log.
    pub fn reason(&self) -> &'static str {
        match self {
            Conflict::Name(_) => "name in use",
            Conflict::Impi(_) => "private identity in use",
            Conflict::Impu(_) => "public identity in use",
            Conflict::Unusable(_) => "unusable",
        }
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Conflict::Name(name) => write!(f, "a subscription named {name} exists"),
            Conflict::Impi(impi) => write!(f, "the private identity {impi} is in use"),
            Conflict::Impu(impu) => write!(f, "the public identity {impu} is in use"),
            Conflict::Unusable(why) => write!(f, "the subscription {why}"),
        }
    }
}

impl std::error::Error for Conflict {}

impl Directory {
    /// Adds a subscription, or refuses all of it.
    pub fn add(&mut self, subscriber: Subscriber) -> Result<(), Conflict> {
        subscriber.check().map_err(Conflict::Unusable)?;
        let name = subscriber.name.clone();
        if self.subscribers.contains_key(&name) {
            return Err(Conflict::Name(name));
        }
        let mut impis = BTreeMap::new();
        for identity in &subscriber.private_identities {
            let impi = &identity.impi;
            if self.impis.contains_key(impi) || impis.insert(impi.clone(), name.clone()).is_some() {
                return Err(Conflict::Impi(impi.clone()));
            }
        }
        let mut impus = BTreeMap::new();
        for (position, set) in subscriber.implicit_sets.iter().enumerate() {
            for identity in set.identities() {
                let impu = canonical(&identity.identity);
                if impu.chars().any(char::is_control) {
                    return Err(Conflict::Unusable(
                        "has a control character in a public identity".to_owned(),
                    ));
                }
                if self.impus.contains_key(&impu)
                    || impus.insert(impu.clone(), (name.clone(), position)).is_some()
                {
                    return Err(Conflict::Impu(impu));
                }
            }
        }
        for (position, set) in subscriber.implicit_sets.iter().enumerate() {
            self.wildcards.extend(set.wildcards().map(|wildcard| (wildcard, name.clone(), position)));
        }
        self.impis.extend(impis);
        self.impus.extend(impus);
        self.subscribers.insert(name, subscriber);
        Ok(())
    }

    /// Takes a subscription out.
    pub fn remove(&mut self, name: &str) -> Option<Subscriber> {
        let subscriber = self.subscribers.remove(name)?;
        self.impis.retain(|_, owner| owner != name);
        self.impus.retain(|_, (owner, _)| owner != name);
        self.wildcards.retain(|(_, owner, _)| owner != name);
        Some(subscriber)
    }

    /// The subscription of this name.
    pub fn get(&self, name: &str) -> Option<&Subscriber> {
        self.subscribers.get(name)
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// All subscriptions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Subscriber> {
        self.subscribers.values()
    }

    /// The subscription of a private identity.
    pub fn owner(&self, impi: &str) -> Option<&str> {
        self.impis.get(impi).map(String::as_str)
    }

    /// The subscription named by its name or by any of its identities: what a person types.
    pub fn find(&self, text: &str) -> Option<&Subscriber> {
        let name = self.subscribers.get_key_value(text).map(|(name, _)| name.as_str());
        let name = name.or_else(|| self.owner(text)).map(str::to_owned);
        self.subscribers.get(&name.or_else(|| self.locate(text).map(|located| located.name))?)
    }

    /// Where a public identity is, by itself or by a wildcard.
    pub fn locate(&self, impu: &str) -> Option<Located> {
        let impu = canonical(impu);
        if let Some((name, set)) = self.impus.get(&impu) {
            return Some(Located { name: name.clone(), set: *set, wildcard: None });
        }
        let (wildcard, name, set) = self.wildcards.iter().find(|(wildcard, ..)| wildcard.matches(&impu))?;
        Some(Located { name: name.clone(), set: *set, wildcard: Some(wildcard.expression.clone()) })
    }

    /// The checks that UAR and MAR begin with (TS 29.228 §6.1.1.1, §6.3.1): both identities exist, the public one is
    /// distinct, and they belong together.
    pub fn associated(&self, impi: &str, impu: &str) -> Result<Located, CxResult> {
        let owner = self.owner(impi).ok_or(CxResult::USER_UNKNOWN)?;
        let located = self.locate(impu).ok_or(CxResult::USER_UNKNOWN)?;
        if !self.is_distinct(&located, impu) {
            return Err(CxResult::USER_UNKNOWN);
        }
        if owner != located.name || !self.may_use(impi, &located) {
            return Err(CxResult::IDENTITIES_DONT_MATCH);
        }
        Ok(located)
    }

    /// Whether a private identity may use the set of a located public identity.
    pub fn may_use(&self, impi: &str, located: &Located) -> bool {
        self.subscribers.get(&located.name).is_some_and(|subscriber| {
            let set = subscriber.implicit_sets.get(located.set);
            set.is_some_and(|set| subscriber.impis_of(set).any(|allowed| allowed == impi))
        })
    }

    /// Whether a located identity is one user's or service's own, and no pattern.
    pub fn is_distinct(&self, located: &Located, impu: &str) -> bool {
        let set = self.subscribers.get(&located.name).and_then(|s| s.implicit_sets.get(located.set));
        let identity = set.and_then(|set| set.identity(&canonical(impu)));
        located.wildcard.is_none() && identity.is_some_and(is_distinct)
    }
}
