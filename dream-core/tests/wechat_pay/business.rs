//! The vectors against the whole business: what a callback makes of an order, and what a bill says of a day.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dream_core::adapters::wechat_pay::bill;
use dream_core::kernel::{Day, Fen, OrderId, RefundId, Timestamp};
use dream_core::orders::{Difference, OrderStatus, RechargePoints, RefundStatus, WECHAT};
use dream_core::ports::{
    ChannelOrder, ClientParams, CloseOutcome, Failure, FailureKind, NotifyRefusal, OrderRef, PayChannel,
    PayIdentity, PaymentFacts, Prepaid, PrepayRequest, RefundFacts, RefundRequest, RefundState, RefusedAt,
    SignedNotify, TradeBill,
};
use dream_core::{Code, Error};
use dream_testkit::backends::Backend;
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::server::FakeServer;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};
use futures_util::future::join_all;
use serde_json::Value;

use crate::bill::file;
use crate::notify::{merchant, platform, signed};
use crate::vectors::{cases, channel, instant, notify_callbacks, text, trade_bill};

/// A world whose merchant is that of the vectors.
struct House {
    world: TestDream,
    alice: Actor,
    clock: Arc<TestClock>,
    _platform: FakeServer,
}

impl House {
    async fn open(backend: &Backend) -> Self {
        let mut clock = None;
        let options = TestDream::on(backend).on_clock(|given| clock = Some(given));
        let clock = clock.expect("a world has a clock");
        let platform = platform(&clock).await;
        let pay = Arc::new(channel(merchant(&platform), &clock));
        let world = options.pay(pay).start().await;
        world.dream().plant_seeds().await.unwrap();
        let alice = world.alice().await;
        Self { world, alice, clock, _platform: platform }
    }

    async fn run(&self, sql: &str) {
        self.world.database().execute(sql).await;
    }

    /// No order, and nothing that was given for one.
    async fn clear(&self) {
        for sql in [
            "DELETE FROM membership_spans",
            "DELETE FROM fulfilments",
            "DELETE FROM refunds",
            "DELETE FROM payments",
            "DELETE FROM orders",
            "DELETE FROM outbox WHERE kind IN ('order.check', 'refund.follow')",
            "UPDATE user_counters SET orders = 0",
            "UPDATE usage_hours SET orders = 0",
            "UPDATE usage_totals SET orders = 0",
            "UPDATE memberships SET level = 'NORMAL', expires_at = NULL, vip_until = NULL",
        ] {
            self.run(sql).await;
        }
    }

    /// The order that the vector says was there before.
    async fn order(&self, before: &Value) {
        let (number, payer) = (text(before, "/out_trade_no"), text(before, "/payer_openid"));
        assert_eq!((text(before, "/kind"), before["amount_total"].as_i64()), ("VIP", Some(1999)));
        let plan = "vip_month".parse().unwrap();
        // Nobody is there to ask for the payment, but the order stands.
        let refused = self.alice.session().await.purchase(&plan, WECHAT, None).await;
        assert!(refused.is_err());
        self.run("DELETE FROM outbox WHERE kind = 'order.check'").await;
        self.run(&format!("UPDATE orders SET order_id = '{number}', payer = '{payer}'")).await;
        self.run(&format!(
            "INSERT INTO outbox (kind, subject, payload, priority, due_at, attempts, created_at) \
             VALUES ('order.check', '{number}', '{{}}', 0, 9000000000000000, 0, 0)"
        ))
        .await;
    }

    async fn tell(&self, case: &Value) -> Result<(), Error> {
        let dream = self.world.dream();
        if case.get("refund_before").is_some() {
            dream.refund_notify(WECHAT, &signed(case)).await?.settle().await
        } else {
            dream.payment_notify(WECHAT, &signed(case)).await?.settle().await.map(drop)
        }
    }

    async fn status(&self, number: &str) -> Option<OrderStatus> {
        let order = self.world.admin().await.order(&number.parse().unwrap()).await;
        order.ok().map(|order| order.state.status())
    }

    async fn fulfilments(&self) -> i64 {
        self.world.database().number("SELECT count(*) FROM fulfilments").await
    }
}

fn case(id: &str) -> Value {
    cases(&notify_callbacks(), "cases").into_iter().find(|case| case["id"] == id).unwrap()
}

/// The code that the business answers where a check of its own fails.
fn business_code(check: &str) -> Option<Code> {
    match check {
        "mchid" | "appid" | "amount" | "currency" | "payer" | "transaction_id" => Some(Code::Forbidden),
        "order" | "refund" => Some(Code::OrderNotFound),
        "headers" | "clock" | "serial" | "signature" | "body" | "decrypt" => Some(Code::Unauthenticated),
        _ => None,
    }
}

on_every_backend!(every_callback_leaves_the_order_as_the_vectors_say, |backend| async move {
    let house = House::open(&backend).await;
    for case in cases(&notify_callbacks(), "cases") {
        let id = text(&case, "/id");
        house.clear().await;
        let (before, expect) = (&case["order_before"], &case["expect"]);
        let paid_before = before["status"] == "PAID";
        if !before.is_null() {
            house.order(before).await;
        }
        house.clock.set(instant(&case["server_now"]));
        if paid_before {
            house.tell(&self::case("valid-cert")).await.unwrap();
        }
        if let Some(refund) = case.get("refund_before") {
            let number: OrderId = text(before, "/out_trade_no").parse().unwrap();
            let amount = refund["refund_amount"].as_i64().map(Fen::new);
            house.world.admin().await.refund_order(&number, amount, "a vector").await.unwrap();
            let number = text(refund, "/out_refund_no");
            house.run(&format!("UPDATE refunds SET refund_id = '{number}'")).await;
            house.run(&format!("UPDATE outbox SET subject = '{number}' WHERE kind = 'refund.follow'")).await;
        }
        let given = house.fulfilments().await;

        let answer = house.tell(&case).await;
        if let Some(ack) = expect["ack"].as_bool() {
            assert_eq!(answer.is_ok(), ack, "{id}: {answer:?}");
        }
        if let (Err(error), Some(check)) = (&answer, expect["fails_at"].as_str()) {
            assert_eq!(Some(error.code()), business_code(check), "{id}: {error:?}");
        }
        let number = before["out_trade_no"].as_str().unwrap_or("VIP20260101NOSUCHORDER");
        let status = house.status(number).await.map(OrderStatus::as_str);
        assert_eq!(status, expect["order_after"].as_str(), "{id}");
        let fresh = !paid_before && status == Some("PAID");
        let expected = expect["fulfilments"].as_i64().unwrap_or(i64::from(fresh));
        assert_eq!(house.fulfilments().await - given, expected, "{id}");
        if let Some(transaction) = expect["transaction_id"].as_str() {
            let order = house.world.admin().await.order(&number.parse().unwrap()).await.unwrap();
            assert_eq!(
                order.state.payment().map(|payment| payment.transaction_id.as_str()),
                Some(transaction),
                "{id}"
            );
        }
        if let Some(after) = expect["refund_after"].as_str() {
            let refunds = house.world.admin().await.refunds_of(&number.parse().unwrap()).await.unwrap();
            let status = if after == "SUCCESS" { RefundStatus::Succeeded } else { RefundStatus::Processing };
            assert_eq!(refunds.iter().map(|refund| refund.status).collect::<Vec<_>>(), [status], "{id}");
        }
        house.world.check_books().await;
    }
});

on_every_backend!(callbacks_in_a_row_and_at_once_end_as_the_vectors_say, |backend| async move {
    let house = House::open(&backend).await;
    for sequence in cases(&notify_callbacks(), "sequences") {
        let id = text(&sequence, "/id");
        let told: Vec<Value> =
            sequence["deliver"].as_array().unwrap().iter().map(|id| case(id.as_str().unwrap())).collect();
        house.clear().await;
        house.order(&told[0]["order_before"]).await;
        house.clock.set(instant(&told[0]["server_now"]));
        let taken: Vec<bool> = if sequence["parallel"] == true {
            join_all(told.iter().map(|case| house.tell(case))).await.iter().map(Result::is_ok).collect()
        } else {
            let mut taken = Vec::new();
            for case in &told {
                taken.push(house.tell(case).await.is_ok());
            }
            taken
        };
        let expect = &sequence["expect"];
        if let Some(acks) = expect["acks"].as_array() {
            assert_eq!(taken, acks.iter().map(|ack| ack == true).collect::<Vec<_>>(), "{id}");
        }
        assert!(taken.iter().any(|taken| *taken), "{id}");
        let number = text(&told[0], "/order_before/out_trade_no");
        let status = house.status(number).await.map(OrderStatus::as_str);
        assert_eq!(
            (status, Some(house.fulfilments().await)),
            (expect["order_after"].as_str(), expect["fulfilments"].as_i64()),
            "{id}"
        );
        house.world.check_books().await;
    }
});

/// A channel that has nothing but a bill, and takes everybody's word.
#[derive(Debug)]
struct Billed {
    identity: PayIdentity,
    bill: TradeBill,
}

fn down<T>() -> Result<T, Failure> {
    Err(Failure::new(WECHAT, FailureKind::Unreachable, "it has only a bill"))
}

#[async_trait]
impl PayChannel for Billed {
    fn name(&self) -> &'static str {
        WECHAT
    }
    fn identity(&self) -> &PayIdentity {
        &self.identity
    }
    async fn prepay(&self, _: &PrepayRequest) -> Result<Prepaid, Failure> {
        down()
    }
    fn client_params(&self, _: &str) -> Result<ClientParams, Failure> {
        down()
    }
    async fn query(&self, _: OrderRef<'_>) -> Result<ChannelOrder, Failure> {
        Ok(ChannelOrder::Unpaid)
    }
    async fn close(&self, _: &OrderId) -> Result<CloseOutcome, Failure> {
        Ok(CloseOutcome::Closed)
    }
    async fn refund(&self, request: &RefundRequest) -> Result<RefundFacts, Failure> {
        Ok(RefundFacts {
            out_refund_no: request.refund.to_string(),
            channel_refund_id: "50300002599202512310000000009".into(),
            transaction_id: request.transaction_id.clone(),
            out_trade_no: String::new(),
            amount: request.amount,
            total: request.total,
            mchid: None,
            state: RefundState::Succeeded(None),
        })
    }
    async fn query_refund(&self, _: &RefundId) -> Result<Option<RefundFacts>, Failure> {
        Ok(None)
    }
    async fn payment_notify(&self, notify: &SignedNotify) -> Result<PaymentFacts, NotifyRefusal> {
        let said: Value = serde_json::from_slice(notify.body())
            .map_err(|_| NotifyRefusal::new(RefusedAt::Body, "no JSON"))?;
        Ok(PaymentFacts {
            transaction_id: text(&said, "/transaction").into(),
            out_trade_no: text(&said, "/order").into(),
            amount: Fen::new(said["amount"].as_i64().unwrap()),
            currency: "CNY".into(),
            payer_openid: text(&said, "/payer").into(),
            appid: self.identity.appid.clone(),
            mchid: self.identity.mchid.clone(),
            paid_at: Timestamp::from_micros(said["at"].as_i64().unwrap()),
        })
    }
    async fn refund_notify(&self, _: &SignedNotify) -> Result<RefundFacts, NotifyRefusal> {
        Err(NotifyRefusal::new(RefusedAt::Body, "it has only a bill"))
    }
    async fn trade_bill(&self, _: Day) -> Result<TradeBill, Failure> {
        Ok(self.bill.clone())
    }
}

on_every_backend!(a_day_is_reconciled_as_the_vectors_say, |backend| async move {
    let vectors = trade_bill();
    let plain = cases(&vectors, "cases").into_iter().find(|case| case["id"] == "plain").unwrap();
    let day: Day = text(&plain, "/bill_date").parse().unwrap();
    let bill = bill::parse(&file(&plain)).unwrap();
    let noon: Timestamp = format!("{day}T12:00:00+08:00").parse().unwrap();
    let identity = PayIdentity { mchid: "1".into(), appid: bill.rows[0].appid.clone() };
    let mut clock = None;
    let options = TestDream::on(&backend).on_clock(|given| clock = Some(given));
    let clock = clock.expect("a world has a clock");
    clock.set(noon);
    let world = options.pay(Arc::new(Billed { identity, bill })).start().await;
    let alice = world.alice().await;
    for ours in cases(&vectors["reconcile"], "our_orders") {
        let (number, amount) = (text(&ours, "/out_trade_no"), ours["amount"].as_i64().unwrap());
        let points = RechargePoints::new(amount).unwrap();
        assert!(alice.session().await.recharge(points, WECHAT, None).await.is_err(), "nobody can be asked");
        let newest = "SELECT order_id FROM orders ORDER BY id DESC LIMIT 1";
        let made = world.database().texts(newest).await.remove(0);
        for sql in [
            format!("UPDATE orders SET order_id = '{number}', amount = {amount} WHERE order_id = '{made}'"),
            format!("UPDATE outbox SET subject = '{number}' WHERE subject = '{made}'"),
        ] {
            world.database().execute(&sql).await;
        }
        if let Some(transaction) = ours["transaction_id"].as_str() {
            let said = serde_json::json!({
                "transaction": transaction, "order": number, "amount": amount, "payer": alice.openid(),
                "at": noon.as_micros(),
            });
            let notify = SignedNotify::new([("said", "so")], said.to_string());
            world.dream().payment_notify(WECHAT, &notify).await.unwrap().settle().await.unwrap();
        }
        if ours["status"] == "REFUNDED" {
            world.admin().await.refund_order(&number.parse().unwrap(), None, "a vector").await.unwrap();
            world.work().await;
        }
        let order = world.admin().await.order(&number.parse().unwrap()).await.unwrap();
        assert_eq!(order.state.status().as_str(), ours["status"]);
    }
    clock.advance(Duration::from_hours(24));
    let report = world.admin().await.reconcile(day).await.unwrap();
    let (mut there, mut here, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for difference in &report.differences {
        match difference {
            Difference::PaidThereOnly { order, .. } => there.push(order.as_str()),
            Difference::PaidHereOnly { order, .. } => here.push(order.as_str()),
            Difference::AmountDiffers { order, .. } => other.push(order.as_str()),
            _ => {}
        }
    }
    let expected = |name: &str| -> Vec<String> {
        let list = vectors["reconcile"]["expect"][name].as_array().unwrap();
        list.iter().map(|order| order.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(there, expected("paid_at_wechat_but_not_here"));
    assert_eq!(here, expected("paid_here_but_not_at_wechat"));
    assert_eq!(other, expected("amount_differs"));
    world.finish().await;
});

/// The bill of the vectors with these lines in front of its own.
fn bill_with(lines: &str) -> (Day, TradeBill) {
    let vectors = trade_bill();
    let plain = cases(&vectors, "cases").into_iter().find(|case| case["id"] == "plain").unwrap();
    let text_of_bill = String::from_utf8(file(&plain)).unwrap();
    let (header, rest) = text_of_bill.split_once('\n').unwrap();
    let bill = bill::parse(format!("{header}\n{lines}{rest}").as_bytes()).unwrap();
    (text(&plain, "/bill_date").parse().unwrap(), bill)
}

/// A line like the first of the vectors' own, of this app, with this number of a payment and this product name.
fn line(appid: &str, transaction: &str, product: &str) -> String {
    let vectors = trade_bill();
    let plain = cases(&vectors, "cases").into_iter().find(|case| case["id"] == "plain").unwrap();
    let text_of_bill = String::from_utf8(file(&plain)).unwrap();
    let header = text_of_bill.lines().next().unwrap().trim_end();
    let place = |name: &str| header.split(',').position(|column| column.contains(name)).unwrap();
    let line = text_of_bill.lines().nth(1).unwrap().trim_end();
    let mut fields: Vec<String> = line[1..].split(",`").map(str::to_owned).collect();
    fields[place("公众账号ID")] = appid.to_owned();
    fields[place("微信订单号")] = transaction.to_owned();
    fields[place("商品名称")] = product.to_owned();
    format!("`{}\r\n", fields.join(",`"))
}

on_every_backend!(lines_of_other_apps_and_unreadable_lines_cost_only_themselves, |backend| async move {
    let lines = [
        line("wxffffffffffffffff", "4200000000000000000000000001", "another app"),
        line("wxffffffffffffffff", "4200000000000000000000000002", "another app,`unreadable"),
        line("wx0123456789abcdef", "4200000000000000000000000003", "ours,`unreadable"),
        line("wx0123456789abcdef", "4200000000000000000000000004", "ours\nin two lines"),
    ];
    let (day, mut bill) = bill_with(&lines.concat());
    let own = bill.rows.iter().filter(|row| row.appid != "wxffffffffffffffff").count();
    // What the vectors tell is of this app, whatever its name there.
    for row in bill.rows.iter_mut().filter(|row| row.appid != "wxffffffffffffffff") {
        row.appid = "wx0123456789abcdef".to_owned();
    }
    let identity = PayIdentity { mchid: "1".into(), appid: "wx0123456789abcdef".into() };
    let mut clock = None;
    let options = TestDream::on(&backend).on_clock(|given| clock = Some(given));
    let clock = clock.expect("a world has a clock");
    clock.set(format!("{}T12:00:00+08:00", day.next()).parse().unwrap());
    let world = options.pay(Arc::new(Billed { identity, bill })).start().await;
    let report = world.admin().await.reconcile(day).await.unwrap();
    assert_eq!(report.other_apps, 2);
    assert_eq!(report.payments + report.refunds, own);
    let unreadable: Vec<_> = report
        .differences
        .iter()
        .filter_map(|difference| match difference {
            Difference::Unreadable { line, transaction, problem } => {
                assert!(problem.contains("fields"), "{problem}");
                Some((*line, transaction.clone()))
            }
            _ => None,
        })
        .collect();
    // The line break leaves the columns before it readable.
    assert_eq!(
        unreadable,
        [
            (4, Some("4200000000000000000000000003".to_owned())),
            (5, Some("4200000000000000000000000004".to_owned())),
        ]
    );
    let foreign = |difference: &Difference| matches!(difference, Difference::PaidThereOnly { transaction, .. } if transaction == "4200000000000000000000000001");
    assert!(!report.differences.iter().any(foreign), "a payment of another app is none of ours");
    world.finish().await;
});
