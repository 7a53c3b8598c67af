//! The report as HTML, of measures that are fixed.

use carillon_load::report::{OfScenario, OfSecond, Report, Summary};
use carillon_load::search::Try;
use std::collections::BTreeMap;

fn second(succeeded: u64, p50_us: u64) -> OfSecond {
    OfSecond {
        attempted: 40,
        succeeded,
        failed: 40 - succeeded,
        late: 0,
        p50_us,
        p99_us: 9 * p50_us,
        max_us: 10 * p50_us,
    }
}

/// Five seconds, of which the third stalls.
fn report() -> Report {
    let latency_us =
        Summary { count: 120, mean: 1500.0, p50: 1234, p90: 2000, p99: 5678, p999: 9000, max: 9876 };
    let percentiles = vec![(0.0, 900), (0.5, 1234), (0.9, 2000), (0.99, 5678), (0.9999, 9876), (1.0, 9876)];
    let call = OfScenario {
        share: 1.0,
        attempted: 200,
        succeeded: 160,
        failed: 40,
        late: 3,
        latency_us,
        percentiles: percentiles.clone(),
    };
    Report {
        scenario: "call".to_owned(),
        pcscf: "192.0.2.1:5060".to_owned(),
        rate: 40.0,
        ues: 77,
        duration_s: 5.0,
        attempted: 200,
        succeeded: 160,
        failed: BTreeMap::from([("INVITE 503".to_owned(), 39), ("BYE timeout".to_owned(), 1)]),
        retransmissions: 11,
        retransmissions_sent: 4,
        retransmissions_received: 7,
        late: 3,
        inadequate_share: 0.215,
        achieved_rate: 32.0,
        latency_us,
        scenarios: BTreeMap::from([("call", call)]),
        own_cpu_s: 0.55,
        own_cpu_share: 0.11,
        percentiles,
        seconds: vec![second(40, 1000), second(40, 1200), second(0, 0), second(40, 5000), second(40, 1300)],
        ..Report::default()
    }
}

/// How many points the line of this class has, in the plot of this title.
fn points(html: &str, title: &str, tone: &str) -> usize {
    let plot = html.split("<figure>").find(|plot| plot.contains(title)).expect("a plot of that title");
    let (_, line) = plot.split_once(&format!("<path class=\"line {tone}\" d=\"")).expect("a line");
    let (path, _) = line.split_once('"').expect("the end of the line");
    path.matches(['M', 'L']).count()
}

#[test]
fn the_page_contains_the_figures_of_the_report() {
    let html = report().html();
    for figure in [
        "<h1>call at 40/s</h1>",
        "5 s, 77 UEs, P-CSCF 192.0.2.1:5060",
        "<p class=\"verdict not\"><b>The rate was not held:</b> 21.500 % failed or came late, 5.500 % was sent again.</p>",
        "<dd>160 (32.0/s)</dd>",
        "<dd>21.500 %</dd>",
        "<dd>1.23 ms</dd>",
        "<dd>5.68 ms</dd>",
        "<td>100.0 %</td><td>200</td><td>160</td><td>40</td><td>3</td><td>21.500 %</td>",
        "<th scope=\"row\">INVITE 503</th><td>39</td><td>19.500 %</td>",
        "<th scope=\"row\">sent by the UEs</th><td>4</td><td>2.000 %</td>",
        "<th scope=\"row\">received by the UEs</th><td>7</td>",
        "<th scope=\"row\">CPU</th><td>0.55 s</td>",
        "<th scope=\"row\">share of a core</th><td>11 %</td>",
        "<th scope=\"row\">was the limit</th><td>no</td>",
    ] {
        assert!(html.contains(figure), "{figure}\n{html}");
    }
    assert!(html.find("INVITE 503") < html.find("BYE timeout"), "the most frequent reason is first");
    assert!(!html.contains("The generator was the limit"));
}

#[test]
fn a_rate_that_was_held_is_said_to_be() {
    let held =
        Report { inadequate_share: 0.0005, retransmissions: 0, late: 0, failed: BTreeMap::new(), ..report() };
    assert!(
        held.html()
            .contains("<b>The rate was held:</b> 0.050 % failed or came late, 0.000 % was sent again.")
    );
}

#[test]
fn a_plot_has_a_point_for_every_second_and_none_where_nothing_was_measured() {
    let html = report().html();
    for tone in ["a", "b", "bad"] {
        assert_eq!(points(&html, "Rates over time", tone), 5, "{tone}");
    }
    for tone in ["a", "c"] {
        assert_eq!(points(&html, "Latency over time", tone), 4, "{tone}: one second had no success");
    }
}

#[test]
fn a_percentile_curve_ends_at_the_longest_of_so_few() {
    // 120 values cannot tell 99.99 % from the longest, and 100 % has no place on a logarithmic axis.
    assert_eq!(points(&report().html(), "Percentiles by scenario", "a"), 5);
}

#[test]
fn text_that_looks_like_markup_stays_text() {
    let failed = BTreeMap::from([("challenge <img src=x>".to_owned(), 1)]);
    let scenario = "<script>alert(1)</script>".to_owned();
    let html = Report { scenario, domain: "a&b".to_owned(), failed, ..report() }.html();
    assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; at 40/s"));
    assert!(html.contains("challenge &lt;img src=x&gt;") && html.contains("a&amp;b"));
}

#[test]
fn nothing_has_to_be_fetched_or_run() {
    let html = report().html();
    for outside in ["http:", "https:", "<script", "<link", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_search_shows_the_rates_it_tried_and_the_highest_one_held() {
    assert!(!report().html().contains("Highest rate held"), "there was no search");
    let tried = |rate, is_held| Try { rate, is_held, ..Try::of(&report(), rate) };
    let tries = vec![tried(100.0, true), tried(200.0, false), tried(150.0, true)];
    let html = Report { tries, ..report() }.html();
    assert!(html.contains("Highest rate held: 150.0/s"), "{html}");
    let row = "<th scope=\"row\">200.0</th><td>no</td><td>21.500 %</td><td>5.500 %</td><td>no</td>";
    assert!(html.contains(row), "{html}");
}

#[test]
fn a_generator_that_was_the_limit_says_so_first() {
    let html = Report { generator_limited: true, ..report() }.html();
    assert!(html.find("The generator was the limit") < html.find("Scenario mix"));
    assert!(html.contains("<th scope=\"row\">was the limit</th><td>yes</td>"));
}

#[test]
fn a_report_without_a_success_is_still_a_page() {
    let html = Report::default().html();
    assert!(html.contains("<p>None.</p>") && html.ends_with("</html>\n"));
    assert!(!html.contains("NaN") && !html.contains("Percentiles by scenario"), "{html}");
}
