//! The requests that the console answers.

use super::Served;
use crate::api::{
    CallWanted, CriteriaOutcome, CriteriaTry, Failures, Field, Live, Message, Messages, Nothing, Overview,
    Phone, Problem, Registrations, Setting, Stories, Story, Subscriber, TextWanted,
};
use crate::assets;
use crate::operator::{Operator, PhoneCommand, Refusal};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use utoipa::{IntoParams, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "Carillon console", description = "What the web console asks of a core"),
    paths(
        overview,
        subscribers,
        registrations,
        stories,
        story,
        messages,
        message,
        failures,
        phones,
        register,
        deregister,
        call,
        hang_up,
        text,
        criteria,
        configuration,
        events
    ),
    components(schemas(Field, Live, Problem))
)]
struct Document;

/// The document with its version left out, so that it changes with the interface alone.
pub fn openapi() -> String {
    let mut document = Document::openapi();
    document.info.version = "1".to_owned();
    document.info.license = None;
    document.info.contact = None;
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Everything that is answered.
pub fn router(served: Served) -> Router {
    let api = Router::new()
        .route("/api/overview", get(overview))
        .route("/api/subscribers", get(subscribers))
        .route("/api/registrations", get(registrations))
        .route("/api/stories", get(stories))
        .route("/api/stories/{id}", get(story))
        .route("/api/messages", get(messages))
        .route("/api/messages/{sequence}", get(message))
        .route("/api/failures", get(failures))
        .route("/api/phones", get(phones))
        .route("/api/phones/{name}/register", post(register))
        .route("/api/phones/{name}/deregister", post(deregister))
        .route("/api/phones/{name}/call", post(call))
        .route("/api/phones/{name}/hangup", post(hang_up))
        .route("/api/phones/{name}/text", post(text))
        .route("/api/criteria", post(criteria))
        .route("/api/configuration", get(configuration))
        .route("/api/events", get(events))
        .layer(middleware::from_fn_with_state(served.clone(), admit));
    api.fallback(asset).with_state(served)
}

/// Lets in who may use the interface; the page itself holds nothing.
async fn admit(State(served): State<Served>, request: Request, next: Next) -> Response {
    match served.access.check(request.headers()) {
        Ok(()) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(CACHE_CONTROL, "no-store".parse().unwrap_or(EMPTY));
            response
        }
        Err((status, why)) => problem(status, why),
    }
}

const EMPTY: axum::http::HeaderValue = axum::http::HeaderValue::from_static("");

fn problem(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(Problem { error: why.into() })).into_response()
}

async fn asset(uri: Uri) -> Response {
    let Some(asset) = assets::at(uri.path()) else {
        return problem(StatusCode::NOT_FOUND, "there is no such page");
    };
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Everything comes from here, and no other page shows it in a frame.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ];
    (headers, asset.bytes).into_response()
}

/// Something of the core, asked on a thread that may wait.
async fn asked<T: Send + 'static>(
    served: Served,
    ask: impl FnOnce(&dyn Operator) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Response> {
    let operator: Arc<dyn Operator> = served.operator;
    match tokio::task::spawn_blocking(move || ask(&*operator)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Refusal::Unknown(why))) => Err(problem(StatusCode::NOT_FOUND, why)),
        Ok(Err(Refusal::Wrong(why))) => Err(problem(StatusCode::UNPROCESSABLE_ENTITY, why)),
        Ok(Err(Refusal::Failed(why))) => Err(problem(StatusCode::BAD_GATEWAY, why)),
        Err(_) => {
            Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "the console broke over this; its log says why"))
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

type Answer<T> = Result<Json<T>, Response>;

#[utoipa::path(get, path = "/api/overview", responses((status = 200, body = Overview)))]
async fn overview(State(served): State<Served>) -> Answer<Overview> {
    let recording = served.recording.clone();
    let overview = asked(served, move |operator| {
        let ((domain, plmn), now_ms) = (operator.network(), now_ms());
        let (functions, links, peers) = recording.topology(operator.functions(), now_ms);
        Ok(Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            domain,
            plmn,
            now_ms,
            functions,
            links,
            peers,
            recorded: recording.recorded(),
            latest: recording.stories(None, None, "", 0, LATEST).stories,
        })
    });
    overview.await.map(Json)
}

#[utoipa::path(get, path = "/api/subscribers", responses((status = 200, body = Vec<Subscriber>)))]
async fn subscribers(State(served): State<Served>) -> Answer<Vec<Subscriber>> {
    asked(served, |operator| Ok(operator.subscribers())).await.map(Json)
}

#[utoipa::path(get, path = "/api/registrations", responses((status = 200, body = Registrations), (status = 502, body = Problem)))]
async fn registrations(State(served): State<Served>) -> Answer<Registrations> {
    asked(served, |operator| operator.registrations()).await.map(Json)
}

/// Which stories.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StoriesWanted {
    /// `call`, `registration`, `text`, `subscription`, `other`.
    kind: Option<String>,
    /// `failed`, `talking` ...
    state: Option<String>,
    /// Part of an identity, a Call-ID or a cause.
    text: Option<String>,
    /// So many of the newest are left out.
    offset: Option<u32>,
    /// At most so many.
    limit: Option<u32>,
}

#[utoipa::path(get, path = "/api/stories", params(StoriesWanted), responses((status = 200, body = Stories)))]
async fn stories(State(served): State<Served>, Query(wanted): Query<StoriesWanted>) -> Json<Stories> {
    let StoriesWanted { kind, state, text, offset, limit } = wanted;
    let limit = limit.unwrap_or(100).min(PAGE_MAX) as usize;
    let text = text.unwrap_or_default();
    Json(served.recording.stories(
        kind.as_deref(),
        state.as_deref(),
        &text,
        offset.unwrap_or(0) as usize,
        limit,
    ))
}

#[utoipa::path(get, path = "/api/stories/{id}", params(("id" = u64, Path)), responses((status = 200, body = Story), (status = 404, body = Problem)))]
async fn story(State(served): State<Served>, Path(id): Path<u64>) -> Answer<Story> {
    let Some((story, entries)) = served.recording.story(id) else {
        return Err(problem(StatusCode::NOT_FOUND, "this story is not kept any more"));
    };
    let explanation = asked(served, move |operator| Ok(operator.explain(&entries))).await?;
    Ok(Json(Story { explanation, ..story }))
}

/// Which messages.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MessagesWanted {
    /// Part of a summary, an identity, a Call-ID, a cause, a function or a reference point.
    text: Option<String>,
    /// Of one story.
    story: Option<u64>,
    /// From this place on; the last ones without it.
    offset: Option<u32>,
    /// At most so many.
    limit: Option<u32>,
}

#[utoipa::path(get, path = "/api/messages", params(MessagesWanted), responses((status = 200, body = Messages)))]
async fn messages(State(served): State<Served>, Query(wanted): Query<MessagesWanted>) -> Json<Messages> {
    let limit = wanted.limit.unwrap_or(200).min(PAGE_MAX) as usize;
    let text = wanted.text.unwrap_or_default();
    let offset = wanted.offset.map(|offset| offset as usize);
    Json(served.recording.messages(&text, wanted.story, offset, limit))
}

#[utoipa::path(get, path = "/api/messages/{sequence}", params(("sequence" = u64, Path)), responses((status = 200, body = Message), (status = 404, body = Problem)))]
async fn message(State(served): State<Served>, Path(sequence): Path<u64>) -> Answer<Message> {
    let message = served.recording.message(sequence);
    message.map(Json).ok_or_else(|| problem(StatusCode::NOT_FOUND, "this message is not kept any more"))
}

#[utoipa::path(get, path = "/api/failures", responses((status = 200, body = Failures)))]
async fn failures(State(served): State<Served>) -> Answer<Failures> {
    let recording = served.recording.clone();
    let failures = asked(served, move |operator| {
        let mut failures = recording.failures();
        for cause in &mut failures.causes {
            let newest = cause.stories.first().and_then(|story| recording.story(story.id));
            cause.explanation = newest.and_then(|(_, entries)| operator.explain(&entries));
        }
        Ok(failures)
    });
    failures.await.map(Json)
}

#[utoipa::path(get, path = "/api/phones", responses((status = 200, body = Vec<Phone>)))]
async fn phones(State(served): State<Served>) -> Answer<Vec<Phone>> {
    asked(served, |operator| Ok(operator.phones())).await.map(Json)
}

async fn told(served: Served, name: String, command: PhoneCommand) -> Answer<Vec<Phone>> {
    let told = asked(served, move |operator| {
        operator.command(&name, command)?;
        Ok(operator.phones())
    });
    told.await.map(Json)
}

#[utoipa::path(post, path = "/api/phones/{name}/register", params(("name" = String, Path)), request_body = Nothing, responses((status = 200, body = Vec<Phone>), (status = 404, body = Problem)))]
async fn register(
    State(served): State<Served>,
    Path(name): Path<String>,
    Json(_): Json<Nothing>,
) -> Answer<Vec<Phone>> {
    told(served, name, PhoneCommand::Register).await
}

#[utoipa::path(post, path = "/api/phones/{name}/deregister", params(("name" = String, Path)), request_body = Nothing, responses((status = 200, body = Vec<Phone>), (status = 404, body = Problem)))]
async fn deregister(
    State(served): State<Served>,
    Path(name): Path<String>,
    Json(_): Json<Nothing>,
) -> Answer<Vec<Phone>> {
    told(served, name, PhoneCommand::Deregister).await
}

#[utoipa::path(post, path = "/api/phones/{name}/call", params(("name" = String, Path)), request_body = CallWanted, responses((status = 200, body = Vec<Phone>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn call(
    State(served): State<Served>,
    Path(name): Path<String>,
    Json(wanted): Json<CallWanted>,
) -> Answer<Vec<Phone>> {
    told(served, name, PhoneCommand::Call { to: wanted.to }).await
}

#[utoipa::path(post, path = "/api/phones/{name}/hangup", params(("name" = String, Path)), request_body = Nothing, responses((status = 200, body = Vec<Phone>), (status = 404, body = Problem)))]
async fn hang_up(
    State(served): State<Served>,
    Path(name): Path<String>,
    Json(_): Json<Nothing>,
) -> Answer<Vec<Phone>> {
    told(served, name, PhoneCommand::Hangup).await
}

#[utoipa::path(post, path = "/api/phones/{name}/text", params(("name" = String, Path)), request_body = TextWanted, responses((status = 200, body = Vec<Phone>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn text(
    State(served): State<Served>,
    Path(name): Path<String>,
    Json(wanted): Json<TextWanted>,
) -> Answer<Vec<Phone>> {
    told(served, name, PhoneCommand::Text { to: wanted.to, text: wanted.text }).await
}

#[utoipa::path(post, path = "/api/criteria", request_body = CriteriaTry, responses((status = 200, body = CriteriaOutcome), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn criteria(State(served): State<Served>, Json(wanted): Json<CriteriaTry>) -> Answer<CriteriaOutcome> {
    asked(served, move |operator| operator.criteria(&wanted)).await.map(Json)
}

#[utoipa::path(get, path = "/api/configuration", responses((status = 200, body = Vec<Setting>)))]
async fn configuration(State(served): State<Served>) -> Answer<Vec<Setting>> {
    asked(served, |operator| Ok(operator.configuration())).await.map(Json)
}

/// Where to begin.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsWanted {
    /// What came after this entry; only what is new without it.
    after: Option<u64>,
}

/// What is recorded, as it comes: server-sent events, each a `Live`.
#[utoipa::path(get, path = "/api/events", params(EventsWanted), responses((status = 200, body = Live, content_type = "text/event-stream"), (status = 503, body = Problem)))]
async fn events(State(served): State<Served>, Query(wanted): Query<EventsWanted>) -> Response {
    let Ok(reader) = served.readers.try_acquire_owned() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "too many read live events; close a tab");
    };
    let after = wanted.after.unwrap_or_else(|| served.recording.last());
    let recording = served.recording;
    let ticks = tokio::time::interval(LOOK);
    let stream = futures_of(ticks, after, move |after| {
        // Its place is free when the stream is dropped.
        let _ = &reader;
        if recording.last() <= after {
            return None;
        }
        let live = recording.live(after, LIVE_MAX, now_ms());
        let last = live.last;
        let event = Event::default().id(last.to_string()).event("live").json_data(&live).ok()?;
        Some((event, last))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// An event for each tick at which there is something new.
fn futures_of(
    ticks: tokio::time::Interval,
    mut after: u64,
    mut look: impl FnMut(u64) -> Option<(Event, u64)> + Send + 'static,
) -> impl tokio_stream::Stream<Item = Result<Event, Infallible>> {
    use tokio_stream::StreamExt;
    use tokio_stream::wrappers::IntervalStream;
    IntervalStream::new(ticks).filter_map(move |_| {
        let (event, last) = look(after)?;
        after = last;
        Some(Ok(event))
    })
}

/// Rows of one page at most.
const PAGE_MAX: u32 = 500;
/// Stories of the overview.
const LATEST: usize = 12;
/// How often a reader of live events is told what is new.
const LOOK: Duration = Duration::from_millis(40);
/// Messages of one event: who is further behind skips.
const LIVE_MAX: usize = 400;
