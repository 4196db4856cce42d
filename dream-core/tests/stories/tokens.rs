//! Access tokens, refresh tokens that rotate, and how they end.

use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::protocol::token::{AccessClaims, TokenSigner};
use dream_core::{BearerToken, Code, RefreshToken};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use secrecy::SecretString;

use crate::support::code;

on_every_backend!(a_refresh_token_gives_the_next_pair_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let first = alice.tokens();
    let second = world.nobody().refresh(alice.refresh_token()).await.expect("the next pair");
    assert_ne!(first.refresh, second.refresh);
    alice.take(second.clone());
    assert_eq!(alice.session().await.user_id(), alice.id());
    // Whoever comes with the spent one again shows that two hold it: all of them are out.
    assert_eq!(code(world.nobody().refresh(RefreshToken::new(first.refresh)).await), Code::TokenRevoked);
    assert_eq!(code(world.nobody().refresh(RefreshToken::new(second.refresh)).await), Code::TokenRevoked);
    assert_eq!(code(alice.try_session().await), Code::TokenRevoked);
    assert_eq!(code(world.dream().session(&BearerToken::new(first.access)).await), Code::TokenRevoked);
    world.finish().await;
});

on_every_backend!(of_two_uses_of_a_refresh_token_at_once_one_is_the_second, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    for _ in 0..10 {
        alice.log_in_again().await;
        let (one, other) = (world.nobody(), world.nobody());
        let (one, other) =
            tokio::join!(one.refresh(alice.refresh_token()), other.refresh(alice.refresh_token()));
        let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
        assert_eq!(code(lost), Code::TokenRevoked);
        let won = won.expect("one of them is the first");
        assert_eq!(code(world.nobody().refresh(RefreshToken::new(won.refresh)).await), Code::TokenRevoked);
        assert_eq!(code(alice.try_session().await), Code::TokenRevoked);
    }
    world.finish().await;
});

on_every_backend!(logging_out_ends_that_login_and_no_other, |backend| async move {
    let world = TestDream::start(&backend).await;
    let phone = world.alice().await;
    let tablet = world.alice().await;
    let renewed = phone.session().await.refresh().await.expect("another pair of the same login");
    phone.session().await.logout().await.expect("a logout");
    assert_eq!(code(phone.try_session().await), Code::TokenRevoked);
    assert_eq!(code(world.nobody().refresh(phone.refresh_token()).await), Code::TokenRevoked);
    assert_eq!(code(world.nobody().refresh(RefreshToken::new(renewed.refresh)).await), Code::TokenRevoked);
    assert_eq!(code(world.dream().session(&BearerToken::new(renewed.access)).await), Code::TokenRevoked);
    assert_eq!(tablet.session().await.user_id(), tablet.id());
    world.finish().await;
});

on_every_backend!(tokens_live_as_long_as_they_say, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    assert_eq!(alice.tokens().expires_in, "7d");
    world.clock().advance(Duration::from_hours(7 * 24 - 1));
    alice.session().await;
    world.clock().advance(Duration::from_hours(2));
    assert_eq!(code(alice.try_session().await), Code::TokenExpired);
    alice.take(world.nobody().refresh(alice.refresh_token()).await.expect("it lives for 30 days"));
    alice.session().await;
    world.clock().advance(Duration::from_hours(30 * 24 + 1));
    assert_eq!(code(world.nobody().refresh(alice.refresh_token()).await), Code::TokenExpired);
    world.finish().await;
});

on_every_backend!(a_deleted_users_tokens_are_dead_at_once_and_the_openid_is_free, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let held = alice.session().await;
    alice.session().await.delete_account().await.expect("a deletion");
    assert_eq!(code(alice.try_session().await), Code::TokenRevoked);
    assert_eq!(code(world.nobody().refresh(alice.refresh_token()).await), Code::TokenRevoked);
    // A handle that was made just before is no way around it.
    assert_eq!(code(held.me().await), Code::TokenRevoked);
    assert_eq!(code(held.refresh().await), Code::TokenRevoked);
    assert_eq!(code(held.balance().await), Code::TokenRevoked);
    assert_ne!(world.alice().await.id(), alice.id());
    world.finish().await;
});

on_every_backend!(a_token_that_is_not_ours_opens_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let now = world.now();
    let claims = |sub: &str| AccessClaims {
        sub: sub.to_owned(),
        iat: now,
        exp: now.plus(Duration::from_hours(1)),
        family: Some("a-family".into()),
    };
    let own = alice.id().to_string();
    let foreign =
        TokenSigner::new(&SecretString::from("another secret that has more than 32 bytes")).unwrap();
    let forged = foreign.sign(&claims(&own)).unwrap();
    // {"alg":"none"} and the claims of a token that is good.
    let good = alice.tokens().access;
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    for token in ["", "garbage", "a.b.c", &forged, &unsigned, &good[..good.len() - 2]] {
        assert_eq!(
            code(world.dream().session(&BearerToken::new(token)).await),
            Code::Unauthenticated,
            "{token}"
        );
        assert_eq!(code(world.nobody().refresh(RefreshToken::new(token)).await), Code::Unauthenticated);
    }
    assert!(now > Timestamp::default());
    world.finish().await;
});
