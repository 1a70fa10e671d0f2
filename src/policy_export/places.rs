//! PURE: the places of a Pod that have an image, as an expression.

/// The lists of containers, and what messages call an element.
const LISTS: [(&str, &str); 3] = [
    ("containers", "container"),
    ("initContainers", "initContainer"),
    ("ephemeralContainers", "ephemeralContainer"),
];

/// What is asked about each place.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    /// `image`: which it is.
    Image,
    /// `policy`: when it is pulled.
    Policy,
}

impl Asked {
    /// The key in the result, the path in a container, and that in a volume.
    const fn names(self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Image => ("image", &["image"], &["image", "reference"]),
            Self::Policy => ("policy", &["imagePullPolicy"], &["image", "pullPolicy"]),
        }
    }
}

/// A list with a map for each place: `what` it is, unique in the Pod, since the API server has names unique within a
/// list; what is asked, or `''`; and the `pointer` to the field of it, if `pointers` are wanted.
pub(super) fn places(pod: &str, asked: Asked, pointers: bool) -> String {
    let (key, of_container, of_volume) = asked.names();
    let volumes = [("volumes", "volume", "has(c.image)", of_volume)];
    let containers = LISTS.map(|(list, what)| (list, what, "", of_container));
    let place = |(list, what, has, path): (&str, &str, &str, &[&str])| {
        let all = format!("{pod}.spec.?{list}.orValue([])");
        let row = format!("'what': '{what} ' + c.name, '{key}': string(c.?{}.orValue(''))", path.join(".?"));
        let pointer = format!("'pointer': '/spec/{list}/' + string(n) + '/{}'", path.join("/"));
        match (pointers, has) {
            (true, "") => format!("{all}.transformList(n, c,\n  {{{row}, {pointer}}})"),
            (true, has) => format!("{all}.transformList(n, c, {has},\n  {{{row}, {pointer}}})"),
            (false, "") => format!("{all}\n  .map(c, {{{row}}})"),
            (false, has) => format!("{all}.filter(c, {has})\n  .map(c, {{{row}}})"),
        }
    };
    containers.into_iter().chain(volumes).map(place).collect::<Vec<_>>().join(" +\n")
}

/// The same of the stored Pod.
pub(super) fn places_before(asked: Asked) -> String {
    format!("oldObject == null ? [] :\n{}", places("oldObject", asked, false))
}
