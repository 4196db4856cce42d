//! `dream export …`: whole tables, a page at a time, so that their size does not matter; and all that is kept about one
//! user.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dream_core::kernel::{Limit, Page, PageRequest, UserId};
use dream_core::orders::{Goods, Order, OrderFilter};
use dream_core::points::LedgerEntry;
use dream_core::{Admin, User, UserFilter};
use dream_http::wire;
use serde::Serialize;

use super::Desk;
use crate::args::user_id;
use crate::exit::{Exit, Trouble};
use crate::output::{Cell, Output, Sheet};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// All users, newest first
    Users(Target),
    /// All orders, newest first
    Orders(Target),
    /// The whole ledger of points, the last entry first
    Ledger(Target),
    /// Everything that is kept about one user, as one JSON document: for who asks for the data about oneself
    User {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// Into this file, which only its owner may read and which is there once it is whole; standard output unless
        /// given
        #[arg(long, short = 'o', value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Where it goes. Standard output is CSV for programs; a file is CSV for spreadsheets, with a byte order mark and with a tab
/// before what a spreadsheet would round as a number. What people wrote is made harmless in both. One object a line with
/// `--json`.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Into this file, which only its owner may read and which is there once it is whole; standard output unless given
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A thing that makes a row.
trait Record {
    const COLUMNS: &'static [&'static str];
    type Json: Serialize;

    fn cells(&self) -> Vec<Cell>;
    fn json(self) -> Self::Json;
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let opening = match verb {
        Verb::User { .. } => Desk::to_look().with_pictures(),
        Verb::Users(_) | Verb::Orders(_) | Verb::Ledger(_) => Desk::to_look(),
    };
    let desk = opening.open().await?;
    let admin = desk.admin();
    let outcome = match verb {
        Verb::Users(target) => {
            let filter = UserFilter::default();
            write("users", &target, output, async |page| admin.users(&filter, &page).await).await
        }
        Verb::Orders(target) => {
            let filter = OrderFilter::default();
            write("orders", &target, output, async |page| admin.orders(&filter, &page).await).await
        }
        Verb::Ledger(target) => {
            write("entries", &target, output, async |page| admin.ledger(&page).await).await
        }
        Verb::User { user, output: file } => one_user(&admin, user, file.as_deref(), output).await,
    };
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn one_user(admin: &Admin, user: UserId, file: Option<&Path>, output: Output) -> Result<(), Trouble> {
    let export = wire::export::Export::from(admin.export_user(user).await?);
    output.document(&export, file)?;
    if let Some(file) = file {
        output.note(&format!("all about user {user} is in {}", file.display()));
    }
    Ok(())
}

async fn write<T: Record>(
    what: &'static str,
    target: &Target,
    output: Output,
    mut read: impl AsyncFnMut(PageRequest) -> dream_core::Result<Page<T>>,
) -> Result<(), Trouble> {
    let file = target.output.as_deref();
    let limit = Limit::new(Limit::MAX).unwrap_or_default();
    let mut sheet = Sheet::begin(output, file, T::COLUMNS)?;
    let mut request = PageRequest::first(limit);
    let mut written = 0_usize;
    let mut progress = None;
    loop {
        let page = read(request).await?;
        let progress = progress.get_or_insert_with(|| {
            let total = page.total.and_then(|total| u64::try_from(total).ok());
            output.beside_sheet(file).progress(what, total)
        });
        progress.add(page.items.len());
        written += page.items.len();
        for item in page.items {
            let cells = item.cells();
            if !sheet.row(cells, || item.json())? {
                return Ok(());
            }
        }
        match page.next {
            Some(cursor) => request = PageRequest::after(limit, cursor),
            None => break,
        }
    }
    drop(progress);
    sheet.finish()?;
    if let Some(file) = file {
        output.note(&format!("{written} {what} are in {}", file.display()));
    }
    Ok(())
}

impl Record for User {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "nickName",
        "vipLevel",
        "vipExpireAt",
        "pointsBalance",
        "openid",
        "unionid",
        "phone",
        "avatarUrl",
        "createdAt",
        "updatedAt",
    ];
    type Json = wire::users::User;

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.id),
            Cell::text_or_empty(self.nick_name.clone()),
            Cell::plain(self.membership.level().as_str()),
            Cell::plain_or_empty(self.membership.expires_at()),
            Cell::plain(self.balance.get()),
            Cell::text_or_empty(self.openid.clone()),
            Cell::text_or_empty(self.unionid.clone()),
            Cell::text_or_empty(self.phone.clone()),
            Cell::text_or_empty(self.avatar_url.clone()),
            Cell::plain(self.created_at),
            Cell::plain(self.updated_at),
        ]
    }

    fn json(self) -> Self::Json {
        self.into()
    }
}

impl Record for Order {
    const COLUMNS: &'static [&'static str] = &[
        "orderId",
        "userId",
        "kind",
        "planId",
        "planName",
        "points",
        "status",
        "amountFen",
        "refundedFen",
        "channel",
        "transactionId",
        "paidAt",
        "vipExpireAt",
        "expireAt",
        "createdAt",
    ];
    type Json = wire::orders::Order;

    fn cells(&self) -> Vec<Cell> {
        let (plan, name, points) = match &self.goods {
            Goods::Vip { plan, name, .. } => (Some(plan.to_string()), Some(name.clone()), None),
            Goods::Points(points) => (None, None, Some(points.get())),
        };
        let payment = self.state.payment();
        vec![
            Cell::text_or_empty(Some(self.order_id.to_string())),
            Cell::plain(self.user),
            Cell::plain(self.goods.kind().as_str()),
            Cell::text_or_empty(plan),
            Cell::text_or_empty(name),
            Cell::plain_or_empty(points),
            Cell::plain(self.state.status().as_str()),
            Cell::plain(self.amount.get()),
            Cell::plain(self.refunded.get()),
            Cell::text_or_empty(Some(self.channel.clone())),
            Cell::text_or_empty(payment.map(|payment| payment.transaction_id.clone())),
            Cell::plain_or_empty(payment.map(|payment| payment.paid_at)),
            Cell::plain_or_empty(payment.and_then(|payment| payment.vip_expire_at)),
            Cell::plain(self.expire_at),
            Cell::plain(self.created_at),
        ]
    }

    fn json(self) -> Self::Json {
        self.into()
    }
}

impl Record for LedgerEntry {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "userId",
        "type",
        "amount",
        "balanceAfter",
        "description",
        "orderId",
        "generationId",
        "createdAt",
    ];
    type Json = wire::points::Transaction;

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.id),
            Cell::plain(self.user),
            Cell::plain(self.kind.as_str()),
            Cell::plain(self.amount.get()),
            Cell::plain(self.balance_after.get()),
            Cell::text_or_empty(Some(self.description.clone())),
            Cell::text_or_empty(self.order.as_ref().map(ToString::to_string)),
            Cell::plain_or_empty(self.generation),
            Cell::plain(self.created_at),
        ]
    }

    fn json(self) -> Self::Json {
        self.into()
    }
}
