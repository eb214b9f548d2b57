//! The chat page: three files that are part of the program. Nothing inline and nothing from elsewhere, and the
//! browser is told to refuse both.

use axum::http::header;
use axum::response::IntoResponse;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}

/// The page.
pub(crate) async fn html() -> impl IntoResponse {
    file("text/html; charset=utf-8", include_str!("page/chat.html"))
}

/// Its style.
pub(crate) async fn css() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("page/chat.css"))
}

/// Its program.
pub(crate) async fn js() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", include_str!("page/chat.js"))
}

/// Its icon.
pub(crate) async fn icon() -> impl IntoResponse {
    file("image/svg+xml", include_str!("page/icon.svg"))
}
