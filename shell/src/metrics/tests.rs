use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;

fn serve(expected: Vec<Expected>) -> Metrics {
    let socket = MetricsSocket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    socket.serve(Subject { meters: Vec::new(), expected }).expect("a thread")
}

/// Status and body of a request.
fn ask(metrics: &Metrics, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(metrics.address()).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn get(metrics: &Metrics, path: &str) -> (String, String) {
    ask(metrics, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
}

#[test]
fn three_paths_are_served_and_nothing_else() {
    let metrics = serve(Vec::new());
    assert_eq!(get(&metrics, "/livez"), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    let (status, text) = get(&metrics, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(text.contains("process_open_fds "), "{text}");
    assert!(get(&metrics, "/").0.contains("404"));
    assert!(
        ask(&metrics, "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .0
            .contains("405")
    );
}

#[test]
fn readiness_names_what_is_missing() {
    assert!(get(&serve(Vec::new()), "/readyz").0.contains("200"));
    let (status, missing) = get(&serve(vec![Expected::of("scscf")]), "/readyz");
    assert!(status.contains("503"), "{status}");
    assert_eq!(missing, "scscf: its main loop does not answer\n");
}

#[test]
fn a_client_that_speaks_no_http_does_not_keep_others_out() {
    let metrics = serve(Vec::new());
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(metrics.address()).expect("it listens")).collect();
    let mut rude = TcpStream::connect(metrics.address()).expect("it listens");
    rude.write_all(&[0; 64]).expect("it reads");
    assert!(get(&metrics, "/livez").0.contains("200"));
    drop(silent);
}

#[test]
fn the_port_is_free_again_when_it_is_dropped() {
    let metrics = serve(Vec::new());
    let address = metrics.address();
    drop(metrics);
    assert!(MetricsSocket::bind(address).is_ok());
}
