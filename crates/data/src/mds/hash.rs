//! Hashes of shard files, under the names that Python's hashlib and xxhash give them.

use super::MdsError;
use sha2::digest::{Digest, DynDigest};
use std::{fmt, io, str::FromStr};
use xxhash_rust::{xxh3::Xxh3, xxh32::Xxh32, xxh64::Xxh64};

/// A hash that an index may carry for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum HashAlgorithm {
    Xxh3_64,
    Xxh3_128,
    Xxh64,
    Xxh32,
    Sha256,
    Sha1,
    Sha512,
    Sha384,
    Sha224,
    Md5,
}

impl HashAlgorithm {
    /// All that are known, the one to verify first in front: fast ones, then the strong, then the weak.
    pub const ALL: [Self; 10] = [
        Self::Xxh3_64,
        Self::Xxh3_128,
        Self::Xxh64,
        Self::Sha256,
        Self::Sha1,
        Self::Sha512,
        Self::Sha384,
        Self::Sha224,
        Self::Md5,
        Self::Xxh32,
    ];

    /// The name in an index.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xxh3_64 => "xxh3_64",
            Self::Xxh3_128 => "xxh3_128",
            Self::Xxh64 => "xxh64",
            Self::Xxh32 => "xxh32",
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::Sha512 => "sha512",
            Self::Sha384 => "sha384",
            Self::Sha224 => "sha224",
            Self::Md5 => "md5",
        }
    }

    /// Starts a hash.
    #[must_use]
    pub fn start(self) -> Hasher {
        Hasher(match self {
            Self::Xxh3_64 => State::Xxh3_64(Box::default()),
            Self::Xxh3_128 => State::Xxh3_128(Box::default()),
            Self::Xxh64 => State::Xxh64(Xxh64::new(0)),
            Self::Xxh32 => State::Xxh32(Xxh32::new(0)),
            Self::Sha256 => State::Cryptographic(Box::new(sha2::Sha256::new())),
            Self::Sha1 => State::Cryptographic(Box::new(sha1::Sha1::new())),
            Self::Sha512 => State::Cryptographic(Box::new(sha2::Sha512::new())),
            Self::Sha384 => State::Cryptographic(Box::new(sha2::Sha384::new())),
            Self::Sha224 => State::Cryptographic(Box::new(sha2::Sha224::new())),
            Self::Md5 => State::Cryptographic(Box::new(md5::Md5::new())),
        })
    }

    /// Lower-case hexadecimal digest of `bytes`.
    #[must_use]
    pub fn hex(self, bytes: &[u8]) -> String {
        let mut hasher = self.start();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashAlgorithm {
    type Err = MdsError;

    fn from_str(name: &str) -> Result<Self, MdsError> {
        let canonical = if name == "xxh128" { "xxh3_128" } else { name };
        Self::ALL.into_iter().find(|hash| hash.name() == canonical).ok_or_else(|| MdsError::Unsupported {
            what: "hash",
            name: name.into(),
            fix: format!("use one of {}", Self::ALL.map(Self::name).join(", ")),
        })
    }
}

/// A hash under way.
pub struct Hasher(State);

enum State {
    Xxh3_64(Box<Xxh3>),
    Xxh3_128(Box<Xxh3>),
    Xxh64(Xxh64),
    Xxh32(Xxh32),
    Cryptographic(Box<dyn DynDigest + Send>),
}

impl Hasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Xxh3_64(state) | State::Xxh3_128(state) => state.update(bytes),
            State::Xxh64(state) => state.update(bytes),
            State::Xxh32(state) => state.update(bytes),
            State::Cryptographic(state) => state.update(bytes),
        }
    }

    /// Lower-case hexadecimal digest; numbers of the xxHash family in their canonical, big-endian order.
    #[must_use]
    pub fn finish(self) -> String {
        match self.0 {
            State::Xxh3_64(state) => format!("{:016x}", state.digest()),
            State::Xxh3_128(state) => format!("{:032x}", state.digest128()),
            State::Xxh64(state) => format!("{:016x}", state.digest()),
            State::Xxh32(state) => format!("{:08x}", state.digest()),
            State::Cryptographic(state) => hex(&state.finalize()),
        }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests of "abc" as the algorithms' authors publish them (RFC 1321, FIPS 180; xxHash's own test program).
    #[test]
    fn known_digests() {
        let table = [
            (HashAlgorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (HashAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (HashAlgorithm::Xxh32, "32d153ff"),
            (HashAlgorithm::Xxh64, "44bc2cf5ad770999"),
            (HashAlgorithm::Xxh3_64, "78af5f94892f3950"),
            (HashAlgorithm::Xxh3_128, "06b05ab6733a618578af5f94892f3950"),
        ];
        for (algorithm, digest) in table {
            assert_eq!(algorithm.hex(b"abc"), digest, "{algorithm}");
        }
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(algorithm.name().parse::<HashAlgorithm>().unwrap(), algorithm);
        }
        assert_eq!("xxh128".parse::<HashAlgorithm>().unwrap(), HashAlgorithm::Xxh3_128);
        let error = "shake_128".parse::<HashAlgorithm>().unwrap_err().to_string();
        assert!(error.contains("shake_128") && error.contains("xxh3_64"), "{error}");
    }
}
