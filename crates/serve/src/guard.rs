//! Who may ask: the names this server goes by, the pages that may use it, and the key.

use crate::app::App;
use crate::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

/// Stands before every route, those that do not exist included.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let refused = check_names(&app, &request).err().or_else(|| check_key(&app, &request).err());
    let mut response = match refused {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if response.status() == StatusCode::UNAUTHORIZED {
        // Browsers then ask for a password, which makes the chat page usable.
        let ask = HeaderValue::from_static("Basic realm=\"moeworks\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    response
}

fn forbidden(message: &str) -> ApiError {
    ApiError::status(StatusCode::FORBIDDEN, "forbidden", message)
}

/// A loopback server answers to loopback names only, so that no web page can reach it by a name that its owner lets
/// point here; and no server answers other servers' pages.
fn check_names(app: &App, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let host = text(headers, header::HOST).or_else(|| request.uri().authority().map(|a| a.as_str()));
    if app.config.address.ip().is_loopback() {
        let authorities = host.into_iter().chain(request.uri().authority().map(|a| a.as_str()));
        if host.is_none()
            || !authorities.into_iter().all(is_loopback)
            || headers.get_all(header::HOST).iter().count() > 1
        {
            return Err(forbidden("this server answers to localhost only; the Host header names another machine"));
        }
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    if origin.is_none() || origin != host {
        return Err(forbidden("pages of other servers may not use this one"));
    }
    Ok(())
}

/// Whether `host` or `host:port` is this machine by its nature.
fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_key(app: &App, request: &Request) -> Result<(), ApiError> {
    let Some(key) = &app.config.api_key else { return Ok(()) };
    if request.uri().path() == "/health" {
        return Ok(());
    }
    let given = text(request.headers(), header::AUTHORIZATION).and_then(credential);
    // Hashes have one length, and are compared in one time wherever they differ.
    let hash = |text: &[u8]| Sha256::digest(text);
    let (expected, given) = (hash(key.as_bytes()), hash(&given.unwrap_or_default()));
    match expected.iter().zip(given.iter()).fold(0, |difference, (a, b)| difference | (a ^ b)) {
        0 => Ok(()),
        _ => {
            let message = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`";
            Err(ApiError::status(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
        }
    }
}

/// A bearer token, or a basic password.
fn credential(header: &str) -> Option<Vec<u8>> {
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().as_bytes().to_vec());
    }
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(value.trim()).ok())??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_few() {
        for good in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:8080"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "[::2]:80",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn keys_come_in_two_ways() {
        assert_eq!(credential("Bearer abc "), Some(b"abc".to_vec()));
        assert_eq!(credential("bearer abc"), Some(b"abc".to_vec()));
        assert_eq!(credential("Basic dXNlcjphYmM6ZA=="), Some(b"abc:d".to_vec()));
        for bad in ["", "abc", "Basic", "Basic dXNlcg==", "Basic ***", "Digest abc"] {
            assert_eq!(credential(bad), None, "{bad}");
        }
    }
}
