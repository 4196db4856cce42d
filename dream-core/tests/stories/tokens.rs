//! Access tokens, refresh tokens that rotate, and how they end.

use std::time::Duration;

use dream_core::kernel::Timestamp;
use dream_core::protocol::token::{AccessClaims, TokenSigner};
use dream_core::{BearerToken, Code, RefreshToken, Tokens};
use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use futures_util::future::join_all;
use secrecy::SecretString;

use crate::support::code;

on_every_backend!(
    a_spent_refresh_token_gives_the_same_pair_again_within_a_minute_and_then_ends_the_login,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let alice = world.alice().await;
        let first = alice.tokens();
        let spent = || RefreshToken::new(&*first.refresh).sent_by("phone");
        let pair = |tokens: &Tokens| (tokens.access.clone(), tokens.refresh.clone());
        let second = world.nobody().refresh(spent()).await.expect("the next pair");
        assert_ne!(first.refresh, second.refresh);
        // The answer was lost: the client asks again, up to a minute later, and again.
        for _ in 0..2 {
            world.clock().advance(Duration::from_secs(30));
            assert_eq!(pair(&world.nobody().refresh(spent()).await.unwrap()), pair(&second));
        }
        alice.take(second.clone());
        assert_eq!(alice.session().await.user_id(), alice.id());
        // Later it shows that two hold it: all of them are out.
        world.clock().advance(Duration::from_secs(1));
        assert_eq!(code(world.nobody().refresh(spent()).await), Code::TokenRevoked);
        assert_eq!(code(world.nobody().refresh(RefreshToken::new(second.refresh)).await), Code::TokenRevoked);
        assert_eq!(code(alice.try_session().await), Code::TokenRevoked);
        assert_eq!(code(world.dream().session(&BearerToken::new(first.access)).await), Code::TokenRevoked);
        assert_eq!(
            code(world.nobody().refresh(spent()).await),
            Code::TokenRevoked,
            "a repeat revives nothing"
        );
        world.finish().await;
    }
);

on_every_backend!(another_client_with_a_spent_refresh_token_ends_the_login_at_once, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let first = alice.tokens().refresh;
    let second = world.nobody().refresh(RefreshToken::new(&*first).sent_by("phone")).await.unwrap();
    let thief = RefreshToken::new(&*first).sent_by("a script");
    assert_eq!(code(world.nobody().refresh(thief).await), Code::TokenRevoked);
    assert_eq!(code(world.nobody().refresh(RefreshToken::new(second.refresh)).await), Code::TokenRevoked);
    world.finish().await;
});

on_every_backend!(
    parallel_refreshes_of_one_token_get_the_same_pair_and_keep_the_login,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let alice = world.alice().await;
        for _ in 0..10 {
            let refreshes = (0..4).map(|_| {
                let (nobody, token) = (world.nobody(), alice.refresh_token());
                async move { nobody.refresh(token).await.expect("the same client") }
            });
            let pairs = join_all(refreshes).await;
            assert!(
                pairs
                    .iter()
                    .all(|pair| (&pair.access, &pair.refresh) == (&pairs[0].access, &pairs[0].refresh))
            );
            alice.take(pairs[0].clone());
            alice.session().await;
            world.clock().advance(Duration::from_secs(1));
        }
        world.finish().await;
    }
);

on_every_backend!(a_login_ends_after_ninety_days_however_often_it_is_refreshed, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    for _ in 0..17 {
        world.clock().advance(Duration::from_hours(5 * 24));
        alice.take(world.nobody().refresh(alice.refresh_token()).await.expect("it goes on"));
    }
    // Day 85: neither the access token nor the refresh token outlives day 90.
    let tokens = alice.tokens();
    assert_eq!(tokens.expires_in, format!("{}s", 5 * 86_400));
    alice.take(alice.session().await.refresh().await.expect("by its access token too"));
    world.clock().advance(Duration::from_hours(5 * 24 + 1));
    assert_eq!(code(alice.try_session().await), Code::TokenExpired);
    for refresh in [alice.refresh_token(), RefreshToken::new(tokens.refresh)] {
        assert_eq!(code(world.nobody().refresh(refresh).await), Code::TokenExpired);
    }
    world.finish().await;
});

on_every_backend!(
    refreshing_by_an_access_token_leaves_a_few_refresh_tokens_and_one_login,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let alice = world.alice().await;
        let oldest = alice.tokens().refresh;
        let mut newest = alice.tokens();
        for _ in 0..20 {
            world.clock().advance(Duration::from_secs(1));
            newest = alice.session().await.refresh().await.unwrap();
        }
        let database = world.database();
        assert_eq!(database.number("SELECT count(*) FROM refresh_tokens").await, 3);
        assert_eq!(database.number("SELECT count(*) FROM token_families").await, 1);
        // One that was displaced is unknown, which ends nothing.
        assert_eq!(code(world.nobody().refresh(RefreshToken::new(oldest)).await), Code::Unauthenticated);
        world.nobody().refresh(RefreshToken::new(newest.refresh)).await.expect("the newest is good");
        world.finish().await;
    }
);

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
