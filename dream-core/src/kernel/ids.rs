//! Newtypes for ids: made by a check, printed by `Display`, never mixed up.

use std::fmt;
use std::str::FromStr;

use crate::error::Fault;

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(i64);

        impl $name {
            /// The id with this number, if it can be one: ids count from 1.
            pub const fn new(number: i64) -> Option<Self> {
                if number > 0 { Some(Self(number)) } else { None }
            }

            /// The id as the number that it is in answers.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Fault;
            fn from_str(text: &str) -> Result<Self, Fault> {
                text.parse().ok().and_then(Self::new).ok_or(Fault::Format("a positive integer"))
            }
        }
    )* };
}

row_id! {
    /// A user.
    UserId,
    /// A generation: our own record of a job.
    GenerationId,
    /// A picture in the gallery.
    ImageId,
    /// A favorite.
    FavoriteId,
    /// A character.
    CharacterId,
    /// A photo of a character.
    PhotoId,
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident [$min:literal..=$max:literal] $allowed:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Fault;
            fn from_str(text: &str) -> Result<Self, Fault> {
                if !($min..=$max).contains(&text.len()) {
                    return Err(Fault::Length { min: $min, max: $max });
                }
                if !text.bytes().all($allowed) {
                    return Err(Fault::Format(concat!("an id of letters, digits and the marks ", marks!($allowed))));
                }
                Ok(Self(text.to_owned()))
            }
        }
    )* };
}

macro_rules! marks {
    (word) => {
        "_ and -"
    };
    (name) => {
        "_ - and ."
    };
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn name(byte: u8) -> bool {
    word(byte) || byte == b'.'
}

text_id! {
    /// A job as clients know it.
    JobId[1..=64] word,
    /// An order as clients and the payment channel know it: WeChat Pay's `out_trade_no`, 6–32 of `A-Za-z0-9_-`.
    OrderId[6..=32] word,
    /// A refund as the payment channel knows it: WeChat Pay's `out_refund_no`.
    RefundId[6..=64] word,
    /// A plan, such as `vip_month`.
    PlanId[1..=64] name,
    /// A template as clients know it.
    TemplateId[1..=64] name,
    /// The name of an admin key, as the audit log shows it.
    KeyName[1..=64] name,
    /// The id of a request, the caller's or ours: 1–64 of `A-Za-z0-9._-`.
    RequestId[1..=64] name,
}
