//! Signing in with WeChat.

use std::time::Duration;

use dream_core::ports::PhoneCode;
use dream_core::{Code, Facts, Login, PhoneProof};
use dream_testkit::fakes::wechat::{business_error, operation};
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};
use serde_json::json;

use crate::support::{code, login};

on_every_backend!(the_first_login_makes_the_user_and_the_next_ones_find_it, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    let me = alice.session().await.me().await.expect("a user");
    assert_eq!((me.openid.as_deref(), me.balance.get()), (Some(alice.openid()), 0));
    assert_eq!(alice.log_in_again().await.user.id, alice.id());
    assert_ne!(world.user("bob").await.id(), alice.id());
    world.finish().await;
});

on_every_backend!(a_unionid_is_taken_over_when_it_is_learnt, |backend| async move {
    let world = TestDream::start(&backend).await;
    let alice = world.alice().await;
    assert_eq!(alice.session().await.me().await.unwrap().unionid, None);
    world.wechat().set_unionid(alice.openid(), Some("union-of-alice"));
    assert_eq!(alice.log_in_again().await.user.unionid.as_deref(), Some("union-of-alice"));
    world.wechat().set_unionid(alice.openid(), None);
    assert_eq!(alice.log_in_again().await.user.unionid.as_deref(), Some("union-of-alice"), "it is kept");
    world.finish().await;
});

on_every_backend!(a_phone_code_tells_the_number, |backend| async move {
    let world = TestDream::start(&backend).await;
    let openid = Actor::openid_of("alice");
    let phone = world.wechat().phone_code(&openid, "13800138000");
    let with_phone = |code: String, phone: &str| Login {
        phone: Some(PhoneProof::Code(PhoneCode::new(phone.to_owned()).unwrap())),
        ..login(&code)
    };
    let first = with_phone(world.wechat().login_code(&openid), &phone);
    let user = world.nobody().login(first).await.expect("a login").user;
    assert_eq!(user.phone.as_deref(), Some("13800138000"));
    let again = with_phone(world.wechat().login_code(&openid), &phone);
    assert_eq!(code(world.nobody().login(again).await), Code::WechatCodeInvalid, "it works once");
    world.finish().await;
});

on_every_backend!(
    older_clients_prove_the_number_by_what_they_decrypt_with_this_login,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let openid = Actor::openid_of("alice");
        let number =
            json!({"phoneNumber": "+85261234567", "purePhoneNumber": "61234567", "countryCode": "852"});
        let js_code = world.wechat().login_code(&openid);
        let (data, iv) = world.wechat().encrypt_for(&openid, &number);
        let proof = |data: &str, iv: &str| Some(PhoneProof::Encrypted { data: data.into(), iv: iv.into() });
        let user =
            world.nobody().login(Login { phone: proof(&data, &iv), ..login(&js_code) }).await.unwrap().user;
        assert_eq!(user.phone.as_deref(), Some("+85261234567"));
        // The next login has another session key, so the same data is nonsense there.
        let js_code = world.wechat().login_code(&openid);
        let replayed = world.nobody().login(Login { phone: proof(&data, &iv), ..login(&js_code) }).await;
        let error = replayed.expect_err("data of another login");
        assert_eq!(error.code(), Code::ValidationFailed);
        let Facts::Fields(faults) = error.facts() else { panic!("no fields: {error:?}") };
        assert_eq!(faults[0].field, "encryptedData");
        world.finish().await;
    }
);

on_every_backend!(a_login_that_fails_over_its_phone_number_leaves_nobody_behind, |backend| async move {
    let world = TestDream::start(&backend).await;
    let js_code = world.wechat().login_code("o-new");
    let phone = Some(PhoneProof::Encrypted { data: "AAAA".into(), iv: "AAAA".into() });
    assert_eq!(code(world.nobody().login(Login { phone, ..login(&js_code) }).await), Code::ValidationFailed);
    assert_eq!(world.database().number("SELECT count(*) FROM users").await, 0);
    world.finish().await;
});

on_every_backend!(a_code_that_is_spent_unknown_or_stale_is_refused, |backend| async move {
    let world = TestDream::start(&backend).await;
    let js_code = world.wechat().login_code("o-alice");
    world.nobody().login(login(&js_code)).await.expect("its first use");
    assert_eq!(code(world.nobody().login(login(&js_code)).await), Code::WechatCodeInvalid);
    assert_eq!(code(world.nobody().login(login("never-given-out")).await), Code::WechatCodeInvalid);
    let stale = world.wechat().login_code("o-alice");
    world.clock().advance(Duration::from_secs(301));
    assert_eq!(code(world.nobody().login(login(&stale)).await), Code::WechatCodeInvalid);
    world.finish().await;
});

on_every_backend!(a_user_whom_wechat_blocks_or_slows_down_is_told_so, |backend| async move {
    let world = TestDream::start(&backend).await;
    let refused = async |errcode: i64| {
        let js_code = world.wechat().login_code("o-alice");
        world.wechat().answer_code(&js_code, errcode);
        world.nobody().login(login(&js_code)).await.expect_err("refused")
    };
    assert_eq!(refused(40226).await.code(), Code::Forbidden);
    let throttled = refused(45011).await;
    assert_eq!(throttled.code(), Code::RateLimited);
    assert!(matches!(throttled.facts(), Facts::Throttled { retry_after_secs } if *retry_after_secs > 0));
    for of_ours in [40013, 40125, 41002] {
        assert_eq!(refused(of_ours).await.code(), Code::UpstreamError, "{of_ours} is no fault of the user's");
    }
    assert_eq!(world.database().number("SELECT count(*) FROM users").await, 0);
    world.finish().await;
});

on_every_backend!(a_busy_wechat_is_asked_again_and_only_then_given_up, |backend| async move {
    let world = TestDream::start(&backend).await;
    let js_code = world.wechat().login_code("o-alice");
    world.wechat().answer_code_times(&js_code, -1, 1);
    world.nobody().login(login(&js_code)).await.expect("the second try succeeds");
    world.wechat().faults().always(operation::LOGIN, Fault::html(502));
    let js_code = world.wechat().login_code("o-alice");
    let calls = world.wechat().server().log().of("GET", "/sns/jscode2session").len();
    assert_eq!(code(world.nobody().login(login(&js_code)).await), Code::UpstreamError);
    let tries = world.wechat().server().log().of("GET", "/sns/jscode2session").len() - calls;
    assert!((2..=4).contains(&tries), "{tries} tries");
    world.wechat().faults().clear();
    world.finish().await;
});

on_every_backend!(what_the_client_says_of_the_user_is_taken_over_if_it_may_be_shown, |backend| async move {
    let world = TestDream::start(&backend).await;
    let enter = async |name: &str, avatar: &str| {
        let js_code = world.wechat().login_code("o-alice");
        let profile = Login {
            nick_name: Some(name.parse().unwrap()),
            avatar_url: Some(avatar.parse().unwrap()),
            ..login(&js_code)
        };
        let user = world.nobody().login(profile).await.expect("a login").user;
        (user.nick_name, user.avatar_url)
    };
    let (good_name, good_avatar) =
        (Some("小明".to_owned()), Some("https://thirdwx.qlogo.cn/mmopen/a/132".into()));
    assert_eq!(
        enter("小明", "https://thirdwx.qlogo.cn/mmopen/a/132").await,
        (good_name.clone(), good_avatar.clone())
    );
    // Neither keeps anybody out, and neither is taken over.
    assert_eq!(enter("违规", "https://evil.example/a.png").await, (good_name.clone(), good_avatar.clone()));
    world.wechat().faults().always(operation::TEXT_CHECK, business_error(-1));
    assert_eq!(enter("unchecked", "https://thirdwx.qlogo.cn.evil.example/a").await, (good_name, good_avatar));
    world.wechat().faults().clear();
    world.finish().await;
});
