//! GET /v1/models, /health and /ready.

use crate::app::App;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The model; `max_model_len` as vLLM gives it.
fn model(app: &App) -> Value {
    json!({
        "id": app.config.model_name,
        "object": "model",
        "created": app.created,
        "owned_by": "moeworks",
        "max_model_len": app.length,
    })
}

/// All models: one.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [model(&app)]}))
}

/// One model.
pub(crate) async fn get(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    if name == app.config.model_name {
        Ok(Json(model(&app)))
    } else {
        Err(ApiError::model(&name, &app.config.model_name))
    }
}

/// Whether the engine works: 503 if its thread is gone or hangs in a step.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    if app.engine.gauges.is_healthy(app.config.stall) {
        Json(json!({"status": "ok"})).into_response()
    } else {
        ApiError::unavailable("the engine hangs or has stopped").into_response()
    }
}

/// Whether new requests are taken, and what the engine is doing.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let draining = app.draining.load(Ordering::Relaxed);
    let gauges = &app.engine.gauges;
    let ready = !draining && gauges.is_healthy(app.config.stall);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if draining { "draining" } else if ready { "ready" } else { "unhealthy" },
        "slots": app.slots,
        "running": gauges.running.load(Ordering::Relaxed),
        "waiting": gauges.waiting.load(Ordering::Relaxed),
    });
    (status, Json(body)).into_response()
}
