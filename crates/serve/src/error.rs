//! What a client is told when something is wrong: status, and `{"error": {message, type, param, code}}` as OpenAI's API
//! has it. Messages are public: they name the request's fields and figures, never the server's files.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moeworks_infer::RequestError;
use moeworks_text::TextError;
use serde_json::{Value, json};

/// An error a client sees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into(), kind, param: None, code }
    }

    /// 400: the field `param` of the request is wrong.
    pub(crate) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message);
        ApiError { param: Some(param.into()), ..error }
    }

    /// 400: the request as a whole is wrong.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message)
    }

    /// Another status, for what is wrong with the request as HTTP.
    pub(crate) fn status(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", Some(code), message)
    }

    /// 404: no such model.
    pub(crate) fn model(asked: &str, served: &str) -> Self {
        let asked: String = asked.chars().take(100).collect();
        let message = format!("the model {asked:?} does not exist; this server has {served:?}");
        let error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"), message);
        ApiError { param: Some("model".into()), ..error }
    }

    /// 429: the queue is full.
    pub(crate) fn busy(capacity: usize) -> Self {
        let message =
            format!("{capacity} requests are running or waiting, which is this server's limit; try again later");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "requests", Some("rate_limit_exceeded"), message)
    }

    /// 500: the engine could not go on with this request.
    pub(crate) fn engine(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", Some("engine_error"), message)
    }

    /// 503: the server is being stopped, or its engine is gone.
    pub(crate) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("unavailable"), message)
    }

    /// A request that the engine would refuse; its prompt came from the field `param`.
    pub(crate) fn from_request(error: &RequestError, param: &str) -> Self {
        let field = match error {
            RequestError::Sampling(invalid) => invalid.field,
            RequestError::NoChoices => "n",
            _ => param,
        };
        let code = matches!(error, RequestError::ContextLength { .. }).then_some("context_length_exceeded");
        ApiError { code, ..Self::field(field, error.to_string()) }
    }

    /// A conversation that the chat template refuses.
    pub(crate) fn from_template(error: &TextError) -> Self {
        match error {
            TextError::Refused(_) | TextError::Template { .. } | TextError::Untraceable { .. } => {
                Self::field("messages", error.to_string())
            }
            TextError::NoTemplate => {
                Self::field("messages", "this model has no chat template; use /v1/completions with plain text")
            }
            _ => Self::engine("the chat template could not be used"),
        }
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.json())).into_response();
        let headers = response.headers_mut();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
