//! `[bgcf]`: where calls break out to other networks (TS 24.229 §5.6, TS 23.228 §4.6.3).

use super::reader::{Fallback, Reader};
use super::value::{Fault, Value};
use toml::de::DeValue;

/// The section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgcfSection {
    /// The rules, in order of preference among those that fit equally well.
    pub rules: Vec<BreakoutRule>,
}

/// Which requests go out, and by which next hop. What a rule does not name fits anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakoutRule {
    /// The SIP URIs of the next hop, an MGCF, a border, another network's BGCF, and of those that are tried when it does not
    /// answer, in order; at least one.
    pub next_hops: Vec<String>,
    /// The domain of the Request-URI; with a dot in front, all below it.
    pub domain: Option<String>,
    /// What the number begins with: `+49`, or the digits of a short code.
    pub prefix: Option<String>,
    /// The trunk group that the Request-URI names (RFC 4904).
    pub trunk: Option<String>,
    /// Whether the next hop belongs to the trust domain, and is told what is told inside.
    pub is_trusted: bool,
}

impl BgcfSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> BgcfSection {
        let mut section = reader.section("bgcf");
        let read = BgcfSection { rules: section.get("rule", Fallback::Default(Vec::new())) };
        section.end();
        read
    }
}

impl Value for BreakoutRule {
    fn read(value: &DeValue<'_>) -> Result<BreakoutRule, Fault> {
        let remedy = "write [[bgcf.rule]], next_hop = \"sip:mgcf.example:5060\", and what goes there: prefix = \"+49\", \
                      domain = \"pbx.example\" or trunk = \"group-1\"";
        let DeValue::Table(table) = value else { return Err(Fault::new("is not a rule", remedy)) };
        let known = ["next_hop", "domain", "prefix", "trunk", "trusted"];
        if let Some(key) = table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            let fault = Fault::new(format!("a rule has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let text = |name: &str| table.get(name).map(|value| String::read(value.get_ref())).transpose();
        let next_hops = match table.get("next_hop").map(|value| value.get_ref()) {
            None => Vec::new(),
            Some(list @ DeValue::Array(_)) => Vec::<String>::read(list)?,
            Some(one) => vec![String::read(one)?],
        };
        if next_hops.is_empty() {
            return Err(Fault::new("a rule needs its next_hop", remedy));
        }
        if next_hops.len() > NEXT_HOPS_MAX {
            let fault =
                format!("has more than {NEXT_HOPS_MAX} next hops, of which nobody waits for the last");
            return Err(Fault::new(fault, remedy));
        }
        let is_trusted = table.get("trusted").map(|value| bool::read(value.get_ref())).transpose()?;
        let rule = BreakoutRule {
            next_hops,
            domain: text("domain")?.map(|domain| domain.to_ascii_lowercase()),
            prefix: text("prefix")?,
            trunk: text("trunk")?,
            is_trusted: is_trusted.unwrap_or(false),
        };
        let digits = rule.prefix.as_deref().map(|prefix| prefix.strip_prefix('+').unwrap_or(prefix));
        if digits.is_some_and(|digits| !digits.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Fault::new("has a prefix that is no row of digits", remedy));
        }
        if rule.domain.is_some() && rule.prefix.is_some() {
            return Err(Fault::new("is for a domain and for numbers, which are of no domain", remedy));
        }
        if (&rule.domain, &rule.prefix, &rule.trunk) == (&None, &None, &None) {
            return Err(Fault::new("does not say what goes there", remedy));
        }
        Ok(rule)
    }

    fn show(&self) -> String {
        let next_hop = match &self.next_hops[..] {
            [only] => only.show(),
            several => several.to_vec().show(),
        };
        let mut shown = format!("{{ next_hop = {next_hop}");
        for (name, value) in [("domain", &self.domain), ("prefix", &self.prefix), ("trunk", &self.trunk)] {
            if let Some(value) = value {
                shown.push_str(&format!(", {name} = {}", value.show()));
            }
        }
        if self.is_trusted {
            shown.push_str(", trusted = true");
        }
        shown + " }"
    }
}

/// Next hops of one rule at most.
const NEXT_HOPS_MAX: usize = 4;
