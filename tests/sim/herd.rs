//! A small herd in every test run; `cargo bench --bench herd` drives ten thousand.

use crate::harness::Herd;

/// Peak over mean, and seconds to the last one, after the gateway's return.
fn check(herd: &Herd) {
    let (peak, mean) = (herd.peak(), herd.mean());
    println!("{} laptops: peak {peak}/s, mean {mean:.0}/s, last after {:?}", herd.laptops, herd.last);
    assert!(peak as f64 <= 3.0 * mean, "peak {peak}/s, mean {mean:.1}/s: {:?}", herd.arrivals);
    assert!(herd.last.as_secs() <= 90, "the last one is in after {:?}", herd.last);
    let most = herd.highest();
    assert!(most <= herd.laptops as u64, "{most} requests in a second of {} laptops", herd.laptops);
    assert_eq!(herd.aaa, herd.laptops as u64, "nobody logged in again");
}

#[test]
fn five_hundred_laptops_come_back_in_good_order() {
    check(&Herd::run(500, true));
}
