//! Reading columns.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use crate::error::Result;
use crate::kernel::{Fen, Points, Timestamp};

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of the named column. A value that breaks its own rules is a named inconsistency, never a default.
    pub(crate) fn get<T: Column>(&self, name: &'static str) -> Result<T> {
        Ok(T::read(self, name).map_err(|error| match error {
            StoreError::Defect(source) => StoreError::Inconsistent(format!("column {name}: {source}")),
            other => other,
        })?)
    }

    /// The text of the named column as one of a closed set of words.
    pub(crate) fn word<T>(&self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text: String = self.get(name)?;
        Ok(parse(&text)
            .ok_or_else(|| StoreError::Inconsistent(format!("column {name}: unknown word {text}")))?)
    }

    /// The JSON text of the named column.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<T> {
        let text: String = self.get(name)?;
        Ok(serde_json::from_str(&text)
            .map_err(|error| StoreError::Inconsistent(format!("column {name}: {error}")))?)
    }
}

/// A type that a column can hold.
pub(crate) trait Column: Sized {
    fn read(row: &Row, name: &'static str) -> Result<Self, StoreError>;
}

macro_rules! native {
    ($($type:ty),*) => { $(
        impl Column for $type {
            fn read(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                Ok(match row {
                    Row::Sqlite(row) => row.try_get(name)?,
                    Row::Postgres(row) => row.try_get(name)?,
                })
            }
        }
    )* };
}
native!(i64, bool, String, Option<i64>, Option<String>);

macro_rules! wrapped {
    ($($type:ty: $inner:ty => $make:expr),* $(,)?) => { $(
        impl Column for $type {
            fn read(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                <$inner>::read(row, name).map($make)
            }
        }
        impl Column for Option<$type> {
            fn read(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                Ok(Option::<$inner>::read(row, name)?.map($make))
            }
        }
    )* };
}
wrapped!(
    Timestamp: i64 => Timestamp::from_micros,
    Fen: i64 => Fen::new,
    Points: i64 => Points::new,
);

macro_rules! checked {
    ($($type:ident: $inner:ty => $make:expr),* $(,)?) => { $(
        impl Column for crate::kernel::$type {
            fn read(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                let value = <$inner>::read(row, name)?;
                let broken = || StoreError::Inconsistent(format!("column {name} is no {}", stringify!($type)));
                ($make)(value).ok_or_else(broken)
            }
        }
        impl Column for Option<crate::kernel::$type> {
            fn read(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                match Option::<$inner>::read(row, name)? {
                    None => Ok(None),
                    Some(_) => <crate::kernel::$type as Column>::read(row, name).map(Some),
                }
            }
        }
    )* };
}
checked!(
    UserId: i64 => crate::kernel::UserId::new,
    GenerationId: i64 => crate::kernel::GenerationId::new,
    ImageId: i64 => crate::kernel::ImageId::new,
    FavoriteId: i64 => crate::kernel::FavoriteId::new,
    CharacterId: i64 => crate::kernel::CharacterId::new,
    PhotoId: i64 => crate::kernel::PhotoId::new,
    JobId: String => |text: String| text.parse().ok(),
    OrderId: String => |text: String| text.parse().ok(),
    RefundId: String => |text: String| text.parse().ok(),
    PlanId: String => |text: String| text.parse().ok(),
    TemplateId: String => |text: String| text.parse().ok(),
    KeyName: String => |text: String| text.parse().ok(),
);
