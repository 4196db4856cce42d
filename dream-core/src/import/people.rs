//! Users, their ledger, what they keep, and their characters.

use uuid::Uuid;

use super::batch::{Became, Owner, RowToPut, Taking, Work};
use super::rules::{self, Cells, shown};
use super::source::{self, Spec};
use super::{Context, balances, store};
use crate::characters::{self, CharacterDescription, CharacterName};
use crate::error::{Code, Result};
use crate::favorites::{self, FavoriteKind, ResourceId};
use crate::kernel::{Points, TemplateId, Timestamp};
use crate::points::{self, Booking, Cause, EntryKind};
use crate::stats::{Delta, UserDelta};
use crate::store::Tx;
use crate::templates;
use crate::users::{self, AvatarUrl, NickName};
use crate::vip::Level;

pub(super) struct Users;

pub(super) struct User {
    openid: String,
    unionid: Option<String>,
    phone: Option<String>,
    nick_name: Option<String>,
    avatar_url: Option<AvatarUrl>,
    /// Level and end at the original service.
    had: Option<(Level, Timestamp)>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Taking for Users {
    const SPEC: &'static Spec = &source::USERS;
    type Item = User;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<User> {
        let openid = cells.short("openid", 128).unwrap_or_else(|| {
            cells.changed("it has no openid, so nobody can sign in as this user");
            format!("original:{}", cells.text("id").unwrap_or_default())
        });
        let created_at = cells.made_at(&["updated_at"], context.now);
        let nick_name = cells.short("nick_name", NickName::MAX_LEN);
        Some(User {
            openid,
            unionid: cells.short("unionid", 128),
            phone: cells.short("phone", 32),
            nick_name: nick_name.filter(|name| !name.trim().is_empty()).map(|name| name.trim().to_owned()),
            avatar_url: cells.parsed("avatar_url"),
            had: membership(cells),
            created_at,
            updated_at: cells.time("updated_at").unwrap_or(created_at),
        })
    }

    fn owner(_: &User) -> Option<Owner<'_>> {
        None
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, User>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let (user, context) = (row.item, work.context);
        let original = users::Original {
            id: row.number(),
            openid: &user.openid,
            unionid: user.unionid.as_deref(),
            phone: user.phone.as_deref(),
            nick_name: user.nick_name.as_deref(),
            avatar_url: user.avatar_url.as_ref().map(AvatarUrl::as_str),
            created_at: user.created_at,
            updated_at: user.updated_at,
        };
        let (here, made) = users::take_over(tx, &original, user.had, context.settings, context.now).await?;
        if made {
            work.numbered(row.number(), here.get());
            work.count(user.created_at, Delta { new_users: 1, ..Delta::default() });
            return Ok(Some((here.get(), Became::New)));
        }
        work.changed(format!(
            "its openid is that of user {here} here: both are one now, with the points of both"
        ));
        Ok(Some((here.get(), Became::Joined)))
    }
}

fn membership(cells: &mut Cells<'_>) -> Option<(Level, Timestamp)> {
    let level = match cells.text("vip_level").map(str::to_ascii_uppercase).as_deref() {
        None => Level::Normal,
        Some(word) => Level::parse(word).unwrap_or_else(|| {
            cells.changed(format!("vip_level is unknown, and becomes NORMAL: {}", shown(word)));
            Level::Normal
        }),
    };
    if level == Level::Normal {
        return None;
    }
    let Some(until) = cells.time("vip_expire_at") else {
        cells.changed(format!("{} has no end, and becomes NORMAL: see `dream vip set`", level.as_str()));
        return None;
    };
    Some((level, until))
}

pub(super) struct Entries;

pub(super) struct Entry {
    user: String,
    kind: EntryKind,
    amount: i64,
    description: String,
    created_at: Timestamp,
}

impl Entry {
    fn signed(&self) -> i64 {
        if self.kind == EntryKind::Spend { -self.amount } else { self.amount }
    }
}

impl Taking for Entries {
    const SPEC: &'static Spec = &source::ENTRIES;
    type Item = Entry;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Entry> {
        let Some(user) = cells.text("user_id").map(str::to_owned) else {
            return cells.left_out("it belongs to no user");
        };
        let Some(amount) = cells.number("amount") else { return cells.left_out("it has no amount") };
        let word = cells.text("type").unwrap_or_default().to_ascii_uppercase();
        let Some(signed) = rules::signed(&word, amount) else {
            return cells.left_out(format!("its type is unknown: {}", shown(&word)));
        };
        if signed == 0 {
            return cells.left_out("its amount is 0");
        }
        let kind = match EntryKind::parse(&word)? {
            // By its sign it is the opposite of what it says.
            EntryKind::Spend if signed > 0 => EntryKind::Earn,
            EntryKind::Earn | EntryKind::Refund if signed < 0 => EntryKind::Spend,
            kind => kind,
        };
        if kind.as_str() != word {
            cells.changed(format!("{word} of {amount} is booked as {}", kind.as_str()));
        }
        let Some(amount) = signed.checked_abs() else { return cells.left_out("its amount is out of bounds") };
        let description = cells.short("description", 200);
        Some(Entry {
            user,
            kind,
            amount,
            description: description.unwrap_or_else(|| "原系统积分记录".to_owned()),
            created_at: cells.made_at(&[], context.now),
        })
    }

    fn owner(item: &Entry) -> Option<Owner<'_>> {
        Some(Owner { table: "users", id: &item.user, needed: true })
    }

    /// An id that two users have is no reason to lose the entry of one.
    fn key(item: &Entry, id: &str) -> String {
        format!("{}:{id}", item.user)
    }

    fn remember(item: &Entry, history: &mut balances::History) {
        history.add(&item.user, item.signed());
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Entry>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let entry = row.item;
        let user = row.user().ok_or(Code::Internal)?;
        let balance = points::lock_balance(tx, user).await?.ok_or(Code::Internal)?;
        let Some(after) = balance.get().checked_add(entry.signed()) else {
            return Ok(work.left_out("with it the balance would be out of bounds"));
        };
        let mut earned = 0;
        if after < 0 {
            // It was never there, but it was spent.
            let missing = Points::new(-after);
            let lift = Booking {
                user,
                kind: EntryKind::Earn,
                amount: missing,
                cause: Cause::OriginalLift(row.id),
                description: "原系统余额补足",
            };
            points::book(tx, &lift, entry.created_at).await?.ok_or(Code::Internal)?;
            work.changed(format!(
                "it took {missing} points more than there were, which an entry before it adds"
            ));
            earned += missing.get();
        }
        let booking = Booking {
            user,
            kind: entry.kind,
            amount: Points::new(entry.amount),
            cause: Cause::Original(row.id),
            description: &entry.description,
        };
        points::book(tx, &booking, entry.created_at).await?.ok_or(Code::Internal)?;
        let spent = if entry.kind == EntryKind::Spend { entry.amount } else { 0 };
        earned += if entry.kind == EntryKind::Earn { entry.amount } else { 0 };
        work.count(entry.created_at, Delta { earned, spent, ..Delta::default() });
        Ok(Some((row.number().unwrap_or(0), Became::New)))
    }
}

pub(super) struct Favorites;

pub(super) struct Favorite {
    user: String,
    kind: FavoriteKind,
    resource: String,
    created_at: Timestamp,
}

impl Taking for Favorites {
    const SPEC: &'static Spec = &source::FAVORITES;
    type Item = Favorite;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Favorite> {
        let Some(user) = cells.text("user_id").map(str::to_owned) else {
            return cells.left_out("it belongs to no user");
        };
        let word = cells.text("type").unwrap_or_default().to_ascii_lowercase();
        let Some(kind) = FavoriteKind::parse(&word) else {
            return cells.left_out(format!("its type is unknown: {}", shown(&word)));
        };
        let Some(resource) = cells.text("resource_id").map(str::to_owned) else {
            return cells.left_out("it says not what is kept");
        };
        Some(Favorite { user, kind, resource, created_at: cells.made_at(&[], context.now) })
    }

    fn owner(item: &Favorite) -> Option<Owner<'_>> {
        Some(Owner { table: "users", id: &item.user, needed: true })
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Favorite>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let favorite = row.item;
        let user = row.user().ok_or(Code::Internal)?;
        let Some(resource) = resource(tx, favorite.kind, &favorite.resource).await? else {
            let what = favorite.kind.as_str();
            return Ok(work.left_out(format!("there is no {what} {}", shown(&favorite.resource))));
        };
        let what = (favorite.kind, &resource);
        let (here, made) = favorites::take_over(tx, row.number(), user, what, favorite.created_at).await?;
        if !made {
            work.changed(format!("the same is kept by favorite {here}"));
            return Ok(Some((here, Became::Joined)));
        }
        work.numbered(row.number(), here);
        let image_favorites = i64::from(favorite.kind == FavoriteKind::Image);
        work.count_for(user, UserDelta { favorites: 1, image_favorites, ..UserDelta::default() });
        work.count(favorite.created_at, Delta { favorites: 1, ..Delta::default() });
        Ok(Some((here, Became::New)))
    }
}

/// What is kept, by its id here. Prompts are named by the id that clients know, or by their number.
async fn resource(tx: &mut Tx, kind: FavoriteKind, original: &str) -> Result<Option<ResourceId>> {
    let table = match kind {
        FavoriteKind::Image => source::IMAGES.name,
        FavoriteKind::Prompt => source::PROMPTS.name,
    };
    if kind == FavoriteKind::Prompt
        && let Ok(id) = original.parse::<TemplateId>()
        && templates::prompt_exists(tx, &id).await?
    {
        return Ok(id.as_str().parse().ok());
    }
    let Some(here) = store::here(tx, table, &[original]).await?.get(original).copied() else {
        return Ok(None);
    };
    Ok(match kind {
        FavoriteKind::Image => here.to_string().parse().ok(),
        FavoriteKind::Prompt => templates::prompt_id(tx, here).await?.and_then(|id| id.as_str().parse().ok()),
    })
}

pub(super) struct Characters;

pub(super) struct Character {
    uuid: Option<Uuid>,
    user: String,
    name: String,
    description: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Taking for Characters {
    const SPEC: &'static Spec = &source::CHARACTERS;
    type Item = Character;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Character> {
        let Some(user) = cells.text("user_id").map(str::to_owned) else {
            return cells.left_out("it belongs to no user");
        };
        let name = cells.short("name", CharacterName::MAX_LEN).unwrap_or_else(|| {
            cells.changed("it has no name, and is called 角色");
            "角色".to_owned()
        });
        let created_at = cells.made_at(&["updated_at"], context.now);
        Some(Character {
            uuid: cells.text("uuid").and_then(|text| Uuid::try_parse(text).ok()),
            user,
            name,
            description: cells.prose("description", CharacterDescription::MAX_LEN),
            created_at,
            updated_at: cells.time("updated_at").unwrap_or(created_at),
        })
    }

    fn owner(item: &Character) -> Option<Owner<'_>> {
        Some(Owner { table: "users", id: &item.user, needed: true })
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Character>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let character = row.item;
        let derived = rules::derived(Self::SPEC.name, row.id);
        for uuid in character.uuid.into_iter().chain([derived]) {
            let original = characters::Original {
                id: row.number(),
                uuid,
                user: row.user().ok_or(Code::Internal)?,
                name: &character.name,
                description: character.description.as_deref(),
                created_at: character.created_at,
                updated_at: character.updated_at,
            };
            if let Some(here) = characters::take_over(tx, &original).await? {
                work.numbered(row.number(), here);
                if character.uuid != Some(uuid) {
                    work.changed(format!("its uuid is none or another's, and becomes {uuid}"));
                }
                return Ok(Some((here, Became::New)));
            }
        }
        Ok(work.left_out("its uuid is taken"))
    }
}
