//! Orders, from the purchase to the refund, with the payment platform played by a server that signs.

use dream_core::ports::ClientParams;
use dream_testkit::fakes::wechat_pay::{RefundPlan, RefundStatus, operation};
use dream_testkit::faults::Fault;
use dream_testkit::on_every_backend;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site, members};

fn params(answer: &Value) -> ClientParams {
    let text = |name: &str| answer["wxPayParams"][name].as_str().unwrap().to_owned();
    ClientParams {
        time_stamp: text("timeStamp"),
        nonce_str: text("nonceStr"),
        package: text("package"),
        sign_type: text("signType"),
        pay_sign: text("paySign"),
    }
}

on_every_backend!(a_plan_is_ordered_paid_and_given_back, |backend| async move {
    let (site, shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    let body = json!({ "planId": "vip_month", "paymentMethod": "wechat" });
    let placed = alice.post("/v1/vip/purchase", &body).await.ok(201);
    assert_eq!(members(&placed), ["amount", "orderId", "wxPayParams"]);
    assert_eq!(placed["amount"], 1999);
    let id = placed["orderId"].as_str().unwrap();
    let path = format!("/v1/orders/{id}");
    let order = alice.get(&path).await.ok(200);
    assert_eq!(
        members(&order),
        [
            "amount",
            "createdAt",
            "expireAt",
            "id",
            "kind",
            "orderId",
            "paidAt",
            "planId",
            "planName",
            "points",
            "refundedAt",
            "status",
            "transactionId",
            "userId",
            "vipExpireAt"
        ]
    );
    assert_eq!((order["status"].as_str(), order["kind"].as_str()), (Some("PENDING"), Some("VIP")));

    shop.pay(id, &params(&placed)).unwrap();
    let told = shop.deliver_due().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let paid = alice.get(&path).await.ok(200);
    assert_eq!(paid["status"], "PAID");
    assert!(
        paid["paidAt"].is_string() && paid["transactionId"].is_string() && paid["vipExpireAt"].is_string()
    );
    assert_eq!(alice.get("/v1/vip/info").await.ok(200)["vipLevel"], "VIP");
    alice.post(&format!("{path}/pay"), &json!({})).await.refused(409, "ORDER_NOT_PAYABLE");
    alice.post(&format!("{path}/cancel"), &json!({})).await.refused(409, "ORDER_NOT_PAYABLE");
    assert_eq!(alice.get("/v1/vip/orders?status=PAID&kind=VIP").await.ok(200)["items"][0], paid);

    let bob = site.user("bob").await;
    bob.get(&path).await.refused(404, "ORDER_NOT_FOUND");
    let refund = format!("/v1/admin/orders/{id}/refund");
    let bad = site.admin().post(&refund, &json!({ "amount": 0, "reason": "" })).await;
    assert_eq!(bad.faults(), ["amount RANGE", "reason LENGTH"]);
    let refunded = site.admin().post(&refund, &json!({ "reason": "changed mind" })).await.ok(202);
    assert_eq!(members(&refunded), ["amount", "orderId", "refundId", "status"]);
    assert_eq!((refunded["amount"].as_i64(), refunded["status"].as_str()), (Some(1999), Some("PROCESSING")));
    site.world.settle().await;
    shop.deliver_due().await;
    assert_eq!(alice.get(&path).await.ok(200)["status"], "REFUNDED");
    assert_eq!(alice.get("/v1/vip/info").await.ok(200)["vipLevel"], "NORMAL");
    let all = site.admin().get("/v1/admin/orders?status=REFUNDED").await.ok(200);
    assert_eq!(all["items"][0]["orderId"], id);
    site.close().await;
});

on_every_backend!(points_arrive_with_the_payment_and_not_before, |backend| async move {
    let (site, shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    for amount in [json!(-5), json!(0), json!(100_001), json!("5"), json!(1.5), json!(null)] {
        let answer = alice.post("/v1/points/recharge", &json!({ "amount": amount })).await;
        answer.refused(400, "VALIDATION_FAILED");
    }
    let other = json!({ "amount": 5, "paymentMethod": "cash" });
    assert_eq!(alice.post("/v1/points/recharge", &other).await.faults(), ["paymentMethod ONE_OF"]);
    let placed = alice.post("/v1/points/recharge", &json!({ "amount": 50 })).await.ok(201);
    assert_eq!((placed["amount"].as_i64(), placed["price"].as_i64()), (Some(50), Some(500)));
    assert_eq!(alice.get("/v1/points/balance").await.ok(200)["balance"], 0);
    let id = placed["orderId"].as_str().unwrap();
    let again = alice.post(&format!("/v1/orders/{id}/pay"), &json!({})).await.ok(200);
    shop.pay(id, &params(&again)).unwrap();
    // However often it is told, at once or later.
    let notice = shop.notices()[0].number;
    shop.deliver_copies(notice, 10).await;
    assert_eq!(alice.get("/v1/points/balance").await.ok(200)["balance"], 50);
    let list = alice.get("/v1/points/transactions").await.ok(200);
    assert_eq!((list["total"].as_i64(), list["items"][0]["orderId"].as_str()), (Some(1), Some(id)));
    site.close().await;
});

on_every_backend!(a_forged_notice_is_refused_in_the_platforms_own_words, |backend| async move {
    let (site, _shop) = Site::with_shop(&backend).await;
    for path in ["/v1/vip/payment-callback", "/v1/orders/payment-callback", "/v1/orders/refund-callback"] {
        for body in [json!({}), json!({ "out_trade_no": "VIP1", "trade_state": "SUCCESS" })] {
            let answer = site.nobody().post(path, &body).await;
            assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("FAIL")), "{}", answer.json);
            assert_eq!(members(&answer.json), ["code", "message"]);
            assert!(!answer.json["message"].as_str().unwrap().contains("log in"), "{}", answer.json);
        }
    }
    site.close().await;
});

on_every_backend!(a_purchase_is_checked_and_repeated_safely, |backend| async move {
    let (site, _shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    assert_eq!(alice.post("/v1/vip/purchase", &json!({})).await.faults(), ["planId REQUIRED"]);
    alice.post("/v1/vip/orders", &json!({ "planId": "vip_decade" })).await.refused(404, "PLAN_NOT_FOUND");
    let buy = |plan: &str| {
        let request = alice.prepare(Method::POST, "/v1/vip/orders").header("idempotency-key", "k-1");
        let request = request.json(&json!({ "planId": plan }));
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let first = buy("vip_month").await.ok(201);
    assert_eq!(buy("vip_month").await.ok(201)["orderId"], first["orderId"]);
    buy("vip_year").await.refused(409, "IDEMPOTENCY_CONFLICT");
    let path = format!("/v1/orders/{}/cancel", first["orderId"].as_str().unwrap());
    assert_eq!(alice.post(&path, &json!({})).await.ok(200)["status"], "CANCELLED");
    site.close().await;
});

on_every_backend!(twenty_orders_page_as_twenty, |backend| async move {
    let (site, _shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    let mut newest_first = Vec::new();
    for amount in 1..=20 {
        let placed = alice.post("/v1/points/recharge", &json!({ "amount": amount })).await.ok(201);
        newest_first.insert(0, placed["orderId"].as_str().unwrap().to_owned());
    }
    for limit in [7, 13] {
        let mut seen = Vec::new();
        let mut path = format!("/v1/orders?limit={limit}");
        loop {
            let page = alice.get(&path).await.ok(200);
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|order| order["orderId"].as_str().unwrap().to_owned()));
            let Some(next) = page["nextCursor"].as_str() else { break };
            assert_eq!(page["hasMore"], true);
            path = format!("/v1/orders?limit={limit}&cursor={next}");
        }
        assert_eq!(seen, newest_first);
    }
    site.close().await;
});

on_every_backend!(what_one_has_is_told_the_same_each_time, |backend| async move {
    let (site, shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    for plan in ["vip_year", "vip_month"] {
        let placed = alice.post("/v1/vip/purchase", &json!({ "planId": plan })).await.ok(201);
        shop.pay(placed["orderId"].as_str().unwrap(), &params(&placed)).unwrap();
        shop.deliver_due().await;
    }
    let first = alice.get("/v1/vip/info").await.ok(200);
    assert_eq!((first["vipLevel"].as_str(), first["remainingDays"].as_i64()), (Some("VIP"), Some(395)));
    for _ in 0..3 {
        assert_eq!(alice.get("/v1/vip/info").await.ok(200), first);
    }
    for path in ["/v1/users/me", "/v1/auth/check", "/v1/auth/userinfo"] {
        let user = alice.get(path).await.ok(200)["user"].clone();
        assert_eq!(
            (user["vipLevel"].as_str(), user["vipExpireAt"].as_str()),
            (Some("VIP"), first["vipExpireAt"].as_str())
        );
    }
    // The level ends for everybody who asks, with no job having to run.
    site.world.clock().advance(std::time::Duration::from_hours(24 * 395));
    let again = site.user("alice").await;
    assert_eq!(again.get("/v1/vip/info").await.ok(200)["remainingDays"], 0);
    for path in ["/v1/users/me", "/v1/auth/check", "/v1/auth/userinfo"] {
        let user = again.get(path).await.ok(200)["user"].clone();
        assert_eq!(
            (user["vipLevel"].as_str(), user["vipExpireAt"].is_null()),
            (Some("NORMAL"), true),
            "{path}"
        );
    }
    assert_eq!(again.get("/v1/jobs/quota").await.ok(200)["vipLevel"], "NORMAL");
    site.close().await;
});

on_every_backend!(a_failed_refund_and_a_shortfall_are_told_in_figures, |backend| async move {
    let (site, shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    let placed = alice.post("/v1/points/recharge", &json!({ "amount": 50 })).await.ok(201);
    let id = placed["orderId"].as_str().unwrap();
    shop.pay(id, &params(&placed)).unwrap();
    shop.deliver_due().await;
    let user = alice.get("/v1/users/me").await.ok(200)["user"]["id"].as_i64().unwrap();
    let path = format!("/v1/admin/users/{user}");
    site.admin().put(&path, &json!({ "pointsBalance": 20 })).await.ok(200);
    let refund = format!("/v1/admin/orders/{id}/refund");
    let refused = site.admin().post(&refund, &json!({ "reason": "no use" })).await;
    refused.refused(409, "INVALID_STATE");
    assert_eq!(refused.json["data"]["pointsMissing"], 30, "{}", refused.json);
    site.admin().post(&refund, &json!({ "reason": "no use", "amount": 200 })).await.ok(202);
    assert_eq!(alice.get("/v1/points/balance").await.ok(200)["balance"], 0);
    let spent = alice.get("/v1/points/transactions?type=SPEND").await.ok(200);
    assert_eq!(spent["items"].as_array().unwrap().len(), 2);
    site.close().await;
});

on_every_backend!(an_admin_sees_a_failed_refund_in_the_order_and_in_the_list, |backend| async move {
    let (site, shop) = Site::with_shop(&backend).await;
    let alice = site.user("alice").await;
    let placed = alice.post("/v1/points/recharge", &json!({ "amount": 50 })).await.ok(201);
    let id = placed["orderId"].as_str().unwrap();
    shop.pay(id, &params(&placed)).unwrap();
    shop.deliver_due().await;
    let path = format!("/v1/admin/orders/{id}");
    let before = site.admin().get(&path).await.ok(200);
    assert_eq!(members(&before), ["notifications", "order", "refunds", "timeline", "user"]);
    assert_eq!((&before["order"]["refundStatus"], &before["refunds"]), (&Value::Null, &json!([])));
    assert_eq!(before["user"]["openid"], "o-alice");
    assert_eq!(before["notifications"][0]["transactionId"], before["order"]["transactionId"]);

    // First the balance of the merchant does not suffice, then the platform closes the refund.
    let short = r#"{"code":"NOT_ENOUGH","message":"基本账户余额不足"}"#;
    shop.faults().always(operation::REFUND, Fault::status(403, short));
    site.admin().post(&format!("{path}/refund"), &json!({ "reason": "no use" })).await.ok(202);
    site.world.work().await;
    let delayed = site.admin().get(&path).await.ok(200);
    assert_eq!(delayed["refunds"][0]["status"], "PROCESSING");
    assert!(delayed["refunds"][0]["failure"].as_str().unwrap().contains("余额不足"), "{delayed}");
    assert_eq!(site.world.dream().watch().look().await.unwrap().delayed_refunds, 1);
    shop.faults().clear();
    shop.plan_refunds(Some(RefundPlan { delay: std::time::Duration::ZERO, outcome: RefundStatus::Closed }));
    site.world.pass(std::time::Duration::from_mins(10)).await;

    let failed = site.admin().get(&path).await.ok(200);
    let refund = &failed["refunds"][0];
    assert_eq!((&refund["status"], &refund["amount"]), (&json!("FAILED"), &json!(500)));
    assert!(refund["failure"].as_str().unwrap().contains("closed"), "{refund}");
    let events: Vec<&str> =
        failed["timeline"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    for event in ["CREATED", "PAID", "FULFILLED", "REFUND_REQUESTED", "REFUND_FAILED"] {
        assert!(events.contains(&event), "{events:?}");
    }
    let list = site.admin().get("/v1/admin/orders").await.ok(200);
    assert_eq!(
        (&list["items"][0]["refundStatus"], &list["items"][0]["refundedAmount"]),
        (&json!("FAILED"), &json!(0))
    );
    assert_eq!(site.world.dream().watch().look().await.unwrap().delayed_refunds, 0);

    site.admin().get("/v1/admin/orders/VIP00000000").await.refused(404, "ORDER_NOT_FOUND");
    let asked = site.admin().post(&format!("{path}/query"), &json!({})).await.ok(200);
    assert_eq!(asked["order"]["status"], "PAID");
    site.close().await;
});
