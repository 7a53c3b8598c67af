//! What a configuration that was edited changes.

use super::{Config, Effective};
use std::collections::BTreeMap;

impl Config {
    /// The keys whose effective value differs in `edited`, as `section.key`, in the order of their names.
    ///
    /// Values are left out: some of them are secrets.
    pub fn changed_keys(&self, edited: &Config) -> Vec<String> {
        let (before, after) = (by_key(self.effective()), by_key(edited.effective()));
        let mut keys: Vec<_> = before
            .iter()
            .filter(|(key, value)| after.get(*key) != Some(value))
            .map(|(key, _)| key.clone())
            .chain(after.keys().filter(|key| !before.contains_key(*key)).cloned())
            .collect();
        keys.sort();
        keys
    }
}

fn by_key(effective: &[Effective]) -> BTreeMap<String, &str> {
    effective
        .iter()
        .map(|Effective { section, key, value, .. }| (format!("{section}.{key}"), value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n{more}");
        Config::parse(&text, "lab.toml").unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    #[test]
    fn only_values_that_differ_count_and_not_where_they_are_written() {
        let before = config("[log]\nlevel = \"info\"\n[control]\npath = \"run\"\n");
        assert_eq!(before.changed_keys(&config("[control]\npath = \"run\"\n")), [""; 0]);
        let after = config("[log]\nlevel = \"debug\"\n[hss]\nsubscribers = \"people.csv\"\n");
        assert_eq!(before.changed_keys(&after), ["control.path", "hss.subscribers", "log.level"]);
    }

    #[test]
    fn what_is_derived_from_a_changed_value_changes_too() {
        let keys = config("").changed_keys(&config("[home]\ndomain = \"home1.net\"\n"));
        assert!(
            keys.contains(&"home.domain".to_owned()) && keys.contains(&"scscf.host".to_owned()),
            "{keys:?}"
        );
    }
}
