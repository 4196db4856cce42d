//! What is signed, sealed or merely parsed. The first byte says by whom the rest is read.
//!
//! A fuzzer cannot sign, so it writes what would be signed, and the harness signs it.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dream_core::adapters::OsEntropy;
use dream_core::adapters::wechat_pay::certificate::{PlatformCertificate, read_list};
use dream_core::adapters::wechat_pay::cipher::ApiV3Key;
use dream_core::adapters::wechat_pay::{WeChatPay, bill, trouble};
use dream_core::kernel::{
    CharacterId, Day, FavoriteId, GenerationId, IdempotencyKey, ImageId, JobId, KeyName, Limit, OrderId,
    PhotoId, PlanId, RefundId, RequestId, TemplateId, Timestamp, UserId,
};
use dream_core::ports::{PayChannel, SignedNotify};
use dream_core::protocol::encrypted_data::EncryptedData;
use dream_core::protocol::message_push::{PushQuery, PushReceiver};
use dream_core::protocol::signature::hmac_sha256_hex;
use dream_core::protocol::token::{MAX_TOKEN_LEN, TokenFault, TokenSigner};
use dream_core::protocol::webhook::{WebhookFault, WebhookVerifier};
use dream_core::trace::TraceContext;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::wechat_pay::{FakeWeChatPay, WeChatPayOptions};
use secrecy::SecretString;
use serde_json::Value;
use tokio::runtime::Runtime;

/// The time of the test keys: 2026-01-01 10:00 in Shanghai.
const NOW: Timestamp = Timestamp::from_secs(1_767_232_800);
/// Those of the test vectors, so that tokens and messages of theirs are good seeds.
const JWT_SECRET: &str = "DV9HFmWJ4DL2a2ZfCuWfsntoELrgRqd6DBlBCe60wmmPgaGr";
const WEBHOOK_SECRET: &str = "3sXsUA2iPokSAIU4uOGbJ3IvlgNs8dT81LCcVUcH";
const PUSH_TOKEN: &str = "dUfWjjYsieudTSvt";
const PUSH_KEY: &str = "xgCiQVL1LhC5ORg9OBqKvsv2yhmh70C2A9v2UogXYJG";
const APPID: &str = "wx8f3c2d71a0b9e456";
const SESSION_KEY: &str = "X7kPuegWzuH67XaFGRbGXg==";

static READERS: LazyLock<Readers> = LazyLock::new(Readers::start);

/// Builds what the parsers need, once.
pub fn init() {
    LazyLock::force(&READERS);
}

/// Checks one input; whether it belongs into a corpus.
///
/// # Panics
/// If an invariant of a parser is broken.
pub fn check(data: &[u8]) -> bool {
    match data.split_first() {
        Some((reader, rest)) => READERS.read(*reader, rest),
        None => false,
    }
}

struct Readers {
    runtime: Runtime,
    platform: FakeWeChatPay,
    pay: WeChatPay,
    api_v3_key: ApiV3Key,
    push: PushReceiver,
    webhook: WebhookVerifier,
    tokens: TokenSigner,
}

impl Readers {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let clock = Arc::new(TestClock::at(NOW));
        let options = WeChatPayOptions::new(clock.clone());
        let api_v3_key = ApiV3Key::new(&secret(&options.api_v3_key)).expect("a key");
        let platform = runtime.block_on(FakeWeChatPay::start(options)).expect("a port");
        let config = platform.config("https://dream.test/paid", "https://dream.test/refunded");
        let pay = WeChatPay::new(config, clock, Arc::new(OsEntropy)).expect("a merchant");
        let push = PushReceiver::new(APPID, secret(PUSH_TOKEN), Some(&secret(PUSH_KEY))).expect("a receiver");
        let webhook = WebhookVerifier::new(&secret(WEBHOOK_SECRET)).expect("a verifier");
        let tokens = TokenSigner::new(&secret(JWT_SECRET)).expect("a signer");
        Self { runtime, platform, pay, api_v3_key, push, webhook, tokens }
    }

    fn read(&self, reader: u8, data: &[u8]) -> bool {
        let text = std::str::from_utf8(data);
        match (reader, text) {
            (b'P', Ok(text)) => return self.payment(text),
            (b'R', Ok(text)) => return self.refund(text),
            (b'N', _) => self.notify(data),
            (b'M', Ok(text)) => self.message(text),
            (b'W', _) => self.webhook(data),
            (b'T', Ok(text)) => self.token(text),
            (b'C', _) => self.claims(data),
            (b'E', Ok(text)) => encrypted(text),
            (b'B', _) => drop(bill::parse(data)),
            (b'L', _) => drop(read_list(data, &self.api_v3_key, NOW)),
            (b'K', _) => drop(PlatformCertificate::from_pem(data)),
            (b'F', _) => {
                let status = 300 + u16::from(data.first().copied().unwrap_or_default());
                let rest = data.get(1..).unwrap_or_default();
                assert!(!trouble::classify(status, rest, None).message.is_empty());
            }
            (b'S', Ok(text)) => trace(text),
            (b'I', Ok(text)) => words(text),
            _ => return false,
        }
        true
    }

    /// The content of a notify about a payment.
    fn payment(&self, text: &str) -> bool {
        let Ok(content) = serde_json::from_str::<Value>(text) else { return false };
        let notify = self.platform.seal("TRANSACTION.SUCCESS", &content, None);
        self.runtime.block_on(async {
            drop(self.pay.payment_notify(&notify).await);
            assert!(self.pay.refund_notify(&notify).await.is_err(), "a payment is no refund");
        });
        true
    }

    /// The content of a notify about a refund.
    fn refund(&self, text: &str) -> bool {
        let Ok(content) = serde_json::from_str::<Value>(text) else { return false };
        let notify = self.platform.seal("REFUND.SUCCESS", &content, None);
        self.runtime.block_on(async {
            drop(self.pay.refund_notify(&notify).await);
            assert!(self.pay.payment_notify(&notify).await.is_err(), "a refund is no payment");
        });
        true
    }

    /// A notify as it stands, headers and body with an empty line between. Nobody signed it.
    fn notify(&self, data: &[u8]) {
        let (head, body) = halves(data, b"\n\n");
        let head = String::from_utf8_lossy(head);
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let notify = SignedNotify::new(headers, body.to_vec());
        self.runtime.block_on(async {
            drop(self.pay.payment_notify(&notify).await);
            drop(self.pay.refund_notify(&notify).await);
        });
    }

    /// A pushed message behind a line with its timestamp, nonce and kind of encryption.
    fn message(&self, text: &str) {
        let (line, message) = text.split_once('\n').unwrap_or((text, ""));
        let mut parts = line.split(' ');
        let (timestamp, nonce) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let encrypt_type = parts.next();
        let sealed = self.push.seal([7; 16], timestamp, nonce, message).expect("there is a key");
        let query = PushQuery {
            signature: &sealed.signature,
            timestamp,
            nonce,
            echostr: Some(message),
            msg_signature: Some(&sealed.msg_signature),
            encrypt_type,
        };
        assert_eq!(self.push.echo(&query), Ok(message));
        assert_eq!(self.push.open_text(&query, sealed.body.as_bytes()).as_deref(), Ok(message));
        let opened = self.push.open(&query, sealed.body.as_bytes());
        // In plain, if it is plain and nothing else.
        if encrypt_type.is_none()
            && let Ok(plain) = self.push.open_text(&query, message.as_bytes())
            && plain == message
        {
            assert_eq!(self.push.open(&query, message.as_bytes()), opened);
        }
        let forged = PushQuery { signature: nonce, msg_signature: Some(timestamp), ..query };
        assert!(self.push.echo(&forged).is_err());
        assert!(self.push.open(&forged, sealed.body.as_bytes()).is_err());
        assert!(self.push.open(&forged, message.as_bytes()).is_err());
    }

    /// The body of a webhook.
    fn webhook(&self, body: &[u8]) {
        let signature = self.webhook.sign(body);
        let opened = self.webhook.open(Some(signature.as_bytes()), body);
        assert_ne!(opened, Err(WebhookFault::Signature));
        assert_eq!(self.webhook.open(Some(body), body), Err(WebhookFault::Signature));
    }

    /// A token as it stands.
    fn token(&self, token: &str) {
        let Ok(claims) = self.tokens.verify(token, NOW) else { return };
        // Written anew it may grow, and a very long one is not looked at.
        if claims.sub.len() + claims.family.as_ref().map_or(0, String::len) > MAX_TOKEN_LEN / 8 {
            return;
        }
        let again = self.tokens.sign(&claims).expect("somebody's");
        let again = match self.tokens.verify(&again, NOW) {
            Ok(again) => again,
            // Its end was cut to whole seconds.
            Err(TokenFault::Expired) => return,
            Err(TokenFault::Invalid) => panic!("a token that was just made is not valid"),
        };
        assert_eq!((again.sub, again.family), (claims.sub, claims.family));
        assert_eq!((again.iat.as_secs(), again.exp.as_secs()), (claims.iat.as_secs(), claims.exp.as_secs()));
    }

    /// The claims of a token that is signed well.
    fn claims(&self, claims: &[u8]) {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let tag = hex::decode(hmac_sha256_hex(&secret(JWT_SECRET), signed.as_bytes())).expect("hex");
        self.token(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)));
    }
}

/// `encryptedData` behind a line with its `iv`.
fn encrypted(text: &str) {
    let (iv, data) = text.split_once('\n').unwrap_or((text, ""));
    let sealed = EncryptedData { data, iv };
    let key = secret(SESSION_KEY);
    drop(sealed.phone(&key, APPID, NOW));
    drop(sealed.user_info(&key, APPID, "oqTGKc7Yrff7VTXdwTsNe9ygLvoX", NOW));
}

fn trace(text: &str) {
    let Some(context) = TraceContext::parse(text) else { return };
    let printed = context.to_string();
    assert_eq!(TraceContext::parse(&printed), Some(context), "{printed}");
}

/// Whatever reads this text prints it so that it reads the same again.
fn words(text: &str) {
    same_again::<JobId>(text);
    same_again::<OrderId>(text);
    same_again::<RefundId>(text);
    same_again::<PlanId>(text);
    same_again::<TemplateId>(text);
    same_again::<KeyName>(text);
    same_again::<RequestId>(text);
    same_again::<IdempotencyKey>(text);
    same_again::<UserId>(text);
    same_again::<GenerationId>(text);
    same_again::<ImageId>(text);
    same_again::<FavoriteId>(text);
    same_again::<CharacterId>(text);
    same_again::<PhotoId>(text);
    same_again::<Day>(text);
    drop(text.parse::<Limit>());
    if let Ok(at) = text.parse::<Timestamp>() {
        // It is printed in milliseconds.
        let printed = at.to_string();
        let again: Timestamp = printed.parse().expect("what was printed");
        assert_eq!(again.to_string(), printed);
    }
}

fn same_again<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let printed = value.to_string();
    assert_eq!(printed.parse().ok(), Some(value), "{printed:?}");
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

/// What stands before the mark, and what behind it.
fn halves<'a>(data: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    match data.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&data[..at], &data[at + mark.len()..]),
        None => (data, &[]),
    }
}
