//! `dream user …`.

use dream_core::kernel::KeyName;
use dream_core::{User, UserFilter};
use dream_http::wire::users;
use serde::Serialize;

use super::{Desk, collect};
use crate::args::User as Args;
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    users: Vec<users::User>,
    has_more: bool,
}

pub(super) async fn run(args: Args, output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::open().await?;
    let outcome = answer(args, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(args: Args, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let admin = desk.dream.operator(looker()?);
    match args {
        Args::List { search, level, limit, all } => {
            let filter = UserFilter { search, level };
            let wanted = (!all).then_some(limit);
            let (users, more) = collect(wanted, async |page| admin.users(&filter, &page).await).await?;
            show_list(users, more, output)
        }
        Args::Show { user } => show(admin.user(user).await?, output),
    }
}

/// Who operators are while they only look, which leaves no entry in the audit log.
pub(super) fn looker() -> Result<KeyName, Trouble> {
    "cli".parse().map_err(|_| Trouble::new(Exit::Failed, "INTERNAL", "the operator has no name"))
}

fn show_list(users: Vec<User>, has_more: bool, output: Output) -> Result<(), Trouble> {
    let rows = listed(&users);
    let list = List { users: users.into_iter().map(Into::into).collect(), has_more };
    output.show(&list, || rows)?;
    if has_more {
        output.note("there are more: see --limit and --all");
    }
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

/// Shows one user, as every command does that changed one.
pub(super) fn show(user: User, output: Output) -> Result<(), Trouble> {
    let human = pairs(&[
        ("id", user.id.to_string()),
        ("name", or_dash(user.nick_name.as_deref())),
        ("level", user.membership.level().as_str().to_owned()),
        ("until", or_dash(user.membership.expires_at())),
        ("points", user.balance.get().to_string()),
        ("openid", or_dash(user.openid.as_deref())),
        ("unionid", or_dash(user.unionid.as_deref())),
        ("phone", or_dash(user.phone.as_deref())),
        ("avatar", or_dash(user.avatar_url.as_deref())),
        ("created", user.created_at.to_string()),
        ("updated", user.updated_at.to_string()),
    ]);
    output.show(&users::User::from(user), || human)
}
