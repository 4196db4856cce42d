//! WeChat's message push: the URL check, and messages in plain or encrypted form, in JSON.
//!
//! An encrypted message is AES-256-CBC under the `EncodingAESKey`, PKCS#7 with blocks of 32, its text being 16 random
//! bytes, a length, the message and the appid. Signatures are SHA-1 over sorted texts, as WeChat prescribes.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::signature::{same, sha1_hex};
use super::{cbc, foreign, lenient};
use crate::error::{Fault, Format};
use crate::ports::Verdict;

/// What WeChat wants to read once a message was taken. It repeats a message up to three times until it reads this.
pub const TAKEN: &str = "success";

/// The last character of an `EncodingAESKey` has two spare bits, which WeChat draws at random.
const KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

const PAD_BLOCK: u8 = 32;
const RANDOM_LEN: usize = 16;

/// The query of a push. Texts are URL-decoded already.
///
/// ```
/// use dream_core::protocol::message_push::PushQuery;
///
/// # let (signature, msg_signature) = ("ab12", "cd34");
/// // `?signature=…&timestamp=1769600000&nonce=774&encrypt_type=aes&msg_signature=…`, taken apart by the server.
/// let query = PushQuery {
///     signature,
///     timestamp: "1769600000",
///     nonce: "774",
///     encrypt_type: Some("aes"),
///     msg_signature: Some(msg_signature),
///     echostr: None,
/// };
/// assert!(query.echostr.is_none(), "a message; with `echostr` it would be a check of the URL");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PushQuery<'a> {
    /// Over token, `timestamp` and `nonce`.
    pub signature: &'a str,
    /// Part of what is signed.
    pub timestamp: &'a str,
    /// Part of what is signed.
    pub nonce: &'a str,
    /// Only of the URL check: what to send back.
    pub echostr: Option<&'a str>,
    /// Only of encrypted messages: over token, `timestamp`, `nonce` and the `Encrypt` text.
    pub msg_signature: Option<&'a str>,
    /// Only of encrypted messages: `aes`.
    pub encrypt_type: Option<&'a str>,
}

/// The push is not from WeChat, not for this mini-program, or not readable.
///
/// ```
/// use dream_core::protocol::message_push::{PushQuery, PushReceiver, PushRefused};
///
/// let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
/// // Why is not told: whoever tries signatures learns nothing from the answers.
/// assert_eq!(receiver.open(&PushQuery::default(), b"{}"), Err(PushRefused));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pushed message was refused")]
pub struct PushRefused;

/// A message that WeChat pushed.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::protocol::message_push::{PushMessage, PushQuery, PushReceiver, TAKEN};
///
/// # let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
/// # let signature = receiver.sign(&["1769600000", "774"]);
/// # let query = PushQuery { signature: &signature, timestamp: "1769600000", nonce: "774", ..PushQuery::default() };
/// let body = br#"{
///     "MsgType": "event", "Event": "wxa_media_check", "appid": "wx0123456789abcdef",
///     "trace_id": "t-1", "errcode": 0, "result": { "suggest": "pass", "label": 100 }
/// }"#;
/// let answer = match receiver.open(&query, body)? {
///     PushMessage::MediaCheck(check) => {
///         println!("{}: {:?}", check.trace_id, check.outcome);
///         TAKEN
///     }
///     // Taken too, or WeChat would repeat it.
///     PushMessage::Other { .. } => TAKEN,
/// };
/// assert_eq!(answer, "success");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushMessage {
    /// The verdict on a picture that was handed in before. May come twice.
    MediaCheck(MediaCheck),
    /// Anything that nothing is to be done about.
    Other {
        /// `MsgType`, such as `event` or `text`.
        kind: String,
        /// `Event`, for events.
        event: Option<String>,
    },
}

/// The outcome of one asynchronous check.
///
/// ```
/// use dream_core::ports::Verdict;
/// use dream_core::protocol::message_push::MediaCheck;
///
/// // -1011: WeChat could not download the picture. A check that was not made is no pass.
/// let failed = MediaCheck { trace_id: "t-1".to_owned(), outcome: Err(-1011), label: None };
/// assert_ne!(failed.outcome, Ok(Verdict::Pass));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaCheck {
    /// The id that was given when the picture was handed in.
    pub trace_id: String,
    /// The verdict, or WeChat's error code if the check could not be made.
    pub outcome: Result<Verdict, i64>,
    /// Why, such as 100 for normal or 20002; informs only.
    pub label: Option<i64>,
}

/// A message as it travels encrypted.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::protocol::message_push::{PushQuery, PushReceiver, SealedPush};
///
/// let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into();
/// let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), Some(&key)).unwrap();
/// // For a test of one's own route: what WeChat would send.
/// let SealedPush { body, signature, msg_signature } =
///     receiver.seal([7; 16], "1769600000", "774", r#"{"MsgType":"text"}"#).ok_or("there is a key")?;
/// let query = PushQuery {
///     signature: &signature, timestamp: "1769600000", nonce: "774",
///     msg_signature: Some(&msg_signature), encrypt_type: Some("aes"), echostr: None,
/// };
/// assert_eq!(receiver.open_text(&query, body.as_bytes())?, r#"{"MsgType":"text"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPush {
    /// The body.
    pub body: String,
    /// The query's `signature`.
    pub signature: String,
    /// The query's `msg_signature`.
    pub msg_signature: String,
}

/// Checks and reads pushes to one mini-program.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::protocol::message_push::{PushQuery, PushReceiver};
///
/// let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
/// // WeChat checks the URL once, when it is entered in the console.
/// let signature = receiver.sign(&["1769600000", "774"]);
/// let check = PushQuery {
///     signature: &signature,
///     timestamp: "1769600000",
///     nonce: "774",
///     echostr: Some("4711"),
///     ..PushQuery::default()
/// };
/// assert_eq!(receiver.echo(&check)?, "4711");
/// assert!(receiver.echo(&PushQuery { nonce: "775", ..check }).is_err(), "nothing is echoed to a stranger");
/// # Ok(())
/// # }
/// ```
pub struct PushReceiver {
    appid: String,
    token: SecretString,
    key: Option<[u8; 32]>,
    encrypted_only: bool,
}

impl fmt::Debug for PushReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushReceiver").field("appid", &self.appid).finish_non_exhaustive()
    }
}

impl PushReceiver {
    /// A receiver with the console's Token and, unless the mode is plain, its `EncodingAESKey`.
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::protocol::message_push::PushReceiver;
    ///
    /// let token = || "the console's token".into();
    /// let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into();
    /// assert!(PushReceiver::new("wx0123456789abcdef", token(), Some(&key)).is_ok());
    /// // A key that was cut off when it was copied.
    /// let short = "abcdefghijklmnopqrstuvwxyz".into();
    /// let wrong = PushReceiver::new("wx0123456789abcdef", token(), Some(&short)).unwrap_err();
    /// assert!(matches!(wrong, Fault::Format(_)));
    /// ```
    ///
    /// # Errors
    /// [`Fault`] if the token is empty or the key is not 43 characters of base64.
    pub fn new(
        appid: impl Into<String>,
        token: SecretString,
        encoding_aes_key: Option<&SecretString>,
    ) -> Result<Self, Fault> {
        if token.expose_secret().is_empty() {
            return Err(Fault::Required);
        }
        let key = encoding_aes_key.map(decode_key).transpose()?;
        Ok(Self { appid: appid.into(), token, key, encrypted_only: false })
    }

    /// Refuses plain messages, whose signature does not cover the body. Right for the console's safe and compatible
    /// modes.
    ///
    /// ```
    /// use dream_core::protocol::message_push::{PushQuery, PushReceiver};
    ///
    /// # let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into();
    /// # let token = || "the console's token".into();
    /// # let compatible = PushReceiver::new("wx0123456789abcdef", token(), Some(&key)).unwrap();
    /// # let signature = compatible.sign(&["1769600000", "774"]);
    /// # let (timestamp, nonce) = ("1769600000", "774");
    /// # let plain = PushQuery { signature: &signature, timestamp, nonce, ..PushQuery::default() };
    /// assert!(compatible.open(&plain, br#"{"MsgType":"text"}"#).is_ok());
    /// // Its signature would fit any other body as well.
    /// assert!(compatible.encrypted_only().open(&plain, br#"{"MsgType":"text"}"#).is_err());
    /// ```
    #[must_use]
    pub fn encrypted_only(mut self) -> Self {
        self.encrypted_only = true;
        self
    }

    /// The text to answer the URL check with.
    ///
    /// ```
    /// use dream_core::protocol::message_push::{PushQuery, PushReceiver, PushRefused};
    ///
    /// # let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
    /// # let signature = receiver.sign(&["1769600000", "774"]);
    /// # let (timestamp, nonce) = ("1769600000", "774");
    /// # let signed = PushQuery { signature: &signature, timestamp, nonce, ..PushQuery::default() };
    /// let check = PushQuery { echostr: Some("4711"), ..signed };
    /// assert_eq!(receiver.echo(&check), Ok("4711"));
    /// assert_eq!(receiver.echo(&signed), Err(PushRefused), "that is no check of the URL");
    /// ```
    ///
    /// # Errors
    /// [`PushRefused`]: nothing may be echoed then.
    pub fn echo<'a>(&self, query: &PushQuery<'a>) -> Result<&'a str, PushRefused> {
        self.check(query.signature, &[query.timestamp, query.nonce])?;
        query.echostr.ok_or(PushRefused)
    }

    /// The message, in whichever form it came. Where both forms came together, the encrypted one counts.
    ///
    /// ```
    /// use dream_core::protocol::message_push::{PushMessage, PushQuery, PushReceiver};
    ///
    /// # let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
    /// # let signature = receiver.sign(&["1769600000", "774"]);
    /// # let (timestamp, nonce) = ("1769600000", "774");
    /// # let query = PushQuery { signature: &signature, timestamp, nonce, ..PushQuery::default() };
    /// let message = receiver.open(&query, br#"{"MsgType":"text","Content":"hello"}"#).unwrap();
    /// assert_eq!(message, PushMessage::Other { kind: "text".to_owned(), event: None });
    /// // For another mini-program, whoever signed it.
    /// assert!(receiver.open(&query, br#"{"MsgType":"text","appid":"wxffffffffffffffff"}"#).is_err());
    /// ```
    ///
    /// # Errors
    /// [`PushRefused`].
    pub fn open(&self, query: &PushQuery<'_>, body: &[u8]) -> Result<PushMessage, PushRefused> {
        self.read(&self.open_text(query, body)?)
    }

    /// The message's JSON text.
    ///
    /// ```
    /// use dream_core::protocol::message_push::{PushQuery, PushReceiver};
    ///
    /// # let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
    /// # let signature = receiver.sign(&["1769600000", "774"]);
    /// # let (timestamp, nonce) = ("1769600000", "774");
    /// # let query = PushQuery { signature: &signature, timestamp, nonce, ..PushQuery::default() };
    /// // For members that `open` does not read.
    /// let text = receiver.open_text(&query, br#"{"MsgType":"text","Content":"hello"}"#).unwrap();
    /// assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["Content"], "hello");
    /// ```
    ///
    /// # Errors
    /// [`PushRefused`].
    pub fn open_text(&self, query: &PushQuery<'_>, body: &[u8]) -> Result<String, PushRefused> {
        let text = std::str::from_utf8(body).map_err(|_| PushRefused)?;
        let envelope: Envelope = foreign::json(body).map_err(|_| PushRefused)?;
        match envelope.encrypt {
            Some(encrypt) => {
                let signature = query.msg_signature.ok_or(PushRefused)?;
                self.check(signature, &[query.timestamp, query.nonce, &encrypt])?;
                self.decrypt(&encrypt).ok_or(PushRefused)
            }
            None if self.encrypted_only || query.encrypt_type.is_some_and(|kind| kind != "raw") => {
                Err(PushRefused)
            }
            None => {
                self.check(query.signature, &[query.timestamp, query.nonce])?;
                Ok(text.to_owned())
            }
        }
    }

    /// The message as WeChat would send it encrypted; `None` without a key. For fakes and tests.
    ///
    /// ```
    /// use dream_core::protocol::message_push::PushReceiver;
    ///
    /// let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into();
    /// let token = || "the console's token".into();
    /// let receiver = PushReceiver::new("wx0123456789abcdef", token(), Some(&key)).unwrap();
    /// let push = receiver.seal([7; 16], "1769600000", "774", r#"{"MsgType":"text"}"#).unwrap();
    /// assert!(push.body.contains("Encrypt") && !push.body.contains("MsgType"));
    ///
    /// let plain = PushReceiver::new("wx0123456789abcdef", token(), None).unwrap();
    /// assert_eq!(plain.seal([7; 16], "1769600000", "774", "{}"), None);
    /// ```
    pub fn seal(
        &self,
        random: [u8; RANDOM_LEN],
        timestamp: &str,
        nonce: &str,
        message: &str,
    ) -> Option<SealedPush> {
        let key = self.key?;
        let mut plain = random.to_vec();
        plain.extend(u32::try_from(message.len()).ok()?.to_be_bytes());
        plain.extend(message.as_bytes());
        plain.extend(self.appid.as_bytes());
        let encrypt = STANDARD.encode(cbc::encrypt(&key, &key[..16], &plain, PAD_BLOCK)?);
        Some(SealedPush {
            signature: self.sign(&[timestamp, nonce]),
            msg_signature: self.sign(&[timestamp, nonce, &encrypt]),
            body: format!(r#"{{"ToUserName":"gh_0","Encrypt":"{encrypt}"}}"#),
        })
    }

    /// The query's `signature` for these texts. For fakes and tests.
    ///
    /// ```
    /// use dream_core::protocol::message_push::PushReceiver;
    ///
    /// let receiver = PushReceiver::new("wx0123456789abcdef", "the console's token".into(), None).unwrap();
    /// // The texts are sorted before they are signed.
    /// assert_eq!(receiver.sign(&["1769600000", "774"]), receiver.sign(&["774", "1769600000"]));
    /// ```
    pub fn sign(&self, parts: &[&str]) -> String {
        let mut sorted = parts.to_vec();
        sorted.push(self.token.expose_secret());
        sorted.sort_unstable();
        sha1_hex(&sorted.iter().map(|part| part.as_bytes()).collect::<Vec<_>>())
    }

    fn check(&self, signature: &str, parts: &[&str]) -> Result<(), PushRefused> {
        if same(self.sign(parts).as_bytes(), signature.as_bytes()) { Ok(()) } else { Err(PushRefused) }
    }

    fn decrypt(&self, encrypt: &str) -> Option<String> {
        let key = self.key?;
        let plain = cbc::decrypt(&key, &key[..16], &STANDARD.decode(encrypt).ok()?, PAD_BLOCK)?;
        let (length, rest) = plain.get(RANDOM_LEN..)?.split_first_chunk()?;
        let (message, appid) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if same(appid, self.appid.as_bytes()) { String::from_utf8(message.to_vec()).ok() } else { None }
    }

    fn read(&self, text: &str) -> Result<PushMessage, PushRefused> {
        let wire: MessageWire = foreign::json(text.as_bytes()).map_err(|_| PushRefused)?;
        if wire.appid.as_ref().is_some_and(|appid| *appid != self.appid) {
            return Err(PushRefused);
        }
        if wire.event.as_deref() != Some("wxa_media_check") {
            return Ok(PushMessage::Other { kind: wire.msg_type, event: wire.event });
        }
        let outcome = match (wire.errcode, &wire.result) {
            (0, Some(result)) => Ok(verdict(&result.suggest)),
            (code, _) => Err(code),
        };
        Ok(PushMessage::MediaCheck(MediaCheck {
            trace_id: wire.trace_id.filter(|id| !id.is_empty()).ok_or(PushRefused)?,
            outcome,
            label: wire.result.and_then(|result| result.label),
        }))
    }
}

/// What WeChat suggests. A word that we do not know is never a pass.
pub(crate) fn verdict(suggest: &str) -> Verdict {
    match suggest {
        "pass" => Verdict::Pass,
        "risky" => Verdict::Risky,
        _ => Verdict::Review,
    }
}

fn decode_key(key: &SecretString) -> Result<[u8; 32], Fault> {
    let fault = || Fault::Format(Format::PushAesKey);
    let key = key.expose_secret();
    if key.len() != 43 {
        return Err(fault());
    }
    KEY_BASE64.decode(format!("{key}=")).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(fault)
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Encrypt")]
    encrypt: Option<String>,
}

#[derive(Deserialize)]
struct MessageWire {
    #[serde(rename = "MsgType", default)]
    msg_type: String,
    #[serde(rename = "Event")]
    event: Option<String>,
    appid: Option<String>,
    trace_id: Option<String>,
    #[serde(default)]
    errcode: i64,
    result: Option<ResultWire>,
}

/// What a check found, here and in the answer of the text check.
#[derive(Deserialize)]
pub(crate) struct ResultWire {
    #[serde(default)]
    pub(crate) suggest: String,
    #[serde(default, deserialize_with = "lenient::number")]
    pub(crate) label: Option<i64>,
}
