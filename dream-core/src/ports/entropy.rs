use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::kernel::Timestamp;

/// Where randomness comes from. In production it is a cryptographic source; only tests put another in its place.
///
/// ```
/// use dream_core::ports::{Entropy, EntropyExt as _};
///
/// /// The kernel's source, read by its file.
/// #[derive(Debug)]
/// struct Urandom;
///
/// impl Entropy for Urandom {
///     fn fill(&self, buffer: &mut [u8]) {
///         use std::io::Read as _;
///         let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(buffer));
///         // Whatever is made of a buffer of zeros could be guessed.
///         read.expect("the kernel gives random bytes");
///     }
/// }
/// assert_ne!(Urandom.token(), Urandom.token());
/// ```
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// What is made out of randomness.
///
/// ```
/// use dream_core::adapters::OsEntropy;
/// use dream_core::kernel::Timestamp;
/// use dream_core::ports::EntropyExt as _;
///
/// assert_eq!(OsEntropy.token().len(), 43, "256 bits");
/// assert_eq!(OsEntropy.alphanumeric(32).len(), 32);
/// let (early, late) = (Timestamp::from_secs(1_769_600_000), Timestamp::from_secs(1_769_600_001));
/// assert!(OsEntropy.uuid_at(early) < OsEntropy.uuid_at(late), "ids in the order of time");
/// ```
pub trait EntropyExt: Entropy {
    /// 256 random bits as 43 characters of base64url.
    fn token(&self) -> String {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// This many random lower-case letters and digits, such as a protocol's nonce.
    fn alphanumeric(&self, length: usize) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
    }

    /// A random UUID (version 4).
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A UUID (version 7) that sorts by its time.
    fn uuid_at(&self, at: Timestamp) -> Uuid {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        let millis = u64::try_from(at.as_micros().div_euclid(1000)).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

impl<E: Entropy + ?Sized> EntropyExt for E {}
