//! What a core tells Prometheus: the text, the rules, the dashboards, and that no user makes more of it.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process has said")]

use carillon_tests::binaries::{binary, top};
use carillon_tests::lab::{DOMAIN, Lab, Part, START_MAX};
use carillon_tests::process::Process;
use carillon_tests::{find, needs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `promtool check rules` and `promtool test rules`: the indicators by hand, each alert with its fault and without.
#[test]
fn the_rules_hold_and_each_alert_has_its_fault() {
    if !needs("promtool") {
        return;
    }
    promtool(&["check", "rules", "rules.yaml", "alerts.yaml"], "");
    promtool(&["test", "rules", "tests.yaml"], "");
    promtool(&["check", "config", "--syntax-only", "prometheus.yaml"], "");
}

/// A core under a scripted load, and Debian's Prometheus beside it: the text is clean, and every expression of every rule and
/// dashboard returns data.
#[test]
fn every_expression_returns_data_after_a_load() {
    if !needs("promtool") || !needs("prometheus") {
        return;
    }
    let core = Core::start(20);
    // Rates need two looks, and what is counted must move between them.
    let mut prometheus = Prometheus::start(&core);
    core.load("--mix", "register=10,call=10,message=5", "8s");
    core.call_that_fails();

    promtool(&["check", "metrics"], &core.metrics());
    let expressions = expressions();
    assert!(expressions.len() > 50, "{}", expressions.len());
    let mut silent = Vec::new();
    for (place, expression) in &expressions {
        if !prometheus.returns_data(expression) {
            silent.push(format!("{place}: {expression}"));
        }
    }
    assert!(silent.is_empty(), "without data:\n{}\n{}", silent.join("\n"), core.metrics());

    // RFC 6076 §4.6, by the counts themselves and by the rule: a load in which nobody refuses.
    let counts = core.series();
    let calls = |wanted: &str| -> f64 {
        let of = counts
            .iter()
            .filter(|(name, _)| name.starts_with("ims_calls_total{role=\"pcscf\"") && name.contains(wanted));
        of.map(|(_, value)| value).sum()
    };
    let by_hand = calls("code_class=\"2xx\"") / calls("code");
    assert!(by_hand > 0.0 && by_hand < 1.0, "{by_hand}");
    let ratio = "sum(ims_calls_total{role=\"pcscf\", code_class=\"2xx\"}) / sum(ims_calls_total{role=\"pcscf\", code_class!=\"3xx\"})";
    assert_eq!(prometheus.value(ratio), Some(by_hand));
}

/// No label takes its values from users: a hundred times as many make the same series.
#[test]
fn as_many_series_for_ten_users_as_for_a_thousand() {
    let series = |users: usize| {
        let core = Core::start(users);
        // All of them register before the first one writes.
        core.load("message", "--rate", "10");
        let registered = core.series().get("ims_registrations{role=\"pcscf\",state=\"registered\"}").copied();
        assert_eq!(registered, Some(users as f64));
        // How the time was distributed, and what happens once in a while, are no matter of labels.
        let is_of_traffic = |name: &str| name.starts_with("ims_") && !name.starts_with("ims_events_total");
        core.series().into_keys().filter(|name| is_of_traffic(name)).collect::<BTreeSet<_>>()
    };
    let (few, many) = (series(10), series(1000));
    let difference: Vec<_> = few.symmetric_difference(&many).collect();
    assert!(difference.is_empty(), "{difference:#?}");
    assert!(few.len() > 100, "{}", few.len());
}

/// The four processes, each by its own key: ready with an HSS, not ready without, and alive all the same.
#[test]
fn each_process_tells_its_own_and_is_ready_with_an_hss_only() {
    let mut lab = Lab::ready_made();
    let at = |port| lab.loopback().at(40, port);
    let addresses: BTreeMap<&str, SocketAddr> =
        [("pcscf", 1), ("icscf", 2), ("scscf", 3), ("hss", 5)].map(|(key, n)| (key, at(9400 + n))).into();
    let keys: String = addresses.iter().map(|(key, address)| format!("{key} = \"{address}\"\n")).collect();
    lab.set("[metrics]\n", &format!("[metrics]\n{keys}"));
    for part in [Part::Pcscf, Part::Icscf, Part::Scscf] {
        lab.start(part);
    }
    let ask = |key: &str, path: &str| get(addresses[key], path);
    for key in ["pcscf", "icscf", "scscf"] {
        assert_eq!(ask(key, "/livez").0, 200, "{key}");
    }
    assert_eq!(ask("pcscf", "/readyz"), (200, "ok\n".to_owned()));
    let (status, missing) = ask("scscf", "/readyz");
    assert_eq!(status, 503);
    assert!(missing.starts_with("scscf: no HSS is connected; tried: hss."), "{missing}");
    lab.start(Part::Hss);
    let until = Instant::now() + START_MAX;
    while ask("icscf", "/readyz").0 != 200 || ask("scscf", "/readyz").0 != 200 {
        assert!(Instant::now() < until, "{:?}", ask("scscf", "/readyz"));
        std::thread::sleep(POLL);
    }
    assert_eq!(ask("hss", "/readyz").0, 200);
    let mut alice = lab.phone("alice");
    alice.register();
    for (key, line) in [
        ("pcscf", "ims_registrations{role=\"pcscf\",state=\"registered\"} 1"),
        (
            "icscf",
            "ims_diameter_requests_total{role=\"icscf\",app=\"cx\",command=\"UAR\",direction=\"out\",result=\"3gpp:2001\"}",
        ),
        ("scscf", "ims_registration_attempts_total{role=\"scscf\",outcome=\"ok\"} 1"),
        (
            "hss",
            "ims_diameter_requests_total{role=\"hss\",app=\"cx\",command=\"MAR\",direction=\"in\",result=\"2001\"} 1",
        ),
    ] {
        let text = ask(key, "/metrics").1;
        assert!(text.contains(line), "{line}: {text}");
        assert!(!text.contains("alice") && !text.contains("00101000"), "a name of a user: {text}");
    }
}

/// A line for each transaction, as an object, when somebody asks for it while the processes run; users are not named in it.
#[test]
fn transactions_are_told_when_asked_for_and_name_nobody() {
    let mut lab = Lab::ready_made();
    lab.set("# format = \"text\"", "format = \"json\"");
    Part::ALL.into_iter().for_each(|part| lab.start(part));
    for name in ["icscf", "scscf"] {
        lab.process(Part::Hss).wait_for_output(&format!("\"peer\":\"{name}.{DOMAIN}\""), START_MAX);
    }
    let mut alice = lab.phone("alice");
    alice.register();
    let told = |lab: &mut Lab| {
        let output = lab.process(Part::Scscf).output();
        output
            .lines()
            .filter(|line| line.contains("\"target\":\"transaction\""))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut lab), Vec::<String>::new(), "off by default");
    let said = lab.ims(&["log", "info,transaction=debug"]).expect("all processes run");
    assert!(said.contains("scscf: logs by info,transaction=debug"), "{said}");
    alice.register();
    let lines = told(&mut lab);
    let is_of = |line: &&String, code: &str| line.contains("\"method\":\"REGISTER\"") && line.contains(code);
    assert!(lines.iter().any(|line| is_of(&line, "\"code\":200")), "{lines:#?}");
    for line in &lines {
        assert!(
            line.starts_with('{') && line.contains("\"took_ms\":") && line.contains("\"call_id\":"),
            "{line}"
        );
        assert!(!line.contains("alice") && !line.contains("00101000") && line.contains("#"), "{line}");
    }
    let (status, why) = lab.ims(&["log", "inof"]).expect_err("no level");
    assert!(status == Some(2) && why.contains("is no level"), "{why}");
    lab.ims(&["log", "configured", "--process", "scscf"]).expect("it runs");
    alice.register();
    assert_eq!(told(&mut lab).len(), lines.len(), "off again");
}

// --- a core -----------------------------------------------------------------------------------------------------------

/// `ims dev` with its metrics, and subscribers to load it with.
struct Core {
    lab: Lab,
    _process: Process,
    metrics: SocketAddr,
    users: usize,
}

impl Core {
    fn start(users: usize) -> Core {
        let lab = Lab::ready_made();
        let metrics = lab.loopback().at(40, 9400);
        let rows = (0..users).map(|n| {
            format!("00101{n:010},{:032x},{:032x},+4930{n:08},load{n:05}\n", 0xa5a5_0000 + n, 0x5a5a_0000 + n)
        });
        let rows: String = std::iter::once("imsi,k,opc,msisdn,name\n".to_owned()).chain(rows).collect();
        fs::write(lab.folder().join("subscribers.csv"), rows).expect("a scratch folder");
        lab.set("# contexts_per_source = 2000", "contexts_per_source = 100000");
        let mut command = Command::new(binary("ims"));
        command.args(["dev", "--metrics", &metrics.to_string(), "--config"]).arg(lab.config_file());
        let mut process = Process::start("dev", &mut command, lab.folder());
        process.wait_for_output("Metrics: http://", START_MAX);
        let core = Core { lab, _process: process, metrics, users };
        let until = Instant::now() + START_MAX;
        while get(metrics, "/readyz").0 != 200 {
            assert!(Instant::now() < until, "{:?}", get(metrics, "/readyz"));
            std::thread::sleep(POLL);
        }
        core
    }

    /// `ims load` with all of its users.
    fn load(&self, kind: &str, what: &str, value: &str) {
        let (words, duration) = match kind {
            "--mix" => (vec!["--mix", what], value),
            scenario => (vec![scenario, what, value], "1s"),
        };
        let mut command = Command::new(binary("ims"));
        command.arg("load").args(words).args(["--duration", duration, "--talk", "500ms", "--ring", "100ms"]);
        command.args(["--register-rate", "200"]);
        command.args([
            "--ues",
            &self.users.to_string(),
            "--pcscf",
            &self.lab.address(Part::Pcscf).to_string(),
        ]);
        command.args(["--subscribers"]).arg(self.lab.folder().join("subscribers.csv"));
        let mut load = Process::start("load", &mut command, self.lab.folder());
        let status = load.wait(Duration::from_secs(90));
        assert!(status.success(), "{}", load.output());
    }

    /// A call to somebody whom nobody knows.
    fn call_that_fails(&self) {
        let mut caller = self.lab.phone("load00000");
        caller.register();
        assert!((400..500).contains(&caller.call_refused(&format!("sip:nobody@{DOMAIN}"))));
    }

    fn metrics(&self) -> String {
        let (status, text) = get(self.metrics, "/metrics");
        assert_eq!(status, 200);
        text
    }

    /// Each series with its value; of a histogram its count alone.
    fn series(&self) -> BTreeMap<String, f64> {
        let text = self.metrics();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
        let pair = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        lines.filter_map(pair).collect()
    }
}

// --- Prometheus -------------------------------------------------------------------------------------------------------

struct Prometheus {
    _process: Process,
    address: SocketAddr,
}

impl Prometheus {
    /// With our rules, at a pace for a test.
    fn start(core: &Core) -> Prometheus {
        let folder = core.lab.folder();
        let address = core.lab.loopback().at(41, 9090);
        let rules: Vec<_> = ["rules.yaml", "alerts.yaml"]
            .iter()
            .map(|file| monitoring().join(file).display().to_string())
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: carillon\n  static_configs: [{{targets: [\"{}\"]}}]\n",
            rules.join(", "),
            core.metrics
        );
        fs::write(folder.join("prometheus.yaml"), config).expect("a scratch folder");
        let program = find("prometheus").expect("it was looked for");
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"));
        let mut process = Process::start("prometheus", &mut command, folder);
        process.wait_for_port(address, START_MAX);
        Prometheus { _process: process, address }
    }

    /// Whether an instant query returns something, soon: a rule may use what another one has just written.
    fn returns_data(&mut self, expression: &str) -> bool {
        let until = Instant::now() + Duration::from_secs(6);
        loop {
            let answer = self.ask(expression);
            assert!(answer.contains("\"status\":\"success\""), "{expression}: {answer}");
            if !answer.contains("\"result\":[]") {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The one value of an expression, once it has been scraped.
    fn value(&mut self, expression: &str) -> Option<f64> {
        std::thread::sleep(Duration::from_millis(1500));
        let answer = self.ask(expression);
        let (_, value) = answer.split_once("\"value\":[")?;
        value.split('"').nth(1)?.parse().ok()
    }

    fn ask(&self, expression: &str) -> String {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        get(self.address, &format!("/api/v1/query?query={encoded}")).1
    }
}

/// Every expression of rules, alerts and dashboards, with where it stands. What an alert compares is asked without the
/// comparison: it is to be silent.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let rules = fs::read_to_string(monitoring().join("rules.yaml")).expect("the rules");
    let recorded = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    all.extend(recorded.map(|name| ("rules.yaml".to_owned(), name.to_owned())));
    let alerts = fs::read_to_string(monitoring().join("alerts.yaml")).expect("the alerts");
    for line in alerts.lines() {
        let metrics = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let metrics = metrics.filter(|word| word.starts_with("ims_") || word.starts_with("ims:"));
        if !line.contains("description") && !line.contains("summary") {
            all.extend(metrics.map(|metric| ("alerts.yaml".to_owned(), metric.to_owned())));
        }
    }
    let dashboards = monitoring().join("dashboards");
    let mut files: Vec<_> =
        fs::read_dir(&dashboards).expect("the dashboards").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert_eq!(files.len(), 6);
    for file in files {
        let text = fs::read_to_string(&file).expect("a dashboard");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("\"expr\": \"")) {
            let expression = line.trim_end_matches(',').trim_end_matches('"').replace("\\\"", "\"");
            all.push((name.clone(), expression.replace("$__rate_interval", "1m")));
        }
    }
    all
}

fn monitoring() -> PathBuf {
    top().join("monitoring")
}

/// Runs promtool among the rules; it must be content.
fn promtool(words: &[&str], input: &str) {
    let mut child = Command::new(find("promtool").expect("it was looked for"))
        .args(words)
        .current_dir(monitoring())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // `check metrics` tells what it does not like and ends with 3.
    assert!(output.status.success(), "promtool {words:?}: {said}");
}

/// Status and body of a GET.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
}

const POLL: Duration = Duration::from_millis(50);
