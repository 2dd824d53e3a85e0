//! Ten thousand laptops cut off by one gateway's outage of a minute: the load when it returns, with and without jitter.
//!
//! `cargo bench --bench herd` prints a table and draws `target/herd.svg`, or the file that `IKEEP_HERD_SVG` names (the picture in
//! `docs` is made so). `IKEEP_HERD=500` for a smaller herd; without `--bench` (as `cargo test --benches` runs it) it is small.

#[path = "../tests/sim/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;

use harness::Herd;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 310.0;
const TOP: f64 = 50.0;
const OUTAGE: usize = 60;

fn main() -> std::io::Result<()> {
    let whole = std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::var("IKEEP_HERD").ok().and_then(|n| n.parse().ok());
    let laptops = asked.unwrap_or(if whole { 10_000 } else { 200 });
    println!(
        "{:<18} {:>8} {:>12} {:>12} {:>10} {:>14} {:>18}",
        "herd", "laptops", "peak", "mean", "peak/mean", "last one in", "highest, outage too"
    );
    let mut herds = Vec::new();
    for (name, jitter) in [("with jitter", true), ("without jitter", false)] {
        let herd = Herd::run(laptops, jitter);
        println!(
            "{:<18} {:>8} {:>10}/s {:>10.0}/s {:>10.2} {:>12.1} s {:>16}/s",
            name,
            herd.laptops,
            herd.peak(),
            herd.mean(),
            herd.peak() as f64 / herd.mean(),
            herd.last.as_secs_f64(),
            herd.highest()
        );
        herds.push((name, herd));
    }
    let usual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/herd.svg");
    let file = std::env::var_os("IKEEP_HERD_SVG").map_or(usual, Into::into);
    std::fs::create_dir_all(file.parent().expect("it has a folder"))?;
    std::fs::write(&file, draw(&herds))?;
    println!("drawn: {}", file.display());
    Ok(())
}

/// Arrivals a second over time, one line each.
fn draw(herds: &[(&str, Herd)]) -> String {
    let highest = herds.iter().map(|(_, herd)| herd.highest()).max().unwrap_or(1).max(1) as f64;
    let last = herds.iter().map(|(_, herd)| herd.last.as_secs() as usize).max().unwrap_or(0);
    let seconds = (OUTAGE + last + 5) as f64;
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - 20.0);
    let y = |count: f64| BOTTOM - count / highest * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"25\" font-size=\"16\">{} laptops, gateway away for {OUTAGE} s: IKE_SA_INIT a second at the gateway</text>\n\
         <rect x=\"{}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"#eee\"/>\n",
        herds.first().map_or(0, |(_, herd)| herd.laptops),
        x(0.0),
        x(OUTAGE as f64) - x(0.0),
        BOTTOM - TOP,
    );
    for step in 0..=4 {
        let count = highest * f64::from(step) / 4.0;
        let at = y(count);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\" stroke=\"#ccc\"/>",
            WIDTH - 20.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{count:.0}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for second in (0..=seconds as usize).step_by(10) {
        let at = x(second as f64);
        let _ = writeln!(
            svg,
            "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>",
            BOTTOM + 18.0
        );
    }
    for ((name, herd), (colour, row)) in herds.iter().zip([("#1a6", 70.0), ("#c33", 90.0)]) {
        let points: Vec<String> = (0..seconds as usize)
            .map(|second| {
                format!(
                    "{:.1},{:.1}",
                    x(second as f64 + 0.5),
                    y(herd.arrivals.get(second).copied().unwrap_or(0) as f64)
                )
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{row}\" fill=\"{colour}\">{name}: peak {}/s, mean {:.0}/s, last one in {:.1} s after the return</text>",
            LEFT + 10.0,
            herd.peak(),
            herd.mean(),
            herd.last.as_secs_f64()
        );
    }
    svg.push_str("</svg>\n");
    svg
}
