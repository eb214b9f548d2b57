//! Tokens that carry their provider's mark. Forms as the providers document them, and as detect-secrets (Yelp) and
//! GitHub's secret scanning know them.

use super::{
    super::bounds::{at, before, is_word, run},
    entropy,
};

/// What the body of a token is made of.
#[derive(Clone, Copy)]
enum Body {
    /// Letters and digits.
    Alphanumeric,
    /// Capital letters and digits 2 to 7.
    Base32,
    /// Letters, digits, `-` and `_`.
    Url,
    /// Letters, digits, `+` and `/`, two `=` at the end.
    Base64,
    /// Digits and letters a to f.
    Hexadecimal,
    /// Anything without white space or quotation marks, in parts set apart by a slash.
    Path,
    /// Three parts of Base64 for URLs, the second a JSON object too.
    Jwt,
    /// Two parts for URLs, of 22 and 43.
    SendGrid,
    /// Lines up to the `-----END` of a private key.
    PrivateKey,
}

/// A provider's token.
pub(super) struct Token {
    /// What it begins with, in this case.
    pub(super) prefix: &'static str,
    body: Body,
    /// Shortest and longest body.
    length: (usize, usize),
}

const fn token(prefix: &'static str, body: Body, shortest: usize, longest: usize) -> Token {
    Token { prefix, body, length: (shortest, longest) }
}

/// Where one prefix begins another, the longer one stands first.
pub(super) const TOKENS: &[Token] = &[
    // Amazon Web Services: access key ids; the secret ones have no mark, and are found by the name they are assigned to.
    token("AKIA", Body::Base32, 16, 16),
    token("ASIA", Body::Base32, 16, 16),
    // GitHub.
    token("ghp_", Body::Alphanumeric, 36, 251),
    token("gho_", Body::Alphanumeric, 36, 251),
    token("ghu_", Body::Alphanumeric, 36, 251),
    token("ghs_", Body::Alphanumeric, 36, 251),
    token("ghr_", Body::Alphanumeric, 36, 251),
    token("github_pat_", Body::Url, 60, 251),
    // GitLab.
    token("glpat-", Body::Url, 20, 300),
    token("gldt-", Body::Url, 20, 64),
    token("glrt-", Body::Url, 20, 64),
    // Slack.
    token("xoxa-", Body::Url, 20, 255),
    token("xoxb-", Body::Url, 20, 255),
    token("xoxp-", Body::Url, 20, 255),
    token("xoxr-", Body::Url, 20, 255),
    token("xoxs-", Body::Url, 20, 255),
    token("xapp-", Body::Url, 20, 255),
    token("hooks.slack.com/services/", Body::Path, 30, 100),
    // Stripe.
    token("sk_live_", Body::Alphanumeric, 16, 255),
    token("rk_live_", Body::Alphanumeric, 16, 255),
    token("sk_test_", Body::Alphanumeric, 16, 255),
    token("rk_test_", Body::Alphanumeric, 16, 255),
    token("whsec_", Body::Alphanumeric, 24, 64),
    // Google.
    token("AIza", Body::Url, 35, 35),
    token("GOCSPX-", Body::Url, 28, 28),
    // Anthropic, OpenAI, Hugging Face.
    token("sk-ant-", Body::Url, 32, 200),
    token("sk-proj-", Body::Url, 32, 255),
    token("sk-svcacct-", Body::Url, 32, 255),
    token("sk-", Body::Alphanumeric, 40, 64),
    token("hf_", Body::Alphanumeric, 34, 40),
    // Registries of packages.
    token("npm_", Body::Alphanumeric, 36, 36),
    token("pypi-AgE", Body::Url, 50, 1000),
    // Others.
    token("SG.", Body::SendGrid, 66, 66),
    token("AccountKey=", Body::Base64, 88, 88),
    token("dop_v1_", Body::Hexadecimal, 64, 64),
    token("dapi", Body::Hexadecimal, 32, 32),
    token("shpat_", Body::Hexadecimal, 32, 32),
    token("sq0csp-", Body::Url, 43, 43),
    token("eyJ", Body::Jwt, 20, 8000),
    token("-----BEGIN ", Body::PrivateKey, 40, 20_000),
];

impl Token {
    /// The token that begins at a place.
    pub(super) fn find(&self, bytes: &[u8], start: usize) -> Option<(usize, usize)> {
        let body = start + self.prefix.len();
        if &bytes[start..body] != self.prefix.as_bytes() {
            return None;
        }
        let previous = before(bytes, start);
        let (shortest, longest) = self.length;
        let end = match self.body {
            Body::PrivateKey => return private_key(bytes, start, body, longest),
            _ if is_word(previous) || matches!(previous, b'-' | b'/' | b'+') && !matches!(self.body, Body::Path) => {
                return None;
            }
            Body::Alphanumeric => run(bytes, body, longest + 1, |byte| byte.is_ascii_alphanumeric()),
            Body::Base32 => run(bytes, body, longest + 1, |byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')),
            Body::Hexadecimal => run(bytes, body, longest + 1, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            Body::Url => run(bytes, body, longest + 1, is_url),
            Body::Path => run(bytes, body, longest + 1, |byte| byte.is_ascii_alphanumeric() || byte == b'/'),
            Body::Base64 => {
                run(bytes, body, longest + 1, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
            }
            Body::SendGrid => run(bytes, body, longest + 1, |byte| is_url(byte) || byte == b'.'),
            Body::Jwt => jwt(bytes, start, longest)?,
        };
        let content = &bytes[body..end];
        let whole = (shortest..=longest).contains(&content.len()) && !is_word(at(bytes, end));
        let fits = match self.body {
            Body::SendGrid => content.get(22) == Some(&b'.'),
            Body::Base64 => content.ends_with(b"=="),
            _ => true,
        };
        (whole && fits && is_random(content)).then_some((start, end))
    }
}

fn is_url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// Neither a filler such as `xxxx…`, nor the provider's example, nor words.
fn is_random(body: &[u8]) -> bool {
    entropy::bits(body) > 2.8
        && !body.ends_with(b"EXAMPLE")
        && body.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The end of a token of three parts, the first two of which are objects (`{"` in Base64).
fn jwt(bytes: &[u8], start: usize, longest: usize) -> Option<usize> {
    let header = run(bytes, start, longest, is_url);
    if !bytes[header..].starts_with(b".eyJ") || header - start < 12 {
        return None;
    }
    let claims = run(bytes, header + 1, longest, is_url);
    let signature = (at(bytes, claims) == b'.').then(|| run(bytes, claims + 1, longest, is_url))?;
    (signature - claims > 16).then_some(signature)
}

/// From `-----BEGIN … PRIVATE KEY…-----` to the dashes after its end; to where Base64 ends if that is cut off.
fn private_key(bytes: &[u8], start: usize, body: usize, longest: usize) -> Option<(usize, usize)> {
    let label_end = run(bytes, body, 40, |byte| byte.is_ascii_uppercase() || byte == b' ');
    let label = &bytes[body..label_end];
    let content = label_end + 5;
    if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK"))
        || !bytes[label_end..].starts_with(b"-----")
    {
        return None;
    }
    let limit = bytes.len().min(content + longest);
    let rest = &bytes[content..limit];
    match memchr::memmem::find(rest, b"-----END ") {
        Some(at) => {
            let closing = content + at + b"-----END ".len();
            let dashes = run(bytes, closing, 40, |byte| byte.is_ascii_uppercase() || byte == b' ');
            // A document about keys has words between the two.
            let is_key = rest[..at].iter().filter(|byte| byte.is_ascii_alphanumeric()).count() >= 40;
            is_key.then(|| (start, run(bytes, dashes, 5, |byte| byte == b'-')))
        }
        None => {
            let end = run(bytes, content, longest, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b'\\')
            });
            (end - content >= 64).then_some((start, end))
        }
    }
}
