//! What stands below the options in the long help.

/// Below `ikeep --help`.
pub(super) const IKEEP: &str = "\
Exit status:
  0  done
  1  anything that has no number of its own; the message says what
  2  the command line makes no sense
  3  a person must log in, or the gateway refused the login
  4  no answer from the gateway
  5  the gateway's certificate was refused
  6  no agent runs
  7  the profile is damaged, or not for this client
  130, 143, 129, 131  ended by a signal (interrupt, terminate, hang-up, quit)

Files:
  $XDG_CONFIG_HOME/ikeep/config.toml   settings (~/.config/ikeep/config.toml)
  $XDG_CONFIG_HOME/ikeep/profiles/     AnyConnect profiles, NAME.xml
  $XDG_STATE_HOME/ikeep/               the session, what you asked for last, logs (~/.local/state/ikeep/)
  $XDG_RUNTIME_DIR/ikeep/agent.sock    the agent's socket; without that folder, run/agent.sock in the state folder";

/// Below `ikeep connect --help`.
pub(super) const CONNECT: &str = "\
The agent is started where none runs, and goes on when this command has ended: it brings the connection back by token, \
without a question, whenever the network changes or the machine wakes up. `ikeep disconnect` ends the connection.

Questions of the gateway are asked at the terminal. With --password-stdin each secret is a line of standard input, in the \
order in which the gateway asks; a line that is missing ends the command with 3. Where there is no terminal, the program \
of --askpass, of the environment variable IKEEP_ASKPASS or of `askpass` in the config file is asked: it gets the prompt as \
its argument, has 180 s, and prints the secret. Where there is none either, `pinentry` asks on the desktop. Secrets are not taken from arguments or \
the environment, which other processes can read. What --user and --group say is not asked for.

With --remember the password is kept in the desktop's keyring (secret service), nowhere else, once the gateway has taken \
it, and used at the next login. It is forgotten when the gateway refuses it, and by `ikeep forget`. Only \
the field named `password` of the first form is kept; codes of a second factor never are. Where your password is itself a \
one-time code, do not use --remember.

What is not given is as at the last time, else as the config file has it.

Ended by Ctrl-C, or after --wait seconds, while the login is under way, the login is given up.

With -- COMMAND the command is run in place of `ikeep` once there is a connection, which stays when it ends. Where the \
tunnel is a proxy, http_proxy, https_proxy, all_proxy and no_proxy (and the same in capitals) tell the command of it; with \
proxy_login in the config file user and password stand in them, where this user's other programs can read them.

Examples:
  ikeep connect vpn.example.com
  ikeep connect
  ikeep connect --profile company.xml --user me --tunnel proxy --proxy 127.0.0.1:1080
  pass show vpn | ikeep connect vpn.example.com --user me --password-stdin
  ikeep connect --tunnel proxy vpn.example.com -- git clone https://git.intranet.example.com/it.git
  curl --socks5-hostname 127.0.0.1:1080 http://intranet.example.com/";

/// Below `ikeep forget --help`.
pub(super) const FORGET: &str = "\
HOST is as for `ikeep connect`; without it, what was connected last, or where that says nothing the only gateway whose \
password is remembered. What is connected has to be disconnected first. The \
gateway is told nothing: it keeps the session until its own time is over, but nobody has its token any more.

Examples:
  ikeep forget
  ikeep forget vpn.example.com";

/// Below `ikeep profile list --help`.
pub(super) const PROFILE_LIST: &str = "\
Your own profiles come first, then those of the vendor's client, by name. Reconnects: does the profile let a connection come \
back by itself (AutoReconnect), and also after sleep (AutoReconnectBehavior)? The same HostName and HostAddress twice is one \
gateway, and the first file counts. Where several gateways share a HostName, `ikeep connect` wants the HostAddress or \
--profile.

Folders:
  $XDG_CONFIG_HOME/ikeep/profiles/     your own; `ikeep profile import` puts them there
  /opt/cisco/secureclient/vpn/profile/
  /opt/cisco/anyconnect/profile/";

/// Below `ikeep profile import --help`.
pub(super) const PROFILE_IMPORT: &str = "\
The profile is checked as by `ikeep profile check`; one that is damaged or for another client is refused (exit status 7), and \
nothing is changed. The copy goes into $XDG_CONFIG_HOME/ikeep/profiles/ and only you can read it. Another profile of the \
same name stays as it is unless --replace is given.

Examples:
  ikeep profile import Downloads/company.xml
  ikeep profile import company-2.xml --name company --replace
  curl -fsS https://intranet.example.com/company.xml | ikeep profile import -";

/// Below `ikeep portal --help`.
pub(super) const PORTAL: &str = "\
In a hotel or on a train the network may want a log-in in a browser before it lets anything through: a captive portal. A \
tunnel for everything does not let the browser reach it. `ikeep status` and `ikeep watch` tell when one is found; then \
this command opens a way past the tunnel: packets leave directly, and names are asked of that network. Connections that \
were made through the tunnel stay in it. All other programs use that way too, unprotected, as long as it is open. With a kill \
switch only web pages and names pass.

It is closed as soon as the portal lets the gateway be reached, when the time is over (by default as the profile's \
CaptivePortalRemediationTimeout says, else 5 minutes; 10 minutes at most), by --close, by `ikeep disconnect`, when the \
machine sleeps or comes to another network, and when the agent ends.

Where the tunnel is a proxy, or the tunnel does not lead there, nothing has to be opened, and the command says so.

Examples:
  ikeep portal
  ikeep portal --for 10m
  ikeep portal --close";

/// Below `ikeep status --help`.
pub(super) const STATUS: &str = "\
`connected` is said only while it is proved: the gateway was heard within the interval of the liveness check. Else the \
state is `unconfirmed`, and the table says what is waited for and until when; in the JSON document `state` stays \
`connected` and `confirmed` is false.

For panels and scripts: --json --follow prints such a document a line, at once and after each change (docs/stream.md).";

/// Below `ikeep watch --help`.
pub(super) const WATCH: &str = "\
On a terminal, a live picture: the state and since when, why there is no connection, what is waited for and until when, rates \
in and out, what the last reconnect cost, and the last events. It goes on when the agent is restarted. NO_COLOR leaves \
colours out; where the locale is not one of UTF-8, ASCII is enough.

Elsewhere (a pipe, a file, TERM=dumb) a line for each change, until the agent ends or is interrupted.

Keys:
  q                         end the picture; the connection goes on
  r                         reconnect: a new SA by token, beside the one that serves
  d                         disconnect; asks once
  arrows, PgUp, PgDn, Home, End   older and newer events
  ?                         the keys, Ctrl-L draws anew, Ctrl-Z suspends";

/// Below `ikeep tray --help`.
pub(super) const TRAY: &str = "\
Needs a panel that shows StatusNotifierItem icons: those of KDE, Xfce, Cinnamon, MATE, LXQt and Budgie do, GNOME's with the \
extension AppIndicator. Where none is there yet it waits for one.

The icon tells the state (nothing connected, on its way or not proved at present, connected, a person is needed); the \
tool tip says with the words of `ikeep status` why, and what is waited for. The menu has Connect, Reconnect or Disconnect, as \
the state is. They do what the commands of the same names do; connecting starts the agent where none runs, and asks \
for a password as `ikeep connect` does where there is no terminal: by its askpass program, or by `pinentry`.

It runs once in a session, until it is ended by its menu, by a signal, or with the session. The connection goes on.

To have it in every session of yours:
  mkdir -p ~/.config/autostart
  printf '[Desktop Entry]\\nType=Application\\nName=ikeep tray\\nExec=ikeep tray\\n' > ~/.config/autostart/ikeep-tray.desktop";

/// Below `ikeep events --help`.
pub(super) const EVENTS: &str = "\
The oldest event comes first. With --json there is one array of objects with at (UTC), type, source and description; with \
--json and --follow each object is a line of its own. What was damaged in the log is shown as it is: in JSON as an object \
with damaged (what is wrong) and text.";

/// Below `ikeep bundle --help`.
pub(super) const BUNDLE: &str = "\
The path of the new file, DARTBundle_YYYYMMDD_HHMM.zip, is printed. In it: the event log, the agent's log, reports of its crashes, its status, the \
profiles, the config file, this machine's addresses, routes, rules and resolver settings, what `ikeep doctor` finds, versions, \
and a manifest with the SHA-256 of each. `ikeep bundle --list` shows what would go in. Values whose names sound like passwords, keys \
or tokens are masked; the files of sessions and keys are not opened. summary.html shows the session as a picture in any browser. \
Names, addresses and session IDs are in it unless --anonymize masks them; free text of a gateway, as its banner, \
stays as it is, so look before you send it to people you do not know.";

/// Below `ikeep doctor --help`.
pub(super) const DOCTOR: &str = "\
Without HOST: what the agent and a tunnel device need of this machine. With HOST: the way to that gateway, step by step as \
a login takes it (profile, name, route, UDP 500, UDP 4500, NAT, fragments, certificate), until the gateway has proved who \
it is. No password is asked for and nothing about you is sent but the profile's IKEIdentity; what can only be known after a login is named as unknown. \
The ports are named by their usual numbers; where the config file has others, those are tried.

Each step that fails names what mends it. In the JSON document `stopped` is null, or has `at` (the step) and `exit`; \
`findings` have what, health (fine, lacking, MISSING, unknown), found and mend. `lacking` is no hindrance.

Exit status: 0 nothing is in the way; else as for `ikeep connect` (4: no answer, 5: certificate, 7: profile).

Examples:
  ikeep doctor
  ikeep doctor vpn.example.com
  ikeep doctor vpn.example.com --trust company-ca.pem --json";

/// Below `ikeep agent --help`.
pub(super) const AGENT: &str = "\
Runs until SIGTERM or SIGINT; the session and what you asked for stay on disk, so that the next agent goes on by token. \
One agent runs for a user. `ikeep connect` starts one in the background where none runs. It needs no privilege.

Where systemd runs the user's services, the unit ikeep.service runs it from login on; the packages enable it for everybody. \
`systemctl --user mask --now ikeep` ends that for you, `unmask` brings it back. It restarts the agent when it \
has died or is stuck. What the agent has to say is in `journalctl --user -u ikeep` and in the files of its log folder. Desktops \
without systemd start it from /etc/xdg/autostart.

The unit ends with the user's last session: then the tunnel ends, and the next login brings it back by token. For a \
connection without anybody logged in (from the start of the machine on, or after the last ssh session has ended) type `sudo \
loginctl enable-linger NAME` once. That keeps all services of this user running, not this one alone, and until somebody \
unlocks the desktop's keyring a session that is kept there cannot be read.";

/// Below `ikeep gateway learn --help`.
pub(super) const LEARN: &str = "\
Cisco has not published which MODECFG attributes carry the session's ID and its token, with which `ikeep` comes back without a \
login. This logs in once, asks for every private attribute (28672 to 28735), and tries which two of them bring a new IKE SA up. \
The session is ended in the end. A connection of the agent's is left alone, but some gateways allow one session a user.

Standard output has the report: what the gateway offers, how it proves itself, the structure of its login, and of each \
attribute number, length and kind of value. No name, address, password or value is in it, but for what the gateway's vendor IDs say and for small numbers (timers). Standard \
error has the lines for your config file. Each pair that is tried and refused (four at most) stands in the gateway's log; \
--no-reconnect tries none.

Exit status: 0 the two numbers were found and proved; 8 they are a guess (`proved` in the JSON document is false); 1 the login worked, and they were not found; else as for `ikeep connect`. Ctrl-C and SIGTERM end the session at the gateway, too.

Examples:
  ikeep gateway learn vpn.example.com --user alice > report.txt
  ikeep gateway learn vpn.example.com --trust company-ca.pem --json";

/// Below `ikeep gateway serve --help`.
pub(super) const GATEWAY: &str = "\
The gateway's keys are PUBLIC TEST KEYS: it is for trying things out, not for people's traffic. A client believes its \
certificate only with `ikeep connect --trust` and the file of --write-ca.

Commands on standard input, one a line: `help` lists them. At the end of standard input the gateway goes on until SIGINT \
or SIGTERM. Ports above 1023 need no privilege.

With --radius the users are those of a RADIUS server: it is asked with PAP once at each login, other questions of its (a second \
factor) become a second form, Framed-IP-Address, Framed-IPv6-Address and Class stay with the session, and a reconnect asks it \
nothing. It has to sign its answers (Message-Authenticator, CVE-2024-3596); so does this. With --tun only addresses of \
--pool and --pool6 have a way into the device: let the server give those, or none.

Example, in two terminals:
  ikeep gateway serve --port 15000 --nat-port 15001 --write-ca ca.pem
  ikeep connect IKEv2_Gateway --profile profiles/flexvpn-c8kv.xml --config lab.toml --trust ca.pem --user test
with lab.toml:
  [gateway.\"flexvpn-c8kv.example.com\"]
  address = \"127.0.0.1\"
  port = 15000
  nat_port = 15001";
