//! The rows of the table, area by area.

mod admin;
pub(crate) mod application;
mod auth;
mod characters;
mod console;
mod docs;
mod favorites;
mod gallery;
mod jobs;
mod orders;
mod points;
mod stats;
mod templates;
mod uploads;
mod users;
mod vip;
mod wechat;

use crate::settings::Docs;
use crate::table::Row;

/// Every row of the contract.
pub(crate) fn all(docs: Docs) -> Vec<Row> {
    [
        application::rows(),
        docs::rows(docs),
        console::rows(),
        auth::rows(),
        users::rows(),
        vip::rows(),
        orders::rows(),
        points::rows(),
        jobs::rows(),
        stats::rows(),
        templates::rows(),
        gallery::rows(),
        characters::rows(),
        uploads::rows(),
        favorites::rows(),
        wechat::rows(),
        admin::rows(),
    ]
    .concat()
}
