//! Bytes from strangers must never cause more than a refusal.

use dream_core::kernel::Timestamp;
use dream_core::protocol::encrypted_data::EncryptedData;
use dream_core::protocol::message_push::{PushQuery, PushReceiver};
use dream_core::protocol::token::TokenSigner;
use dream_core::protocol::webhook::WebhookVerifier;
use proptest::collection::vec;
use proptest::prelude::*;
use secrecy::SecretString;

const NOW: Timestamp = Timestamp::from_secs(1_767_232_800);

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_token_but_ours_is_accepted(token in r"[A-Za-z0-9_\-=. ]{0,200}|\PC{0,80}") {
        let signer = TokenSigner::new(&SecretString::from("x".repeat(32))).unwrap();
        prop_assert!(signer.verify(&token, NOW).is_err());
    }

    #[test]
    fn no_encrypted_data_breaks_the_reader(
        data in r"[A-Za-z0-9+/]{0,256}={0,2}",
        iv in r"[A-Za-z0-9+/]{22}==|\PC{0,30}",
        key in r"[A-Za-z0-9+/]{22}==|\PC{0,30}",
    ) {
        let sealed = EncryptedData { data: &data, iv: &iv };
        prop_assert!(sealed.open(&SecretString::from(key), "wx", NOW).is_err());
    }

    #[test]
    fn no_signed_webhook_body_breaks_the_reader(body in vec(any::<u8>(), 0..200), header in vec(any::<u8>(), 0..80)) {
        let verifier = WebhookVerifier::new(&SecretString::from("secret")).unwrap();
        prop_assert!(verifier.open(Some(&header), &body).is_err());
        prop_assert!(verifier.open(Some(verifier.sign(&body).as_bytes()), &body).is_err());
    }

    #[test]
    fn no_signed_push_breaks_the_reader(encrypt in r"[A-Za-z0-9+/]{0,256}={0,2}", body in vec(any::<u8>(), 0..200)) {
        let key = SecretString::from("xgCiQVL1LhC5ORg9OBqKvsv2yhmh70C2A9v2UogXYJG");
        let receiver = PushReceiver::new("wx", SecretString::from("token"), Some(&key)).unwrap();
        let (signature, msg_signature) = (receiver.sign(&["1", "2"]), receiver.sign(&["1", "2", &encrypt]));
        let query = PushQuery {
            signature: &signature,
            timestamp: "1",
            nonce: "2",
            msg_signature: Some(&msg_signature),
            ..PushQuery::default()
        };
        let envelope = format!(r#"{{"Encrypt":"{encrypt}"}}"#);
        prop_assert!(receiver.open(&query, envelope.as_bytes()).is_err());
        let _ = receiver.open(&query, &body);
    }
}
