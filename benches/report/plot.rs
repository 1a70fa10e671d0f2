//! How one figure grows with another, as SVG. Written by hand: two axes and a line need no library, and a library's
//! fonts and its other back ends would be most of what is compiled.

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

    /// Instructions, with the time beside each point. Both axes are logarithmic: linear growth has the slope of the
    /// dashed line.
    pub(crate) fn svg(&self) -> String {
        let decades = |values: &dyn Fn(&Point) -> f64| {
            let logs = || self.points.iter().map(|point| values(point).log10());
            let (low, high) =
                (logs().fold(f64::MAX, f64::min).floor(), logs().fold(f64::MIN, f64::max).ceil());
            (low, high.max(low + 1.0))
        };
        let (x_range, y_range) = (decades(&|point| point.x), decades(&|point| point.instructions));
        let (top, bottom, left, right) = (TOP, HEIGHT - BOTTOM, LEFT, WIDTH - RIGHT);
        let place = |value: f64, (low, high): (f64, f64), from: f64, to: f64| {
            from + (value.log10() - low) / (high - low) * (to - from)
        };
        let x = |value| place(value, x_range, left, right);
        let y = |value| place(value, y_range, bottom, top);

        let mut parts = vec![text(
            left,
            24.0,
            "start",
            &format!("Instructions (time) of one answer, by {}", self.title()),
        )];
        for value in powers(x_range) {
            parts.push(line((x(value), top), (x(value), bottom), GRID));
            parts.push(text(x(value), bottom + 18.0, "middle", &short(value)));
        }
        for value in powers(y_range) {
            parts.push(line((left, y(value)), (right, y(value)), GRID));
            parts.push(text(left - 8.0, y(value) + 4.0, "end", &short(value)));
        }
        // Linear growth that ends where the measured one ends, as far as it is in the picture.
        let last = self.points.last().expect("points");
        let start = (10_f64.powf(x_range.0)).max(last.x * 10_f64.powf(y_range.0) / last.instructions);
        let linear = (x(start), y(last.instructions * start / last.x));
        parts.push(line(linear, (x(last.x), y(last.instructions)), DASHED));
        let ends = self.points.iter().zip(&self.points[1..]);
        let at = |point: &Point| (x(point.x), y(point.instructions));
        parts.extend(ends.map(|(from, to)| line(at(from), at(to), MEASURED)));
        let middle = f64::midpoint(left, right);
        for point in &self.points {
            let (x, y) = at(point);
            parts.push(format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="#1f6feb"/>"##));
            let anchor = if x > middle { "end" } else { "start" };
            parts.push(text(x, y - 10.0, anchor, &time(point.microseconds)));
        }
        let below = format!("{} (dashed: linear growth)", self.title());
        parts.push(text(middle, HEIGHT - 10.0, "middle", &below));
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{}
</svg>
"##,
            parts.join("\n")
        )
    }
}

fn line(from: (f64, f64), to: (f64, f64), style: &str) -> String {
    format!(r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" {style}/>"#, from.0, from.1, to.0, to.1)
}

fn text(x: f64, y: f64, anchor: &str, content: &str) -> String {
    format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{content}</text>"#)
}

const GRID: &str = r##"stroke="#d0d7de""##;
const MEASURED: &str = r##"stroke="#1f6feb" stroke-width="2""##;
const DASHED: &str = r##"stroke="#57606a" stroke-dasharray="5 4""##;

/// Powers of ten from one to the other.
fn powers((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), move |exponent| (exponent + 0.5 < high).then_some(exponent + 1.0))
        .map(|exponent| 10_f64.powf(exponent))
}

/// 20000000 as `20M`
fn short(value: f64) -> String {
    match value {
        1e9.. => format!("{}G", round(value / 1e9)),
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
