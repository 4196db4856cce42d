//! Orders by hand: looking, asking the channel, closing, giving back, and comparing with the bill.

use std::time::Duration;

use dream_core::adapters::SystemClock;
use dream_core::kernel::{OrderId, Zone};
use dream_core::orders::{OrderStatus, Placed, RechargePoints, WECHAT};
use dream_core::ports::Clock as _;
use dream_testkit::backends::Backend;
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream};
use serde_json::json;

use crate::shell::{Shell, columns};

/// A world on the machine's clock, since that is the clock of the command line.
async fn shop(backend: &Backend) -> (TestDream, Shell) {
    let world = TestDream::on(backend).system_clock().taking_payments().start().await;
    world.dream().plant_seeds().await.unwrap();
    let shell = Shell::beside(&world, backend, true);
    (world, shell)
}

async fn recharge(user: &Actor, points: i64) -> Placed {
    let points = RechargePoints::new(points).expect("a number that can be bought");
    user.session().await.recharge(points, WECHAT, None).await.expect("an order")
}

fn pay(world: &TestDream, placed: &Placed) {
    world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).expect("a payment");
}

async fn paid(world: &TestDream, user: &Actor, points: i64) -> OrderId {
    let placed = recharge(user, points).await;
    pay(world, &placed);
    world.wechat_pay().deliver_due().await;
    placed.order.order_id
}

async fn status(world: &TestDream, order: &OrderId) -> OrderStatus {
    world.admin().await.order(order).await.expect("an order").state.status()
}

on_every_backend!(orders_are_listed_and_shown, |backend| async move {
    let (world, shell) = shop(&backend).await;
    let alice = world.alice().await;
    let order = paid(&world, &alice, 50).await;
    let waits = recharge(&alice, 10).await.order.order_id;
    let list = shell.run(&["order", "list"]).await;
    assert_eq!(
        list.columns("ORDER"),
        ["ORDER", "USER", "WHAT", "STATUS", "YUAN", "REFUNDED", "REFUND", "PAID", "CREATED"]
    );
    let row = list.columns(order.as_str());
    assert_eq!(row[2..6], ["50 points", "PAID", "5.00", "0.00"]);
    assert_eq!(list.columns(waits.as_str())[6..8], ["–", "–"]);
    let pending = shell.json(&["order", "list", "--status", "pending", "--kind", "points"]).await;
    assert_eq!(
        (pending["orders"].as_array().map(Vec::len), pending["hasMore"].as_bool()),
        (Some(1), Some(false))
    );
    assert_eq!(pending["orders"][0]["orderId"], waits.as_str());
    let others = shell.json(&["order", "list", "--user", "999999"]).await;
    assert_eq!(others["orders"], json!([]));
    let shown = shell.json(&["order", "show", order.as_str()]).await;
    assert_eq!(
        (shown["order"]["status"].as_str(), shown["refunds"].as_array().map(Vec::len)),
        (Some("PAID"), Some(0))
    );
    world.admin().await.refund_order(&order, None, "no use").await.unwrap();
    let list = shell.run(&["order", "list"]).await;
    assert_eq!(list.columns(order.as_str())[3..7], ["PAID", "5.00", "5.00", "PROCESSING"]);
    let all = shell.json(&["order", "list", "--status", "paid"]).await;
    assert_eq!(
        (&all["orders"][0]["refundStatus"], &all["orders"][0]["refundedAmount"]),
        (&json!("PROCESSING"), &json!(500))
    );
    world.check_books().await;
});

on_every_backend!(
    a_payment_that_nobody_told_of_takes_effect_when_the_order_is_queried,
    |backend| async move {
        let (world, shell) = shop(&backend).await;
        let alice = world.alice().await;
        let placed = recharge(&alice, 50).await;
        let order = placed.order.order_id.clone();
        pay(&world, &placed);
        let asked = shell.json(&["order", "query", order.as_str(), "--dry-run"]).await;
        assert_eq!(
            (asked["channel"].as_str(), asked["order"]["status"].as_str()),
            (Some("PAID"), Some("PENDING"))
        );
        assert_eq!((status(&world, &order).await, alice.points().await), (OrderStatus::Pending, 0));
        let queried = shell.json(&["order", "query", order.as_str()]).await;
        assert_eq!(queried["order"]["status"], "PAID");
        assert_eq!((status(&world, &order).await, alice.points().await), (OrderStatus::Paid, 50));
        world.check_books().await;
    }
);

on_every_backend!(an_order_that_waits_is_closed_and_one_that_was_paid_is_not, |backend| async move {
    let (world, shell) = shop(&backend).await;
    let alice = world.alice().await;
    let order = recharge(&alice, 50).await.order.order_id;
    let close = |extra: &'static str| ["order", "close", order.as_str(), "--reason", "asked", extra];
    shell.run(&close("--json")).await.failed(2, "NOT_CONFIRMED");
    let dry = shell.json(&close("--dry-run")).await;
    assert_eq!((dry["channel"].as_str(), dry["dryRun"].as_bool()), (Some("UNPAID"), Some(true)));
    assert_eq!(status(&world, &order).await, OrderStatus::Pending);
    assert_eq!(shell.json(&close("--yes")).await["order"]["status"], "CANCELLED");
    shell.run(&close("--yes")).await.failed(4, "CANCELLED");
    let won = recharge(&alice, 20).await;
    pay(&world, &won);
    shell.run(&["order", "close", won.order.order_id.as_str(), "-y"]).await.failed(4, "INVALID_STATE");
    assert_eq!(status(&world, &won.order.order_id).await, OrderStatus::Paid, "payment wins");
    let log = shell.json(&["audit-log", "--action", "order.close"]).await;
    assert_eq!(
        (log["entries"].as_array().map(Vec::len), log["entries"][0]["reason"].as_str()),
        (Some(1), Some("asked"))
    );
    world.check_books().await;
});

on_every_backend!(money_is_given_back_in_part_and_in_whole, |backend| async move {
    let (world, shell) = shop(&backend).await;
    let alice = world.alice().await;
    let order = paid(&world, &alice, 50).await;
    let refund = async |extra: &[&str]| {
        let args = ["order", "refund", order.as_str(), "--reason", "changed mind"];
        let args: Vec<&str> = args.iter().chain(extra).copied().collect();
        shell.run(&args).await
    };
    refund(&[]).await.failed(2, "nobody is there to confirm");
    refund(&["--amount", "0", "-y"]).await.failed(2, "0");
    refund(&["--amount", "501", "-y"]).await.failed(2, "amount");
    let dry = refund(&["--amount", "100", "--dry-run"]).await;
    assert_eq!(dry.columns("taken back"), ["taken back", "10 points"]);
    assert_eq!((alice.points().await, world.wechat_pay().refunds().len()), (50, 0));
    let part = refund(&["--amount", "100", "-y"]).await;
    assert_eq!(part.columns("yuan"), ["yuan", "1.00"]);
    assert_eq!(alice.points().await, 40);
    alice.session().await.balance().await.unwrap();
    let shown = shell.run(&["order", "show", order.as_str()]).await;
    assert_eq!(shown.columns("refunded"), ["refunded", "1.00"]);
    assert!(shown.out.contains("changed mind") && shown.out.contains("PROCESSING"), "{shown:?}");
    // Points that were spent cannot be taken back, and the shortfall is named.
    shell.out(&["points", "grant", &alice.id().to_string(), "-35", "--reason", "spent", "-y"]).await;
    let short = refund(&["-y"]).await.failed(4, "INVALID_STATE");
    assert!(short.err.contains("35"), "the shortfall is named: {short:?}");
    world.work().await;
    assert_eq!(world.wechat_pay().refunds().len(), 1);
    let log = shell.json(&["audit-log", "--action", "order.refund"]).await;
    assert_eq!(log["entries"][0]["target"], format!("order:{order}"));
    world.check_books().await;
});

on_every_backend!(a_payment_too_many_that_was_kept_is_named_and_given_back, |backend| async move {
    let (world, shell) = shop(&backend).await;
    let alice = world.alice().await;
    let order = paid(&world, &alice, 50).await;
    let run = async |extra: &[&str]| {
        let args = ["order", "refund", order.as_str(), "--surplus", "--reason", "paid twice"];
        let args: Vec<&str> = args.iter().chain(extra).copied().collect();
        shell.run(&args).await
    };
    run(&["-y"]).await.failed(4, "INVALID_STATE");
    run(&["--amount", "1", "-y"]).await.failed(2, "--amount");
    let kept = format!(
        "INSERT INTO payments (channel, transaction_id, order_id, amount, surplus, paid_at, recorded_at) \
         VALUES ('wechat', 'one-too-many', '{order}', 500, true, 1, 1)"
    );
    assert_eq!(world.database().execute(&kept).await, 1);
    let audit = shell.run(&["audit"]).await;
    assert!(audit.code == 6 && audit.out.contains("surplus_goes_back"), "{audit:?}");
    run(&[]).await.failed(2, "NOT_CONFIRMED");
    let rehearsed: serde_json::Value =
        serde_json::from_str(&run(&["--dry-run", "--json"]).await.done()).unwrap();
    assert_eq!((rehearsed["dryRun"].as_bool(), rehearsed["amount"].as_i64()), (Some(true), Some(500)));
    let told: serde_json::Value =
        serde_json::from_str(&run(&["-y", "--as", "ops-1", "--json"]).await.done()).unwrap();
    assert_eq!((told["surplus"].as_bool(), told["requestedBy"].as_str()), (Some(true), Some("ops-1")));
    assert_eq!((told["amount"].as_i64(), told["pointsTaken"].as_i64()), (Some(500), Some(0)));
    run(&["-y"]).await.failed(4, "INVALID_STATE");
    shell.run(&["audit"]).await.done();
    world.check_books().await;
});

on_every_backend!(a_bill_that_differs_is_told_line_by_line_and_ends_in_six, |backend| async move {
    // A bill is there in the course of the next day, so all of this happened two days ago.
    let world = TestDream::on(&backend).taking_payments().start().await;
    let now = SystemClock.now();
    world.clock().set(now.minus(Duration::from_hours(48)));
    let shell = Shell::beside(&world, &backend, true);
    let alice = world.alice().await;
    let known = paid(&world, &alice, 50).await;
    let missed = recharge(&alice, 20).await;
    pay(&world, &missed);
    let day = Zone::default().day(world.now()).to_string();
    world.clock().set(now);
    let dry = shell.run(&["order", "reconcile", "--date", &day, "--dry-run", "--json"]).await;
    assert_eq!(dry.code, 6, "{dry:?}");
    let told: serde_json::Value = serde_json::from_str(&dry.out).unwrap();
    assert_eq!((told["payments"].as_i64(), told["differences"].as_array().map(Vec::len)), (Some(2), Some(1)));
    let difference = &told["differences"][0];
    assert_eq!(difference["kind"], "PAID_THERE_ONLY");
    assert_eq!(
        (difference["number"].as_str(), difference["there"].as_i64()),
        (Some(missed.order.order_id.as_str()), Some(200))
    );
    assert_eq!(status(&world, &missed.order.order_id).await, OrderStatus::Pending);
    let ran = shell.run(&["order", "reconcile", "--date", &day]).await;
    assert_eq!(ran.code, 6, "{ran:?}");
    let row = ran.columns("PAID_THERE_ONLY");
    assert_eq!(
        (row[1].as_str(), row.last().map(String::as_str)),
        (missed.order.order_id.as_str(), Some("took effect just now"))
    );
    assert_eq!((status(&world, &missed.order.order_id).await, alice.points().await), (OrderStatus::Paid, 70));
    let again = shell.run(&["order", "reconcile", "--date", &day]).await;
    assert!(again.out.contains("all as it is here"), "{again:?}");
    assert_eq!(again.code, 0);
    assert_eq!(status(&world, &known).await, OrderStatus::Paid);
    world.check_books().await;
});

#[tokio::test]
async fn what_asks_the_channel_says_so_where_there_is_none() {
    let shell = Shell::with(&[]);
    shell.out(&["migrate"]).await;
    for args in [
        &["order", "query", "VIP00000000000"][..],
        &["order", "close", "VIP00000000000", "-y"],
        &["order", "reconcile"],
    ] {
        // In development it is the sandbox, which does not run. Production has none.
        let ran = shell.run(args).await.failed(5, "dream serve");
        assert!(ran.err.contains("WECHAT_PAY_MCH_ID"), "{ran:?}");
        let mut production = shell.prepare(args);
        let output = production.env("APP_ENV", "production").output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(78) && said.contains("WECHAT_PAY_MCH_ID"), "{said}");
    }
    let waits = tokio::time::timeout(Duration::from_mins(1), shell.run(&["order", "list"])).await;
    assert_eq!(columns(&waits.unwrap().done(), "ORDER")[0], "ORDER");
}
