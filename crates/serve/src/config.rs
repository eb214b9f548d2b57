//! Where and how to serve.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of a server.
#[derive(Clone)]
pub struct ServeConfig {
    /// Where to listen. Addresses other machines can reach need an `api_key`.
    pub address: SocketAddr,
    /// The name under which clients ask for the model: up to 96 letters, digits, `.`, `_` and `-`.
    pub model_name: String,
    /// A secret that every request but those to `/health` must bring, as `Authorization: Bearer KEY` or as the password
    /// of `Authorization: Basic`, which is how a browser asks for it.
    pub api_key: Option<String>,
    /// Requests that may wait beyond one for each of the engine's slots; others get 429.
    pub queue: usize,
    /// How long a stopping server lets requests finish.
    pub drain: Duration,
    /// How long one step of the engine may take before `/health` says that it hangs.
    pub stall: Duration,
    /// `system_fingerprint` of all answers: should change with whatever may change them (model, kernels, version).
    pub fingerprint: String,
}

impl ServeConfig {
    /// Port 8080 of this machine alone, without a key; 64 requests may wait.
    pub fn new(model_name: impl Into<String>) -> Self {
        ServeConfig {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            model_name: model_name.into(),
            api_key: None,
            queue: 64,
            drain: Duration::from_secs(30),
            stall: Duration::from_secs(120),
            fingerprint: format!("moeworks-{}", env!("CARGO_PKG_VERSION")),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ServeError> {
        let name = &self.model_name;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 96 || name.starts_with('.') || !name.chars().all(allowed) {
            return Err(ServeError::ModelName { name: name.clone() });
        }
        match &self.api_key {
            None if !self.address.ip().is_loopback() => Err(ServeError::KeyNeeded { address: self.address }),
            Some(key) if key.len() < 16 || !key.chars().all(|c| c.is_ascii_graphic()) => Err(ServeError::WeakKey),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for ServeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeConfig")
            .field("address", &self.address)
            .field("model_name", &self.model_name)
            .field("api_key", &self.api_key.as_ref().map(|_| "set"))
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Why a server could not be started or kept up.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A name that cannot be in a path or a log.
    #[error(
        "model name {name:?}: must be 1 to 96 letters, digits, '.', '_' or '-', and not begin with '.'; choose another \
         name to serve the model under"
    )]
    ModelName {
        /// The name.
        name: String,
    },
    /// An address that others can reach, without a key.
    #[error(
        "{address} can be reached from other machines, and no API key is set; set one, or listen on 127.0.0.1 (a \
         reverse proxy or an SSH tunnel can lead there)"
    )]
    KeyNeeded {
        /// The address.
        address: SocketAddr,
    },
    /// A key that can be guessed.
    #[error(
        "the API key must be at least 16 printable ASCII characters without spaces; `openssl rand -hex 32` makes one"
    )]
    WeakKey,
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The system refused a thread or a signal handler.
    #[error("cannot start the server: {0}")]
    Start(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_open_or_ambiguous_is_refused() {
        let good = ServeConfig::new("my-model_1.0");
        assert!(good.check().is_ok());
        let open = ServeConfig { address: SocketAddr::from(([0, 0, 0, 0], 80)), ..good.clone() };
        assert!(matches!(open.check(), Err(ServeError::KeyNeeded { .. })));
        let key = Some("0123456789abcdef".to_string());
        assert!(ServeConfig { api_key: key.clone(), ..open.clone() }.check().is_ok());
        for key in ["", "short", "0123456789 abcdef", "0123456789abcdéf"] {
            let config = ServeConfig { api_key: Some(key.into()), ..open.clone() };
            assert!(matches!(config.check(), Err(ServeError::WeakKey)), "{key:?}");
        }
        for name in ["", ".hidden", "a/b", "a b", "..", "é", "a\0", &"x".repeat(97)] {
            let config = ServeConfig { model_name: name.into(), ..good.clone() };
            assert!(matches!(config.check(), Err(ServeError::ModelName { .. })), "{name:?}");
        }
        assert!(!format!("{:?}", ServeConfig { api_key: key, ..good }).contains("0123"));
    }
}
