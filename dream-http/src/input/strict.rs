//! JSON, read more strictly than usual: a key that stands twice, a NUL in a text and deep nesting are faults.
//!
//! The values of a body are counted while it is parsed. A list of empty lists takes ten times the memory of its text, so
//! the size of a body alone does not bound what parsing it costs.

use std::cell::{Cell, RefCell};
use std::fmt;

use dream_core::{Code, Error, Fault, Format, Result};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Faults;

/// How deep arrays and objects may nest.
const MAX_DEPTH: u8 = 24;

/// Reads a body. What is JSON but not acceptable comes back as faults beside the value, so that they can be told
/// together with those of its fields.
///
/// # Errors
/// [`Code::InvalidJson`] for what is not JSON, nests too deeply, or has more than `most` values.
pub(crate) fn parse(bytes: &[u8], most: usize) -> Result<(Value, Faults)> {
    let faults = RefCell::new(Faults::default());
    let left = Cell::new(most);
    let tree = Tree { place: Place::Root, depth: 0, faults: &faults, left: &left };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = tree.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(value) => Ok((value, faults.into_inner())),
        Err(error) => Err(Error::new(Code::InvalidJson).with_source(error).while_("reading a body")),
    }
}

#[derive(Clone, Copy)]
enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => f.write_str("body"),
            Place::Key(Place::Root, key) => f.write_str(key),
            Place::Key(parent, key) => write!(f, "{parent}.{key}"),
            Place::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Tree<'p> {
    place: Place<'p>,
    depth: u8,
    faults: &'p RefCell<Faults>,
    /// How many values may still come.
    left: &'p Cell<usize>,
}

impl Tree<'_> {
    fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault.at(self.place.to_string()));
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<u8, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH { Err(E::custom("nested too deeply")) } else { Ok(depth) }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| serde::de::Error::custom("more values than the schema has"))?);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') {
            self.fault(Fault::Format(Format::WithoutNul));
        }
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        if value.contains('\0') {
            self.fault(Fault::Format(Format::WithoutNul));
        }
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut list = Vec::new();
        loop {
            let place = Place::Index(&self.place, list.len());
            match items.next_element_seed(Tree { place, depth, ..self })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place::Key(&self.place, &key);
            let value = entries.next_value_seed(Tree { place, depth, ..self })?;
            let entry = Tree { place, depth, ..self };
            if key.contains('\0') {
                entry.fault(Fault::Unknown);
            } else if map.contains_key(&key) {
                entry.fault(Fault::Duplicate);
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
