use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{NonZero, Odd};

use super::*;
use crate::crypto::testing::{Replay, Seeded, hex};

fn prime<M: Prime<L>, const L: usize>() -> Uint<L> {
    *M::PARAMS.modulus().as_ref()
}

/// Fermat with bases 3 and 5.
fn is_probable_prime<const L: usize>(n: Uint<L>) -> bool {
    let params = FixedMontyParams::new_vartime(Odd::new(n).expect("odd"));
    [3u8, 5].iter().all(|base| {
        let base = FixedMontyForm::new(&Uint::from_u8(*base), &params);
        base.pow_vartime(&n.wrapping_sub(&Uint::ONE)).retrieve() == Uint::ONE
    })
}

fn is_the_prime_of_the_rfc<M: Prime<L>, const L: usize>()
where
    Uint<L>: Encoding,
{
    let p = prime::<M, L>();
    let q = p.shr_vartime(1);
    assert!(is_probable_prime(p), "{:?}", M::GROUP);
    assert!(is_probable_prime(q), "{:?}", M::GROUP);
    assert_eq!(ConstMontyForm::<M, L>::new(&Uint::from_u8(2)).pow(&q).retrieve(), Uint::ONE);
    // Its form in RFC 3526: 64 ones, digits of pi, 64 ones.
    let octets = octets_of(&p);
    assert_eq!((&octets[..8], &octets[octets.len() - 8..]), (&[0xff; 8][..], &[0xff; 8][..]));
    // The first digits of pi, and p = 23 modulo 24: 2 is a square.
    assert_eq!(octets[8..16], [0xc9, 0x0f, 0xda, 0xa2, 0x21, 0x68, 0xc2, 0x34]);
    assert_eq!(p.rem_vartime(&NonZero::new(Uint::<L>::from_u8(24)).expect("not zero")), Uint::from_u8(23));
}

#[test]
fn each_modulus_is_a_safe_prime_and_2_generates_the_large_subgroup() {
    is_the_prime_of_the_rfc::<Prime2048, { U2048::LIMBS }>();
    is_the_prime_of_the_rfc::<Prime3072, { U3072::LIMBS }>();
    is_the_prime_of_the_rfc::<Prime4096, { U4096::LIMBS }>();
}

/// RFC 6989 2.1.
fn takes_what_is_between<M: Prime<L> + Send, const L: usize, const E: usize>()
where
    Uint<L>: Encoding,
{
    let ours = Modp::<M, L, E>::generate(&mut Seeded::new(5));
    let p = prime::<M, L>();
    let minus = |n: u8| p.wrapping_sub(&Uint::from_u8(n));
    let p_and_1 = p.wrapping_add(&Uint::ONE);
    for bad in [Uint::ZERO, Uint::ONE, minus(1), p, p_and_1, Uint::MAX] {
        assert_eq!(ours.agree(&octets_of(&bad)), Err(KexError::NotInGroup));
    }
    for good in [Uint::from_u8(2), Uint::from_u8(3), minus(2)] {
        assert_eq!(ours.agree(&octets_of(&good)).map(|secret| secret.len()), Ok(M::GROUP.public_len()));
    }
}

#[test]
fn only_1_y_p_minus_1_is_taken() {
    takes_what_is_between::<Prime2048, { U2048::LIMBS }, 5>();
    takes_what_is_between::<Prime3072, { U3072::LIMBS }, 6>();
    takes_what_is_between::<Prime4096, { U4096::LIMBS }, 7>();
}

/// Computed with another implementation of arithmetic (Python's `pow`).
#[test]
fn known_answer() {
    let [a, b] = [1..=40, 101..=140].map(|octets| Modp2048::generate(&mut Replay(octets.collect())));
    let [a_public, b_public, shared] = [A_PUBLIC, B_PUBLIC, SHARED].map(hex);
    assert_eq!(a.public_value(), a_public);
    assert_eq!(b.public_value(), b_public);
    assert_eq!(a.agree(&b_public), Ok(Secret::new(shared.clone())));
    assert_eq!(b.agree(&a_public), Ok(Secret::new(shared)));
}

/// 2^249 is a peer whose secret with us begins with a zero octet: it stays.
#[test]
fn the_secret_is_as_long_as_the_modulus() {
    let ours = Modp2048::generate(&mut Replay((1..=40).collect()));
    let peer = U2048::ONE.shl_vartime(249);
    assert_eq!(ours.agree(&octets_of(&peer)), Ok(Secret::new(hex(PADDED))));
}

const A_PUBLIC: &str =
    "f0cdbd67b9f7aa420ec897f258819be9496e9a0a5726c89df16dd7f451c98e45fb7738b946ffcc3743438f668c562d06
    c65d330de82a1078bf6f9292fdc86bec74ac0c26640704012785c1611d3c4f3ec28877eff3f5b11ce33a905b731dafca
    c4daf7e440d201db0ec4888a4e080572c92c1db2886612a28b6ab995987c8767b6a3f577e277713abefe80b9948bd5b7
    1b931d19185d503acf998c6e4b1cdaa3bc6b1ba20c71e6aceab8bdbf477c4706bea69f095f7687f47e93f99695fe582c
    7cab8d33f0267dbf4aab867f3a7f7a7f626e520129cd0fa3c7dc290f59217de17293bef38ae9b3bd3829226a08f611a9
    077a9acf31a954332f5a54d6eb7d524b";
const B_PUBLIC: &str =
    "ba2d59905467eb008748eed3e6f6ecc6c2f085c69d6feaf108daf3deb4962f3b71ebd9aab5e534b082032f6a06835492
    38a628410f08eb9f4a4581fbd8f8d58f1d8852070112217b5e333a565711aa30d882b44c150b43c5971d4e3c66a09a44
    1eb79db2d6a73036055875c27d9d260b391d8d8f0362428c40477bf6842bae0803997e87544fbf123befc7997d643341
    0760da373b499961dbfa73ddd0b6ff7f0cd8cf534e72952a38f116151cc3ddfb9b408b76ea1a87ccc4a4c542c4c73ea1
    160a97523d30d6f479fa64bcc9cd4ee5fb0cd006125ac1835353a69b97a2f02a3f99afbb1a0409c07448ce2afcc6d96e
    815e3fe4cac8ded119f90fb2fe0c558c";
const SHARED: &str =
    "922114f0280f30bbda7bc06e18471381eed6a433e871b745df5c9957a10c6f69ab95de5525cc5bd21c8d134284d735e1
    48b21d952184abc4274e7f7e969b0d9fd16f51725fc7e9ccbacdd7a3e26741280d01ff6c77986060f7160581d8cf275c
    3ca6f94f108a2b99d7eb023fddf9990bd4e9e6fc704805e81d42972f71de2c67b5c41ff6d1f7735066c08145d5e82972
    d29b9ef0abf5d00226a02b48d66d393fa228d20720e22a3af22746781525f1c525d4202d32c748d56937290a42d6aff9
    63eb735e7c5c0cbf466c0ca6e1241cf3f9bd8bdcef948bacc16376a518280a59a9f7eea514b12dbb33cb15f8218c8f08
    e4796ea5900fb6628a7e316850f48823";
const PADDED: &str =
    "008b151719aa5c643b48cf7f81378597ffa9a08d44ab2ae6916c98f6945423eae9bd4f9bb79746ff3a838b942fa61065
    abd7fd2ee4201c49e7e36a8441e67ad393c884dd2f02960e0d7a2327fe9e6f51c6aee4c2371b6ceaf41f35b2a7c002ae
    83e835351c023a0dc4576ce04e9b3976fc461b2f23e2967825fdd109e450ad9e013095672ce6726f231dd653a2715552
    1a7a9242e3eabbeb5f2ead042d3f286a80a1e33519edebcde15635422d37fa4b69179b5227dab959e6f07bc65a82185e
    a768b23024b2b25545777afb153e8fa9aa2b6a025213f14501bf55ded80608ed1bf50a0559515e3ad4aea00d6a835796
    95981aa1ebb01e4eb1b0df97713b4f21";
