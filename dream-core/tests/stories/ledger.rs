//! The ledger against a model of it, under whatever users, admins and the image API do.

use std::collections::HashMap;

use dream_core::kernel::{JobId, OrderId, Points};
use dream_core::{Code, Facts};
use dream_testkit::on_every_backend;
use dream_testkit::world::{Actor, TestDream, draft};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::shop::{bought_points, ledger, open, refund};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// An admin gives points, or takes them.
    Adjust(i64),
    /// A recharge is paid.
    Recharge(i64),
    /// Some part of some recharge goes back, in percent.
    Refund(prop::sample::Index, i64),
    /// So many samples are asked for.
    Generate(i64, Fate),
    /// Some job is taken back.
    Cancel(prop::sample::Index),
    /// Everything that is under way comes to its end.
    Settle,
}

/// What the image API does with a job.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Paint,
    Fail,
    Refuse,
}

impl Fate {
    fn prompt(self) -> &'static str {
        match self {
            Fate::Paint => "a cat",
            Fate::Fail => "[fail]",
            Fate::Refuse => "[refuse]",
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![Just(Fate::Paint), Just(Fate::Fail), Just(Fate::Refuse)];
    prop_oneof![
        2 => (-30..60_i64).prop_map(Step::Adjust),
        1 => (1..40_i64).prop_map(Step::Recharge),
        2 => (any::<prop::sample::Index>(), 1..=100_i64).prop_map(|(which, percent)| Step::Refund(which, percent)),
        4 => (1..6_i64, fate).prop_map(|(samples, fate)| Step::Generate(samples, fate)),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => Just(Step::Settle),
    ]
}

/// A recharge as the model sees it.
struct Bought {
    id: OrderId,
    points: i64,
    refunded_fen: i64,
    taken: i64,
}

/// A job whose charge is still held.
struct Open {
    id: JobId,
    points: i64,
    fate: Fate,
}

#[derive(Default)]
struct Model {
    balance: i64,
    entries: Vec<(i64, i64)>,
    bought: Vec<Bought>,
    open: Vec<Open>,
    submitted: usize,
}

impl Model {
    fn book(&mut self, amount: i64) {
        self.balance += amount;
        self.entries.push((amount, self.balance));
    }
}

/// How many lives are lived on each backend.
const LIVES: u32 = 12;
/// What a draft costs.
const PRICE: i64 = 2;
/// What a point costs, in fen.
const FEN: i64 = 10;

async fn perform(
    world: &TestDream,
    user: &Actor,
    model: &mut Model,
    step: &Step,
) -> Result<(), TestCaseError> {
    match step {
        Step::Adjust(points) => {
            let admin = world.admin().await;
            let outcome = admin.grant_points(user.id(), Points::new(*points), "a test").await;
            match outcome {
                Ok(_) => model.book(*points),
                Err(error) if error.code() == Code::InvalidState => {
                    prop_assert!(model.balance + points < 0);
                    let missing = -(model.balance + points);
                    prop_assert_eq!(error.facts(), &Facts::Shortfall { points: missing });
                }
                Err(error) => prop_assert!(*points == 0, "{}", error.code()),
            }
        }
        Step::Recharge(points) => {
            let id = bought_points(world, user, *points).await;
            model.bought.push(Bought { id, points: *points, refunded_fen: 0, taken: 0 });
            model.book(*points);
        }
        Step::Refund(which, percent) => {
            if model.bought.is_empty() {
                return Ok(());
            }
            let at = which.index(model.bought.len());
            let bought = &model.bought[at];
            let total = bought.points * FEN;
            let fen = (total * percent / 100).max(1);
            let outcome = refund(world, &bought.id, Some(fen)).await;
            let takes = bought.points * (bought.refunded_fen + fen) / total - bought.taken;
            match outcome {
                Ok(refund) => {
                    prop_assert_eq!(refund.points_taken.get(), takes);
                    let bought = &mut model.bought[at];
                    (bought.refunded_fen, bought.taken) = (bought.refunded_fen + fen, bought.taken + takes);
                    if takes > 0 {
                        model.book(-takes);
                    }
                }
                Err(error) if bought.refunded_fen + fen > total => {
                    prop_assert!(matches!(error.code(), Code::ValidationFailed | Code::InvalidState));
                }
                Err(error) => {
                    prop_assert_eq!(error.facts(), &Facts::Shortfall { points: takes - model.balance });
                }
            }
        }
        Step::Generate(samples, fate) => match user.generate(&draft(fate.prompt(), *samples)).await {
            Ok(accepted) => {
                prop_assert_eq!(accepted.charge.points.get(), samples * PRICE);
                model.book(-samples * PRICE);
                model.open.push(Open { id: accepted.job_id, points: samples * PRICE, fate: *fate });
            }
            Err(error) => {
                prop_assert_eq!(error.code(), Code::QuotaExceeded);
                prop_assert!(samples * PRICE > model.balance);
            }
        },
        Step::Cancel(which) => {
            if model.open.is_empty() {
                return Ok(());
            }
            let job = model.open.remove(which.index(model.open.len()));
            // It was never submitted, since the worker runs only when everything settles.
            prop_assert!(user.session().await.cancel_job(&job.id).await.is_ok());
            model.book(job.points);
        }
        Step::Settle => settle(world, model).await,
    }
    Ok(())
}

async fn settle(world: &TestDream, model: &mut Model) {
    world.settle().await;
    for job in std::mem::take(&mut model.open) {
        if !matches!(job.fate, Fate::Refuse) {
            model.submitted += 1;
        }
        if !matches!(job.fate, Fate::Paint) {
            model.book(job.points);
        }
    }
}

async fn check(world: &TestDream, user: &Actor, model: &Model, exact: bool) -> Result<(), TestCaseError> {
    prop_assert_eq!(user.points().await, model.balance);
    let entries = ledger(world, user.id()).await;
    prop_assert_eq!(entries.iter().map(|(amount, _)| amount).sum::<i64>(), model.balance);
    prop_assert!(entries.iter().all(|(_, after)| *after >= 0), "{:?}", entries);
    if exact {
        prop_assert_eq!(&entries, &model.entries);
    }
    Ok(())
}

/// One life of one user.
async fn live(world: &TestDream, name: &str, steps: &[Step]) -> Result<(), TestCaseError> {
    let user = world.user(name).await;
    let mut model = Model::default();
    let before = world.image_api().jobs().len();
    let mut exact = true;
    for step in steps {
        // Jobs that end together do so in any order.
        exact &= !matches!(step, Step::Settle) || model.open.len() < 2;
        perform(world, &user, &mut model, step).await?;
        check(world, &user, &model, exact).await?;
    }
    exact &= model.open.len() < 2;
    settle(world, &mut model).await;
    check(world, &user, &model, exact).await?;
    prop_assert_eq!(world.image_api().jobs().len() - before, model.submitted, "one there for each here");
    let returns: HashMap<String, String> = world
        .database()
        .pairs(
            "SELECT cause_id, CAST(count(*) AS TEXT) FROM ledger_entries WHERE cause = 'generation_return' \
             GROUP BY cause_id",
        )
        .await
        .into_iter()
        .collect();
    prop_assert!(returns.values().all(|count| count == "1"), "{:?}", returns);
    prop_assert_eq!(world.complaints().await, vec![]);
    Ok(())
}

on_every_backend!(the_ledger_is_that_of_the_model_whatever_happens, |backend| async move {
    let world = open(TestDream::on(&backend).daily_quota(0)).await;
    let mut runner = TestRunner::new(Config { cases: LIVES, max_shrink_iters: 200, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let lives = std::cell::Cell::new(0);
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&prop::collection::vec(step(), 1..25), |steps| {
            lives.set(lives.get() + 1);
            runtime.block_on(live(&world, &format!("user-{}", lives.get()), &steps))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    world.finish().await;
});
