//! What an input looks like, said once: `input!` makes both its reader and its entry in the document.

use std::borrow::Cow;

use deserr::{Deserr, IntoValue, Map as _, Value, ValuePointerRef};
use dream_core::Fault;
use dream_core::kernel::Patch;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::{
    AnyObject, Blank, Clearable, Faults, List, Named, OneOf, Parsed, Text, TextOrNumber, Whole, Word,
};
use crate::openapi::Schemas;

/// A type that input is made of.
///
/// ```
/// use dream_http::input::{Shape, Text};
/// use dream_http::openapi::Schemas;
///
/// let mut schemas = Schemas::default();
/// // An option may be left out; a text must be there.
/// assert_eq!(<Option<bool> as Shape>::absent(), Some(None));
/// assert!(<Text<1, 20> as Shape>::absent().is_none());
/// let drawn = serde_json::to_value(<Text<1, 20> as Shape>::shape(&mut schemas)).unwrap();
/// assert_eq!((&drawn["minLength"], &drawn["maxLength"]), (&1.into(), &20.into()));
/// ```
pub trait Shape: Sized {
    /// Whether it is written as a text, so that an empty one can say that there is none.
    const TEXT: bool = false;
    /// How many JSON values one consists of at most, itself included: what parsing a body may cost depends on it.
    const VALUES: usize = 1;

    /// What a field of this type is when it is not there; `None` if it must be there.
    fn absent() -> Option<Self> {
        None
    }

    /// What it looks like. Objects are kept under their name and referred to.
    fn shape(schemas: &mut Schemas) -> RefOr<Schema>;
}

/// A type with named fields.
///
/// ```
/// use dream_http::input::{Fields as _, Whole};
/// use dream_http::openapi::Schemas;
///
/// dream_http::input! {
///     /// A gift.
///     pub struct Gift {
///         /// How many points.
///         pub how_many: Whole<1, 1000>,
///         /// Whether the user is told.
///         pub tell: Option<bool>,
///     }
/// }
/// let fields = Gift::fields(&mut Schemas::default());
/// assert_eq!(fields.iter().map(|field| &*field.name).collect::<Vec<_>>(), ["howMany", "tell"]);
/// assert!(fields[0].required && !fields[1].required);
/// ```
pub trait Fields {
    /// Its fields.
    fn fields(schemas: &mut Schemas) -> Vec<Field>;
}

/// One field of an input.
///
/// ```
/// use dream_http::input::{Field, Whole};
/// use dream_http::openapi::Schemas;
///
/// // What a line of `input!` stands for in the document.
/// let field =
///     Field::new::<Whole<1, 1000>>("points".into(), &[" How many points."], &mut Schemas::default());
/// assert_eq!(field.description.as_deref(), Some("How many points."));
/// ```
#[derive(Clone)]
pub struct Field {
    /// The name that clients use.
    pub name: Cow<'static, str>,
    /// What it means.
    pub description: Option<String>,
    /// Whether it must be there.
    pub required: bool,
    /// What it looks like.
    pub schema: RefOr<Schema>,
}

impl Field {
    /// A field of this type.
    ///
    /// ```
    /// use dream_http::input::{Field, Text};
    /// use dream_http::openapi::Schemas;
    ///
    /// let field = Field::new::<Option<Text<1, 64>>>("search".into(), &[], &mut Schemas::default());
    /// assert!(!field.required && field.description.is_none());
    /// ```
    pub fn new<T: Shape>(name: Cow<'static, str>, doc: &[&str], schemas: &mut Schemas) -> Self {
        let description = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        Self {
            name,
            description: (!description.is_empty()).then_some(description),
            required: T::absent().is_none(),
            schema: T::shape(schemas),
        }
    }
}

/// What clients call a field: what they know it as, or its name in camel case.
///
/// ```
/// use dream_http::input::outside;
///
/// assert_eq!(outside("nick_name", None), "nickName");
/// assert_eq!(outside("kind", Some("type")), "type", "a name that Rust keeps for itself");
/// ```
pub fn outside(name: &'static str, known_as: Option<&'static str>) -> Cow<'static, str> {
    match known_as {
        Some(known) => known.into(),
        None if name.contains('_') => camel(name).into(),
        None => name.into(),
    }
}

/// `nick_name` is `nickName` outside.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or("").to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// An object that is being read field by field.
///
/// ```
/// use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
/// use dream_http::input::{Faults, Reader, Whole, read_value};
///
/// /// A size that clients may also write as one number.
/// struct Size {
///     width: i64,
///     height: i64,
/// }
///
/// impl Deserr<Faults> for Size {
///     fn deserialize_from_value<V: IntoValue>(
///         value: Value<V>,
///         place: ValuePointerRef<'_>,
///     ) -> Result<Self, Faults> {
///         if let Value::Integer(side) = value {
///             return Ok(Self { width: side as i64, height: side as i64 });
///         }
///         let mut reader = Reader::new(value, place)?;
///         let (width, height) =
///             (reader.field::<Whole<1, 4096>>("width"), reader.field::<Whole<1, 4096>>("height"));
///         reader.finish()?;
///         let (Some(width), Some(height)) = (width, height) else { return Err(Faults::default()) };
///         Ok(Self { width: width.0, height: height.0 })
///     }
/// }
/// let size: Size = read_value(serde_json::json!({ "width": 640, "height": 480 }))?;
/// assert_eq!((size.width, size.height), (640, 480));
/// # Ok::<(), dream_core::Error>(())
/// ```
pub struct Reader<'p, V: IntoValue> {
    map: V::Map,
    place: ValuePointerRef<'p>,
    faults: Faults,
}

impl<'p, V: IntoValue> Reader<'p, V> {
    /// Begins to read the value.
    ///
    /// ```
    /// use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::{Faults, Reader, Whole, read_value};
    ///
    /// struct Size(i64);
    /// impl Deserr<Faults> for Size {
    ///     fn deserialize_from_value<V: IntoValue>(
    ///         value: Value<V>,
    ///         place: ValuePointerRef<'_>,
    ///     ) -> Result<Self, Faults> {
    ///         let mut reader = Reader::new(value, place)?;
    ///         let width = reader.field::<Whole<1, 4096>>("width");
    ///         reader.finish()?;
    ///         width.map(|Whole(width)| Self(width)).ok_or_else(Faults::default)
    ///     }
    /// }
    /// let refused = read_value::<Size>(serde_json::json!([640])).map(|size| size.0).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Type("object").at("body")]));
    /// ```
    ///
    /// # Errors
    /// If it is no object.
    pub fn new(value: Value<V>, place: ValuePointerRef<'p>) -> Result<Self, Faults> {
        match value {
            Value::Map(map) => Ok(Self { map, place, faults: Faults::default() }),
            Value::Null => Err(Faults::one(place, Fault::Required)),
            _ => Err(Faults::one(place, Fault::Type("object"))),
        }
    }

    /// Reads one field. Its faults are kept for [`Reader::finish`].
    ///
    /// ```
    /// use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::{Faults, Reader, Whole, read_value};
    ///
    /// struct Size(i64);
    /// impl Deserr<Faults> for Size {
    ///     fn deserialize_from_value<V: IntoValue>(
    ///         value: Value<V>,
    ///         place: ValuePointerRef<'_>,
    ///     ) -> Result<Self, Faults> {
    ///         let mut reader = Reader::new(value, place)?;
    ///         let width = reader.field::<Whole<1, 4096>>("width");
    ///         reader.finish()?;
    ///         width.map(|Whole(width)| Self(width)).ok_or_else(Faults::default)
    ///     }
    /// }
    /// let refused = read_value::<Size>(serde_json::json!({})).map(|size| size.0).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("width")]));
    /// ```
    pub fn field<T: Shape + Deserr<Faults>>(&mut self, name: &str) -> Option<T> {
        let place = self.place.push_key(name);
        let read = match self.map.remove(name) {
            Some(value) => T::deserialize_from_value(value.into_value(), place),
            None => T::absent().ok_or_else(|| Faults::one(place, Fault::Required)),
        };
        read.map_err(|faults| self.faults.extend(faults)).ok()
    }

    /// Refuses what was not read, and tells all faults.
    ///
    /// ```
    /// use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::{Faults, Reader, Whole, read_value};
    ///
    /// struct Size(i64);
    /// impl Deserr<Faults> for Size {
    ///     fn deserialize_from_value<V: IntoValue>(
    ///         value: Value<V>,
    ///         place: ValuePointerRef<'_>,
    ///     ) -> Result<Self, Faults> {
    ///         let mut reader = Reader::new(value, place)?;
    ///         let width = reader.field::<Whole<1, 4096>>("width");
    ///         reader.finish()?;
    ///         width.map(|Whole(width)| Self(width)).ok_or_else(Faults::default)
    ///     }
    /// }
    /// let both = serde_json::json!({ "width": 640, "height": 480 });
    /// let refused = read_value::<Size>(both).map(|size| size.0).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Unknown.at("height")]), "nobody asked for it");
    /// ```
    ///
    /// # Errors
    /// If there were any.
    pub fn finish(mut self) -> Result<(), Faults> {
        for (name, _) in self.map.into_iter() {
            self.faults.extend(Faults::one(self.place.push_key(&name), Fault::Unknown));
        }
        if self.faults == Faults::default() { Ok(()) } else { Err(self.faults) }
    }
}

/// The object with these fields, kept under its name.
///
/// ```
/// use dream_http::input::{Whole, object};
/// use dream_http::openapi::Schemas;
///
/// dream_http::input! {
///     /// A gift.
///     pub struct Gift {
///         /// How many points.
///         pub points: Whole<1, 1000>,
///     }
/// }
/// let reference = serde_json::to_value(object::<Gift>("Gift", &mut Schemas::default())).unwrap();
/// assert_eq!(reference["$ref"], "#/components/schemas/Gift");
/// ```
pub fn object<T: Fields>(name: &str, schemas: &mut Schemas) -> RefOr<Schema> {
    // A field that the reader does not know is refused.
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for field in T::fields(schemas) {
        let schema = if field.required {
            object = object.required(&*field.name);
            field.schema
        } else {
            or_null(field.schema)
        };
        object = object.property(&*field.name, described(schema, field.description));
    }
    schemas.keep(name, object.into());
    Ref::from_schema_name(name).into()
}

/// Null says the same as leaving the field out.
fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let nullable = |kind: SchemaType| match kind {
        SchemaType::Type(one) => SchemaType::Array(vec![one, Type::Null]),
        SchemaType::Array(mut several) => {
            if !several.contains(&Type::Null) {
                several.push(Type::Null);
            }
            SchemaType::Array(several)
        }
        SchemaType::AnyValue => SchemaType::AnyValue,
    };
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = nullable(object.schema_type);
            if let Some(words) = &mut object.enum_values
                && !words.contains(&serde_json::Value::Null)
            {
                words.push(serde_json::Value::Null);
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = nullable(array.schema_type);
            RefOr::T(Schema::Array(array))
        }
        reference @ RefOr::Ref(_) => {
            let null = ObjectBuilder::new().schema_type(Type::Null);
            Schema::OneOf(OneOfBuilder::new().item(reference).item(null).build()).into()
        }
        other => other,
    }
}

/// An empty text says the same as null.
fn or_empty(schema: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else { return schema };
    object.min_length = None;
    object.pattern = object.pattern.map(|pattern| format!("^$|{pattern}"));
    if let Some(words) = &mut object.enum_values {
        words.push("".into());
    }
    RefOr::T(Schema::Object(object))
}

fn described(schema: RefOr<Schema>, description: Option<String>) -> RefOr<Schema> {
    match (schema, description) {
        (RefOr::T(Schema::Object(mut object)), Some(text)) => {
            object.description = Some(text);
            RefOr::T(Schema::Object(object))
        }
        (RefOr::T(Schema::OneOf(mut either)), Some(text)) => {
            either.description = Some(text);
            RefOr::T(Schema::OneOf(either))
        }
        (RefOr::T(Schema::Array(mut array)), Some(text)) => {
            array.description = Some(text);
            RefOr::T(Schema::Array(array))
        }
        (RefOr::Ref(mut reference), Some(text)) => {
            reference.description = text;
            RefOr::Ref(reference)
        }
        (schema, _) => schema,
    }
}

impl<T: Shape> Shape for Option<T> {
    const VALUES: usize = T::VALUES;

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn shape(schemas: &mut Schemas) -> RefOr<Schema> {
        T::shape(schemas)
    }
}

impl<T: Word> Shape for Parsed<T> {
    const TEXT: bool = true;

    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        T::schema().into()
    }
}

impl<const MIN: usize, const MAX: usize> Shape for Text<MIN, MAX> {
    const TEXT: bool = true;

    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        <Self as Word>::schema().into()
    }
}

impl<const MIN: i64, const MAX: i64> Shape for Whole<MIN, MAX> {
    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        <Self as Word>::schema().into()
    }
}

impl<T: Named> Shape for OneOf<T> {
    const TEXT: bool = true;

    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        <Self as Word>::schema().into()
    }
}

impl<T: Word> Shape for Blank<T> {
    fn absent() -> Option<Self> {
        Some(Self(None))
    }

    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        or_empty(T::schema().into())
    }
}

impl<T: Shape> Shape for Clearable<T> {
    const VALUES: usize = T::VALUES;

    fn absent() -> Option<Self> {
        Some(Self(Patch::Keep))
    }

    fn shape(schemas: &mut Schemas) -> RefOr<Schema> {
        let shape = T::shape(schemas);
        if T::TEXT { or_empty(shape) } else { shape }
    }
}

impl<T: Word> Shape for TextOrNumber<T> {
    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::String, Type::Integer])).into()
    }
}

impl<T: Shape, const MIN: usize, const MAX: usize> Shape for List<T, MIN, MAX> {
    const VALUES: usize = T::VALUES.saturating_mul(MAX).saturating_add(1);

    fn shape(schemas: &mut Schemas) -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(T::shape(schemas))
            .min_items((MIN > 0).then_some(MIN))
            .max_items(Some(MAX))
            .into()
    }
}

impl Shape for AnyObject {
    const VALUES: usize = AnyObject::MAX_VALUES;

    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Object).into()
    }
}

impl Shape for bool {
    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Boolean).into()
    }
}

/// Declares an input: a body, or the parameters of a query.
///
/// Fields are `camelCase` outside, or what `as` says. Unknown fields are refused, `Option` fields may be absent or
/// null, and every fault is told at once. `#[check(function)]` names a `fn(&Self) -> Result<(), Faults>` for what
/// concerns several fields.
///
/// ```
/// use dream_core::kernel::PlanId;
/// use dream_http::input::{Parsed, Text, Whole};
///
/// dream_http::input! {
///     /// What somebody wants to buy.
///     pub struct Purchase {
///         /// Which plan.
///         pub plan_id: Parsed<PlanId>,
///         /// How often.
///         pub count: Option<Whole<1, 10>>,
///         /// What it is for.
///         pub kind as "type": Text<1, 20>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! input {
    (
        $(#[doc = $doc:literal])* $(#[check($check:path)])?
        $vis:vis struct $name:ident { $(
            $(#[doc = $field_doc:literal])*
            $field_vis:vis $field:ident $(as $known_as:literal)? : $type:ty
        ),* $(,)? }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        $vis struct $name { $(
            $(#[doc = $field_doc])*
            $field_vis $field: $type,
        )* }

        impl ::deserr::Deserr<$crate::input::Faults> for $name {
            fn deserialize_from_value<V: ::deserr::IntoValue>(
                value: ::deserr::Value<V>,
                place: ::deserr::ValuePointerRef<'_>,
            ) -> ::core::result::Result<Self, $crate::input::Faults> {
                let mut reader = $crate::input::Reader::new(value, place)?;
                $(let $field = reader.field::<$type>(&$crate::input!(@name $field $($known_as)?));)*
                reader.finish()?;
                let ($(::core::option::Option::Some($field),)*) = ($($field,)*) else {
                    return ::core::result::Result::Err($crate::input::Faults::default());
                };
                let this = Self { $($field),* };
                $($check(&this)?;)?
                ::core::result::Result::Ok(this)
            }
        }

        impl $crate::input::Fields for $name {
            fn fields(schemas: &mut $crate::openapi::Schemas) -> ::std::vec::Vec<$crate::input::Field> {
                ::std::vec![$($crate::input::Field::new::<$type>(
                    $crate::input!(@name $field $($known_as)?),
                    &[$($field_doc),*],
                    schemas,
                )),*]
            }
        }

        impl $crate::input::Shape for $name {
            const VALUES: usize = {
                let values: usize = 1;
                $(let values = values.saturating_add(<$type as $crate::input::Shape>::VALUES);)*
                values
            };

            fn shape(schemas: &mut $crate::openapi::Schemas)
                -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema>
            {
                $crate::input::object::<Self>(::core::stringify!($name), schemas)
            }
        }
    };
    (@name $field:ident $known_as:literal) => {
        $crate::input::outside("", ::core::option::Option::Some($known_as))
    };
    (@name $field:ident) => {
        $crate::input::outside(::core::stringify!($field), ::core::option::Option::None)
    };
}
