//! Kamailio's `ims_isc` beside our S-CSCF: the same profiles, the same requests, and the application servers that they visit.

use crate::profiles::{self, Difference, PROFILES, Request};
use crate::recorder::{Outcome, Recorder};
use crate::{core_of, kamailio};
use carillon_tests::binaries::top;
use carillon_tests::lab::{Lab, Part};
use carillon_tests::phone::Phone;
use cscf::user_data::InitialFilterCriteria;
use hss_mock::store::keeper::Keeper;
use std::net::SocketAddr;
use ue::Answering;

/// Whose S-CSCF it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    Kamailios,
}

/// A core whose users have these profiles, in their order, all of them registered.
struct Core {
    phones: Vec<Phone>,
    recorder: Recorder,
    /// Its processes run as long as it does.
    _lab: Lab,
}

impl Core {
    fn start(whose: Whose, profiles: impl Fn(SocketAddr) -> Vec<Vec<InitialFilterCriteria>>) -> Core {
        let mut lab = Lab::by_addresses();
        let own = lab.loopback().at(60, 5060);
        lab.trust(own.ip());
        // What visits many servers becomes longer than what RFC 3261 §18.1.1 lets leave by UDP without knowing the way.
        lab.add_settings("[network]\npath_mtu = 60000\n");
        let database = lab.folder().join("hss.sqlite");
        let url = format!("sqlite:{}", database.display());
        lab.set("[hss]\n", &format!("[hss]\nstore = \"{url}\"\n"));
        let profiles = profiles(own);
        let subscribers =
            lab.subscribers().into_iter().skip(2).zip(&profiles).map(|(mut subscriber, profile)| {
                for set in &mut subscriber.implicit_sets {
                    set.service_profiles.iter_mut().for_each(|one| one.filter_criteria.clone_from(profile));
                }
                subscriber
            });
        let subscribers: Vec<_> = subscribers.collect();
        let names: Vec<String> = subscribers.iter().map(|subscriber| subscriber.name.clone()).collect();
        Keeper::open(&url, subscribers).expect("a new database").keeper.close();
        match whose {
            Whose::Ours => lab.start_all(),
            Whose::Kamailios => core_of(&mut lab, Part::Scscf),
        }
        let config = lab.config();
        let phone = |name: &String| {
            Phone::start_with(name, &config, lab.loopback(), |policy| {
                policy.answering = Answering::Refuse(sip_core::Status::BUSY_HERE);
            })
        };
        let mut phones: Vec<Phone> = names.iter().map(phone).collect();
        for some in phones.chunks_mut(AT_ONCE) {
            std::thread::scope(|scope| {
                for phone in some {
                    scope.spawn(|| phone.register());
                }
            });
        }
        Core { phones, recorder: Recorder::bind(own, lab.address(Part::Scscf)), _lab: lab }
    }

    /// The request, once of the user and once to the user.
    fn both_ways(&mut self, number: usize, request: &Request, end: &str, scscf: &str) -> [Outcome; 2] {
        let phone = &mut self.phones[number];
        let (user, service_route) = (phone.sip().to_owned(), service_route(&phone.story()));
        [
            self.recorder.send(request, &service_route, &user, end),
            self.recorder.send(request, scscf, "sip:somebody@elsewhere.example", &user),
        ]
    }

    fn outcomes(&mut self, requests: &[Request]) -> Vec<[Outcome; 2]> {
        let end = format!("sip:end@{}", self._lab.loopback().at(60, 5060));
        let scscf = format!("<sip:{};lr>", self._lab.address(Part::Scscf));
        let each = requests.iter().enumerate();
        each.map(|(number, request)| self.both_ways(number, request, &end, &scscf)).collect()
    }
}

fn service_route(story: &str) -> String {
    let line = story.lines().rfind(|line| line.starts_with("Service-Route: ")).expect("a Service-Route");
    line["Service-Route: ".len()..].trim().to_owned()
}

/// The application servers, without where they are.
fn visited(outcomes: &[Outcome; 2]) -> [&[String]; 2] {
    [&outcomes[0].visited, &outcomes[1].visited]
}

#[test]
fn kamailio_and_we_visit_the_same_servers_for_fifty_profiles() {
    if !kamailio::is_installed() {
        return;
    }
    let differences = profiles::differences();
    let of_all = |server| -> Vec<Vec<InitialFilterCriteria>> {
        let compared = (0..PROFILES).map(|number| profiles::profile(number, server));
        compared.chain(differences.iter().map(|difference| difference.profile(server))).collect()
    };
    let compared = (0..PROFILES).map(profiles::request);
    let requests: Vec<_> =
        compared.chain(differences.iter().map(|difference| difference.request.clone())).collect();
    let ours = Core::start(Whose::Ours, of_all).outcomes(&requests);
    let theirs = Core::start(Whose::Kamailios, of_all).outcomes(&requests);

    for number in 0..PROFILES {
        let (ours, theirs) = (visited(&ours[number]), visited(&theirs[number]));
        let told = || format!("profile {number}: {:#?}\n{:#?}", requests[number], of_all(ANYWHERE)[number]);
        assert_eq!(ours, theirs, "ours, and Kamailio's: {}", told());
    }
    // A comparison of nothing with nothing would be none.
    let visits =
        |way: usize| -> Vec<usize> { (0..PROFILES).map(|number| ours[number][way].visited.len()).collect() };
    for way in [visits(0), visits(1)] {
        let (some, several) =
            (way.iter().filter(|n| **n > 0).count(), way.iter().filter(|n| **n > 1).count());
        assert!(some > 25 && several > 10 && way.contains(&0), "of {PROFILES} profiles: {way:?}");
    }
    let page = std::fs::read_to_string(top().join("docs/application-servers.md")).expect("the page");
    for (place, Difference { feature, clause, holds, .. }) in differences.iter().enumerate() {
        assert!(
            page.contains(&format!("| {feature} | {clause} |\n")),
            "the page does not tell of it: {feature}"
        );
        let is_visited = |outcomes: &[Outcome; 2]| !outcomes[0].visited.is_empty();
        assert_eq!(is_visited(&ours[PROFILES + place]), *holds, "{clause}: {feature}");
        assert_ne!(is_visited(&theirs[PROFILES + place]), *holds, "no difference any more: {feature}");
    }
}

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5060);
/// How many phones register at once.
const AT_ONCE: usize = 6;
