//! Draws horizontal bars on a logarithmic axis as SVG, for the plot of `cargo xtask bench`.

use std::fmt::Write as _;

/// Bars below a heading.
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// One bar; the value is positive.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) is_ours: bool,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 60.0;
const ROW: f64 = 18.0;
const HEADING: f64 = 30.0;
const TOP: f64 = 60.0;

/// The smallest ratio on the axis.
const LEAST: f64 = 0.5;

/// Draws the groups below each other on one axis, with a line at ratio 1.
pub(crate) fn plot(title: &str, caption: &str, groups: &[Group]) -> String {
    let most = groups.iter().flat_map(|group| &group.bars).map(|bar| bar.value).fold(2.0, f64::max);
    let across = |value: f64| {
        let share = (value.max(LEAST) / LEAST).ln() / (most / LEAST).ln();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    let mut body = String::new();
    let mut down = TOP;
    for group in groups {
        down += HEADING;
        text(&mut body, LEFT, down - 8.0, "start", "bold", &group.title);
        for bar in &group.bars {
            let color = if bar.is_ours { "#2563eb" } else { "#9ca3af" };
            let (middle, end) = (down + ROW - 5.0, across(bar.value));
            text(&mut body, LEFT - 6.0, middle, "end", "normal", &bar.label);
            let _ = writeln!(
                body,
                "<rect x='{LEFT}' y='{:.0}' width='{:.1}' height='{:.0}' fill='{color}'/>",
                down + 2.0,
                end - LEFT,
                ROW - 4.0
            );
            let value = format!("{:.2}", bar.value);
            text(&mut body, end + 5.0, middle, "start", "normal", &value);
            down += ROW;
        }
    }
    let height = down + 30.0;
    let mut axis = String::new();
    let mut tick = 1.0;
    while tick <= most {
        let (x, ends) = (across(tick), down + 4.0);
        let color = if tick > 1.0 { "#e5e7eb" } else { "#111827" };
        let _ = writeln!(
            axis,
            "<line x1='{x:.1}' y1='{TOP}' x2='{x:.1}' y2='{ends:.0}' stroke='{color}'/>"
        );
        text(&mut axis, x, ends + 16.0, "middle", "normal", &format!("{tick:.0}"));
        tick *= 2.0;
    }
    let mut head = String::new();
    text(&mut head, 12.0, 24.0, "start", "bold", title);
    text(&mut head, 12.0, 44.0, "start", "normal", caption);
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' \
         font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='#ffffff'/>\n{head}{axis}{body}</svg>\n"
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, weight: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x='{x:.1}' y='{y:.0}' text-anchor='{anchor}' font-weight='{weight}' \
         fill='#111827'>{words}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::{Bar, Group, plot};

    #[test]
    fn a_greater_value_has_a_longer_bar_and_words_are_escaped() {
        let bar = |label: &str, value| Bar { label: label.into(), value, is_ours: false };
        let bars = vec![bar("a<b", 2.0), bar("c", 8.0)];
        let svg = plot("t", "c", &[Group { title: "g & h".into(), bars }]);
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.contains("fill='#9ca3af'"))
            .map(|line| {
                let width = line.split("width='").nth(1).unwrap().split('\'').next().unwrap();
                width.parse().unwrap()
            })
            .collect();
        assert!(widths.len() == 2 && widths[0] > 0.0 && widths[1] > widths[0], "{widths:?}");
        assert!(svg.contains("a&lt;b") && svg.contains("g &amp; h"), "{svg}");
    }
}
