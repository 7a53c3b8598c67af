use super::host::BUILT_S;
use super::*;
use crate::doctor::facts::{Bound, Clock, Directory, PeerAnswer, PeerSaid, Point, Pool, Route};
use cscf::identity::Plmn;
use cscf::resolve::{Naptr, Question, Records, Srv};
use std::collections::BTreeSet;

const LAB: &str =
    "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[dns]\nservers = [\"192.0.2.53:53\"]\n[store]\nkind = \"file\"\n";

fn config(more: &str) -> Config {
    Config::parse(&format!("{LAB}{more}"), "lab.toml").unwrap_or_else(|errors| panic!("{}", errors[0]))
}

/// A host where all is well.
fn healthy(config: &Config) -> Facts {
    let home = &config.home;
    let point = |process, port: u16| Point {
        process,
        what: "SIP on udp".to_owned(),
        address: ([127, 0, 0, 10], port).into(),
        bound: Bound::Free,
    };
    let directory =
        |path: &str| Directory { path: path.into(), free_octets: Some(1 << 30), ..Directory::default() };
    let pool: Pool = "10.45.0.0/16".parse().expect("a network");
    let own = "10.45.0.1".parse().expect("an address");
    let roster = crate::roster::Roster::built_in(home);
    let srv = Srv { priority: 0, weight: 0, port: 4060, target: config.icscf.host.clone() };
    let naptr = Naptr {
        order: 20,
        preference: 50,
        flags: "s".to_owned(),
        services: "SIP+D2U".to_owned(),
        regexp: String::new(),
        replacement: format!("_sip._udp.{}", home.domain()),
    };
    let address = |host: &str| (Question::Address(host.to_owned()), Records::Addresses(vec![own]));
    Facts {
        running: BTreeSet::new(),
        points: vec![point("pcscf", 5060), point("scscf", 6060)],
        xfrm: Ok(()),
        esp: Some(true),
        sctp: Ok(()),
        capabilities: u64::MAX,
        open_files_max: Some(1 << 20),
        processors: 2,
        memory_octets: Some(1 << 32),
        mtus: vec![([127, 0, 0, 10].into(), 65_536), ([192, 0, 2, 1].into(), 1500)],
        clock: Clock { now_s: BUILT_S + 1, is_synchronised: Some(true) },
        route: Some(Route { pool, own: Ok(own), is_default: Some(false) }),
        names: vec![
            (Question::Naptr(home.domain().to_owned()), Records::Naptr(vec![naptr])),
            (Question::Srv(format!("_sip._udp.{}", home.domain())), Records::Srv(vec![srv])),
            address(&config.pcscf.host),
            address(&config.icscf.host),
        ],
        peers: vec![peer(config, PeerSaid::Up)],
        subscribers: Ok(roster.subscribers().to_vec()),
        store: Some(directory("store")),
        control: directory("control"),
        tls: Ok(true),
    }
}

fn peer(config: &Config, said: PeerSaid) -> PeerAnswer {
    let hss = &config.diameter.hss[0];
    PeerAnswer { host: hss.host.clone(), address: hss.address, said }
}

/// The checks that are red or yellow.
fn unwell(config: &Config, facts: &Facts) -> Vec<(&'static str, bool)> {
    let findings = all(config, facts);
    let unwell = findings.iter().filter_map(|Finding { check, verdict }| match verdict {
        Verdict::Good(_) | Verdict::Skipped(_) => None,
        Verdict::Warn { fix, .. } | Verdict::Bad { fix, .. } => {
            assert!(!fix.is_empty(), "{check} says what to do");
            Some((*check, verdict.is_bad()))
        }
    });
    unwell.collect()
}

#[test]
fn where_all_is_well_nothing_is_said() {
    let config = config("[ipsec]\npolicy = \"optional\"\nback_end = \"xfrm\"\n");
    assert_eq!(unwell(&config, &healthy(&config)), []);
    assert!(all(&config, &healthy(&config)).len() >= 20);
}

/// Each row breaks one thing, and one check says so: red, or yellow where it works all the same.
#[test]
fn each_fault_turns_its_own_check() {
    type Break = fn(&Config, &mut Facts);
    let rows: &[(&str, bool, &str, Break)] = &[
        ("plmn", true, "[hss]\nrealm = \"ims.mnc002.mcc001.3gppnetwork.org\"\n", |_, _| {}),
        ("scscf.pool", true, "[icscf]\nscscfs = [\"sip:other.example:6060\"]\n", |_, _| {}),
        ("subscribers", true, "", |_, facts| facts.subscribers = Err("no such file".to_owned())),
        ("subscribers", true, "", |_, facts| {
            let Ok(known) = &mut facts.subscribers else { return };
            known[1].imsi = Some("001020000000002".to_owned());
        }),
        ("subscribers", false, "", |_, facts| facts.subscribers = Ok(Vec::new())),
        ("trust", true, "[trust]\ndomain = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n", |_, _| {}),
        ("kernel.esp", true, "", |_, facts| facts.xfrm = Err("Protocol not supported".to_owned())),
        ("kernel.esp", true, "", |_, facts| facts.esp = Some(false)),
        (
            "kernel.sctp",
            true,
            "[diameter]\nhss = [{ host = \"hss.example\", realm = \"example\", address = \"sctp:127.0.0.13:3868\" }]\n",
            |config, facts| {
                facts.sctp = Err("the kernel has no SCTP".to_owned());
                facts.peers = vec![peer(config, PeerSaid::NotAsked("only TCP is tried"))];
            },
        ),
        ("capabilities", true, "", |_, facts| facts.capabilities = 0),
        ("capabilities", true, "", |_, facts| {
            facts.capabilities = 1 << 12;
            facts.points[0].bound = Bound::NotAllowed;
        }),
        ("addresses", true, "", |_, facts| facts.points[0].bound = Bound::NotLocal),
        ("ports", true, "", |_, facts| facts.points[1].bound = Bound::Taken),
        ("ports", true, "", |_, facts| facts.points[1].bound = Bound::Failed("why".to_owned())),
        ("ue.route", true, "", |_, facts| {
            let Some(route) = &mut facts.route else { return };
            route.own = Err("Network is unreachable".to_owned());
        }),
        ("ue.route", false, "", |_, facts| {
            let Some(route) = &mut facts.route else { return };
            route.is_default = Some(true);
        }),
        ("mtu", true, "[network]\npath_mtu = 9000\n", |_, _| {}),
        ("mtu", false, "", |_, facts| facts.mtus[1].1 = 1280),
        ("clock", true, "", |_, facts| facts.clock.now_s = 12),
        ("clock", false, "", |_, facts| facts.clock.is_synchronised = Some(false)),
        ("tls", true, "", |_, facts| facts.tls = Err("tls.key: no such file".to_owned())),
        ("dns.naptr", true, "", |_, facts| facts.names[0].1 = Records::Naptr(Vec::new())),
        ("dns.srv", true, "", |_, facts| facts.names[1].1 = Records::Unreachable),
        ("dns.pcscf", true, "", |_, facts| facts.names[2].1 = Records::Addresses(Vec::new())),
        ("dns.icscf", true, "", |_, facts| facts.names[3].1 = Records::Addresses(Vec::new())),
        ("diameter", true, "", |config, facts| {
            facts.peers = vec![peer(config, PeerSaid::Refused("UNKNOWN_PEER".to_owned()))];
        }),
        ("diameter", true, "", |config, facts| {
            facts.peers = vec![peer(config, PeerSaid::Silent("refused".to_owned()))];
            facts.running.insert("icscf");
        }),
        ("files", false, "", |_, facts| facts.open_files_max = Some(1024)),
        ("processors", false, "[pcscf]\nshards = 8\n", |_, _| {}),
        ("memory", false, "", |_, facts| facts.memory_octets = Some(1 << 20)),
        ("journal", false, "", |_, facts| facts.store = None),
        ("journal", true, "", |_, facts| {
            let Some(store) = &mut facts.store else { return };
            store.fault = Some("Read-only file system".to_owned());
        }),
        ("journal.space", true, "", |_, facts| {
            let Some(store) = &mut facts.store else { return };
            store.free_octets = Some(1 << 20);
        }),
        ("control", true, "", |_, facts| facts.control.is_open_to_others = true),
        ("control", true, "", |_, facts| facts.control.fault = Some("Permission denied".to_owned())),
    ];
    for (check, is_bad, more, broken) in rows {
        // A store in memory is what the file says.
        let base = if *check == "journal" && !is_bad {
            LAB.replace("\"file\"", "\"memory\"")
        } else {
            LAB.to_owned()
        };
        let text = format!("{base}[ipsec]\npolicy = \"optional\"\nback_end = \"xfrm\"\n{more}");
        let config =
            Config::parse(&text, "lab.toml").unwrap_or_else(|errors| panic!("{check}: {}", errors[0]));
        let mut facts = healthy(&config);
        broken(&config, &mut facts);
        assert_eq!(unwell(&config, &facts), [(*check, *is_bad)], "{check} {more}");
    }
}

#[test]
fn what_our_own_running_processes_have_is_no_fault() {
    let config = config("");
    let mut facts = healthy(&config);
    facts.running.extend(["pcscf", "scscf"]);
    facts.points.iter_mut().for_each(|point| point.bound = Bound::Taken);
    facts.peers = vec![peer(&config, PeerSaid::Refused("UNKNOWN_PEER".to_owned()))];
    assert_eq!(unwell(&config, &facts), []);
}

#[test]
fn an_hss_of_our_own_is_excused_until_the_core_runs_and_names_are_while_nobody_is_asked() {
    let lab = Config::lab(&Plmn::test());
    let mut facts = healthy(&lab);
    facts.peers = vec![peer(&lab, PeerSaid::Silent("Connection refused".to_owned()))];
    facts.names[0].1 = Records::Naptr(Vec::new());
    facts.names[2].1 = Records::Unreachable;
    facts.store = None;
    assert_eq!(unwell(&lab, &facts), [("dns.naptr", false), ("dns.pcscf", false), ("journal", false)]);
}
