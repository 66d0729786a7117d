//! The report's plots as one picture, for a page that runs no script.

use std::fmt::Write as _;

use super::world::Minute;

/// Minutes of a point: the picture is small, and no peak is left out of it.
const STEP: usize = 10;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 48.0;
const PANEL: f64 = 120.0;
const GAP: f64 = 46.0;
const TOP: f64 = 30.0;

/// A panel: what it shows, its unit, and its lines by name, colour and value of a minute.
type Panel = (&'static str, &'static [(&'static str, &'static str, fn(&Minute) -> f64)]);

const PANELS: [Panel; 3] = [
    (
        "Load against capacity, in shards",
        &[
            ("capacity", "#d97706", |minute| f64::from(minute.shards)),
            ("load", "#2563eb", |minute| minute.load),
        ],
    ),
    ("Throttled, in percent of the bytes", &[("throttled", "#dc2626", |m| m.throttled * 100.0)]),
    (
        "Set aside, in carried records a minute",
        &[
            ("consumer: quarantined", "#7c3aed", |m| m.outcomes.quarantined as f64),
            ("transform: failed", "#0d9488", |m| m.outcomes.failed as f64),
        ],
    ),
];

/// The picture.
pub fn picture(minutes: &[Minute]) -> String {
    let height = TOP + PANELS.len() as f64 * (PANEL + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Plots of tidegate demo</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (number, panel) in PANELS.iter().enumerate() {
        draw(&mut svg, TOP + number as f64 * (PANEL + GAP), panel, minutes);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, top: f64, (title, lines): &Panel, minutes: &[Minute]) {
    let bottom = top + PANEL;
    let points: Vec<Vec<f64>> = lines
        .iter()
        .map(|(_, _, value)| {
            let most = |chunk: &[Minute]| chunk.iter().map(value).fold(0.0, f64::max);
            minutes.chunks(STEP).map(most).collect()
        })
        .collect();
    let most = points.iter().flatten().copied().fold(0.0, f64::max).max(1.0).ceil();
    let wide = WIDTH - LEFT - 12.0;
    let x = |at: usize| LEFT + wide * (at * STEP) as f64 / minutes.len().max(1) as f64;
    let y = |value: f64| bottom - PANEL * value / most;
    let _ =
        writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top - 8.0);
    for value in [0.0, most / 2.0, most] {
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}h{wide}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\" fill=\"#555\">{value}</text>",
            LEFT - 6.0,
            y(value) + 4.0,
            y = y(value),
        );
    }
    for hour in (0..=minutes.len() / 60).step_by(12) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{hour}h</text>",
            x(hour * 60 / STEP),
            bottom + 15.0,
        );
    }
    let mut legend = WIDTH - 12.0;
    for ((name, colour, _), values) in lines.iter().zip(&points).rev() {
        let path: Vec<_> =
            values.iter().enumerate().map(|(at, v)| format!("{:.0} {:.1}", x(at), y(*v))).collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{legend}\" y=\"{}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
            path.join("L"),
            top - 8.0,
        );
        legend -= 8.0 * name.len() as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_a_picture_of_these_plots() {
        let drawn = picture(&[]);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/demo.svg");
        let kept = std::fs::read_to_string(path).unwrap();
        let labels = |svg: &str| -> Vec<String> {
            let texts =
                svg.split("<text ").skip(1).filter_map(|text| text.split(['>', '<']).nth(1));
            texts.filter(|text| text.len() > 4).map(ToOwned::to_owned).collect()
        };
        assert_eq!(labels(&kept), labels(&drawn));
        assert!(kept.len() < 30_000, "{}", kept.len());
    }

    #[test]
    fn no_peak_is_left_out() {
        let mut minutes = vec![Minute { shards: 4, load: 1.0, ..Minute::default() }; 60];
        minutes[17].load = 8.0;
        let svg = picture(&minutes);
        // Of six points the second is at the top, and the capacity in the middle.
        assert!(svg.contains("M48 135.0L181 30.0L315 135.0"), "{svg}");
        assert!(svg.contains("M48 90.0L181 90.0"), "{svg}");
    }
}
