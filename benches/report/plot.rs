//! How one figure grows with another, as SVG. Written by hand: two axes and a line need no library, and a library's
//! fonts and its other back ends would be most of what is compiled.

use std::fmt::Write as _;

use crate::table::{Goal, Row};

/// One measurement.
pub(crate) struct Point {
    pub(crate) x: f64,
    /// Of one answer; they repeat to the digit.
    pub(crate) instructions: f64,
    /// Of the same; they do not.
    pub(crate) microseconds: f64,
}

/// A series of them, by ascending `x`.
pub(crate) struct Plot {
    pub(crate) series: &'static str,
    pub(crate) points: Vec<Point>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// A growth with this exponent is still called linear: caches and allocators have steps.
const LINEAR: f64 = 1.1;

impl Plot {
    /// The exponent over the last step, the largest values: 1 is linear, 2 would be quadratic.
    fn exponent(&self) -> f64 {
        let [.., before, last] = self.points.as_slice() else { panic!("a growth takes two points") };
        (last.instructions / before.instructions).ln() / (last.x / before.x).ln()
    }

    fn title(&self) -> &'static str {
        match self.series {
            "body" => "bytes of the body",
            "containers" => "containers of the Pod",
            _ => "rules in the registry map",
        }
    }

    pub(crate) fn row(&self) -> Row {
        let [first, .., last] = self.points.as_slice() else { panic!("a growth takes two points") };
        let what = format!("growth with {}, {} to {}: exponent", self.title(), short(first.x), short(last.x));
        Row::absolute(&what, "", &[self.exponent()], Goal::AtMost(LINEAR))
    }

    /// Both axes are logarithmic, so linear growth is a line of the slope of the dashed one.
    pub(crate) fn svg(&self) -> String {
        let decades = |values: &dyn Fn(&Point) -> f64| {
            let logs = || self.points.iter().map(|point| values(point).log10());
            let (low, high) =
                (logs().fold(f64::MAX, f64::min).floor(), logs().fold(f64::MIN, f64::max).ceil());
            (low, high.max(low + 1.0))
        };
        let (x_range, y_range) = (decades(&|point| point.x), decades(&|point| point.microseconds));
        let place = |value: f64, (low, high): (f64, f64), from: f64, to: f64| {
            from + (value.log10() - low) / (high - low) * (to - from)
        };
        let x = |value| place(value, x_range, LEFT, WIDTH - RIGHT);
        let y = |value| place(value, y_range, HEIGHT - BOTTOM, TOP);
        let (top, bottom, left, right) = (TOP, HEIGHT - BOTTOM, LEFT, WIDTH - RIGHT);

        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{left}" y="24" font-size="15">Time of one answer by {}</text>
"##,
            self.title()
        );
        let mut line = |from: (f64, f64), to: (f64, f64), style: &str| {
            writeln!(
                svg,
                r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" {style}/>"#,
                from.0, from.1, to.0, to.1
            )
        };
        let mut labels = String::new();
        for value in powers(x_range) {
            line((x(value), top), (x(value), bottom), GRID).expect("text");
            writeln!(
                labels,
                r#"<text x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
                x(value),
                bottom + 18.0,
                short(value)
            )
            .expect("text");
        }
        for value in powers(y_range) {
            line((left, y(value)), (right, y(value)), GRID).expect("text");
            writeln!(
                labels,
                r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
                left - 8.0,
                y(value) + 4.0,
                time(value)
            )
            .expect("text");
        }
        // Linear growth that ends where the measured one ends, as far as it is in the picture.
        let last = self.points.last().expect("points");
        let start = (10_f64.powf(x_range.0)).max(last.x * 10_f64.powf(y_range.0) / last.microseconds);
        line((x(start), y(last.microseconds * start / last.x)), (x(last.x), y(last.microseconds)), DASHED)
            .expect("text");
        svg.push_str(&labels);
        let path: Vec<_> = self
            .points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.x), y(point.microseconds)))
            .collect();
        writeln!(
            svg,
            r##"<polyline points="{}" fill="none" stroke="#1f6feb" stroke-width="2"/>"##,
            path.join(" ")
        )
        .expect("text");
        for point in &self.points {
            let (x, y) = (x(point.x), y(point.microseconds));
            writeln!(
                svg,
                r##"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="#1f6feb"><title>{}: {}</title></circle>"##,
                short(point.x),
                time(point.microseconds)
            )
            .expect("text");
        }
        writeln!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="middle">{} (dashed: linear growth)</text>"#,
            f64::midpoint(left, right),
            HEIGHT - 10.0,
            self.title()
        )
        .expect("text");
        svg + "</svg>\n"
    }
}

const GRID: &str = r##"stroke="#d0d7de""##;
const DASHED: &str = r##"stroke="#57606a" stroke-dasharray="5 4""##;

/// Powers of ten from one to the other.
fn powers((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), move |exponent| (exponent + 0.5 < high).then_some(exponent + 1.0))
        .map(|exponent| 10_f64.powf(exponent))
}

/// 20000000 as `20M`
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", round(value / 1e6)),
        1e3.. => format!("{}k", round(value / 1e3)),
        _ => round(value),
    }
}

/// Microseconds in the unit that fits.
fn time(microseconds: f64) -> String {
    match microseconds {
        1e6.. => format!("{} s", round(microseconds / 1e6)),
        1e3.. => format!("{} ms", round(microseconds / 1e3)),
        _ => format!("{} µs", round(microseconds)),
    }
}

/// With one digit behind the point where that says something.
fn round(value: f64) -> String {
    if value >= 10.0 || value.fract() < 0.05 { format!("{value:.0}") } else { format!("{value:.1}") }
}
