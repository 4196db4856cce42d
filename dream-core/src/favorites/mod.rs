//! Favorites: pictures and prompts that a user keeps.

mod store;

pub(crate) use store::forget;
