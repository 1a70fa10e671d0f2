//! PURE: reading JSON objects strictly where rules look, and skipping the rest.
//!
//! A key that appears twice is refused: two readers that pick different ones would disagree about what is
//! being admitted.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::nesting::{MAX_DEPTH, nests};
use std::marker::PhantomData;

/// How the message of a repeated key starts; the reader of an error has nothing else to tell it by.
pub(crate) const DUPLICATE_KEY: &str = "duplicate key";

/// Most elements of a list that rules look at, and most keys of an object. What is decoded, patched and answered
/// grows with these much faster than with the bytes of a body, so a budget of bytes alone bounds nothing.
pub(crate) const MAX_ELEMENTS: usize = 10_000;

/// A list of at most 10,000 elements.
#[derive(Clone, Debug)]
pub struct List<T>(Vec<T>);

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    if list.len() == MAX_ELEMENTS {
                        return Err(A::Error::custom(format_args!(
                            "a list has more than {MAX_ELEMENTS} elements"
                        )));
                    }
                    list.push(element);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// Any value, skipped, with the keys of all its objects checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor::<Self, true>(PhantomData))?;
        Ok(Self)
    }
}

/// Any value, its members skipped as `T`: for where most are objects with much in them, so that whatever takes less time
/// for little is asked about little.
#[derive(Clone, Copy, Debug)]
pub struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor::<T, false>(PhantomData))?;
        Ok(Self(PhantomData))
    }
}

/// Reads what is in an object or array as `T`.
struct MembersVisitor<T, const UNIQUE_KEYS: bool>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const UNIQUE_KEYS: bool> Visitor<'de> for MembersVisitor<T, UNIQUE_KEYS> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<T>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if !UNIQUE_KEYS {
            while members.next_entry::<IgnoredAny, T>()?.is_some() {}
            return Ok(());
        }
        let mut seen = SeenKeys::default();
        while let Some((key, _)) = members.next_entry::<_, T>()? {
            seen.insert(key)?;
        }
        Ok(())
    }
}

/// A string that is borrowed from the input unless it holds escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// That a key is present, whatever its value. `DEPTH`: how many arrays and objects are open around it.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a, const DEPTH: usize>(PhantomData<&'a ()>);

impl<'de, const DEPTH: usize> Deserialize<'de> for Present<'de, DEPTH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A raw value is as cheap as an ignored one, and most are so short that they need no second look.
        let skipped = <&RawValue>::deserialize(deserializer)?;
        if nests(skipped.get(), MAX_DEPTH - DEPTH) {
            return Err(D::Error::custom(format_args!("it nests {MAX_DEPTH} or more levels deep")));
        }
        Ok(Self(PhantomData))
    }
}

/// As many keys as almost every object has.
const FEW_KEYS: usize = 24;

/// The keys of one object that were read so far.
pub(crate) struct SeenKeys<'de> {
    /// One bit per key, by length and ends: a clear bit proves that a key is new without a comparison.
    bits: u64,
    /// The first keys, searched in a row. In place, because most objects have few.
    few: [&'de str; FEW_KEYS],
    len: usize,
    /// All others are hashed, so that a hostile object costs linear time.
    many: Option<HashSet<Text<'de>>>,
}

impl Default for SeenKeys<'_> {
    fn default() -> Self {
        Self { bits: 0, few: [""; FEW_KEYS], len: 0, many: None }
    }
}

impl<'de> SeenKeys<'de> {
    pub(crate) fn insert<E: Error>(&mut self, key: Text<'de>) -> Result<(), E> {
        let bytes = key.as_bytes();
        let ends = bytes.first().unwrap_or(&0).wrapping_mul(7) ^ bytes.last().unwrap_or(&0).wrapping_mul(13);
        let bit = 1 << ((bytes.len() + usize::from(ends)) % 64);
        if self.bits & bit != 0 && self.contains(&key) {
            return Err(E::custom(format_args!("{DUPLICATE_KEY} {:?}", &*key)));
        }
        self.bits |= bit;
        match (self.few.get_mut(self.len), key) {
            (Some(slot), Text(Cow::Borrowed(key))) => {
                *slot = key;
                self.len += 1;
            }
            (_, key) => {
                let many = self.many.get_or_insert_default();
                if many.len() == MAX_ELEMENTS {
                    return Err(E::custom(format_args!("an object has more than {MAX_ELEMENTS} keys")));
                }
                many.insert(key);
            }
        }
        Ok(())
    }

    #[cold]
    fn contains(&self, key: &Text<'de>) -> bool {
        self.few[..self.len].contains(&&**key) || self.many.as_ref().is_some_and(|many| many.contains(key))
    }
}

/// Defines a struct that is read from a JSON object: `field: Type = "key"` (or a constant). Absent and null keys leave the
/// field empty, unknown keys are skipped, repeated keys (known or not) are an error. The struct borrows for
/// `'a`, and may have one parameter for the type of a field. `at DEPTH`: how many arrays and objects are open around
/// its members, itself included; every struct has its one place in a review. `skipping Type`: how unknown keys' values
/// are skipped, if not as [`Present`].
macro_rules! json_object {
    (@skipped $depth:literal) => { $crate::json::Present::<'de, $depth> };
    (@skipped $depth:literal $skipped:ty) => { $skipped };
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(<$param:ident>)? at $depth:literal $(skipping $skipped:ty)? {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:pat),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $name<'a $(, $param)?> { $($(#[$field_meta])* pub $field: Option<$type>,)* }

        impl<'de: 'a, 'a $(, $param: serde::de::Deserialize<'de> + Default)?> serde::de::Deserialize<'de>
            for $name<'a $(, $param)?>
        {
            fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<'a $(, $param)?>(std::marker::PhantomData<$name<'a $(, $param)?>>);

                impl<'de: 'a, 'a $(, $param: serde::de::Deserialize<'de> + Default)?> serde::de::Visitor<'de>
                    for ObjectVisitor<'a $(, $param)?>
                {
                    type Value = $name<'a $(, $param)?>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = Self::Value::default();
                        let mut seen = $crate::json::SeenKeys::default();
                        while let Some(key) = map.next_key::<$crate::json::Text<'de>>()? {
                            match &*key {
                                $($key => object.$field = map.next_value()?,)*
                                _ => { map.next_value::<$crate::json::json_object!(@skipped $depth $($skipped)?)>()?; }
                            }
                            seen.insert(key)?;
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(ObjectVisitor(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use json_object;

#[cfg(test)]
mod tests {
    use super::*;

    json_object! {
        /// Two keys.
        #[allow(unreachable_pub)]
        pub struct Pair at 1 {
            left: Text<'a> = "left",
            right: Vec<Option<Text<'a>>> = "right",
        }
    }

    fn read(json: &str) -> Result<Pair<'_>, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_and_null_keys_are_none() {
        assert!(read("{}").unwrap().left.is_none());
        assert!(read(r#"{"left":null}"#).unwrap().left.is_none());
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let pair = read(r#"{"left":"plain","right":["esc\u0061ped",null]}"#).unwrap();
        assert!(matches!(pair.left.unwrap().0, Cow::Borrowed("plain")));
        assert_eq!(pair.right.unwrap(), [Some(Text("escaped".into())), None]);
    }

    #[test]
    fn a_repeated_key_is_refused_known_or_not_escaped_or_not() {
        for json in [
            r#"{"left":"a","left":"b"}"#,
            r#"{"other":1,"left":"b","other":2}"#,
            r#"{"left":"a","l\u0065ft":"b"}"#,
        ] {
            assert!(read(json).unwrap_err().starts_with(DUPLICATE_KEY), "{json}");
        }
    }

    #[test]
    fn a_repeated_key_among_many_is_refused() {
        let keys: Vec<_> = (0..1000).map(|i| format!("\"k{i}\":0")).collect();
        assert!(read(&format!("{{{}}}", keys.join(","))).is_ok());
        assert!(read(&format!("{{{},\"k999\":0}}", keys.join(","))).is_err());
        assert!(read(&format!("{{{},\"k3\":0}}", keys.join(","))).is_err());
    }
}
