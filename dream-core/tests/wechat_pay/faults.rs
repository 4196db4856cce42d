//! Conversations in which something goes wrong.

use std::sync::Arc;
use std::time::Duration;

use dream_core::kernel::{Fen, Timestamp, Zone};
use dream_core::ports::{
    ChannelOrder, Clock, CloseOutcome, FailureKind, OrderRef, PayChannel, PayTrouble, RefusedAt, pay_code,
};
use dream_testkit::fakes::wechat_pay::{
    FakeWeChatPay, NoticeState, PlatformKey, RETRY_AFTER_SECS, Trust, WeChatPayOptions, operation,
};
use dream_testkit::faults::Fault;
use dream_testkit::wait::eventually;

use crate::shop::{Shop, order, refund_of, tomorrow_at_noon};

#[tokio::test]
async fn an_answer_that_is_not_rightly_signed_is_not_believed() {
    let shop = Shop::open().await;
    for name in ["probe", "wrong_signature", "forged", "unknown_serial", "unsigned", "stale", "tampered"] {
        shop.fake.faults().always(operation::PREPAY, Fault::special(name));
        let failure = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap_err();
        assert_eq!(failure.code.as_deref(), Some(pay_code::UNVERIFIED), "{name}");
        assert!(failure.outcome_unknown(), "{name}: it may have taken effect");
        shop.fake.faults().clear();
    }
    assert!(shop.pay.prepay(&shop.order("VIP20260101A")).await.is_ok());
}

#[tokio::test]
async fn a_single_bad_answer_is_made_good_by_asking_again() {
    let shop = Shop::open().await;
    let faults = [
        Fault::special("probe"),
        Fault::special("error_after"),
        Fault::status(500, r#"{"code":"SYSTEM_ERROR","message":"x"}"#),
        Fault::html(502),
        Fault::Drop,
        Fault::DropAfter,
        Fault::Truncate,
        Fault::Corrupt,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let number = format!("VIP2026010{number}");
        shop.fake.faults().next(operation::PREPAY, fault.clone());
        let before = shop.fake.calls(operation::PREPAY);
        shop.pay.prepay(&shop.order(&number)).await.unwrap_or_else(|failure| panic!("{fault:?}: {failure}"));
        assert_eq!(shop.fake.calls(operation::PREPAY) - before, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn every_attempt_sends_the_same_body_under_a_fresh_nonce() {
    let shop = Shop::open().await;
    let transaction = shop.paid("VIP20260101A").await;
    shop.fake.faults().next_n(operation::REFUND, 2, Fault::DropAfter);
    let asked = refund_of(&transaction, "R20260101-1", 1999);
    shop.pay.refund(&asked).await.unwrap();
    assert_eq!(shop.fake.refunds().len(), 1);
    let sent = shop.fake.server().log().of("POST", "/v3/refund/domestic/refunds");
    assert_eq!(sent.len(), 3);
    assert!(sent.windows(2).all(|pair| pair[0].request.body == pair[1].request.body));
    let header = |place: usize| sent[place].request.header("authorization").unwrap().to_owned();
    assert_ne!(header(0), header(1));
}

#[tokio::test]
async fn being_told_to_slow_down_is_not_answered_with_a_repeat() {
    let shop = Shop::open().await;
    let fault = Fault::status(429, r#"{"code":"FREQUENCY_LIMITED","message":"x"}"#).with_retry_after(7);
    shop.fake.faults().always(operation::PREPAY, fault);
    let failure = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::Throttled, Some(Duration::from_secs(7))));
    assert_eq!(shop.fake.calls(operation::PREPAY), 1);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_timeout() {
    let shop = Shop::open_with(Trust::PublicKey, |config| {
        config.limits.attempt = Duration::from_millis(100);
        config.limits.retries = 1;
    })
    .await;
    // The fake's clock stands still, so the answer waits for ever.
    shop.fake.faults().always(operation::QUERY, Fault::delay_after(Duration::from_mins(1)));
    let failure = shop.pay.query(OrderRef::Order(&order("VIP20260101A"))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert_eq!(shop.fake.calls(operation::QUERY), 2);
}

#[tokio::test]
async fn the_backup_host_is_asked_when_the_first_one_is_down() {
    let clock = Arc::new(dream_testkit::clock::TestClock::default());
    let backup = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await.unwrap();
    let shop = Shop::open_with(Trust::PublicKey, |config| config.base_urls.push(backup.base_url())).await;
    shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap();
    assert_eq!(backup.calls(operation::PREPAY), 0);
    shop.fake.server().go_down().await.unwrap();
    shop.pay.prepay(&shop.order("VIP20260101B")).await.unwrap();
    shop.pay.prepay(&shop.order("VIP20260101C")).await.unwrap();
    assert_eq!(backup.calls(operation::PREPAY), 2);
}

#[tokio::test]
async fn an_answer_of_trouble_does_not_go_to_the_backup_host() {
    let clock = Arc::new(dream_testkit::clock::TestClock::default());
    let backup = FakeWeChatPay::start(WeChatPayOptions::new(clock.clone())).await.unwrap();
    let shop = Shop::open_with(Trust::PublicKey, |config| config.base_urls.push(backup.base_url())).await;
    shop.fake.faults().always(operation::PREPAY, Fault::html(502));
    let failure = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap_err();
    assert_eq!(PayTrouble::of(&failure), PayTrouble::RetrySame);
    assert_eq!((shop.fake.calls(operation::PREPAY), backup.calls(operation::PREPAY)), (3, 0));
}

#[tokio::test]
async fn nobody_there_proves_that_nothing_was_sent() {
    let shop = Shop::open().await;
    shop.fake.server().go_down().await.unwrap();
    let failure = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(!failure.outcome_unknown());
}

#[tokio::test]
async fn a_wrong_clock_is_a_matter_of_configuration() {
    let shop = Shop::open().await;
    let ahead = Arc::new(dream_testkit::clock::TestClock::at(shop.clock.now().plus(Duration::from_mins(10))));
    let config = shop.fake.config("https://pay.example.test/a", "https://pay.example.test/b");
    let entropy = Arc::new(dream_core::adapters::OsEntropy);
    let pay = dream_core::adapters::wechat_pay::WeChatPay::new(config, ahead, entropy).unwrap();
    let failure = pay.query(OrderRef::Order(&order("VIP20260101A"))).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Misconfigured, Some("SIGN_ERROR")));
}

#[tokio::test]
async fn a_payment_can_win_the_race_against_closing() {
    let shop = Shop::open().await;
    let request = shop.order("VIP20260101A");
    shop.pay.prepay(&request).await.unwrap();
    shop.fake.faults().next(operation::CLOSE, Fault::special("pay_before"));
    assert_eq!(shop.pay.close(&request.order).await.unwrap(), CloseOutcome::AlreadyPaid);
    let state = shop.pay.query(OrderRef::Order(&request.order)).await.unwrap();
    assert!(matches!(state, ChannelOrder::Paid(_)));
}

#[tokio::test]
async fn certificates_are_followed_through_a_rotation() {
    let shop = Shop::open_with(Trust::Certificates, |_| {}).await;
    shop.fake.sign_notifies_with(PlatformKey::CertificateA);
    shop.paid("VIP20260101A").await;
    let downloads = || shop.fake.calls(operation::CERTIFICATES);
    assert_eq!(downloads(), 1, "at the first need");
    shop.fake.deliver_due().await;
    assert_eq!(downloads(), 1);
    // The platform signs with the next one, which nobody here has seen.
    shop.clock.advance(Duration::from_mins(5));
    let both = [PlatformKey::CertificateA, PlatformKey::CertificateB];
    shop.fake.set_certificates(&both, PlatformKey::CertificateB);
    shop.fake.sign_notifies_with(PlatformKey::CertificateB);
    shop.paid("VIP20260101B").await;
    assert!(shop.fake.deliver_due().await[0].taken());
    assert_eq!(downloads(), 2, "for the unknown serial number");
    assert_eq!(shop.pay.trusted_keys().certificates.len(), 2);
    shop.clock.advance(Duration::from_hours(7));
    shop.paid("VIP20260101C").await;
    assert_eq!(downloads(), 3, "for its age");
}

#[tokio::test]
async fn a_download_that_fails_leaves_the_old_certificates_in_force() {
    let shop = Shop::open_with(Trust::Certificates, |_| {}).await;
    shop.paid("VIP20260101A").await;
    shop.fake.faults().always(operation::CERTIFICATES, Fault::html(502));
    shop.clock.advance(Duration::from_hours(7));
    shop.paid("VIP20260101B").await;
    shop.paid("VIP20260101C").await;
    assert_eq!(shop.fake.calls(operation::CERTIFICATES), 2, "tried, once a minute");
    shop.clock.advance(Duration::from_mins(1));
    shop.fake.faults().clear();
    shop.paid("VIP20260101D").await;
    assert_eq!(shop.fake.calls(operation::CERTIFICATES), 3);
}

#[tokio::test]
async fn a_forged_list_of_certificates_brings_nothing_into_force() {
    let shop = Shop::open_with(Trust::Certificates, |_| {}).await;
    for name in ["forged", "unknown_serial", "unsigned", "tampered", "stale"] {
        shop.fake.faults().always(operation::CERTIFICATES, Fault::special(name));
        assert!(shop.pay.download_certificates().await.is_err(), "{name}");
        shop.fake.faults().clear();
    }
    assert!(shop.pay.trusted_keys().certificates.is_empty());
    shop.pay.download_certificates().await.unwrap();
}

#[tokio::test]
async fn a_merchant_that_has_no_certificates_is_told_to_use_the_public_key() {
    let shop = Shop::open_with(Trust::Certificates, |_| {}).await;
    shop.fake.set_certificates(&[], PlatformKey::CertificateA);
    let failure = shop.pay.download_certificates().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Misconfigured);
    assert!(failure.message.contains("public key"), "{failure}");
    let failure = shop.pay.prepay(&shop.order("VIP20260101A")).await.unwrap_err();
    assert!(failure.message.contains("public key"), "the reason is passed on: {failure}");
}

#[tokio::test]
async fn while_a_merchant_is_moved_over_both_kinds_of_keys_verify() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    shop.fake.sign_notifies_with(PlatformKey::CertificateA);
    assert!(shop.fake.deliver_due().await[0].taken());
    shop.paid("VIP20260101B").await;
    shop.fake.sign_notifies_with(PlatformKey::PublicKey);
    assert!(shop.fake.deliver_due().await[0].taken());
}

#[tokio::test]
async fn notifies_come_again_on_the_real_schedule_until_one_is_taken() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    shop.receiver.go_down().await.unwrap();
    let paid_at = shop.clock.now();
    let mut due = paid_at;
    for (failed, gap) in RETRY_AFTER_SECS.into_iter().enumerate() {
        let told = shop.fake.deliver_due().await;
        assert_eq!((told.len(), told[0].status, told[0].at), (1, None, due), "attempt {failed}");
        due = due.plus(Duration::from_secs(gap));
        assert_eq!(shop.fake.next_due(), Some(due));
        assert!(shop.fake.deliver_due().await.is_empty(), "not before its time");
        shop.clock.set(due);
    }
    assert_eq!(due.since(paid_at), Duration::from_mins(24 * 60 + 4));
    shop.receiver.come_back().await.unwrap();
    assert!(shop.fake.deliver_due().await[0].taken());
    assert_eq!(shop.fake.next_due(), None);
    assert_eq!(shop.fake.notices()[0].state, NoticeState::Taken);
    assert_eq!(shop.fake.notify_log().len(), 16);
}

#[tokio::test]
async fn a_notify_that_nobody_ever_takes_is_given_up() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    shop.fake.faults().always(operation::PAYMENT_NOTIFY, Fault::Drop);
    for _ in 0..16 {
        shop.fake.deliver_due().await;
        shop.clock.advance(Duration::from_hours(7));
    }
    assert_eq!(shop.fake.notices()[0].state, NoticeState::GivenUp);
    assert!(shop.told(|told| told.payments.is_empty()));
}

#[tokio::test]
async fn false_notifies_are_refused_and_the_true_one_follows() {
    let shop = Shop::open().await;
    let expected = [
        ("probe", RefusedAt::Signature),
        ("wrong_signature", RefusedAt::Signature),
        ("forged", RefusedAt::Signature),
        ("tampered", RefusedAt::Signature),
        ("unknown_serial", RefusedAt::Serial),
        ("unsigned", RefusedAt::Headers),
        ("stale", RefusedAt::Clock),
        ("undecryptable", RefusedAt::Decrypt),
        ("not_json", RefusedAt::Body),
    ];
    for (number, (name, at)) in expected.into_iter().enumerate() {
        shop.paid(&format!("VIP2026010{number}")).await;
        shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::special(name));
        let told = shop.fake.deliver_due().await;
        assert_eq!(told.iter().map(|told| told.status).collect::<Vec<_>>(), [Some(401)], "{name}");
        let refusal = shop.told(|told| told.refusals.last().cloned()).unwrap();
        assert_eq!((refusal.at, refusal.probe), (at, name == "probe"), "{name}");
        shop.clock.advance(Duration::from_secs(15));
        assert!(shop.fake.deliver_due().await[0].taken(), "{name}");
        assert_eq!(shop.told(|told| told.payments.len()), number + 1, "{name}");
    }
}

#[tokio::test]
async fn signed_lies_come_through_as_facts_for_the_core_to_compare() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    let read = async |name| {
        let notify = shop.fake.sealed_payment("VIP20260101A", Some(name)).unwrap();
        shop.pay.payment_notify(&notify).await.unwrap()
    };
    assert_eq!(read("wrong_amount").await.amount, Fen::new(1));
    assert_eq!(read("wrong_currency").await.currency, "USD");
    assert_ne!(read("wrong_mchid").await.mchid, shop.pay.identity().mchid);
    assert_ne!(read("wrong_appid").await.appid, shop.pay.identity().appid);
    assert_ne!(read("wrong_payer").await.payer_openid, crate::shop::OPENID);
    assert_eq!(read("wrong_order").await.out_trade_no, "NOSUCHORDER");
}

#[tokio::test]
async fn notifies_are_doubled_lost_delayed_and_told_out_of_order() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::special("double"));
    assert_eq!(shop.fake.deliver_due().await.len(), 2);
    shop.paid("VIP20260101B").await;
    shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::special("parallel"));
    assert_eq!(shop.fake.deliver_due().await.len(), 5);
    shop.paid("VIP20260101C").await;
    shop.paid("VIP20260101D").await;
    shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::special("last"));
    shop.fake.deliver_due().await;
    let heard: Vec<_> =
        shop.told(|told| told.payments.iter().map(|facts| facts.out_trade_no.clone()).collect());
    assert_eq!(heard[7..], ["VIP20260101D", "VIP20260101C"]);

    shop.paid("VIP20260101E").await;
    shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::delay(Duration::from_secs(5)));
    assert!(shop.fake.deliver_due().await.is_empty());
    shop.clock.advance(Duration::from_secs(5));
    shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::DropAfter);
    shop.fake.deliver_due().await;
    assert_eq!(shop.told(|told| told.payments.len()), 10);
    shop.clock.advance(Duration::from_secs(15));
    assert!(shop.fake.deliver_due().await[0].taken(), "its answer was lost, so it comes again");
    shop.paid("VIP20260101F").await;
    shop.fake.faults().next(operation::PAYMENT_NOTIFY, Fault::special("lose_all"));
    assert!(shop.fake.deliver_due().await.is_empty());
    assert_eq!(shop.fake.next_due(), None);
}

#[tokio::test]
async fn many_copies_of_one_notify_can_arrive_at_once() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    let told = shop.fake.deliver_copies(1, 50).await;
    assert!(told.len() == 50 && told.iter().all(dream_testkit::fakes::wechat_pay::NotifyAttempt::taken));
}

#[tokio::test]
async fn one_order_can_be_paid_twice_on_demand() {
    let shop = Shop::open().await;
    let first = shop.paid("VIP20260101A").await;
    let second = shop.fake.pay_again("VIP20260101A").unwrap().transaction_id;
    assert_ne!(first, second);
    shop.fake.deliver_due().await;
    let heard: Vec<_> =
        shop.told(|told| told.payments.iter().map(|facts| facts.transaction_id.clone()).collect());
    assert_eq!(heard, [first, second.clone()]);
    let state = shop.pay.query(OrderRef::Transaction(&second)).await.unwrap();
    assert!(matches!(state, ChannelOrder::Paid(facts) if facts.transaction_id == second));
    shop.pay.refund(&refund_of(&second, "R20260101-1", 1999)).await.unwrap();
}

#[tokio::test]
async fn a_bill_that_breaks_on_its_way_is_fetched_anew_and_a_wrong_one_is_never_read() {
    let shop = Shop::open().await;
    shop.paid("VIP20260101A").await;
    let today = Zone::default().day(shop.clock.now());
    shop.clock.set(tomorrow_at_noon(shop.clock.now()));
    for fault in [Fault::Drop, Fault::DropAfter, Fault::Truncate, Fault::Corrupt, Fault::special("tampered")]
    {
        shop.fake.faults().next(operation::DOWNLOAD, fault.clone());
        let bill = shop.pay.trade_bill(today).await;
        assert_eq!(bill.map_or(0, |bill| bill.rows.len()), 1, "{fault:?}");
    }
    shop.fake.faults().always(operation::DOWNLOAD, Fault::special("tampered"));
    assert!(shop.pay.trade_bill(today).await.is_err());
}

#[tokio::test]
async fn a_bill_can_differ_from_what_happened() {
    let shop = Shop::open().await;
    let changed = shop.paid("VIP20260101A").await;
    let hidden = shop.paid("VIP20260101B").await;
    shop.fake.add_paid_order("VIP20260101C", "someone", 500);
    shop.fake.change_payment(&changed, |payment| payment.bill_amount_fen = 1);
    shop.fake.change_payment(&hidden, |payment| payment.in_bill = false);
    let today = Zone::default().day(shop.clock.now());
    shop.clock.set(tomorrow_at_noon(shop.clock.now()));
    let bill = shop.pay.trade_bill(today).await.unwrap();
    let rows: Vec<_> = bill.rows.iter().map(|row| (row.out_trade_no.as_str(), row.total.get())).collect();
    assert_eq!(rows, [("VIP20260101A", 1), ("VIP20260101C", 500)]);
}

#[tokio::test]
async fn a_platform_that_delivers_by_itself_needs_no_hand() {
    let shop = Shop::open().await;
    let options = WeChatPayOptions { deliver_by_itself: true, ..WeChatPayOptions::new(shop.clock.clone()) };
    let fake = FakeWeChatPay::start(options).await.unwrap();
    let at = shop.receiver.base_url();
    let config = fake.config(&format!("{at}/payment"), &format!("{at}/refund"));
    let entropy = Arc::new(dream_core::adapters::OsEntropy);
    let pay = dream_core::adapters::wechat_pay::WeChatPay::new(config, shop.clock.clone(), entropy).unwrap();
    pay.prepay(&shop.order("VIP20260101A")).await.unwrap();
    shop.receiver.go_down().await.unwrap();
    let payment = fake.pay_as(crate::shop::OPENID, "VIP20260101A").unwrap();
    let soon = Duration::from_secs(5);
    assert!(eventually(soon, || fake.notify_log().len() == 1).await);
    shop.receiver.come_back().await.unwrap();
    assert!(eventually(soon, || shop.clock.sleepers() == 1).await);
    shop.clock.advance(Duration::from_secs(15));
    assert!(eventually(soon, || shop.told(|told| told.payments.len()) == 1).await);
    pay.refund(&refund_of(&payment.transaction_id, "R20260101-1", 1)).await.unwrap();
    assert!(eventually(soon, || shop.clock.next_wake().is_some_and(|at| at > Timestamp::default())).await);
    shop.clock.advance(Duration::from_secs(5));
    assert!(eventually(soon, || shop.told(|told| told.refunds.len()) == 1).await);
    fake.shutdown().await;
}
