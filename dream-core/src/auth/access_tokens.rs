//! The access tokens of this service, of which those seen lately are not checked anew at every request.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as LocalCache;
use secrecy::SecretString;

use crate::error::Fault;
use crate::kernel::Timestamp;
use crate::protocol::token::{AccessClaims, TokenFault, TokenSigner};

/// A genuine token takes some 300 bytes.
const MOST_TOKENS: u64 = 20_000;
const REMEMBER: Duration = Duration::from_hours(1);

/// Makes and checks access tokens. A signature is checked once; whether the token is still in force, always. Whether its
/// login is alive is another question, see [`super::Alive`].
pub(crate) struct AccessTokens {
    signer: TokenSigner,
    /// Genuine ones only: nobody else can fill it.
    genuine: LocalCache<Box<str>, Arc<AccessClaims>>,
}

impl AccessTokens {
    pub(crate) fn new(secret: &SecretString) -> Result<Self, Fault> {
        let genuine = LocalCache::builder().max_capacity(MOST_TOKENS).time_to_live(REMEMBER).build();
        Ok(Self { signer: TokenSigner::new(secret)?, genuine })
    }

    pub(crate) fn sign(&self, claims: &AccessClaims) -> Result<String, TokenFault> {
        self.signer.sign(claims)
    }

    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<AccessClaims>, TokenFault> {
        if let Some(claims) = self.genuine.get(token) {
            return if claims.are_over(now) { Err(TokenFault::Expired) } else { Ok(claims) };
        }
        let claims = Arc::new(self.signer.verify(token, now)?);
        self.genuine.insert(token.into(), claims.clone());
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_seen_before_still_ends() {
        let tokens = AccessTokens::new(&"a secret of at least 32 bytes, e.g. random".into()).unwrap();
        let now = Timestamp::from_secs(1_769_600_000);
        let claims = AccessClaims { sub: "7".to_owned(), iat: now, exp: now.plus_days(1), family: None };
        let token = tokens.sign(&claims).unwrap();
        for _ in 0..3 {
            assert_eq!(tokens.verify(&token, now).as_deref(), Ok(&claims));
        }
        assert_eq!(tokens.verify(&token, now.plus_days(2)), Err(TokenFault::Expired));
        // One that differs in its last character is another one.
        let mut forged = token.clone();
        let last = forged.pop().unwrap();
        forged.push(if last == 'A' { 'B' } else { 'A' });
        assert_eq!(tokens.verify(&forged, now), Err(TokenFault::Invalid));
    }
}
