//! The arithmetic of the mini-program protocol, from the sending side.

use aws_lc_rs::cipher::{
    AES_128, AES_256, EncryptingKey, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Block that the padding of pushed messages fills, in bytes.
const PUSH_BLOCK: usize = 32;

/// `hex(SHA1(sorted parts, joined))`: the signature of the message push.
pub(super) fn push_signature(parts: &mut [&str]) -> String {
    parts.sort_unstable();
    hex::encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes()))
}

/// The 32 bytes behind an `EncodingAESKey` of 43 characters, whose last one may have spare bits set.
pub(super) fn push_key(encoding_aes_key: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let key = GeneralPurpose::new(&alphabet::STANDARD, config).decode(format!("{encoding_aes_key}=")).ok()?;
    (key.len() == 32).then_some(key)
}

/// A pushed message in safe mode: 16 random bytes, length, message, appid; AES-256-CBC under the key, whose first
/// half is the IV. `None` if the key is none.
pub(super) fn seal_push(key: &[u8], random: [u8; 16], message: &str, appid: &str) -> Option<String> {
    let mut text = random.to_vec();
    text.extend(u32::try_from(message.len()).ok()?.to_be_bytes());
    text.extend(message.as_bytes());
    text.extend(appid.as_bytes());
    let pad = PUSH_BLOCK - text.len() % PUSH_BLOCK;
    text.extend(std::iter::repeat_n(u8::try_from(pad).ok()?, pad));
    let iv: [u8; 16] = key.get(..16)?.try_into().ok()?;
    let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    cipher.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(STANDARD.encode(text))
}

/// `encryptedData` as the client gets it: AES-128-CBC under the session key. `None` if the key is none.
pub(super) fn seal_data(session_key: &str, iv: [u8; 16], plain: &str) -> Option<String> {
    let key = STANDARD.decode(session_key).ok()?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key).ok()?).ok()?;
    let mut text = plain.as_bytes().to_vec();
    cipher.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(STANDARD.encode(text))
}

/// What `checksession` wants to see: the session key's text as the key of an HMAC over nothing.
pub(super) fn session_signature(session_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.as_bytes());
    hex::encode(hmac::sign(&key, b""))
}

/// An openid or unionid of 28 characters that is always the same for the same seed.
pub(super) fn stable_openid(seed: &str) -> String {
    let hash = digest::digest(&digest::SHA256, seed.as_bytes());
    let text = URL_SAFE_NO_PAD.encode(hash);
    format!("o{}", text.get(..27).unwrap_or(&text))
}

/// A session key that is always the same for the same seed.
pub(super) fn stable_session_key(seed: &str) -> String {
    let hash = digest::digest(&digest::SHA256, seed.as_bytes());
    STANDARD.encode(&hash.as_ref()[..16])
}
