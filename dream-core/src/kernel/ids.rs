//! Newtypes for ids: made by a check, printed by `Display`, never mixed up.

use std::fmt;
use std::str::FromStr;

use crate::error::{Fault, Format};

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
                text.parse().ok().and_then(Self::new).ok_or(Fault::Format(Format::PositiveInteger))
            }
        }
    )* };
}

row_id! {
    /// A user.
    ///
    /// ```
    /// use dream_core::kernel::UserId;
    ///
    /// let id: UserId = "7".parse().unwrap();
    /// assert_eq!((id.get(), id.to_string()), (7, "7".to_owned()));
    /// assert_eq!(UserId::new(0), None, "ids count from 1");
    /// ```
    UserId,
    /// A generation: our own record of a job.
    ///
    /// ```
    /// use dream_core::kernel::GenerationId;
    ///
    /// // The number of the row that the ledger names; clients know the job by its `JobId`.
    /// assert_eq!(GenerationId::new(12).unwrap().get(), 12);
    /// ```
    GenerationId,
    /// A picture in the gallery.
    ///
    /// ```
    /// use dream_core::kernel::ImageId;
    ///
    /// assert_eq!("4711".parse::<ImageId>().unwrap().get(), 4711);
    /// assert!("4711.png".parse::<ImageId>().is_err());
    /// ```
    ImageId,
    /// A favorite.
    ///
    /// ```
    /// use dream_core::kernel::FavoriteId;
    ///
    /// assert!("-3".parse::<FavoriteId>().is_err());
    /// assert!(FavoriteId::new(3) > FavoriteId::new(2), "a later one has a greater number");
    /// ```
    FavoriteId,
    /// A character.
    ///
    /// ```
    /// use dream_core::jobs::CharacterRef;
    /// use dream_core::kernel::CharacterId;
    ///
    /// // Where a character is asked for, its number and its UUID will both do.
    /// assert_eq!("7".parse(), Ok(CharacterRef::Id(CharacterId::new(7).unwrap())));
    /// ```
    CharacterId,
    /// A photo of a character.
    ///
    /// ```
    /// use dream_core::characters::PhotoRef;
    /// use dream_core::kernel::PhotoId;
    ///
    /// assert_eq!("7".parse(), Ok(PhotoRef::Id(PhotoId::new(7).unwrap())));
    /// ```
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
                    return Err(Fault::Format(form!($allowed)));
                }
                Ok(Self(text.to_owned()))
            }
        }
    )* };
}

macro_rules! form {
    (word) => {
        Format::WordId
    };
    (name) => {
        Format::DottedId
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
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::kernel::JobId;
    ///
    /// assert_eq!("01931f3e7b0c7a43".parse::<JobId>().unwrap().as_str(), "01931f3e7b0c7a43");
    /// assert_eq!("".parse::<JobId>(), Err(Fault::Length { min: 1, max: 64 }));
    /// assert!("../orders".parse::<JobId>().is_err());
    /// ```
    JobId[1..=64] word,
    /// An order as clients and the payment channel know it: WeChat Pay's `out_trade_no`, 6–32 of `A-Za-z0-9_-`.
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::kernel::OrderId;
    ///
    /// assert!("D20260128-0001".parse::<OrderId>().is_ok());
    /// assert_eq!(
    ///     "D1".parse::<OrderId>(),
    ///     Err(Fault::Length { min: 6, max: 32 }),
    ///     "WeChat Pay takes no less"
    /// );
    /// ```
    OrderId[6..=32] word,
    /// A refund as the payment channel knows it: WeChat Pay's `out_refund_no`.
    ///
    /// ```
    /// use dream_core::kernel::RefundId;
    ///
    /// assert!("R20260128-0001".parse::<RefundId>().is_ok());
    /// assert!("R 20260128".parse::<RefundId>().is_err());
    /// ```
    RefundId[6..=64] word,
    /// A plan, such as `vip_month`.
    ///
    /// ```
    /// use dream_core::kernel::PlanId;
    ///
    /// let month: PlanId = "vip_month".parse().unwrap();
    /// assert_eq!(month.to_string(), "vip_month");
    /// ```
    PlanId[1..=64] name,
    /// A template as clients know it.
    ///
    /// ```
    /// use dream_core::kernel::TemplateId;
    ///
    /// assert!("portrait_film.v2".parse::<TemplateId>().is_ok());
    /// assert!("胶片".parse::<TemplateId>().is_err(), "an id stands in URLs; the title is for people");
    /// ```
    TemplateId[1..=64] name,
    /// The name of an admin key, as the audit log shows it.
    ///
    /// ```
    /// use dream_core::kernel::KeyName;
    ///
    /// assert_eq!("night-shift".parse::<KeyName>().unwrap().as_str(), "night-shift");
    /// assert!("night shift".parse::<KeyName>().is_err());
    /// ```
    KeyName[1..=64] name,
    /// The id of a request, the caller's or ours: 1–64 of `A-Za-z0-9._-`.
    ///
    /// ```
    /// use dream_core::kernel::RequestId;
    ///
    /// // What a proxy sent along is taken over only if it can do no harm in a log line.
    /// assert!("9f1c-4711".parse::<RequestId>().is_ok());
    /// assert!("9f1c\nlevel=ERROR".parse::<RequestId>().is_err());
    /// ```
    RequestId[1..=64] name,
}
