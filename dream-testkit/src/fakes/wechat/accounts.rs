//! Users of the mini-programs, and the one-time codes that their phones get.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dream_core::kernel::Timestamp;
use dream_core::ports::{Entropy, EntropyExt};
use serde::Serialize;

use super::crypto;

/// How long a code can be used.
const CODE_LIFE: Duration = Duration::from_mins(5);
/// How long after a login WeChat counts a user as active.
const ACTIVE: Duration = Duration::from_hours(2);
/// What the reusable codes of the sandbox start with.
const SANDBOX: &str = "sandbox-";
/// What the reusable phone codes of the sandbox start with.
const SANDBOX_PHONE: &str = "sandbox-phone-";
/// Country codes that a foreign number is split at.
const COUNTRY_CODES: [&str; 14] =
    ["852", "853", "886", "351", "353", "1", "7", "44", "49", "60", "61", "65", "81", "82"];

/// What WeChat knows about a user of one mini-program.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// world.alice().await;
/// let known = world.wechat().users();
/// assert_eq!((known[0].openid.as_str(), known[0].logins), ("o-alice", 1));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeChatUser {
    /// The mini-program.
    pub appid: String,
    /// The user within it.
    pub openid: String,
    /// The user within the operator's open platform account, if there is one.
    pub unionid: Option<String>,
    /// The session key of the newest `wx.login`.
    pub session_key: String,
    /// How many codes were exchanged.
    pub logins: u64,
    /// Seconds since the epoch at which a code was last exchanged.
    pub last_login: Option<i64>,
}

/// What a login code was exchanged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) openid: String,
    pub(super) key: String,
    pub(super) unionid: Option<String>,
}

/// A phone number, split as WeChat tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PhoneNumber {
    pub(super) country_code: String,
    pub(super) pure: String,
}

impl PhoneNumber {
    /// A mainland number, or a foreign one that starts with `+`.
    pub(super) fn parse(text: &str) -> Self {
        let Some(digits) = text.strip_prefix('+') else {
            return Self { country_code: "86".to_owned(), pure: text.to_owned() };
        };
        let known = COUNTRY_CODES.iter().find(|code| digits.starts_with(**code)).map(|code| code.len());
        let (country, pure) = digits.split_at(known.unwrap_or(2).min(digits.len()));
        Self { country_code: country.to_owned(), pure: pure.to_owned() }
    }

    /// With the country code unless it is China's.
    pub(super) fn full(&self) -> String {
        if self.country_code == "86" {
            self.pure.clone()
        } else {
            format!("+{}{}", self.country_code, self.pure)
        }
    }
}

#[derive(Debug)]
struct Issued<T> {
    appid: String,
    openid: String,
    holds: T,
    at: Timestamp,
    spent: bool,
}

impl<T> Issued<T> {
    /// Uses it up.
    fn spend(&mut self, now: Timestamp) -> Result<&T, i64> {
        if self.spent {
            Err(40163)
        } else if now.since(self.at) > CODE_LIFE {
            Err(40029)
        } else {
            self.spent = true;
            Ok(&self.holds)
        }
    }
}

#[derive(Debug)]
struct Trouble {
    errcode: i64,
    left: Option<u64>,
}

/// Users and codes.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: BTreeMap<(String, String), WeChatUser>,
    login_codes: HashMap<String, Issued<String>>,
    phone_codes: HashMap<String, Issued<PhoneNumber>>,
    troubles: HashMap<String, Trouble>,
}

impl Accounts {
    /// What `wx.login` does: a new code and a new session key, which replaces the one before.
    pub(super) fn mint_login(
        &mut self,
        appid: &str,
        openid: &str,
        now: Timestamp,
        dice: &dyn Entropy,
    ) -> String {
        let mut key = [0; 16];
        dice.fill(&mut key);
        let session_key = STANDARD.encode(key);
        self.user(appid, openid).session_key.clone_from(&session_key);
        let code = format!("0a1{}", dice.alphanumeric(29));
        let issued = Issued {
            appid: appid.to_owned(),
            openid: openid.to_owned(),
            holds: session_key,
            at: now,
            spent: false,
        };
        self.login_codes.insert(code.clone(), issued);
        code
    }

    /// What the phone number button does.
    pub(super) fn mint_phone(
        &mut self,
        appid: &str,
        openid: &str,
        number: &str,
        now: Timestamp,
        dice: &dyn Entropy,
    ) -> String {
        let code = dice.alphanumeric(64);
        let issued = Issued {
            appid: appid.to_owned(),
            openid: openid.to_owned(),
            holds: PhoneNumber::parse(number),
            at: now,
            spent: false,
        };
        self.phone_codes.insert(code.clone(), issued);
        code
    }

    /// `jscode2session`.
    pub(super) fn exchange(
        &mut self,
        appid: &str,
        code: &str,
        sandbox: bool,
        now: Timestamp,
    ) -> Result<Session, i64> {
        self.run_into_trouble(code)?;
        let (openid, key) = match self.login_codes.get_mut(code) {
            Some(issued) if issued.appid != appid => return Err(40029),
            Some(issued) => (issued.openid.clone(), issued.spend(now)?.clone()),
            None if sandbox => self.sandbox_login(appid, code)?,
            None => return Err(40029),
        };
        let user = self.user(appid, &openid);
        user.logins += 1;
        user.last_login = Some(now.as_secs());
        Ok(Session { openid, key, unionid: user.unionid.clone() })
    }

    /// `getuserphonenumber`.
    pub(super) fn exchange_phone(
        &mut self,
        appid: &str,
        code: &str,
        openid: Option<&str>,
        sandbox: bool,
        now: Timestamp,
    ) -> Result<PhoneNumber, i64> {
        self.run_into_trouble(code)?;
        let digits = code.strip_prefix(SANDBOX_PHONE).filter(|_| sandbox).unwrap_or("");
        if digits.len() == 11 && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(PhoneNumber::parse(digits));
        }
        let issued = self.phone_codes.get_mut(code).ok_or(40029)?;
        if issued.appid != appid {
            return Err(40013);
        }
        if openid.is_some_and(|openid| openid != issued.openid) {
            return Err(40029);
        }
        // Unlike a login code, a used phone code is told as plainly invalid.
        issued.spend(now).cloned().map_err(|_| 40029)
    }

    /// Answers this code with an error, so many times or always.
    pub(super) fn trouble(&mut self, code: &str, errcode: i64, times: Option<u64>) {
        self.troubles.insert(code.to_owned(), Trouble { errcode, left: times });
    }

    /// The user, made on first sight.
    pub(super) fn user(&mut self, appid: &str, openid: &str) -> &mut WeChatUser {
        self.users.entry((appid.to_owned(), openid.to_owned())).or_insert_with(|| WeChatUser {
            appid: appid.to_owned(),
            openid: openid.to_owned(),
            unionid: None,
            session_key: crypto::stable_session_key(openid),
            logins: 0,
            last_login: None,
        })
    }

    /// The user, if WeChat ever saw them in this mini-program.
    pub(super) fn find(&self, appid: &str, openid: &str) -> Option<&WeChatUser> {
        self.users.get(&(appid.to_owned(), openid.to_owned()))
    }

    /// Everybody.
    pub(super) fn users(&self) -> Vec<WeChatUser> {
        self.users.values().cloned().collect()
    }

    /// Whether content of this user can be checked: they must have been here in the last two hours.
    pub(super) fn check_active(&self, appid: &str, openid: &str, now: Timestamp) -> Result<(), i64> {
        let last = self.find(appid, openid).ok_or(40003)?.last_login.ok_or(61010)?;
        if now.since(Timestamp::from_secs(last)) > ACTIVE { Err(61010) } else { Ok(()) }
    }

    fn run_into_trouble(&mut self, code: &str) -> Result<(), i64> {
        let Some(trouble) = self.troubles.get_mut(code) else { return Ok(()) };
        let errcode = trouble.errcode;
        if let Some(left) = &mut trouble.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.troubles.remove(code);
            }
        }
        Err(errcode)
    }

    /// A reusable code. Some names are refused, to show how that looks.
    fn sandbox_login(&mut self, appid: &str, code: &str) -> Result<(String, String), i64> {
        let name = code.strip_prefix(SANDBOX).filter(|name| !name.is_empty()).ok_or(40029)?;
        match name {
            "blocked" => return Err(40226),
            "busy" => return Err(-1),
            "throttled" => return Err(45011),
            "expired" => return Err(40029),
            "used" => return Err(40163),
            _ => {}
        }
        let openid = sandbox_openid(appid, name);
        let session_key = self.user(appid, &openid).session_key.clone();
        Ok((openid, session_key))
    }
}

/// The openid that the code `sandbox-<name>` logs in as: the same in every run.
pub(super) fn sandbox_openid(appid: &str, name: &str) -> String {
    crypto::stable_openid(&format!("{appid}/{name}"))
}
