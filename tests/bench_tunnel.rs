//! What the bench `tunnel` reads: the texts of iperf3, ping and the kernel.

#[path = "../benches/tunnel/parse.rs"]
mod parse;

use parse::{drops, flow, full_buffers, memory, percentile, pings, ticks};

#[test]
fn a_tcp_flow_is_what_arrived_and_what_was_sent_again() {
    let text = r#"{"start": {}, "end": {
        "streams": [{"sender": {"bytes": 805699584}, "receiver": {"bytes": 805044224}}],
        "sum_sent": {"bytes": 805699584, "bits_per_second": 6423787912.0, "retransmits": 7, "sender": false},
        "sum_received": {"bytes": 805044224, "bits_per_second": 6440121947.5, "sender": false}}}"#;
    let flow = flow(text).unwrap();
    assert_eq!((flow.rate, flow.octets, flow.retransmits), (6_440_121_947.5, 805_044_224.0, 7));
    assert_eq!((flow.datagrams, flow.lost, flow.overtaken), (0, 0, 0));
}

#[test]
fn a_udp_flow_counts_datagrams() {
    let text = r#"{"end": {
        "streams": [{"udp": {"packets": 26913, "lost_packets": 18886, "out_of_order": 3}}],
        "sum": {"packets": 26913, "lost_packets": 18886, "lost_percent": 70.17, "bytes": 32295600},
        "sum_sent": {"packets": 26913, "lost_packets": 0},
        "sum_received": {"bytes": 9020400, "bits_per_second": 71886293.5, "packets": 26403}}}"#;
    let flow = flow(text).unwrap();
    assert_eq!((flow.datagrams, flow.lost, flow.overtaken), (26_913, 18_886, 3));
    assert_eq!((flow.rate, flow.octets), (71_886_293.5, 9_020_400.0));
}

#[test]
fn an_error_of_iperf3_is_told() {
    let error = flow(r#"{"start": {}, "end": {}, "error": "unable to connect to server"}"#).unwrap_err();
    assert!(error.to_string().contains("unable to connect"), "{error}");
    assert!(flow("iperf3: no JSON").is_err());
    assert!(flow(r#"{"end": {}}"#).is_err());
}

#[test]
fn pings_come_sorted_and_in_microseconds() {
    let text = "PING 10.9.0.1 (10.9.0.1) 56(84) bytes of data.\n\
                64 bytes from 10.9.0.1: icmp_seq=1 ttl=64 time=1.25 ms\n\
                64 bytes from 10.9.0.1: icmp_seq=2 ttl=64 time=0.045 ms\n\
                64 bytes from 10.9.0.1: icmp_seq=3 ttl=64 time=20.0 ms\n\n\
                3 packets transmitted, 3 received, 0% packet loss, time 10ms\n";
    let times = pings(text).unwrap();
    let whole: Vec<f64> = times.iter().map(|time| time.round()).collect();
    assert_eq!(whole, [45.0, 1250.0, 20_000.0]);
    assert_eq!(percentile(&whole, 50), 1250.0);
    assert_eq!(percentile(&whole, 99), 20_000.0);
    assert!(pings("2 packets transmitted, 0 received, 100% packet loss, time 10ms\n").is_err());
}

#[test]
fn a_process_is_read_whatever_its_name() {
    let stat = "712 (a) b (c) S 1 712 712 0 -1 4194560 900 0 0 0 250 75 0 0 20 0 3 0 5000 1000000 3000";
    assert_eq!(ticks(stat), Some(325));
    assert_eq!(ticks("712 (short) S 1"), None);
    let status = "Name:\tikeep\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
    assert_eq!((memory(status, "VmRSS:"), memory(status, "VmHWM:")), (Some(10_240.0), Some(20_480.0)));
    assert_eq!(memory(status, "VmPin:"), None);
}

#[test]
fn full_buffers_are_those_of_udp() {
    let snmp = "Tcp: RtoAlgorithm InErrs\nTcp: 1 2\n\
                Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\nUdp: 9 8 7 6 42 4\n\
                UdpLite: InDatagrams RcvbufErrors\nUdpLite: 0 5\n";
    assert_eq!(full_buffers(snmp), Some(42));
    assert_eq!(full_buffers("Tcp: 1\n"), None);
    let sockets = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                   1: 0100090A:01F4 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2 00000000 30\n\
                   2: 0100090A:1194 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 78 2 00000000 5\n";
    assert_eq!(drops(sockets), 35);
}
