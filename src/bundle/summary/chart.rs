//! Charts in SVG. Each part has a title, which browsers show under the pointer and screen readers read.

use super::history::{Phase, Reconnect, Span};
use super::{escape, length, stamp};
use jiff::tz::TimeZone;

/// Width of a drawing, in its own units.
const WIDTH: u64 = 1000;
/// What lasts shorter than this is drawn so wide, that it is seen.
const LEAST: u64 = 3;
/// Spans that are drawn at most; more are joined by the eye anyhow.
const MOST: usize = 4000;
/// Upper ends of the classes of reconnect times, milliseconds, and what they are called.
const CLASSES: [(u64, &str); 8] = [
    (100, "0.1 s"),
    (300, "0.3 s"),
    (1000, "1 s"),
    (3000, "3 s"),
    (10_000, "10 s"),
    (30_000, "30 s"),
    (100_000, "100 s"),
    (u64::MAX, "more"),
];

/// A band of phases with a scale of time.
pub(super) fn timeline(id: &str, spans: &[Span], zone: &TimeZone) -> String {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return String::new() };
    let (from, to) = (first.from, last.to);
    let all = (to - from).max(1);
    let place =
        |at: u64| u64::try_from(u128::from(at - from) * u128::from(WIDTH) / u128::from(all)).unwrap_or(WIDTH);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} 64\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">What the connection did from {} to {}</title><desc id=\"{id}-d\">{}</desc>\n",
        stamp(from, zone),
        stamp(to, zone),
        escape(&described(spans)),
    );
    // What is short and matters is drawn over what is long and does not.
    let kept = spans.iter().skip(spans.len().saturating_sub(MOST));
    let mut order: Vec<&Span> = kept.collect();
    order.sort_by_key(|span| std::cmp::Reverse(span.to - span.from));
    for span in order {
        let x = place(span.from).min(WIDTH - LEAST);
        let width = (place(span.to) - place(span.from)).max(LEAST).min(WIDTH - x);
        svg += &format!(
            "<rect class=\"{}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"64\"><title>{}: {}, from {}</title></rect>\n",
            span.phase.class(),
            span.phase.text(),
            length(span.to - span.from),
            stamp(span.from, zone),
        );
    }
    let middle = stamp(from + all / 2, zone);
    format!(
        "{svg}</svg>\n<div class=\"scale\"><span>{}</span><span class=\"wide\">{middle}</span><span>{}</span></div>\n",
        stamp(from, zone),
        stamp(to, zone)
    )
}

/// The timeline in words.
fn described(spans: &[Span]) -> String {
    let told = Phase::ALL.into_iter().filter_map(|phase| {
        let of: Vec<&Span> = spans.iter().filter(|span| span.phase == phase).collect();
        let total = of.iter().map(|span| span.to - span.from).sum();
        (!of.is_empty()).then(|| format!("{} {} times, {} in all", phase.text(), of.len(), length(total)))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// How many reconnects took how long.
pub(super) fn reconnects(reconnects: &[Reconnect]) -> String {
    let mut counts = [0_usize; CLASSES.len()];
    for reconnect in reconnects {
        let class = CLASSES.iter().position(|(end, _)| reconnect.outage < *end).unwrap_or(CLASSES.len() - 1);
        if let Some(count) = counts.get_mut(class) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let mut bars = String::new();
    let mut words = Vec::new();
    for (at, ((_, name), count)) in CLASSES.iter().zip(counts).enumerate() {
        let height = count * 100 / most;
        let height = if count > 0 { height.max(3) } else { 0 };
        let (x, y) = (at * 80 + 8, 124 - height);
        let under = if *name == "more" { "100 s or more".to_owned() } else { format!("under {name}") };
        bars += &format!(
            "<g><title>{under}: {count}</title><rect class=\"bar\" x=\"{x}\" y=\"{y}\" width=\"64\" height=\"{height}\" rx=\"3\"/>\
             <text x=\"{mid}\" y=\"144\">{sign}{name}</text>",
            mid = x + 32,
            sign = if *name == "more" { "" } else { "&lt; " },
        );
        if count > 0 {
            bars += &format!("<text class=\"count\" x=\"{}\" y=\"{}\">{count}</text>", x + 32, y - 6);
            words.push(format!("{under}: {count}"));
        }
        bars += "</g>\n";
    }
    format!(
        "<svg class=\"bars\" viewBox=\"0 0 648 152\" role=\"img\" aria-labelledby=\"r-t r-d\">\
         <title id=\"r-t\">How long reconnects took</title><desc id=\"r-d\">{}</desc>\n\
         <line x1=\"0\" x2=\"648\" y1=\"124.5\" y2=\"124.5\"/>\n{bars}</svg>\n",
        words.join("; ")
    )
}
