use dream_core::protocol::signature::{hmac_sha256_hex, pay_sig, same};
use secrecy::SecretString;

use crate::{cases, text, vectors};

#[test]
fn every_vector_has_the_signature_it_says() {
    let file = vectors!("hmac-signatures");
    for (id, case) in cases(&file, "cases") {
        let key = SecretString::from(text(case, "key_text"));
        let message = text(case, "message");
        let expected = text(&case["expect"], "signature");
        assert_eq!(hmac_sha256_hex(&key, message.as_bytes()), expected, "{id}");
        if let Some((path, body)) = message.split_once('&').filter(|(path, _)| !path.contains('{')) {
            assert_eq!(pay_sig(&key, path, body), expected, "{id}");
        }
    }
}

#[test]
fn only_equal_bytes_are_the_same() {
    assert!(same(b"", b"") && same(b"ab", b"ab"));
    assert!(!same(b"ab", b"ac") && !same(b"ab", b"abc"));
}
