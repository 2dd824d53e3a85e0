//! The page around the charts.

use super::advice::advice;
use super::history::{History, Phase, Reconnect, reason};
use super::{Facts, chart, escape, length, stamp};
use crate::journal::{Entry, Kind, Reason};
use serde_json::Value;
use std::collections::BTreeMap;

const STYLE: &str = include_str!("style.css");
/// The detailed timeline shows so much, milliseconds.
const DAY: u64 = 86_400_000;
/// Rows of a list, at most.
const ROWS: usize = 25;

pub(super) fn page(facts: &Facts<'_>) -> String {
    let now = facts.now.as_millis();
    let history = History::new(&facts.events, now);
    let host = escape(facts.status["host"].as_str().unwrap_or("no connection"));
    let parts = [
        current(facts),
        timelines(facts, &history, now),
        reconnects(facts, &history.reconnects),
        traffic(&facts.status),
        failures(facts),
        findings(&facts.doctor),
        latest(facts),
    ];
    format!(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>ikeep: {host}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<header><h1>{host}</h1><p>ikeep {}, {}</p></header>\n<main>\n{}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        stamp(now, facts.zone),
        parts.concat()
    )
}

/// Rows of names and values; those without a value are left out.
fn table(rows: &[(&str, Option<String>)]) -> String {
    let rows = rows.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let rows = rows
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escape(value)));
    format!("<table>\n{}</table>\n", rows.collect::<String>())
}

fn current(facts: &Facts<'_>) -> String {
    let status = &facts.status;
    let text = |name: &str| status[name].as_str().map(str::to_owned);
    let state = text("state").unwrap_or_else(|| "not known".to_owned());
    let class = match state.as_str() {
        "connected" => "connected",
        "reconnecting" | "connecting" => "reconnecting",
        "auth-required" | "captive-portal" => "user",
        "waiting-for-network" => "network",
        "suspended" => "asleep",
        _ => "off",
    };
    let error = status["error"]["message"].as_str().or(status["not_available"].as_str());
    let error = error.map(|error| format!("<p class=\"error\">{}</p>\n", escape(error))).unwrap_or_default();
    let addresses: Vec<&str> =
        ["address4", "address6"].iter().filter_map(|name| status[*name].as_str()).collect();
    let rows = [
        ("gateway", text("gateway")),
        ("since", text("since")),
        ("session until", text("session_expires")),
        ("addresses", Some(addresses.join(", ")).filter(|text| !text.is_empty())),
        ("reconnects", status["reconnects"].as_u64().map(|count| count.to_string())),
        ("next", status["next"]["what"].as_str().map(str::to_owned)),
    ];
    format!(
        "<section class=\"full\"><h2>Now</h2>\n<p class=\"state\"><span class=\"dot {class}\"></span>{}</p>\n{error}{}</section>\n",
        escape(&state),
        table(&rows)
    )
}

fn timelines(facts: &Facts<'_>, history: &History, now: u64) -> String {
    if history.spans.is_empty() {
        return "<section><h2>Timeline</h2>\n<p>The event log tells of no connection yet.</p></section>\n"
            .to_owned();
    }
    let day = now.saturating_sub(DAY);
    let last = chart::timeline("day", &history.since(day), facts.zone);
    let longer = history.spans.first().is_some_and(|first| first.from < day);
    let whole = if longer {
        format!("<h3>The whole log</h3>\n{}", chart::timeline("whole", &history.spans, facts.zone))
    } else {
        String::new()
    };
    let legend = Phase::ALL.into_iter().filter(|phase| history.total(*phase) > 0).map(|phase| {
        let (class, text) = (phase.class(), phase.text());
        format!(
            "<li><span class=\"dot {class}\"></span>{text} <b>{}</b></li>\n",
            length(history.total(phase))
        )
    });
    let head = if longer { "<h3>The last 24 hours</h3>\n" } else { "" };
    format!(
        "<section class=\"full\"><h2>Timeline</h2>\n{head}{last}{whole}<ul class=\"legend\">\n{}</ul></section>\n",
        legend.collect::<String>()
    )
}

fn reconnects(facts: &Facts<'_>, reconnects: &[Reconnect]) -> String {
    let mut sorted: Vec<u64> = reconnects.iter().map(|reconnect| reconnect.outage).collect();
    sorted.sort_unstable();
    let at =
        |hundredth: usize| sorted.get((sorted.len().saturating_sub(1) * hundredth).div_ceil(100)).copied();
    let (Some(median), Some(most), Some(worst)) = (at(50), at(95), at(100)) else {
        return "<section><h2>Reconnects</h2>\n<p>None in this log.</p></section>\n".to_owned();
    };
    let last = reconnects.last().map(|reconnect| {
        let noticed = length(reconnect.unnoticed);
        format!("{}, {} (noticed after {noticed})", stamp(reconnect.at, facts.zone), length(reconnect.outage))
    });
    let rows = [
        ("reconnects", Some(sorted.len().to_string())),
        ("half of them within", Some(length(median))),
        ("95 of 100 within", Some(length(most))),
        ("longest", Some(length(worst))),
        ("last", last),
    ];
    let bars = chart::reconnects(reconnects);
    format!("<section><h2>How long reconnects took</h2>\n{bars}{}</section>\n", table(&rows))
}

fn traffic(status: &Value) -> String {
    let child = &status["child"];
    let (Some(inward), Some(outward)) = (child["bytes_in"].as_u64(), child["bytes_out"].as_u64()) else {
        return String::new();
    };
    let most = inward.max(outward).max(1);
    let row = |name: &str, octets: u64, packets: &Value| {
        let part = u128::from(octets) * 100 / u128::from(most);
        format!(
            "<tr><th scope=\"row\">{name}</th><td><div class=\"meter\"><div style=\"width:{part}%\"></div></div>\
             {} in {} packets</td></tr>\n",
            octets_text(octets),
            packets.as_u64().unwrap_or_default()
        )
    };
    format!(
        "<section><h2>Traffic</h2>\n<table>\n{}{}<tr><th scope=\"row\">dropped</th><td>{} packets</td></tr>\n</table>\n\
         <p class=\"note\">Since the keys of the tunnel were last renewed.</p></section>\n",
        row("received", inward, &child["packets_in"]),
        row("sent", outward, &child["packets_out"]),
        child["drops"].as_u64().unwrap_or_default()
    )
}

fn octets_text(octets: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(size, _)| octets >= *size);
    unit.map_or(format!("{octets} octets"), |(size, name)| {
        format!("{}.{} {name}", octets / size, octets % size * 10 / size)
    })
}

/// What went wrong, by its reason, with what to do.
fn failures(facts: &Facts<'_>) -> String {
    let mut by_reason: BTreeMap<Reason, (usize, u64)> = BTreeMap::new();
    for event in &facts.events {
        if let Some(reason) = reason(event).filter(|_| event.kind() != Kind::Information) {
            let (count, last) = by_reason.entry(reason).or_default();
            *count += 1;
            *last = (*last).max(event.wall().as_millis());
        }
    }
    if by_reason.is_empty() {
        return "<section><h2>What went wrong</h2>\n<p>Nothing in this log.</p></section>\n".to_owned();
    }
    let mut order: Vec<_> = by_reason.into_iter().collect();
    order.sort_by_key(|(_, (_, last))| std::cmp::Reverse(*last));
    let rows = order.into_iter().map(|(reason, (count, last))| {
        let advice = advice(reason);
        let advice = if advice.is_empty() {
            String::new()
        } else {
            format!("<p class=\"advice\">{}</p>", escape(advice))
        };
        format!(
            "<li><p><b>{}</b></p><p class=\"note\">{} {}, {count} times, last {}</p>{advice}</li>\n",
            escape(reason.text()),
            reason.class().as_str(),
            reason.code(),
            stamp(last, facts.zone)
        )
    });
    format!(
        "<section><h2>What went wrong, and what to do</h2>\n<ul class=\"list\">\n{}</ul></section>\n",
        rows.collect::<String>()
    )
}

fn findings(doctor: &Value) -> String {
    let wrong =
        doctor["findings"].as_array().into_iter().flatten().filter(|finding| finding["health"] != "fine");
    let rows: String = wrong
        .map(|finding| {
            let text = |name: &str| escape(finding[name].as_str().unwrap_or_default());
            format!(
                "<li><p><b>{}</b>: {}</p><p class=\"advice\">{}</p></li>\n",
                text("what"),
                text("found"),
                text("mend")
            )
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<section><h2>What this machine lacks</h2>\n<ul class=\"list\">\n{rows}</ul></section>\n")
}

/// The latest warnings and errors as they stand in the log.
fn latest(facts: &Facts<'_>) -> String {
    let bad: Vec<&Entry> = facts.events.iter().filter(|event| event.kind() != Kind::Information).collect();
    if bad.is_empty() {
        return String::new();
    }
    let rows = bad.iter().rev().take(ROWS).map(|event| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}<pre>{}</pre></td></tr>\n",
            stamp(event.wall().as_millis(), facts.zone),
            event.kind(),
            escape(event.description())
        )
    });
    format!(
        "<section class=\"full\"><h2>Latest warnings and errors</h2>\n<table class=\"log\">\n{}</table></section>\n",
        rows.collect::<String>()
    )
}
