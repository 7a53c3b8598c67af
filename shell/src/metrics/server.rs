//! The HTTP server: three paths, a bounded number of connections, each bounded in time.

use super::Subject;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Answers until told to stop.
pub(super) async fn serve(listener: TcpListener, subject: Arc<Subject>, mut stopped: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "metrics cannot be served"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let subject = Arc::clone(&subject);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&subject), request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE_MAX)
                .max_buf_size(REQUEST_OCTETS_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // A client that does not read what it asked for must not keep its place.
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, served).await {
                tracing::debug!(%error, "a connection for metrics has failed");
            }
            drop(place);
        });
    }
}

async fn answer(
    subject: Arc<Subject>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n".to_owned()));
    }
    let path = request.uri().path().to_owned();
    // The shards are waited for: not on the thread that serves the others.
    let made = tokio::task::spawn_blocking(move || match path.as_str() {
        "/metrics" => {
            let mut response = plain(StatusCode::OK, subject.exposition());
            let text = HeaderValue::from_static(prometheus::TEXT_FORMAT);
            response.headers_mut().insert(CONTENT_TYPE, text);
            response
        }
        "/livez" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match subject.unready() {
            missing if missing.is_empty() => plain(StatusCode::OK, "ok\n".to_owned()),
            missing => plain(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n"),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n".to_owned()),
    });
    let failed = |_| plain(StatusCode::INTERNAL_SERVER_ERROR, "the numbers could not be read\n".to_owned());
    Ok(made.await.unwrap_or_else(failed))
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Connections at a time: a Prometheus has one, a probe one more.
const CONNECTIONS_MAX: usize = 16;
/// What of a request is read before it must be complete.
const REQUEST_OCTETS_MAX: usize = 16 * 1024;
/// How long a connection may be silent between requests: longer than most scrape intervals.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// How long a connection lives at all; a client that wants more opens another one.
const CONNECTION_MAX: Duration = Duration::from_secs(3600);
/// Before the next connection is tried where none could be accepted.
const PAUSE: Duration = Duration::from_millis(100);
