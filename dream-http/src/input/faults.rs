//! All faults of an input, collected while it is read.

use std::ops::ControlFlow;

use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, Value, ValueKind, ValuePointerRef};
use dream_core::{Error, Fault, FieldFault, Format};

/// How many faults are told; an input full of nonsense must not make an answer larger than itself.
const MAX_FAULTS: usize = 50;
/// How much of a field's name is repeated in an answer.
const MAX_FIELD_CHARS: usize = 64;

/// The faulty fields of one input.
///
/// ```
/// use dream_core::{Code, Error, Fault};
/// use dream_http::input::{Faults, Whole};
///
/// dream_http::input! {
///     /// Two numbers, the smaller one first.
///     #[check(in_order)]
///     pub struct Span {
///         /// The smaller one.
///         pub from: Whole<0, 100>,
///         /// The greater one.
///         pub to: Whole<0, 100>,
///     }
/// }
/// fn in_order(span: &Span) -> Result<(), Faults> {
///     if span.from.0 <= span.to.0 { Ok(()) } else { Err(Faults::field("to", Fault::Conflict("from"))) }
/// }
/// let refused = dream_http::input::read_value::<Span>(serde_json::json!({ "from": 7, "to": 3 }));
/// assert_eq!(refused.unwrap_err().code(), Code::ValidationFailed);
/// # let _: Error = Faults::field("to", Fault::Required).into();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// One fault at this place.
    ///
    /// ```
    /// use deserr::ValuePointerRef;
    /// use dream_core::{Error, Facts, Fault};
    /// use dream_http::input::Faults;
    ///
    /// let place = ValuePointerRef::Origin;
    /// let tags = place.push_key("tags");
    /// let error = Error::from(Faults::one(tags.push_index(3), Fault::Required));
    /// assert_eq!(error.facts(), &Facts::Fields(vec![Fault::Required.at("tags[3]")]));
    /// ```
    pub fn one(place: ValuePointerRef<'_>, fault: Fault) -> Self {
        let mut faults = Self::default();
        faults.push(fault.at(field_name(place)));
        faults
    }

    /// One fault of the named field.
    ///
    /// ```
    /// use dream_core::{Error, Facts, Fault};
    /// use dream_http::input::Faults;
    ///
    /// let error = Error::from(Faults::field("days", Fault::Required));
    /// assert_eq!(error.facts(), &Facts::Fields(vec![Fault::Required.at("days")]));
    /// ```
    pub fn field(field: &str, fault: Fault) -> Self {
        let mut faults = Self::default();
        faults.push(fault.at(field));
        faults
    }

    pub(crate) fn push(&mut self, mut fault: FieldFault) {
        if self.0.len() < MAX_FAULTS {
            if let Some((cut, _)) = fault.field.char_indices().nth(MAX_FIELD_CHARS) {
                fault.field.truncate(cut);
            }
            self.0.push(fault);
        }
    }

    pub(crate) fn extend(&mut self, other: Faults) {
        other.0.into_iter().for_each(|fault| self.push(fault));
    }

    /// The value, if there was no fault.
    pub(crate) fn check<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() { Ok(value) } else { Err(self.into()) }
    }
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Error::invalid(faults.0)
    }
}

/// The place as the client wrote it: `userInfo.nickName`, `tags[3]`; the whole body is `body`.
fn field_name(place: ValuePointerRef<'_>) -> String {
    match place {
        ValuePointerRef::Origin => "body".to_owned(),
        ValuePointerRef::Key { key, prev } if prev.is_origin() => key.to_owned(),
        ValuePointerRef::Key { key, prev } => format!("{}.{key}", field_name(*prev)),
        ValuePointerRef::Index { index, prev } => format!("{}[{index}]", field_name(*prev)),
    }
}

impl MergeWithError<Faults> for Faults {
    fn merge(this: Option<Self>, other: Faults, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = this.unwrap_or_default();
        all.extend(other);
        ControlFlow::Continue(all)
    }
}

impl MergeWithError<Fault> for Faults {
    fn merge(this: Option<Self>, fault: Fault, place: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        Self::merge(this, Faults::one(place, fault), place)
    }
}

impl DeserializeError for Faults {
    fn error<V: IntoValue>(
        this: Option<Self>,
        error: ErrorKind<'_, V>,
        place: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let found = match error {
            ErrorKind::IncorrectValueKind { actual: Value::Null, .. } => Self::one(place, Fault::Required),
            ErrorKind::IncorrectValueKind { accepted, .. } => Self::one(place, Fault::Type(kind(accepted))),
            ErrorKind::MissingField { field } => Self::one(place.push_key(field), Fault::Required),
            ErrorKind::UnknownKey { key, .. } => Self::one(place.push_key(key), Fault::Unknown),
            ErrorKind::BadSequenceLen { expected, .. } => {
                Self::one(place, Fault::Length { min: expected, max: expected })
            }
            ErrorKind::UnknownValue { .. } => Self::one(place, Fault::Format(Format::DocumentedWord)),
            ErrorKind::Unexpected { .. } => Self::one(place, Fault::Range { min: i64::MIN, max: i64::MAX }),
        };
        Self::merge(this, found, place)
    }
}

fn kind(accepted: &[ValueKind]) -> &'static str {
    match accepted.last() {
        Some(ValueKind::Boolean) => "boolean",
        Some(ValueKind::Integer | ValueKind::NegativeInteger) if accepted.contains(&ValueKind::Float) => {
            "number"
        }
        Some(ValueKind::Integer | ValueKind::NegativeInteger) => "integer",
        Some(ValueKind::Float) => "number",
        Some(ValueKind::Sequence) => "array",
        Some(ValueKind::Map) => "object",
        Some(ValueKind::String | ValueKind::Null) | None => "string",
    }
}
