//! PURE: which containers and volumes of a Pod a request brings, and what they were before.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::object::{Container, Object, Volume};
use crate::patch::Pointer;

/// What a request does to a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A new Pod: everything may be set.
    Create,
    /// A Pod that exists: only images may be set, see [`super::image`].
    Update,
    /// Containers of `kubectl debug` added to a Pod that exists: only they may be set.
    Ephemeral,
}

/// A Pod and what it was.
#[derive(Clone, Copy, Debug)]
pub struct PodChange<'a> {
    /// What the request does.
    pub scope: Scope,
    /// The Pod as it would be stored.
    pub new: &'a Object<'a>,
    /// The Pod as it is stored; none on creation.
    pub old: Option<&'a Object<'a>>,
}

/// The lists that hold containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `containers`
    Regular,
    /// `initContainers`
    Init,
    /// `ephemeralContainers`
    Ephemeral,
}

impl List {
    /// The field's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "containers",
            Self::Init => "initContainers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }

    fn of<'a>(self, object: &'a Object<'a>) -> &'a [Option<Container<'a>>] {
        let Some(spec) = &object.spec else { return &[] };
        let list = match self {
            Self::Regular => &spec.containers,
            Self::Init => &spec.init_containers,
            Self::Ephemeral => &spec.ephemeral_containers,
        };
        list.as_deref().unwrap_or_default()
    }
}

/// An element of a list, where it stands, and its namesake in the old object.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a, T> {
    /// The list's name.
    pub list: &'static str,
    /// Position in the list.
    pub index: usize,
    /// The element.
    pub new: &'a T,
    /// The element of the same name in the old object.
    pub old: Option<&'a T>,
}

impl<T> Placed<'_, T> {
    /// Pointer to a field of the element.
    #[must_use]
    pub const fn pointer(&self, field: &'static str) -> Pointer {
        Pointer::Element { list: self.list, index: self.index, field }
    }
}

impl<'a> PodChange<'a> {
    /// The containers that the request may set: all regular and init containers, or the ephemeral ones that
    /// the old object lacks. (The API server refuses ephemeral containers anywhere else.)
    pub fn containers(&self) -> impl Iterator<Item = Placed<'a, Container<'a>>> {
        let Self { scope, new, old } = *self;
        let lists: &[List] = match scope {
            Scope::Create | Scope::Update => &[List::Regular, List::Init],
            Scope::Ephemeral => &[List::Ephemeral],
        };
        let placed = lists.iter().flat_map(move |list| {
            let old = old.map_or(&[][..], |old| list.of(old));
            place(list.as_str(), list.of(new), old, |c| c.name.as_deref().unwrap_or(""))
        });
        // A merge patch may put the new one first, so position tells nothing.
        placed.filter(move |container| scope != Scope::Ephemeral || container.old.is_none())
    }

    /// The volumes that hold an image.
    pub fn image_volumes(&self) -> impl Iterator<Item = Placed<'a, Volume<'a>>> {
        fn volumes<'a>(object: &'a Object<'a>) -> &'a [Option<Volume<'a>>] {
            object.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
        }
        let old = self.old.map_or(&[][..], volumes);
        place("volumes", volumes(self.new), old, |v| v.name.as_deref().unwrap_or(""))
            .filter(|volume| volume.new.image.is_some())
    }
}

/// Pairs the elements of a list with their namesakes. Elements mostly keep their position; a map is made only
/// when they do not, so that neither case is slower than linear.
fn place<'a, T>(
    list: &'static str,
    new: &'a [Option<T>],
    old: &'a [Option<T>],
    name: fn(&T) -> &str,
) -> impl Iterator<Item = Placed<'a, T>> {
    let by_name = OnceCell::new();
    new.iter().enumerate().filter_map(move |(index, new)| {
        let new = new.as_ref()?;
        if old.is_empty() {
            return Some(Placed { list, index, new, old: None });
        }
        let same_place = old.get(index).and_then(Option::as_ref).filter(|old| name(old) == name(new));
        let old = same_place.or_else(|| {
            by_name
                .get_or_init(|| {
                    old.iter().flatten().map(|old| (name(old), old)).collect::<HashMap<&str, &'a T>>()
                })
                .get(name(new))
                .copied()
        });
        Some(Placed { list, index, new, old })
    })
}
