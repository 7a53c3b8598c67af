//! From snapshots to the text that Prometheus reads: names, help and labels of every metric (docs/monitoring.md).

use super::own_process::Usage;
use cscf::metrics::{Asked, DiameterTraffic, Durations, Holding, Snapshot, Traffic};
use cscf::node::Count;
use ipsec::Refusal;
use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// The text of a scrape: of these roles, what the snapshots tell.
pub(super) fn text(roles: &[&'static str], snapshots: &[Snapshot], usage: Usage) -> String {
    let mut families = Families::default();
    for role in roles {
        families.gauge(
            "ims_build_info",
            &[
                ("role", *role),
                ("version", env!("CARGO_PKG_VERSION")),
                ("revision", option_env!("CARILLON_REVISION").unwrap_or("unknown")),
            ],
            1.0,
        );
    }
    for snapshot in snapshots {
        let role = snapshot.role;
        if let Some(traffic) = &snapshot.traffic {
            families.sip(role, traffic);
        }
        if let Some(diameter) = &snapshot.diameter {
            families.diameter(role, diameter);
        }
        for gauge in &snapshot.gauges {
            let (name, label) = name_of(gauge.holding);
            families.gauge(name, &[("role", role), (label, gauge.state)], gauge.count as f64);
        }
        families.counts(role, &snapshot.counts);
    }
    families.process(usage);
    families.encode()
}

/// Name and help of each metric, in the order of a scrape.
const HELP: &[(&str, MetricType, &str)] = &[
    ("ims_build_info", MetricType::GAUGE, "Which program of which version serves a role; always 1."),
    ("ims_sip_requests_total", MetricType::COUNTER, "SIP requests, without those that came or went again."),
    ("ims_sip_responses_total", MetricType::COUNTER, "SIP responses, provisional and final."),
    (
        "ims_sip_request_duration_seconds",
        MetricType::HISTOGRAM,
        "From a request to the final response to it.",
    ),
    ("ims_sip_retransmissions_total", MetricType::COUNTER, "SIP requests that came or went again."),
    ("ims_sip_parse_errors_total", MetricType::COUNTER, "SIP messages that could not be read, by reason."),
    (
        "ims_sip_transactions",
        MetricType::GAUGE,
        "SIP transactions, those that linger after their end included.",
    ),
    ("ims_sip_connections", MetricType::GAUGE, "Connections that SIP goes by."),
    ("ims_queries", MetricType::GAUGE, "Questions to the HSS, the store and DNS that wait for an answer."),
    (
        "ims_registrations",
        MetricType::GAUGE,
        "Registrations: at a P-CSCF those through it, at an S-CSCF the sets that it keeps, at an HSS the subscriptions.",
    ),
    ("ims_registration_attempts_total", MetricType::COUNTER, "REGISTERs by what came of them."),
    ("ims_auth_failures_total", MetricType::COUNTER, "Authentications that failed, by reason."),
    ("ims_dialogs", MetricType::GAUGE, "Sessions that are remembered."),
    ("ims_subscriptions", MetricType::GAUGE, "Subscriptions to registrations."),
    ("ims_calls_total", MetricType::COUNTER, "Initial INVITEs by their final response."),
    (
        "ims_call_setup_duration_seconds",
        MetricType::HISTOGRAM,
        "From an initial INVITE to the first 180, and to the 2xx.",
    ),
    ("ims_ipsec_sas", MetricType::GAUGE, "Security associations with UEs, four to a set."),
    ("ims_ipsec_drops_total", MetricType::COUNTER, "ESP packets that were refused, by reason."),
    ("ims_diameter_peer_up", MetricType::GAUGE, "Whether a Diameter peer is connected."),
    (
        "ims_diameter_requests_total",
        MetricType::COUNTER,
        "Diameter requests by result; out are ours, in those of peers.",
    ),
    (
        "ims_diameter_request_duration_seconds",
        MetricType::HISTOGRAM,
        "From a Diameter request of ours to its answer, or to the end of waiting.",
    ),
    ("ims_diameter_failovers_total", MetricType::COUNTER, "Diameter requests that went to another peer."),
    ("ims_trace_dropped_total", MetricType::COUNTER, "What a recorder or a reader of messages has lost."),
    (
        "ims_events_total",
        MetricType::COUNTER,
        "Everything else that is counted by name and cause, as `ims counters` shows it.",
    ),
    (
        "process_cpu_seconds_total",
        MetricType::COUNTER,
        "Time of processors that the process took, in seconds.",
    ),
    ("process_resident_memory_bytes", MetricType::GAUGE, "Resident memory in bytes."),
    ("process_threads", MetricType::GAUGE, "Threads of the process."),
    ("process_open_fds", MetricType::GAUGE, "Open file descriptors."),
    ("process_max_fds", MetricType::GAUGE, "How many file descriptors may be open."),
    ("process_start_time_seconds", MetricType::GAUGE, "When the process started, since the Unix epoch."),
];

/// Why an authentication fails, as an S-CSCF counts it, and as the label says it.
const AUTH_FAILURES: [(&str, &str); 5] = [
    ("wrong response", "wrong_response"),
    ("challenge not answered", "no_response"),
    ("network failed authentication", "network_rejected"),
    ("resynchronised", "sync_failure"),
    ("another address than the bearer's", "wrong_address"),
];

/// What is counted of messages that nobody took, by the driver.
pub(crate) const TRACE_DROPPED: &str = "trace_dropped";
/// Why.
pub(crate) const READER_BEHIND: &str = "reader_behind";

fn name_of(holding: Holding) -> (&'static str, &'static str) {
    match holding {
        Holding::Transactions => ("ims_sip_transactions", "kind"),
        Holding::Queries => ("ims_queries", "state"),
        Holding::Registrations => ("ims_registrations", "state"),
        Holding::Dialogs => ("ims_dialogs", "state"),
        Holding::Subscriptions => ("ims_subscriptions", "state"),
        Holding::SecurityAssociations => ("ims_ipsec_sas", "state"),
        Holding::Connections => ("ims_sip_connections", "state"),
    }
}

type Labels<'a> = &'a [(&'static str, &'a str)];

/// The metrics of a scrape, by their place in [`HELP`].
struct Families(Vec<Vec<Metric>>);

impl Default for Families {
    fn default() -> Families {
        Families(HELP.iter().map(|_| Vec::new()).collect())
    }
}

impl Families {
    fn sip(&mut self, role: &str, traffic: &Traffic) {
        for ([direction, method, transport], count) in traffic.requests() {
            let labels =
                [("role", role), ("direction", direction), ("method", method), ("transport", transport)];
            self.counter("ims_sip_requests_total", &labels, count);
        }
        for ([direction, method, code, transport], count) in traffic.responses() {
            let labels = [
                ("role", role),
                ("direction", direction),
                ("method", method),
                ("code", code),
                ("transport", transport),
            ];
            self.counter("ims_sip_responses_total", &labels, count);
        }
        for ([method, code_class], took) in traffic.durations() {
            let labels = [("role", role), ("method", method), ("code_class", code_class)];
            self.histogram("ims_sip_request_duration_seconds", &labels, took);
        }
        for ([direction, method], count) in traffic.retransmissions() {
            let labels = [("role", role), ("direction", direction), ("method", method)];
            self.counter("ims_sip_retransmissions_total", &labels, count);
        }
        for (outcome, count) in traffic.registrations() {
            let labels = [("role", role), ("outcome", outcome)];
            self.counter("ims_registration_attempts_total", &labels, count);
        }
        for ([session_case, code, code_class], count) in traffic.calls() {
            let labels =
                [("role", role), ("session_case", session_case), ("code", code), ("code_class", code_class)];
            self.counter("ims_calls_total", &labels, count);
        }
        for (stage, took) in traffic.setups() {
            self.histogram("ims_call_setup_duration_seconds", &[("role", role), ("stage", stage)], took);
        }
    }

    fn diameter(&mut self, role: &str, diameter: &DiameterTraffic) {
        for (peer, is_up) in &diameter.peers {
            let labels = [("role", role), ("peer", peer), ("app", "cx")];
            self.gauge("ims_diameter_peer_up", &labels, f64::from(u8::from(*is_up)));
        }
        for (command, asked, result, count) in diameter.requests() {
            let direction = match asked {
                Asked::ByUs => "out",
                Asked::ByPeer => "in",
            };
            let labels = [
                ("role", role),
                ("app", "cx"),
                ("command", command),
                ("direction", direction),
                ("result", result),
            ];
            self.counter("ims_diameter_requests_total", &labels, count);
        }
        for (command, took) in diameter.durations() {
            let labels = [("role", role), ("app", "cx"), ("command", command)];
            self.histogram("ims_diameter_request_duration_seconds", &labels, took);
        }
        self.counter("ims_diameter_failovers_total", &[("role", role)], diameter.counters.failovers);
    }

    /// What was counted by name and cause: some have a metric of their own, nought from the start.
    fn counts(&mut self, role: &'static str, counts: &[Count]) {
        let of = |name: &str, cause: &str| {
            counts
                .iter()
                .find(|count| (count.name, count.cause) == (name, cause))
                .map_or(0, |count| count.count)
        };
        if role == "scscf" {
            for (cause, reason) in AUTH_FAILURES {
                let labels = [("role", role), ("reason", reason)];
                self.counter("ims_auth_failures_total", &labels, of("registration", cause));
            }
        }
        if role == "pcscf" {
            for refusal in Refusal::ALL {
                let labels = [("role", role), ("reason", refusal.name())];
                self.counter("ims_ipsec_drops_total", &labels, of("esp_refused", refusal.name()));
            }
        }
        let labels = [("role", role), ("reason", READER_BEHIND)];
        self.counter("ims_trace_dropped_total", &labels, of(TRACE_DROPPED, READER_BEHIND));
        for Count { name, cause, count } in counts {
            match *name {
                "malformed" => {
                    self.counter("ims_sip_parse_errors_total", &[("role", role), ("reason", cause)], *count);
                }
                "esp_refused" | TRACE_DROPPED => {}
                _ => {
                    let labels = [("role", role), ("event", *name), ("cause", *cause)];
                    self.counter("ims_events_total", &labels, *count);
                }
            }
        }
    }

    fn process(&mut self, usage: Usage) {
        if let Some(cpu_s) = usage.cpu_s {
            let mut counter = Counter::default();
            counter.set_value(cpu_s);
            let mut metric = Metric::default();
            metric.set_counter(counter);
            self.push("process_cpu_seconds_total", metric);
        }
        for (name, value) in [
            ("process_resident_memory_bytes", usage.resident_octets),
            ("process_threads", usage.threads),
            ("process_open_fds", usage.open_files),
            ("process_max_fds", usage.open_files_max),
            ("process_start_time_seconds", usage.started_s),
        ] {
            if let Some(value) = value {
                self.gauge(name, &[], value);
            }
        }
    }

    fn counter(&mut self, name: &str, labels: Labels<'_>, count: u64) {
        let mut counter = Counter::default();
        counter.set_value(count as f64);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_counter(counter);
        self.push(name, metric);
    }

    fn gauge(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        self.push(name, metric);
    }

    fn histogram(&mut self, name: &str, labels: Labels<'_>, took: &Durations) {
        let mut histogram = Histogram::default();
        histogram.set_sample_count(took.count());
        histogram.set_sample_sum(took.sum_s());
        let buckets = took.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.push(name, metric);
    }

    fn push(&mut self, name: &str, metric: Metric) {
        let place = HELP.iter().position(|(known, ..)| *known == name);
        debug_assert!(place.is_some(), "{name} has no help");
        if let Some(metrics) = place.and_then(|place| self.0.get_mut(place)) {
            metrics.push(metric);
        }
    }

    fn encode(self) -> String {
        let families: Vec<MetricFamily> = HELP
            .iter()
            .zip(self.0)
            .filter(|(_, metrics)| !metrics.is_empty())
            .map(|((name, kind, help), metrics)| {
                let mut family = MetricFamily::default();
                family.set_name((*name).to_owned());
                family.set_help((*help).to_owned());
                family.set_field_type(*kind);
                family.set_metric(metrics);
                family
            })
            .collect();
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            String::new()
        })
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&'static str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_a_name_by_the_rules_of_prometheus() {
        for (name, kind, help) in HELP {
            assert_eq!(name.ends_with("_total"), *kind == MetricType::COUNTER, "{name}");
            assert!(help.ends_with('.'), "{name}");
            let is_histogram = *kind == MetricType::HISTOGRAM;
            assert!(!is_histogram || name.ends_with("_seconds"), "{name}: base units");
        }
    }

    #[test]
    fn what_alerts_look_at_is_there_before_it_happens() {
        let of = |role, counts| Snapshot { role, counts, ..Snapshot::default() };
        let counts = vec![
            Count { name: "registration", cause: "wrong response", count: 3 },
            Count { name: "malformed", cause: "no empty line", count: 1 },
            Count { name: "refused", cause: "say \"busy\"", count: 2 },
        ];
        let text = text(&["scscf"], &[of("scscf", counts), of("pcscf", Vec::new())], Usage::default());
        for line in [
            "ims_auth_failures_total{role=\"scscf\",reason=\"wrong_response\"} 3",
            "ims_auth_failures_total{role=\"scscf\",reason=\"sync_failure\"} 0",
            "ims_ipsec_drops_total{role=\"pcscf\",reason=\"unknown SPI\"} 0",
            "ims_trace_dropped_total{role=\"pcscf\",reason=\"reader_behind\"} 0",
            "ims_sip_parse_errors_total{role=\"scscf\",reason=\"no empty line\"} 1",
            "ims_events_total{role=\"scscf\",event=\"refused\",cause=\"say \\\"busy\\\"\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
