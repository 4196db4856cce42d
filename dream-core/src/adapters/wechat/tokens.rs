//! The access token: fetched by one caller while the others wait, kept here and in the shared cache.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::api::{Call, SERVICE, Wire, encode, no_sense, secret};
use crate::kernel::Timestamp;
use crate::ports::{Cache, Clock, Failure};

/// WeChat replaces a token when no more than this is left of it, so it is not kept any longer.
const REPLACED_BEFORE_END: Duration = Duration::from_mins(5);

/// A token that another node fetched is looked up again after this long, since its end is not known here.
const TRUSTED_FOR: Duration = Duration::from_mins(1);

type Outcome = Result<SecretString, Arc<Failure>>;
type Flight = BoxFuture<'static, Outcome>;

pub(super) struct AccessTokens {
    store: Arc<Store>,
    /// The fetch that is under way. It is dropped once nobody waits for it any more.
    flight: Mutex<Option<WeakShared<Flight>>>,
}

impl AccessTokens {
    pub(super) fn new(wire: Arc<Wire>, cache: Arc<dyn Cache>, clock: Arc<dyn Clock>) -> Self {
        let key = format!("wechat:token:{}", wire.config.appid);
        let store = Store { wire, cache, clock, key, held: Mutex::default() };
        Self { store: Arc::new(store), flight: Mutex::default() }
    }

    /// A token that is in force as far as we know.
    pub(super) async fn current(&self) -> Result<SecretString, Failure> {
        if let Some(token) = self.store.held() {
            return Ok(token);
        }
        self.join_flight().await.map_err(|failure| Failure::clone(&failure))
    }

    /// Drops the token, here and in the shared cache, unless another one has taken its place.
    pub(super) async fn drop_dead(&self, token: &SecretString) {
        self.store.let_go(token);
        let gone = self.store.cache.delete_if(&self.store.key, token.expose_secret().as_bytes()).await;
        if let Err(failure) = gone {
            tracing::warn!(service = SERVICE, error = %failure, "the dead token may linger in the cache");
        }
    }

    fn join_flight(&self) -> Shared<Flight> {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = flight.as_ref().and_then(WeakShared::upgrade).filter(|it| it.peek().is_none());
        under_way.unwrap_or_else(|| {
            let store = self.store.clone();
            let fresh = async move { store.find_or_fetch().await.map_err(Arc::new) }.boxed().shared();
            *flight = fresh.downgrade();
            fresh
        })
    }
}

struct Held {
    token: SecretString,
    until: Timestamp,
}

struct Store {
    wire: Arc<Wire>,
    cache: Arc<dyn Cache>,
    clock: Arc<dyn Clock>,
    key: String,
    held: Mutex<Option<Held>>,
}

impl Store {
    fn held(&self) -> Option<SecretString> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|held| self.clock.now() < held.until).map(|held| held.token.clone())
    }

    fn hold(&self, token: &SecretString, span: Duration) {
        let held = Held { token: token.clone(), until: self.clock.now().plus(span) };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    fn let_go(&self, token: &SecretString) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|held| held.token.expose_secret() == token.expose_secret());
    }

    async fn find_or_fetch(&self) -> Result<SecretString, Failure> {
        // Whoever was in the air before may have brought one.
        if let Some(token) = self.held() {
            return Ok(token);
        }
        if let Ok(Some(bytes)) = self.cache.get(&self.key).await
            && let Ok(text) = std::str::from_utf8(&bytes)
            && !text.is_empty()
        {
            let token = SecretString::from(text);
            self.hold(&token, TRUSTED_FOR);
            return Ok(token);
        }
        self.fetch().await
    }

    async fn fetch(&self) -> Result<SecretString, Failure> {
        let config = &self.wire.config;
        let body = encode(&TokenRequest {
            grant_type: "client_credential",
            appid: &config.appid,
            secret: config.secret.expose_secret(),
            force_refresh: false,
        })?;
        let call = Call { path: "/cgi-bin/stable_token", query: &[], body: Some(&body) };
        let answer: TokenAnswer = self.wire.exchange(&call, None).await?;
        if answer.access_token.expose_secret().is_empty() {
            return Err(no_sense("an empty access token"));
        }
        let keep = Duration::from_secs(answer.expires_in).saturating_sub(REPLACED_BEFORE_END);
        if !keep.is_zero() {
            self.hold(&answer.access_token, keep);
            let value = answer.access_token.expose_secret().as_bytes().to_vec();
            if let Err(failure) = self.cache.set(&self.key, value.into(), keep).await {
                tracing::warn!(service = SERVICE, error = %failure, "the token is not shared");
            }
        }
        Ok(answer.access_token)
    }
}

#[derive(Serialize)]
struct TokenRequest<'a> {
    grant_type: &'a str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
    expires_in: u64,
}
