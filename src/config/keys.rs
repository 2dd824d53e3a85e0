//! The keys of the config file, asked from the types that read it.

use super::load::RawTrust;
use super::{Agent, Gateway, Portal, Preferences, TunnelConfig};
use crate::ike::dialect::Dialect;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// A table of the config file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// As it is written between the brackets; `HOST` stands for a name.
    pub name: &'static str,
    /// Its keys, without those that are sections of their own.
    pub keys: &'static [&'static str],
}

/// Every section with every key, in the order of the types.
pub fn keys() -> [Section; 7] {
    [
        Section { name: "agent", keys: fields::<Agent>() },
        Section { name: "tunnel", keys: fields::<TunnelConfig>() },
        Section { name: "portal", keys: fields::<Portal>() },
        Section { name: "preferences", keys: fields::<Preferences>() },
        Section { name: "trust", keys: fields::<RawTrust>() },
        Section { name: "gateway.\"HOST\"", keys: without("dialect", fields::<Gateway>()) },
        Section { name: "gateway.\"HOST\".dialect", keys: fields::<Dialect>() },
    ]
}

fn without(last: &str, keys: &'static [&'static str]) -> &'static [&'static str] {
    match keys.split_last() {
        Some((found, rest)) if *found == last => rest,
        _ => keys,
    }
}

/// The names that a type's reader asks for.
fn fields<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It always fails: there is nothing to read.
    let _ = T::deserialize(Spy(&mut names));
    names
}

/// Reads nothing, and notes which fields it is asked for.
struct Spy<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Spy<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::Document;

    #[test]
    fn every_table_of_the_file_is_there() {
        let (sections, top) = (keys(), fields::<Document>());
        let tops: Vec<&str> =
            sections.iter().map(|section| section.name.split('.').next().unwrap_or_default()).collect();
        for name in top {
            assert!(tops.contains(name), "[{name}] is missing in keys()");
        }
        for name in tops {
            assert!(top.contains(&name), "[{name}] is no table of the file");
        }
        for section in sections {
            assert!(!section.keys.is_empty(), "{section:?}");
            assert!(!section.keys.contains(&"dialect"), "{section:?}");
        }
    }
}
