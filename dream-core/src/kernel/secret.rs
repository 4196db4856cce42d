//! Keys derived from the one secret, and values sealed under them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::ports::Entropy;

/// Bytes that only the holder of the secret can open.
///
/// ```
/// use dream_core::kernel::SealedBox;
///
/// let stored = SealedBox::from_bytes(vec![1, 2, 3]);
/// assert_eq!(stored.as_bytes(), [1, 2, 3]);
/// assert_eq!(format!("{stored:?}"), "SealedBox", "it can be logged");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBox(Vec<u8>);

impl std::fmt::Debug for SealedBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedBox")
    }
}

impl SealedBox {
    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes that were stored before.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Seals short secrets that must survive a restart, such as a tenant's own upstream key, with AES-256-GCM.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.forward_upstream_auth = true), async |world| {
/// use dream_core::jobs::UpstreamCredential;
/// # use dream_testkit::world::polished;
///
/// # let me = world.alice().await.session().await;
/// // A caller's own key has to outlive a restart until its job was submitted, so it is stored, sealed.
/// let credential = UpstreamCredential::new("Bearer sk-of-the-tenant".to_owned()).unwrap();
/// let job = me.generate(&polished("a cat", 1), None, Some(&credential)).await?.job_id;
/// # let stored = world.database().texts("SELECT upstream_key FROM generations").await;
/// # let _ = (&stored, job);
/// assert!(stored.iter().all(|text| !text.contains("tenant")));
/// # world.settle().await;
/// # Ok(())
/// # });
/// ```
pub struct Sealer {
    key: LessSafeKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// A key for one purpose, derived from the secret, so that no two purposes share a key.
pub(crate) fn derive(secret: &SecretString, purpose: &str) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hmac::sign(&key, purpose.as_bytes())
}

impl Sealer {
    pub(crate) fn new(secret: &SecretString) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, derive(secret, "dream/seal/v1").as_ref()).ok()?;
        Some(Self { key: LessSafeKey::new(key) })
    }

    /// Seals the text for the named purpose.
    pub fn seal(&self, entropy: &dyn Entropy, purpose: &str, text: &SecretString) -> Option<SealedBox> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut bytes = text.expose_secret().as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut bytes,
            )
            .ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        Some(SealedBox(sealed))
    }

    /// Opens what was sealed for the same purpose under the same secret.
    pub fn open(&self, purpose: &str, sealed: &SealedBox) -> Option<SecretString> {
        let (nonce, rest) = sealed.0.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = rest.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut bytes).ok()?;
        Some(SecretString::from(std::str::from_utf8(plain).ok()?))
    }
}
