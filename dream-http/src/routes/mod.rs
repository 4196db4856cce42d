//! The rows of the table, area by area.

pub(crate) mod application;
pub(crate) mod docs;

use crate::table::Row;

/// Every row of the contract.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(application::rows());
    rows.extend(docs::rows());
    rows
}
