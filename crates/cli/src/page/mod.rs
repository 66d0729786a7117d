//! Pages that stand alone: style, plots and data in one file, drawn in the browser, no network.

use serde_json::Value;

const STYLE: &str = include_str!("style.css");
const PLOT: &str = include_str!("plot.js");

/// Where the parts go in a page.
const STYLE_SLOT: &str = "/* TIDEGATE_STYLE */";
const PLOT_SLOT: &str = "/* TIDEGATE_PLOT */";
const DATA_SLOT: &str = "\"TIDEGATE_DATA\"";

/// Fills a page.
pub fn fill(page: &str, data: &Value) -> String {
    // The data last: nothing in it is taken for a slot.
    page.replacen(STYLE_SLOT, STYLE, 1).replacen(PLOT_SLOT, PLOT, 1).replacen(
        DATA_SLOT,
        &script_safe(data),
        1,
    )
}

/// JSON that can stand inside a script element.
fn script_safe(data: &Value) -> String {
    data.to_string().replace("</", "<\\/").replace("<!--", "<\\!--")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_cannot_end_the_script() {
        let page =
            "<style>/* TIDEGATE_STYLE */</style><script>/* TIDEGATE_PLOT */\"TIDEGATE_DATA\"";
        let filled = fill(page, &json!("</script><!--"));
        assert!(filled.starts_with("<style>") && filled.contains(PLOT), "{filled}");
        assert!(filled.ends_with("\"<\\/script><\\!--\""), "{filled}");
    }

    #[test]
    fn every_page_has_every_slot_once() {
        for page in [include_str!("../demo/report.html"), include_str!("../simulate/report.html")] {
            for slot in [STYLE_SLOT, PLOT_SLOT, DATA_SLOT] {
                assert_eq!(page.matches(slot).count(), 1, "{slot}");
            }
        }
    }
}
