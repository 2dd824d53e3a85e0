//! `summary.html` in a real browser, where one is installed. With `IKEEP_SCREENSHOTS=DIR` the pictures are kept there.

use crate::bundle::{entries, make};
use crate::home::Home;
use ikeep::journal::{Entry, Journal, Kind, Reason, Renderer, Rotation, Source};
use ikeep::time::UnixTime;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const BROWSERS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/// A machine under load starts a browser slowly, seconds.
const PATIENCE: &str = "120";

/// Three days of somebody who travels.
fn travel(home: &Home) {
    let rotation = Rotation { max_bytes: 1 << 20, keep: 4 };
    let mut journal = Journal::new(home.places().events(), rotation, Renderer::local());
    let now = fs::metadata(home.path()).unwrap().modified().unwrap();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let host = "Acme Berlin <IKEv2>";
    for hour in 0..60_u64 {
        let start = now - 216_000 + hour * 3600;
        let at = |seconds: u64| UnixTime::from_secs(start + seconds);
        let say = |seconds, text: &str| Entry::new(at(seconds), Kind::Information, Source::Agent, text);
        let outage = [120, 900, 8_200, 45_000, 310][usize::try_from(hour % 5).unwrap()];
        let back = format!(
            "The connection is back after {}.{:03} s (noticed after 0.100 s): a new SA in 2 round trips, 0.040 s.",
            outage / 1000,
            outage % 1000
        );
        let mut events = match hour {
            0 => vec![say(0, "State: connecting."), Entry::connected_to(at(20), host)],
            _ => Vec::new(),
        };
        match hour % 24 {
            9 => events.push(say(60, "State: suspended.")),
            18 => events.extend([
                Entry::resumed(at(0)),
                Entry::reason(at(0), Reason::Resume),
                Entry::reconnecting_to(at(0), host),
                say(1, "State: waiting-for-network."),
                Entry::reason(at(90), Reason::CaptivePortal),
                say(90, "State: captive-portal."),
                Entry::connected_to(at(400), host),
            ]),
            10..18 => {}
            _ => events.extend([
                Entry::reason(
                    at(1800),
                    if hour % 2 == 0 { Reason::Disruption } else { Reason::NetworkChanged },
                ),
                Entry::reconnecting_to(at(1800), host),
                say(1801 + outage / 1000, &back),
            ]),
        }
        events.iter().for_each(|event| journal.write(event).unwrap());
    }
}

fn browser(browser: &str, home: &Path, arguments: &[&str]) -> Vec<u8> {
    let data = home.join("browser");
    let output = Command::new("timeout")
        .args([
            "-k",
            "5",
            PATIENCE,
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", data.display()))
        .args(arguments)
        .env("HOME", home)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_browser_shows_the_page_on_a_desk_in_the_dark_and_on_a_phone() {
    let Some(program) = BROWSERS.into_iter().find(|path| Path::new(path).exists()) else {
        // Past the test harness, which keeps what a test prints.
        let _ = writeln!(
            std::io::stderr(),
            "left out: a_browser_shows_the_page_on_a_desk_in_the_dark_and_on_a_phone (Debian: chromium)"
        );
        return;
    };
    let home = Home::new();
    travel(&home);
    let page = entries(&make(&home, &[])).remove("summary.html").unwrap();
    let file = home.path().join("summary.html");
    fs::write(&file, page).unwrap();
    let url = format!("file://{}", file.display());
    let dom = browser(program, home.path(), &["--dump-dom", &url]);
    let dom = String::from_utf8(dom).unwrap();
    assert!(dom.contains("The last 24 hours") && dom.contains(Reason::Disruption.text()), "{dom}");
    assert!(dom.contains("<rect class=\"asleep\""), "the browser knows the drawing");
    let folder = std::env::var_os("IKEEP_SCREENSHOTS").map_or(home.path().to_owned(), PathBuf::from);
    for (name, size, dark) in
        [("light", "1200,1500", false), ("dark", "1200,1500", true), ("phone", "500,2200", false)]
    {
        let picture = folder.join(format!("summary-{name}.png"));
        let screenshot = format!("--screenshot={}", picture.display());
        let size = format!("--window-size={size}");
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        browser(program, home.path(), &[&screenshot, &size, &scheme, &url]);
        let png = fs::read(&picture).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "{name}: {} octets", png.len());
    }
}
