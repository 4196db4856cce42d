//! Types that fields are made of: texts and numbers with bounds, and words of the core that check themselves.

use std::str::FromStr;

use deserr::{Deserr, IntoValue, Value, ValuePointerRef, take_cf_content};
use dream_core::characters::{CharacterDescription, CharacterName, PhotoRef, PhotoUrl};
use dream_core::favorites::{FavoriteKind, ResourceId};
use dream_core::gallery::{GallerySort, ImageStatus};
use dream_core::jobs::{
    AspectRatio, CharacterRef, InlinePicture, Mode, ModelName, NegativePrompt, PictureUrl, Prompt, Resolution,
};
use dream_core::kernel::{
    CharacterId, Day, FavoriteId, GenerationId, ImageId, JobId, KeyName, Limit, OrderId, Patch, PhotoId,
    PlanId, TemplateId, Timestamp, UserId,
};
use dream_core::media::PictureKind;
use dream_core::orders::{OrderKind, OrderStatus};
use dream_core::points::EntryKind;
use dream_core::ports::{BlobKey, JobState};
use dream_core::templates::{Category, Description};
use dream_core::vip::Level;
use dream_core::{AvatarUrl, Bucket, Code, Edge, Fault, NickName};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, Schema};

use super::{Faults, Shape};

/// A value that a text can be read as: of the path, of the query, or in a JSON string.
///
/// ```
/// use dream_core::{Fault, Format};
/// use dream_http::input::Word;
/// use utoipa::openapi::Schema;
/// use utoipa::openapi::schema::{ObjectBuilder, Type};
///
/// const COLOUR: Fault =
///     Fault::Format(Format::Other { zh: "颜色，例如 #c81e5a", en: "a colour, such as #c81e5a" });
///
/// /// A colour such as `#c81e5a`.
/// #[derive(Debug)]
/// struct Colour(String);
///
/// impl std::str::FromStr for Colour {
///     type Err = Fault;
///     fn from_str(text: &str) -> Result<Self, Fault> {
///         let digits = text
///             .strip_prefix('#')
///             .filter(|it| it.len() == 6 && it.bytes().all(|b| b.is_ascii_hexdigit()));
///         digits.map(|it| Self(it.to_owned())).ok_or(COLOUR)
///     }
/// }
/// // Now it can be a field as `Parsed<Colour>`, and an id of a path.
/// impl Word for Colour {
///     fn schema() -> Schema {
///         ObjectBuilder::new().schema_type(Type::String).pattern(Some("^#[0-9a-f]{6}$")).into()
///     }
/// }
/// ```
pub trait Word: FromStr<Err = Fault> + Send + 'static {
    /// What a path is told whose id cannot be one, the same as for one that does not exist.
    const ABSENT: Code = Code::RouteNotFound;

    /// What the text looks like.
    fn schema() -> Schema;
}

/// A field that is read from a text by its `FromStr`: `plan_id: Parsed<PlanId>`.
///
/// ```
/// use dream_core::kernel::PlanId;
/// use dream_http::input::{Parsed, read_value};
///
/// dream_http::input! {
///     /// What somebody wants to buy.
///     pub struct Purchase {
///         /// Which plan.
///         pub plan_id: Parsed<PlanId>,
///     }
/// }
/// let purchase: Purchase = read_value(serde_json::json!({ "planId": "vip_month" }))?;
/// assert_eq!(purchase.plan_id.0.as_str(), "vip_month", "checked by the core's own rules");
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<T>(pub T);

impl<T: Word> Deserr<Faults> for Parsed<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        let text = <String as Deserr<Faults>>::deserialize_from_value(value, place)?;
        text.parse().map(Self).map_err(|fault| Faults::one(place, fault))
    }
}

/// A text of `MIN` to `MAX` characters.
///
/// ```
/// use dream_core::Fault;
/// use dream_http::input::Text;
///
/// assert_eq!("猫猫".parse::<Text<1, 2>>().unwrap().0, "猫猫", "characters, not bytes");
/// assert_eq!("three".parse::<Text<1, 2>>(), Err(Fault::Length { min: 1, max: 2 }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> FromStr for Text<MIN, MAX> {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        // Most texts are far from either bound in bytes as well, and need not be counted.
        let fits = (MIN..=MAX).contains(&text.chars().take(MAX.saturating_add(1)).count());
        if fits { Ok(Self(text.to_owned())) } else { Err(Fault::Length { min: MIN, max: MAX }) }
    }
}

impl<const MIN: usize, const MAX: usize> Word for Text<MIN, MAX> {
    fn schema() -> Schema {
        bounded(MIN, MAX)
    }
}

impl<const MIN: usize, const MAX: usize> Deserr<Faults> for Text<MIN, MAX> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        Parsed::deserialize_from_value(value, place).map(|Parsed(text)| text)
    }
}

/// A whole number from `MIN` to `MAX`. In a query it is read by `Parsed<Whole<..>>`.
///
/// ```
/// use dream_core::Fault;
/// use dream_http::input::Whole;
///
/// assert_eq!("10".parse::<Whole<1, 10>>().unwrap().0, 10);
/// assert_eq!("11".parse::<Whole<1, 10>>(), Err(Fault::Range { min: 1, max: 10 }));
/// assert_eq!("1.5".parse::<Whole<1, 10>>(), Err(Fault::Type("integer")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    fn new(number: i64) -> Result<Self, Fault> {
        if (MIN..=MAX).contains(&number) { Ok(Self(number)) } else { Err(Self::OUTSIDE) }
    }

    const OUTSIDE: Fault = Fault::Range { min: MIN, max: MAX };
}

impl<const MIN: i64, const MAX: i64> FromStr for Whole<MIN, MAX> {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text.parse() {
            Ok(number) => Self::new(number),
            Err(_) if is_digits(text) => Err(Self::OUTSIDE),
            Err(_) => Err(Fault::Type("integer")),
        }
    }
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl<const MIN: i64, const MAX: i64> Word for Whole<MIN, MAX> {
    fn schema() -> Schema {
        whole_number(Some(MIN), (MAX != i64::MAX).then_some(MAX))
    }
}

impl<const MIN: i64, const MAX: i64> Deserr<Faults> for Whole<MIN, MAX> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        let fault = match value {
            Value::Integer(number) => i64::try_from(number).map_err(|_| Self::OUTSIDE).and_then(Self::new),
            Value::NegativeInteger(number) => Self::new(number),
            // A whole number beyond 64 bits arrives as a float.
            Value::Float(number) if number.fract() == 0.0 && number.abs() >= 9e18 => Err(Self::OUTSIDE),
            Value::Null => Err(Fault::Required),
            _ => Err(Fault::Type("integer")),
        };
        fault.map_err(|fault| Faults::one(place, fault))
    }
}

/// A list of `MIN` to `MAX` items.
///
/// ```
/// use dream_core::Facts;
/// use dream_http::input::{List, Text, read_value};
///
/// dream_http::input! {
///     /// Words to find something by.
///     pub struct Tagged {
///         /// At most two of them.
///         pub tags: List<Text<1, 8>, 0, 2>,
///     }
/// }
/// assert_eq!(read_value::<Tagged>(serde_json::json!({ "tags": ["cat"] }))?.tags.0[0].0, "cat");
/// let refused = read_value::<Tagged>(serde_json::json!({ "tags": ["cat", ""] })).unwrap_err();
/// assert!(matches!(refused.facts(), Facts::Fields(faults) if faults[0].field == "tags[1]"));
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MIN: usize, const MAX: usize>(pub Vec<T>);

impl<T: Deserr<Faults>, const MIN: usize, const MAX: usize> Deserr<Faults> for List<T, MIN, MAX> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        if let Value::Sequence(items) = &value
            && !(MIN..=MAX).contains(&deserr::Sequence::len(items))
        {
            return Err(Faults::one(place, Fault::Length { min: MIN, max: MAX }));
        }
        Vec::deserialize_from_value(value, place).map(Self)
    }
}

/// `true` or `false` in a query, and nothing that merely looks like it.
///
/// ```
/// use dream_http::input::Flag;
///
/// assert!("true".parse::<Flag>().unwrap().0);
/// assert!("1".parse::<Flag>().is_err(), "it merely looks like one");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl FromStr for Flag {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(Fault::Type("boolean")),
        }
    }
}

impl Word for Flag {
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(Type::Boolean).into()
    }
}

/// A JSON object that is passed on as it is.
///
/// ```
/// use dream_http::input::{AnyObject, read_value};
///
/// dream_http::input! {
///     /// Options for a model.
///     pub struct Options {
///         /// Whatever the model knows.
///         pub params: AnyObject,
///     }
/// }
/// let options: Options = read_value(serde_json::json!({ "params": { "seed": 42 } }))?;
/// assert_eq!(options.params.0["seed"], 42);
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyObject(pub serde_json::Map<String, serde_json::Value>);

impl AnyObject {
    /// How many values one has at most: as many as the 16 KiB of a job's parameters can hold.
    pub const MAX_VALUES: usize = 8 * 1024;
}

impl Deserr<Faults> for AnyObject {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        match serde_json::Value::from(value) {
            serde_json::Value::Object(map) => Ok(Self(map)),
            serde_json::Value::Null => Err(Faults::one(place, Fault::Required)),
            _ => Err(Faults::one(place, Fault::Type("object"))),
        }
    }
}

/// One of a list of words: `status: OneOf<JobState>`. In a query it is written alike.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::ports::JobState;
/// use dream_http::input::OneOf;
///
/// assert_eq!("FAILED".parse::<OneOf<JobState>>().unwrap().0, JobState::Failed);
/// assert_eq!("failed".parse::<OneOf<JobState>>().unwrap_err(), Fault::OneOf(JobState::NAMES));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneOf<T>(pub T);

/// A type whose values are words.
///
/// ```
/// use dream_http::input::{Named, OneOf};
///
/// #[derive(Debug, PartialEq)]
/// enum Size { Small, Large }
///
/// impl Named for Size {
///     const NAMES: &'static [&'static str] = &["small", "large"];
///     fn named(name: &str) -> Option<Self> {
///         match name {
///             "small" => Some(Size::Small),
///             "large" => Some(Size::Large),
///             _ => None,
///         }
///     }
/// }
/// assert_eq!("large".parse::<OneOf<Size>>().unwrap().0, Size::Large);
/// assert!("huge".parse::<OneOf<Size>>().is_err());
/// ```
pub trait Named: Sized + Send + 'static {
    /// All of them.
    const NAMES: &'static [&'static str];

    /// The value of this name.
    fn named(name: &str) -> Option<Self>;
}

impl<T: Named> FromStr for OneOf<T> {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        T::named(text).map(Self).ok_or(Fault::OneOf(T::NAMES))
    }
}

impl<T: Named> Word for OneOf<T> {
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(T::NAMES.iter().copied())).into()
    }
}

impl<T: Named> Deserr<Faults> for OneOf<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        Parsed::deserialize_from_value(value, place).map(|Parsed(word)| word)
    }
}

/// An optional text that old clients send empty when they mean that there is none.
///
/// ```
/// use dream_core::templates::Description;
/// use dream_http::input::{Blank, read_value};
///
/// dream_http::input! {
///     /// A picture.
///     pub struct Picture {
///         /// What it shows.
///         pub note: Option<Blank<Description>>,
///     }
/// }
/// // An old client that sends an empty text means that there is none.
/// let picture: Picture = read_value(serde_json::json!({ "note": "" }))?;
/// assert_eq!(picture.note.and_then(|Blank(note)| note), None);
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blank<T>(pub Option<T>);

impl<T: Word> FromStr for Blank<T> {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|value| Self(Some(value))) }
    }
}

impl<T: Word> Deserr<Faults> for Blank<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        if matches!(value, Value::Null) {
            return Ok(Self(None));
        }
        let text = <String as Deserr<Faults>>::deserialize_from_value(value, place)?;
        text.parse().map_err(|fault| Faults::one(place, fault))
    }
}

/// A field that keeps its value where it is not sent, and loses it where it is sent as null. What is written as a text is
/// lost by an empty one too; a number is not.
///
/// ```
/// use dream_core::kernel::Patch;
/// use dream_core::templates::Description;
/// use dream_http::input::{Clearable, Parsed, read_value};
///
/// dream_http::input! {
///     /// What is to change.
///     pub struct Change {
///         /// Another description, or none.
///         pub description: Clearable<Parsed<Description>>,
///     }
/// }
/// let change = |json| read_value::<Change>(json).map(|change| change.description.0);
/// assert!(matches!(change(serde_json::json!({}))?, Patch::Keep), "left out: it stays");
/// assert!(matches!(change(serde_json::json!({ "description": null }))?, Patch::Clear));
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearable<T>(pub Patch<T>);

impl<T: Deserr<Faults> + Shape> Deserr<Faults> for Clearable<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        match value {
            Value::Null => Ok(Self(Patch::Clear)),
            Value::String(text) if T::TEXT && text.is_empty() => Ok(Self(Patch::Clear)),
            value => T::deserialize_from_value(value, place).map(|value| Self(Patch::Set(value))),
        }
    }
}

/// A text, or the number that it stands for: an id that clients know in both forms.
///
/// ```
/// use dream_core::jobs::CharacterRef;
/// use dream_http::input::{TextOrNumber, read_value};
///
/// dream_http::input! {
///     /// Which face.
///     pub struct Face {
///         /// The character, by its number or its UUID.
///         pub character: TextOrNumber<CharacterRef>,
///     }
/// }
/// let by = |json| read_value::<Face>(json).map(|face| face.character.0);
/// assert_eq!(by(serde_json::json!({ "character": 7 }))?, by(serde_json::json!({ "character": "7" }))?);
/// # Ok::<(), dream_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOrNumber<T>(pub T);

impl<T: Word> Deserr<Faults> for TextOrNumber<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        let text = match value {
            Value::Integer(number) => number.to_string(),
            other => <String as Deserr<Faults>>::deserialize_from_value(other, place)?,
        };
        text.parse().map(Self).map_err(|fault| Faults::one(place, fault))
    }
}

/// Reads a field by a function of one's own: for what is neither a word nor bounded, such as "a number or a text".
///
/// ```
/// use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
/// use dream_core::Fault;
/// use dream_http::input::{Faults, read_by, read_value};
///
/// /// Seconds, as a number or as a text such as `90s`.
/// struct Seconds(u64);
///
/// impl Deserr<Faults> for Seconds {
///     fn deserialize_from_value<V: IntoValue>(
///         value: Value<V>,
///         place: ValuePointerRef<'_>,
///     ) -> Result<Self, Faults> {
///         read_by(value, place, |json| {
///             let text = json.as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
///             json.as_u64().or(text).map(Self).ok_or(Fault::Type("number of seconds"))
///         })
///     }
/// }
/// assert_eq!(read_value::<Seconds>(90.into())?.0, read_value::<Seconds>("90s".into())?.0);
/// # Ok::<(), dream_core::Error>(())
/// ```
///
/// # Errors
/// The fault that the function found, at this place.
pub fn read_by<V: IntoValue, T>(
    value: Value<V>,
    place: ValuePointerRef<'_>,
    read: impl FnOnce(serde_json::Value) -> Result<T, Fault>,
) -> Result<T, Faults> {
    read(serde_json::Value::from(value)).map_err(|fault| {
        take_cf_content(<Faults as deserr::MergeWithError<Fault>>::merge(None, fault, place))
    })
}

fn whole_number(min: Option<i64>, max: Option<i64>) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(min)
        .maximum(max)
        .into()
}

fn bounded(min: usize, max: usize) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(min)).max_length(Some(max)).into()
}

fn short_text(example: &str, pattern: Option<&str>) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .examples([serde_json::Value::from(example)])
        .pattern(pattern)
        .into()
}

macro_rules! named {
    ($($name:ident),* $(,)?) => { $(
        impl Named for $name {
            const NAMES: &'static [&'static str] = $name::NAMES;
            fn named(name: &str) -> Option<Self> {
                $name::parse(name)
            }
        }
    )* };
}

named!(
    AspectRatio,
    Bucket,
    EntryKind,
    FavoriteKind,
    GallerySort,
    ImageStatus,
    JobState,
    Level,
    Mode,
    OrderKind,
    OrderStatus,
    PictureKind,
    Resolution
);

macro_rules! words {
    ($($name:ident = $schema:expr $(, absent $absent:ident)?;)*) => { $(
        impl Word for $name {
            $(const ABSENT: Code = Code::$absent;)?
            fn schema() -> Schema { $schema }
        }
    )* };
}

const WORD: Option<&str> = Some("^[A-Za-z0-9_-]+$");
const NAME: Option<&str> = Some("^[A-Za-z0-9_.-]+$");

words! {
    UserId = whole_number(Some(1), None), absent UserNotFound;
    GenerationId = whole_number(Some(1), None), absent JobNotFound;
    ImageId = whole_number(Some(1), None), absent ImageNotFound;
    FavoriteId = whole_number(Some(1), None), absent FavoriteNotFound;
    CharacterId = whole_number(Some(1), None), absent CharacterNotFound;
    PhotoId = whole_number(Some(1), None), absent PhotoNotFound;
    JobId = short_text("job_01J9Z3", WORD), absent JobNotFound;
    OrderId = short_text("VIP20260128100000abcd", WORD), absent OrderNotFound;
    PlanId = short_text("vip_month", NAME), absent PlanNotFound;
    TemplateId = short_text("portrait_film", NAME), absent TemplateNotFound;
    KeyName = short_text("ops", NAME);
    Timestamp = short_text("2026-01-28T10:00:00.000Z", None);
    Edge = short_text("2026-01-28", None);
    Day = short_text("2026-01-28", None);
    Limit = whole_number(Some(1), Some(Limit::MAX));
    NickName = bounded(1, NickName::MAX_LEN);
    AvatarUrl = bounded(1, AvatarUrl::MAX_LEN);
    Prompt = bounded(1, 4000);
    NegativePrompt = bounded(0, 2000);
    ModelName = bounded(1, 100);
    Description = bounded(1, 500);
    Category = bounded(1, 64);
    PictureUrl = bounded(1, 2048);
    InlinePicture = short_text("data:image/png;base64,iVBORw0KGgo=", None);
    CharacterRef = short_text("7", None), absent CharacterNotFound;
    CharacterName = bounded(1, CharacterName::MAX_LEN);
    CharacterDescription = bounded(0, CharacterDescription::MAX_LEN);
    PhotoRef = short_text("7", None), absent PhotoNotFound;
    PhotoUrl = bounded(1, PhotoUrl::MAX_LEN);
    BlobKey = short_text("0198c0ffee007000800000000000000a.jpg", NAME), absent ImageNotFound;
    ResourceId = bounded(1, ResourceId::MAX_LEN);
}
