//! Everything that is kept about one user, as JSON: what somebody gets who asks for the data about oneself.

use dream_core::{LoginRecord, UserExport};
use serde::Serialize;

use super::characters::Character;
use super::favorites::Favorite;
use super::gallery::Image;
use super::jobs::Job;
use super::orders::Order;
use super::points::Transaction;
use super::time::At;
use super::uploads::KeptUpload;
use super::users::User;
use super::vip::VipSpan;
use crate::problem::Lang;

/// Everything that is kept about one user.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::export::Export;
///
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// let json = serde_json::to_value(Export::from(alice.session().await.export().await?))?;
/// assert_eq!((&json["user"]["openid"], &json["orders"]), (&"o-alice".into(), &serde_json::json!([])));
/// assert_eq!(json["jobs"][0]["prompt"], "a cat");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    exported_at: At,
    user: User,
    logins: Vec<Login>,
    vip_spans: Vec<VipSpan>,
    transactions: Vec<Transaction>,
    orders: Vec<Order>,
    jobs: Vec<ExportedJob>,
    favorites: Vec<Favorite>,
    images: Vec<Image>,
    characters: Vec<Character>,
    uploads: Vec<KeptUpload>,
}

/// A login that is on record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    at: At,
    expires_at: At,
    ended_at: Option<At>,
    reason: Option<String>,
}

impl From<LoginRecord> for Login {
    fn from(login: LoginRecord) -> Self {
        Self {
            at: login.at.into(),
            expires_at: login.expires_at.into(),
            ended_at: login.ended_at.map(At),
            reason: login.reason,
        }
    }
}

/// A generation, with what else was asked for.
#[derive(Debug, Serialize)]
struct ExportedJob {
    #[serde(flatten)]
    job: Job,
    request: serde_json::Value,
}

impl From<UserExport> for Export {
    fn from(export: UserExport) -> Self {
        let job = |(job, request)| ExportedJob { job: Job::by_generation_id(job, Lang::Zh), request };
        Self {
            exported_at: export.at.into(),
            user: export.user.into(),
            logins: export.logins.into_iter().map(Login::from).collect(),
            vip_spans: export.spans.iter().map(VipSpan::from).collect(),
            transactions: export.ledger.into_iter().map(Transaction::from).collect(),
            orders: export.orders.into_iter().map(Order::from).collect(),
            jobs: export.jobs.into_iter().map(job).collect(),
            favorites: export.favorites.into_iter().map(Favorite::from).collect(),
            images: export.images.into_iter().map(Image::from).collect(),
            characters: export.characters.into_iter().map(Character::from).collect(),
            uploads: export.uploads.into_iter().map(KeptUpload::from).collect(),
        }
    }
}
