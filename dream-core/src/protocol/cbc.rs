use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

const BLOCK: usize = 16;

fn algorithm(key: &[u8]) -> Option<&'static Algorithm> {
    match key.len() {
        16 => Some(&AES_128),
        32 => Some(&AES_256),
        _ => None,
    }
}

/// Decrypts AES-CBC and takes the PKCS#7 padding off, whose block may be larger than the cipher's.
pub(super) fn decrypt(key: &[u8], iv: &[u8], ciphertext: &[u8], pad_block: u8) -> Option<Vec<u8>> {
    let iv: [u8; BLOCK] = iv.try_into().ok()?;
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK) {
        return None;
    }
    let key = DecryptingKey::cbc(UnboundCipherKey::new(algorithm(key)?, key).ok()?).ok()?;
    let mut bytes = ciphertext.to_vec();
    let plain = key.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    let pad = *plain.last()?;
    let text = plain.len().checked_sub(usize::from(pad))?;
    let padded_well = (1..=pad_block).contains(&pad) && plain[text..].iter().all(|&byte| byte == pad);
    padded_well.then(|| plain[..text].to_vec())
}

/// The opposite of [`decrypt`].
pub(super) fn encrypt(key: &[u8], iv: &[u8], plain: &[u8], pad_block: u8) -> Option<Vec<u8>> {
    let iv: [u8; BLOCK] = iv.try_into().ok()?;
    let key = EncryptingKey::cbc(UnboundCipherKey::new(algorithm(key)?, key).ok()?).ok()?;
    let pad = usize::from(pad_block) - plain.len() % usize::from(pad_block);
    let mut bytes = plain.to_vec();
    bytes.resize(plain.len() + pad, u8::try_from(pad).ok()?);
    key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(bytes)
}
