//! Lines over two axes, drawn as SVG with a legend above.

use super::axis::Axis;
use super::markup::Escaped;
use std::fmt;

/// A line of a plot.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Its class in the style sheet, which colours it.
    pub tone: &'static str,
    /// Its points from left to right; where there is no value, it is interrupted.
    pub points: Vec<(f64, Option<f64>)>,
}

/// Lines over two axes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: &'static str,
    /// From left to right.
    pub x: Axis,
    /// From below to above.
    pub y: Axis,
    /// Drawn in this order.
    pub lines: Vec<Line>,
}

impl Plot {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (LEFT + self.x.place(x) * (RIGHT - LEFT), BOTTOM - self.y.place(y) * (BOTTOM - TOP))
    }

    fn axes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<g class=\"grid\">\n")?;
        for (value, name) in self.y.ticks() {
            let y = BOTTOM - self.y.place(value) * (BOTTOM - TOP);
            writeln!(f, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\"/>")?;
            writeln!(
                f,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                Escaped(&name)
            )?;
        }
        for (value, name) in self.x.ticks() {
            let x = LEFT + self.x.place(value) * (RIGHT - LEFT);
            writeln!(f, "<path d=\"M{x:.1} {TOP}V{BOTTOM}\"/>")?;
            writeln!(
                f,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 16.0,
                Escaped(&name)
            )?;
        }
        let middle = (LEFT + RIGHT) / 2.0;
        let under = BOTTOM + 34.0;
        let label = Escaped(self.x.label);
        writeln!(f, "<text x=\"{middle}\" y=\"{under}\" text-anchor=\"middle\">{label}</text>")?;
        writeln!(f, "<text x=\"4\" y=\"{}\">{}</text>\n</g>", TOP - 10.0, Escaped(self.y.label))
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, line: &Line) -> fmt::Result {
        write!(f, "<path class=\"line {}\" d=\"", line.tone)?;
        let mut is_drawing = false;
        for (x, y) in &line.points {
            let Some(y) = y else {
                is_drawing = false;
                continue;
            };
            let (x, y) = self.at(*x, *y);
            match is_drawing {
                true => write!(f, "L{x:.1} {y:.1}")?,
                // A stroke of no length is a dot, for a point without neighbours.
                false => write!(f, "M{x:.1} {y:.1}h0")?,
            }
            is_drawing = true;
        }
        f.write_str("\"/>\n")
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Escaped(self.title);
        write!(f, "<figure>\n<figcaption><b>{title}</b>")?;
        for Line { name, tone, .. } in &self.lines {
            write!(f, " <span class=\"key {tone}\">{}</span>", Escaped(name))?;
        }
        f.write_str("</figcaption>\n")?;
        writeln!(f, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">")?;
        self.axes(f)?;
        self.lines.iter().try_for_each(|line| self.line(f, line))?;
        f.write_str("</svg>\n</figure>\n")
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 290.0;
/// The edges of the field that the lines are in.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 730.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 250.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(name: &str, points: Vec<(f64, Option<f64>)>) -> String {
        let line = Line { name: name.to_owned(), tone: "a", points };
        let (x, y) = (Axis::up_to("s", 10.0), Axis::up_to("/s", 100.0));
        Plot { title: "Rates", x, y, lines: vec![line] }.to_string()
    }

    #[test]
    fn a_line_goes_from_corner_to_corner_of_its_field() {
        let svg = plot("begun", vec![(0.0, Some(0.0)), (5.0, Some(50.0)), (10.0, Some(100.0))]);
        assert!(svg.contains("d=\"M60.0 250.0h0L395.0 138.0L730.0 26.0\""), "{svg}");
    }

    #[test]
    fn a_line_is_interrupted_where_nothing_was_measured() {
        let svg = plot("p50", vec![(0.0, Some(0.0)), (5.0, None), (10.0, Some(100.0))]);
        assert!(svg.contains("d=\"M60.0 250.0h0M730.0 26.0h0\""), "{svg}");
    }

    #[test]
    fn a_name_of_a_line_is_text() {
        let svg = plot("<script>", Vec::new());
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"), "{svg}");
    }
}
