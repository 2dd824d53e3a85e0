//! The console of the gateway that runs alone: the router's commands, and what breaks it on purpose.

use super::gateway::Site;
use crate::gateway::TokenFault;

/// What can be typed.
const HELP: &str = "\
show session            sessions, as `show crypto session detail` prints them
show ikev2              sessions, as `show crypto ikev2 session detailed` prints them
show stats reconnect    counters, as `show crypto ikev2 stats reconnect` prints them
show aaa                sessions in both databases: user, addresses, what AAA gave with them
show events             what happened, with seconds since the first event
show faults             what is broken on purpose
clear session           delete every IKE SA and tell the clients; their sessions wait to be taken up again
clear sa                delete every Child SA and tell the clients
restart                 lose every SA without a word, keep the sessions
restart forget          lose the sessions too
redirect HOST           tell every client that it is wanted at another gateway (RFC 5685)
fault silent on|off     hear nothing and say nothing
fault refuse N|all|off  refuse the next N reconnects by token, all of them, none
fault cookie on|off     ask for a cookie in every IKE_SA_INIT
fault forget            forget every Child SA and tell nobody; the IKE SAs answer on
fault window            the reconnect window of every lost session is over
help                    this list
quit                    end the gateway
";

/// What comes of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Text for the console, empty or with its newline.
    Text(String),
    /// The gateway is to end.
    Quit,
}

/// Does what a line says. `crypto`, `detail` and `detailed` may stand where the router wants them.
pub fn command(site: &mut Site, line: &str) -> Answer {
    let words: Vec<&str> =
        line.split_whitespace().filter(|word| !matches!(*word, "crypto" | "detail" | "detailed")).collect();
    let text = match words.as_slice() {
        [] => String::new(),
        ["show", "session"] => site.gateway.show_session_detail(site.now()),
        ["show", "ikev2"] | ["show", "ikev2", "session"] => {
            site.gateway.show_ikev2_session_detailed(site.now())
        }
        ["show", "stats", "reconnect"] | ["show", "ikev2", "stats", "reconnect"] => {
            site.gateway.show_stats_reconnect()
        }
        ["show", "aaa"] => site.gateway.show_aaa(),
        ["show", "events"] => site.timeline(),
        ["show", "faults"] => format!("{:?}\n", site.gateway.faults()),
        ["clear", "session"] => {
            site.gateway.clear_sessions(site.now());
            done("every IKE SA is deleted")
        }
        ["clear", "sa"] => {
            site.gateway.clear_children(site.now());
            done("every Child SA is deleted")
        }
        ["redirect", to] => match to.parse() {
            Ok(to) => {
                site.gateway.redirect_sessions(site.now(), &to);
                done(&format!("every client is told of {to}"))
            }
            Err(problem) => format!("{problem}\n"),
        },
        ["restart"] => {
            site.gateway.restart(site.now(), true);
            done("restarted, with the sessions")
        }
        ["restart", "forget"] => {
            site.gateway.restart(site.now(), false);
            done("restarted, the sessions are lost")
        }
        ["fault", "silent", switch] => match on(switch) {
            Some(silent) => {
                site.gateway.faults().silent = silent;
                done(if silent { "silent" } else { "no longer silent" })
            }
            None => unknown(line),
        },
        ["fault", "cookie", switch] => match on(switch) {
            Some(cookie) => {
                site.gateway.faults().cookie = cookie;
                done(if cookie { "every IKE_SA_INIT needs a cookie" } else { "cookies as usual" })
            }
            None => unknown(line),
        },
        ["fault", "refuse", tokens] => match refusals(tokens) {
            Some(fault) => {
                site.gateway.faults().tokens = fault;
                done(&match fault {
                    TokenFault::None => "tokens are taken".into(),
                    TokenFault::Next(count) => format!("the next {count} reconnects are refused"),
                    TokenFault::All => "every reconnect is refused".into(),
                })
            }
            None => unknown(line),
        },
        ["fault", "forget"] => {
            site.gateway.forget_children(site.now());
            done("every Child SA is forgotten")
        }
        ["fault", "window"] => {
            site.gateway.faults().window_over();
            done("the windows are over")
        }
        ["help" | "?"] => HELP.into(),
        ["quit" | "exit"] => return Answer::Quit,
        _ => unknown(line),
    };
    Answer::Text(text)
}

fn on(switch: &str) -> Option<bool> {
    match switch {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn refusals(count: &str) -> Option<TokenFault> {
    match count {
        "all" => Some(TokenFault::All),
        "off" => Some(TokenFault::None),
        count => count.parse().ok().map(TokenFault::Next),
    }
}

fn done(what: &str) -> String {
    format!("{what}\n")
}

fn unknown(line: &str) -> String {
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    format!("unknown command: {}\n{HELP}", line.trim())
}
