//! Configurations as somebody would write them, right and wrong.

use super::*;

fn parse(text: &str) -> Config {
    Config::parse(text, "lab.toml").unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// The one mistake in `text`.
fn mistake(text: &str) -> ConfigError {
    let mut errors = Config::parse(text, "lab.toml").expect_err("a mistake");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

const PLMN: &str = "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n";

#[test]
fn a_plmn_is_all_that_a_configuration_needs() {
    let config = parse(PLMN);
    let domain = "ims.mnc001.mcc001.3gppnetwork.org";
    assert_eq!(config.home.domain(), domain);
    assert_eq!(config.scscf.uri, format!("sip:scscf.{domain}:6060"));
    assert_eq!(config.icscf.scscfs, [ScscfEntry { uri: config.scscf.uri.clone(), capabilities: vec![] }]);
    assert_eq!(config.diameter.hss[0].host, format!("hss.{domain}"));
    assert_eq!(config.diameter.hss[0].point(), config.hss.listen[0]);
    assert_eq!(config.names[domain][0].remote.to_string(), "127.0.0.11:4060");
    assert!(config.trust.contains("127.0.0.12:40000".parse().unwrap()));
    assert!(!config.trust.contains("127.0.0.1:5060".parse().unwrap()), "a UE of the lab");
}

#[test]
fn what_the_file_says_wins_over_what_is_derived() {
    let config = parse(&format!(
        "{PLMN}[home]\ndomain = \"home1.net\"\n[scscf]\nuri = \"sip:s1.home1.net\"\nexpires_min = \"2min\"\n\
         [hss]\nsubscribers = \"people.csv\"\nstore = \"sqlite:hss.db\"\n\
         [names]\n\"home1.net\" = [\"udp:10.0.0.9:4060\"]\n"
    ));
    assert_eq!(config.pcscf.host, "pcscf.home1.net");
    assert_eq!(config.scscf.uri, "sip:s1.home1.net");
    assert_eq!(config.scscf.expires_min, Duration::from_secs(120));
    assert_eq!(config.names["home1.net"].len(), 1);
    assert_eq!(config.names["home1.net"][0].remote.to_string(), "10.0.0.9:4060");
}

#[test]
fn paths_are_taken_from_the_directory_of_the_file() {
    let text = format!("{PLMN}[hss]\nsubscribers = \"people.csv\"\nstore = \"sqlite:/var/hss.db\"\n");
    let config = Config::parse(&text, "/etc/ims/core.toml").expect("a configuration");
    assert_eq!(config.hss.subscribers.as_deref(), Some(Path::new("/etc/ims/people.csv")));
    assert_eq!(config.hss.store, StoreUrl::Sqlite("/var/hss.db".into()));
}

#[test]
fn a_mistake_names_file_line_column_key_and_remedy() {
    for (text, line, column, key, message, remedy) in [
        ("[plmn]\nmcc = \"001\"\nmnc = 01\n", 3, 7, "", "begins with a zero", "mnc = \"01\""),
        ("[plmn]\nmcc = 262\nmnc = \"01\"\n", 2, 7, "plmn.mcc", "number where text", "\"262\""),
        ("[plmn]\nmcc = \"001\"\n", 0, 0, "plmn.mnc", "missing", "mnc = \"01\""),
        ("[plmn]\nmcc = \"001\"\nmnc = \"1\"\n", 3, 7, "plmn.mnc", "digits", "two or three digits"),
        ("[pclmn]\nx = 1\n[plmn]\nmcc = \"001\"\nmnc = \"01\"\n", 1, 2, "pclmn", "unknown section", "[plmn]"),
        ("[plmn]\nmcc = \"001\"\nmnc = \"01\"\nmnx = \"1\"\n", 4, 1, "plmn.mnx", "unknown key", "mean mnc?"),
        (
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[log]\nlevel = loud\n",
            5,
            9,
            "",
            "not TOML",
            "level = \"loud\"",
        ),
    ] {
        let error = mistake(text);
        assert_eq!((error.line, error.column, error.key.as_str()), (line, column, key), "{error}");
        assert!(error.message.contains(message), "{error}");
        assert!(error.remedy.contains(remedy), "{error}");
    }
}

#[test]
fn a_value_out_of_its_bounds_or_of_another_kind_is_refused_with_its_key() {
    for (section, key, value, remedy) in [
        ("pcscf", "listen", "\"127.0.0.1\"", "192.0.2.1:5060"),
        ("pcscf", "listen", "[]", "at least one"),
        ("pcscf", "listen", "\"0.0.0.0:5060\"", "one address that Via"),
        ("pcscf", "listen", "\"127.0.0.10:0\"", "port"),
        ("pcscf", "listen", "\"127.0.0.11:4060\"", "its own address or port"),
        ("pcscf", "listen", "\"[::1]:5060\"", "IPv4 in both"),
        ("pcscf", "route_enforcement", "\"ignore\"", "reject, overwrite"),
        ("pcscf", "host", "\"p cscf\"", "letters, digits"),
        ("ipsec", "policy", "\"on\"", "off, optional, required"),
        ("ipsec", "client_ports", "[5100]", "two or more"),
        ("ipsec", "client_ports", "[5100, 5100]", "two or more"),
        ("ipsec", "client_ports", "[5100, 6100]", "not the server port"),
        ("ipsec", "client_ports", "[5100, 70000]", "two or more"),
        ("ipsec", "server_port", "0", "from 1 to 65535"),
        ("ipsec", "nat_port", "70000", "from 0 to 65535"),
        ("ipsec", "emergency", "\"off\"", "any, protected"),
        ("pcscf", "emergency", "\"anyone\"", "ecscf ="),
        ("pcscf", "emergency", "\"all\"", "registered, anyone, off"),
        ("pcscf", "emergency_numbers", "[\"+112\"]", "one to eight digits"),
        ("ecscf", "listen", "\"127.0.0.14:7060\"", "[[ecscf.psap]]"),
        ("bgcf", "rule", "[{ prefix = \"+49\" }]", "next_hop ="),
        ("bgcf", "rule", "[{ next_hop = \"sip:h\", prefix = \"+49x\" }]", "prefix ="),
        ("bgcf", "rule", "[{ next_hop = \"sip:h\" }]", "domain ="),
        ("bgcf", "rule", "[{ next_hop = [], prefix = \"+1\" }]", "next_hop ="),
        ("bgcf", "rule", "[{ next_hop = [\"sip:h\", \"mgcf\"], prefix = \"+1\" }]", "\"sip:host:port\""),
        ("bgcf", "rule", "[{ next_hop = \"mgcf\", prefix = \"+1\" }]", "\"sip:host:port\""),
        ("icscf", "foreign", "\"perhaps\"", "refuse, accept"),
        ("scscf", "media_profile", "[{ id = 1 }]", "media ="),
        ("scscf", "media_profile", "[{ id = 1, media = [\"au dio\"] }]", "media ="),
        ("scscf", "media_profile", "[{ id = 1, media = [] }, { id = 1, media = [] }]", "its own"),
        ("scscf", "enum_domain", "\"e164..arpa\"", "e164.arpa"),
        ("ecscf", "psap", "[{ url = \"sip:p\" }]", "uri ="),
        ("ecscf", "psap", "[{ uri = \"psap\" }]", "\"sip:host:port\""),
        ("ecscf", "psap", "[{ uri = \"sip:p\", service = \"urn:service:pizza\" }]", "sos.police"),
        ("ecscf", "psap", "[{ uri = \"sip:p\", cells = [\"26 201\"] }]", "cells ="),
        ("ecscf", "psap", "[{ uri = \"sip:p\", area = \"Berlin\" }]", "country ="),
        ("icscf", "scscfs", "[{ url = \"sip:s\" }]", "uri ="),
        ("icscf", "scscfs", "[\"scscf.home\"]", "\"sip:host:port\""),
        ("scscf", "expires_min", "60", "\"60s\""),
        ("scscf", "expires_min", "\"1 fortnight\"", "\"4min\""),
        ("scscf", "expires_max", "\"30d\"", "from \"1s\" to \"7d\""),
        ("scscf", "expires_default", "\"10s\"", "between"),
        ("scscf", "min_se", "\"30s\"", "from \"90s\""),
        ("scscf", "min_se", "\"2h\"", "session_expires"),
        ("scscf", "country_code", "\"+49\"", "digits only"),
        ("scscf", "require_integrity", "\"yes\"", "true or false"),
        ("hss", "store", "\"mysql://x\"", "sqlite:"),
        ("diameter", "watchdog", "\"1s\"", "\"6s\""),
        ("diameter", "hss", "[{ host = \"h\", realm = \"r\" }]", "address ="),
        ("diameter", "pending_max", "-1", "from 0"),
        ("trust", "domain", "[\"10.0.0.0/33\"]", "10.0.0.0/8"),
        ("trust", "domain", "[\"127.0.0.10\", \"127.0.0.11\"]", "leave the key out"),
        ("names", "\"x.net\"", "\"x\"", "192.0.2.1:5060"),
        ("timers", "t1", "\"5s\"", "smaller"),
    ] {
        let text = format!("{PLMN}[{section}]\n{key} = {value}\n");
        let errors = Config::parse(&text, "lab.toml").expect_err(&text);
        let named = errors.iter().find(|error| error.remedy.contains(remedy));
        let error = named.unwrap_or_else(|| panic!("{text}{errors:#?}"));
        let clashing_or_own = error.key.ends_with(key) || key == "listen";
        assert!(clashing_or_own, "{error}");
        assert!(error.line >= 4 || key == "listen", "{error}");
    }
}

#[test]
fn every_mistake_of_a_file_is_told_in_one_go() {
    let text = format!(
        "{PLMN}[log]\nlevel = \"loud\"\n[pcscf]\nlisen = \"127.0.0.1:5060\"\nregistrations_max = 0\n"
    );
    let keys: Vec<_> =
        Config::parse(&text, "lab.toml").expect_err("mistakes").into_iter().map(|error| error.key).collect();
    assert_eq!(keys, ["log.level", "pcscf.lisen", "pcscf.registrations_max"]);
}

#[test]
fn a_mistake_reads_as_one_line() {
    let error = mistake(&format!("{PLMN}[pcscf]\nlisen = \"127.0.0.1:5060\"\n"));
    assert_eq!(error.to_string(), "lab.toml:5:1: pcscf.lisen: unknown key; did you mean listen?");
}

#[test]
fn the_printed_configuration_tells_origins_and_is_a_configuration_itself() {
    let config =
        parse(&format!("{PLMN}[scscf]\nexpires_min = \"90s\"\n[trust]\ndomain = [\"127.0.0.0/8\"]\n"));
    let printed = config.print_config();
    let origin = |line: &str| {
        let found = printed.lines().find(|printed| printed.starts_with(line));
        found.unwrap_or_else(|| panic!("{line} in\n{printed}")).rsplit("# ").next().map(str::to_owned)
    };
    assert_eq!(origin("expires_min = \"90s\""), Some("lab.toml:5".to_owned()));
    assert_eq!(origin("visited_network_id = "), Some("derived".to_owned()));
    assert_eq!(origin("reauthenticate = \"unprotected\""), Some("default".to_owned()));
    let again =
        Config::parse(&printed, "printed.toml").unwrap_or_else(|errors| panic!("{errors:#?}\n{printed}"));
    assert_eq!(again.scscf, config.scscf);
    assert_eq!(again.icscf, config.icscf);
    assert_eq!(again.names, config.names);
    assert_eq!(again.trust, config.trust);
    assert_eq!(again.limits, config.limits);
}

#[test]
fn a_lab_can_be_put_on_other_addresses() {
    let at = |text: &str| text.parse().unwrap();
    let lab = LabAddresses {
        pcscf: at("127.0.0.1:20001"),
        icscf: at("127.0.0.1:20002"),
        scscf: at("127.0.0.1:20003"),
        hss: at("127.0.0.1:20004"),
    };
    let config = Config::lab_at(&Plmn::test(), &lab);
    assert!(config.scscf.uri.ends_with(":20003"), "{}", config.scscf.uri);
    assert_eq!(config.diameter.hss[0].address, lab.hss);
    assert!(config.trust.contains(lab.icscf));
    assert!(!config.trust.contains(at("127.0.0.1:5060")), "a UE may share the address with the core");
}

const LAB: &str = include_str!("../../../docs/config/lab.toml");

#[test]
fn the_lab_file_is_a_configuration_on_the_default_addresses() {
    let file = Config::parse(LAB, "docs/config/lab.toml").unwrap_or_else(|errors| panic!("{errors:#?}"));
    let built_in = Config::lab(&Plmn::test());
    assert_eq!(file.home, built_in.home);
    assert_eq!(file.pcscf, built_in.pcscf);
    assert_eq!(file.icscf, built_in.icscf);
    assert_eq!(file.hss.listen, built_in.hss.listen);
    assert_eq!(file.hss.subscribers.as_deref(), Some(Path::new("docs/config/lab-subscribers.csv")));
    assert_eq!(file.scscf.numbers.country_code.as_deref(), Some("49"));
}

#[test]
fn every_key_that_the_lab_file_shows_as_a_comment_is_what_holds_without_it() {
    let file = parse(LAB);
    // `# key = value`, and not a sentence that ends in an example.
    let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let shown: String = LAB
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let shown = parse(&shown);
    assert_eq!(shown.print_config().lines().count(), file.print_config().lines().count());
    for (shown, file) in sorted(&shown).zip(sorted(&file)) {
        assert_eq!((&shown.section, &shown.key, &shown.value), (&file.section, &file.key, &file.value));
        assert!(matches!(shown.origin, Origin::File { .. }), "the lab file does not show {}", shown.key);
    }
}

fn sorted(config: &Config) -> impl Iterator<Item = Effective> + use<> {
    let mut effective = config.effective().to_vec();
    effective.sort_by(|a, b| (&a.section, &a.key).cmp(&(&b.section, &b.key)));
    effective.into_iter()
}

#[test]
fn a_known_path_mtu_says_how_long_a_datagram_may_be() {
    assert_eq!(parse(PLMN).network.udp_request_max(), 1300, "RFC 3261 §18.1.1: not known");
    let known = parse(&format!("{PLMN}[network]\npath_mtu = 9000\n"));
    assert_eq!(known.network.udp_request_max(), 8800);
    let shown = known.print_config();
    assert!(shown.contains("[network]\npath_mtu = 9000"), "{shown}");
    let wrong = mistake(&format!("{PLMN}[network]\npath_mtu = 100\n"));
    assert_eq!((wrong.key.as_str(), wrong.line), ("network.path_mtu", 5));
    assert!(wrong.remedy.contains("576"), "{}", wrong.remedy);
}

#[test]
fn each_function_has_its_own_number_of_shards_and_one_without_a_word() {
    let config = parse(&format!("{PLMN}[scscf]\nshards = 4\n"));
    assert_eq!((config.pcscf.shards, config.icscf.shards, config.scscf.shards), (1, 1, 4));
    for wrong in ["0", "33"] {
        let wrong = mistake(&format!("{PLMN}[pcscf]\nshards = {wrong}\n"));
        assert_eq!(wrong.key, "pcscf.shards");
    }
}
