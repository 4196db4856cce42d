//! Plans, what was ordered of them, and templates.

use super::Context;
use super::batch::{Became, Owner, RowToPut, Taking, Work};
use super::rules::{self, Cells, shown};
use super::source::{self, Spec};
use crate::error::{Code, Result};
use crate::jobs::{PictureUrl, SampleCount, Text};
use crate::kernel::{Fen, OrderId, PlanId, TemplateId, Timestamp};
use crate::orders::{self, OrderStatus};
use crate::stats::{Delta, UserDelta};
use crate::store::Tx;
use crate::templates::{self, NewTemplate, ParamContent, PreviewImages, PromptContent};
use crate::vip::{self, Level, PlanTerms};

/// About a hundred years, which is what a lifetime is sold as.
const MOST_DAYS: i64 = 36_500;
const DAY: i64 = 86_400_000_000;
/// How long an order of the original could be paid is not known; ours have this long.
const PAYABLE: i64 = 30 * 60 * 1_000_000;

/// A plan's id, always the same for the same text.
fn plan_id(text: &str) -> Option<(PlanId, bool)> {
    rules::id_like(text, source::PLANS.name, text)
}

/// The original knew plans without a level, and gave it by their names.
fn level_by_name(plan: &str) -> Level {
    if plan.to_ascii_lowercase().contains("svip") { Level::Svip } else { Level::Vip }
}

pub(super) struct Plans;

pub(super) struct Plan {
    id: PlanId,
    name: String,
    level: Level,
    days: i64,
    original_price: i64,
    current_price: i64,
    benefits: Vec<String>,
    popular: bool,
    active: bool,
}

impl Taking for Plans {
    const SPEC: &'static Spec = &source::PLANS;
    type Item = Plan;

    fn read(cells: &mut Cells<'_>, _: &Context<'_>) -> Option<Plan> {
        let Some(text) = cells.text("plan_id") else { return cells.left_out("it has no plan_id") };
        let (plan_id, same) = plan_id(text)?;
        if !same {
            cells.changed(format!("its plan_id may not be one here, and becomes {plan_id}"));
        }
        let Some(days) = cells.number("duration").filter(|days| (1..=MOST_DAYS).contains(days)) else {
            return cells.left_out(format!("its duration is not 1 to {MOST_DAYS} days"));
        };
        let Some(current_price) = cells.number("current_price").filter(|price| *price > 0) else {
            return cells.left_out("its price is not above 0");
        };
        let original_price = cells.number("original_price").filter(|price| *price >= 0);
        let level = cells.text("level").and_then(|word| Level::parse(&word.to_ascii_uppercase()));
        Some(Plan {
            level: level.filter(|level| *level > Level::Normal).unwrap_or_else(|| level_by_name(text)),
            name: cells.short("name", 100).unwrap_or_else(|| text.to_owned()),
            id: plan_id,
            days,
            original_price: original_price.unwrap_or(current_price),
            current_price,
            benefits: cells.list("benefits"),
            popular: cells.flag("popular").unwrap_or(false),
            active: cells.flag("is_active").unwrap_or(true),
        })
    }

    fn owner(_: &Plan) -> Option<Owner<'_>> {
        None
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Plan>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let plan = row.item;
        let original = vip::OriginalPlan {
            id: row.number(),
            plan_id: &plan.id,
            name: &plan.name,
            level: plan.level,
            duration_days: plan.days,
            original_price: plan.original_price,
            current_price: plan.current_price,
            benefits: &plan.benefits,
            popular: plan.popular,
            active: plan.active,
        };
        let made = vip::take_over_plan(tx, &original, work.context.now).await?;
        let (here, replaced) = made.ok_or(Code::Internal)?;
        if replaced {
            work.changed(format!("it takes the place of the plan {} that was here", plan.id));
            return Ok(Some((here, Became::Joined)));
        }
        Ok(Some((here, Became::New)))
    }
}

pub(super) struct Orders;

pub(super) struct Order {
    id: OrderId,
    user: String,
    plan: String,
    status: OrderStatus,
    amount: i64,
    transaction_id: Option<String>,
    paid_at: Timestamp,
    vip_expire_at: Option<Timestamp>,
    refunded_at: Timestamp,
    created_at: Timestamp,
}

impl Taking for Orders {
    const SPEC: &'static Spec = &source::ORDERS;
    type Item = Order;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Order> {
        let Some(user) = cells.text("user_id").map(str::to_owned) else {
            return cells.left_out("it belongs to no user");
        };
        let Some(amount) = cells.number("amount").filter(|amount| *amount > 0) else {
            return cells.left_out("its amount is not above 0");
        };
        let Some(plan) = cells.text("plan_id").map(str::to_owned) else {
            return cells.left_out("it names no plan, so it is not known what was ordered");
        };
        let word = cells.text("status").unwrap_or_default().to_ascii_uppercase();
        let Some(mut status) = OrderStatus::parse(&word) else {
            return cells.left_out(format!("its status is unknown: {}", shown(&word)));
        };
        let id = cells.text("id").unwrap_or_default().to_owned();
        let text = cells.text("order_id").unwrap_or_default().to_owned();
        let (order_id, same) = rules::id_like::<OrderId>(&text, Self::SPEC.name, &id)?;
        if !same {
            cells.changed(format!("its order_id may not be one here, and becomes {order_id}"));
        }
        let created_at = cells.made_at(&["paid_at", "updated_at"], context.now);
        let paid_at = cells.time("paid_at");
        match status {
            OrderStatus::Pending => {
                cells.changed("it could never be paid at WeChat, and becomes CANCELLED");
                status = OrderStatus::Cancelled;
            }
            OrderStatus::Paid | OrderStatus::Refunded => {
                cells.changed(format!("{word}, but never verified with WeChat: it counts as no revenue"));
                if paid_at.is_none() {
                    cells.changed("paid_at is not known, and becomes created_at");
                }
            }
            OrderStatus::Cancelled => {}
        }
        let paid_at = paid_at.unwrap_or(created_at);
        Some(Order {
            id: order_id,
            user,
            plan,
            status,
            amount,
            transaction_id: cells.short("transaction_id", 64),
            paid_at,
            vip_expire_at: cells.time("vip_expire_at"),
            refunded_at: cells.time("refunded_at").or_else(|| cells.time("updated_at")).unwrap_or(paid_at),
            created_at,
        })
    }

    fn owner(item: &Order) -> Option<Owner<'_>> {
        Some(Owner { table: "users", id: &item.user, needed: true })
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Order>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let order = row.item;
        let user = row.user().ok_or(Code::Internal)?;
        let Some((plan_id, _)) = plan_id(&order.plan) else { return Ok(work.left_out("it names no plan")) };
        let Some(terms) = terms(tx, &plan_id, order, work).await? else {
            return Ok(work.left_out(format!(
                "there is no plan {}, so it is not known for how many days it was",
                shown(&order.plan)
            )));
        };
        let derived = rules::derived(Self::SPEC.name, row.id).simple().to_string();
        let mut order_id = order.id.clone();
        if orders::exists(tx, &order_id).await? {
            order_id = derived.parse().map_err(|_| Code::Internal)?;
            work.changed(format!("its order_id is taken, and becomes {order_id}"));
        }
        // Unique whatever the original had there.
        let transaction_id = match &order.transaction_id {
            Some(number) => format!("{number}:{}", row.id),
            None => format!("original:{}", row.id),
        };
        let original = orders::Original {
            id: row.number(),
            order_id: &order_id,
            user,
            status: order.status,
            amount: Fen::new(order.amount),
            plan: &plan_id,
            plan_name: &terms.name,
            level: terms.level,
            days: terms.days,
            transaction_id: &transaction_id,
            refund_id: &derived.parse().map_err(|_| Code::Internal)?,
            paid_at: order.paid_at,
            vip_expire_at: order.vip_expire_at,
            refunded_at: order.refunded_at,
            expire_at: Timestamp::from_micros(order.created_at.as_micros().saturating_add(PAYABLE)),
            created_at: order.created_at,
        };
        let Some(here) = orders::take_over(tx, &original, work.context.now).await? else {
            return Ok(work.left_out("its order_id is taken"));
        };
        work.numbered(row.number(), here);
        work.count_for(user, UserDelta { orders: 1, ..UserDelta::default() });
        work.count(order.created_at, Delta { orders: 1, ..Delta::default() });
        Ok(Some((here, Became::New)))
    }
}

/// What the order was for: the plan's terms, or what can be told of them from the order.
async fn terms(tx: &mut Tx, plan: &PlanId, order: &Order, work: &mut Work<'_>) -> Result<Option<PlanTerms>> {
    if let Some(terms) = vip::terms(tx, plan).await? {
        return Ok(Some(terms));
    }
    let Some(until) = order.vip_expire_at else { return Ok(None) };
    let days = (until.as_micros().saturating_sub(order.paid_at.as_micros())).div_euclid(DAY);
    if !(1..=MOST_DAYS).contains(&days) {
        return Ok(None);
    }
    work.changed(format!("its plan is gone; by its times it was for {days} days"));
    Ok(Some(PlanTerms { name: order.plan.clone(), level: level_by_name(&order.plan), days }))
}

/// The id that clients know a template by.
fn template_id(cells: &mut Cells<'_>, table: &str) -> Option<TemplateId> {
    let id = cells.text("id").unwrap_or_default().to_owned();
    let text = cells.text("template_id").unwrap_or_default().to_owned();
    let (template_id, same) = rules::id_like::<TemplateId>(&text, table, &id)?;
    if !same {
        cells.changed(format!("its template_id may not be one here, and becomes {template_id}"));
    }
    Some(template_id)
}

fn short<const MAX: usize>(cells: &mut Cells<'_>, field: &str) -> Option<Text<MAX>> {
    cells.prose(field, MAX)?.parse().ok()
}

fn preview_images(cells: &mut Cells<'_>) -> PreviewImages {
    let all = cells.list("preview_images");
    let mut urls: Vec<PictureUrl> = all.iter().filter_map(|text| text.parse().ok()).collect();
    urls.truncate(PreviewImages::MAX);
    if urls.len() < all.len() {
        cells.changed(format!("{} of its preview_images are no URLs or too many", all.len() - urls.len()));
    }
    PreviewImages::new(urls).unwrap_or_default()
}

/// What is said where a template of this id is here.
const KEPT: &str = "a template of this id is here, and stays as it is";

pub(super) struct Prompts;

impl Taking for Prompts {
    const SPEC: &'static Spec = &source::PROMPTS;
    type Item = (NewTemplate<PromptContent>, i64);

    fn read(cells: &mut Cells<'_>, _: &Context<'_>) -> Option<Self::Item> {
        let template_id = template_id(cells, Self::SPEC.name)?;
        let Some(prompt) = short(cells, "prompt") else { return cells.left_out("it has no prompt") };
        let Some(title) = short(cells, "title").or_else(|| template_id.as_str().parse().ok()) else {
            return cells.left_out("it has no title");
        };
        let Some(category) = short(cells, "category").or_else(|| "other".parse().ok()) else {
            return cells.left_out("it has no category");
        };
        let content = PromptContent {
            title,
            description: short(cells, "description"),
            prompt,
            category,
            thumbnail_url: cells.parsed("thumbnail_url"),
            preview_images: preview_images(cells),
            is_hot: cells.flag("is_hot").unwrap_or(false),
        };
        Some((NewTemplate { template_id, content }, cells.count("usage_count")))
    }

    fn owner(_: &Self::Item) -> Option<Owner<'_>> {
        None
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Self::Item>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let (new, usage_count) = row.item;
        let made = templates::take_over_prompt(tx, new, *usage_count, work.context.now).await?;
        Ok(template_became(made, work))
    }
}

fn template_became(made: Option<(i64, bool)>, work: &mut Work<'_>) -> Option<(i64, Became)> {
    let (here, is_new) = made?;
    if is_new {
        return Some((here, Became::New));
    }
    work.changed(KEPT);
    Some((here, Became::Joined))
}

pub(super) struct Params;

impl Taking for Params {
    const SPEC: &'static Spec = &source::PARAMS;
    type Item = NewTemplate<ParamContent>;

    fn read(cells: &mut Cells<'_>, _: &Context<'_>) -> Option<Self::Item> {
        let template_id = template_id(cells, Self::SPEC.name)?;
        let Some(title) = short(cells, "title").or_else(|| template_id.as_str().parse().ok()) else {
            return cells.left_out("it has no title");
        };
        let samples = cells.number("sample_count");
        let sample_count = samples.and_then(|count| SampleCount::new(count).ok());
        if let (Some(count), None) = (samples, sample_count) {
            cells.changed(format!("sample_count {count} is not allowed here, and is left empty"));
        }
        let content = ParamContent {
            title,
            description: short(cells, "description"),
            thumbnail_url: cells.parsed("thumbnail_url"),
            preview_images: preview_images(cells),
            mode: cells.parsed("mode"),
            resolution: cells.parsed("resolution"),
            aspect_ratio: cells.parsed("aspect_ratio"),
            sample_count,
        };
        Some(NewTemplate { template_id, content })
    }

    fn owner(_: &Self::Item) -> Option<Owner<'_>> {
        None
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Self::Item>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let made = templates::take_over_params(tx, row.item, work.context.now).await?;
        Ok(template_became(made, work))
    }
}
