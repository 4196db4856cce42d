//! `dream user …`.

use clap::Subcommand;
use dream_core::kernel::{Points, UserId};
use dream_core::points::Adjustment;
use dream_core::vip::Level;
use dream_core::{AvatarUrl, NickName, User, UserEdit, UserFilter};
use dream_http::wire::users;
use serde::Serialize;

use super::{Desk, collect};
use crate::args::{Amount, Write, level, parsed, user_id};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List users, newest first
    List {
        /// Those whose name contains, or whose id, openid or phone is, this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Those at this level now
        #[arg(long, value_parser = level)]
        level: Option<Level>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one user
    Show {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
    },
    /// Change a user's name, picture or balance, all of it or none; a balance by an entry of the ledger
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Update {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// A new name
        #[arg(long, group = "change", value_parser = parsed::<NickName>)]
        name: Option<NickName>,
        /// The address of a new picture, in our storage or at WeChat
        #[arg(long, group = "change", value_name = "URL", value_parser = parsed::<AvatarUrl>)]
        avatar: Option<AvatarUrl>,
        /// By how many points the balance changes; a negative number takes them
        #[arg(
            long,
            group = "change",
            value_name = "N",
            allow_negative_numbers = true,
            requires = "reason",
            conflicts_with = "points"
        )]
        points_delta: Option<i64>,
        /// What the balance shall be, whatever is earned or spent meanwhile
        #[arg(long, group = "change", value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
        points: Option<i64>,
        /// Why, for the ledger and the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a user: the person is erased, ledger and orders stay without it, and every login ends at once
    Delete {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    users: Vec<users::User>,
    has_more: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    deleted: i64,
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = match &verb {
        Verb::List { .. } | Verb::Show { .. } => Desk::to_look().open().await?,
        // Only their store knows which pictures are ours.
        Verb::Update { write, .. } | Verb::Delete { write, .. } => {
            Desk::of(write).with_pictures().open().await?
        }
    };
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    match verb {
        Verb::List { search, level, amount } => {
            let filter = UserFilter { search, level };
            let (users, more) =
                collect(amount.wanted(), async |page| admin.users(&filter, &page).await).await?;
            show_list(users, more, output)
        }
        Verb::Show { user } => {
            let user = admin.user(user).await?;
            let human = described(&user);
            output.show(&users::User::from(user), || human)
        }
        Verb::Update { user, name, avatar, points_delta, points, reason, write } => {
            output.confirm(&write, &format!("Change user {user}?"))?;
            let by = points_delta.map(|points| Adjustment::By(Points::new(points)));
            let balance = by.or(points.map(|points| Adjustment::To(Points::new(points))));
            let edit = UserEdit { nick_name: name, avatar_url: avatar, balance };
            show_changed(admin.update_user(user, &edit, reason.as_deref()).await?, &write, output)
        }
        Verb::Delete { user, write } => {
            let name = or_dash(admin.user(user).await?.nick_name);
            output.confirm(&write, &format!("Delete user {user} ({name}) for good?"))?;
            admin.delete_user(user).await?;
            output.changed(&write, &Deleted { deleted: user.get() }, || format!("User {user} is deleted."))
        }
    }
}

fn show_list(users: Vec<User>, has_more: bool, output: Output) -> Result<(), Trouble> {
    let rows = listed(&users);
    let list = List { users: users.into_iter().map(Into::into).collect(), has_more };
    output.show(&list, || rows)?;
    output.note_more(has_more);
    Ok(())
}

fn listed(users: &[User]) -> String {
    let columns = [
        Column::Number("ID"),
        Column::Text("NAME"),
        Column::Text("LEVEL"),
        Column::Text("UNTIL"),
        Column::Number("POINTS"),
        Column::Text("CREATED"),
        Column::Text("OPENID"),
    ];
    let rows = users.iter().map(|user| {
        vec![
            user.id.to_string(),
            or_dash(user.nick_name.as_deref()),
            user.membership.level().as_str().to_owned(),
            or_dash(user.membership.expires_at()),
            user.balance.get().to_string(),
            user.created_at.to_string(),
            or_dash(user.openid.as_deref()),
        ]
    });
    table(&columns, rows)
}

pub(super) fn described(user: &User) -> String {
    pairs(&[
        ("id", user.id.to_string()),
        ("name", or_dash(user.nick_name.as_deref())),
        ("level", user.membership.level().as_str().to_owned()),
        ("until", or_dash(user.membership.expires_at())),
        ("then VIP until", or_dash(user.membership.vip_until())),
        ("points", user.balance.get().to_string()),
        ("openid", or_dash(user.openid.as_deref())),
        ("unionid", or_dash(user.unionid.as_deref())),
        ("phone", or_dash(user.phone.as_deref())),
        ("avatar", or_dash(user.avatar_url.as_deref())),
        ("created", user.created_at.to_string()),
        ("updated", user.updated_at.to_string()),
    ])
}

/// Shows one user, as every command does that changed one.
pub(super) fn show_changed(user: User, write: &Write, output: Output) -> Result<(), Trouble> {
    let human = described(&user);
    output.changed(write, &users::User::from(user), || human)
}
