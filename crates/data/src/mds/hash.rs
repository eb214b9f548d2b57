//! Hashes of shard files, under the names that Python's hashlib and xxhash give them.

use super::MdsError;
use sha2::digest::DynDigest;
use std::{fmt, io, str::FromStr};
use xxhash_rust::{xxh3::Xxh3, xxh32::Xxh32, xxh64::Xxh64};

/// A hash that an index may carry for a shard: what the reference takes, which is hashlib's guaranteed algorithms except
/// those without a fixed length (shake), and those of xxhash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum HashAlgorithm {
    Xxh3_64,
    Xxh3_128,
    /// [`Self::Xxh3_128`] under its other name, which stands in an index as it is.
    Xxh128,
    Xxh64,
    Xxh32,
    Sha256,
    Sha1,
    Blake2b,
    Blake2s,
    Sha512,
    Sha384,
    Sha224,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
    Md5,
}

impl HashAlgorithm {
    /// All that are known, the one to verify first in front: fast ones, then the strong, then the weak.
    pub const ALL: [Self; 17] = [
        Self::Xxh3_64,
        Self::Xxh3_128,
        Self::Xxh128,
        Self::Xxh64,
        Self::Sha256,
        Self::Sha1,
        Self::Blake2b,
        Self::Blake2s,
        Self::Sha512,
        Self::Sha384,
        Self::Sha224,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Md5,
        Self::Xxh32,
    ];

    /// The name in an index.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xxh3_64 => "xxh3_64",
            Self::Xxh3_128 => "xxh3_128",
            Self::Xxh128 => "xxh128",
            Self::Xxh64 => "xxh64",
            Self::Xxh32 => "xxh32",
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::Blake2b => "blake2b",
            Self::Blake2s => "blake2s",
            Self::Sha512 => "sha512",
            Self::Sha384 => "sha384",
            Self::Sha224 => "sha224",
            Self::Sha3_224 => "sha3_224",
            Self::Sha3_256 => "sha3_256",
            Self::Sha3_384 => "sha3_384",
            Self::Sha3_512 => "sha3_512",
            Self::Md5 => "md5",
        }
    }

    /// Starts a hash.
    #[must_use]
    pub fn start(self) -> Hasher {
        Hasher(match self {
            Self::Xxh3_64 => State::Xxh3_64(Box::default()),
            Self::Xxh3_128 | Self::Xxh128 => State::Xxh3_128(Box::default()),
            Self::Xxh64 => State::Xxh64(Xxh64::new(0)),
            Self::Xxh32 => State::Xxh32(Xxh32::new(0)),
            Self::Sha256 => State::cryptographic::<sha2::Sha256>(),
            Self::Sha1 => State::cryptographic::<sha1::Sha1>(),
            Self::Blake2b => State::cryptographic::<blake2::Blake2b512>(),
            Self::Blake2s => State::cryptographic::<blake2::Blake2s256>(),
            Self::Sha512 => State::cryptographic::<sha2::Sha512>(),
            Self::Sha384 => State::cryptographic::<sha2::Sha384>(),
            Self::Sha224 => State::cryptographic::<sha2::Sha224>(),
            Self::Sha3_224 => State::cryptographic::<sha3::Sha3_224>(),
            Self::Sha3_256 => State::cryptographic::<sha3::Sha3_256>(),
            Self::Sha3_384 => State::cryptographic::<sha3::Sha3_384>(),
            Self::Sha3_512 => State::cryptographic::<sha3::Sha3_512>(),
            Self::Md5 => State::cryptographic::<md5::Md5>(),
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
        Self::ALL.into_iter().find(|hash| hash.name() == name).ok_or_else(|| MdsError::Unsupported {
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

impl State {
    fn cryptographic<D: DynDigest + Default + Send + 'static>() -> Self {
        Self::Cryptographic(Box::<D>::default())
    }
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

    /// Digests of "abc" as the algorithms' authors publish them (RFC 1321, FIPS 180, FIPS 202, RFC 7693; xxHash's
    /// own test program).
    #[test]
    fn known_digests() {
        let table = [
            (HashAlgorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (HashAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (HashAlgorithm::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            (
                HashAlgorithm::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163\
                 1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                HashAlgorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (HashAlgorithm::Blake2s, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),
            (
                HashAlgorithm::Blake2b,
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
                 7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
            ),
            (HashAlgorithm::Sha3_224, "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
            (HashAlgorithm::Sha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
            (
                HashAlgorithm::Sha3_384,
                "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c25\
                 96da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
            ),
            (
                HashAlgorithm::Sha3_512,
                "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e\
                 10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
            ),
            (HashAlgorithm::Xxh32, "32d153ff"),
            (HashAlgorithm::Xxh64, "44bc2cf5ad770999"),
            (HashAlgorithm::Xxh3_64, "78af5f94892f3950"),
            (HashAlgorithm::Xxh3_128, "06b05ab6733a618578af5f94892f3950"),
            (HashAlgorithm::Xxh128, "06b05ab6733a618578af5f94892f3950"),
        ];
        assert_eq!(table.len(), HashAlgorithm::ALL.len());
        for (algorithm, digest) in table {
            assert_eq!(algorithm.hex(b"abc"), digest, "{algorithm}");
        }
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(algorithm.name().parse::<HashAlgorithm>().unwrap(), algorithm);
        }
        let error = "shake_128".parse::<HashAlgorithm>().unwrap_err().to_string();
        assert!(error.contains("shake_128") && error.contains("xxh3_64"), "{error}");
    }
}
